"""Draw the experiment `schuster1997_direction`: what does a network hear of each end of its input?

    python -m analysis.schuster1997_direction [FOLDER] [--out figures] [--scale SCALE] [--where NAME=VALUE] [--keep]

writes schuster1997_direction: of the forward, the backward and the bidirectional network the norm of the gradient of
the input against time, before training, and the error of recall against position, after it; and prints whether the
claims hold. The gradient of the input is dL/du_t of the feed-forward layer u_t = A x_t; theory is a^(T-1-t) for a
forward pass and a^t for a backward one, with the recorded rate, which for a linear network is log10 a.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import claims, drawing, style, tables
from analysis.claims import Claim
from analysis.figures.band import band, mark
from analysis.figures.panels import looks, named, panels

DIRECTIONS = ("forward", "backward", "bidirectional")
NAMES = {"identity": "linear", "tanh": "tanh"}
GRADIENT, ERROR = r"$\|\partial L/\partial x_t\|$ / relative to the ends", "error of the bit / at position $p = t$"
# Decades. The norm of a random U^T a of H = 64 strays by .04, the largest of 80 by three times that. Mean field is off
# by .006 a step in one such network, which is .25 in the middle.
WITHIN = {"linear": 0.2, "tanh": 0.4}


def main(arguments: list[str] | None = None) -> int:
    """Write the figure, say what it shows and whether the claims hold, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw the experiment schuster1997_direction.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """direction, cell, seed, T, time, error, and decades relative to the ends that the loss reads.

    input      of dL/dx_t, with its law `predicted`
    forward    of dL/dh_t of the forward pass, with its law `forward_law`; NaN where there is none; and so backward
    """
    runs = runs[runs["outcome"].isin(tables.FINISHED)]
    profiles = tables.profiles(folder, steps="first", layer=0, only=set(runs["run"]))
    pieces = [_table(run, profiles[profiles["run"] == run["run"]]) for _, run in runs.iterrows()]
    table = pd.concat(pieces, ignore_index=True)
    for name, order in (("direction", DIRECTIONS), ("cell", NAMES.values())):
        table[name] = pd.Categorical(table[name], list(order), ordered=True)
    return {"schuster1997_direction": table.sort_values(["direction", "cell", "seed", "time"], ignore_index=True)}, []


def _table(run: pd.Series, profiles: pd.DataFrame) -> pd.DataFrame:
    """The rows of one run."""
    T, rate = run["task.length"], run.get("predicted.decay_per_step", np.nan)
    time = np.arange(T)
    measured = {
        of: rows.sort_values("time")["log10"].to_numpy() for of, rows in profiles.groupby("direction", observed=True)
    }
    lags = {"forward": T - 1 - time, "backward": time}
    passes = [name for name in lags if name in measured]
    ends = [lags[name].argmin() for name in passes]
    law = np.log10(sum(10.0 ** (2 * rate * lags[name]) for name in passes)) / 2
    columns = {"input": measured["input"] - measured["input"][ends].mean(), "predicted": law}
    for name, lag in lags.items():
        found = measured.get(name)
        columns[name] = np.full(T, np.nan) if found is None else found - found[lag.argmin()]
        columns[f"{name}_law"] = rate * lag
    return pd.DataFrame(
        {
            "direction": run["network.direction"],
            "cell": NAMES[run["cell.activation"]],
            "seed": run["seed"],
            "T": T,
            "time": time,
            **columns,
            "error": [run.get(f"test/error/{p}", np.nan) for p in time],
        }
    )


def figure(table: pd.DataFrame) -> Figure:
    """The gradient of the input above, the error of recall below; a column for each direction."""
    long = pd.concat(
        [
            table.rename(columns={"input": "value"}).assign(row=GRADIENT),
            table.rename(columns={"error": "value"}).assign(row=ERROR, predicted=np.nan),
        ]
    ).rename(columns={"direction": "column", "cell": "hue"})
    long = long.assign(row=pd.Categorical(long["row"], [GRADIENT, ERROR], ordered=True), dash="")
    look = looks(long)
    with style.look():
        made = panels(long, 1.5)
        for axes, panel in made.of(long):
            for key, lines in panel.groupby(["hue", "dash"], observed=True):
                _line(axes, lines, look[key])
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.tick_params(labelleft=made.edge(axes))
        low = np.floor(long["value"].min())
        for column in made.columns:
            made.grid[GRADIENT, column].set_ylim(low, 0.5)
            made.grid[GRADIENT, column].yaxis.set_major_formatter(FuncFormatter(style.power_of_ten))
            made.grid[ERROR, column].set_ylim(-0.02, 0.6)
            made.grid[ERROR, column].axhline(0.5, color=style.GREY, linewidth=0.6, linestyle=":")
        return made.finish(style.label("time"), "", [*named(long, ""), *_marks(long)])


