"""What is said of two sweeps that were paired: the table of changes, its two pages, and what has no partner."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.compare.pairs import Sides, effect, is_ratio
from analysis.statistics.aggregate import configurations, is_seed
from analysis.statistics.digests import Spread
from analysis.statistics.intervals import LEVEL
from analysis.statistics.measures import GRADIENT
from analysis.wording import GRADIENTS, NAMES, labels, levels, number, setting


def table(pair: Sides, by: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """One row per quantity over all pairs, then one per configuration and quantity.

    `median`, `low` and `high` are of the change over the pairs; `lower` and `higher` count the pairs by where B lies.
    """
    ratio = {name: name != "solved" and is_ratio(pair, name) for name in names}
    shared = [name for name in by if not is_seed(name) and name in pair.a and pair.a[name].nunique(dropna=False) > 1]
    rows = [{"of": "all", **effect(pair, name, ratio[name])} for name in names]
    for group, members in configurations(pair.a, shared):
        part = Sides(*(runs.loc[members.index] for runs in pair))
        rows += [{"of": "configuration", **group, **effect(part, name, ratio[name])} for name in names]
    found = pd.DataFrame(rows)
    first = ["of", *shared]
    return found.loc[found["pairs"] > 0, [*first, *(name for name in found if name not in first)]]


def pages(
    changes: pd.DataFrame, names: Sequence[str], differ: Mapping[str, Sequence[tuple[str, str]]]
) -> list[tuple[pd.DataFrame, str]]:
    """The text and the note of all pairs together, and of each configuration if there are several.

    Args:
        names: what A and B are called.
        differ: from `pairs.differences`.
    """
    every, each = (changes[changes["of"] == of] for of in ("all", "configuration"))
    shared = list(changes)[1 : changes.columns.get_loc("quantity")]
    what = ", ".join(f"{name} ({'; '.join(f'{a} and {b}' for a, b in pairs)})" for name, pairs in differ.items())
    about = f"A is {names[0]}, B is {names[1]}; they differ in {what or 'no setting'}."
    gradients = " ".join(["", GRADIENTS, "A change takes a lower bound as the value."])
    note = (
        f"{about} Change from A to B of the same configuration and seed: median over pairs, "
        f"{levels(every['pairs'], LEVEL, 'pairs')}; A and B are medians, of solved the shares. Lower, equal, higher: "
        "in how many pairs B is. p: two-sided sign test, as if all pairs were independent."
        f"{gradients if every['quantity'].isin(GRADIENT).any() else ''}"
    )
    found = [(_summary(every), note)]
    if shared:
        how = f"median over the pairs of a configuration, {levels(each['pairs'], LEVEL, 'pairs')}"
        found.append((_each(each, shared), f"{about} Change from A to B: {how}."))
    return found


def _summary(every: pd.DataFrame) -> pd.DataFrame:
    rows = every.to_dict("records")
    counts = {name: [str(row[name]) for row in rows] for name in ("lower", "equal", "higher")}
    return pd.DataFrame(
        {
            "quantity": [NAMES.get(name, name) for name in every["quantity"]],
            "pairs": [str(row["pairs"]) for row in rows],
            **{side: [number(row[side], row[f"{side}_censored"]) for row in rows] for side in "AB"},
            "change": ["" if row["quantity"] == "solved" else row["change"] for row in rows],
            "median": [_change(row) for row in rows],
            **counts,
            "p": [f"{row['p']:.2g}" for row in rows],
        }
    )


def _each(each: pd.DataFrame, shared: Sequence[str]) -> pd.DataFrame:
    rows = []
    for group, members in configurations(each, shared):
        row = {label: setting(group[name]) for name, label in labels(shared).items()}
        row["pairs"] = str(members["pairs"].max())
        for one in members.to_dict("records"):
            name = NAMES.get(one["quantity"], one["quantity"])
            if one["quantity"] == "solved":
                row["solved, A to B"] = f"{number(one['A'])} to {number(one['B'])}"
            else:
                row[f"{name}, {one['change']}"] = _change(one)
        rows.append(row)
    return pd.DataFrame(rows).fillna("-")


def _change(row: Mapping[str, Any]) -> str:
    return Spread(row["median"], row["low"], row["high"], 0 if math.isnan(row["median"]) else row["pairs"]).text()


def said(pair: Sides, lost: Sequence[Sequence[str]], same: pd.Series) -> list[str]:
    """How many pairs there are, how many of them are the same run, and who has no partner.

    Args:
        same: from `pairs.identical`.
    """
    runs = pair.a["run"] == pair.b["run"]
    lines = [f"{len(same)} pairs"]
    for kind, found in (
        ("are the same run with the same numbers, to the last bit", runs & same),
        ("are the same run with other numbers", runs & ~same),
        ("are different runs with the same numbers", ~runs & same),
    ):
        if found.any():
            lines.append(f"{'all' if found.all() else int(found.sum())} of them {kind}")
    alone = [f"runs of {name} without a partner: {'; '.join(why)}" for name, why in zip("AB", lost, strict=True) if why]
    return [", ".join(lines), *alone]
