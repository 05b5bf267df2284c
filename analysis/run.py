"""Draw the gradient profiles of one run: norm against time, from the first probe to the last.

    python -m analysis.run outputs/horizon/RUN_ID [--out PATH]

A panel for each layer, direction and part of the state; at most `LINES` probed steps, spread evenly, the first and the
last among them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import cli, style, tables

LINES = 12
FLOOR = -30.0  # decades below the largest value that are drawn


def run_figure(folder: str | Path, loss: tables.Loss = "last", statistic: str = "q50") -> Figure:
    """The figure of one run folder, finished or not; a caller may save it or hand it to a tracker.

    Raises:
        ValueError: the folder has no profiles.npz that can be read.
    """
    file = Path(folder) / "profiles.npz"
    if not file.is_file():
        raise ValueError(f"{folder} holds no profiles.npz: name the folder of one run, outputs/NAME/RUN_ID")
    try:
        frame = tables.profile(file, loss, statistic, steps="all")
    except tables.UNREADABLE as error:
        raise ValueError(f"{file} cannot be read ({type(error).__name__}: {error})") from error
    steps = frame["step"].unique()
    chosen = steps[np.unique(np.linspace(0, len(steps) - 1, min(LINES, len(steps))).round().astype(int))]
    return _figure(frame[frame["step"].isin(chosen)], Path(folder).name)


def _figure(frame: pd.DataFrame, title: str) -> Figure:
    colours = style.ordered(frame["step"].unique())
    layers = sorted(frame["layer"].unique(), reverse=True)  # the one nearest to the input below
    columns = [key for key, _ in frame.groupby(["direction", "part"], observed=True)]
    finite = frame.loc[np.isfinite(frame["log10"]), "log10"]
    high = np.ceil(finite.max()) + 0.5 if len(finite) else 1.0
    low = np.floor(max(finite.min(), high + FLOOR)) - 0.5 if len(finite) else -1.0
    with style.look():
        figure = style.canvas(max(style.COLUMN, 1.6 * len(columns) + 0.8), 1.5 * len(layers) + 0.6)
        grid = figure.subplots(len(layers), len(columns), squeeze=False, sharex=True, sharey=True)
        for layer, line in zip(layers, grid, strict=True):
            for (direction, part), axes in zip(columns, line, strict=True):
                panel = frame[(frame["layer"] == layer) & (frame["direction"] == direction) & (frame["part"] == part)]
                axes.set_visible(len(panel) > 0)
                for step, profile in panel.groupby("step"):
                    value = profile["log10"].to_numpy()
                    gone = value < low
                    axes.plot(profile["time"], np.where(gone, np.nan, value), color=colours[step], gid=str(step))
                    if gone.any():
                        start = profile["time"].to_numpy()[gone][profile["lag"].to_numpy()[gone].argmin()]
                        axes.plot(start, 0.03, "v", color=colours[step], transform=axes.get_xaxis_transform())
                axes.set_title(f"layer {layer}, {direction}, {part}")
        for row in grid:  # scales stand at the first panel of each row, and at the lowest of each column
            next(axes for axes in row if axes.get_visible()).tick_params(labelleft=True)
        for column in grid[::-1].T:
            next(axes for axes in column if axes.get_visible()).tick_params(labelbottom=True)
        grid[0, 0].set_ylim(low, high)
        grid[0, 0].yaxis.set_major_locator(MaxNLocator(5, integer=True))
        grid[0, 0].yaxis.set_major_formatter(FuncFormatter(style.power_of_ten))
        grid[0, 0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
        figure.supxlabel(f"time $t$ (steps); ▾ below $10^{{{low + 0.5:.0f}}}$ or exactly 0 from here on", fontsize=7)
        figure.supylabel(r"$\|\partial L/\partial s_t\|$", fontsize=7)
        figure.suptitle(title, fontsize=7)
        scale = BoundaryNorm(np.arange(len(colours) + 1) - 0.5, len(colours))
        bar = figure.colorbar(ScalarMappable(scale, ListedColormap(list(colours.values()))), ax=grid, label="update")
        bar.set_ticks(range(len(colours)), labels=[str(step) for step in colours])
        bar.ax.tick_params(size=0)
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Write the figure beside the record, or to --out, and print the paths."""
    parser = argparse.ArgumentParser(prog="python -m analysis.run", description="Draw the profiles of one run.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="path without suffix; FOLDER/profiles by default")
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    with cli.refusing(parser):
        for path in style.save(run_figure(options.folder), options.out or options.folder / "profiles"):
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
