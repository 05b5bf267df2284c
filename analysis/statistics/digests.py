"""Digests of gradient profiles from the scalars, and their spread over seeds.

A digest is one number for one profile: decay per step (decades, negative when vanishing), half-life (steps), effective
horizon (first lag at which the norm has fallen by 1,000; right-censored at T, with a flag), log10 of the ratio first to
last. They are measured in the run; here they are only collected and summarised.
"""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.intervals import trim
from analysis.statistics.names import NAME, nearness

INIT, TRAINED = "init", "trained"
COLUMNS = ("decay_per_step", "half_life", "horizon", "horizon_censored", "log10_ratio")
SERIES = ["run", "layer", "direction", "part", "stage"]


def digests(scalars: pd.DataFrame) -> pd.DataFrame:
    """One row per run, layer, direction, part and stage, with a column per digest and the step of the probe.

    The stage is `init` at the run's first probed step and `trained` at its last; a run that was probed once has no
    trained stage. Warns if a first probed step is not 0, for then `init` is not the initialisation.
    """
    known = [name for name in scalars["name"].unique() if NAME.fullmatch(name)]
    found = scalars[scalars["name"].isin(known)].astype({"run": str, "name": str})
    first, last = (found.groupby("run")["step"].transform(which) for which in ("min", "max"))
    late = sorted(found.loc[first > 0, "run"].unique())
    if late:
        warnings.warn(f"the first probed step is not 0 in {', '.join(late)}: `init` is not at step 0", stacklevel=2)
    found = found.assign(stage=np.where(found["step"] == first, INIT, TRAINED))
    found = found[(found["step"] == first) | (found["step"] == last)]
    names = pd.DataFrame(
        [(name, int(match[1]), *match.groups()[1:]) for name in known if (match := NAME.fullmatch(name))],
        columns=["name", "layer", "direction", "part", "digest"],
    )
    tidy = found.merge(names, on="name")
    table = tidy.pivot(index=[*SERIES, "step"], columns="digest", values="value").reindex(columns=COLUMNS)
    return table.rename_axis(columns=None).reset_index()


def nearest(found: pd.DataFrame) -> pd.DataFrame:
    """Of the table of `digests` the one series that stands for a run: that of the recurrent layer nearest to the input.

    Forward comes before backward, and the part h before the others. The rows are one per run and stage.
    """
    series = zip(found["layer"], found["direction"], found["part"], strict=True)
    rank = [nearness(*one) for one in series]
    first = found.iloc[sorted(range(len(rank)), key=rank.__getitem__)].drop_duplicates(["run", "stage"])
    return first.sort_values(["run", "stage"], ignore_index=True)


@dataclass(frozen=True)
class Spread:
    """Median and range over seeds, or what is left of it; a `_censored` number is a lower bound."""

    median: float
    low: float
    high: float
    runs: int
    median_censored: bool = False
    low_censored: bool = False
    high_censored: bool = False

    def text(self, digits: int = 3) -> str:
        """`median [low, high]`, or the value alone of a single run; `>=` before each lower bound, `-` for nothing."""
        if not self.runs:
            return "-"
        median, low, high = (
            (">= " if censored else "")
            + (f"{value:.0f}" if 1 <= abs(value) < 1e5 and value % 1 == 0 else f"{value:.{digits}g}")
            for value, censored in (
                (self.median, self.median_censored),
                (self.low, self.low_censored),
                (self.high, self.high_censored),
            )
        )
        return median if self.runs == 1 else f"{median} [{low}, {high}]"


def spread(values: Iterable[float], censored: Iterable[float] | None = None, level: float | None = None) -> Spread:
    """Median, smallest and largest of the values; NaN is left out, infinities count.

    Args:
        level: leave out as many values at each end as an interval of the median at this level can do without, see
            `analysis.statistics.intervals.trim`; none if None.
        censored: 1 for each value that is a lower bound. A number is one as soon as a value up to it is.
    """
    value = np.asarray(list(values), float)
    bound = np.zeros(len(value), bool) if censored is None else np.asarray(list(censored), float) == 1
    order = np.lexsort((bound, value))[: np.count_nonzero(~np.isnan(value))]  # NaN sorts last
    value, bound = value[order], np.logical_or.accumulate(bound[order])
    n = len(value)
    if n == 0:
        return Spread(math.nan, math.nan, math.nan, 0)
    lower, upper = float(value[(n - 1) // 2]), float(value[n // 2])
    median = lower if lower == upper else (lower + upper) / 2
    low = 0 if level is None else trim(n, level)
    ends = float(value[low]), float(value[n - 1 - low])
    return Spread(median, *ends, n, *map(bool, (bound[n // 2], bound[low], bound[n - 1 - low])))
