"""Run folders and manifests made by hand, in the format of the record, whose numbers the test chooses."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.sweeps import Sweep
from tests.experiments.holders import plant

CODE = "a" * 40


def begin(folder: Path, run: str, *, steps: int = 100, code: str = CODE, torch: str = "2", **config: Any) -> Path:
    """A run that has written its configuration and nothing else."""
    path = folder / run
    path.mkdir(parents=True, exist_ok=True)
    about = {"run": run, "name": folder.name, "scale": "laptop", "config": {"seed": 0, "steps": steps, **config}}
    about |= {"versions": {"torch": torch}, "code": code, "device": "cpu", "loops": "python"}
    (path / "config.json").write_text(json.dumps(about))
    return path


def log(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with (path / "scalars.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def done(folder: Path, run: str, outcome: str = "stuck", *, seconds: float = 2.0, age: float = 0.0, **config) -> Path:
    """A run that was done `age` seconds ago."""
    path = begin(folder, run, **config)
    metrics = {"validation/error": 0.125, "validation/loss": 0.5}
    about = {"outcome": outcome, "steps": 80, "metrics": metrics, "wall_seconds": seconds, "probe_seconds": 0.1}
    aged(path / "done.json", about, age)
    return path


def failed(folder: Path, run: str, error: str, *, overrides: Sequence[str] = (), age: float = 0.0) -> Path:
    """A run that failed `age` seconds ago, before it was configured."""
    path = folder / run
    path.mkdir(parents=True, exist_ok=True)
    about = {"error": error, "traceback": f"Traceback\n  ...\n{error}\n", "overrides": list(overrides)}
    aged(path / "failed.json", about, age)
    return path


def running(folder: Path, run: str, *, step: int = 40, rate: float = 10.0, horizon: float = 7.0, **config) -> Path:
    """A run that this process works on."""
    path = begin(folder, run, **config)
    plant(path)
    probed = {"adjoint/L0/forward/h/horizon": horizon, "adjoint/L0/forward/h/horizon_censored": 0.0}
    steps = range(0, step + 1, max(1, step // 4))
    log(
        path, [{"step": k, "seconds": k / rate, "train/loss": 1 / (1 + k), **(probed if k == 0 else {})} for k in steps]
    )
    return path


def sweep(folder: Path, runs: dict[str, list[str]], age: float = 60.0) -> Sweep:
    """A sweep that was started `age` seconds ago, with its manifest."""
    made = Sweep(
        name=folder.name,
        scale="laptop",
        started=time.time() - age,
        launcher="local",
        command=["seed=range(3)"],
        runs=runs,
        folder=folder,
    )
    made.write()
    os.utime(made.file, (made.started,) * 2)
    return made


def aged(path: Path, value: Mapping[str, Any], age: float) -> None:
    path.write_text(json.dumps(value))
    os.utime(path, (time.time() - age,) * 2)
