"""What Vorontsov et al. (2017) say of margins, held against the tables of the experiment `vorontsov2017_fig3`."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis import claims
from analysis.claims import Claim
from analysis.statistics.ranks import rank_correlation

ROUNDING = 1e-6  # decades per step: float32, and the five digits of a kept table
FLAT = 2e-4  # relative, over the whole sequence: float32
FACTOR = 2.0
HALF = 0.5  # accuracy: copying is under way
LONG = 10_000


def gradients(table: pd.DataFrame) -> list[Claim]:
    """Of the norm of dL_T/dh_t.

    Args:
        table: of `vorontsov2017_fig3_bound`.
    """
    with np.errstate(divide="ignore"):
        low, high = np.log10(1 - table["m"]), np.log10(1 + table["m"])
    within = (table["slowest"] >= low - ROUNDING) & (table["fastest"] <= high + ROUNDING)
    flat = table[table["m"] == 0].groupby("seed")["size"].max()
    last = table["step"].max()
    kept = [_correlation(group.groupby("m", dropna=False).apply(_survival)) for _, group in table.groupby("seed")]
    strayed = table[table["m"].isna() & (table["step"] == last)].groupby("seed")["size"].max()
    return [
        claims.every(
            "the norm k steps back lies in [(1 - m)^k, (1 + m)^k], at every lag and update",
            within[table["m"] > 0],
            paper="theory: the singular values of W",
            rule="all runs and probed updates",
        ),
        claims.at_most(
            "at m = 0 the norm is preserved: its largest relative change over all time steps and updates",
            10**flat - 1,
            FLAT,
            paper="preserved across time steps",
        ),
        claims.at_most(
            f"the larger the margin, the sooner the norm changes by a factor of {FACTOR:g}: rank correlation",
            [value for value in kept if not math.isnan(value)],
            -0.8,
            paper="decreases with increasing margin",
        ),
        claims.at_most(
            f"without any bound the norm neither vanishes nor explodes in {last} updates: change over the sequence",
            strayed,
            2,
            paper="singular values remain near one without a margin",
            unit="decades",
        ),
    ]


def speed(table: pd.DataFrame) -> list[Claim]:
    """Of how soon it is copied.

    Args:
        table: of `vorontsov2017_fig1`.
    """
    needed = table.groupby(["T", "seed", "m"], dropna=False).apply(_needed).rename("updates").reset_index()
    made = []
    for T, group in needed[needed["T"] < LONG].groupby("T"):
        each = [one.set_index("m")["updates"].sort_index() for _, one in group.groupby("seed")]
        made.append(
            claims.at_least(
                f"T = {T}: with m = 0.1 half of the symbols are recalled sooner than with m = 0, by a factor",
                [one[0.0] / one[0.1] for one in each if {0.0, 0.1} <= set(one.index)],
                1.1,
                paper="convergence speed increases with the margin",
            )
        )
        ranks = [_correlation(one) for one in each]
        made.append(
            claims.at_most(
                f"T = {T}: the larger the margin, the fewer updates until half is recalled: rank correlation",
                [value for value in ranks if not math.isnan(value)],
                -0.5,
                paper="convergence speed increases with the margin",
            )
        )
    return [*made, *_longest(table[table["T"] >= LONG], needed[needed["T"] >= LONG])]


def _longest(table: pd.DataFrame, needed: pd.DataFrame) -> Iterator[Claim]:
    sooner = "T = 10,000: m = 0.001 copies sooner than every larger margin"
    never = "T = 10,000: without any bound it is not copied"
    if table.empty:
        for text in (sooner, never):
            yield claims.untested(text, paper="so in figure 1", why="takes scale=paper")
        return
    each = [one.set_index("m")["updates"] for _, one in needed.groupby("seed")]
    first = [one[0.001] < one[one.index > 0.001].min() for one in each if 0.001 in one]
    yield claims.every(sooner, first, paper="so in figure 1", rule="every seed")
    free = table[table["m"].isna()]
    best = free.groupby("seed")["accuracy"].max()
    yield claims.at_most(never, best, HALF, paper="failed to converge")


def _survival(of: pd.DataFrame) -> float:
    """Updates that the norm stays within the factor, those probed if it never leaves."""
    left = of.loc[of["size"] > math.log10(FACTOR), "step"]
    return float(left.min() if len(left) else of["step"].max() + 1)


def _needed(of: pd.DataFrame) -> float:
    """Updates until half of the symbols are recalled, those made if they never are."""
    there = of.loc[of["accuracy"] >= HALF, "step"]
    return float(there.min() if len(there) else of["step"].max())


def _correlation(by_margin: pd.Series) -> float:
    """Spearman's, of the number and the margin in its index; no margin is the largest."""
    return rank_correlation(pd.Series(by_margin.index).fillna(math.inf), pd.Series(by_margin.to_numpy()))
