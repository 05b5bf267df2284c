"""Length: memory of one training step with its profile at T = 10,000, and cost per time step against T = 100.

python -m tests.benchmarks.length
"""

import resource
import time
from functools import partial

import torch

from rnnlab.cells import LSTM
from rnnlab.inits import orthogonal_
from rnnlab.networks import Stack
from rnnlab.probes import Moment, Profile
from rnnlab.tasks.adding import Adding

HIDDEN, BATCH, LONG, SHORT = 64, 16, 10_000, 100


def step(network: Stack, task: Adding, *, probe: bool) -> None:
    """One training step as the loop does it, without the optimiser."""
    x, y = task.draw("train", BATCH, torch.Generator().manual_seed(0))
    outputs, trajectory = network(x)
    losses = task.losses(outputs, y)
    sample_losses = task.sample_losses(losses)
    sample_losses.mean().backward(retain_graph=True)
    if probe:
        Profile()(Moment(0, network, trajectory, losses, sample_losses, task.scored))


def main() -> None:
    torch.set_num_threads(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tasks = {T: Adding(length=T, marks="halves", tolerance=0.04, solved_error=0.01) for T in (LONG, SHORT)}
    sizes = {
        "inputs": 2,
        "outputs": 1,
        "hidden": HIDDEN,
        "depth": 1,
        "direction": "forward",
        "readout": "last",
        "truncate": None,
    }
    network = Stack(partial(LSTM, forget_bias=1.0), **sizes).initialise(partial(orthogonal_, gain=1.0))
    for probe in (False, True):
        per_step = {SHORT: [], LONG: []}
        for _ in range(4):
            for T, repeats in ((SHORT, LONG // SHORT // 4), (LONG, 1)):
                start = time.perf_counter()
                for _ in range(repeats):
                    step(network, tasks[T], probe=probe)
                per_step[T].append((time.perf_counter() - start) / repeats / T)
        us = {T: 1e6 * sorted(found[1:])[1] for T, found in per_step.items()}
        what = "with its profile" if probe else "alone"
        print(
            f"LSTM, H = {HIDDEN}, B = {BATCH}, training step {what}: {us[SHORT]:.0f} us per time step at T = {SHORT}, "
            f"{us[LONG]:.0f} us at T = {LONG:,}: ratio {us[LONG] / us[SHORT]:.2f} (bar 1.3)"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 2**20:.2f} GiB (bar 4), {(peak - before) / 2**20:.2f} GiB beyond the imports")


if __name__ == "__main__":
    main()
