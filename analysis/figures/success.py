"""The share of runs that were solved, with the interval that so few runs leave open."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator

from analysis import style
from analysis.figures.groups import gathered, groups
from analysis.figures.panels import LINE, complete, is_number, looks, markers, named, order, panels
from analysis.statistics.intervals import wilson
from analysis.tables import FINISHED


def rates(runs: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """solved, diverged, runs, rate, low and high for each value of `by`; only finished runs count.

    Args:
        runs: the columns `by` and outcome. A diverged run is one that was not solved.
    """
    rows = []
    for key, group in groups(runs[runs["outcome"].isin(FINISHED)], by):
        solved, diverged = (int((group["outcome"] == name).sum()) for name in ("solved", "diverged"))
        low, high = wilson(solved, len(group))
        row = {"solved": solved, "diverged": diverged, "runs": len(group), "rate": solved / len(group)}
        rows.append(key | row | {"low": low, "high": high})
    return gathered(rows, by, runs)


def success_figure(
    table: pd.DataFrame,
    *,
    x: str = "",
    hue: str = "",
    title: str = "",
    log: bool = False,
    height: float = 1.7,
    width: float | None = None,
) -> Figure:
    """Share of solved runs against x, a line for each hue (points alone for names), with Wilson's 95 % interval.

    Args:
        table: x (a number or text), rate, low and high, from `rates`.
        x: the label of the axis; hue: what the numbers of the column hue are.
        log: a logarithmic axis of numbers.
    """
    table = complete(table)
    look, marks, values = looks(table), markers(table), order(table["x"])
    numbers = is_number(table["x"])
    with style.look():
        made = panels(table, height, width)
        for axes, panel in made.of(table):
            for i, (key, points) in enumerate(panel.groupby(LINE, observed=True)):
                points = points.sort_values("x")
                at = _beside(points["x"], values, numbers, log, list(look).index(key), len(look))
                line = {} if numbers else {"linestyle": ""}
                one = {**look[key], **line, "marker": marks[key[0]], "markersize": 3, "zorder": 3 + i}
                axes.plot(at, points["rate"], gid=str(key), clip_on=False, **one)
                axes.vlines(at, points["low"], points["high"], color=one["color"], linewidth=0.7, alpha=0.8)
            axes.set_ylim(0, 1)
            if log and numbers:
                axes.set_xscale("log")
            if not numbers or len(values) <= 10:
                axes.xaxis.set_major_locator(FixedLocator(values if numbers else range(len(values))))
                axes.xaxis.set_major_formatter(FixedFormatter([f"{v:g}" if numbers else str(v) for v in values]))
                axes.xaxis.set_minor_locator(FixedLocator([]))
            axes.tick_params(labelleft=made.edge(axes))
        interval = Line2D([], [], marker="|", color="0.35", markersize=7, linestyle="", label="95 % Wilson interval")
        return made.finish(x, "solved runs / runs", [*named(table, hue, marker=True), interval], title)


def _beside(x: pd.Series, values: list[Any], numbers: bool, log: bool, i: int, n: int) -> np.ndarray:
    """The lines stand a little beside each other, so that no interval hides another."""
    shift = (i - (n - 1) / 2) / max(n, 4)
    if not numbers:
        return np.array([values.index(value) for value in x]) + 0.5 * shift
    scale = np.log(values) if log else np.asarray(values, float)
    gap = np.diff(scale).min() if len(values) > 1 else 1.0
    at = (np.log(x) if log else x.to_numpy(float)) + 0.4 * gap * shift
    return np.exp(at) if log else at
