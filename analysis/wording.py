"""Settings and numbers as the text of a table."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from analysis.digests import Spread
from analysis.intervals import held

NAMES = {
    "task.length": "T",
    "horizon/init": "horizon, init",
    "horizon/trained": "horizon, trained",
    "decay/init": "decay, init",
    "decay/trained": "decay, trained",
    "predicted.horizon": "horizon, predicted",
    "predicted.decay_per_step": "decay, predicted",
    "wall_seconds": "seconds",
}
GRADIENTS = (
    "Horizon (steps; the first lag at which the norm of the gradient has fallen by 1000, >= T where it has not) and "
    "decay (decades per step, negative when vanishing) are of the recurrent layer nearest to the input, at "
    "initialisation and after training."
)


def labels(names: Sequence[str]) -> dict[str, str]:
    """Each name without its part where that is clear: `network.depth` is depth, `task.length` T."""
    short = {name: NAMES.get(name, name.rpartition(".")[2]) for name in names}
    return {name: label if list(short.values()).count(label) == 1 else name for name, label in short.items()}


def setting(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return "-" if math.isnan(value) else f"{value:g}" if abs(value) < 1e5 else f"{value:.15g}"
    return "-" if value is None else str(value)


def number(value: float, censored: bool = False) -> str:
    return Spread(value, value, value, 0 if math.isnan(value) else 1, censored).text()


def plain(row: dict[str, Any], name: str, intervals: bool = True) -> str:
    """The text of a quantity of `aggregate.aggregate`; `-` for nothing."""
    bounds = [bool(row.get(f"{name}_{end}_censored", False)) for end in ("median", "low", "high")]
    runs = row[f"{name}_seeds"] if intervals else min(row[f"{name}_seeds"], 1)
    return Spread(row[f"{name}_median"], row[f"{name}_low"], row[f"{name}_high"], runs, *bounds).text()


def shown(
    table: pd.DataFrame, by: Sequence[str], names: Sequence[str], intervals: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells of a table of `aggregate.aggregate` as text, and which of them are the best.

    Quantities of which there is nothing are left out.

    Args:
        by: the settings.
        names: the quantities, `solved` and `verdict` among them.
    """
    rows = table.to_dict("records")
    text, best = pd.DataFrame(index=table.index), pd.DataFrame(index=table.index)
    for name, label in labels(by).items():
        text[label] = [setting(row[name]) for row in rows]
    text["seeds"] = [str(row["seeds"]) for row in rows]
    unfinished = table[["running", "failed", "unfinished"]].sum(axis=1)
    for label, counts in (("diverged", table["diverged"]), ("unfinished", unfinished)):
        if counts.any():
            text[label] = counts.map(str)
    for name in names:
        if name == "solved":
            text[name] = [_share(row, intervals) for row in rows]
        elif name == "verdict":
            text[name] = [row[name] or "-" for row in rows]
        elif table[f"{name}_seeds"].any():
            text[NAMES.get(name, name)] = [plain(row, name, intervals) for row in rows]
        else:
            continue
        best[NAMES.get(name, name)] = table.get(f"{name}_best", False)
    return text, best.reindex(columns=text.columns, fill_value=False)


def _share(row: dict[str, Any], intervals: bool) -> str:
    if not row["seeds"]:
        return "-"
    interval = f" [{row['solved_low']:.2f}, {row['solved_high']:.2f}]" if intervals else ""
    return f"{row['solved']}/{row['seeds']}{interval}"


def levels(counts: Iterable[int], least: float, of: str = "seeds") -> str:
    """What the brackets behind medians of so many values are, and at which level they hold."""
    seen = sorted(set(counts) - {0})
    if seen in ([], [1]):
        return f"no interval, for want of {of}"
    notes = ["one alone has none"] if 1 in seen else []
    notes += [f"of {n} {of} the range, at {100 * held(n):.0f} %" for n in seen if n > 1 and held(n) < least]
    text = (
        f"in brackets the order statistics that hold the true median at {100 * least:.0f} % whatever the distribution"
    )
    return text + (f" ({'; '.join(notes)})" if notes else "")
