"""The progress of a sweep, in lines or on a screen, drawn from where its runs stand."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Self

from experiments import screen
from experiments.screen import clock, number
from experiments.standing import Standing, time_left
from experiments.sweeps import Sweep

QUIET = 60.0  # seconds without a line after which the running runs are listed

Told = set[tuple[str, float | None]]  # which ends of which runs have been shown


def is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def since(sweep: Sweep) -> float:
    """When the sweep was started, by the clock of the file system that dates the runs too."""
    try:
        return sweep.file.stat().st_mtime
    except OSError:
        return sweep.started


def over(s: Standing, started: float) -> bool:
    """Whether this start of the sweep is through with the run."""
    return s.state == "done" or (s.state == "failed" and (s.ended or 0.0) >= started)


def fresh(standings: Mapping[str, Standing], started: float, told: Told) -> list[Standing]:
    """Runs that have ended since the start and since the last call, in that order."""
    ended = [s for s in standings.values() if s.ended is not None and s.ended >= started]
    found = sorted((s for s in ended if (s.run, s.ended) not in told), key=lambda s: s.ended)
    told.update((s.run, s.ended) for s in found)
    return found


def line(s: Standing, label: str) -> str:
    """One line about a run that is over, or was left."""
    if s.state == "done":
        return f"{s.word:<11} {number(s.seconds, '6.1f')} s  error {number(s.error, '.3f')}  {s.run}  {label}".rstrip()
    if s.state == "failed":
        return f"FAILED  {s.run}  {label}  {s.failure}"
    return f"{s.state}  {s.run}  {label}  at step {number(s.step, 'd')} of {number(s.steps, 'd')}"


class Lines:
    """A line for each run that ends; if none has for a while, a line for each that is running."""

    def __init__(self, sweep: Sweep, started: float) -> None:
        self.started, self.labels = started, screen.labels(sweep.runs)
        self.told: Told = set()
        self.last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None: ...

    def __call__(self, standings: Mapping[str, Standing]) -> None:
        found, now = standings.values(), time.monotonic()
        count, width = sum(over(s, self.started) for s in found), len(str(len(found)))
        left = clock(time_left(found, self.started, time.time()))
        ended = fresh(standings, self.started, self.told)
        for k, s in enumerate(ended, start=count - len(ended) + 1):
            print(f"[{k:>{width}}/{len(found)}] {line(s, self.labels[s.run])}  ({left} left)", flush=True)
        if not ended and now - self.last > QUIET:
            rows = [screen.running(s, self.labels[s.run]) for s in found if s.state == "running"]
            print(f"  {count}/{len(found)} over, {len(rows)} running, {left} left", flush=True)
            for text in screen.plain(screen.RUNNING, rows):
                print(f"  {text}", flush=True)
        if ended or now - self.last > QUIET:
            self.last = now


class Screen:
    """A bar, the counts, and a line for each running run; those that fail stay above it."""

    def __init__(self, sweep: Sweep, started: float) -> None:
        from rich.console import Console
        from rich.live import Live

        self.sweep, self.started, self.labels = sweep, started, screen.labels(sweep.runs)
        self.told: Told = set()
        self.console = Console(highlight=False)
        self.display = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self.display.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.display.stop()

    def __call__(self, standings: Mapping[str, Standing]) -> None:
        from rich.text import Text

        for s in fresh(standings, self.started, self.told):
            if s.state == "failed":
                self.console.print(Text(line(s, self.labels[s.run]), style="red"))
        self.display.update(self.picture(standings), refresh=True)

    def picture(self, standings: Mapping[str, Standing]) -> Any:
        """The renderable, no higher than the terminal."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        found = standings.values()
        count = sum(over(s, self.started) for s in found)
        left = clock(time_left(found, self.started, time.time()))
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=len(found), completed=count, width=30)
        head.add_row(self.sweep.name, bar, f"{count}/{len(found)}", f"{left} left")
        words = screen.counts(found, self.started)
        counts = ", ".join(f"{n} {'to come' if word == 'missing' else word}" for word, n in words.items())
        running = [s for s in found if s.state == "running"]
        room = max(1, self.console.height - 5)  # head, counts, names of the columns, what is left out, the cursor
        rows = [screen.running(s, self.labels[s.run]) for s in running[:room]]
        table = [screen.table("", screen.RUNNING, rows, wrap=False)] if rows else []
        more = [f"... and {len(running) - room} more"] if len(running) > room else []
        return Group(head, counts, *table, *more)
