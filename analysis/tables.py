"""Run folders in, tidy tables out: the only reader of the record, outputs/EXPERIMENT/RUN_ID/.

Three tables, which share the column `run` (the folder's name): `runs` has one row per run, `scalars` one per logged
number, `profiles` one per point of a gradient profile. What a run has not written is absent, never guessed; what cannot
be read is left out with a warning that names it. Nothing is computed here.
"""

import json
import time
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.final import UNREADABLE, final, number

FILES = ("config.json", "done.json", "failed.json", "running.json", "scalars.jsonl", "profiles.npz")
RECORD = ("run", "name", "scale", "outcome", "code", "steps_done", "wall_seconds", "probe_seconds", "failure")
STATISTICS = ("mean_log10", "log10_rms", "q10", "q50", "q90")
SCALES = ("smoke", "laptop", "paper")  # from the smallest
FINISHED = ("solved", "stuck", "diverged")  # the outcomes that a done.json can hold
DIRECTIONS = ("forward", "backward", "input", "output")  # the latter two of feed-forward layers
PARTS = ("h", "c")  # of the state, in the order of every table; others come after them
COLUMNS = ("step", "layer", "direction", "part", "time", "lag", "log10")  # of a profile
STALE = 300.0  # seconds without a refresh after which running.json belongs to a dead process


def runs(folder: str | Path) -> pd.DataFrame:
    """One row per run: its id, its outcome, its configuration, its final scalars, and its metrics if it is done.

    `cell`, `init`, `task` and every other part with a `_target_` hold the lower-cased name of the class; their values
    stand beside them as `init.gain`, `task.length`. Metrics keep their names (`validation/error`), predictions are
    `predicted.NAME`. The outcome of a run without done.json is `running`, `failed` or `unfinished`.

    Raises:
        ValueError: the folder holds no run that can be read.
    """
    rows = []
    for path in run_folders(folder):
        try:
            rows.append(_row(path))
        except UNREADABLE as error:
            left_out(path, error)
    if not rows:
        raise ValueError(_no_runs(folder))
    return pd.DataFrame(rows)


def configuration(frame: pd.DataFrame) -> list[str]:
    """Those columns of `runs` that are settings of the run, seed included."""
    return [c for c in frame if c not in RECORD and "/" not in c and not c.startswith(("versions.", "predicted."))]


def scalars(folder: str | Path, prefix: str = "", only: Collection[str] | None = None) -> pd.DataFrame:
    """Logged numbers, long: run, step, name, value. "nan", "inf" and "-inf" are numbers again.

    A torn last line (the process was killed while writing) is dropped silently, any other unreadable line with a
    warning. A step that was logged twice, before and after a restart, counts once: the later line.

    Args:
        prefix: only names that start so; lines that do not hold it are not parsed, which is what makes it fast.
        only: ids of the runs to read; all of them if None.
    """
    columns: dict[str, list] = {"run": [], "step": [], "name": [], "value": []}
    for path in run_folders(folder, only):
        found = logged(path, prefix)
        columns["run"] += [path.name] * len(found)
        columns["step"] += [step for step, _, _ in found]
        columns["name"] += [name for _, name, _ in found]
        columns["value"] += [value for _, _, value in found]
    frame = pd.DataFrame(columns).astype({"run": "category", "step": int, "name": "category", "value": float})
    return frame.drop_duplicates(["run", "step", "name"], keep="last", ignore_index=True)


def logged(path: Path, prefix: str = "") -> list[tuple[int, str, float]]:
    """The same for one run folder: step, name and value, line by line, also of a step that was logged twice."""
    file, found = path / "scalars.jsonl", []
    try:
        lines = file.read_bytes().split(b"\n") if file.exists() else []
    except OSError as error:
        left_out(path, error)
        return []
    for k, line in enumerate(lines, start=1):
        if not line.strip() or prefix.encode() not in line:
            continue
        try:
            record = json.loads(line)
            step = int(record.pop("step"))
            found += [(step, name, number(v)) for name, v in record.items() if name.startswith(prefix)]
        except UNREADABLE as error:
            if k < len(lines):
                left_out(file, error, f" line {k}")
    return found


Loss = Literal["last", "task"]
Steps = Literal["first", "last", "ends", "all"]


def profiles(
    folder: str | Path,
    loss: Loss = "last",
    statistic: str = "q50",
    steps: Steps = "ends",
    only: Collection[str] | None = None,
    layer: int | None = None,
    part: str | None = None,
) -> pd.DataFrame:
    """Gradient profiles, long: run, step, layer, direction, part, time, lag, log10.

    lag: the steps of that layer, in its own direction, between state and loss; negative after the loss.
    log10 is the base-10 logarithm of the norm, -inf where it is exactly zero.

    Args:
        loss: "last" is the loss of the last scored step alone; in a task that scores one step this is the task's loss,
            and is stored under that name. "task" is the task's own loss; where it has many terms lag means nothing.
        statistic: over the samples of the probe's batch, one of `STATISTICS`.
        steps: the first probed step, the last, both, or all of them.
        only: ids of the runs to read; all of them if None.
        layer, part: the only layer and part to keep; all of them if None. Long sequences need this for memory.

    Returns:
        An empty table, after the warnings, if none can be read.
    """
    _check(loss, statistic, steps)
    blocks = []
    for path in run_folders(folder, only):
        file = path / "profiles.npz"
        if not file.exists() and not (path / "done.json").exists():
            continue  # it has not come to its first probe
        try:
            blocks.append((path.name, profile(file, loss, statistic, steps, layer, part)))
        except UNREADABLE as error:
            left_out(path, error)
    if not blocks:
        return pd.DataFrame({name: [] for name in ("run", *COLUMNS)})
    frame = pd.concat([block for _, block in blocks], ignore_index=True)
    frame["part"] = frame["part"].astype("category")  # they were not all the same
    names = pd.Index(sorted({name for name, _ in blocks}))
    codes = np.repeat(names.get_indexer([name for name, _ in blocks]), [len(block) for _, block in blocks])
    frame.insert(0, "run", pd.Categorical.from_codes(codes, names))
    return frame


