"""One run: built from its configuration, trained, and written down as it goes."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from experiments import progress
from experiments.build import BadInput, Bench, build, place
from experiments.records import Record, finished, read_done, run_id
from rnnlab import kernels
from rnnlab.probes import Reading
from rnnlab.train import Measurement, evaluate

__all__ = ["BadInput", "folder_of", "run"]

WORTH_A_PICTURE = 20.0  # seconds of a run: to draw it for the tracker costs half a second


def folder_of(config: DictConfig) -> Path:
    """The run folder, outputs/NAME/RUN_ID."""
    return Path(config.paths.outputs) / config.name / run_id(OmegaConf.to_container(config, resolve=True))


def run(cfg: DictConfig, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Train the configuration unless that is done; returns what `done.json` says, with run, folder and skipped."""
    config = OmegaConf.to_container(cfg, resolve=True)
    folder = folder_of(cfg)
    about = {"run": folder.name, "folder": str(folder)}
    if finished(folder):
        return {**about, **read_done(folder), "skipped": True}
    started = time.perf_counter()
    torch.set_num_threads(cfg.threads)
    bench = build(cfg)
    device = place(cfg.device).type
    loops = "compiled" if device == "cpu" and kernels.available() else "python"
    with Record.open(
        folder, config, name=cfg.name, scale=cfg.scale, device=device, loops=loops, overrides=overrides
    ) as record:
        bench.tracker.start(folder, folder.name, cfg.name, config, [cfg.scale])
        arrays, last = follow(bench, record, cfg.steps)
        metrics = {name: value for name, value in last.scalars.items() if name.startswith("validation/")}
        found = evaluate(bench.network, bench.task, bench.test)
        metrics |= {f"test/{name}": value for name, value in found.items()}
        record.weights(bench.network.state_dict())
        wall = time.perf_counter() - started
        done = record.done(
            last.outcome, steps=last.step, metrics=metrics, wall_seconds=wall, probe_seconds=last.probe_seconds
        )
        bench.tracker.finish(done, arrays, (lambda: picture(folder)) if wall > WORTH_A_PICTURE else None)
    return {**about, **done, "skipped": False}


def follow(bench: Bench, record: Record, steps: int) -> tuple[dict[str, np.ndarray], Measurement]:
    """Train, and write each measurement down as it comes; returns all profiles and the last measurement."""
    arrays: dict[str, np.ndarray] = {}
    readings: list[tuple[int, Reading]] = []
    started = time.perf_counter()
    ticker = progress.Ticker(steps)
    for m in bench.measurements:
        row = {"step": m.step, "seconds": time.perf_counter() - started, **m.scalars}
        record.scalars(row)
        if m.reading:
            readings.append((m.step, m.reading))
            arrays = stacked(readings)
            record.profiles(arrays)
        bench.tracker.log(row, arrays if m.reading else None)
        ticker(m)
    return arrays, m


def stacked(readings: list[tuple[int, Reading]]) -> dict[str, np.ndarray]:
    """The arrays of all probed steps along a first axis `step`, and their axes."""
    last = readings[-1][1]
    axes = {name: np.array(values) for name, values in last.axes.items()}
    arrays = {name: np.stack([reading.arrays[name].numpy() for _, reading in readings]) for name in last.arrays}
    return {"step": np.array([step for step, _ in readings]), **axes, **arrays}


def picture(folder: Path) -> Path:
    """The profiles of a run as a PNG beside its record."""
    from analysis import run, style  # here: drawing is for those who track

    return style.save_png(run.run_figure(folder), folder / "profiles.png")
