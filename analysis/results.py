"""The tables of the published figures, kept as results/NAME.csv, so that a figure can be redrawn without a run.

The first line of a file is a comment, `# {...}`, in JSON: of which experiment, scale and how many runs it is, and the
type of each column: int, float, bool, text, or the list of its categories in their order. A text that all rows share
stands there alone, as {"all": text}. Numbers have five significant digits; an empty cell is NaN. The same table gives
the same bytes.
"""

import hashlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import cli

FOLDER = Path(__file__).with_suffix("")
LIMIT = 10**6  # bytes of one file
DIGITS = 5


def settled(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read again once it was kept: what is drawn of it is drawn of the kept one, to the byte."""
    return parse(text(table, {}))[0]


def write(name: str, table: pd.DataFrame, about: Mapping[str, Any]) -> Path:
    """Keep a table, and return its path.

    Raises:
        ValueError: it is larger than `LIMIT`, or cannot be written.
    """
    content = text(table, about)
    size = len(content.encode())
    if size > LIMIT:
        raise ValueError(f"a kept table has at most {LIMIT:,} bytes, {name} has {size:,} in {len(table):,} rows")
    (path,) = cli.write(FOLDER / name, {"csv": content})
    return path


def read(name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A kept table and what it is of: experiment, scale, runs, seeds.

    Raises:
        ValueError: there is none of this name, or it cannot be read.
    """
    path = FOLDER / f"{name}.csv"
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = ", ".join(names()) or "none"
        raise ValueError(f"no table {name} is kept in {FOLDER}; there is: {there}") from None
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__}: {str(error).splitlines()[0]})") from None


def digest(name: str) -> str:
    """Of the bytes of a kept table: it says whether a picture was drawn from this one."""
    return hashlib.sha256((FOLDER / f"{name}.csv").read_bytes()).hexdigest()


def names() -> list[str]:
    """Of the tables that are kept, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.csv"))


def text(table: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """What stands in the file."""
    kinds = {name: _kind(table[name]) for name in table}
    cells = {name: _written(table[name], kind) for name, kind in kinds.items() if not isinstance(kind, dict)}
    head = json.dumps({**about, "columns": kinds}, ensure_ascii=False)
    return f"# {head}\n" + pd.DataFrame(cells).to_csv(index=False, lineterminator="\n")


def parse(content: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and what it is of, from what stands in the file."""
    first, _, rest = content.partition("\n")
    about = json.loads(first.removeprefix("# "))
    kinds = about.pop("columns")
    cells = pd.read_csv(io.StringIO(rest), dtype=str, keep_default_na=False)
    columns = {
        name: pd.Series(kind["all"], cells.index) if isinstance(kind, dict) else _restored(cells[name], kind)
        for name, kind in kinds.items()
    }
    return pd.DataFrame(columns), about


def _kind(column: pd.Series) -> str | list[str] | dict[str, str]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        there = set(column)
        return [str(value) for value in column.cat.categories if value in there]
    for kind, test in (
        ("bool", pd.api.types.is_bool_dtype),
        ("int", pd.api.types.is_integer_dtype),
        ("float", pd.api.types.is_float_dtype),
    ):
        if test(column):
            return kind
    if column.isna().any() or not column.map(lambda value: isinstance(value, str)).all():
        raise ValueError(f"a kept column of text holds text alone, {column.name} does not")
    return {"all": column.iloc[0]} if column.nunique() == 1 else "text"


def _written(column: pd.Series, kind: str | list[str]) -> pd.Series:
    if kind == "float":
        return column.map(lambda value: "" if math.isnan(value) else f"{value:.{DIGITS}g}")
    return column.astype(str)


def _restored(cells: pd.Series, kind: str | list[str]) -> pd.Series:
    if isinstance(kind, list):
        return pd.Series(pd.Categorical(cells, kind, ordered=True))
    if kind == "float":
        return cells.replace("", "nan").astype(float)
    if kind == "bool":
        return cells == "True"
    return cells.astype("int64") if kind == "int" else cells
