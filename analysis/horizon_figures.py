"""The pictures of the experiment `horizon`: tables of `analysis.configurations` in, figures out."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    ScalarFormatter,
)
from matplotlib.transforms import ScaledTranslation

from analysis import style
from analysis.digests import INIT, TRAINED

FLOOR, CEILING = -15.0, 9.0  # decades relative to lag 0 that are drawn; what lies outside is marked at the edge
FALL = -3.0  # where the effective horizon ends
STAGES = {INIT: "at initialisation", TRAINED: "after training"}
DASHES = {("forward", "forward"): "-", ("backward", "backward"): "--"}
DASHES |= {("bidirectional", "forward"): "-.", ("bidirectional", "backward"): ":"}
MARKERS = {"solved": "o", "mixed": "D", "stuck": "s", "diverged": "X"}
LAG = "lag $k$ (steps, in the direction of the pass)"
NORM = r"$\|\partial L/\partial h_{t-k}\| \,/\, \|\partial L/\partial h_t\|$"


def shown(table: pd.DataFrame) -> pd.Series:
    """Which rows of a table with the configuration's columns have a profile in one of the figures."""
    return _simplest(table) | _longest(table)


def _simplest(table: pd.DataFrame) -> pd.Series:
    plain = table["direction"].min()  # ordered: forward, backward, bidirectional
    return (table["direction"] == plain) & (table["depth"] == table.loc[table["direction"] == plain, "depth"].min())


def _longest(table: pd.DataFrame) -> pd.Series:
    return table["T"] == table.groupby("task")["T"].transform("max")


def profiles_figure(curves: pd.DataFrame) -> Figure:
    """Norm of the gradient against lag for each T, in the simplest network: first direction there is, least depth."""
    of_figure = curves[_simplest(curves)]
    of_figure = of_figure[of_figure["pass"] == of_figure["pass"].max()]  # forward, if it has both
    depth, direction = of_figure["depth"].iloc[0], of_figure["direction"].iloc[0]
    colours = style.ordered(of_figure["T"].unique())
    handles = [Line2D([], [], color=colour, label=f"T = {T}") for T, colour in colours.items()]
    title = f"{direction}, depth {depth}, layer 0"
    return _grid(of_figure, ["T"], lambda T: {"color": colours[T]}, handles, title)


def networks_figure(curves: pd.DataFrame) -> Figure | None:
    """Norm of the gradient against lag for each depth, direction and pass, at the largest T; None if there is one."""
    of_figure = curves[_longest(curves)]
    variants = of_figure[["depth", "direction", "pass"]].drop_duplicates()
    if len(variants) < 2:
        return None
    colours = style.ordered(of_figure["depth"].unique())
    handles = [Line2D([], [], color=colour, label=f"depth {depth}") for depth, colour in colours.items()]
    for direction, one in sorted(
        set(zip(variants["direction"], variants["pass"], strict=True)), key=list(DASHES).index
    ):
        dashes = DASHES[direction, one]
        handles.append(Line2D([], [], color=style.GREY, linestyle=dashes, label=network(direction, one)))
    lengths = ", ".join(f"{task} T = {T}" for task, T in of_figure.groupby("task")["T"].max().items())

    def look(depth: int, direction: str, one: str) -> dict[str, Any]:
        return {"color": colours[depth], "linestyle": DASHES[direction, one]}

    return _grid(of_figure, ["depth", "direction", "pass"], look, handles, f"{lengths}, layer 0")


def network(direction: str, one: str) -> str:
    """The direction in words, with the pass where there are two."""
    return f"{direction}, {one} pass" if direction == "bidirectional" else direction


