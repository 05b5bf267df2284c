"""Learning curves: a loss or an error over updates or seconds."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from analysis import style
from analysis.figures.band import mark
from analysis.figures.groups import gathered, groups
from analysis.figures.panels import LINE, complete, looks, named, panels
from analysis.statistics.profiles import thinned

ENDS = {"solved": "o", "diverged": "X"}
POINTS = 160  # of a curve, at most


def aligned(curves: pd.DataFrame, by: list[str], x: Literal["step", "seconds"] = "step") -> pd.DataFrame:
    """Median and range over runs at common places: the columns `by`, x, median, low, high, runs and end.

    At each place a run has the value that it logged last. A solved run, which stopped because it was, keeps its last
    value; any other leaves the statistic where it ends. Rows with an `end` (solved or diverged) are not of the curve:
    they say where one run stopped (x) and at which value (median).

    Args:
        curves: the columns `by`, run, outcome, x, and value; values that are not finite are left out.
    """
    curves = curves[np.isfinite(curves["value"])].sort_values(["run", x])
    rows = []
    for key, group in groups(curves, by):
        places = thinned(np.unique(group[x].to_numpy()), POINTS)
        runs = list(group.groupby("run", observed=True))
        values = np.stack([_held(run, x, places) for _, run in runs])
        count = (~np.isnan(values)).sum(axis=0)
        places, values, count = places[count > 0], values[:, count > 0], count[count > 0]
        spread = {"median": np.nanmedian(values, axis=0), "low": np.nanmin(values, axis=0)}
        spread |= {"high": np.nanmax(values, axis=0), "runs": count, "end": ""}
        ends = [run.iloc[-1] for _, run in runs if run["outcome"].iloc[-1] in ENDS]
        stops = [{"x": e[x], "median": e["value"], "low": e["value"], "high": e["value"], "runs": 1} for e in ends]
        stops = [stop | {"end": e["outcome"]} for stop, e in zip(stops, ends, strict=True)]
        rows += [key | row for row in [*pd.DataFrame({"x": places, **spread}).to_dict("records"), *stops]]
    if not rows:
        raise ValueError("no run has logged a finite value: there is no learning curve")
    return gathered(rows, by, curves)


def by_length(table: pd.DataFrame, hue: str, value: str) -> pd.DataFrame:
    """`aligned` with a panel for each T, of rows that each are one evaluation of one run.

    Args:
        table: T, seed, outcome, step, and the columns named by `hue` and `value`; a run is a T, a hue and a seed.
    """
    lengths = {T: f"$T$ = {T}" for T in sorted(table["T"].unique())}
    curves = table.assign(
        run=table["T"].astype(str) + " " + table[hue].astype(str) + " " + table["seed"].astype(str),
        column=pd.Categorical(table["T"].map(lengths), list(lengths.values()), ordered=True),
        hue=table[hue],
        value=table[value],
    )
    return aligned(curves, ["column", "hue"])


def _held(run: pd.DataFrame, x: str, places: np.ndarray) -> np.ndarray:
    """The last value at or before each place, NaN before the first and, unless it was solved, after the last."""
    at, value = run[x].to_numpy(float), run["value"].to_numpy(float)
    last = np.searchsorted(at, places, side="right") - 1
    held = np.where(last >= 0, value[np.maximum(last, 0)], np.nan)
    return held if run["outcome"].iloc[0] == "solved" else np.where(places <= at[-1], held, np.nan)


def learning_figure(
    table: pd.DataFrame,
    *,
    x: str = "training step (updates)",
    y: str = "training loss",
    hue: str = "",
    title: str = "",
    level: float | None = None,
    log: bool = True,
    log_x: bool = False,
    height: float = 1.5,
    width: float | None = None,
) -> Figure:
    """Median as a line, range over seeds as a band, and a mark where a run was solved or diverged.

    Args:
        table: x, median, low, high and end, from `aligned`.
        x, y: labels of the axes; hue: what the numbers of the column hue are.
        level: a dotted line, as of a guess that knows nothing.
        log: a logarithmic y axis, where all values are above 0.
        log_x: a logarithmic x axis from 1 on, for runs of which some are over much sooner than others.
    """
    table = complete(table)
    look, log = looks(table), log and (table["low"] > 0).all()
    with style.look():
        made = panels(table, height, width)
        for axes, panel in made.of(table):
            if level is not None:
                axes.axhline(level, color=style.GREY, linewidth=0.6, linestyle=":")
            for key, line in panel.groupby(LINE, observed=True):
                _line(axes, line, str(key), look[key])
            if panel.empty:
                axes.text(0.5, 0.5, "no data", ha="center", color=style.GREY, transform=axes.transAxes)
            axes.set_yscale("log" if log else "linear")
            if log_x:
                axes.set_xscale("symlog", linthresh=1)
                axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlim(0, (1.2 if log_x else 1.02) * table["x"].max() or 1)
            axes.tick_params(labelleft=made.edge(axes))
        _share(list(made.grid.values()), table, log)
        return made.finish(x, y, named(table, hue) + _marks(table, level), title)


def _line(axes: Axes, line: pd.DataFrame, key: str, look: dict[str, Any]) -> None:
    curve = line[line["end"] == ""].sort_values("x")
    axes.fill_between(curve["x"], curve["low"], curve["high"], color=look["color"], alpha=0.2, linewidth=0)
    alone = {"marker": "."} if len(curve) == 1 else {}
    axes.plot(curve["x"], curve["median"], gid=key, **look, **alone)
    for end, marker in ENDS.items():
        stops = line[line["end"] == end]
        mark = {"color": look["color"], "markeredgecolor": "white", "markeredgewidth": 0.4, "markersize": 5}
        if len(stops):  # no marks would lie at the corner of the figure
            axes.plot(stops["x"], stops["median"], marker, zorder=4, clip_on=False, gid=end, **mark)


def _share(grid: list[Axes], table: pd.DataFrame, log: bool) -> None:
    low, high = table["low"].min(), table["high"].max()
    if log:
        room = max(high / low, 1.5) ** 0.04
        limits = low / room, high * room
    else:
        room = 0.04 * (high - low) or 0.5
        limits = low - room, high + room
    for axes in grid:
        axes.set_ylim(*limits)
        if log and high < 100 * low:  # too few powers of ten for an axis of them
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_locator(NullLocator())


def _marks(table: pd.DataFrame, level: float | None) -> list[Any]:
    marks: list[Any] = []
    if (table["low"] < table["high"]).any():
        marks.append(mark())
    for end, marker in ENDS.items():
        if (table["end"] == end).any():
            text = "solved, stopped" if end == "solved" else end
            marks.append(Line2D([], [], color=style.GREY, marker=marker, linestyle="", label=text))
    if level is not None:
        marks.append(Line2D([], [], color=style.GREY, linewidth=0.6, linestyle=":", label="chance"))
    return marks
