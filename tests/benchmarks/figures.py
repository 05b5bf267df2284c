"""How long the figures of 1,000 run folders take, by the clock and on the processor.

    python -m tests.benchmarks.figures [--runs 1000] [--keep FOLDER]

The folders are those of `tests.benchmarks.tables`, each with the profiles of its 15 probed steps: as `trainability` a
sweep of 20 gains and 10 T, as `horizon` one of 2 tasks, 3 cells, 2 inits, 2 depths, 2 directions and 5 T. The bar is
10 s for any figure, reading included.
"""

import argparse
import itertools
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from analysis import drawing, horizon, published, results, style, trainability
from tests.benchmarks import tables

GAINS, LENGTHS = [round(0.5 + 0.06 * k, 2) for k in range(20)], [10, 20, 30, 50, 70, 100, 150, 200, 300, 500]
WAYS = (1, "forward"), (2, "forward"), (1, "bidirectional"), (2, "bidirectional")
NETWORKS = list(itertools.product(("adding", "copy"), ("elman", "gru", "lstm"), ("glorot", "orthogonal"), WAYS))
COMMANDS = {"trainability": trainability, "horizon": horizon}


def fabricate(folder: Path, runs: int, experiment: str) -> None:
    tables.fabricate(folder, runs)
    for k, path in enumerate(sorted(folder.iterdir())):
        record = json.loads((path / "config.json").read_text())
        if experiment == "trainability":
            rate, T = _trainability(record["config"], k)
        else:
            rate, T = _horizon(record["config"], k)
        (path / "config.json").write_text(json.dumps(record))
        _profiles(path, rate, T)


def _trainability(config: dict, k: int) -> tuple[float, int]:
    gain, T, seed = GAINS[k % 20], LENGTHS[k // 20 % 10], k // 200
    config |= {"seed": seed, "init": {"_target_": "rnnlab.inits.gaussian_", "gain": gain}}
    config["task"] |= {"length": T}
    return math.log10(gain) * (1 + 0.1 * seed), T


def _horizon(config: dict, k: int) -> tuple[float, int]:
    task, cell, init, (depth, direction) = NETWORKS[k % len(NETWORKS)]
    T, seed = LENGTHS[5 + k // len(NETWORKS) % 5], k // (5 * len(NETWORKS))
    config |= {
        "seed": seed,
        "cell": {"_target_": f"rnnlab.cells.{cell}"},
        "init": {"_target_": f"rnnlab.inits.{init}_"},
    }
    config["task"] = {"_target_": f"rnnlab.tasks.{task}", "length": T}
    config["network"] |= {"depth": depth, "direction": direction}
    return -0.02 * (1 + 0.1 * seed), T


def _profiles(path: Path, rate: float, T: int) -> None:
    steps, lag = sorted(tables.PROBED), np.arange(T)[::-1]
    rates = rate * np.linspace(1, 0.5, len(steps))
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


def measured(folder: Path, experiment: str, out: Path) -> None:
    """Print the time of each figure of the experiment."""
    made, read = timed(lambda: COMMANDS[experiment].make(folder, drawing.sweep(folder, None, []), out)[0])
    print(f"tables of all figures of {experiment}: {read[0]:.1f} s ({read[1]:.1f} s of the processor)")
    for figure in published.named(experiment).figures:
        rows = len(drawing.small(made[figure.name]))

        def draw(figure: drawing.Published = figure) -> None:
            style.save(figure.draw(results.settled(drawing.small(made[figure.name]))), out / figure.name)

        _, drawn = timed(draw)
        clock, processor = (a + b for a, b in zip(read, drawn, strict=True))
        said = f"{drawn[0]:.1f} s ({drawn[1]:.1f} s) from its table of {rows} rows, {clock:.1f} s ({processor:.1f} s)"
        print(f"{figure.name}: {said} in all")


def timed(work: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """What it returns, and its seconds by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    return found, (time.perf_counter() - clock, time.process_time() - processor)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of the figures of many run folders.")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="where the folders are made, once, and stay")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for experiment in COMMANDS:
            folder = (options.keep or Path(temporary)) / experiment
            if not folder.exists():
                fabricate(folder, options.runs, experiment)
            measured(folder, experiment, Path(temporary) / "figures")


if __name__ == "__main__":
    main()
