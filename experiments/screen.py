"""How numbers about runs are written in a terminal: shared by the progress of a sweep and by its status."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.standing import Standing

DULL = ("experiment=", "scale=", "paths.", "name=")  # overrides that say nothing about one run
RUNNING = ("run", "step", "loss", "horizon", "steps/s", "left", "overrides")


def clock(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def number(value: float | None, form: str = ".4g") -> str:
    return "?" if value is None or math.isnan(value) else f"{value:{form}}"


def labels(runs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The overrides of each run in which it differs from some other; all of them if there is only one run."""
    often = Counter(line for lines in runs.values() for line in set(lines))
    shared = {line for line, count in often.items() if count == len(runs) > 1}
    return {
        run: " ".join(line for line in lines if line not in shared and not line.startswith(DULL))
        for run, lines in runs.items()
    }


def counts(standings: Iterable[Standing], started: float = -math.inf) -> dict[str, int]:
    """How many solved, stuck, diverged, done before, running, failed, killed, missing; only what there is.

    Args:
        started: when the sweep was; a run that was done by then counts as "done before".
    """
    words = ("done before" if s.state == "done" and (s.ended or 0.0) < started else s.word for s in standings)
    return dict(sorted(Counter(words).items()))


def running(s: Standing, label: str) -> tuple[str, ...]:
    """The cells of a running run, in the order of `RUNNING`."""
    step = f"{number(s.step, 'd')}/{number(s.steps, 'd')}"
    horizon = (">= " if s.censored else "") + number(s.horizon)
    return s.run, step, number(s.loss), horizon, number(s.rate, ".3g"), clock(s.remaining()), label


def plain(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return ["  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in (head, *rows)]


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], wrap: bool = True) -> Any:
    """A rich Table of the same; texts are shown as they are, whatever brackets they hold, or cut unless `wrap`."""
    from rich.table import Table
    from rich.text import Text

    found = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in head:
        words = name in ("run", "outcome", "overrides", "why")
        whole = name not in ("overrides", "why")
        found.add_column(name, justify="left" if words else "right", no_wrap=whole, header_style="dim")
    for row in rows:
        found.add_row(*(Text(cell, no_wrap=not wrap, overflow="fold" if wrap else "ellipsis") for cell in row))
    return found
