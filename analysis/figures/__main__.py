"""Draw all published figures from the tables that are kept: seconds, and no run is needed.

    python -m analysis.figures [--out figures] [--docs docs/figures]

writes NAME.pdf and NAME.png into the one folder, and a smaller NAME.png into the other. `analysis.published` lists the
figures.
"""

import argparse
import sys
from pathlib import Path

from analysis import cli, drawing, published, results, style

DPI = 130  # of the pictures that stand in a document


def main(arguments: list[str] | None = None) -> int:
    """Draw what is kept, print the paths, and say of which figures no table is kept."""
    parser = argparse.ArgumentParser(prog="python -m analysis.figures", description="Draw all published figures.")
    parser.add_argument("--out", default="figures", type=Path)
    parser.add_argument("--docs", default="docs/figures", type=Path, help="where the gallery finds its pictures")
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    with cli.refusing(parser):
        draw(options.out, options.docs)
    return 0


def draw(out: Path, docs: Path) -> None:
    """The same without a command line."""
    there = results.names()
    figures = [(experiment, figure) for experiment in published.EXPERIMENTS for figure in experiment.figures]
    if not there:
        raise ValueError(f"no table is kept in {results.FOLDER}: run an experiment and keep its tables with --keep")
    for experiment, figure in figures:
        if figure.name not in there:
            print(f"{figure.name}: no table is kept; python -m analysis.{experiment.name} --keep makes it from runs")
            continue
        table, of = results.read(figure.name)
        picture = figure.draw(table)
        paths = style.save(picture, out / figure.name)
        source = f"{figure.name}.csv {results.digest(figure.name)}"
        paths.append(style.save_png(picture, docs / f"{figure.name}.png", DPI, source))
        print(*paths, f"({drawing.summary(of)})")


if __name__ == "__main__":
    sys.exit(main())
