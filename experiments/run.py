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
from experiments.replay import drawing
from rnnlab import kernels
from rnnlab.predictions import limit, predict
from rnnlab.probes import Reading
from rnnlab.train import Measurement, evaluate

__all__ = ["BadInput", "folder_of", "run"]


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
    with (
        Record.open(
            folder, config, name=cfg.name, scale=cfg.scale, device=device, loops=loops, overrides=overrides
        ) as record,
        bench.tracker,
    ):
        bench.tracker.start(folder, folder.name, cfg.name, config, [cfg.scale])
        before = bench.network, bench.test.x, bench.test.lengths  # while its weights are the initial ones
        predicted = predict(*before) | limit(*before)
        arrays, last = follow(bench, record, cfg.steps, cfg.checkpoint_seconds)
        metrics = {name: value for name, value in last.scalars.items() if name.startswith("validation/")}
        found = evaluate(bench.network, bench.task, bench.test)
        metrics |= {f"test/{name}": value for name, value in found.items()}
        record.weights(bench.network.state_dict())
        wall = record.kept.seconds + time.perf_counter() - started
        done = record.done(
            last.outcome,
            steps=last.step,
            metrics=metrics,
            predicted=predicted,
            wall_seconds=wall,
            probe_seconds=last.probe_seconds,
            tracker_seconds=bench.tracker.seconds,
        )
        bench.tracker.finish(done, arrays, drawing(folder, done))
    return {**about, **done, "skipped": False}


def follow(
    bench: Bench, record: Record, steps: int, checkpoint_seconds: float
) -> tuple[dict[str, np.ndarray], Measurement]:
    """Train, and write each measurement down as it comes; returns all profiles and the last measurement."""
    kept = record.kept
    arrays, axes = dict(kept.arrays), kept.axes
    saved = started = time.perf_counter()
    with progress.Ticker(steps, first=kept.state["step"] if kept.state else 0) as ticker:
        for m in bench.measurements(resume=kept.state):
            now = time.perf_counter()
            seconds = kept.seconds + now - started
            if m.outcome is None and now - saved >= checkpoint_seconds:
                record.checkpoint(m.state(), seconds=seconds, axes=axes, probed=len(arrays.get("step", ())))
                saved = time.perf_counter()
            row = {"step": m.step, "seconds": seconds, **m.scalars}
            record.scalars(row)
            if m.reading:
                arrays, axes = grown(arrays, m.step, m.reading), list(m.reading.axes)
                record.profiles(arrays)
            bench.tracker.log(row, arrays if m.reading else None)
            ticker(m)
    return arrays, m


def grown(arrays: dict[str, np.ndarray], step: int, reading: Reading) -> dict[str, np.ndarray]:
    """The arrays of all probed steps along a first axis `step`, this one's at the end, and their axes."""
    new = {"step": np.array([step]), **{name: value.numpy()[None] for name, value in reading.arrays.items()}}
    axes = {name: np.array(values) for name, values in reading.axes.items()}
    if arrays:
        new = {name: np.concatenate([arrays[name], value]) for name, value in new.items()}
    return {"step": new["step"], **axes, **new}