def _grid(of_figure: pd.DataFrame, hue: list[str], look: Any, handles: list[Any], title: str) -> Figure:
    """Rows: task and stage; columns: cell and init; a line with its band for each value of `hue`."""
    rows = [(task, stage) for task in sorted(of_figure["task"].unique()) for stage in STAGES]
    columns = sorted(set(zip(of_figure["cell"], of_figure["init"], strict=True)))
    width = max(style.TEXT, 1.05 * len(columns) + 0.5) if len(columns) > 2 else style.COLUMN
    with style.look():
        figure = style.canvas(width, 1.25 * len(rows) + 0.75)
        grid = figure.subplots(len(rows), len(columns), squeeze=False)
        low, high = _limits(of_figure)
        for (task, stage), line in zip(rows, grid, strict=True):
            for (cell, init), axes in zip(columns, line, strict=True):
                panel = of_figure[(of_figure["task"] == task) & (of_figure["stage"] == stage)]
                panel = panel[(panel["cell"] == cell) & (panel["init"] == init)]
                axes.axhline(FALL, color=style.GREY, linewidth=0.6, linestyle=(0, (1, 1.5)))
                if panel.empty:
                    absent = "no run" if stage == INIT else "no trained\nnetwork"
                    axes.text(0.5, 0.5, absent, ha="center", color=style.GREY, transform=axes.transAxes)
                for key, curve in reversed(list(panel.groupby(hue, observed=True))):  # short ones on top of long ones
                    _curve(axes, curve, low, high, key, look(*key))
                axes.set_ylim(low, high)
                axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
                axes.yaxis.set_major_formatter(FuncFormatter(style.power_of_ten))
                axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
                axes.set_xlim(0, 1.02 * max(of_figure.loc[of_figure["task"] == task, "lag"].max(), 1))
                axes.tick_params(labelleft=axes is line[0])
            line[0].set_ylabel(f"{task}\n{STAGES[stage]}")
        for (cell, init), axes in zip(columns, grid[0], strict=True):
            axes.set_title(f"{cell}\n{init}")
        marks = [Line2D([], [], color=style.GREY, linewidth=0.6, linestyle=(0, (1, 1.5)), label="fallen by 1000")]
        marks.append(Patch(color="0.8", label="range over seeds"))
        gone = f"below $10^{{{FLOOR:.0f}}}$ or 0"
        marks.append(Line2D([], [], color=style.GREY, marker="v", linestyle="", label=gone))
        figure.supxlabel(LAG, fontsize=7)
        figure.supylabel(NORM, fontsize=7)
        columns_of_legend = 5 if len(columns) > 2 else 2
        figure.legend(handles=handles + marks, loc="outside upper center", ncols=columns_of_legend, title=title)
    return figure


def _limits(of_figure: pd.DataFrame) -> tuple[float, float]:
    """Limits of the norm, in whole decades around what is there, within floor and ceiling."""
    values = of_figure[["low", "median", "high"]].to_numpy()
    values = values[np.isfinite(values)]
    low = np.floor(max(values.min(initial=FALL - 1), FLOOR))
    return low - 0.5, np.ceil(min(values.max(initial=0), CEILING)) + 0.5


def _curve(axes: Axes, curve: pd.DataFrame, low: float, high: float, key: Hashable, look: dict[str, Any]) -> None:
    """Median as a line, range as a band; a triangle at the edge where the median leaves the drawn decades."""
    lag, median = curve["lag"].to_numpy(), curve["median"].to_numpy()
    band = curve[["low", "high"]].clip(low - 1, high + 1)  # -inf is drawn to beyond the edge
    axes.fill_between(lag, band["low"], band["high"], color=look["color"], alpha=0.2, linewidth=0)
    axes.plot(lag, np.where(np.isfinite(median), median, np.nan), gid=str(key), **look)
    for outside, marker, edge in ((median < low, "v", 0.04), (median > high, "^", 0.96)):
        if outside.any():
            start = lag[outside.argmax()]
            axes.plot(start, edge, marker, color=look["color"], transform=axes.get_xaxis_transform(), clip_on=False)


