"""Where each run of a sweep stands, read from the run folders alone: the same under every launcher and on every host.

Nothing is written and no lock is taken, so it may be asked at any time, of a live sweep too, and by anyone who can read
the folder. Nothing heavy is imported.

    done      done.json is there, with the outcome solved, stuck or diverged
    running   its claim is alive, by the rules of `experiments.claims`
    failed    failed.json says why; Ctrl-C is "interrupted"
    killed    it was begun, and whoever worked on it left without a word
    missing   nothing is there

Failed, killed and missing runs are tried again by the next start of the sweep.
"""

import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from experiments.claims import held
from experiments.tail import Tail, read_json

State = Literal["done", "running", "failed", "killed", "missing"]
STATES: tuple[State, ...] = ("done", "running", "failed", "killed", "missing")
LULL = 30.0  # seconds without a run after which nobody is at work
SETTLED = 10.0  # seconds after which an unchanged folder counts as unchanged, whatever the clock of its file system


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where one run stands. None is what nobody has written down yet.

    Attributes:
        overrides: of the run, as strings.
        outcome: solved, stuck or diverged, of a done run.
        step, steps: updates made, and how many it may make.
        loss: the training loss of the last logged step.
        error: on the validation set, of a done run.
        horizon: effective horizon in steps of the last probed row: of the recurrent layer nearest to the input, forward
            before backward, h before the other parts; `censored` if it is only a lower bound.
        rate: steps per second, lately.
        seconds: wall time of a done run, else training time up to the last row.
        ended: when done.json or failed.json was written, in seconds since the epoch.
        checkpoint: when the last checkpoint was written, likewise.
        failure: the last line of the traceback.
    """

    run: str
    overrides: tuple[str, ...] = ()
    state: State = "missing"
    outcome: str | None = None
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    error: float | None = None
    horizon: float | None = None
    censored: bool = False
    rate: float | None = None
    seconds: float | None = None
    ended: float | None = None
    checkpoint: float | None = None
    failure: str | None = None

    @property
    def word(self) -> str:
        """The outcome of a done run, else its state."""
        return self.outcome or self.state

    def remaining(self) -> float:
        """Seconds until it has made its steps at its present rate; NaN if that is not known."""
        known = self.rate and self.step is not None and self.steps is not None
        return (self.steps - self.step) / self.rate if known else math.nan


def standing(folder: Path, runs: Mapping[str, Iterable[str]] | Iterable[str]) -> dict[str, Standing]:
    """Where each run stands, by its id. To ask again and again, keep a `Watch`."""
    return Watch(folder, runs).look()


class Watch:
    """Asks time and again; done runs are not read twice, of the others only what is new.

    Args:
        folder: outputs/NAME.
        runs: the ids, or the overrides of each id.
    """

    def __init__(self, folder: Path, runs: Mapping[str, Iterable[str]] | Iterable[str]) -> None:
        overrides = runs if isinstance(runs, Mapping) else dict.fromkeys(runs, ())
        self.folder = folder
        self._last = {run: Standing(run=run, overrides=tuple(lines)) for run, lines in overrides.items()}
        self._changed: dict[str, int] = {}  # mtime of the folder of a run that has ended
        self._logs: dict[str, Tail] = {}

    def look(self) -> dict[str, Standing]:
        try:
            there = set(os.listdir(self.folder))
        except OSError:
            there = set()
        for run, last in self._last.items():
            if last.state != "done":
                self._last[run] = self._read(last) if run in there else _blank(last)
        return dict(self._last)

    def _read(self, last: Standing) -> Standing:
        path = self.folder / last.run
        changed = _mtime(path, nanoseconds=True)
        if last.state != "running" and changed and self._changed.get(last.run) == changed:
            return last
        self._changed.pop(last.run, None)
        found = self._state(path, _blank(last))
        if found.state == "done":
            self._logs.pop(last.run, None)
        elif found.state != "running" and changed and time.time() - changed / 1e9 > SETTLED:
            self._changed[last.run] = changed
        return found

    def _state(self, path: Path, blank: Standing) -> Standing:
        for _ in range(2):  # it may have ended, or have been taken up again, between two of these looks
            if found := _done(path, blank):
                return found
            if held(path):
                return self._progress(path, replace(blank, state="running"))
            if found := _failed(path, blank):
                return self._progress(path, found)
        begun = any((path / name).exists() for name in ("running.json", "config.json", "scalars.jsonl"))
        return self._progress(path, replace(blank, state="killed")) if begun else blank

    def _progress(self, path: Path, found: Standing) -> Standing:
        log = self._logs.setdefault(found.run, Tail(path))
        log.read()
        rate = log.rate() if found.state == "running" else None
        what = {"step": log.step, "steps": log.steps, "loss": log.loss, "horizon": log.horizon, "rate": rate}
        seconds = log.points[-1][1] if log.points else None
        checkpoint = _mtime(path / "checkpoint.pt")
        return replace(found, **what, censored=log.censored, seconds=seconds, checkpoint=checkpoint)


def _blank(last: Standing) -> Standing:
    return Standing(run=last.run, overrides=last.overrides)


def _done(path: Path, blank: Standing) -> Standing | None:
    if not (done := read_json(path / "done.json")):
        return None
    what = {"outcome": done.get("outcome"), "step": done.get("steps"), "steps": done.get("steps")}
    error, seconds = _number((done.get("metrics") or {}).get("validation/error")), _number(done.get("wall_seconds"))
    return replace(blank, state="done", **what, error=error, seconds=seconds, ended=_mtime(path / "done.json"))


def _failed(path: Path, blank: Standing) -> Standing | None:
    if (failed := read_json(path / "failed.json")) is None:
        return None
    overrides = blank.overrides or tuple(failed.get("overrides") or ())
    failure = str(failed.get("error"))
    return replace(blank, state="failed", overrides=overrides, failure=failure, ended=_mtime(path / "failed.json"))


def _mtime(path: Path, nanoseconds: bool = False) -> Any:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns if nanoseconds else about.st_mtime


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def time_left(standings: Iterable[Standing], started: float, now: float) -> float:
    """Seconds until nothing is left to do; NaN if that cannot be known, as when nobody works on it.

    From the runs that ended since `started`, or, as long as fewer have ended than are running, from the steps that the
    running ones have made; but not before the last of these has made its steps. A guess: that the runs to come take as
    long as those that have been.
    """
    found = list(standings)
    running = [s for s in found if s.state == "running"]
    ended = [s for s in found if s.ended is not None and s.ended >= started]
    over = {s.run for s in (*ended, *running)} | {s.run for s in found if s.state == "done"}
    waiting = len(found) - len(over)
    if not waiting and not running:
        return 0.0
    if not running and (not ended or now - max(s.ended for s in ended) > LULL):
        return math.nan
    longest = max((left for s in running if not math.isnan(left := s.remaining())), default=0.0)
    work = waiting + sum(1 - s.step / s.steps if s.step and s.steps else 1 for s in running)
    if len(ended) >= len(running):
        return max(longest, work / per_second(ended, now))
    each = [s.steps / s.rate for s in running if s.rate and s.steps]
    return max(longest, work * sum(each) / len(each) / len(running)) if each else math.nan


def per_second(ended: Iterable[Standing], now: float) -> float:
    """Runs per second since the first of these runs began; NaN without runs."""
    begun = [s.ended - (s.seconds or 0.0) for s in ended]
    return len(begun) / max(now - min(begun), 1e-3) if begun else math.nan
