"""Draw the experiment `horizon`: from how many steps back does the gradient still arrive, before and after training?

    python -m analysis.horizon [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--where NAME=VALUE] [--keep]

writes horizon_profiles (norm of the gradient against lag), horizon_networks (the same for depths and directions),
horizon_map (effective horizon against T) and horizon_table. Everything is layer 0, the one nearest to the input, part h
of the state (the table also has the c of an LSTM), and each pass of a bidirectional network on its own, its lag counted
in its own direction; medians and ranges are over seeds, of the median over samples. Without runs in outputs/horizon the
figures are drawn from the tables that are kept in analysis/results, where `--keep` puts them.
"""

import sys
from pathlib import Path

import pandas as pd

from analysis import cli, drawing, markup, tables
from analysis.horizon_figures import (
    map_figure,
    map_table,
    networks_figure,
    networks_table,
    profiles_figure,
    profiles_table,
    shown,
)
from analysis.statistics.configurations import LAYER, configurations, curves, table
from analysis.statistics.digests import digests

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


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """The table of each figure, and the paths of horizon_table."""
    runs = configurations(runs)
    summary = table(runs, digests(tables.scalars(folder, "adjoint/", set(runs["run"]))))
    lines = _curves(folder, runs[shown(runs)])
    made = {
        "horizon_profiles": profiles_table(lines),
        "horizon_networks": networks_table(lines),
        "horizon_map": map_table(summary),
    }
    text = summary.assign(
        outcomes=[f"{a}/{b}/{c}" for a, b, c in summary[list(tables.FINISHED)].to_numpy()],
    )[list(COLUMNS)].rename(columns=COLUMNS)
    contents = {
        "csv": summary.to_csv(index=False, lineterminator="\n"),
        "md": markup.markdown(text, NOTE),
        "tex": markup.latex(text, NOTE),
    }
    return made, cli.write(out / "horizon_table", contents)


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


EXPERIMENT = drawing.Experiment(
    "horizon",
    make,
    (
        drawing.Published(
            "horizon_profiles",
            profiles_figure,
            "Norm of the gradient against lag, for each task, cell, initialisation and T, before and after training.",
        ),
        drawing.Published("horizon_networks", networks_figure, "The same for depths and directions, at the largest T."),
        drawing.Published(
            "horizon_map",
            map_figure,
            "From how many steps back the gradient still arrives, before and after training, against T.",
        ),
    ),
    least=2,
)


def main(arguments: list[str] | None = None) -> int:
    """Write the figures and the table, say which runs they show, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw the experiment horizon.", arguments)


if __name__ == "__main__":
    sys.exit(main())
