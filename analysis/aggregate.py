"""What varies in a sweep, and what its runs are a sample of."""

import pandas as pd

from analysis import tables

NO_NUMBER = ("device", "threads")  # two runs that differ in these alone are the same run, but for the last bits
FIRST = ("task", "cell", "gate_bias", "init", "constraint", "network")  # parts, in the order of every table
TASK = ("task", "task.length")


def axes(runs: pd.DataFrame) -> list[str]:
    """The settings that vary, seeds last: columns of `tables.configuration` with more than one value among the runs.

    Left out is what follows from another one: a value of a part that is the same wherever the part is (`task.marks`
    of the one task that has marks, while `init.gain` that takes two values within one init stays), and what repeats
    another axis wherever it is set (`seeds.data`, or the longest memory that a gate bias is made for).

    Args:
        runs: from `tables.runs`; unfinished ones count as well.
    """
    names = sorted(tables.configuration(runs), key=_place)
    varying = [name for name in names if name not in NO_NUMBER and runs[name].nunique(dropna=False) > 1]
    found: list[str] = []
    for name in sorted(varying, key=lambda name: name != "seed"):  # the seed is what its streams repeat
        if not _follows(runs, name) and not any(_repeats(runs[name], runs[other]) for other in found):
            found.append(name)
    return sorted(found, key=_place)


def is_seed(name: str) -> bool:
    return name.split(".")[0] in ("seed", "seeds")


def _place(name: str) -> tuple:
    part = name.split(".")[0]
    return is_seed(name), FIRST.index(part) if part in FIRST else len(FIRST), name


def _follows(runs: pd.DataFrame, name: str) -> bool:
    """Whether the setting of a part has one value, or none, for each choice of that part."""
    part = name.rpartition(".")[0]
    return part in runs and bool((runs.groupby(part, dropna=False)[name].nunique(dropna=False) == 1).all())


def _repeats(column: pd.Series, other: pd.Series) -> bool:
    there = column.notna()
    return column.dtype != bool and other.dtype != bool and bool((column[there] == other[there]).all())
