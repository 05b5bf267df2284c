"""How long the payload of a dashboard takes from 1,000 run folders, how much memory, and how large its file is.

    python -m tests.benchmarks.dashboard [--runs 1000] [--hard] [--keep FOLDER]

The folders are fabricated: 100 logged steps, 15 of them probed, of a bidirectional network of two layers, T from 200 to
1,000; their profiles are twelve files with many names. The bar is 30 s for 1,000 runs, and 5 MB for the page of 200, of
which .9 are the page itself. --hard: a bidirectional LSTM of three layers over 10,000 steps, 72 MB of profiles a run.
The files have just been written and are in the cache of the machine.
"""

import argparse
import base64
import gzip
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from analysis.dashboard.collect import Collector
from tests.benchmarks import tables

STATISTICS = ("mean_log10", "log10_rms", "q10", "q50", "q90")
DIFFERENT = 4  # files of profiles for each length; the others are links to them


def profiles(file: Path, T: int, layers: int, parts: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    names = [(layer, way, part) for layer in range(layers) for way in ("forward", "backward") for part in parts]
    lag = np.stack([np.arange(T) if way == "backward" else T - 1 - np.arange(T) for _, way, _ in names])
    rate = random.uniform(-20, 2, (len(tables.PROBED), len(names), 1, 1)) / T  # none falls below the floor
    noise = random.normal(0, 0.05, (len(tables.PROBED), len(names), len(STATISTICS), T))
    count = np.zeros((len(tables.PROBED), len(names), T), int)
    layer, direction, part = (np.array(one) for one in zip(*names, strict=True))
    np.savez(
        file,
        step=np.array(sorted(tables.PROBED)),
        **{"layer": layer, "direction": direction, "part": part, "loss": np.array(["task"] * len(names))},
        **{"statistic": np.array(STATISTICS), "time": np.arange(T), "lag": lag, "zeros": count, "nonfinite": count},
        log10_norm=rate * lag[None, :, None, :] - 2 + noise,
    )


def fabricate(folder: Path, runs: int, hard: bool) -> None:
    tables.fabricate(folder, runs)
    made: dict[int, Path] = {}
    for k, path in enumerate(sorted(folder.iterdir())):
        T, layers, parts = (10_000, 3, "hc") if hard else ((200, 500, 1000)[k % 3], 2, "h")
        kind = k % DIFFERENT if hard else k % (3 * DIFFERENT)
        if kind in made:
            os.link(made[kind], path / "profiles.npz")
        else:
            made[kind] = path / "profiles.npz"
            profiles(made[kind], T, layers, parts, seed=kind)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time, memory and bytes of a dashboard of many runs.")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--hard", action="store_true", help="T = 10,000, 12 series a run")
    parser.add_argument("--keep", type=Path, help="where the folders are made, once, and stay")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary) / "many"
        if not folder.exists():
            fabricate(folder, options.runs, options.hard)
        started = time.perf_counter()
        collector = Collector(folder)
        collector.refresh()
        payload = collector.payload()
        text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
        packed = base64.b64encode(gzip.compress(text.encode(), mtime=0))
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        collector.refresh()
        again = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    count, size = len(payload["runs"]), len(packed) / 2**20
    print(f"{count} runs: {seconds:.1f} s, {memory:.2f} GiB, {size:.1f} MiB in the page; again {again:.2f} s")
    print(f"profiles of a run: {payload['runs'][0]['profiles']['coarse'] or 'every probed step'}")


if __name__ == "__main__":
    main()
