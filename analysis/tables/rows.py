"""One row per run: what it is and what came of it."""

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.folders import left_out, no_runs, run_folders
from analysis.tables.final import UNREADABLE, final, number

RECORD = ("run", "name", "scale", "outcome", "code", "steps_done", "wall_seconds", "probe_seconds", "failure")
SCALES = ("smoke", "laptop", "paper")  # from the smallest
FINISHED = ("solved", "stuck", "diverged")  # the outcomes that a done.json can hold
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
            rows.append(row(path))
        except UNREADABLE as error:
            left_out(path, error)
    if not rows:
        raise ValueError(no_runs(folder))
    return pd.DataFrame(rows)


def configuration(frame: pd.DataFrame) -> list[str]:
    """Those columns of `runs` that are settings of the run, seed included."""
    return [c for c in frame if c not in RECORD and "/" not in c and not c.startswith(("versions.", "predicted."))]


def row(path: Path, end: tuple[int | None, dict[str, float]] | None = None) -> dict[str, Any]:
    """The same for one run folder, as a dictionary.

    Args:
        end: what `analysis.tables.final.final` would find, where a caller has read the scalars anyway.

    Raises:
        one of `UNREADABLE`.
    """
    if not (path / "config.json").exists() and (path / "failed.json").exists():
        raise ValueError(f"it failed before it began: {json.loads((path / 'failed.json').read_text()).get('error')}")
    record = json.loads((path / "config.json").read_text())
    done = json.loads((path / "done.json").read_text()) if (path / "done.json").exists() else {}
    found = flatten(record["config"])
    found |= {"device": record["device"]} if "device" in record else {}
    step, last = final(path / "scalars.jsonl") if end is None else end
    found |= {"steps_done": step} | {name if "/" in name else f"scalar/{name}": v for name, v in last.items()}
    found |= {"run": path.name, "name": record.get("name"), "scale": record.get("scale"), "code": record.get("code")}
    found |= {f"versions.{k}": v for k, v in record.get("versions", {}).items()}
    if done:
        found |= {"outcome": done["outcome"], "steps_done": done.get("steps")}
        found |= {k: number(done.get(k)) for k in ("wall_seconds", "probe_seconds")}
        found |= {k: number(v) for k, v in done["metrics"].items()}
        found |= {f"predicted.{k}": number(v) for k, v in flatten(done.get("predicted") or {}).items()}
    else:
        found |= _not_done(path)
    return {"run": found.pop("run"), "outcome": found.pop("outcome"), **found}


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
