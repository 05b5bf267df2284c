"""What the probes cost: `python -m tests.benchmarks.probing [--steps 2000]`.

schedule   the share of a training run that its probes take, profile, losses and saturation on the schedule `decades`
trace      what `rnnlab.trace(model, every=100)` adds to a loop over a torch.nn.LSTM (H = 64, B = 32), processor time:
           medians of steps without a trace, of traced steps between probes, and of probed ones
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
from rnnlab.probes import Decades, Profile, Saturation, StepLosses
from rnnlab.tasks.adding import Adding
from rnnlab.tasks.copying import Copying
from rnnlab.train import no_clip, stream, train
from tests.benchmarks.length import CELLS
from tests.rnnlab.oracles import SHALLOW

BAR = 3.0  # per cent


def scheduled(kind: str, task, depth: int, direction: str, steps: int) -> tuple[float, float]:
    """Seconds of the run and of its probes."""
    sizes = {"inputs": task.inputs, "outputs": task.outputs, "hidden": 64, "depth": depth, **SHALLOW}
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
        probes=[Profile(), StepLosses(), Saturation()],
        schedule=Decades(),
        log_every=20,
        evaluate_every=steps,
        stop_when_solved=False,
    )
    *_, last = measurements
    return time.perf_counter() - start, last.probe_seconds


def traced(layers: int, bidirectional: bool, length: int, rounds: int = 8) -> tuple[float, float, float]:
    """Milliseconds of a step, and what it takes more while traced: without a probe, and with one."""
    torch.manual_seed(0)
    model = nn.LSTM(8, 64, num_layers=layers, bidirectional=bidirectional)
    optimizer = torch.optim.Adam(model.parameters())
    x = torch.randn(length, 32, 8)

    def steps(count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            start = time.process_time()
            optimizer.zero_grad()
            model(x)[0].square().mean().backward()
            optimizer.step()
            seconds.append(time.process_time() - start)
        return seconds

    plain, idle, probed = [], [], []
    for _ in range(rounds):
        plain += steps(30)
        with rnnlab.trace(model, every=100):
            probed += steps(1)
            idle += steps(30)
    once, without, with_one = (1e3 * statistics.median(x) for x in (plain, idle, probed))
    return once, without - once, with_one - once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="updates of a run (default 2000)")
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    adding = Adding(length=100, marks="halves", tolerance=0.04, solved_error=0.01)
    copying = Copying(length=80, reduction="mean", solved_error=0.01)
    for layers, bidirectional, length in ((1, False, 200), (2, False, 200), (2, True, 200), (1, False, 1000)):
        once, idle, probe = traced(layers, bidirectional, length)
        added = 100 * (0.99 * idle + 0.01 * probe) / once
        what = f"{layers} layers{', bidirectional' if bidirectional else ''}, T = {length}"
        print(
            f"trace(every=100) on an LSTM of {what}: +{added:.1f} % (bar {BAR:.0f}); a step {once:.1f} ms, "
            f"a probe {probe / once:.1f} of them, between probes {1e3 * idle:+.0f} us",
            flush=True,
        )
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
