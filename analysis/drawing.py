"""The command of one experiment: from its run folders if there are any, else from the tables that are kept."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import cli, published, results, style, tables
from analysis.folders import is_experiment
from analysis.selection import select
from analysis.statistics.profiles import kept

Tables = Mapping[str, pd.DataFrame | None]
LAG_POINTS = (50, 25, 12)  # of a curve, as many as fit into a kept table


def main(
    experiment: str,
    make: Callable[[Path, pd.DataFrame, Path], tuple[Tables, list[Path]]],
    description: str,
    arguments: list[str] | None,
) -> int:
    """Write the figures of the experiment, say what they show, and print the paths.

    Args:
        make: from the folder, its selected runs and the folder of the figures: the table of each figure, None where
            there is nothing to compare, and the paths of what it has written besides.
    """
    parser = argparse.ArgumentParser(prog=f"python -m analysis.{experiment}", description=description)
    parser.add_argument("folder", nargs="?", type=Path, help=f"with run folders; by default outputs/{experiment}")
    parser.add_argument("--out", default="figures", type=Path)
    parser.add_argument("--scale", choices=tables.SCALES, help="the largest of which a run is finished by default")
    parser.add_argument(
        "--where", metavar="NAME=VALUE", action="append", default=[], help="only runs with this setting"
    )
    parser.add_argument("--keep", action="store_true", help=f"keep the tables of the figures in {results.FOLDER.name}/")
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    folder = options.folder or Path("outputs") / experiment
    with cli.refusing(parser):
        if options.folder or is_experiment(folder):
            runs = sweep(folder, options.scale, options.where)
            made, paths = make(folder, runs, options.out)
            paths = [*from_tables(experiment, made, options.out), *paths]
            if options.keep:
                paths += keep(made, about(experiment, runs))
        elif options.scale or options.where or options.keep:
            raise ValueError(f"--scale, --where and --keep need runs, and {folder} holds none")
        else:
            paths = from_kept(experiment, options.out, folder)
        for path in paths:
            print(path)
    return 0


def sweep(folder: Path, scale: str | None, where: list[str]) -> pd.DataFrame:
    """The runs of one experiment and scale, at least two of them finished; says which.

    Raises:
        ValueError: there is no such sweep.
    """
    runs = select(tables.runs(folder), scale, where)
    finished = runs.loc[runs["outcome"].isin(tables.FINISHED), "run"]
    if len(finished) == 1:
        alone = folder / finished.iloc[0]
        raise ValueError(f"one finished run is no sweep: draw its profiles with python -m analysis.run {alone}")
    return runs


def from_tables(experiment: str, made: Tables, out: Path) -> list[Path]:
    """The figures of the experiment from their tables, as they would be drawn from the kept ones."""
    paths = []
    for figure in published.of(experiment):
        table = made.get(figure.name)
        if table is not None:
            paths += style.save(figure.draw(results.settled(small(table))), out / figure.name)
    return paths


def from_kept(experiment: str, out: Path, folder: Path) -> list[Path]:
    """The figures from the tables that are kept; says so."""
    there = [figure for figure in published.of(experiment) if figure.name in results.names()]
    if not there:
        raise ValueError(
            f"there are no runs in {folder} and no kept table; make runs with: "
            f"python -m experiments.train -m experiment={experiment}"
        )
    paths, said = [], set()
    for figure in there:
        table, of = results.read(figure.name)
        said.add(f"no runs in {folder}: drawn from the kept tables, {summary(of)}")
        paths += style.save(figure.draw(table), out / figure.name)
    print(*sorted(said), sep="\n")
    return paths


def keep(made: Tables, of: Mapping[str, Any]) -> list[Path]:
    return [results.write(name, small(table), of) for name, table in made.items() if table is not None]


def about(experiment: str, runs: pd.DataFrame) -> dict[str, Any]:
    """What the tables are of: the experiment, the scale, how many finished runs and how many seeds."""
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    seeds = int(finished["seed"].nunique()) if "seed" in finished else 1
    return {"experiment": experiment, "scale": str(runs["scale"].iloc[0]), "runs": len(finished), "seeds": seeds}


def summary(of: Mapping[str, Any]) -> str:
    """`scale laptop, 192 runs, 2 seeds`."""
    return f"scale {of['scale']}, {of['runs']} runs, {of['seeds']} seed{'s' if of['seeds'] != 1 else ''}"


def small(table: pd.DataFrame) -> pd.DataFrame:
    """A table of curves against lag with as many of the lags as fit into a kept table."""
    if "lag" not in table:
        return table
    curve = [name for name in ("row", "column", "hue", "dash") if name in table]
    for points in LAG_POINTS:
        fitting = kept(table, "lag", points, curve)
        if len(results.text(fitting, {})) < 0.98 * results.LIMIT:
            break
    return fitting