def map_figure(table: pd.DataFrame) -> Figure:
    """Effective horizon against T, open at initialisation, filled after; a panel per task, depth, direction and pass.

    The shape of a filled marker is the outcome of the runs; an arrow says that the median is a lower bound.
    """
    table = table[table["part"] == "h"]
    rows = sorted(set(zip(table["task"], table["depth"], strict=True)))
    columns = sorted(set(zip(table["direction"], table["pass"], strict=True)), key=list(DASHES).index)
    names = sorted(set(zip(table["cell"], table["init"], strict=True)))
    colours = style.categories(names)
    with style.look():
        markers = 2 * len(names) * table["T"].nunique() * len(columns)
        width = max(style.TEXT if len(columns) > 1 else style.COLUMN, 0.035 * markers)
        figure = style.canvas(width, 1.6 * len(rows) + 0.9)
        grid = figure.subplots(len(rows), len(columns), squeeze=False)
        for (task, depth), line in zip(rows, grid, strict=True):
            of_row = table[(table["task"] == task) & (table["depth"] == depth)]
            lengths = sorted(of_row["T"].unique())
            for (direction, one), axes in zip(columns, line, strict=True):
                panel = of_row[(of_row["direction"] == direction) & (of_row["pass"] == one)]
                _frame(axes, lengths, of_row)
                for i, name in enumerate(names):
                    points = panel[(panel["cell"] == name[0]) & (panel["init"] == name[1])].sort_values("T")
                    for j, stage in enumerate(STAGES):
                        beside = (2 * i + j - len(names) + 0.5) * 0.8 / (2 * len(names))
                        x = np.searchsorted(lengths, points["T"]) + beside
                        _points(axes, x, points, stage, colours[name], name)
                axes.tick_params(labelleft=axes is line[0])
            line[0].set_ylabel(f"{task}, depth {depth}")
        for (direction, one), axes in zip(columns, grid[0], strict=True):
            axes.set_title(network(direction, one))
        figure.supxlabel("sequence length $T$ (steps)", fontsize=7)
        figure.supylabel("effective horizon (steps)", fontsize=7)
        lines = [Line2D([], [], color=colour, label=" ".join(name)) for name, colour in colours.items()]
        if len(columns) == 1:
            figure.legend(handles=lines + _marks(table), loc="outside upper center", ncols=2)
        else:
            figure.legend(handles=lines, loc="outside upper left", ncols=2)
            figure.legend(handles=_marks(table), loc="outside upper right", ncols=2)
    return figure


def _frame(axes: Axes, lengths: list[int], of_row: pd.DataFrame) -> None:
    """A slot for each T, grey from T on: there no horizon can be seen."""
    edges, top = np.arange(len(lengths) + 1) - 0.5, lengths[-1] * 1.5
    axes.fill_between(edges, [*lengths, lengths[-1]], top, step="post", color="0.93", linewidth=0)
    axes.hlines(lengths, edges[:-1], edges[1:], color=style.GREY, linewidth=0.6, linestyle="--", gid="censoring")
    smallest = np.nanmin([of_row[f"horizon_{stage}_min"].min() for stage in STAGES] + [float(lengths[0])])
    axes.set(yscale="log", xlim=(-0.5, len(lengths) - 0.5), ylim=(smallest / 1.6, top))
    axes.xaxis.set_major_locator(FixedLocator(range(len(lengths))))
    axes.xaxis.set_major_formatter(FixedFormatter([str(T) for T in lengths]))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(visible=False, axis="x")


def _points(axes: Axes, x: np.ndarray, points: pd.DataFrame, stage: str, colour: Any, name: Hashable) -> None:
    column = f"horizon_{stage}"
    median = points[f"{column}_median"].to_numpy()
    axes.vlines(x, points[f"{column}_min"], points[f"{column}_max"], color=colour, linewidth=0.8)
    axes.plot(x, median, color=colour, linewidth=0.6, linestyle=":" if stage == INIT else "-", gid=f"{name} {stage}")
    for where, y, outcome in zip(x, median, points["outcome"], strict=True):
        face = "white" if stage == INIT else colour
        marker = "o" if stage == INIT else MARKERS.get(outcome, "o")
        if np.isfinite(y):
            axes.plot(where, y, marker, color=colour, markerfacecolor=face, markeredgewidth=0.7)
        elif stage == TRAINED and outcome == "diverged":  # no trained network, so no horizon: at the lower edge
            axes.plot(where, 0.04, marker, color=colour, transform=axes.get_xaxis_transform(), clip_on=False)
    bound = points[f"{column}_median_censored"].to_numpy(bool)
    above = axes.transData + ScaledTranslation(0, 4 / 72, axes.figure.dpi_scale_trans)
    axes.plot(x[bound], median[bound], marker=6, markersize=2.5, linestyle="", color=colour, transform=above)


def _marks(table: pd.DataFrame) -> list[Line2D]:
    dark = {"color": "0.35", "linewidth": 0.6}
    marks = [Line2D([], [], marker="o", markerfacecolor="white", linestyle=":", label="at initialisation", **dark)]
    for outcome, marker in MARKERS.items():
        if outcome in set(table["outcome"]):
            label = "outcomes differ" if outcome == "mixed" else outcome
            marks.append(Line2D([], [], marker=marker, label=f"trained, {label}", **dark))
    marks.append(Line2D([], [], marker=6, color="0.35", linestyle="", label="lower bound"))
    marks.append(Line2D([], [], color=style.GREY, linestyle="--", linewidth=0.6, label="horizon = T"))
    return marks
