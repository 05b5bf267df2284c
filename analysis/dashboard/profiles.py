"""Gradient profiles made small: time in bins, log10 norms in codes of one byte.

    0          below the floor, `FLOOR` decades under the largest value of the run, or exactly zero
    1 .. 253   log10 = low + (code - 1) / 252 * (high - low), with low and high of its row, a series at a probed step
    254        the series has no state here
    255        not finite in any sample

A bin holds the mean of the finite log10 values in it. Every step is a bin of its own where there are at most `BINS`;
else bins are fine near the loss of their series and grow with the lag.
"""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FLOOR = 30.0
BINS = 128
BUDGET = 12_000  # codes of one run: 200 runs of so many fit into 5 MB, with the charts
STATISTIC = "q50"
BELOW, NONE, NOT_FINITE = 0, 254, 255
LEVELS = 252  # from low to high


@dataclass(frozen=True)
class Arrays:
    """Medians over the samples: log10 [n, S, T], nonfinite samples [n, S, T], lag [S, T], at the n probed steps."""

    steps: np.ndarray
    series: list[tuple[int, str, str]]
    lag: np.ndarray
    log10: np.ndarray
    nonfinite: np.ndarray

    def reach(self, s: int) -> int:
        """Steps of this series that the loss at its end can reach: those over which a horizon is counted."""
        here = ~(np.isnan(self.log10[:, s]) & (self.nonfinite[:, s] == 0)).all(0)
        return int(np.count_nonzero(here & (self.lag[s] >= 0)))


def read(file: str | Path) -> Arrays:
    """The profiles of one run, by step; where several steps are scored, those of the last one's loss.

    Raises:
        one of `analysis.tables.UNREADABLE`: torn, absent or not one of ours.
    """
    with Path(file).open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        step, layer, direction, part, loss, statistic, lag, log10 = (
            data[key] for key in ("step", "layer", "direction", "part", "loss", "statistic", "lag", "log10_norm")
        )
        nonfinite = data["nonfinite"]
    if log10.shape != (len(step), len(layer), len(statistic), lag.shape[1]):
        raise ValueError(f"log10_norm has shape {log10.shape}, its axes say otherwise")
    if len(step) == 0:
        raise ValueError("no probed step")
    order = np.argsort(step, kind="stable")
    s = np.flatnonzero(loss == ("last" if "last" in loss else "task"))
    (k,) = np.flatnonzero(statistic == STATISTIC)
    names = list(zip(layer[s].tolist(), direction[s].tolist(), part[s].tolist(), strict=True))
    return Arrays(step[order], names, lag[s], log10[order][:, s, k], nonfinite[order][:, s])


def edges(steps: int, bins: int) -> np.ndarray:
    """Where at most so many bins begin and end: width 1 in their first half, then in proportion to the distance."""
    if steps <= bins:
        return np.arange(steps + 1)
    unit = bins // 2
    far = np.geomspace(max(1, unit), steps, bins - unit + 1).round().astype(int)
    far[0] = unit
    return np.unique(np.concatenate([np.arange(unit), far]))


