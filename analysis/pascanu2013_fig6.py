"""Draw the experiment `pascanu2013_fig6`: the error surface of one unit, and the wall in it.

    python -m analysis.pascanu2013_fig6 [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--keep]

Above, as in the paper, E over (w, b), and paths of gradient descent on it, without clipping and with it. Below the
largest gradient for each w with the theory of its growth, and the largest curvature against it.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import claims, drawing, style
from analysis.claims import Claim
from analysis.tables import FINISHED
from analysis.tables.surface import surface

NAME = "pascanu2013_fig6"
SETTINGS = {"probes.surface.length": "T", "probes.surface.rate": "rate", "probes.surface.threshold": "threshold"}
FROM = 5.0  # w from which the wall is looked at: at 4.3 the start becomes unstable, and the wall begins
LINES = {"descent": ("-", "#d55e00", "gradient descent"), "clipped": ((0, (4, 1)), "white", "the same, clipped")}
PAPER = "sec. 2.3: a wall of high curvature, on which the gradient explodes"


def main(arguments: list[str] | None = None) -> int:
    """Write the figure, say which runs it shows, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw the experiment pascanu2013_fig6.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """The table of the figure: what `surface` reads, for each T; the grid and the paths of the largest T alone."""
    finished = runs[runs["outcome"].isin(FINISHED)].rename(columns=SETTINGS)
    found = [
        surface(folder / run.run / "profiles.npz").assign(T=int(run.T), rate=run.rate, threshold=run.threshold)
        for run in finished.sort_values("T").itertuples(index=False)
    ]
    table = pd.concat(found, ignore_index=True)
    walls = table["kind"].isin(["gradient", "curvature", "wall"])
    return {NAME: table[walls | (table["T"] == table["T"].max())].reset_index(drop=True)}, []


def ridge(table: pd.DataFrame) -> pd.DataFrame:
    """T, w, the largest gradient and its b, the largest curvature, and the line and the gradient of theory: where the
    wall is within the picture."""
    kinds = [table[table["kind"] == name].set_index(["T", "w"]) for name in ("gradient", "curvature", "wall")]
    gradient, curvature, wall = kinds
    columns = {"b": gradient["b"], "gradient": gradient["gradient"], "curvature": curvature["curvature"]}
    found = pd.DataFrame({**columns, "line": wall["b"], "theory": wall["gradient"]}).reset_index()
    grid = table.loc[table["kind"] == "surface", "b"]
    return found[found["line"].between(grid.min(), grid.max(), inclusive="neither")]


def check(table: pd.DataFrame) -> list[Claim]:
    """What the paper says of the wall, at the largest T; nothing of it is random."""
    found = ridge(table)
    found = found[(found["T"] == found["T"].max()) & (found["w"] >= FROM)]
    median = table.loc[table["kind"] == "surface", "gradient"].median()
    steep = found["gradient"] / median
    powers = np.polyfit(np.log10(found["gradient"]), np.log10(found["curvature"]), 1)[:1] if len(found) > 2 else []
    return [
        claims.at_least(
            "the largest gradient over the median of the region", [steep.max()] if len(steep) else [], 1e3, paper=PAPER
        ),
        claims.every(
            f"the wall is connected: at each w from {FROM:g} on", steep > 1e3, paper=PAPER, rule="> 1000 x the median"
        ),
        claims.every(
            "it stands on b = x_0 - w g(x_0), where x_0 is an unstable fixed point",
            (found["b"] - found["line"]).abs() < 1e-3,
            paper="theory: a boundary between basins of attraction",
            rule="within .001",
        ),
        claims.every(
            "its gradient grows with w by the law of the fixed point, r^T",
            (found["gradient"] / found["theory"]).between(1, 30),
            paper="theory: r = w g'(x_0) per step, up to a factor",
            rule="1 to 30 x theory, which grows by 100,000",
        ),
        claims.between(
            "the curvature explodes with the gradient, as its power",
            powers,
            1.8,
            2.2,
            paper="sec. 2.3: when gradients explode so does the curvature; theory: as the square",
        ),
        *_descents(table),
    ]


def _descents(table: pd.DataFrame) -> list[Claim]:
    paths = table[table["kind"].isin(list(LINES))]
    largest, end = {}, {}
    for key, path in paths.groupby(["kind", "path"]):
        path = path.sort_values("update")
        largest[key] = np.hypot(path["w"].diff(), path["b"].diff()).max()
        end[key] = path["loss"].iloc[-1]
    starts = sorted({path for _, path in end})
    allowed = float(paths["rate"].iloc[0] * paths["threshold"].iloc[0])
    paper = "fig. 6: the wall throws gradient descent away, clipped it stays and goes on"
    return [
        claims.every(
            "without clipping one update goes farther than any clipped one",
            [largest["descent", n] > 10 * allowed for n in starts],
            paper=paper,
            rule="> 10 x rate x threshold",
        ),
        claims.every(
            "with clipping the error at the end is lower",
            [end["clipped", n] < end["descent", n] / 2 for n in starts],
            paper=paper,
            rule="< 1/2 of the other",
        ),
    ]


