"""What trained networks score on the real data, against a bar: `python -m tests.benchmarks.scores [NAME ...] [--list]`.

A row is a run of `python -m experiments.train`: the command that is printed with it gives the same number and leaves a
record. Updates, seed and splits are fixed, the test split is scored once, at the end, and all of it. Time is that of
the processor, of one thread, from the first update to the last with its evaluations and probes. A score that does not
meet its bar is marked, and the exit code is 1.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from experiments.build import BadInput, Bench, build
from rnnlab.train import Measurement, evaluate
from tests.benchmarks.references import Reference
from tests.benchmarks.rows import COMMON, ROWS, Row, command

CONF = Path(__file__).parents[2] / "conf"
PATIENCE = 15.0  # seconds between two lines about the same row


class Result(NamedTuple):
    """The score of a row; None if it was skipped."""

    row: Row
    score: float | None
    bar: float
    reference: Reference
    updates: int
    seconds: float
    probes: float

    @property
    def met(self) -> bool:
        """A score that is not a number meets nothing."""
        if self.score is None:
            return True
        return self.score >= self.bar if self.row.unit == "accuracy" else self.score <= self.bar


def composed(row: Row, *further: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=[*COMMON.split(), "tracker=none", *row.overrides.split(), *further])


def measured(row: Row, cfg: DictConfig) -> Result:
    """Train and score a row; skipped if its data do not ship and are not here."""
    torch.set_num_threads(cfg.threads)
    try:
        bench = build(cfg)
    except BadInput as error:
        if row.ships or not isinstance(error.__cause__, FileNotFoundError):
            raise
        print(f"  SKIPPED: {error}", flush=True)
        return Result(row, None, math.nan, Reference(math.nan, "SKIPPED: its data are not here"), 0, 0.0, 0.0)
    reference = row.reference(bench.task)
    bar = row.bar if row.bar is not None else reference.value - row.margin
    wall, start = time.perf_counter(), time.process_time()
    last = followed(row.name, bench, cfg.steps)
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    found = evaluate(bench.network, bench.task, bench.test)
    score = 1 - found["error"] if row.unit == "accuracy" else found[row.unit]
    return Result(row, score, bar, reference, last.step, seconds, last.probe_seconds / wall)


def followed(name: str, bench: Bench, steps: int) -> Measurement:
    """Train, with a line now and then; the last measurement."""
    start = told = time.process_time()
    for m in bench.measurements():
        now = time.process_time()
        if now - told > PATIENCE:
            told = now
            loss = m.scalars["train/loss"]
            print(f"  {name}: {m.step} of {steps} updates, loss {loss:.4f}, {now - start:.0f} s", flush=True)
    return m


def line(result: Result) -> str:
    """One line of the table."""
    row, reference = result.row, result.reference
    score = "-" if result.score is None else f"{result.score:.3f}"
    least = ">=" if row.unit == "accuracy" else "<="
    mark = "" if result.met else "  <-- NOT MET"
    return (
        f"{row.name:24} {row.unit:14} {score:>7}  {least} {result.bar:.3f}  {reference.value:9.3f}  "
        f"{result.updates:7}  {result.seconds:7.0f}  {result.probes:6.1%}  {reference.whose}{mark}"
    )


HEAD = (
    f"{'score':24} {'unit':14} {'ours':>7}  {'bar':>8}  {'reference':>9}  {'updates':>7}  {'seconds':>7}  "
    f"{'probes':>6}  whose reference"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows whose name begins so; all if none is given")
    parser.add_argument("--list", action="store_true", help="print the rows and their commands, and train nothing")
    parser.add_argument("--seed", type=int, default=0, help="another seed than that of the table, 0")
    options = parser.parse_args(arguments)
    for name in options.names:
        if not any(row.name.startswith(name) for row in ROWS):
            parser.error(f"no row begins with {name!r}, only {', '.join(row.name for row in ROWS)}")
    rows = [row for row in ROWS if row.name.startswith(tuple(options.names) or "")]
    results = []
    for k, row in enumerate(rows, start=1):
        print(f"[{k}/{len(rows)}] {row.name}: {command(row)}", flush=True)
        if not options.list:
            results.append(measured(row, composed(row, f"seed={options.seed}")))
            print(f"  {line(results[-1])}", flush=True)
    if options.list:
        return 0
    print(f"\n{HEAD}", *map(line, results), sep="\n")
    return int(not all(result.met for result in results))


if __name__ == "__main__":
    sys.exit(main())
