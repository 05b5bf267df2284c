"""What the terminal shows while runs are trained: of a sweep, from its run folders alone, and of a single run.

with progress.watching(sweep):  # lines, or a live display on a terminal
    launcher.launch(...)
left = progress.total(sweep)  # the summary; what is to be tried again
"""

import contextlib
import difflib
import math
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hydra.core.hydra_config import HydraConfig
from hydra.errors import MissingConfigException
from hydra.types import RunMode
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from experiments import display, screen
from experiments.screen import clock, number
from experiments.standing import Standing, Watch, standing
from experiments.sweeps import Sweep

if TYPE_CHECKING:
    from rnnlab.train import Measurement

POLL = 1.0  # seconds between two looks at the run folders
SHARE = 20.0  # times as long as a look took, at least: of very many runs, or where the file system is slow
PATIENCE = 5.0  # seconds without a line in a single run
EXTRAS = ("optuna",)  # whose choices are not there before it is installed
MOST = 20  # failed runs that the summary lists


@contextlib.contextmanager
def watching(sweep: Sweep) -> Iterator[None]:
    """Show how the sweep gets on, from a thread of its own; whatever goes wrong there ends only the display."""
    print(f"{sweep.name}: {len(sweep.runs)} runs", flush=True)
    stop = threading.Event()
    thread = threading.Thread(target=_show, args=(sweep, stop), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _show(sweep: Sweep, stop: threading.Event) -> None:
    try:
        watch, started = Watch(sweep.folder, sweep.runs), display.since(sweep)
        with (display.Screen if display.is_terminal() else display.Lines)(sweep, started) as show:
            pause = POLL
            while not stop.wait(pause):
                begun = time.monotonic()
                show(watch.look())
                pause = max(POLL, SHARE * (time.monotonic() - begun))
            show(watch.look())  # what has ended since
    except Exception as error:
        with contextlib.suppress(OSError, ValueError):  # nobody may be listening any more
            print(f"progress is not shown any more ({type(error).__name__}: {error})", file=sys.stderr, flush=True)


def total(sweep: Sweep) -> list[Standing]:
    """Print how the sweep came out, with each failed or killed run; returns what the next start is to try again."""
    found = list(standing(sweep.folder, sweep.runs).values())
    words = screen.counts(found, display.since(sweep))
    text = ", ".join(f"{n} {'running elsewhere' if word == 'running' else word}" for word, n in words.items())
    print(f"{sweep.name}: {len(found)} runs in {clock(time.time() - sweep.started)}: {text}")
    names = screen.labels(sweep.runs)
    lost = [s for s in found if s.state in ("failed", "killed")]
    for s in lost[:MOST]:
        print(display.line(s, names[s.run]))
    if len(lost) > MOST:
        print(f"... and {len(lost) - MOST} more: python -m experiments.status {sweep.name}")
    sys.stdout.flush()
    return [s for s in found if s.state in ("failed", "killed", "missing")]


def ended(result: Mapping[str, Any]) -> None:
    """Print how a single run came out, and where its record is."""
    outcome = "done before" if result["skipped"] else result["outcome"]
    error = number(float(result["metrics"].get("validation/error", math.nan)), ".3f")
    print(f"{outcome:<11} {result['wall_seconds']:6.1f} s  error {error}  {result['run']}")
    print(f"record: {result['folder']}", flush=True)


class Ticker:
    """A line about a run every few seconds, and at its end if there was one before.

    On a terminal, within a `with` statement, it is one line that changes. A run of a sweep says nothing: the sweep
    shows its runs itself.

    Args:
        first: the step that the run goes on from.
    """

    def __init__(self, steps: int, *, first: int = 0) -> None:
        self.steps, self.first, self.quiet = steps, first, in_sweep()
        self.last = self.started = time.monotonic()
        if first and not self.quiet:
            print(f"  goes on at step {first}/{steps}", flush=True)
        self._live: Any = None

    def __enter__(self) -> Self:
        if display.is_terminal() and not self.quiet:
            from rich.live import Live

            self._live = Live(auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, m: "Measurement") -> None:
        now = time.monotonic()
        patience = PATIENCE if self._live is None else 0.1
        if self.quiet or (now - self.last < patience and not (m.outcome and self.last > self.started)):
            return
        self.last = now
        text = self.line(m, now - self.started)
        if self._live is None:
            print(text, flush=True)
        else:
            from rich.text import Text

            self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

    def line(self, m: "Measurement", seconds: float) -> str:
        """The measurement, and how long the rest takes."""
        rate = (m.step - self.first) / seconds
        left = (self.steps - m.step) / rate if rate else math.inf
        error = m.scalars.get("validation/error")
        return (
            f"  step {m.step}/{self.steps}  loss {m.scalars['train/loss']:.4g}"
            + (f"  validation error {error:.3f}" if error is not None else "")
            + f"  gradient norm {m.scalars['grad/norm']:.2g}  {rate:.1f} steps/s, {clock(left)} left"
        )


def in_sweep() -> bool:
    """Whether this is a job of -m, in whatever process."""
    return HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN


def suggestion(error: BaseException | None) -> str | None:
    """The closest of the names that are there, for a misspelt key or choice that Hydra refused."""
    cause = getattr(error, "__cause__", None)
    if isinstance(error, MissingConfigException):
        wrong, known = Path(error.missing_cfg_file or "").name, error.options or []
    elif isinstance(cause, ConfigAttributeError | ConfigKeyError):
        wrong, known = cause.key, cause.parent_node or []
    else:
        return None
    if wrong in EXTRAS:
        return f"error: {wrong!r} is of an extra: pip install -c constraints.txt -e '.[{wrong}]'"
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(wrong), names, n=1)
    return f"error: there is no {wrong!r}: " + (f"did you mean {close[0]!r}?" if close else f"only {', '.join(names)}")
