"""Look inside a tagger of one's own while it learns: `python -m experiments.tagger --help`.

The model and the loop are ordinary PyTorch; `rnnlab.trace` is all that is added. Two bidirectional layers of LSTM name
the digit that is spoken in each frame of a stream (task connected_digits). What is printed:

    gradient over time    |dL/dh_t| at the first and the last probed step. A loss in every frame mixes what comes from
                          near and from far: this says where the gradient is, not how far it travels
    gates                 which of them receive it
    cancellation          what is left of the gradient of W when the steps are summed: 1 if they all agree
    horizon               how far it travels: dL/dh_t of the loss of the middle frame alone, before and after training

Expect 97 % of the test frames right after 75 s on one core, and a horizon (1000 times below) that grows from 11 - 16 to
16 - 34 frames; a word lasts 18.
"""

import argparse
import itertools
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

import rnnlab
from rnnlab.probes.profile import digest
from rnnlab.tasks.base import Batch
from rnnlab.tasks.connected_digits import ConnectedDigits

PATIENCE = 5.0  # seconds without a line
Table = Any  # a pandas.DataFrame, which the shell need not import to use


class Tagger(nn.Module):
    """x [T, B, 13] -> scores of the ten digits [T, B, 10]."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.lstm = nn.LSTM(13, hidden, num_layers=2, bidirectional=True, dropout=0.2)
        self.head = nn.Linear(2 * hidden, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, _ = self.lstm(x)
        return self.head(h)


def train(model: Tagger, task: ConnectedDigits, generator: torch.Generator, options: argparse.Namespace) -> None:
    """The loop, until --steps or --seconds are over; one step at least."""
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
    criterion = nn.CrossEntropyLoss()
    started = spoken = time.monotonic()
    for step in itertools.count(1):
        x, y, *_ = task.draw("train", options.batch, generator)
        optimizer.zero_grad()
        loss = criterion(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()
        if step == options.steps or (not options.steps and time.monotonic() - started > options.seconds):
            break
        if time.monotonic() - spoken > PATIENCE:
            spoken = time.monotonic()
            right = accuracy(model, task, task.held_out("validation", 20, generator))
            line = f"  step {step}  {spoken - started:.0f} s  loss {loss.item():.3f}  validation {right:.1%} right"
            print(line, flush=True)
    print(f"{step} steps in {time.monotonic() - started:.0f} s", flush=True)


@torch.no_grad()
def accuracy(model: Tagger, task: ConnectedDigits, batch: Batch) -> float:
    model.eval()
    found = task.metrics(model(batch.x), batch.y)["accuracy"]
    model.train()
    return found


def middle_frame(model: Tagger, batch: Batch) -> Table:
    """The profiles of the loss of the middle frame alone, without dropout. The gradients are cleared again."""
    middle = len(batch.x) // 2
    model.eval()
    with rnnlab.trace(model, every=1) as trace:
        nn.functional.cross_entropy(model(batch.x)[middle], batch.y[middle]).backward()
    model.train()
    model.zero_grad()
    return trace.profiles()


def over_time(profiles: Table) -> Iterator[str]:
    """Median over the samples of |dL/dh_t| at five steps of time, early and late in training."""
    h = profiles[(profiles.part == "h") & (profiles.statistic == "q50")]
    times = [round(k * h.time.max() / 4) for k in range(5)]
    yield _line("log10 |dL/dh_t|, median over samples", (f"t = {t}" for t in times))
    for name, rows in _first_and_last(h):
        values = rows.set_index("time").log10
        yield _line(name, (f"{values[t]:.2f}" for t in times))


def gates(profiles: Table) -> Iterator[str]:
    """Share of each gate in the sum of |dL/dz|^2 over time, samples and gates."""
    z = profiles[(profiles.part == "z") & (profiles.statistic == "log10_rms")]
    names = list(dict.fromkeys(z.gate))
    yield _line("share of each gate in |dL/dz|^2", names)
    for name, rows in _first_and_last(z):
        square = (100 ** (rows.log10 - rows.log10.max())).groupby(rows.gate).sum()
        yield _line(name, (f"{square[gate] / square.sum():.0%}" for gate in names))


def cancellation(weights: Table) -> Iterator[str]:
    """|sum over t of the gradient of W| / sum over t of the norms."""
    names = list(dict.fromkeys(weights.gate))
    yield _line("left of dL/dW when summed over time", names)
    for name, rows in _first_and_last(weights):
        left = rows.groupby("gate").cancellation.first()
        yield _line(name, (f"{left[gate]:.3f}" for gate in names))


def horizons(before: Table, after: Table) -> Iterator[str]:
    """How |dL/dh_t| falls from the middle frame into the past and into the future, before and after training.

    Half-life: of a line fitted to the logarithm. 1000 times below: the first lag at which the median over samples is.
    A top layer sees one side alone.
    """
    yield _line("dL_middle/dh_t, in frames", ("half-life", "trained", "1/1000", "trained"))
    for layer, direction in before.groupby(["layer", "direction"]).groups:
        for side in ("past", "future"):
            both = [digest(_curve(profiles, layer, direction, side)) for profiles in (before, after)]
            if not any(math.isnan(d["half_life"]) for d in both):
                halves = (f"{d['half_life']:.1f}" for d in both)
                fallen = (f"{'> ' if d['horizon_censored'] else ''}{d['horizon']:.0f}" for d in both)
                yield _line(f"  layer {layer} {direction}, {side}", (*halves, *fallen))


def _curve(profiles: Table, layer: int, direction: str, side: str) -> torch.Tensor:
    """Median log10 |dL/dh_t| at lag 0, 1, 2, .. from the middle frame."""
    rows = profiles[(profiles.part == "h") & (profiles.statistic == "q50")]
    rows = rows[(rows.layer == layer) & (rows.direction == direction)]
    curve = torch.tensor(rows.sort_values("time").log10.to_list(), dtype=torch.float64)
    middle = len(curve) // 2
    return curve[: middle + 1].flip(0) if side == "past" else curve[middle:]


def _first_and_last(table: Table) -> Iterator[tuple[str, Table]]:
    for step in sorted({table.step.min(), table.step.max()}):
        for (layer, direction), rows in table[table.step == step].groupby(["layer", "direction"]):
            yield f"  step {step}, layer {layer} {direction}", rows


def _line(name: str, values: Iterable[str]) -> str:
    return f"{name:36}" + "".join(f"{value:>10}" for value in values)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.tagger", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    duration = parser.add_mutually_exclusive_group()
    duration.add_argument("--seconds", type=float, default=75.0, help="of training, probes included (75)")
    duration.add_argument("--steps", type=int, help="of training, instead of seconds")
    parser.add_argument("--every", type=int, default=100, help="steps between two probes (100)")
    parser.add_argument("--length", type=int, default=200, help="frames of a stream (200)")
    parser.add_argument("--batch", type=int, default=16, help="streams in a step (16)")
    parser.add_argument("--lr", type=float, default=3e-3, help="of Adam (0.003)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of torch (1)")
    parser.add_argument("--out", type=Path, default=Path("outputs/tagger"), help="folder (outputs/tagger)")
    options = parser.parse_args(arguments)
    for name in ("seconds", "steps", "every", "length", "batch", "threads"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            parser.error(f"--{name} needs a number > 0, got {value}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    try:
        task = ConnectedDigits(length=options.length, reduction="mean", solved_error=0.05)
    except ValueError as error:
        sys.exit(f"error: {error}")
    model = Tagger()
    held_out = task.held_out("validation", 50, generator)
    before = middle_frame(model, held_out)
    with rnnlab.trace(model, every=options.every) as trace:
        train(model, task, generator, options)
    after = middle_frame(model, held_out)
    print(f"test: {accuracy(model, task, task.held_out('test', 1000, generator)):.1%} of the frames are right")
    profiles, weights = trace.profiles(), trace.weights()
    for lines in (over_time(profiles), gates(profiles), cancellation(weights), horizons(before, after)):
        print("", *lines, sep="\n")
    save(options.out, trace.plot(), profiles=profiles, weights=weights, horizon_before=before, horizon_after=after)


def save(folder: Path, figure: Any, **tables: Table) -> None:
    """Write FOLDER/trace.png and FOLDER/NAME.csv.gz for each table, and say so."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "trace.png", dpi=200)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv.gz", index=False)
    print(f"\nwritten to {folder}: trace.png, {', '.join(f'{name}.csv.gz' for name in tables)}")


if __name__ == "__main__":
    main()
