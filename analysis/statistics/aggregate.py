"""What varies in a sweep, and its seeds brought together: one row per configuration, each number with its interval."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from analysis import tables
from analysis.statistics.digests import spread
from analysis.statistics.intervals import LEVEL, wilson
from analysis.statistics.measures import Quantity

NO_NUMBER = ("device", "threads", "probes")  # runs that differ in these alone are trained alike, but for the last bits
FIRST = ("task", "cell", "gate_bias", "init", "constraint", "network")  # parts, in the order of every table
DIRECTIONS = ("forward", "backward", "bidirectional")
OUTCOMES = (*tables.FINISHED, "running", "failed", "unfinished")
ENDS = ("median", "low", "high")
ENOUGH = 3  # ranges of two seeds each are apart by chance in one case of three, of three in one of ten


def axes(runs: pd.DataFrame) -> list[str]:
    """The settings that vary, seeds last: columns of `tables.configuration` with more than one value among the runs.

    Left out is what follows from another one: a value of a part that is the same wherever the part is (`task.marks`
    of the one task that has marks, while `init.gain` that takes two values within one init stays), and what repeats
    another axis wherever it is set (`seeds.data`, or the longest memory that a gate bias is made for).

    Args:
        runs: from `tables.runs`; unfinished ones count as well.
    """
    names = sorted(tables.configuration(runs), key=place)
    varying = [name for name in names if name.split(".")[0] not in NO_NUMBER and runs[name].nunique(dropna=False) > 1]
    found: list[str] = []
    for name in sorted(varying, key=lambda name: name != "seed"):  # the seed is what its streams repeat
        if not _follows(runs, name) and not any(_repeats(runs[name], runs[other]) for other in found):
            found.append(name)
    return sorted(found, key=place)


def is_seed(name: str) -> bool:
    return name.split(".")[0] in ("seed", "seeds")


def place(name: str) -> tuple:
    """Where a setting stands in every table: what is sorted by."""
    part = name.split(".")[0]
    return is_seed(name), FIRST.index(part) if part in FIRST else len(FIRST), name


def _follows(runs: pd.DataFrame, name: str) -> bool:
    """Whether the setting of a part has one value, or none, for each choice of that part."""
    part = name.rpartition(".")[0]
    return part in runs and bool((runs.groupby(part, dropna=False)[name].nunique(dropna=False) == 1).all())


def _repeats(column: pd.Series, other: pd.Series) -> bool:
    there = column.notna()
    return column.dtype != bool and other.dtype != bool and bool((column[there] == other[there]).all())


def configurations(runs: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The settings and the runs of each configuration, sorted by the first of the axes first."""
    if not by:
        yield {}, runs
        return
    for key, group in in_order(runs, by).groupby(list(by), dropna=False, sort=False):
        yield dict(zip(by, key, strict=True)), group


