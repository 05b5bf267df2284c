"""Effective horizon against a swept setting: how far the gradient reaches before and after training."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, LogLocator, NullLocator, ScalarFormatter
from matplotlib.transforms import ScaledTranslation

from analysis import style
from analysis.figures.panels import complete, is_number, looks, named, order, panels
from analysis.statistics.digests import INIT, TRAINED

STAGES = (INIT, TRAINED)
OUTCOMES = {"solved": "o", "mixed": "D", "stuck": "s", "diverged": "X"}
WORDS = {"mixed": "outcomes differ"}


def horizon_figure(
    table: pd.DataFrame,
    *,
    x: str = "",
    hue: str = "",
    title: str = "",
    slots: bool | None = None,
    height: float = 1.6,
    width: float | None = None,
) -> Figure:
    """Open markers at initialisation, filled ones after training, with the range over seeds.

    The shape of a filled marker is the outcome of the runs; an arrow says that the median is a lower bound. From
    horizon = T on, a line and grey, no horizon can be seen.

    Args:
        table: x (a number or text), T (steps), stage (init or trained), median, low and high (steps), bound (whether
            the median is a lower bound), outcome; and, where there is theory, predicted (steps), at initialisation.
        x: the label of the axis; hue: what the numbers of the column hue are.
        slots: a slot for each value of x, lines beside each other, instead of an axis of numbers; by default for text.
    """
    table = complete(table)
    slots = not is_number(table["x"]) if slots is None else slots
    look, values = looks(table), order(table["x"])
    joined = is_number(table["x"]) and not slots  # in slots the lines of several cells would cross each other
    with style.look():
        if slots:
            markers = 2 * len(look) * len(values) * table["column"].nunique()
            width = width or max(style.COLUMN if table["column"].nunique() == 1 else style.TEXT, 0.035 * markers)
        made = panels(table, height, width)
        for (row, _), axes in made.grid.items():
            _frame(axes, table[table["row"] == row], values, slots)
            axes.tick_params(labelleft=made.edge(axes))
        for axes, panel in made.of(table):
            for i, (key, one) in enumerate(look.items()):
                points = panel[(panel["hue"] == key[0]) & (panel["dash"] == key[1])]
                for j, stage in enumerate(STAGES):
                    of_stage = points[points["stage"] == stage].sort_values("x")
                    beside = (2 * i + j - len(look) + 0.5) * 0.8 / (2 * len(look)) if slots else 0.0
                    at = [values.index(value) + beside for value in of_stage["x"]] if slots else of_stage["x"]
                    _points(axes, np.asarray(at, float), of_stage, one["color"], f"{key[0]} {stage}", joined)
                _theory(axes, points, values if slots else None, one["color"], joined)
        return made.finish(x, style.label("horizon"), _named(table, hue) + _marks(table, joined), title)


def _frame(axes: Axes, of_row: pd.DataFrame, values: list[Any], slots: bool) -> None:
    """The limits of the axes, and grey from T on."""
    limit = of_row.groupby("x", observed=True)["T"].max()
    top = float(limit.max()) * 1.5
    if slots:
        edges, heights = np.arange(len(values) + 1) - 0.5, [limit.get(value, np.nan) for value in values]
        axes.fill_between(edges, [*heights, heights[-1]], top, step="post", color="0.93", linewidth=0)
        axes.hlines(heights, edges[:-1], edges[1:], color=style.GREY, linewidth=0.6, linestyle="--", gid="censoring")
        axes.set_xlim(-0.5, len(values) - 0.5)
        axes.xaxis.set_major_locator(FixedLocator(range(len(values))))
        axes.xaxis.set_major_formatter(FixedFormatter([_text(value) for value in values]))
        axes.grid(visible=False, axis="x")
    else:
        margin = 0.05 * (max(values) - min(values)) or 0.5
        ends = [min(values) - margin, *limit.index, max(values) + margin]
        heights = [limit.iloc[0], *limit, limit.iloc[-1]]
        axes.fill_between(ends, heights, top, color="0.93", linewidth=0)
        axes.plot(ends, heights, color=style.GREY, linewidth=0.6, linestyle="--", gid="censoring")
        axes.set_xlim(ends[0], ends[-1])
    smallest = np.nanmin([of_row["low"].min(), float(limit.min())])
    axes.set(yscale="log", ylim=(max(smallest, 0.5) / 1.6, top))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top < 500 * smallest else (1,)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_locator(NullLocator())


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float | np.number) else str(value)


def _points(axes: Axes, x: np.ndarray, points: pd.DataFrame, colour: Any, name: str, joined: bool) -> None:
    stage = name.rpartition(" ")[2]
    median, line = points["median"].to_numpy(float), ":" if stage == INIT else "-"
    axes.vlines(x, points["low"], points["high"], color=colour, linewidth=0.8)
    axes.plot(x, median, color=colour, linewidth=0.6, linestyle=line if joined else "", gid=name)
    for where, y, outcome in zip(x, median, points["outcome"], strict=True):
        face = "white" if stage == INIT else colour
        marker = "o" if stage == INIT else OUTCOMES.get(outcome, "o")
        if np.isfinite(y):
            axes.plot(where, y, marker, color=colour, markerfacecolor=face, markeredgewidth=0.7)
        elif stage == TRAINED and outcome == "diverged":  # no trained network, so no horizon: at the lower edge
            axes.plot(where, 0.04, marker, color=colour, transform=axes.get_xaxis_transform(), clip_on=False)
    bound = points["bound"].to_numpy(bool)
    above = axes.transData + ScaledTranslation(0, 4 / 72, axes.figure.dpi_scale_trans)
    axes.plot(x[bound], median[bound], marker=6, markersize=2.5, linestyle="", color=colour, transform=above)


def _theory(axes: Axes, points: pd.DataFrame, values: list[Any] | None, colour: Any, joined: bool) -> None:
    """A dashed line through what is predicted, which no T bounds: it may leave the picture."""
    if "predicted" in points:
        known = points[points["stage"] == INIT].sort_values("x")  # where there is no theory the line has a gap
        at = known["x"] if values is None else [values.index(value) for value in known["x"]]
        marker, size = ("_", 9) if len(known) == 1 or not joined else (".", 2.5)
        look = {"color": colour, "linewidth": 0.9, "linestyle": style.THEORY if joined else "", "zorder": 1.9}
        value = known["predicted"].clip(upper=100 * axes.get_ylim()[1])
        axes.plot(at, value, marker=marker, markersize=size, gid="predicted", **look)


def _named(table: pd.DataFrame, hue: str) -> list[Line2D]:
    handles = named(table, hue)
    for handle in handles:
        handle.set_linestyle("-")
    return handles


def _marks(table: pd.DataFrame, joined: bool) -> list[Any]:
    dark = {"color": "0.35", "linewidth": 0.6 if joined else 0}
    marks = [Line2D([], [], marker="o", markerfacecolor="white", linestyle=":", label="at initialisation", **dark)]
    for outcome, marker in OUTCOMES.items():
        if outcome in set(table.loc[table["stage"] == TRAINED, "outcome"]):
            marks.append(Line2D([], [], marker=marker, label=f"trained, {WORDS.get(outcome, outcome)}", **dark))
    if (table["low"] < table["high"]).any():
        marks.append(Line2D([], [], marker="|", color="0.35", markersize=7, linestyle="", label="range over seeds"))
    if table["bound"].any():
        marks.append(Line2D([], [], marker=6, color="0.35", linestyle="", label="lower bound"))
    if "predicted" in table and table["predicted"].notna().any():
        marks.append(Line2D([], [], linestyle=style.THEORY, color="0.35", linewidth=0.9, label="theory at init"))
    marks.append(Line2D([], [], color=style.GREY, linestyle="--", linewidth=0.6, label="horizon = T"))
    return [*marks, Patch(color="0.93", label="beyond T: not seen")]
