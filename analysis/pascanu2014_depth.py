"""Draw the experiment `pascanu2014_depth`: what do layers do to the gradient over time, and what deep transitions?

    python -m analysis.pascanu2014_depth [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--where ...] [--keep]

writes pascanu2014_depth: the norm of the gradient in the lowest layer against lag, at initialisation, of D layers and
of deep transitions of m maps, with what theory says, and prints whether the claims hold.
"""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import claims, drawing, figures, tables
from analysis.claims import Claim
from analysis.statistics.profiles import kept, relative

ALIGNED, ROTATED, TANH = "linear, $W = a\\,I$", "linear, $W = a\\,Q$", "tanh, $W = a\\,Q$"
LAYERS, MAPS = "$D$ layers", "$m$ maps"
LAGS = 60  # of a curve
WAYS = {ALIGNED: 1.0, ROTATED: 0.5, TANH: 0.0}  # the power of C(k+D-1, D-1)
THEOREM = "theory: an identity"


def main(arguments: list[str] | None = None) -> int:
    """Write the figure, say what it shows and whether the claims hold, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw the experiment pascanu2014_depth.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """row, column, hue (D or m), seed, gain, lag, log10 and predicted: decades relative to lag 0."""
    chosen = described(runs[runs["outcome"].isin(tables.FINISHED)])
    profiles = tables.profiles(folder, steps="first", layer=0, part="h", only=set(chosen["run"]))
    found = kept(relative(profiles, points=None), "lag", LAGS).astype({"run": str})
    found = found.drop(columns="log10").rename(columns={"relative": "log10"}).merge(chosen, on="run")
    found["predicted"] = found["lag"] * found["rate"] + [
        prefactor(*of) for of in found[["lag", "depth", "column"]].to_numpy()
    ]
    # the network of one layer and one map is the first of both rows
    layers = found[found["maps"] == 1].assign(row=LAYERS, hue=lambda rows: rows["depth"])
    maps = found[found["depth"] == 1].assign(row=MAPS, hue=lambda rows: rows["maps"])
    table = pd.concat([layers, maps], ignore_index=True)
    for name, order in (("row", (LAYERS, MAPS)), ("column", (ALIGNED, ROTATED, TANH))):
        table[name] = pd.Categorical(table[name], order, ordered=True)
    columns = ["row", "column", "hue", "seed", "gain", "lag", "log10", "predicted"]
    return {"pascanu2014_depth": table[columns].sort_values(columns[:6], ignore_index=True)}, []


def described(runs: pd.DataFrame) -> pd.DataFrame:
    """run, seed, depth, maps, the column of the figure, the gain a, and what theory says of the rate.

    That is m log10 a, but with tanh the first map, which the input drives, has the rate that mean field gives it.
    """
    aligned = runs["init"] == "identity"
    gain = runs["init.gain"].where(~aligned, runs["init.scale"]) if "init.scale" in runs else runs["init.gain"]
    linear = runs["cell.activation"] == "identity"
    column = np.where(~linear, TANH, np.where(aligned, ALIGNED, ROTATED))
    known = {"depth": runs["network.depth"], "maps": runs["network.transition"], "gain": gain.astype(float)}
    frame = pd.DataFrame({"run": runs["run"].astype(str), "seed": runs["seed"], "column": column, **known})
    first = frame["gain"].map(math.log10)
    if not linear.all():
        plain = ~linear & (frame["depth"] == 1) & (frame["maps"] == 1)
        driven = runs.loc[plain, "predicted.decay_per_step"].groupby(runs["seed"]).first()
        first = first.where(linear, frame["seed"].map(driven))
    return frame.assign(rate=first + (frame["maps"] - 1) * frame["gain"].map(math.log10))


def prefactor(lag: int, depth: int, column: str) -> float:
    """Decades by which `linear_gain` of rnnlab.theory is above the rate alone; with tanh the rate is all there is."""
    return WAYS[column] * math.log10(math.comb(lag + depth - 1, depth - 1))


def figure(table: pd.DataFrame) -> Figure:
    by = ["row", "column", "hue", "lag"]
    lines = table.groupby(by, observed=True).agg(
        median=("log10", "median"), low=("log10", "min"), high=("log10", "max"), predicted=("predicted", "median")
    )
    title = f"before training, $a$ = {table['gain'].iloc[0]:g}"
    return figures.profile_figure(lines.reset_index(), hue="$D$, $m$", title=title, height=1.6)


def check(table: pd.DataFrame) -> list[Claim]:
    stacks, transitions = (table[table["row"] == row] for row in (LAYERS, MAPS))
    return [
        claims.at_most(
            "linear layers with W = a I keep C(k+D-1, D-1) a^k: largest distance over lags and D",
            _off(stacks, ALIGNED),
            1e-3,
            paper=THEOREM,
            unit="decades",
        ),
        claims.at_most(
            "linear layers with rotations of their own keep its square root: largest distance over lags and D",
            _off(stacks, ROTATED),
            0.2,
            paper="theory: mean square of random networks",
            unit="decades",
        ),
        claims.at_most(
            "linear deep transitions keep a^(m k): largest distance over lags and m",
            _off(transitions, ROTATED),
            1e-3,
            paper=THEOREM,
            unit="decades",
        ),
        claims.at_most(
            "with tanh each further map adds log10 a to the slope: largest share that it is off",
            _steepness(transitions[transitions["column"] == TANH]),
            0.1,
            paper="theory: only the first map is driven",
        ),
        claims.at_most(
            "with tanh layers leave the slope at long lags as it is: largest share that it differs from that of one",
            _rates(stacks[stacks["column"] == TANH]),
            0.1,
            paper="theory: depth changes a factor, never the rate",
        ),
        claims.untested(
            "on Penn Treebank deep output and transitions with shortcuts have the lower perplexity",
            paper="107.5 against 110.0 of stacked layers",
            why="no word-level language model here",
        ),
    ]


def _off(table: pd.DataFrame, column: str) -> pd.Series:
    """The largest distance from theory, of each seed."""
    chosen = table[table["column"] == column]
    return (chosen["log10"] - chosen["predicted"]).abs().groupby(chosen["seed"]).max()


def _slopes(table: pd.DataFrame) -> pd.DataFrame:
    """Decades per step over the later half of the lags: a row for each seed, a column for each D or m."""
    late = table[table["lag"] >= table["lag"].max() / 2]
    fits = {key: np.polyfit(rows["lag"], rows["log10"], 1)[0] for key, rows in late.groupby(["seed", "hue"])}
    return pd.Series(fits, dtype=float).unstack() if fits else pd.DataFrame()


def _steepness(table: pd.DataFrame) -> list[float]:
    """|(slope of m maps - slope of one) / (m - 1) / log10 a - 1|, the largest over m, of each seed."""
    slope = _slopes(table)
    if slope.shape[1] < 2:
        return []
    more = slope.drop(columns=1)
    each = more.sub(slope[1], axis=0).div(more.columns - 1, axis=1) / math.log10(table["gain"].iloc[0])
    return each.sub(1).abs().max(axis=1).tolist()


def _rates(table: pd.DataFrame) -> list[float]:
    """|slope of D layers / slope of one - 1|, the largest over D, of each seed."""
    slope = _slopes(table)
    return slope.div(slope[1], axis=0).sub(1).abs().max(axis=1).tolist() if slope.shape[1] > 1 else []


EXPERIMENT = drawing.Experiment(
    "pascanu2014_depth",
    make,
    (
        drawing.Published(
            "pascanu2014_depth",
            figure,
            "Gradient against lag of stacked layers and of deep transitions: depth changes a factor, maps the rate.",
            check,
        ),
    ),
)


if __name__ == "__main__":
    sys.exit(main())
