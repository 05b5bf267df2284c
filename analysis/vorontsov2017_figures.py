"""The pictures of the experiment `vorontsov2017_fig3`, from its tables."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import style
from analysis.figures import by_length, heatmap_figure, learning_figure
from analysis.figures.band import band
from analysis.figures.panels import order

NONE = "no margin"
ROWS = 3  # of their figure: margins go down the columns
FLOOR = 1e-7  # decades that float32 tells from 0, about
RATIO = r"$\|\partial L_T/\partial h_t\| \,/\, \|\partial L_T/\partial h_T\|$"


def heatmap(table: pd.DataFrame) -> Figure:
    """Updates against time steps, a panel for each margin, down the columns as in the original.

    Args:
        table: margin, title, and what `figures.updates` gives.
    """
    margins = order(table["margin"])
    rows = min(ROWS, len(margins))
    place = {margin: (n % rows, n // rows) for n, margin in enumerate(margins)}
    row, column = (table["margin"].map(lambda margin, k=k: place[margin][k]).astype(int) for k in (0, 1))
    title = f"copying, {table['title'].iloc[0]}, median over seeds"
    figure = heatmap_figure(table.assign(row=row, column=column), title=title, bar=RATIO, height=1.2)
    named = {(at[0], at[1]): margin for margin, at in place.items()}
    columns = max(at[1] for at in place.values()) + 1
    with style.look():
        for n, axes in enumerate(figure.axes[: rows * columns]):
            title = named.get((n // columns, n % columns), "")
            axes.set(title=title, ylabel="", visible=bool(title))
    return figure


def bound(table: pd.DataFrame) -> Figure:
    """How far the norm strays over the sequence, over updates: median and range over seeds, and what the margin allows.

    That is -k log10(1 - m) at the largest lag k, for 0 < m < 1.

    Args:
        table: margin, m, lags, step, seed and size.
    """
    margins = order(table["margin"])
    colours = style.categories(margins)
    with style.look():
        figure = style.canvas(style.COLUMN, 2.6)
        axes = figure.subplots()
        for n, margin in enumerate(margins):
            of = table[table["margin"] == margin]
            look = {"color": colours[margin], "linestyle": style.DASHES[n % len(style.DASHES)]}
            sizes = of.assign(size=of["size"].clip(lower=FLOOR))
            band(axes, sizes, "step", "size", {**look, "gid": str(margin), "label": str(margin)})
            if 0 < of["m"].iloc[0] < 1:
                allowed = -of["lags"].max() * np.log10(1 - of["m"].iloc[0])
                axes.axhline(allowed, color=look["color"], linewidth=0.7, linestyle=style.THEORY, gid="theory")
        axes.set(yscale="log", xlabel=style.label("step"), ylabel="largest change of the norm\nover all lags (decades)")
        theory = Line2D([], [], color=style.GREY, linewidth=0.7, linestyle=style.THEORY, label="bound of $m$")
        lines = [line for line in axes.get_lines() if line.get_gid() != "theory"]
        figure.legend(handles=[*lines, theory], loc="outside upper center", ncols=3)
    return figure


def learning(table: pd.DataFrame) -> Figure:
    """Accuracy over updates, a panel for each T.

    Args:
        table: T, margin, seed, outcome, step and accuracy.
    """
    return learning_figure(by_length(table, "margin", "accuracy"), y="accuracy of recall", level=1 / 8, log=False)