def profile(
    file: str | Path,
    loss: Loss = "last",
    statistic: str = "q50",
    steps: Steps = "ends",
    layer: int | None = None,
    part: str | None = None,
) -> pd.DataFrame:
    """The same for one profiles.npz, without the column run."""
    _check(loss, statistic, steps)
    with Path(file).open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        step, moment, layers, direction, parts, kind, names = (
            data[key] for key in ("step", "time", "layer", "direction", "part", "loss", "statistic")
        )
        norm, lag = data["log10_norm"], data["lag"]
    if norm.shape != (len(step), len(layers), len(names), len(moment)):
        raise ValueError(f"log10_norm has shape {norm.shape}, its axes say otherwise")
    order = np.argsort(step, kind="stable")
    if len(order) == 0:
        raise ValueError("no probed step")
    n = {"first": order[:1], "last": order[-1:], "ends": np.unique(order[[0, -1]]), "all": order}[steps]
    chosen = kind == ("last" if loss == "last" and "last" in kind else "task")
    chosen &= (layer is None or layers == layer) & (part is None or parts == part)
    s = np.flatnonzero(chosen)
    (k,) = np.flatnonzero(names == statistic)
    T = len(moment)
    at = np.tile(np.repeat(s, T), len(n))
    t = np.tile(moment, len(n) * len(s))
    return pd.DataFrame(
        {
            "step": np.repeat(step[n], len(s) * T),
            "layer": layers[at],
            "direction": pd.Categorical(direction, DIRECTIONS)[at],
            "part": pd.Categorical(parts, [*PARTS, *sorted(set(parts) - set(PARTS))])[at],
            "time": t,
            "lag": np.tile(lag[s].ravel(), len(n)),
            "log10": norm[n][:, s, k, :].ravel(),
        }
    )


def _check(loss: str, statistic: str, steps: str) -> None:
    for name, value, allowed in (
        ("loss", loss, ("last", "task")),
        ("statistic", statistic, STATISTICS),
        ("steps", steps, ("first", "last", "ends", "all")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def run_folders(folder: str | Path, only: Collection[str] | None = None) -> Iterator[Path]:
    """The folders in which a run has left anything, by name."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(_no_runs(folder))
    for path in sorted(folder.iterdir()):
        if (only is None or path.name in only) and any((path / name).is_file() for name in FILES):
            yield path


def _no_runs(folder: str | Path) -> str:
    name = Path(folder).resolve().name
    return f"{folder} holds no runs that can be read; make them with: python -m experiments.train -m experiment={name}"


def _row(path: Path) -> dict[str, Any]:
    if not (path / "config.json").exists() and (path / "failed.json").exists():
        raise ValueError(f"it failed before it began: {json.loads((path / 'failed.json').read_text()).get('error')}")
    record = json.loads((path / "config.json").read_text())
    done = json.loads((path / "done.json").read_text()) if (path / "done.json").exists() else {}
    row = flatten(record["config"])
    row |= {"device": record["device"]} if "device" in record else {}
    step, last = final(path / "scalars.jsonl")
    row |= {"steps_done": step} | {name if "/" in name else f"scalar/{name}": v for name, v in last.items()}
    row |= {"run": path.name, "name": record.get("name"), "scale": record.get("scale"), "code": record.get("code")}
    row |= {f"versions.{k}": v for k, v in record.get("versions", {}).items()}
    if done:
        row |= {"outcome": done["outcome"], "steps_done": done.get("steps")}
        row |= {k: number(done.get(k)) for k in ("wall_seconds", "probe_seconds")}
        row |= {k: number(v) for k, v in done["metrics"].items()}
        row |= {f"predicted.{k}": number(v) for k, v in flatten(done.get("predicted") or {}).items()}
    else:
        row |= _not_done(path)
    return {"run": row.pop("run"), "outcome": row.pop("outcome"), **row}


def _not_done(path: Path) -> dict[str, Any]:
    running, failed = path / "running.json", path / "failed.json"
    try:
        if time.time() - running.stat().st_mtime < STALE:
            return {"outcome": "running"}
    except FileNotFoundError:
        pass
    if failed.exists():
        return {"outcome": "failed", "failure": json.loads(failed.read_text()).get("error")}
    return {"outcome": "unfinished"}


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"init": {"_target_": "rnnlab.inits.orthogonal_", "gain": 1.0}} -> {"init": "orthogonal", "init.gain": 1.0}."""
    row: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}.{key}" if prefix else key
        if key == "_target_":
            row[prefix] = value.rsplit(".", 1)[-1].lower().strip("_")
        elif isinstance(value, dict):
            row |= flatten(value, name)
        elif not key.startswith("_"):  # _partial_, _convert_, _recursive_ belong to Hydra
            row[name] = json.dumps(value) if isinstance(value, list) else value
    return row


def left_out(path: Path, error: BaseException, where: str = "") -> None:
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    warnings.warn(f"{path}{where} cannot be read and is left out ({reason})", stacklevel=3)
