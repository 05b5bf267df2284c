"""What a paper says, held against a table: text, the paper's number, ours with its interval, the rule, a verdict.

The median over the seeds decides, and its interval is shown beside it: of five seeds it is their range, which holds the
median of all seeds at a level of 94 %. A claim that the table says nothing of is `not tested`, never left out.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis import markup
from analysis.statistics.intervals import trim, wilson

Verdict = Literal["holds", "does not hold", "not tested"]


@dataclass(frozen=True)
class Claim:
    """One sentence that can fail.

    Attributes:
        text: the sentence.
        paper: the number of the paper, or of the theorem.
        ours: the median over the seeds with its interval, a rate with its interval, or how often a law held.
        rule: what `ours` has to meet.
    """

    text: str
    paper: str
    ours: str
    rule: str
    verdict: Verdict


def at_most(text: str, values: Iterable[float], bound: float, *, paper: str, unit: str = "") -> Claim:
    """The median of the values, one for each seed, is `bound` or less."""
    return _of_median(text, values, f"<= {_number(bound)}{_unit(unit)}", lambda m: m <= bound, paper, unit)


def at_least(text: str, values: Iterable[float], bound: float, *, paper: str, unit: str = "") -> Claim:
    """The median of the values, one for each seed, is `bound` or more."""
    return _of_median(text, values, f">= {_number(bound)}{_unit(unit)}", lambda m: m >= bound, paper, unit)


def between(text: str, values: Iterable[float], low: float, high: float, *, paper: str, unit: str = "") -> Claim:
    """The median of the values, one for each seed, lies in [low, high]."""
    rule = f"{_number(low)} to {_number(high)}{_unit(unit)}"
    return _of_median(text, values, rule, lambda m: low <= m <= high, paper, unit)


def share(
    text: str, successes: int, n: int, *, least: float | None = None, most: float | None = None, paper: str
) -> Claim:
    """A rate, that of the n tries, is within [least, most]; one of the two may be left out."""
    if least is None and most is None:
        raise ValueError("a share needs least or most, got neither")
    bounds = {">=": least, "<=": most}
    rule = " and ".join(f"{sign} {_number(bound)}" for sign, bound in bounds.items() if bound is not None)
    if n == 0:
        return Claim(text, paper, "no runs", rule, "not tested")
    low, high = wilson(successes, n)
    holds = (least is None or successes / n >= least) and (most is None or successes / n <= most)
    ours = f"{successes} of {n}, {_number(successes / n)} [{_number(low)}, {_number(high)}]"
    return Claim(text, paper, ours, rule, _verdict(holds))


def every(text: str, holds: Iterable[bool], *, paper: str, rule: str) -> Claim:
    """A law without exception."""
    found = [bool(one) for one in holds]
    if not found:
        return Claim(text, paper, "no runs", rule, "not tested")
    return Claim(text, paper, f"{sum(found)} of {len(found)}", rule, _verdict(all(found)))


def untested(text: str, *, paper: str, why: str) -> Claim:
    """What the table says nothing of."""
    return Claim(text, paper, "", why, "not tested")


def markdown(claims: Sequence[Claim]) -> str:
    """A table of claims, without a note above it."""
    rows = [[c.text, c.paper, c.ours or "-", c.rule, f"**{c.verdict}**"] for c in claims]
    return markup.markdown(pd.DataFrame(rows, columns=["claim", "paper", "here", "rule", "verdict"]), "").lstrip()


def text(claims: Sequence[Claim]) -> str:
    """Lines for a terminal: the verdict first."""
    return "\n".join(
        f"{c.verdict + ':':<15}{c.text}" + (f": {c.ours}" if c.ours else "") + f" ({c.rule}; paper: {c.paper})"
        for c in claims
    )


def _of_median(
    text: str, values: Iterable[float], rule: str, meets: Callable[[float], bool], paper: str, unit: str
) -> Claim:
    found = np.sort(np.array(list(values), float))
    if len(found) == 0:
        return Claim(text, paper, "no runs", rule, "not tested")
    if np.isnan(found).any():
        raise ValueError(f"a claim needs a number for each seed, got {found.tolist()}: {text}")
    median = float(np.median(found))
    cut = trim(len(found))
    interval = f" [{_number(found[cut])}, {_number(found[-1 - cut])}]" if len(found) > 1 else ""
    return Claim(text, paper, f"{_number(median)}{interval}{_unit(unit)}", rule, _verdict(meets(median)))


def _verdict(holds: bool) -> Verdict:
    return "holds" if holds else "does not hold"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _number(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
