"""How long the figures of 1,000 run folders take, from the folders and from the tables that are kept.

    python -m tests.benchmarks.figures [--runs 1000] [--keep FOLDER]

The folders are those of `tests.benchmarks.tables`, as a sweep of 20 gains and 10 T, each with the profiles of its 15
probed steps. The bar is 10 s for any figure, reading included.
"""

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np

from analysis import drawing, published, results, style, trainability
from tests.benchmarks import tables

GAINS, LENGTHS = [round(0.5 + 0.06 * k, 2) for k in range(20)], [10, 20, 30, 50, 70, 100, 150, 200, 300, 500]


def fabricate(folder: Path, runs: int) -> None:
    tables.fabricate(folder, runs)
    for k, path in enumerate(sorted(folder.iterdir())):
        gain, T, seed = GAINS[k % 20], LENGTHS[k // 20 % 10], k // 200
        record = json.loads((path / "config.json").read_text())
        record["config"] |= {"seed": seed}
        record["config"]["init"] = {"_target_": "rnnlab.inits.gaussian_", "gain": gain}
        record["config"]["task"] |= {"length": T}
        (path / "config.json").write_text(json.dumps(record))
        steps, lag = sorted(tables.PROBED), np.arange(T)[::-1]
        rates = math.log10(gain) * (1 + 0.1 * seed) * np.linspace(1, 0.5, len(steps))
        norms = np.broadcast_to((rates[:, None] * lag)[:, None, None, :], (len(steps), 4, 5, T))
        np.savez(
            path / "profiles.npz",
            step=np.array(steps),
            layer=np.array([0, 0, 1, 1]),
            direction=np.array(["forward", "backward"] * 2),
            part=np.array(["h"] * 4),
            loss=np.array(["task"] * 4),
            statistic=np.array(["mean_log10", "log10_rms", "q10", "q50", "q90"]),
            time=np.arange(T),
            lag=np.stack([lag, lag[::-1]] * 2),
            log10_norm=norms,
            zeros=np.zeros((len(steps), 4, T), int),
            nonfinite=np.zeros((len(steps), 4, T), int),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of the figures of many run folders.")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="where the folders are made, once, and stay")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary) / "trainability"
        if not folder.exists():
            fabricate(folder, options.runs)
        started = time.perf_counter()
        made, _ = trainability.make(folder, drawing.sweep(folder, None, []), Path(temporary))
        read = time.perf_counter() - started
        print(f"tables of all figures: {read:.1f} s")
        for figure in published.of("trainability"):
            started = time.perf_counter()
            table = results.settled(drawing.small(made[figure.name]))
            style.save(figure.draw(table), Path(temporary) / figure.name)
            seconds = time.perf_counter() - started
            print(f"{figure.name}: {seconds:.1f} s from its table of {len(table)} rows, {read + seconds:.1f} s in all")


if __name__ == "__main__":
    main()
