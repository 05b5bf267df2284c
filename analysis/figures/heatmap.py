"""Norm of the gradient over time steps and training steps."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from seaborn import color_palette

from analysis import style
from analysis.figures.panels import complete, panels

BINS = 128  # of time, at most
FLOOR = -30.0  # decades below the largest value that have a colour
BELOW = {"facecolor": "0.93", "edgecolor": "0.55", "hatch": "/////", "linewidth": 0}
BROKEN = {"facecolor": "white", "edgecolor": "black", "hatch": "xxxxx", "linewidth": 0}


def updates(profiles: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """A row for each probed step and bin of time: step_from, step_to, time_from, time_to, log10.

    The edges of a cell lie half-way between probed steps, on the scale on which the steps are spaced (`log_steps`), and
    between time steps; time is cut into at most `bins` equal bins. The value is the mean of the finite ones in a bin,
    then the median over runs. -inf is exactly zero, +inf not finite, NaN no state.

    Args:
        profiles: run, step, time, log10, of one layer, direction and part.
    """
    steps, times = np.unique(profiles["step"]), np.unique(profiles["time"])
    width = -(-len(times) // bins)
    starts = np.arange(0, len(times), width)
    cells = np.stack([_binned(run, steps, times, starts) for _, run in profiles.groupby("run", observed=True)])
    step_edges = _edges(steps)
    time_edges = np.append(times[starts], times[-1] + 1) - 0.5
    i, j = (index.ravel() for index in np.indices((len(steps), len(starts))))
    edges = {"step_from": step_edges[i], "step_to": step_edges[i + 1]}
    edges |= {"time_from": time_edges[j], "time_to": time_edges[j + 1]}
    return pd.DataFrame({"step": steps[i], **edges, "log10": _median(cells).ravel()})


def log_steps(steps: Any) -> bool:
    """Whether these probed steps are spaced geometrically."""
    gaps = np.diff(np.unique(steps))
    return bool(len(gaps) > 1 and gaps.max() > 4 * gaps.min())


def _edges(steps: np.ndarray) -> np.ndarray:
    steps = steps.astype(float)
    if len(steps) == 1:
        return steps[0] + np.array([-0.5, 0.5])
    middle = (steps[1:] + steps[:-1]) / 2
    last = 2 * steps[-1] - middle[-1]
    if log_steps(steps):
        middle = np.where(steps[:-1] > 0, np.sqrt(steps[1:] * steps[:-1]), middle)
        last = steps[-1] ** 2 / middle[-1]
    return np.array([max(2 * steps[0] - middle[0], steps[0] - 0.5), *middle, last])


def _binned(run: pd.DataFrame, steps: np.ndarray, times: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """[step, bin] of one run: NaN where it was not probed."""
    table = np.full((len(steps), len(times)), np.nan)
    table[np.searchsorted(steps, run["step"]), np.searchsorted(times, run["time"])] = run["log10"]
    finite = np.isfinite(table)
    count = np.add.reduceat(finite, starts, axis=1, dtype=int)
    total = np.add.reduceat(np.where(finite, table, 0.0), starts, axis=1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    zero, broken = (np.logical_or.reduceat(test(table), starts, axis=1) for test in (np.isneginf, np.isposinf))
    return np.where(broken, np.inf, np.where((count == 0) & zero, -np.inf, mean))


def _median(cells: np.ndarray) -> np.ndarray:
    """Over the first axis, without NaN; the upper middle value of two that have no mean (-inf and inf)."""
    cells = np.sort(cells, axis=0)  # NaN comes last
    n = (~np.isnan(cells)).sum(axis=0)
    low, high = (np.take_along_axis(cells, np.maximum(k, 0)[None], 0)[0] for k in ((n - 1) // 2, n // 2 - (n == 0)))
    finite = np.isfinite(low) & np.isfinite(high)
    return np.where(finite, (np.where(finite, low, 0) + np.where(finite, high, 0)) / 2, high)


def heatmap_figure(
    table: pd.DataFrame,
    *,
    title: str = "",
    bar: str = r"$\|\partial L/\partial h_t\|$",
    height: float = 1.9,
    width: float | None = None,
) -> Figure:
    """Training step against time step, the colour a power of ten; hatched where there is no such number.

    Below the floor, 30 decades under the largest value of a panel, or exactly zero: grey, hatched in one direction. Not
    finite: white, hatched in both. Blank: no state at that time.

    Args:
        table: step_from, step_to, time_from, time_to and log10, from `updates`.
    """
    table = complete(table)
    low, high = _limits(table[np.isfinite(table["log10"])])
    scale = Normalize(low, max(high, low + 1))
    colours = color_palette("viridis", as_cmap=True)
    with style.look():
        made = panels(table, height, width)
        for axes, panel in made.of(table):
            if len(panel):
                _cells(axes, panel, low, scale, colours)
            axes.tick_params(labelleft=made.edge(axes))
            axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 4, 5, 10]))
            axes.grid(visible=False)
        mapped = made.figure.colorbar(ScalarMappable(scale, colours), ax=list(made.grid.values()), label=bar)
        mapped.locator = MaxNLocator(6, integer=True)
        mapped.formatter = FuncFormatter(style.power_of_ten)
        mapped.update_ticks()
        return made.finish(style.label("step"), style.label("time"), _marks(table, low), title)


def _limits(finite: pd.DataFrame) -> tuple[float, float]:
    """The drawn decades, down to the floor of that panel whose largest value is the smallest."""
    if finite.empty:
        return -1.0, 0.0
    highest = finite.groupby(["row", "column"], observed=True)["log10"].max()
    lowest = max(finite["log10"].min(), np.ceil(highest.min()) + FLOOR)
    return float(np.floor(lowest)), float(np.ceil(highest.max()))


def _cells(axes: Axes, panel: pd.DataFrame, low: float, scale: Normalize, colours: Any) -> None:
    grid = panel.pivot(index="time_from", columns="step_from", values="log10")
    x = np.append(grid.columns, panel["step_to"].max())
    y = np.append(grid.index, panel["time_to"].max())
    values = grid.to_numpy()
    shown = np.ma.masked_where(~np.isfinite(values) | (values < low), values)
    axes.pcolormesh(x, y, shown, norm=scale, cmap=colours, rasterized=True, gid="cells")
    for look, where, name in ((BELOW, values < low, "below"), (BROKEN, np.isposinf(values), "broken")):
        for i, j, k in _stretches(where):
            size = x[i + 1] - x[i], y[k] - y[j]
            axes.add_patch(Rectangle((x[i], y[j]), *size, gid=name, **look))
    if panel["step"].nunique() == 1:
        axes.xaxis.set_major_locator(FixedLocator(panel["step"].unique()))
    elif log_steps(panel["step"]):
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 4, 5, 10]))
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))


def _stretches(where: np.ndarray) -> list[tuple[int, int, int]]:
    """(column, first row, row after the last) of each stretch of a column that is True."""
    edges = np.diff(np.pad(where.astype(int), ((1, 1), (0, 0))), axis=0)
    (begin, columns), (end, others) = (np.nonzero(sign == edges.T)[::-1] for sign in (1, -1))
    assert (columns == others).all()
    return list(zip(columns, begin, end, strict=True))


def _marks(table: pd.DataFrame, low: float) -> list[Patch]:
    marks = []
    if (table["log10"] < low).any():
        marks.append(Patch(label=f"below $10^{{{low:.0f}}}$ or 0", **BELOW))
    if np.isposinf(table["log10"]).any():
        marks.append(Patch(label="not finite", **BROKEN))
    return marks
