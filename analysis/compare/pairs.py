"""Two sweeps side by side: which runs are a pair, and by how much the second of a pair differs from the first."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis import tables
from analysis.statistics.aggregate import NO_NUMBER, axes, place
from analysis.statistics.digests import spread
from analysis.statistics.intervals import LEVEL, sign_test
from analysis.statistics.measures import SECONDS
from analysis.wording import setting

MOST = 4  # reasons that are told
CONDITIONS = ("scale", "code", *NO_NUMBER)


class Sides(NamedTuple):
    """The same of A and of B."""

    a: pd.DataFrame
    b: pd.DataFrame


def keys(sides: Sides) -> list[str]:
    """What a pair agrees in: the axes of either sweep, the seed, and the task with all of its settings."""
    found = {name for runs in sides for name in axes(runs)} | {"seed"}
    every = sorted({name for runs in sides for name in tables.configuration(runs)})
    task = [name for name in every if name.split(".")[0] == "task" and len({*map(_tokens(name), sides)}) > 1]
    return sorted({*found, *task}, key=place)


def differences(pair: Sides) -> dict[str, list[tuple[str, str]]]:
    """The settings, versions and conditions in which partners differ, with the values of A and B: what is compared."""
    versions = sorted({name for runs in pair for name in runs if name.startswith("versions.")})
    settings = sorted({name for runs in pair for name in tables.configuration(runs)} - set(NO_NUMBER))
    found: dict[str, list[tuple[str, str]]] = {}
    for name in [*settings, *CONDITIONS, *versions]:
        values = set(zip(*(_values(runs, name) for runs in pair), strict=True))
        differing = sorted((a, b) for a, b in values if a != b)
        if differing and name.rpartition(".")[0] not in found:  # what follows from another cell is not told
            found[name] = differing
    return found


def paired(sides: Sides, by: Sequence[str]) -> tuple[Sides, list[list[str]]]:
    """The finished runs that have a partner, row by row, and for each side why others have none.

    Raises:
        ValueError: there is no pair; says what the two have in common in nothing.
    """
    done = Sides(*(runs[runs["outcome"].isin(tables.FINISHED)].reset_index(drop=True) for runs in sides))
    at = [dict(zip(_rows(runs, by), runs.index, strict=True)) for runs in done]
    both = [key for key in at[0] if key in at[1]]
    why = []
    for mine, theirs in ((0, 1), (1, 0)):
        lost = [key for key in at[mine] if key not in at[theirs]]
        why.append(_reasons(lost, _rows(sides[theirs], by), by, "BA"[mine]))
    if not both:
        raise ValueError(f"no run of A has a partner in B: {'; '.join(why[0]) or 'A has no finished run'}")
    return Sides(*(runs.loc[[at[k][key] for key in both]].reset_index(drop=True) for k, runs in enumerate(done))), why


def _reasons(lost: list[tuple], others: list[tuple], by: Sequence[str], other: str) -> list[str]:
    there, values = {*others}, [{*column} for column in zip(*others, strict=True)]
    counts: Counter[str] = Counter()
    for key in lost:
        alien = [f"{name}={value}" for name, value, known in zip(by, key, values, strict=True) if value not in known]
        which = f"{other} has no {alien[0]}" if alien else f"{other} has no such combination"
        counts[f"its partner in {other} is not finished" if key in there else which] += 1
    said = [f"{n} ({reason})" for reason, n in counts.most_common(MOST)]
    return [*said, f"and {len(counts) - MOST} more reasons"] if len(counts) > MOST else said


def identical(pair: Sides, names: Sequence[str]) -> pd.Series:
    """Which pairs have the same numbers, to the last bit."""
    a, b = (runs[list(names)].to_numpy(float) for runs in pair)
    return pd.Series(((a == b) | (np.isnan(a) & np.isnan(b))).all(axis=1))


def is_ratio(pair: Sides, name: str) -> bool:
    """Whether the number is positive on a scale of its own, so that B is compared with A by B/A and not by B - A."""
    positive = name.endswith("/loss") or name.startswith("horizon/") or name == SECONDS
    return positive and all(not (runs[name] < 0).any() for runs in pair)


def effect(pair: Sides, name: str, ratio: bool) -> dict[str, Any]:
    """By how much B differs from A: the median over pairs of B/A or of B - A, with the order statistics around it.

    Of `solved` A and B are shares of the pairs and have no median. p is that of the sign test over the pairs.
    """
    a, b = (_numbers(runs, name) for runs in pair)
    there = ~(np.isnan(a) | np.isnan(b))
    a, b = a[there], b[there]
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where(a == b, 1.0 if ratio else 0.0, b / a if ratio else b - a)
    lower, higher = int((b < a).sum()), int((b > a).sum())
    row: dict[str, Any] = {"quantity": name, "pairs": len(a)}
    for side, values, runs in zip("AB", (a, b), pair, strict=True):
        bound = runs[f"{name}_censored"][there] if f"{name}_censored" in runs else None
        middle = spread(values, bound)
        row |= {side: values.mean() if name == "solved" and len(a) else middle.median}
        row |= {f"{side}_censored": middle.median_censored}
    s = spread([] if name == "solved" else change, level=LEVEL)
    row |= {"change": "B/A" if ratio else "B - A", "median": s.median, "low": s.low, "high": s.high}
    return row | {"lower": lower, "equal": len(a) - lower - higher, "higher": higher, "p": sign_test(lower, higher)}


def _numbers(runs: pd.DataFrame, name: str) -> np.ndarray:
    return (runs["outcome"] == "solved").to_numpy(float) if name == "solved" else runs[name].to_numpy(float)


def _values(runs: pd.DataFrame, name: str) -> list[str]:
    values = [_exact(value) for value in runs[name]] if name in runs else ["-"] * len(runs)
    return [value[:10] for value in values] if name == "code" else values


def _exact(value: Any) -> str:
    """A setting as text that is the same for the same number, 1 or 1.0, and another for another."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return repr(float(value)).removesuffix(".0") if number else setting(value)


def _tokens(name: str) -> Any:
    return lambda runs: frozenset(_values(runs, name))


def _rows(runs: pd.DataFrame, by: Sequence[str]) -> list[tuple]:
    return list(zip(*(_values(runs, name) for name in by), strict=True))
