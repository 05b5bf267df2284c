"""The end of a run's scalars.jsonl, read while it is being written."""

import json
import os
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from analysis.statistics.names import nearness

BYTES = 2**16  # that are read first; eight and sixty-four times as many if no probe is in there
WINDOW = 50  # logged rows over which a rate is taken
HORIZON = re.compile(r"adjoint/L(\d+)/(\w+)/(\w+)/horizon")


@dataclass
class Tail:
    """What scalars.jsonl has said so far. Lines that are torn, or were cut while they were read, are passed over."""

    path: Path
    inode: int | None = None
    offset: int = 0
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    horizon: float | None = None
    censored: bool = False
    points: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def read(self) -> None:
        """Take in what was appended since the last time; all that counts if the file is another or a shorter one."""
        if self.steps is None:
            config = read_json(self.path / "config.json") or {}
            self.steps = (config.get("config") or {}).get("steps")
        try:
            with (self.path / "scalars.jsonl").open("rb") as file:
                about = os.fstat(file.fileno())
                if (about.st_ino, about.st_size) == (self.inode, self.offset):
                    return
                if about.st_ino != self.inode or about.st_size < self.offset:
                    self._begin(about.st_ino)
                    for size in (BYTES, 8 * BYTES, 64 * BYTES):
                        self.points.clear()
                        self._take(file, max(0, about.st_size - size))
                        if self.horizon is not None or size >= about.st_size:
                            break
                else:
                    self._take(file, self.offset)
        except OSError:  # not there, or not any more
            self._begin(None)

    def _begin(self, inode: int | None) -> None:
        self.inode, self.offset = inode, 0
        self.step = self.loss = self.horizon = None
        self.points.clear()

    def _take(self, file: IO[bytes], start: int) -> None:
        file.seek(start)
        whole, end, _ = file.read().rpartition(b"\n")
        self.offset = start + len(whole) + len(end)
        for line in whole.split(b"\n"):
            try:
                row = json.loads(line)
                step, seconds = int(row["step"]), float(row.get("seconds", "nan"))
                self.loss = float(row.get("train/loss", "nan"))
                self._probed(row)
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
            if self.points and (step <= self.points[-1][0] or seconds < self.points[-1][1]):
                self.points.clear()  # it was restarted from a checkpoint
            self.step = step
            self.points.append((step, seconds))

    def _probed(self, row: Mapping[str, Any]) -> None:
        layers = [match for match in map(HORIZON.fullmatch, row) if match]
        if layers:
            first = min(layers, key=lambda match: nearness(int(match[1]), match[2], match[3]))[0]
            self.horizon, self.censored = float(row[first]), row.get(f"{first}_censored") == 1

    def rate(self) -> float | None:
        if len(self.points) < 2:
            return None
        (first, start), (last, end) = self.points[0], self.points[-1]
        return (last - first) / (end - start) if end > start else None


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None if it is not there or is not one."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
