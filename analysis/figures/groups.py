"""Runs brought together: a table of one or more rows for each value of some columns."""

from collections.abc import Iterator
from typing import Any

import pandas as pd


def groups(table: pd.DataFrame, by: list[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The values of `by` that occur, in their order, and the rows that have them."""
    for key, group in table.groupby(by, observed=True, sort=True):
        yield dict(zip(by, key, strict=True)), group


def gathered(rows: list[dict[str, Any]], by: list[str], like: pd.DataFrame) -> pd.DataFrame:
    """The rows as a table whose columns `by` have the types that they have in `like`: categories keep their order."""
    return pd.DataFrame(rows).astype({name: like[name].dtype for name in by})
