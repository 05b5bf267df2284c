"""The four panels of figure 4 of Arjovsky, Shah & Bengio, 2016."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import style
from analysis.figures.band import band, mark
from analysis.figures.panels import order

INIT, TRAINED, NORM, DISTANCE = "gradient, init", "gradient, trained", "norm", "distance"
TITLES = {
    INIT: "(i) $\\|\\partial C/\\partial h_t\\|$\nat initialisation",
    TRAINED: "(ii) $\\|\\partial C/\\partial h_t\\|$\nafter training",
    NORM: "(iii) $\\|h_t\\|$\nafter training",
    DISTANCE: "(iv) $\\|h_t - h_{T-1}\\|$\nafter training",
}
MODELS = {"modrelu": "orthogonal, modReLU", "tanh": "RNN, tanh", "lstm": "LSTM", "relu": "IRNN"}
ORTHOGONAL, RNN, LSTM, IRNN = MODELS.values()
SATURATING = (ORTHOGONAL, LSTM)  # whose states the paper compares
PUBLISHED = {  # decades per step, read off the paper's curves
    (ORTHOGONAL, INIT): 0.0,
    (ORTHOGONAL, TRAINED): 0.008,
    (RNN, INIT): 0.014,
    (RNN, TRAINED): 0.083,
    (LSTM, INIT): 0.044,
    (LSTM, TRAINED): 0.055,
}


def figure(table: pd.DataFrame) -> Figure:
    """Median over seeds as a line, their range as a band, and the paper's slope through our last step.

    Args:
        table: model, seed, outcome, panel, time and log10 of a norm.
    """
    models = order(table["model"])
    colours = style.categories(models)
    lines = {model: {"color": colours[model], "linestyle": style.DASHES[i]} for i, model in enumerate(models)}
    T = table["time"].max() + 1
    with style.look():
        made = style.canvas(style.TEXT, 2.3)
        for axes, (panel, title) in zip(made.subplots(1, 4), TITLES.items(), strict=True):
            gradient = panel in (INIT, TRAINED)
            for model in models:
                rows = table[(table["panel"] == panel) & (table["model"] == model)]
                values = rows.assign(y=rows["log10"] if gradient else 10 ** rows["log10"])
                curve = band(axes, values[np.isfinite(values["y"])], "time", "y", lines[model])
                if gradient and (model, panel) in PUBLISHED and len(curve):
                    lag = curve.index[-1] - curve.index
                    slope = curve.iloc[-1] - PUBLISHED[model, panel] * lag
                    axes.plot(curve.index, slope, color=colours[model], linewidth=0.5, gid=title)
            axes.set(title=title, xlim=(0, T), xlabel=style.label("time") + " (steps)")
            axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(5, integer=gradient))
            if gradient:
                axes.yaxis.set_major_formatter(FuncFormatter(style.power_of_ten))
            else:
                axes.set_ylim(bottom=0)
        handles = [Line2D([], [], **lines[model], label=_name(table, model)) for model in models]
        handles.append(mark())
        handles.append(Line2D([], [], color=style.GREY, linewidth=0.5, label="slope in the paper"))
        made.legend(handles=handles, loc="outside upper center", ncols=3)
    return made


def _name(table: pd.DataFrame, model: str) -> str:
    runs = table[table["model"] == model].drop_duplicates("seed")
    diverged = int((runs["outcome"] == "diverged").sum())
    return f"{model} ({diverged} of {len(runs)} diverged)" if diverged else model
