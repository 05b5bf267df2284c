"""The scalars of a run as they stand at its end, without reading what came before."""

import json
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

TAIL = 2**14  # bytes of the end of the file that are read first; all of it if that is not enough
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)


def final(file: Path) -> tuple[int | None, dict[str, float]]:
    """The last logged step, and each scalar of scalars.jsonl where it stands last; (None, {}) before the first line.

    Read from the end, as far back as a name of the first line has not been met: the first step logs, evaluates and
    probes everything. A torn line is passed over.
    """
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            names = _names(stream.readline())
            for reach in (TAIL, size):
                begin = max(0, size - reach)
                stream.seek(begin)
                step, found = _last(stream.read(size - begin).split(b"\n"), names)
                if begin == 0 or found.keys() >= names:
                    break
    except FileNotFoundError:
        return None, {}
    return step, found


def _names(line: bytes) -> set[str]:
    try:
        return set(json.loads(line)) - {"step", "seconds"}
    except UNREADABLE:
        return set()


def _last(lines: list[bytes], names: set[str]) -> tuple[int | None, dict[str, float]]:
    step, found = None, {}
    for line in reversed(lines):
        try:
            row = json.loads(line)
            at = int(row.pop("step"))
            row = {name: number(value) for name, value in row.items() if name != "seconds"}
        except UNREADABLE:
            continue
        step = at if step is None else step
        found = row | found
        if found.keys() >= names:
            break
    return step, found


def number(value: Any) -> float:
    """A number of the record, where those that are not finite are strings."""
    return math.nan if value is None else float(value)
