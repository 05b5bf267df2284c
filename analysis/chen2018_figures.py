"""The pictures of the experiment `chen2018_chi`."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from analysis import style

SW, SIN = r"$\sigma_w$", r"$\sigma_\mathrm{in}$"
DECADES = 0.4  # of the factor per step, where the colours end
MULTIPLE = 6  # of the correlation time: the published trainable length, from memory, so that no claim rests on it


def longest(table: pd.DataFrame) -> pd.DataFrame:
    """Of each sw and seed: T, the longest up to which all were learned, and time, the correlation time.

    Where not even the shortest was learned it stands half a step below it, on the scale of the T.

    Args:
        table: sw, T, seed, solved, time.
    """
    rows = []
    for (sw, seed), of in table.groupby(["sw", "seed"]):
        of = of.sort_values("T")
        T, solved = of["T"].to_numpy(float), of["solved"].to_numpy(bool)
        n = len(T) if solved.all() else int(solved.argmin())
        below = T[0] * np.sqrt(T[0] / T[1]) if len(T) > 1 else T[0] / 2
        row = {"T": T[n - 1] if n else below, "time": of["time"].median(), "all": n == len(T)}
        rows.append({"sw": sw, "seed": seed, **row})
    return pd.DataFrame(rows, columns=["sw", "seed", "T", "time", "all"])


def phase_figure(table: pd.DataFrame) -> Figure:
    """The measured factor over (sw, sin) with the line chi = 1 of theory, both against sw, and their ratio."""
    with style.look():
        made = style.canvas(style.TEXT, 2.4)
        map_, curves, ratio = made.subplots(1, 3)
        _map(map_, made, table)
        looks = _looks(table["sin"])
        for sin, of in table.groupby("sin"):
            seeds = of.groupby("sw")
            chi, found = seeds["chi"].median(), seeds["measured"]
            low, high = found.median() - found.min(), found.max() - found.median()
            curves.errorbar(chi.index, found.median(), [low, high], linestyle="", linewidth=0.6, **looks[sin])
            curves.plot(chi.index, chi, linestyle=style.THEORY, color=looks[sin]["color"], linewidth=0.8)
            ratio.plot(of["chi"], 100 * (of["measured"] / of["chi"] - 1), linestyle="", alpha=0.6, **looks[sin])
        curves.axhline(1, color=style.GREY, linewidth=0.6)
        curves.set(xlabel=SW, ylabel=r"growth of $\|\partial L/\partial h_t\|^2$ per step", yscale="log")
        ratio.axhspan(-2, 2, color="0.9", zorder=0)
        ratio.axvline(1, color=style.GREY, linewidth=0.6)
        ratio.set(xlabel=r"$\chi$ of mean-field theory", ylabel=r"measured / $\chi$ - 1 (%)")
        handles = [Line2D([], [], linestyle="", label=f"{SIN} = {sin:g}", **look) for sin, look in looks.items()]
        handles.append(Line2D([], [], linestyle=style.THEORY, color="black", label="mean-field theory"))
        made.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return made


def _looks(values: pd.Series) -> dict[float, dict]:
    colours = style.ordered(values.unique())
    return {v: {"color": c, "marker": style.MARKERS[n], "markersize": 3} for n, (v, c) in enumerate(colours.items())}


def _map(axes: Axes, made: Figure, table: pd.DataFrame) -> None:
    """Tiles of equal size at the values of the grid; the line where log chi, between them straight, is 0."""
    grids = {name: table.groupby(["sin", "sw"])[name].median().unstack() for name in ("measured", "chi")}
    measured, chi = (np.log10(grid) for grid in grids.values())
    look = {"cmap": "RdBu_r", "vmin": -DECADES, "vmax": DECADES, "edgecolor": "white", "linewidth": 0.4}
    shades = axes.pcolormesh(measured, **look)
    centres = [np.arange(n) + 0.5 for n in chi.shape[::-1]]
    if min(chi.shape) > 1 and chi.min().min() < 0 < chi.max().max():
        axes.contour(*centres, chi, levels=[0], colors="black", linestyles="--", linewidths=1)
    axes.set_xticks(centres[0], [f"{v:g}" for v in chi.columns])
    axes.set_yticks(centres[1], [f"{v:g}" for v in chi.index])
    axes.set(xlabel=SW, ylabel=SIN)
    axes.grid(visible=False)
    made.colorbar(shades, ax=axes, label="measured growth (decades per step)", location="top", aspect=30, extend="both")


def length_figure(table: pd.DataFrame) -> Figure:
    """Which runs were solved over sw and T with multiples of the correlation time, and the longest T against it."""
    found = longest(table[table["sw"] < 1])
    multiple = float((found["T"] / found["time"]).median())
    lines = {MULTIPLE: (":", "the paper's, from memory"), multiple: (style.THEORY, "median here")}
    with style.look():
        made = style.canvas(style.TEXT, 2.5)
        over, against = made.subplots(1, 2)
        rates = table.groupby(["sw", "T"])["solved"].mean().reset_index()
        shades = over.scatter(rates["sw"], rates["T"], c=rates["solved"], cmap="cividis", s=26, marker="s", zorder=3)
        made.colorbar(shades, ax=over, label="solved runs / runs", ticks=[0, 0.5, 1])
        time = table.groupby("sw")["time"].median()
        ends = np.array([time.min(), time.max()])
        for factor, (line, whose) in lines.items():
            over.plot(time.index, factor * time, color="black", linestyle=line)
            label = rf"$T = {factor:.2g} \times (-1/\ln \chi)$, {whose}"
            against.plot(ends, factor * ends, color="black", linestyle=line, label=label)
        of = found.groupby("sw")
        middle, low, high = (of["T"].quantile(q) for q in (0.5, 0, 1))
        look = {"linestyle": "", "color": "#0072b2", "marker": "o", "markersize": 3.5}
        bars = [middle - low, high - middle]
        against.errorbar(of["time"].median(), middle, bars, label="learned, median and range", **look)
        over.set(yscale="log", xlabel=SW, ylabel=style.label("T"))
        against.set(xscale="log", yscale="log", xlabel=r"correlation time $-1/\ln \chi$ of theory (steps)")
        against.set(ylabel="longest $T$ learned (steps)", ylim=(None, 4 * against.get_ylim()[1]))
        against.legend(loc="upper left")
        for axis in (over.yaxis, against.xaxis, against.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
    return made
