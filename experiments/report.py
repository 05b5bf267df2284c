"""What is said of the runs of an experiment at one moment: in lines, in tables, in JSON."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments import display, screen
from experiments.files import strict
from experiments.screen import clock, number
from experiments.standing import STATES, Standing, per_second, time_left
from experiments.sweeps import Sweep
from experiments.tail import read_json

SLOWEST = 5
MOST = 20  # rows of a list
COMMIT = re.compile(r"(?<=\b[0-9a-f]{10})[0-9a-f]{30}\b")  # what is not needed of one


@dataclass(frozen=True)
class Target:
    """The runs that are asked about.

    Attributes:
        sweep: None if they are all those of the folder.
        others: runs of the folder that are not among them, and further sweeps.
    """

    folder: Path
    runs: dict[str, list[str]]
    sweep: Sweep | None
    others: tuple[int, int]

    @property
    def started(self) -> float:
        return display.since(self.sweep) if self.sweep else -math.inf


@dataclass(frozen=True)
class Report:
    """What is shown of a sweep at one moment."""

    target: Target
    standings: dict[str, Standing]
    warnings: list[str]
    now: float

    def rate(self) -> float:
        """Runs per second since the first run of this start began; NaN before one has ended."""
        ended = self._ended()
        busy = any(s.state == "running" for s in self.standings.values())
        return per_second(ended, self.now if busy or not ended else max(s.ended or 0.0 for s in ended))

    def left(self) -> float:
        return time_left(self.standings.values(), self.target.started, self.now)

    def _ended(self) -> list[Standing]:
        return [s for s in self.standings.values() if s.ended is not None and s.ended >= self.target.started]

    def lines(self) -> list[str]:
        """The counts, the rate, and what else is to be known, one sentence a line."""
        found, sweep, folder = list(self.standings.values()), self.target.sweep, self.target.folder
        what = f"{folder.name}: all {len(found)} runs in {folder}"
        if sweep:
            about = f"scale {sweep.scale}, launcher {sweep.launcher}, started {clock(self.now - sweep.started)} ago"
            what = f"{sweep.name}: {len(found)} runs, {about} (sweep {sweep.id})"
        states = Counter(s.state for s in found)
        outcomes = sorted(Counter(s.outcome for s in found if s.outcome).items())
        counts = [f"{states[state]} {state}" for state in STATES if states[state] or state in ("done", "running")]
        counts[0] += f" ({', '.join(f'{n} {word}' for word, n in outcomes)})" if outcomes else ""
        return [what, ", ".join(counts), *self._pace(states), *self._more()]

    def _pace(self, states: Counter) -> list[str]:
        again, rate = states["failed"] + states["killed"] + states["missing"], self.rate()
        pace = [] if math.isnan(rate) or not self.target.sweep else [f"{60 * rate:.3g} runs a minute since the start"]
        if states["running"]:
            return [", ".join([*pace, f"{clock(self.left())} left"])]
        return [
            *pace,
            *([f"nothing is running: the same command tries the {again} that are not done"] if again else []),
        ]

    def _more(self) -> list[str]:
        lines = []
        old = sum(s.state == "failed" and (s.ended or 0.0) < self.target.started for s in self.standings.values())
        if old:
            lines.append(f"{old} of the failed runs are of an earlier start and will be tried again by this one")
        runs, sweeps = self.target.others
        if runs or sweeps:
            lines.append(f"{self.target.folder} also holds {runs} other runs and {sweeps} other sweeps")
        return lines + [f"warning: {line}" for line in self.warnings]

    def tables(self) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]], int]]:
        """Title, names of the columns, rows, and how many more there are."""
        found = list(self.standings.values())
        names = screen.labels({s.run: s.overrides for s in found})
        running = [screen.running(s, names[s.run]) for s in found if s.state == "running"]
        ended = sorted((s for s in found if s.state == "done"), key=lambda s: -(s.seconds or 0.0))[:SLOWEST]
        slow = [(s.run, s.word, number(s.seconds, ".1f"), number(s.error, ".3f"), names[s.run]) for s in ended]
        lost = [(s.run, names[s.run], reason(s)) for s in found if s.state in ("failed", "killed")]
        return [
            (title, head, rows[:MOST], len(rows) - MOST)
            for title, head, rows in (
                ("running", screen.RUNNING, running),
                ("slowest", ("run", "outcome", "seconds", "error", "overrides"), slow),
                ("failed", ("run", "overrides", "why"), lost),
            )
            if rows
        ]

    def text(self) -> str:
        parts = [self.lines()]
        parts += [[f"{title}:", *screen.plain(head, rows), *rest(more)] for title, head, rows, more in self.tables()]
        return "\n\n".join("\n".join(lines) for lines in parts)

    def rich(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        parts: list[Any] = [Text(line, style="yellow" if line.startswith("warning") else "") for line in self.lines()]
        for title, head, rows, more in self.tables():
            parts += ["", screen.table(title, head, rows), *rest(more)]
        return Group(*parts)

    def json(self) -> str:
        sweep = self.target.sweep
        about = {"folder": str(self.target.folder), "sweep": sweep.id if sweep else None, "now": self.now}
        about |= {"started": sweep.started, "scale": sweep.scale, "launcher": sweep.launcher} if sweep else {}
        about |= {"counts": screen.counts(self.standings.values()), "runs_per_second": self.rate()}
        about |= {"seconds_left": self.left(), "warnings": self.warnings}
        about["runs"] = {run: asdict(s) for run, s in self.standings.items()}
        return json.dumps(strict(about), allow_nan=False)


def reason(s: Standing) -> str:
    if s.state == "failed":
        return s.failure or "?"
    later = ", goes on from a checkpoint" if s.checkpoint else ""
    return f"killed at step {number(s.step, 'd')} of {number(s.steps, 'd')}{later}"


def rest(more: int) -> list[str]:
    return [f"... and {more} more"] if more > 0 else []


def conditions(folder: Path, standings: Mapping[str, Standing], known: dict[str, dict[str, str]]) -> list[str]:
    """A line for each of code, versions, device and loops in which runs that were begun differ.

    Args:
        known: of done runs, which are not read again; those read now are added.
    """
    found = dict(known)
    for run, s in standings.items():
        if run in known or s.state == "missing" or not (about := read_json(folder / run / "config.json")):
            continue
        found[run] = {name: str(about.get(name)) for name in ("code", "device", "loops")}
        found[run] |= {name: str(version) for name, version in (about.get("versions") or {}).items()}
        if s.state == "done":
            known[run] = found[run]
    lines = []
    for name in sorted({name for one in found.values() for name in one}):
        values = Counter(one[name] for one in found.values() if name in one)
        if len(values) > 1:
            said = (f"{COMMIT.sub('', value)} ({n} runs)" for value, n in values.most_common())
            lines.append(f"{name} differs: {', '.join(said)}")
    return lines