def time_bins(lag: np.ndarray, here: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """First and last time step of each bin, in order of time.

    Distance is counted from the state that is nearest to the loss, which for an encoder is its last one.

    Args:
        lag: of each time step, falling or rising by one.
        here: the steps at which the series has a state.
    """
    T = len(lag)
    near = np.flatnonzero(here & (lag >= 0))
    origin = int(near[lag[near].argmin()]) if len(near) else int(np.abs(lag).argmin())
    rising = T > 1 and lag[1] > lag[0]
    before, after = (T - origin, origin) if rising else (origin + 1, T - origin - 1)  # towards the loss, and beyond it
    beyond = min(after, max(1, bins // 4, bins - before))
    towards = edges(before, bins - beyond)
    away = edges(after, beyond)[1:] if after else np.zeros(0, int)
    distance = np.concatenate([-away[::-1], towards])
    cut = origin + distance if rising else origin + 1 - distance[::-1]
    return cut[:-1], cut[1:] - 1


def binned(log10: np.ndarray, nonfinite: np.ndarray, first: np.ndarray) -> np.ndarray:
    """[n, T] -> [n, bins]: mean of the finite; else +inf where not finite, -inf where zero, NaN where there is nothing.

    Args:
        nonfinite: number of samples that are not finite.
        first: of each bin; it ends where the next begins.
    """
    finite = np.isfinite(log10)
    count = np.add.reduceat(finite, first, axis=1, dtype=int)
    total = np.add.reduceat(np.where(finite, log10, 0.0), first, axis=1)
    wrong = np.logical_or.reduceat(np.isposinf(log10) | (np.isnan(log10) & (nonfinite > 0)), first, axis=1)
    zero = np.logical_or.reduceat(np.isneginf(log10), first, axis=1)
    rest = np.where(wrong, np.inf, np.where(zero, -np.inf, np.nan))
    return np.where(count > 0, total / np.maximum(count, 1), rest)


def quantised(values: np.ndarray, floor: float) -> tuple[list[float | None], list[float | None], np.ndarray]:
    """low and high of each row, None where nothing is above the floor, and the codes of [n, bins]."""
    above = np.isfinite(values) & (values >= floor)
    some = above.any(1)
    low = np.floor(np.where(above, values, np.inf).min(1, initial=np.inf) * 1000) / 1000
    high = np.ceil(np.where(above, values, -np.inf).max(1, initial=-np.inf) * 1000) / 1000
    span = np.where(some & (high > low), high - low, 1.0)
    level = np.where(above, values, 0.0) - np.where(some, low, 0.0)[:, None]
    codes = np.rint(level / span[:, None] * LEVELS) + 1
    codes = np.select([above, np.isposinf(values), np.isnan(values)], [codes, NOT_FINITE, NONE], BELOW)
    low, high = ([x if s else None for x, s in zip(ends.tolist(), some, strict=True)] for ends in (low, high))
    return low, high, codes.astype(np.uint8)


def fitted(steps: int, series: int, T: int, budget: int = BUDGET) -> tuple[np.ndarray, int]:
    """Which of the probed steps are kept, evenly spread with the first and the last, and how many bins, at most.

    Bins go first, for a profile is smooth; then steps; then bins again.
    """
    few = min(steps, 6)
    for bins, least in ((BINS, steps), (BINS // 2, few), (BINS // 4, few), (BINS // 8, min(steps, 2))):
        bins = min(bins, T)
        kept = min(steps, budget // (series * bins))
        if kept >= least:
            break
    return np.unique(np.linspace(0, steps - 1, max(kept, min(steps, 2))).round().astype(int)), bins


def packed(arrays: Arrays, budget: int = BUDGET) -> dict[str, Any]:
    """The part `profiles` of a run in the payload; `coarse` says in words what was left out to keep it small.

    `of` points into the series of the run.
    """
    n, S, T = arrays.log10.shape
    kept, count = fitted(n, S, T, budget)
    finite = arrays.log10[np.isfinite(arrays.log10)]
    floor = float(finite.max()) - FLOOR if len(finite) else -np.inf
    bins: list[dict[str, list[int]]] = []
    series = []
    for s in range(S):
        log10, nonfinite = arrays.log10[kept, s], arrays.nonfinite[kept, s]
        here = ~(np.isnan(log10) & (nonfinite == 0)).all(0)
        first, last = time_bins(arrays.lag[s], here, count)
        one = {"from": first.tolist(), "to": last.tolist(), "lag": arrays.lag[s][(first + last) // 2].tolist()}
        if one not in bins:
            bins.append(one)
        low, high, codes = quantised(binned(log10, nonfinite, first), floor)
        text = base64.b64encode(codes.tobytes()).decode()
        series.append({"of": s, "bins": bins.index(one), "low": low, "high": high, "codes": text})
    coarse = None
    if len(kept) < n or count < min(T, BINS):
        coarse = f"{len(kept)} of {n} probed steps, {count} time bins"
    return {"steps": arrays.steps[kept].tolist(), "bins": bins, "series": series, "coarse": coarse}
