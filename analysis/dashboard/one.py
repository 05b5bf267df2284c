"""One run folder as the dashboard shows it."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis import tables
from analysis.dashboard import profiles
from analysis.folders import left_out
from analysis.statistics.names import nearest
from analysis.statistics.verdict import Scalars, Verdict, by_name, verdict

POINTS = 100  # of a curve
DIGITS = 4  # of a number on it
DIGESTS = {"horizon": "horizon", "censored": "horizon_censored", "decay": "decay_per_step"}
CURVES = ("train/loss", "validation/", "grad/norm")


@dataclass(frozen=True)
class Run:
    """What is kept of a run folder.

    Attributes:
        row: of the table of runs.
        drawn: the run in the payload, but for what depends on the others: settings, loss and metric.
        series: (layer, direction, part) to which `of` in its profiles points.
    """

    row: dict[str, Any]
    drawn: dict[str, Any]
    series: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Profiles:
    """The profiles of a run as they go into the payload, and how many steps each series has."""

    packed: dict[str, Any] | None = None
    series: list[tuple[int, str, str]] = field(default_factory=list)
    reach: dict[str, int] = field(default_factory=dict)
    T: int | None = None


def read_profiles(path: Path) -> Profiles:
    """Of a run folder; nothing, with a warning, if they cannot be read, and without one before the first probe."""
    file = path / "profiles.npz"
    if not file.exists():
        return Profiles()
    try:
        arrays = profiles.read(file)
        reach = {"adjoint/L{}/{}/{}".format(*name): arrays.reach(s) for s, name in enumerate(arrays.series)}
        return Profiles(profiles.packed(arrays), arrays.series, reach, arrays.log10.shape[2])
    except tables.UNREADABLE as error:
        left_out(file, error)
        return Profiles()


def read_run(path: Path, measured: Profiles) -> Run:
    """The run of a folder.

    Raises:
        one of `analysis.tables.UNREADABLE`: there is no configuration to be read.
    """
    logged = tables.logged(path)
    scalars = by_name(logged)
    seconds = scalars.pop("seconds", {})
    last = {name: next(reversed(of.values())) for name, of in scalars.items()}
    row = tables.row(path, (logged[-1][0] if logged else None, last))
    T = measured.T or row.get("task.length")
    head = nearest(scalars)
    reached = measured.reach.get(head, T)
    found = verdict(scalars, reached, row["outcome"])
    predicted = {name.removeprefix("predicted."): finite(v) for name, v in row.items() if name.startswith("predicted.")}
    drawn = {
        "run": path.name,
        "outcome": row["outcome"],
        "failure": row.get("failure"),
        "T": T,
        "step": row["steps_done"],
        "seconds": finite(row.get("wall_seconds", max(seconds.values(), default=math.nan))),
        **_digest(scalars, head, -1),
        "init": _digest(scalars, head, 0) if head else None,
        "predicted": predicted or None,
        "verdict": _verdict(found),
        "curves": _curves(scalars, head),
        "profiles": measured.packed,
    }
    return Run(row, drawn, measured.series)


def _digest(scalars: Scalars, head: str | None, which: int) -> dict[str, Any]:
    found = {key: list(scalars.get(f"{head}/{name}", {}).values())[which:][:1] for key, name in DIGESTS.items()}
    values = {key: finite(of[0]) if of else None for key, of in found.items()}
    return values | {"censored": values["censored"] == 1}


def _verdict(found: Verdict | None) -> dict[str, Any] | None:
    if found is None:
        return None
    number = None if found.number is None else finite(found.number)
    return {"name": found.name, "number": number, "threshold": finite(found.threshold), "text": found.text}


def _curves(scalars: Scalars, head: str | None) -> dict[str, list[list]]:
    chosen = {name: of for name, of in scalars.items() if name.startswith(CURVES)}
    for key in ("horizon", "decay"):
        of = scalars.get(f"{head}/{DIGESTS[key]}")
        chosen |= {key: of} if of else {}
    return {name: thinned(of) for name, of in chosen.items()}


def thinned(values: Mapping[int, float], points: int = POINTS) -> list[list]:
    """[[steps], [values]] of at most so many points: lowest and highest of each stretch, the first and the last."""
    steps, y = np.array(list(values)), np.array(list(values.values()), float)
    if len(y) > points:
        keep = {0, len(y) - 1}
        for stretch in np.array_split(np.arange(len(y)), points // 2 - 1):
            low, high = np.where(np.isnan(y[stretch]), [[math.inf], [-math.inf]], y[stretch])
            keep |= {int(stretch[low.argmin()]), int(stretch[high.argmax()])}
        kept = np.array(sorted(keep))
        steps, y = steps[kept], y[kept]
    return [steps.tolist(), [finite(v) for v in y.tolist()]]


def finite(value: float) -> float | None:
    """The number with `DIGITS` digits, a whole one as such; None where it is not finite."""
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(value) if float(value).is_integer() and abs(value) < 1e15 else short


def quietly(read: Any, *arguments: Any) -> tuple[Any, list[str]]:
    """What a reader returns, and its warnings as lines, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read(*arguments)
    return found, list(dict.fromkeys(str(one.message) for one in caught))