def _line(axes: Axes, lines: pd.DataFrame, look: dict) -> None:
    """Median and range over seeds, and the median of their laws."""
    band(axes, lines, "time", "value", look)
    if lines["predicted"].notna().any():
        axes.plot(lines.groupby("time")["predicted"].median(), color="black", linewidth=0.6, linestyle=style.THEORY)


def _marks(long: pd.DataFrame) -> list:
    marks = [mark()] if long["seed"].nunique() > 1 else []
    if long["predicted"].notna().any():
        marks.append(Line2D([], [], color="black", linewidth=0.6, linestyle=style.THEORY, label="theory"))
    return [*marks, Line2D([], [], color=style.GREY, linewidth=0.6, linestyle=":", label="chance")]


def check(table: pd.DataFrame) -> list[Claim]:
    linear, both = table[table["cell"] == "linear"], table[table["direction"] == "bidirectional"]
    found = [
        claims.at_most(
            f"linear: the {name} pass keeps {law} of the gradient: largest distance over time",
            _largest(linear[name] - linear[f"{name}_law"], linear),
            1e-3,
            paper="theory: an identity",
            unit="decades",
        )
        for name, law in (("forward", "a^(T-1-t)"), ("backward", "a^t"))
    ]
    for cell, unit in (("linear", "its law"), ("tanh", "that of mean field")):
        chosen = both[both["cell"] == cell]
        found.append(
            claims.at_most(
                f"{cell}: the input of the bidirectional network receives a U, {unit}: largest distance over time",
                _largest(chosen["input"] - chosen["predicted"], chosen),
                WITHIN[cell],
                paper="theory: both passes together",
                unit="decades",
            )
        )
    for direction in DIRECTIONS:
        found += _recall(table[(table["cell"] == "tanh") & (table["direction"] == direction)], direction)
    return found


def _largest(off: pd.Series, table: pd.DataFrame) -> pd.Series:
    """Of each seed, where there is a number."""
    return off.abs().groupby(table["seed"]).max().dropna()


def _recall(table: pd.DataFrame, direction: str) -> list[Claim]:
    """The error within a tenth of the sequence at the near end or ends, and over the third that is farthest."""
    T, time = table["T"], table["time"]
    distance = {"forward": T - 1 - time, "backward": time, "bidirectional": np.minimum(time, T - 1 - time)}[direction]
    longest = T / 2 if direction == "bidirectional" else T
    near, far = (_error(table[rows]) for rows in (distance < T / 10, distance >= longest * 2 / 3))
    ends, third = {
        "forward": ("last tenth", "first third"),
        "backward": ("first tenth", "last third"),
        "bidirectional": ("tenth at either end", "middle third"),
    }[direction]
    paper = "reads from both sides" if direction == "bidirectional" else "reads from one side"
    return [
        claims.at_most(f"tanh, {direction}: error of recall, {ends} of the positions", near, 0.05, paper=paper),
        claims.at_least(f"tanh, {direction}: error of recall, {third} of the positions", far, 0.4, paper=paper),
    ]


def _error(table: pd.DataFrame) -> pd.Series:
    """The mean over the positions, of each seed; a run that diverged answers nothing, and so errs on all."""
    return table["error"].fillna(1.0).groupby(table["seed"]).mean()


EXPERIMENT = drawing.Experiment(
    "schuster1997_direction",
    make,
    (
        drawing.Published(
            "schuster1997_direction",
            figure,
            "Gradient of the input over time and recall by position, of networks that read forward, backward or both.",
            check,
        ),
    ),
)


if __name__ == "__main__":
    sys.exit(main())
