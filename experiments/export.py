"""All runs of an experiment as Parquet tables, for DuckDB and others; needs pyarrow, the extra `export`.

    python -m experiments.export NAME --parquet FILE [--outputs outputs]

FILE names the tables: `results.parquet` becomes `results_runs.parquet`, `results_scalars.parquet`, ... All of them
replace older ones at the end; they are written run by run, so that memory holds one run and a million rows.

`runs` has one row per run: id, outcome, settings, final scalars and metrics, as in `analysis.tables.runs`; a setting
that is a number in one run and a text in another is text. The columns of the others are those of `COLUMNS`, after the
column `run` that all share. NaN and -inf are values, as in the record; a number that a run has not is NaN in `runs`.

    select r."init.gain", p.lag, median(p.q50) from 'results_profiles.parquet' p
    join 'results_runs.parquet' r using (run) where p.step = 0 group by all order by all
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from analysis import cli, tables
from analysis.folders import left_out
from analysis.tables.blocks import blocks

ROWS = 2**20  # of a row group
STATISTICS = dict.fromkeys(tables.STATISTICS, "double")  # log10 of a norm over the samples
SERIES = {"step": "int64", "layer": "int64", "direction": "text"}
COLUMNS = {  # text: a string, dictionary-encoded
    "scalars": {"step": "int64", "name": "text", "value": "double"},
    "profiles": {
        **SERIES,
        **{"part": "text", "loss": "text", "time": "int64", "lag": "int64"},
        **STATISTICS,
        **{"zeros": "int64", "nonfinite": "int64"},
    },
    "drive": {**SERIES, "gate": "text", "time": "int64", **STATISTICS},
    "weights": {**SERIES, "gate": "text", "time": "int64", "log10_norm": "double"},
    "states": {**SERIES, "measure": "text", "time": "int64", **STATISTICS},
    "step_losses": {"step": "int64", "time": "int64", "loss": "double"},
}
ALWAYS = ("scalars", "profiles")  # the others only if some run has such rows


class Sheets:
    """The tables of one export: rows go in, at the end files come out, all or none.

    Args:
        file: its stem is what the names of the files begin with.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._waiting: dict[str, list[Any]] = {}
        self._writers: dict[str, Any] = {}

    def path(self, table: str) -> Path:
        return self.file.with_name(f"{self.file.stem}_{table}.parquet")

    def files(self) -> list[Path]:
        return [self.path(table) for table in ("runs", *COLUMNS) if table in self._writers]

    def add(self, table: str, rows: Any) -> None:
        """Rows of a pyarrow table, of the same columns each time."""
        waiting = self._waiting.setdefault(table, [])
        waiting.append(rows)
        if sum(len(one) for one in waiting) >= ROWS:
            self._flush(table)

    def _flush(self, table: str) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        rows = pa.concat_tables(self._waiting.pop(table)).unify_dictionaries()
        if table not in self._writers:
            self._writers[table] = parquet.ParquetWriter(self._part(table), rows.schema, compression="zstd")
        self._writers[table].write_table(rows)

    def _part(self, table: str) -> Path:
        return self.path(table).with_name(self.path(table).name + ".part")

    def __enter__(self) -> Self:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        try:
            for table in list(self._waiting) if kind is None else []:
                self._flush(table)
            for writer in self._writers.values():
                writer.close()
            for table in self._writers if kind is None else []:
                os.replace(self._part(table), self.path(table))
        finally:
            for table in self._writers:
                self._part(table).unlink(missing_ok=True)


def rows(run: str, table: str, columns: Mapping[str, Any]) -> Any:
    """Rows of one run, of lists or of a DataFrame, as a pyarrow table of `COLUMNS`; what is absent is null."""
    import pyarrow as pa

    types = {"text": pa.dictionary(pa.int32(), pa.string()), "int64": pa.int64(), "double": pa.float64()}
    count = len(columns["step"])
    found = {"run": pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([run], pa.string()))}
    for name, kind in COLUMNS[table].items():
        if name not in columns:
            found[name] = pa.nulls(count, types[kind])
        elif kind == "text":
            found[name] = texts(columns[name])
        else:
            found[name] = pa.array(np.asarray(columns[name]), types[kind])  # of numpy: NaN is no null
    return pa.table(found)


def texts(values: Any) -> Any:
    """A list, or a categorical column, as a dictionary-encoded array."""
    import pyarrow as pa

    if isinstance(values, list):
        return pa.array(values, pa.string()).dictionary_encode()
    codes = pa.array(values.cat.codes.to_numpy(np.int32))
    return pa.DictionaryArray.from_arrays(codes, pa.array(map(str, values.cat.categories), pa.string()))


def settings(frame: Any) -> Any:
    """The DataFrame of runs for pyarrow; columns of several types become text."""
    import pyarrow as pa

    found = {}
    for name, column in frame.items():
        if column.dtype.kind in "if":
            found[name] = pa.array(column.to_numpy())
            continue
        values = [None if value is None or value != value else value for value in column]
        kinds = {type(value) for value in values if value is not None}
        several = [v if v is None or len(kinds) == 1 else str(v) for v in values]
        found[name] = pa.array(several, None if kinds else pa.string())
    return pa.table(found)


def export(folder: Path, file: Path) -> list[Path]:
    """Write the tables of all runs in the folder; returns the files.

    What cannot be read is left out, with a warning that names it.

    Raises:
        ValueError: the folder holds no run that can be read.
    """
    frame = tables.runs(folder)
    with Sheets(file) as sheets:
        sheets.add("runs", settings(frame))
        for table in ALWAYS:
            sheets.add(table, rows("", table, {name: [] for name in COLUMNS[table]}))
        for run in frame["run"]:
            steps = {(step, name): value for step, name, value in tables.logged(folder / run)}  # the later line counts
            columns = {"step": [step for step, _ in steps], "name": [name for _, name in steps]}
            sheets.add("scalars", rows(run, "scalars", {**columns, "value": list(steps.values())}))
            for table, block in _profiles(folder / run):
                sheets.add(table, rows(run, table, block))
    return sheets.files()


def _profiles(path: Path) -> Any:
    try:
        if (path / "profiles.npz").exists():
            yield from blocks(path / "profiles.npz")
    except tables.UNREADABLE as error:
        left_out(path, error)


def main(arguments: list[str] | None = None) -> int:
    """Write the tables and print their paths."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.export",
        description="All runs of an experiment as Parquet tables.",
        epilog="FILE results.parquet makes results_runs.parquet, results_scalars.parquet, results_profiles.parquet.",
    )
    parser.add_argument("name", metavar="NAME", help="the experiment: its runs lie in outputs/NAME")
    parser.add_argument("--parquet", metavar="FILE", type=Path, required=True, help="the name of the tables, see below")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="default: %(default)s")
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        parser.error("--parquet needs pyarrow, which the extra `export` installs: pip install -e '.[export]'")
    try:
        for path in export(cli.folder_of(options.outputs, options.name), options.parquet):
            print(path)
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
