"""What the probes cost: `python -m tests.benchmarks.probing [--steps 2000]`.

schedule   the share of a training run that its probes take, profile and losses on the schedule `decades`
trace      what `rnnlab.trace(model, every=100)` adds to a loop over a torch.nn.LSTM, of processor time: 100 steps
           with and 100 without in turn, the median of the rounds
"""

import argparse
import statistics
import time
from functools import partial

import torch
from torch import nn

import rnnlab
from rnnlab.inits import orthogonal_
from rnnlab.networks import Stack
from rnnlab.probes import Decades, Profile, StepLosses
from rnnlab.tasks.adding import Adding
from rnnlab.tasks.copying import Copying
from rnnlab.train import no_clip, stream, train
from tests.benchmarks.length import CELLS

BAR = 3.0  # per cent


def scheduled(kind: str, task, depth: int, direction: str, steps: int) -> tuple[float, float]:
    """Seconds of the run and of its probes."""
    sizes = {"inputs": task.inputs, "outputs": task.outputs, "hidden": 64, "depth": depth, "truncate": None}
    network = Stack(CELLS[kind], **sizes, direction=direction, readout=task.readout)
    network.initialise(partial(orthogonal_, gain=1.0), stream(0, "init"))
    start = time.perf_counter()
    measurements = train(
        network,
        task,
        torch.optim.Adam(network.parameters(), 1e-4),
        clip=no_clip,
        steps=steps,
        batch=20,
        generator=stream(0, "train"),
        validation=task.held_out("validation", 20, stream(0, "validation")),
        probes=[Profile(), StepLosses()],
        schedule=Decades(),
        log_every=20,
        evaluate_every=steps,
        stop_when_solved=False,
    )
    *_, last = measurements
    return time.perf_counter() - start, last.probe_seconds


def traced(layers: int, bidirectional: bool, length: int, rounds: int) -> tuple[float, float]:
    """Seconds of 100 steps of training, and per cent that one probe in them adds."""
    torch.manual_seed(0)
    model = nn.LSTM(8, 64, num_layers=layers, bidirectional=bidirectional)
    optimizer = torch.optim.Adam(model.parameters())
    x = torch.randn(length, 32, 8)

    def steps() -> float:
        start = time.process_time()
        for _ in range(100):
            optimizer.zero_grad()
            model(x)[0].square().mean().backward()
            optimizer.step()
        return time.process_time() - start

    ratios, plain = [], []
    for _ in range(rounds):
        plain.append(steps())
        with rnnlab.trace(model, every=100):
            ratios.append(steps() / plain[-1])
    return statistics.median(plain), 100 * (statistics.median(ratios) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="updates of a run (default 2000)")
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    adding = Adding(length=100, marks="halves", tolerance=0.04, solved_error=0.01)
    copying = Copying(length=80, reduction="mean", solved_error=0.01)
    for layers, bidirectional, length in ((1, False, 200), (2, False, 200), (2, True, 200), (1, False, 1000)):
        seconds, added = traced(layers, bidirectional, length, rounds=5)
        what = f"{layers} layers{', bidirectional' if bidirectional else ''}, T = {length}"
        print(f"trace(every=100) on an LSTM of {what}: +{added:.1f} % (bar {BAR:.0f}) of {seconds:.1f} s", flush=True)
    for task in (adding, copying):
        for kind, depth, direction in (("elman", 1, "forward"), ("lstm", 1, "forward"), ("lstm", 2, "bidirectional")):
            seconds, probing = scheduled(kind, task, depth, direction, steps)
            name, share = type(task).__name__.lower(), 100 * probing / seconds
            print(
                f"{name:8} {kind:5} depth {depth} {direction:13}: {steps} updates in {seconds:.0f} s, "
                f"probes {share:.2f} % (bar {BAR:.0f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