def in_order(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Rows sorted by these columns: numbers by size, text by the alphabet after them, what is not set at the end."""

    def rank(column: pd.Series) -> pd.Series:
        if column.name == "network.direction":
            return column.map({name: k for k, name in enumerate(DIRECTIONS)})
        values = sorted(column.dropna().unique(), key=lambda value: (isinstance(value, str), value))
        return column.map({value: k for k, value in enumerate(values)})

    return table.sort_values(list(by), key=rank, kind="stable", na_position="last") if by else table


def unique(runs: pd.DataFrame) -> None:
    """Refuse two finished runs of one configuration and seed, as of two devices: they are no sample.

    Raises:
        ValueError: names them and in what they differ.
    """
    runs = runs[runs["outcome"].isin(tables.FINISHED)]
    for _, group in configurations(runs, axes(runs)):
        if len(group) > 1:
            settings = [name for name in tables.configuration(group) if name.split(".")[0] in NO_NUMBER]
            differing = [name for name in settings if group[name].nunique(dropna=False) > 1]
            why = f"; they differ in {differing[0]}: choose with --where {differing[0]}=VALUE" if differing else ""
            raise ValueError(f"the same configuration and seed is there more than once: {', '.join(group['run'])}{why}")


def one_each(runs: pd.DataFrame, shown: pd.DataFrame) -> None:
    """Refuse two runs that a figure would take for one.

    Args:
        runs: from `tables.runs`.
        shown: the same runs, with what the figure tells apart.

    Raises:
        ValueError: names them and in what they differ.
    """
    for places in shown.groupby(list(shown), observed=True, dropna=False).indices.values():
        if len(places) > 1:
            group = runs.iloc[places]
            name = next(iter(axes(group)), "run")
            values = ", ".join(map(str, group[name].unique()))
            raise ValueError(f"the figure shows runs as one that differ in {name} ({values}): choose with --where")


def aggregate(
    runs: pd.DataFrame, quantities: Sequence[Quantity], by: Sequence[str], within: Sequence[str], level: float = LEVEL
) -> pd.DataFrame:
    """One row per configuration: its settings, the counts of outcomes, and each quantity over its finished runs.

    NAME_median, NAME_low and NAME_high (the order statistics of `intervals.trim`), NAME_seeds, and NAME_best where it
    is a contest; NAME_..._censored for horizons; of `solved` its share of the seeds, with the interval of Wilson. Best
    is what no other configuration of the same `within` comes near: the intervals are apart, each of at least `ENOUGH`
    seeds.

    Args:
        runs: of `tables.runs`, with the columns of the quantities.
        by: the axes without seeds.
    """
    rows = []
    for setting, group in configurations(runs, by):
        finished = group[group["outcome"].isin(tables.FINISHED)]
        counts = {name: int((group["outcome"] == name).sum()) for name in OUTCOMES}
        low, high = wilson(counts["solved"], len(finished), level)
        row = setting | {"seeds": len(finished), **counts}
        row |= {"solved_share": counts["solved"] / len(finished) if len(finished) else math.nan}
        row |= {"solved_low": low, "solved_high": high}
        for quantity in quantities:
            row |= _columns(quantity.name, finished, level)
        if "verdict" in runs:
            counts = Counter(sorted(finished["verdict"].dropna())).most_common()
            row |= {"verdict": ", ".join(f"{name} {n}/{len(finished)}" for name, n in counts)}
        rows.append(row)
    table = pd.DataFrame(rows)
    for name, best in [("solved", "high"), *((q.name, q.best) for q in quantities if q.best)]:
        at = table.columns.get_loc(f"{name}_high")
        table.insert(at + 1, f"{name}_best", _apart(table, name, best, within))
    return table


def _columns(name: str, finished: pd.DataFrame, level: float) -> dict[str, Any]:
    bound = finished.get(f"{name}_censored")
    s = spread(finished[name], bound, level)
    row: dict[str, Any] = {f"{name}_median": s.median, f"{name}_low": s.low, f"{name}_high": s.high}
    if bound is not None:
        ends = zip(ENDS, (s.median_censored, s.low_censored, s.high_censored), strict=True)
        row |= {f"{name}_{which}_censored": censored for which, censored in ends}
    return row | {f"{name}_seeds": s.runs}


def _apart(table: pd.DataFrame, name: str, best: str, within: Sequence[str]) -> pd.Series:
    """Where the interval of the best of its group lies apart from all others of the group."""
    seeds = table[f"{name}_seeds"] if f"{name}_seeds" in table else table["seeds"]
    low, high = table[f"{name}_low"], table[f"{name}_high"]
    if best == "high":
        low, high = -high, -low
    marked = pd.Series(False, table.index)
    for _, group in configurations(table, within):
        there = [row for row in group.index if seeds[row] > 0]
        if len(there) < 2 or seeds[there].min() < ENOUGH:
            continue
        first = high[there].idxmin()
        marked[first] = all(high[first] < low[other] for other in there if other != first)
    return marked
