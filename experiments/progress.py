"""Lines in the terminal: how a long run is getting on, one line per run of a sweep, and its total."""

import difflib
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from experiments.records import finished
from experiments.sweeps import Sweep

PATIENCE = 5.0  # seconds without a line in a long run


class Ticker:
    """Prints a line about a run every few seconds, and at its end if it has printed before."""

    def __init__(self, steps: int) -> None:
        self.steps, self.started = steps, time.monotonic()
        self.last = self.started

    def __call__(self, m: Any) -> None:
        now = time.monotonic()
        if now - self.last < PATIENCE and not (m.outcome and self.last > self.started):
            return
        self.last = now
        rate = m.step / (now - self.started)
        left = (self.steps - m.step) / rate if rate else math.inf
        error = m.scalars.get("validation/error")
        print(
            f"  step {m.step}/{self.steps}  loss {m.scalars['train/loss']:.4g}"
            + (f"  validation error {error:.3f}" if error is not None else "")
            + f"  gradient norm {m.scalars['grad/norm']:.2g}  {rate:.1f} steps/s, {clock(left)} left",
            flush=True,
        )


def ended(result: dict[str, Any]) -> None:
    """Print what a single run came to."""
    outcome = "done before" if result["skipped"] else result["outcome"]
    error = result["metrics"].get("validation/error", "?")
    error = f"{error:.3f}" if isinstance(error, float) else error
    print(f"{outcome:<11} {result['wall_seconds']:6.1f} s  error {error}  {result['run']}", flush=True)
    print(f"record: {result['folder']}", flush=True)


@contextmanager
def watching(sweep: Sweep) -> Iterator[None]:
    """Show how the runs of a sweep come along."""
    yield


def total(sweep: Sweep) -> int:
    """Print what became of the runs of a sweep; returns how many have failed or are missing."""
    left = [run for run in sweep.runs if not finished(sweep.folder / run)]
    print(f"{sweep.name}: {len(sweep.runs)} runs, {len(left)} not done")
    return len(left)


def clock(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def suggestion(error: BaseException | None) -> str | None:
    """The closest of the names that are there, for a misspelt key or choice that Hydra refused."""
    cause = getattr(error, "__cause__", None)
    if isinstance(error, MissingConfigException):
        wrong, known = Path(error.missing_cfg_file or "").name, error.options or []
    elif isinstance(cause, ConfigAttributeError | ConfigKeyError):
        wrong, known = cause.key, cause.parent_node or []
    else:
        return None
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(wrong), names, n=1)
    return f"error: there is no {wrong!r}: " + (f"did you mean {close[0]!r}?" if close else f"only {', '.join(names)}")
