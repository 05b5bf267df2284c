"""Draw the experiment `horizon`: from how many steps back does the gradient still arrive, before and after training?

    python -m analysis.horizon [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--where NAME=VALUE]

writes horizon_profiles (norm of the gradient against lag), horizon_networks (the same for depths and directions),
horizon_map (effective horizon against T) and horizon_table. Everything is layer 0, the one nearest to the input, part h
of the state (the table also has the c of an LSTM), and each pass of a bidirectional network on its own, its lag counted
in its own direction; medians and ranges are over seeds, of the median over samples.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from analysis import cli, markup, style, tables
from analysis.configurations import LAYER, configurations, curves, table
from analysis.digests import digests
from analysis.horizon_figures import map_figure, networks_figure, profiles_figure, shown
from analysis.selection import select

COLUMNS = {
    "task": "task",
    "T": "T",
    "cell": "cell",
    "init": "init",
    "depth": "depth",
    "direction": "direction",
    "pass": "pass",
    "part": "part",
    "seeds": "seeds",
    "horizon_init": "horizon, init",
    "horizon_trained": "horizon, trained",
    "decay_init": "decay, init",
    "decay_trained": "decay, trained",
    "half_life_init": "half-life, init",
    "half_life_trained": "half-life, trained",
    "outcomes": "solved/stuck/diverged",
    "error": "validation error",
}
NOTE = (
    "Effective horizon (steps; the first lag at which the norm of the gradient has fallen by 1000, >= T where it has "
    "not), decay (decades per step, negative when vanishing) and half-life (steps) at initialisation and after "
    "training. Layer 0 (nearest to the input), part h or c of its state, lag in the direction of the pass. Median "
    "[smallest, largest] over the seeds of finished runs; diverged runs have no trained value."
)


def main(arguments: list[str] | None = None) -> int:
    """Write the figures and the table, say which runs they show, and print the paths."""
    parser = argparse.ArgumentParser(prog="python -m analysis.horizon", description="Draw the experiment horizon.")
    parser.add_argument("folder", nargs="?", default="outputs/horizon", type=Path)
    parser.add_argument("--out", default="figures", type=Path)
    parser.add_argument("--scale", choices=tables.SCALES, help="the largest of which a run is finished by default")
    parser.add_argument(
        "--where", metavar="NAME=VALUE", action="append", default=[], help="only runs with this setting"
    )
    parser.error = cli.refuse
    options = parser.parse_args(arguments)
    try:
        for path in draw(options.folder, options.out, options.scale, options.where):
            print(path)
    except ValueError as error:
        parser.error(str(error))
    return 0


def draw(folder: Path, out: Path, scale: str | None = None, where: list[str] | None = None) -> list[Path]:
    """The same without a command line; the paths in the order written."""
    runs = configurations(select(tables.runs(folder), scale, where or []))
    ids = set(runs["run"])
    summary = table(runs, digests(tables.scalars(folder, "adjoint/", ids)))
    lines = _curves(folder, runs[shown(runs)])
    paths = []
    figures = {"profiles": profiles_figure(lines), "networks": networks_figure(lines), "map": map_figure(summary)}
    for name, figure in figures.items():
        if figure is not None:
            paths += style.save(figure, out / f"horizon_{name}")
    text = summary.assign(
        outcomes=[f"{a}/{b}/{c}" for a, b, c in summary[list(tables.FINISHED)].to_numpy()],
    )[list(COLUMNS)].rename(columns=COLUMNS)
    contents = {
        "csv": summary.to_csv(index=False, lineterminator="\n"),
        "md": markup.markdown(text, NOTE),
        "tex": markup.latex(text, NOTE),
    }
    for suffix, content in contents.items():
        paths.append(out / f"horizon_table.{suffix}")
        paths[-1].write_text(content, encoding="utf-8", newline="\n")
    return paths


def _curves(folder: Path, runs: pd.DataFrame) -> pd.DataFrame:
    """The curves of these runs, read one task, cell and init at a time: at T = 10,000 all at once would not fit."""
    runs = runs[runs["outcome"].isin(tables.FINISHED)]
    pieces = []
    for _, piece in runs.groupby(["task", "cell", "init"]):
        profiles = tables.profiles(folder, only=set(piece["run"]), layer=LAYER, part="h")
        if len(profiles):
            pieces.append(curves(piece, profiles))
    if not pieces:
        raise ValueError(f"{folder} holds no profiles.npz that can be read")
    return pd.concat(pieces, ignore_index=True)


if __name__ == "__main__":
    sys.exit(main())
