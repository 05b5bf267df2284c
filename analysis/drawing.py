"""The command of one experiment: from its run folders if there are any, else from the tables that are kept."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis import claims, cli, results, style, tables
from analysis.claims import Claim
from analysis.folders import is_experiment
from analysis.selection import select
from analysis.statistics.profiles import kept

Tables = Mapping[str, pd.DataFrame | None]
LAG_POINTS = (50, 25, 12)  # of a curve, as many as fit into a kept table


@dataclass(frozen=True)
class Published:
    """A figure.

    Attributes:
        name: of its files, NAME.pdf and NAME.png, and of its table, results/NAME.csv.
        draw: table -> Figure.
        shows: one line for the gallery.
        check: what a paper says of it, held against the table; None where there is no paper.
    """

    name: str
    draw: Callable[[pd.DataFrame], Figure]
    shows: str
    check: Callable[[pd.DataFrame], list[Claim]] | None = None


@dataclass(frozen=True)
class Experiment:
    """An experiment and its figures.

    Attributes:
        name: its configuration is conf/experiment/NAME.yaml, its command python -m analysis.NAME.
        make: from the folder, its selected runs and the folder of the figures: the table of each figure, None where
            there is nothing to compare, and the paths of what it has written besides.
        least: finished runs that it takes.
    """

    name: str
    make: Callable[[Path, pd.DataFrame, Path], tuple[Tables, list[Path]]]
    figures: tuple[Published, ...]
    least: int = 1


@dataclass(frozen=True)
class Found:
    """What there is to draw: the table of each figure, what it is of, and where that was read.

    Attributes:
        written: paths of what `make` has written besides.
    """

    tables: Tables
    about: Mapping[str, Mapping[str, Any]]
    where: str
    written: list[Path] = field(default_factory=list)


def main(experiment: Experiment, description: str, arguments: list[str] | None) -> int:
    """Write the figures of the experiment, say what they show and whether what papers say holds, print the paths."""
    name = experiment.name
    parser = argparse.ArgumentParser(prog=f"python -m analysis.{name}", description=description)
    parser.add_argument("folder", nargs="?", type=Path, help=f"with run folders; by default outputs/{name}")
    parser.add_argument("--out", default="figures", type=Path)
    parser.add_argument("--scale", choices=tables.SCALES, help="the largest of which a run is finished by default")
    parser.add_argument(
        "--where", metavar="NAME=VALUE", action="append", default=[], help="only runs with this setting"
    )
    parser.add_argument("--keep", action="store_true", help=f"keep the tables of the figures in {results.FOLDER.name}/")
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    folder = options.folder or Path("outputs") / name
    with cli.refusing(parser):
        needed = bool(options.folder or options.where or options.keep)
        if not (options.folder or is_experiment(folder)) and needed:
            raise ValueError(f"--where and --keep need runs, and {folder} holds none")
        found = look(experiment, folder, options.scale, options.where, options.out, needed=needed)
        print(found.where)
        paths = [*drawn(experiment, found.tables, options.out), *found.written]
        if options.keep:
            paths += keep(found.tables, next(iter(found.about.values())))
        for path in paths:
            print(path)
        if said := checked(experiment, found.tables):
            print(claims.text(said))
    return 0


def look(
    experiment: Experiment, folder: Path, scale: str | None, where: list[str], out: Path, *, needed: bool = False
) -> Found:
    """The tables, as they are kept, of the runs of that scale if one is finished, else the kept ones; says which.

    Raises:
        ValueError: there is neither; or no such runs, and they are `needed`.
    """
    try:
        runs = sweep(folder, scale, where, experiment.least) if needed or is_experiment(folder) else None
    except ValueError:
        if needed:
            raise
        runs = None
    if runs is None:
        return of_kept(experiment, folder, scale)
    made, written = experiment.make(folder, runs, out)
    of = about(experiment.name, runs)
    made = {name: table if table is None else results.settled(small(table)) for name, table in made.items()}
    return Found(made, dict.fromkeys(made, of), f"drawn from the runs in {folder}, {summary(of)}", written)


def of_kept(experiment: Experiment, folder: Path | None = None, scale: str | None = None) -> Found:
    """The tables that are kept.

    Args:
        folder: in which there were no runs to draw.
    """
    read = {f.name: results.read(f.name) for f in experiment.figures if f.name in results.names()}
    if scale is not None:
        read = {name: (table, of) for name, (table, of) in read.items() if of["scale"] == scale}
    of_scale = f" of scale {scale}" if scale else ""
    if not read:
        raise ValueError(
            (f"there are no finished runs{of_scale} in {folder} and no" if folder else "there is no")
            + f" kept table{of_scale}; make runs with: "
            f"python -m experiments.train -m experiment={experiment.name}" + (f" scale={scale}" if scale else "")
        )
    kinds = "; ".join(sorted({summary(of) for _, of in read.values()}))
    lead = f"no finished runs{of_scale} in {folder}: " if folder else ""
    return Found(
        {name: table for name, (table, _) in read.items()},
        {name: of for name, (_, of) in read.items()},
        f"{lead}drawn from the kept tables, {kinds}",
    )


def sweep(folder: Path, scale: str | None, where: list[str], least: int = 1) -> pd.DataFrame:
    """The runs of one experiment and scale, of which so many are finished; says which.

    Raises:
        ValueError: there is no such sweep.
    """
    runs = select(tables.runs(folder), scale, where)
    finished = runs.loc[runs["outcome"].isin(tables.FINISHED), "run"]
    if len(finished) < least:
        alone = folder / finished.iloc[0]
        raise ValueError(f"one finished run is no sweep: draw its profiles with python -m analysis.run {alone}")
    return runs


def drawn(experiment: Experiment, made: Tables, out: Path) -> list[Path]:
    """The figures of the experiment from their tables."""
    paths = []
    for figure in experiment.figures:
        table = made.get(figure.name)
        if table is not None:
            paths += style.save(figure.draw(table), out / figure.name)
    return paths


def checked(experiment: Experiment, made: Tables) -> list[Claim]:
    """What papers say of the figures, and whether it holds."""
    return [
        claim
        for figure in experiment.figures
        if figure.check is not None and made.get(figure.name) is not None
        for claim in figure.check(made[figure.name])
    ]


def keep(made: Tables, of: Mapping[str, Any]) -> list[Path]:
    return [results.write(name, table, of) for name, table in made.items() if table is not None]


def about(experiment: str, runs: pd.DataFrame) -> dict[str, Any]:
    """What the tables are of: the experiment, the scale, how many finished runs and how many seeds."""
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    seeds = int(finished["seed"].nunique()) if "seed" in finished else 1
    return {"experiment": experiment, "scale": str(runs["scale"].iloc[0]), "runs": len(finished), "seeds": seeds}


def summary(of: Mapping[str, Any]) -> str:
    """`scale laptop, 192 runs, 2 seeds`."""
    words = [f"{of[name]} {name[:-1] if of[name] == 1 else name}" for name in ("runs", "seeds")]
    return ", ".join([f"scale {of['scale']}", *words])


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
