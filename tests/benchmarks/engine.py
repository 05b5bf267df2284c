"""Speed of a training step with every adjoint in hand: `python -m tests.benchmarks.engine [--quick]`.

All in one process and one thread, the contenders interleaved, medians of the rounds; only ratios mean anything.

    ours      scan forward and backward, all adjoints [T, B, S] handed over
    torch     torch.nn's fused layer, forward and backward, without any adjoint
    loop      what one writes to see every adjoint: `step` in a loop over the drive z[t], with retain_grad (H = 64)
    unbound   the same loop over z.unbind(0), which does not make a full-size zero tensor per step in the backward pass
    loss      `every step`: the sum over all steps. `last step`: the gradient vanishes on the way, so that torch.nn
              computes with subnormal numbers, which is slow; ours drops what is below 5e-29
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from rnnlab.cells import GRU, LSTM, Cell, Elman
from rnnlab.inits import torch_default_
from rnnlab.scan import scan

INPUTS, STEPS, BATCH = 8, 1000, 32
KINDS = {
    "elman": (partial(Elman, activation="tanh"), nn.RNN),
    "gru": (GRU, nn.GRU),
    "lstm": (partial(LSTM, forget_bias=1.0), nn.LSTM),
}
BARS = {
    ("elman", 64): 0.85,
    ("elman", 256): 0.95,
    ("gru", 64): 0.75,
    ("gru", 256): 1.0,
    ("lstm", 64): 1.3,
    ("lstm", 256): 1.4,
}
LOSSES = {"every step": lambda h: h.square().sum(), "last step": lambda h: h[-1].square().sum()}


def medians(contenders: list[Callable[[], None]], rounds: int) -> list[float]:
    """Median seconds of each, interleaved, after one round that is not counted."""
    seconds = [[] for _ in contenders]
    for k in range(rounds + 1):
        for found, run in zip(seconds, contenders, strict=True):
            start = time.perf_counter()
            run()
            found += [time.perf_counter() - start] if k else []
    return [statistics.median(x) for x in seconds]


def ours(cell: Cell, x: Tensor, loss: Callable[[Tensor], Tensor]) -> None:
    held: list[Tensor] = []
    cell.zero_grad()
    loss(scan(cell, x, watch=held.append)[0]).backward()


def fused(layer: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor]) -> None:
    layer.zero_grad()
    loss(layer(x)[0]).backward()


def loop(cell: Cell, x: Tensor, loss: Callable[[Tensor], Tensor], *, unbind: bool) -> None:
    cell.zero_grad()
    s, kept, z = x.new_zeros(x.shape[1], cell.state_size), [], cell.project(x)
    for z_t in z.unbind(0) if unbind else (z[t] for t in range(len(z))):
        s = cell.step(z_t, s)
        s.retain_grad()
        kept.append(s)
    loss(torch.stack([cell.hidden(s) for s in kept])).backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 9, without the loop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"T = {STEPS}, B = {BATCH}, I = {INPUTS}, one thread")
    heads = ("ours ms", "torch ms", "ours/torch", "bar", "loop/ours", "unbound/ours")
    print(f"{'cell':6} {'H':>4} {'loss':10}", *(f"{head:>12}" for head in heads))
    for size in (64, 256):
        for kind, (cell_of, layer_of) in KINDS.items():
            x = torch.randn(STEPS, BATCH, INPUTS)
            cell, layer = cell_of(INPUTS, size), layer_of(INPUTS, size)
            cell.initialise(torch_default_)
            for name, loss in LOSSES.items():
                run = partial(ours, cell, x, loss)
                mine, theirs = medians([run, partial(fused, layer, x, loss)], 3 if options.quick else 9)
                numbers = [1e3 * mine, 1e3 * theirs, mine / theirs, BARS[kind, size]]
                if not options.quick and size == 64:  # at 256 the loop moves 131 GB of zeros
                    loops = [partial(loop, cell, x, loss, unbind=unbind) for unbind in (False, True)]
                    again, *slow = medians([run, *loops], 1)
                    numbers += [seconds / again for seconds in slow]
                print(f"{kind:6} {size:4} {name:10}", *(f"{number:12.2f}" for number in numbers), flush=True)


if __name__ == "__main__":
    main()
