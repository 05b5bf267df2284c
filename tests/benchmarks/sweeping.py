"""What a sweep adds to its training: `python -m tests.benchmarks.sweeping [--runs 240] [--seconds 2] [--workers N]`.

    ratio = wall time of the command / (sum of pure training / workers)          bar 1.15

Pure training is the time inside the training loop (updates, evaluations, probes; nothing is built, written or tracked),
measured in this process before the sweep, alone, one thread, the same runs with other seeds. The sweep is the command
as its users type it, with the default tracker. The machine should be idle: its load is printed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from experiments.build import build
from hydra_plugins.rnnlab_sweeps.launcher import cores

ROOT = Path(__file__).parents[2]
BAR = 1.15
ALONE = 5  # runs measured for the sum
FAR = 10_000  # their first seed, out of the way of those of the sweep


def pure(steps: int, seed: int) -> float:
    """Seconds inside the training loop of one run."""
    overrides = [f"steps={steps}", f"seed={seed}", "stop_when_solved=false", "tracker=none"]
    bench = build(compose("train", overrides))
    start = time.perf_counter()
    for _ in bench.measurements():
        pass
    return time.perf_counter() - start


def calibrated(seconds: float) -> tuple[int, list[float]]:
    """Updates that take so long, and the seconds that runs of so many took."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        pure(50, FAR)  # imports
        steps = 200
        for _ in range(3):
            steps = max(20, round(steps * seconds / pure(steps, FAR)))
        return steps, [pure(steps, FAR + k) for k in range(ALONE)]


def swept(runs: int, steps: int, workers: int, outputs: Path) -> tuple[float, float]:
    """Seconds since the epoch at which the command of the sweep began and ended."""
    command = [sys.executable, "-m", "experiments.train", "-m", f"paths.outputs={outputs}", f"seed=range({runs})"]
    start = time.time()
    given = [f"steps={steps}", "stop_when_solved=false", f"hydra.launcher.workers={workers}"]
    subprocess.run([*command, *given], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return start, time.time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=240)
    parser.add_argument("--seconds", type=float, default=2.0, help="pure training of each")
    parser.add_argument("--workers", type=int, default=cores())
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    steps, alone = calibrated(options.seconds)
    each = statistics.mean(alone)
    print(f"pure training: {steps} updates take {each:.2f} s ({min(alone):.2f} to {max(alone):.2f})", flush=True)
    with tempfile.TemporaryDirectory() as place:
        start, end = swept(options.runs, steps, options.workers, Path(place))
        folders = [path.parent for path in Path(place).rglob("done.json")]
        walls = [json.loads((folder / "done.json").read_text())["wall_seconds"] for folder in folders]
        loops = [json.loads((folder / "scalars.jsonl").read_text().splitlines()[-1])["seconds"] for folder in folders]
        ends = [(folder / "done.json").stat().st_mtime for folder in folders]
    assert len(folders) == options.runs
    ideal = options.runs * each / options.workers
    first = min(end - wall for end, wall in zip(ends, walls, strict=True))
    between = options.workers * (max(ends) - first) - sum(walls)
    parts = {
        "before the first run": first - start,
        "longer than alone, with record and tracker": (sum(loops) / options.workers - ideal),
        "around the loop: build, weights, test": (sum(walls) - sum(loops)) / options.workers,
        "between runs, and waiting for the last": between / options.workers,
        "after the last run": end - max(ends),
    }
    print(
        f"{options.runs} runs of {each:.2f} s on {options.workers} cores: {end - start:.1f} s, ideal {ideal:.1f}, "
        f"ratio {(end - start) / ideal:.3f} (bar {BAR}); load {os.getloadavg()[0]:.1f}"
    )
    for what, seconds in parts.items():
        print(f"  {100 * seconds / ideal:+5.1f} %  {seconds:+7.2f} s  {what}")


if __name__ == "__main__":
    main()
