"""Which runs were solved over T and another setting, and how far the gradient reached before training."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from matplotlib.transforms import ScaledTranslation
from seaborn import color_palette

from analysis import style
from analysis.figures.groups import gathered, groups
from analysis.figures.panels import complete, is_number, order, panels
from analysis.statistics.digests import spread
from analysis.tables import FINISHED

HALO = [patheffects.withStroke(linewidth=2.6, foreground="white")]
INITIAL, PREDICTED = "#b2182b", "black"


def tiles(runs: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """For each value of `by`: solved, diverged and finished runs, and the horizons at initialisation.

    horizon is the median over the finished runs (horizon_bound: it is a lower bound), predicted that of what theory
    says, NaN where there is none.

    Args:
        runs: the columns `by` and outcome, and for each run horizon (steps), bound (it is a lower one) and predicted.
    """
    rows = []
    for key, group in groups(runs[runs["outcome"].isin(FINISHED)], by):
        solved, diverged = (int((group["outcome"] == name).sum()) for name in ("solved", "diverged"))
        horizon, theory = spread(group["horizon"], group["bound"]), spread(group["predicted"])
        row = {"solved": solved, "diverged": diverged, "runs": len(group), "horizon": horizon.median}
        rows.append(key | row | {"horizon_bound": horizon.median_censored, "predicted": theory.median})
    return gathered(rows, by, runs)


def trainability_figure(
    table: pd.DataFrame,
    *,
    x: str = "",
    title: str = "",
    height: float = 2.3,
    width: float | None = None,
) -> Figure:
    """A tile for each T and x: its shade and its text are the solved runs among the finished ones.

    Over it the effective horizon at initialisation on the same scale as T, measured (solid; the median of the runs
    with the largest T at that x, which see farthest) and predicted by theory (dashed). T is on a logarithmic axis;
    the edges of the tiles lie half-way between its values, and between those of x. Where these lie so unevenly that
    a tile would be less than half as wide as the others, all are equally wide.

    Args:
        table: x (a number or text), T (steps), solved, diverged, runs, horizon, horizon_bound, predicted, from `tiles`.
    """
    table = complete(table)
    numbers, values, lengths = is_number(table["x"]), order(table["x"]), order(table["T"])
    at = np.asarray(values if numbers and _even(values) else range(len(values)), float)
    across, up = _edges(at), np.exp(_edges(np.log(lengths)))
    shades = color_palette("Blues", as_cmap=True)
    with style.look():
        made = panels(table, height, width)
        for axes, panel in made.of(table):
            longest = panel[panel["T"] == panel.groupby("x", observed=True)["T"].transform("max")].sort_values("x")
            lines = {row.x: (row.horizon, row.predicted) for row in longest.itertuples()}
            for tile in panel.itertuples():
                _tile(axes, tile, values.index(tile.x), lengths.index(tile.T), across, up, shades, lines[tile.x])
            where = np.array([at[values.index(value)] for value in longest["x"]])
            _horizons(axes, where, longest, up)
            axes.set(yscale="log", xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
            axes.xaxis.set_major_locator(FixedLocator(at))
            axes.xaxis.set_major_formatter(FixedFormatter([f"{v:g}" if numbers else str(v) for v in values]))
            axes.yaxis.set_major_locator(FixedLocator(lengths))
            axes.yaxis.set_major_formatter(FixedFormatter([str(T) for T in lengths]))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.grid(visible=False)
            axes.tick_params(labelleft=made.edge(axes))
        scale = ScalarMappable(Normalize(0, 1), shades)
        made.figure.colorbar(scale, ax=list(made.grid.values()), label="solved runs / runs", ticks=[0, 0.5, 1])
        return made.finish(x, style.label("T"), _marks(table, up[-1]), title)


def _even(values: list[float]) -> bool:
    widths = np.diff(_edges(values))
    return bool(widths.min() >= widths.mean() / 2)


def _edges(values: Any) -> np.ndarray:
    """Half-way between neighbours, as far out at both ends; one value has half a unit on each side."""
    values = np.asarray(values, float)
    if len(values) == 1:
        return values[0] + np.array([-0.5, 0.5])
    middle = (values[1:] + values[:-1]) / 2
    return np.array([2 * values[0] - middle[0], *middle, 2 * values[-1] - middle[-1]])


def _tile(axes: Axes, tile: Any, i: int, j: int, across: np.ndarray, up: np.ndarray, shades: Any, lines: Any) -> None:
    """One tile with its text, away from the `lines`, the horizons at this x."""
    share = tile.solved / tile.runs
    size = across[i + 1] - across[i], up[j + 1] - up[j]
    colour = shades(share)
    axes.add_patch(Rectangle((across[i], up[j]), *size, facecolor=colour, edgecolor="white", linewidth=0.8))
    text = f"{tile.solved}/{tile.runs}" + (f"\n{tile.diverged}×" if tile.diverged else "")
    low, high = (up[j] ** (1 - part) * up[j + 1] ** part for part in (0.25, 0.77))
    middle = math.sqrt(up[j] * up[j + 1])  # where a horizon of T steps has its marker
    y = high if any(up[j] < value < 0.98 * middle for value in lines) else low
    look = {"ha": "center", "va": "center", "fontsize": 4.8 if tile.diverged else 5.5, "linespacing": 0.95, "zorder": 5}
    look["color"] = "0.15" if share < 0.6 else "white"
    halo = [patheffects.withStroke(linewidth=2, foreground=colour)]
    axes.text((across[i] + across[i + 1]) / 2, y, text, gid="count", path_effects=halo, **look)


def _horizons(axes: Axes, where: np.ndarray, longest: pd.DataFrame, up: np.ndarray) -> None:
    """Both lines, cut at the edges of the map with a triangle where they leave it."""
    bound = longest["horizon_bound"].to_numpy(bool)
    for column, colour, line, marker in (("horizon", INITIAL, "-", "o"), ("predicted", PREDICTED, style.THEORY, ".")):
        value = longest[column].to_numpy(float)
        look = {"color": colour, "linestyle": line, "marker": marker, "markersize": 3, "path_effects": HALO}
        axes.plot(where, value.clip(max=100 * up[-1]), gid=column, **look)  # infinity leaves the map, too
        for outside, marker, edge in ((value > up[-1], "^", 0.985), (value < up[0], "v", 0.015)):
            if outside.any():
                one = {"color": colour, "markersize": 3, "linestyle": "", "transform": axes.get_xaxis_transform()}
                axes.plot(where[outside], np.full(outside.sum(), edge), marker, clip_on=False, **one)
        if column == "horizon" and bound.any():
            raised = axes.transData + ScaledTranslation(0, 5 / 72, axes.figure.dpi_scale_trans)
            axes.plot(where[bound], value[bound], marker=6, markersize=3, color=colour, linestyle="", transform=raised)


def _marks(table: pd.DataFrame, top: float) -> list[Line2D]:
    marks = [Line2D([], [], color=INITIAL, marker="o", markersize=3, label="measured horizon at init")]
    if table["predicted"].notna().any():
        marks.append(Line2D([], [], color=PREDICTED, linestyle=style.THEORY, label="predicted by theory"))
        if (table["predicted"] > top).any():
            beyond = {"marker": "^", "markersize": 3, "linestyle": "", "label": "beyond the map"}
            marks.append(Line2D([], [], color=PREDICTED, **beyond))
    if table["horizon_bound"].any():
        marks.append(Line2D([], [], color=INITIAL, marker=6, linestyle="", label="lower bound"))
    text = {"color": "0.15", "linestyle": "", "markeredgewidth": 0.2}
    marks.append(Line2D([], [], marker="$3/5$", markersize=10, label="solved/runs", **text))
    if table["diverged"].any():
        marks.append(Line2D([], [], marker="$1×$", markersize=7, label="diverged runs", **text))
    return marks
