"""Draw the experiment `chen2018_chi`: the phase diagram of a wide random network, and how long a sequence it can learn.

    python -m analysis.chen2018_chi [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--keep]

writes chen2018_chi (the factor by which the squared norm of the gradient changes per step back, over sw and sin, and
its distance from chi of mean-field theory) and chen2018_length (which T were learned, over sw, and the longest of them
against the correlation time -1 / log chi).
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import chen2018_figures as figures
from analysis import claims, drawing, tables
from analysis.claims import Claim
from analysis.statistics.ranks import rank_correlation
from analysis.tables import FINISHED

NAME, LENGTH = "chen2018_chi", "chen2018_length"
LAGS = 30
CLOSE = 0.02  # of chi, as of which a network of 1,000 units keeps to it
ORDERED, CHAOTIC = 1 - CLOSE, 1 + 2 * CLOSE  # chi beyond which such a network is known to be so


def main(arguments: list[str] | None = None) -> int:
    """Write the figures, say which runs they show, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw the experiment chen2018_chi.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """The table of each figure: a row for each untrained wide network, and for each trained one."""
    finished = runs[runs["outcome"].isin(FINISHED)]
    wide, trained = finished[finished["steps"] == 0], finished[finished["steps"] > 0]
    return {
        NAME: phases(wide, factors(folder, set(wide["run"]))) if len(wide) else None,
        LENGTH: lengths(trained) if len(trained) else None,
    }, []


def factors(folder: Path, runs: set[str]) -> pd.Series:
    """run -> (mean squared norm at lag K over that at lag 0)^(1/K), K = 30 or the longest lag that there is."""
    profiles = tables.profiles(folder, statistic="log10_rms", only=runs, part="h").astype({"run": str})
    at = profiles[profiles["lag"] <= LAGS].set_index(["run", "lag"])["log10"].unstack()
    return 10 ** (2 * (at[at.columns.max()] - at[0]) / at.columns.max())


def phases(runs: pd.DataFrame, measured: pd.Series) -> pd.DataFrame:
    """sw, sin, seed, measured and chi, of theory."""
    about = {"sw": runs["init.gain"].astype(float), "sin": runs["task.noise"].astype(float), "seed": runs["seed"]}
    found = {"measured": runs["run"].map(measured), "chi": runs["predicted.chi"].astype(float)}
    return pd.DataFrame({**about, **found}).sort_values(["sin", "sw", "seed"], ignore_index=True)


def lengths(runs: pd.DataFrame) -> pd.DataFrame:
    """sw, T, seed, solved and time, the correlation time -1 / ln chi in steps."""
    about = {"sw": runs["init.gain"].astype(float), "T": runs["task.length"].astype(int), "seed": runs["seed"]}
    found = {"solved": runs["outcome"] == "solved", "time": -1 / np.log(runs["predicted.chi"].astype(float))}
    return pd.DataFrame({**about, **found}).sort_values(["sw", "T", "seed"], ignore_index=True)


def check(table: pd.DataFrame) -> list[Claim]:
    """Whether single wide networks keep to the mean field."""
    ratio = (table["measured"] / table["chi"]).groupby([table["sw"], table["sin"]]).median()
    chi = table.groupby(["sw", "sin"])["chi"].median()
    ordered = chi < ORDERED
    paper = "theory: chi = sw^2 E[phi'^2], for infinite width"
    stray = 100 * (table["measured"] / table["chi"] - 1).abs()[table["chi"] < ORDERED]
    chaotic = table[table["chi"] > CHAOTIC]
    return [
        claims.every(
            f"below the onset of chaos the factor over {LAGS} lags is chi, at each (sw, sin)",
            (ratio[ordered] - 1).abs() <= CLOSE,
            paper=paper,
            rule="the median of the seeds within 2 %",
        ),
        claims.at_most(
            "how far single networks stray from chi there, as a median",
            stray.groupby(table["seed"]).median(),
            100 * CLOSE,
            paper=paper,
            unit="%",
        ),
        claims.share(
            "above it the gradient grows",
            int((chaotic["measured"] > 1).sum()),
            len(chaotic),
            least=0.95,
            paper="theory: chi > 1, chaos",
        ),
    ]


def length_check(table: pd.DataFrame) -> list[Claim]:
    """Whether the correlation time says how long a sequence can be learned, below sw = 1."""
    longest = figures.longest(table[table["sw"] < 1])
    correlation = [rank_correlation(of["T"], of["time"]) for _, of in longest.groupby("seed") if of["T"].nunique() > 1]
    multiple = (longest["T"] / longest["time"]).groupby(longest["sw"]).median()
    ours = f"{multiple.median():.2g}" if len(multiple) else "none"
    return [
        claims.at_least(
            "the longest T that is learned ranks as the correlation time -1 / ln chi, over sw below 1",
            correlation,
            0.8,
            paper="sec. 5: the trainable length is a multiple of the correlation time",
        ),
        claims.at_most(
            "it is the same multiple of it: the largest over the smallest, of the medians over seeds",
            [multiple.max() / multiple.min()] if len(multiple) > 1 else [],
            2,
            paper="sec. 5: the trainable length is a multiple of the correlation time",
        ),
        claims.untested(
            "the multiple is about 6",
            paper="about 6, from memory",
            why=f"not read in the paper, which has another task; {ours} here",
        ),
    ]


EXPERIMENT = drawing.Experiment(
    NAME,
    make,
    (
        drawing.Published(
            NAME, figures.phase_figure, "Growth of the gradient per step over (sw, sin), and mean-field theory.", check
        ),
        drawing.Published(
            LENGTH, figures.length_figure, "Which T are learned over sw, and the correlation time.", length_check
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
