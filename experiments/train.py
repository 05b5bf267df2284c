"""Train one configuration, or with -m a sweep of them: `python -m experiments.train --help`.

A run that is done is not trained again; one that failed or was killed is tried again by the same command.
"""

import sys
import time
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from experiments import progress
from experiments.build import BadInput, Bench, build
from experiments.checkpoints import told
from experiments.records import Busy, Record, finished, read_done, run_id
from rnnlab import kernels
from rnnlab.probes import Reading
from rnnlab.train import Measurement, evaluate

WORTH_A_PICTURE = 20.0  # seconds of a run: to draw it for the tracker costs half a second


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(cfg: DictConfig) -> dict[str, Any]:
    sweep = HydraConfig.get().mode is RunMode.MULTIRUN
    try:
        return run(cfg)
    except Busy as error:
        if sweep:  # another sweep works on this run: not ours to wait for
            return {"outcome": "busy", "metrics": {}, "wall_seconds": 0.0, "run": str(error), "skipped": False}
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BadInput as error:
        if sweep:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def run(cfg: DictConfig) -> dict[str, Any]:
    """Train the configuration unless that is done; returns what `done.json` says, with run, folder and skipped."""
    if cfg.device == "auto":
        cfg.device = "cuda" if torch.cuda.is_available() else "cpu"
    config = OmegaConf.to_container(cfg, resolve=True)
    folder = Path(cfg.paths.outputs) / cfg.name / run_id(config)
    about = {"run": folder.name, "folder": str(folder)}
    if finished(folder):
        return {**about, **read_done(folder), "skipped": True}
    started = time.perf_counter()
    torch.set_num_threads(cfg.threads)
    bench = build(cfg)
    overrides = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    loops = "compiled" if cfg.device == "cpu" and kernels.available() else "python"
    with Record.open(folder, config, name=cfg.name, scale=cfg.scale, loops=loops, overrides=overrides) as record:
        bench.tracker.start(folder, folder.name, cfg.name, config, [cfg.scale])
        arrays, last = follow(bench, record, cfg.steps, cfg.checkpoint_seconds)
        metrics = {name: value for name, value in last.scalars.items() if name.startswith("validation/")}
        found = evaluate(bench.network, bench.task, bench.test)
        metrics |= {f"test/{name}": value for name, value in found.items()}
        record.weights(bench.network.state_dict())
        wall = record.kept.seconds + time.perf_counter() - started
        done = record.done(
            last.outcome, steps=last.step, metrics=metrics, wall_seconds=wall, probe_seconds=last.probe_seconds
        )
        bench.tracker.finish(done, arrays, (lambda: picture(folder)) if wall > WORTH_A_PICTURE else None)
    return {**about, **done, "skipped": False}


def follow(
    bench: Bench, record: Record, steps: int, checkpoint_seconds: float
) -> tuple[dict[str, np.ndarray], Measurement]:
    """Train, and write each measurement down as it comes; returns all profiles and the last measurement."""
    kept = record.kept
    arrays, axes = dict(kept.arrays), kept.axes
    for row, profiles in told(kept.rows, arrays, axes):
        bench.tracker.log(row, profiles)
    ticker = progress.Ticker(steps, first=kept.state["step"] if kept.state else 0)
    saved = started = time.perf_counter()
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


def picture(folder: Path) -> Path:
    """The profiles of a run as a PNG beside its record."""
    from analysis import run, style  # here: drawing is for those who track

    return style.save_png(run.run_figure(folder), folder / "profiles.png")


if __name__ == "__main__":
    try:
        main()
    except SystemExit as stop:  # raised by Hydra while it reports what the command line has wrong
        if line := progress.suggestion(stop.__context__):
            print(line, file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with what is missing", file=sys.stderr)
        sys.exit(130)
