"""A folder of runs -> the payload of the dashboard."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import tables
from analysis.dashboard.one import Profiles, Run, finite, quietly, read_profiles, read_run
from analysis.folders import FILES, no_runs
from analysis.statistics.aggregate import axes
from analysis.statistics.measures import LOSSES
from analysis.statistics.verdict import REMEDIES, RULES
from analysis.tables import DIRECTIONS, PARTS, SCALES

LABELS = {"task.length": "T", "name": "experiment"}

Stamp = tuple[tuple[str, int, int], ...]
Progress = Callable[[int, int], None]


class Collector:
    """Reads the runs of a folder, again and again while they run.

    A run in whose folder nothing has changed is not read again, unless it runs: such a one may have died.

    Args:
        scale: only runs of this scale are shown; all if None.

    Attributes:
        left_out: why a run is not shown, or its profiles are not, by its id.
    """

    def __init__(self, folder: str | Path, scale: str | None = None) -> None:
        self.folder = Path(folder)
        self._scale = scale
        self._runs: dict[Path, tuple[Stamp, Run | None, list[str]]] = {}
        self._profiles: dict[Path, tuple[Stamp, Profiles, list[str]]] = {}

    def refresh(self, progress: Progress = lambda done, of: None) -> bool:
        """Take in what has changed since the last time, and return whether anything has.

        Args:
            progress: told how many of how many folders are read.
        """
        paths = list(tables.run_folders(self.folder)) if self.folder.is_dir() else []
        changed = [path for path in self._runs if path not in paths]
        for path in changed:
            del self._runs[path]
            self._profiles.pop(path, None)
        for k, path in enumerate(paths):
            progress(k, len(paths))
            if self._read(path):
                changed.append(path)
        return bool(changed)

    @property
    def left_out(self) -> dict[str, str]:
        return {path.name: "; ".join(warned) for path, (_, _, warned) in sorted(self._runs.items()) if warned}

    def payload(self, live: bool = False) -> dict[str, Any]:
        """What the last `refresh` found, as the page draws it.

        Args:
            live: it will be asked for again, and having no run yet is no error.

        Raises:
            ValueError: there is no run to show, and it is not live.
        """
        there = [run for _, (_, run, _) in sorted(self._runs.items()) if run is not None]
        runs = [run for run in there if self._scale in (None, run.row["scale"])]
        if there and not runs and not live:
            scales = ", ".join(sorted({str(run.row["scale"]) for run in there}))
            raise ValueError(f"{self.folder} has no run of scale {self._scale}; there are: {scales}")
        if not runs and not live:
            first = next((f" ({name}: {reason})" for name, reason in self.left_out.items()), "")
            raise ValueError(no_runs(self.folder) + first)
        return {"name": self.folder.resolve().name, **drawn(runs), "left_out": self.left_out}

    def _read(self, path: Path) -> bool:
        """Whether the run is another than before."""
        stamp = _stamp(path, FILES)
        before = self._runs.get(path)
        if before is not None and before[0] == stamp and (before[1] is None or before[1].row["outcome"] != "running"):
            return False
        measured, warned = self._measured(path)
        try:
            run, more = quietly(read_run, path, measured)
        except tables.UNREADABLE as error:
            run, more = None, [f"{type(error).__name__}: {error}".splitlines()[0]]
        self._runs[path] = stamp, run, [*warned, *more]
        return before is None or _seen(*before[1:]) != _seen(run, [*warned, *more])

    def _measured(self, path: Path) -> tuple[Profiles, list[str]]:
        stamp = _stamp(path, ["profiles.npz"])
        if path not in self._profiles or self._profiles[path][0] != stamp:
            self._profiles[path] = stamp, *quietly(read_profiles, path)
        return self._profiles[path][1:]


def _seen(run: Run | None, warned: list[str]) -> tuple:
    """What tells a run from what it was: not its row, whose NaN is never the same."""
    return (warned, run and run.drawn, run and run.series)


def _stamp(path: Path, names: tuple[str, ...] | list[str]) -> Stamp:
    found = []
    for name in names:
        try:
            about = (path / name).stat()
        except OSError:
            continue
        found.append((name, about.st_mtime_ns, about.st_size))
    return tuple(found)


def drawn(runs: list[Run]) -> dict[str, Any]:
    """What is drawn of these runs, in plain values."""
    rows = [run.row for run in runs]
    known = sorted({name for run in runs for name in run.series}, key=_place)
    varying, common = settings(rows)
    metric = chosen_metric(rows)
    found = []
    for run in runs:
        row = run.row
        loss = next((row[name] for name in LOSSES if name in row), math.nan)
        value = next((row[n] for n in (metric, f"validation/{metric.partition('/')[2]}") if n in row), math.nan)
        own = {"settings": [plain(row.get(axis["name"])) for axis in varying]}
        own |= {"loss": finite(loss), "metric": finite(value), "profiles": _placed(run, known)}
        found.append(run.drawn | own)
    verdicts = {
        name: {"rule": rule, "remedies": [{"text": r.text, "try": r.overrides} for r in REMEDIES[name]]}
        for name, rule in RULES.items()
    }
    return {
        "axes": varying,
        "common": common,
        "loss": next((name for name in LOSSES if any(name in row for row in rows)), LOSSES[0]),
        "metric": metric,
        "verdicts": verdicts,
        "series": [{"layer": layer, "direction": direction, "part": part} for layer, direction, part in known],
        "runs": found,
    }


def _place(name: tuple[int, str, str]) -> tuple:
    layer, direction, part = name
    return layer, _rank(direction, DIRECTIONS), _rank(part, PARTS)


def _rank(one: str, order: tuple[str, ...]) -> tuple[int, str]:
    return order.index(one) if one in order else len(order), one


def _placed(run: Run, known: list[tuple[int, str, str]]) -> dict[str, Any] | None:
    packed = run.drawn["profiles"]
    if packed is None:
        return None
    return packed | {"series": [one | {"of": known.index(run.series[one["of"]])} for one in packed["series"]]}


def settings(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The axes of the sweep with their values, seed last, and the settings that all runs share.

    Experiment and scale are axes of a folder in which runs of several lie.
    """
    if not rows:
        return [], {}
    frame = pd.DataFrame([{name: value for name, value in row.items() if "/" not in name} for row in rows])
    several = [name for name in ("name", "scale") if frame[name].nunique() > 1]
    names = [*several, *axes(frame)]
    shorts = [LABELS.get(name, name.rpartition(".")[2]) for name in names]
    found = []
    for name, short in zip(names, shorts, strict=True):
        values = {value for row in rows if (value := plain(row.get(name))) is not None}
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        rank = SCALES.index if name == "scale" and values <= set(SCALES) else None if numeric else str
        label = short if shorts.count(short) == 1 else name
        found.append({"name": name, "label": label, "numeric": numeric, "values": sorted(values, key=rank)})
    same = [name for name in tables.configuration(frame) if frame[name].nunique(dropna=False) == 1]
    return found, {name: plain(rows[0].get(name)) for name in same}


def plain(value: Any) -> Any:
    """A setting as JSON has it: a gain of 1.0 is one of 1, and what is absent is None."""
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value.is_integer() else value
    return value


def chosen_metric(rows: list[dict[str, Any]]) -> str:
    """The column of the metric: the error on the test set, else on the validation set, else another one there."""
    names = {name for row in rows for name in row if name.startswith(("test/", "validation/"))} - set(LOSSES)
    wanted = ["test/error", "validation/error", *sorted(names, key=lambda name: (not name.startswith("test/"), name))]
    return next((name for name in wanted if name in names), wanted[0])
