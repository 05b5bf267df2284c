"""Norm of the gradient against lag."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import style
from analysis.figures.band import mark
from analysis.figures.panels import LINE, complete, is_number, looks, named, panels

FLOOR, CEILING = -15.0, 9.0  # decades relative to lag 0 that are drawn; what lies outside is marked at the edge
FALL = -3.0  # where the effective horizon ends
MINUS = "\N{MINUS SIGN}"
FALLEN = (0, (1, 1.5))
THIN = {"color": "black", "linewidth": 0.6}


def profile_figure(
    table: pd.DataFrame,
    *,
    hue: str = "",
    title: str = "",
    lag: str = "lag $k$ (steps)",
    height: float = 1.25,
    width: float | None = None,
) -> Figure:
    """Median as a line, range over seeds as a band; a triangle where the median leaves the drawn decades.

    Args:
        table: lag (steps), median, low and high (decades relative to lag 0; -inf is an exact zero); and, where there
            are such, fit (the fitted line), slope, slope_low and slope_high (decades per step), predicted (decades).
        hue: what the numbers of the column hue are, as in `T = 64`.
    """
    table = complete(table)
    look, numbers = looks(table), {"slope", "fit"} <= set(table)
    with style.look():
        made = panels(table, height, width)
        low, high = _limits(table)
        for axes, panel in made.of(table):
            axes.axhline(FALL, color=style.GREY, linewidth=0.6, linestyle=FALLEN)
            if panel.empty:
                axes.text(0.5, 0.6, "no data", ha="center", color=style.GREY, transform=axes.transAxes)
            curves = list(panel.groupby(LINE, observed=True))
            for key, curve in reversed(curves):  # short ones on top of long ones
                _curve(axes, curve.sort_values("lag"), low, high, key, look[key])
            if numbers:
                _slopes(axes, curves, look, hue)
            axes.set_ylim(low, high)
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_formatter(FuncFormatter(style.power_of_ten))
            axes.xaxis.set_major_locator(
                MaxNLocator(3 if len(made.columns) > 2 else 5, integer=True, steps=[1, 2, 4, 5, 10])
            )
            axes.tick_params(labelleft=made.edge(axes))
        for row in made.rows:
            longest = max(table.loc[table["row"] == row, "lag"].max(), 1)
            for column in made.columns:
                made.grid[row, column].set_xlim(0, 1.02 * longest)
        return made.finish(lag, style.label("ratio"), named(table, hue) + _marks(table), title)


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    """The drawn decades: 0, the fall that ends the horizon, and what is there, within floor and ceiling."""
    values = table[["low", "median", "high"]].to_numpy()
    values = values[np.isfinite(values)]
    low = np.floor(max(values.min(initial=FALL - 1), FLOOR))
    return low - 0.5, np.ceil(min(values.max(initial=0), CEILING)) + 0.5


def _curve(axes: Axes, curve: pd.DataFrame, low: float, high: float, key: Hashable, look: dict[str, Any]) -> None:
    lag, median = curve["lag"].to_numpy(), curve["median"].to_numpy()
    band = curve[["low", "high"]].clip(low - 1, high + 1)  # -inf is drawn to beyond the edge
    axes.fill_between(lag, band["low"], band["high"], color=look["color"], alpha=0.25, linewidth=0)
    alone = {"marker": "o"} if len(lag) == 1 else {}
    width = {"linewidth": 2.0} if "fit" in curve else {}  # the line of the fit lies within
    axes.plot(lag, np.where(np.isfinite(median), median, np.nan), gid=str(key), **look, **alone, **width)
    for column, line in (("fit", "-"), ("predicted", style.THEORY)):
        if column in curve:
            axes.plot(lag, curve[column], color=THIN["color"], linestyle=line, linewidth=0.6, gid=f"{column} {key}")
    for outside, marker, edge in ((median < low, "v", 0.04), (median > high, "^", 0.96)):
        if outside.any():
            start = lag[outside.argmax()]
            mark = {"color": look["color"], "zorder": 6, "clip_on": False}  # over the numbers
            axes.plot(start, edge, marker, transform=axes.get_xaxis_transform(), **mark)


def _slopes(axes: Axes, curves: list[tuple[Hashable, pd.DataFrame]], look: dict[Any, dict[str, Any]], hue: str) -> None:
    """The fitted slopes, where the curves leave most room; each with its number, for those who see no colour."""
    handles = []
    for key, curve in curves:
        one = curve.iloc[-1]
        if np.isfinite(one["slope"]):
            text = f"{one['slope']:.3g}"
            if np.isfinite(one["slope_low"]):
                text += f" [{one['slope_low']:.3g}, {one['slope_high']:.3g}]"
            number = f"{key[0]:g}:  " if hue and is_number(curve["hue"]) else ""
            handles.append(Line2D([], [], **look[key], label=number + text.replace("-", MINUS)))
    if handles:
        axes.legend(
            handles=handles,
            loc="best",
            fontsize=5.5,
            handlelength=1.6,
            title=f"{hue}:  decades per step" if hue else "decades per step",
            title_fontsize=5.5,
            borderaxespad=0.1,
            labelspacing=0.2,
            frameon=True,
            edgecolor="none",
            framealpha=0.75,
        )


def _marks(table: pd.DataFrame) -> list[Any]:
    marks: list[Any] = [Line2D([], [], color=style.GREY, linewidth=0.6, linestyle=FALLEN, label="fallen by 1000")]
    if (table["low"] < table["high"]).any():
        marks.append(mark())
    if "fit" in table:
        marks.append(Line2D([], [], **THIN, label="mean fit [95 % $t$ interval]"))
    if "predicted" in table and table["predicted"].notna().any():
        marks.append(Line2D([], [], linestyle=style.THEORY, **THIN, label="theory at init"))
    if (table["median"] < FLOOR - 0.5).any():
        gone = f"below $10^{{{FLOOR:.0f}}}$ or 0"
        marks.append(Line2D([], [], color=style.GREY, marker="v", linestyle="", label=gone))
    if (table["median"] > CEILING + 0.5).any():
        marks.append(Line2D([], [], color=style.GREY, marker="^", linestyle="", label=f"above $10^{{{CEILING:.0f}}}$"))
    return marks
