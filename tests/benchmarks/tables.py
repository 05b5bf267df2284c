"""How long 10,000 run folders take to load, and how much memory: configuration, final scalars and digests.

    python -m tests.benchmarks.tables [--runs 10000] [--keep FOLDER]

The folders are fabricated: 100 logged steps, 15 of them probed, of a bidirectional network of two layers; half a
gigabyte in all. The bar is 20 s and 2 GiB; the files have just been written and are in the cache of the machine.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from analysis import tables

DIGESTS = ("decay_per_step", "half_life", "horizon", "horizon_censored", "log10_ratio")
SERIES = [f"adjoint/L{layer}/{way}/h" for layer in (1, 0) for way in ("forward", "backward")]
PROBED = {0, 20, 40, 100, 200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 1900, 1980}


def config(seed: int) -> dict:
    parts = {
        "cell": {"_target_": "rnnlab.cells.elman.Elman", "activation": "tanh"},
        "init": {"_target_": "rnnlab.inits.orthogonal_", "gain": 1.0 + seed % 7 / 10},
        "gate_bias": {"_target_": "rnnlab.inits.constant_bias_", "value": 1.0},
        "constraint": {"_target_": "rnnlab.constraints.none"},
        "network": {"_target_": "rnnlab.networks.stack.Stack", "hidden": 64, "depth": 2, "direction": "bidirectional"},
        "task": {"_target_": "rnnlab.tasks.adding.Adding", "length": 100, "marks": "halves", "tolerance": 0.04},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001, "betas": [0.9, 0.999]},
        "clip": {"_target_": "rnnlab.train.clip_norm", "threshold": 1.0},
        "schedule": {"_target_": "rnnlab.probes.schedule.Decades"},
    }
    plain = {"seed": seed, "steps": 1980, "batch": 20, "log_every": 20, "evaluate_every": 100, "held_out": 500}
    versions = {"python": "3.11.7", "rnnlab": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"}
    about = {"run": f"{seed:012x}", "name": "many", "scale": "laptop", "config": {**plain, **parts}}
    return {**about, "versions": versions, "device": "cpu", "loops": "compiled", "code": "a" * 40}


def rows(seed: int) -> str:
    lines = []
    for step in range(0, 2000, 20):
        noise = (seed * 7919 + step) % 1000 / 1000 + 0.123456789
        row = {"step": step, "seconds": step / 17.3, "train/loss": noise, "train/learning_rate": 0.001}
        if step % 100 == 0 or step == 1980:
            row |= {"validation/loss": noise, "validation/error": noise}
        if step in PROBED:
            row |= {f"{series}/{name}": -0.019950149228039248 * noise for series in SERIES for name in DIGESTS}
        row |= {"grad/norm": 11.112236838526789 * noise, "grad/zeros": 0.0, "grad/nonfinite": 0.0, "grad/clipped": 1.0}
        lines.append(json.dumps(row))
    return "\n".join(lines) + "\n"


def fabricate(folder: Path, runs: int) -> None:
    for seed in range(runs):
        path = folder / f"{seed:012x}"
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps(config(seed), indent=1))
        (path / "scalars.jsonl").write_text(rows(seed))
        metrics = {"validation/loss": 0.5, "validation/error": 0.5, "test/loss": 0.5, "test/error": 0.5}
        done = {"outcome": "stuck", "steps": 1980, "metrics": metrics, "predicted": {}, "wall_seconds": 114.5}
        (path / "done.json").write_text(json.dumps({**done, "probe_seconds": 1.2}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of loading many run folders.")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="where the folders are made, once, and stay")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary) / "many"
        if not folder.exists():
            fabricate(folder, options.runs)
        started = time.perf_counter()
        frame = tables.runs(folder)
        seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(frame)} runs, {len(frame.columns)} columns: {seconds:.1f} s, at most {memory:.2f} GiB in memory")


if __name__ == "__main__":
    main()
