"""Speed of a training step with its profile: `python -m tests.benchmarks.engine [--quick] [--all] [--compiled off]`.

All in one process and one thread, the contenders interleaved, medians of the rounds; only ratios mean anything.

    ours      scan forward and backward, and log10 of the norm of every adjoint of every sample [T, B] (h, and c)
    torch     torch.nn's fused layer, forward and backward, without any adjoint
    naive     `step` in a loop over the drive z[t], with retain_grad: autograd makes a full-size zero tensor per step
              (T <= 1,000 and H <= 64: at H = 256 it moves 131 GB of zeros)
    cells     torch.nn's own cell in a loop over x[t], with retain_grad: the best that one can write without an engine
    floor     the products that cannot be avoided, alone: T of the state forward, T back, one of all for the weights

The loss is at every step, so that no contender meets subnormal numbers. By default T = 1,000, and T = 100 and 10,000 at
H = 64; with --all the whole table (hours).
"""

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn

from rnnlab import kernels
from rnnlab.cells import GRU, LSTM, Cell, Elman
from rnnlab.inits import torch_default_
from rnnlab.networks.measures import norms
from rnnlab.scan import scan

INPUTS, SIZES, BATCHES, LENGTHS = 8, (32, 64, 128, 256), (1, 8, 32), (1000, 100, 10_000)
SECONDS = 1.0  # of each contender: it is repeated until then, in 3 rounds at least
KINDS = {
    "elman": (partial(Elman, activation="tanh"), nn.RNN, nn.RNNCell),
    "gru": (GRU, nn.GRU, nn.GRUCell),
    "lstm": (LSTM, nn.LSTM, nn.LSTMCell),
}
BARS = {  # ours / torch at T = 1,000: (kind, H, B)
    **{("elman", 64, 32): 0.7, ("elman", 256, 32): 0.85, ("gru", 64, 32): 0.6, ("gru", 256, 32): 0.9},
    **{("lstm", 64, 32): 1.1, ("lstm", 256, 32): 1.25},
    **{(kind, size, batch): 1.0 for kind in ("elman", "gru") for size in (64, 256) for batch in (1, 8)},
    **{("lstm", size, batch): 2.0 for size in (64, 256) for batch in (1, 8)},
}


def medians(contenders: list[Callable[[], None]], rounds: int) -> list[float]:
    """Median seconds of each, interleaved, after one round that is not counted."""
    seconds: list[list[float]] = [[] for _ in contenders]
    for k in range(rounds + 1):
        for found, run in zip(seconds, contenders, strict=True):
            start = time.perf_counter()
            run()
            found += [time.perf_counter() - start] if k else []
    return [statistics.median(x) for x in seconds]


def loss(h: Tensor) -> Tensor:
    return h.square().sum()


def ours(cell: Cell, x: Tensor) -> None:
    profile: list[dict[str, Tensor]] = []
    cell.zero_grad()
    h, *_ = scan(cell, x, watch=lambda block: profile.append(norms((0, "forward"), cell, block)))
    loss(h).backward()
    assert sum(len(found["h"]) for found in profile) == len(x)


def fused(layer: nn.Module, x: Tensor) -> None:
    layer.zero_grad()
    loss(layer(x)[0]).backward()


def naive(cell: Cell, x: Tensor) -> None:
    cell.zero_grad()
    s, kept, z = x.new_zeros(x.shape[1], cell.state_size), [], cell.project(x)
    for t in range(len(z)):
        s = cell.step(z[t], s)
        s.retain_grad()
        kept.append(s)
    loss(torch.stack([cell.hidden(s) for s in kept])).backward()
    assert kept[0].grad is not None


def cells(cell: nn.Module, x: Tensor) -> None:
    cell.zero_grad()
    state, kept = None, []
    for t in range(len(x)):
        state = cell(x[t], state)
        h, *c = state if isinstance(state, tuple) else (state,)
        for v in (h, *c):
            v.retain_grad()
        kept.append((h, *c))
    loss(torch.stack([h for h, *_ in kept])).backward()
    assert all(v.grad is not None for v in kept[0])


def floor(cell: Cell, x: Tensor) -> None:
    """Of the same shapes as in `ours`, out of and into memory that is there."""
    T, B, _ = x.shape
    W, W_t = cell.W.detach(), cell.W.detach().t().contiguous()
    h, gates = x.new_zeros(B, cell.size), x.new_zeros(B, len(W))
    rows = max(32, 1024 // B)
    many, more = x.new_zeros(rows * B, len(W)), x.new_zeros(rows * B, cell.size)
    for _ in range(T):
        torch.mm(h, W_t, out=gates)
    for _ in range(T):
        torch.mm(gates, W, out=h)
    for x_rows in x.split(rows):
        x_rows = x_rows.flatten(0, 1)
        torch.mm(many[: len(x_rows)].t(), more[: len(x_rows)])
        torch.mm(x_rows, cell.U.detach().t())
        torch.mm(many[: len(x_rows)].t(), x_rows)


def row(kind: str, size: int, batch: int, steps: int, seconds: float) -> list[float]:
    """Milliseconds of the contenders."""
    ours_of, layer_of, cell_of = KINDS[kind]
    x = torch.randn(steps, batch, INPUTS)
    cell = ours_of(INPUTS, size)
    cell.initialise(torch_default_)
    contenders = [partial(ours, cell, x), partial(fused, layer_of(INPUTS, size), x), partial(floor, cell, x)]
    start = time.perf_counter()
    contenders[1]()
    once = time.perf_counter() - start
    rounds = min(25, max(3, round(seconds / once)))
    mine, theirs, least = medians(contenders, rounds)
    slow = [partial(cells, cell_of(INPUTS, size), x)]
    if steps <= 1000 and size <= 64:
        slow.append(partial(naive, cell, x))
    slow = medians(slow, 3 if steps < 10_000 else 1)
    return [1e3 * v for v in (mine, theirs, least, *slow, math.nan)[:5]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds of T = 1,000, H = 64 and 256")
    parser.add_argument("--all", action="store_true", help="every length at every size")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    how = "compiled loops" if kernels.available() else "loops in Python"
    print(f"I = {INPUTS}, one thread, {how}; RNNLAB_KERNELS={os.environ.get('RNNLAB_KERNELS', '')}; times in ms")
    heads = ("ours", "torch", "floor", "cells", "naive", "ours/torch", "bar", "ours/floor", "cells/ours", "naive/ours")
    print(f"{'cell':6} {'H':>4} {'B':>3} {'T':>6}", *(f"{head:>10}" for head in heads))
    sizes = (64, 256) if options.quick else SIZES
    for steps, kind, size, batch in product(LENGTHS, KINDS, sizes, BATCHES):
        if steps != 1000 and not options.all and (options.quick or size != 64):
            continue
        mine, theirs, least, looped, naively = row(kind, size, batch, steps, 0.0 if options.quick else SECONDS)
        bar = BARS.get((kind, size, batch)) if steps == 1000 else None
        numbers = [
            mine,
            theirs,
            least,
            looped,
            naively,
            mine / theirs,
            bar,
            mine / least,
            looped / mine,
            naively / mine,
        ]
        print(
            f"{kind:6} {size:4} {batch:3} {steps:6}",
            *(f"{'' if number is None or math.isnan(number) else format(number, '.2f'):>10}" for number in numbers),
            flush=True,
        )


if __name__ == "__main__":
    main()
