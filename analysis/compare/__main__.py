"""Two sweeps side by side, paired by configuration and seed.

    python -m analysis.compare A B [--outputs outputs] [--out tables] [--scale SCALE] [--where NAME=VALUE]
                               [--metric NAME]

A and B are experiments, or folders of runs, as of before and after a change of the code. Each may be cut down to some
of its runs: `horizon:cell=lstm horizon:cell=gru` compares two cells of one sweep, each configuration and seed of the
one with that of the other. Writes A_vs_B.csv, .md and .tex and prints a summary.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

from analysis import cli, markup, tables
from analysis.compare import written
from analysis.compare.pairs import Sides, differences, identical, keys, paired
from analysis.selection import select
from analysis.statistics.aggregate import unique
from analysis.statistics.measures import GRADIENT, SECONDS, measured, quantities_of


class Spec(NamedTuple):
    """What A or B stands for."""

    folder: Path
    where: list[str]


def main(arguments: list[str] | None = None) -> int:
    """Write the comparison; print its summary, what has no partner and why, and the paths."""
    parser = argparse.ArgumentParser(prog="python -m analysis.compare", description="Two sweeps, run by run.")
    for name in ("A", "B"):
        parser.add_argument(name, help="an experiment or a folder of runs; NAME:SETTING=VALUE,... for some of them")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("tables"), help="default: %(default)s")
    parser.add_argument("--scale", help="the largest of which a run is finished by default")
    parser.add_argument("--where", metavar="NAME=VALUE", action="append", default=[], help="only runs with it")
    parser.add_argument("--metric", metavar="NAME", action="append", help="another than the error, as test/bits")
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    with cli.refusing(parser):
        print(*report(options), sep="\n")
    return 0


def report(options: argparse.Namespace) -> list[str]:
    """Write the comparison; the lines to be printed."""
    specs = [_spec(options.outputs, text) for text in (options.A, options.B)]
    sides, metrics = _read(specs, options)
    by = keys(sides)
    pair, lost = paired(sides, by)
    table = written.table(pair, by, [*metrics, *GRADIENT, "solved", SECONDS])
    names = _names(specs)
    pages = written.pages(table, names, differences(pair))
    contents = {"csv": table.to_csv(index=False, lineterminator="\n")}
    for suffix, form in (("md", markup.markdown), ("tex", markup.latex)):
        contents[suffix] = "\n".join(form(text, note) for text, note in pages)
    paths = cli.write(options.out / "_vs_".join(re.sub(r"[^\w.=+-]+", "_", name) for name in names), contents)
    text, note = pages[0]
    same = identical(pair, [*metrics, *GRADIENT])
    said = written.said(pair, lost, same)
    return ["", markup.markdown(text, note), *said, *map(str, paths)]


def _spec(outputs: Path, text: str) -> Spec:
    """NAME, a path, or either with settings: NAME:cell=lstm,init=glorot."""
    name, where = re.fullmatch(r"(.*?)(?::([^:/]+=.*))?", text).groups()
    return Spec(cli.folder_of(outputs, name), where.split(",") if where else [])


def _names(specs: list[Spec]) -> list[str]:
    """What A and B are called: with the folder above, where nothing else tells them apart."""
    names = [" ".join([one.folder.resolve().name, *one.where]) for one in specs]
    if names[0] == names[1] and specs[0] != specs[1]:
        names = [f"{one.folder.resolve().parent.name} {name}" for one, name in zip(specs, names, strict=True)]
    return names


def _read(specs: list[Spec], options: argparse.Namespace) -> tuple[Sides, list[str]]:
    """The runs of A and of B with what is measured of them, and the names of loss and metrics."""
    found, names = [], []
    for which, one in zip("AB", specs, strict=True):
        try:
            print(f"{which}:", one.folder, *one.where, end=", ")
            runs = select(tables.runs(one.folder), options.scale, [*options.where, *one.where])
            unique(runs)
            names.append([quantity.name for quantity in quantities_of(runs, options.metric) if quantity.best])
        except ValueError as error:
            print()
            raise ValueError(f"{which}: {error}") from None
        found.append(measured(runs, one.folder, names[-1]))
    if names[0] != names[1]:
        a, b = map(", ".join, names)
        raise ValueError(f"A and B measured different things, {a} and {b}: name one of both with --metric")
    return Sides(*found), names[0]


if __name__ == "__main__":
    sys.exit(main())