def figure(table: pd.DataFrame) -> Figure:
    """The surface, the same from above with the paths, the height of the wall for each T, and the curvature there."""
    with style.look():
        made = style.canvas(style.TEXT, 4.6)
        solid = made.add_subplot(2, 2, 1, projection="3d")
        above, height, power = (made.add_subplot(2, 2, n) for n in (2, 3, 4))
        grid = table[table["kind"] == "surface"].pivot(index="w", columns="b", values="loss")
        _surface(solid, grid)
        shades = above.pcolormesh(grid.index, grid.columns, grid.T, cmap="viridis", rasterized=True, shading="nearest")
        made.colorbar(shades, ax=above, label="error $E$")
        _paths(above, table)
        for axes in (solid, above):
            axes.set_title(f"$T$ = {table['T'].max()}")
        _walls(height, power, ridge(table))
    return made


def _surface(axes: Axes, grid: pd.DataFrame) -> None:
    b, w = np.meshgrid(grid.columns, grid.index)
    look = {"cmap": "viridis", "rcount": 61, "ccount": 61, "linewidth": 0, "antialiased": False, "rasterized": True}
    axes.plot_surface(w, b, grid.to_numpy(), **look)
    axes.set(xlabel="$w$", ylabel="$b$", zlabel="error $E$", zticks=[0, 0.2, 0.4])
    axes.locator_params(nbins=4)
    axes.view_init(elev=35, azim=-125)
    axes.set_box_aspect(None, zoom=0.85)  # or the outer labels are cut off


def _paths(axes: Axes, table: pd.DataFrame) -> None:
    limits = axes.get_xlim(), axes.get_ylim()
    for (kind, _), path in table[table["kind"].isin(list(LINES))].groupby(["kind", "path"]):
        line, colour, _ = LINES[kind]
        path = path.sort_values("update")
        axes.plot(path["w"], path["b"], linestyle=line, color=colour, linewidth=0.8, gid=kind)
        axes.plot(path["w"].iloc[:1], path["b"].iloc[:1], "o", color="white", markeredgecolor="black")
    wall = table[(table["kind"] == "wall") & (table["T"] == table["T"].max())]
    axes.plot(wall["w"], wall["b"], linestyle=":", color="black", linewidth=0.8)
    handles = [Line2D([], [], linestyle=line, color=colour, label=name) for line, colour, name in LINES.values()]
    handles.append(Line2D([], [], linestyle=":", color="black", label="the wall in theory"))
    axes.legend(handles=handles, loc="upper right", labelcolor="white")
    axes.set(xlabel="$w$", ylabel="$b$", xlim=limits[0], ylim=limits[1])
    axes.grid(visible=False)


def _walls(height: Axes, power: Axes, found: pd.DataFrame) -> None:
    colours = style.ordered(found["T"].unique())
    for n, (T, wall) in enumerate(found.groupby("T")):
        look = {"color": colours[T], "linestyle": "", "marker": style.MARKERS[n], "markersize": 2.2}
        height.plot(wall["w"], wall["gradient"], label=f"$T$ = {T}", **look)
        height.plot(wall["w"], wall["theory"], linestyle=style.THEORY, color="black", linewidth=0.8)
        power.plot(wall["gradient"], wall["curvature"], label=f"$T$ = {T}", **look)
    ends = np.array([found["gradient"].min(), found["gradient"].max()])
    power.plot(ends, 10 * ends**2, linestyle=style.THEORY, color="black", linewidth=0.8, label="slope 2")
    height.plot([], [], linestyle=style.THEORY, color="black", linewidth=0.8, label="theory, at the fixed point")
    height.set(yscale="log", xlabel="$w$", ylabel=r"largest $\|\nabla E\|$ over $b$")
    power.set(
        xscale="log", yscale="log", xlabel=r"largest $\|\nabla E\|$ over $b$", ylabel="largest curvature over $b$"
    )
    height.legend(loc="upper left")
    power.legend(loc="upper left")


EXPERIMENT = drawing.Experiment(
    NAME,
    make,
    (drawing.Published(NAME, figure, "The error of one unit over its two weights, and the wall in it.", check),),
)

if __name__ == "__main__":
    sys.exit(main())
