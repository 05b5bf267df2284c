"""Length: cost per time step at T = 10,000 against T = 100, and peak memory of one training step with its profile.

python -m tests.benchmarks.length

A process of its own for each peak: at T = 10,000 every state is kept, at T = 100,000 every 300th (`checkpoint_every`).
"""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import torch

from rnnlab.cells import GRU, LSTM, Elman
from rnnlab.inits import orthogonal_
from rnnlab.networks import Stack
from rnnlab.probes import Moment, Profile
from rnnlab.tasks.adding import Adding
from tests.rnnlab.oracles import SHALLOW

HIDDEN, LONG, SHORT = 64, 10_000, 100
CELLS = {"elman": partial(Elman, activation="tanh"), "lstm": LSTM, "gru": GRU}
PEAK = """
import sys, torch
from tests.benchmarks.length import one_step, resident
before = resident()
one_step(sys.argv[1], *map(int, sys.argv[2:]))
print(resident() - before)
"""


def resident() -> float:
    """Peak of this process so far, GiB. Of Linux, for `ru_maxrss` of a fresh process is at least that of its parent."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 2**20


def network_of(kind: str, checkpoint_every: int = 0) -> Stack:
    sizes = {"inputs": 2, "outputs": 1, "hidden": HIDDEN, "depth": 1, "direction": "forward", "readout": "last"}
    network = Stack(CELLS[kind], **sizes, **SHALLOW, checkpoint_every=checkpoint_every or None)
    return network.initialise(partial(orthogonal_, gain=1.0))


def task_of(steps: int) -> Adding:
    return Adding(length=steps, marks="halves", tolerance=0.04, solved_error=0.01)


def step(network: Stack, task: Adding, batch: int, *, probe: bool) -> None:
    """One training step as the loop does it, without the optimiser."""
    x, y, *_ = task.draw("train", batch, torch.Generator().manual_seed(0))
    outputs, trajectory = network(x)
    losses = task.losses(outputs, y)
    sample_losses = task.sample_losses(losses, y)
    sample_losses.mean().backward(retain_graph=True)
    if probe:
        Profile()(Moment(0, network, trajectory, losses, sample_losses, task.scored))
    assert all(p.grad.isfinite().all() for p in network.parameters())


def one_step(kind: str, steps: int, batch: int, checkpoint_every: int) -> None:
    torch.set_num_threads(1)
    step(network_of(kind, checkpoint_every), task_of(steps), batch, probe=True)


def peak(kind: str, steps: int, batch: int, checkpoint_every: int = 0) -> float:
    """Peak memory of one training step with its profile, GiB beyond the imports, in a process of its own."""
    sizes = map(str, (steps, batch, checkpoint_every))
    command = [sys.executable, "-W", "error", "-c", PEAK, kind, *sizes]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr}")
    return float(result.stdout)


def main() -> None:
    torch.set_num_threads(1)
    tasks, network = {T: task_of(T) for T in (LONG, SHORT)}, network_of("lstm")
    for probe in (False, True):
        per_step = {SHORT: [], LONG: []}
        for _ in range(4):
            for T, repeats in ((SHORT, LONG // SHORT // 4), (LONG, 1)):
                start = time.perf_counter()
                for _ in range(repeats):
                    step(network, tasks[T], 16, probe=probe)
                per_step[T].append((time.perf_counter() - start) / repeats / T)
        us = {T: 1e6 * sorted(found[1:])[1] for T, found in per_step.items()}
        what = "with its profile" if probe else "alone"
        print(
            f"LSTM, H = {HIDDEN}, B = 16, training step {what}: {us[SHORT]:.0f} us per time step at T = {SHORT}, "
            f"{us[LONG]:.0f} us at T = {LONG:,}: ratio {us[LONG] / us[SHORT]:.2f} (bar 1.3)"
        )
    print("peak memory of a training step with its profile, beyond the imports:")
    for kind, steps, batch, every, bar in (
        ("lstm", 10_000, 16, 0, 4.0),
        *((kind, 100_000, 8, 300, 1.5) for kind in ("elman", "lstm", "gru")),
    ):
        start = time.perf_counter()
        found = peak(kind, steps, batch, every)
        seconds = time.perf_counter() - start
        kept = f"every {every}th state" if every else "every state"
        print(
            f"{kind:5} T = {steps:7,}, B = {batch:2}, {kept:17}: {found:.2f} GiB (bar {bar}), {seconds:.0f} s in all",
            flush=True,
        )


if __name__ == "__main__":
    main()
