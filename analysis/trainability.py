"""Draw the experiment `trainability`: at which gain of the recurrent matrix can which T be learned?

    python -m analysis.trainability [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--where NAME=VALUE] [--keep]

writes trainability_map (solved runs over gain and T, with the horizon at initialisation, measured and predicted),
trainability_success (the same as rates with intervals), trainability_learning (training loss), trainability_profiles
(norm of the gradient against lag, with the fitted decay) and trainability_heatmap (the same over training steps, of
single runs). Horizons are of the recurrent layer nearest to the input. Without runs in outputs/trainability the figures
are drawn from the tables that are kept in analysis/results, where `--keep` puts them.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import drawing, tables
from analysis import trainability_figures as figures
from analysis.statistics.aggregate import axes, is_seed, unique
from analysis.statistics.measures import measured
from analysis.tables.blocks import blocks

GAIN, LENGTH, SEED = "init.gain", "task.length", "seed"
LOSS = "train/loss"


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """The table of each figure; nothing is written besides."""
    frame = trained(runs, folder)
    ids = set(frame["run"])
    losses = tables.scalars(folder, LOSS, ids)
    profiles = _nearest(tables.profiles(folder, only=_longest(frame), part="h"))
    examples = figures.examples(frame)
    return {
        "trainability_map": figures.map_table(frame),
        "trainability_success": figures.success_table(frame),
        "trainability_learning": figures.learning_table(frame, losses[losses["name"] == LOSS]),
        "trainability_profiles": figures.profiles_table(frame, profiles),
        "trainability_heatmap": figures.heatmap_table(examples, _updates(folder, examples["run"])),
    }, []


def trained(runs: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Finished runs: run, gain, T, seed, outcome, and at initialisation horizon, bound, predicted and theory.

    horizon and predicted are in steps, bound says that horizon is a lower one, theory is decades per step.

    Raises:
        ValueError: gain or T do not vary, something else does, or a seed is there twice.
    """
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    varying = [name for name in axes(finished) if not is_seed(name)]
    for name in (GAIN, LENGTH):
        if name not in varying:
            raise ValueError(f"a map of trainability needs two values of {name}, and the finished runs have fewer")
    for name in sorted(set(varying) - {GAIN, LENGTH}):
        values = ", ".join(map(str, finished[name].unique()))
        raise ValueError(f"the runs differ in {name} ({values}), too: choose with --where {name}=VALUE")
    unique(finished)
    found = measured(finished, folder, [])
    known = {name: found.get(f"predicted.{name}", np.nan) for name in ("horizon", "decay_per_step")}
    return pd.DataFrame(
        {
            "run": found["run"],
            "gain": found[GAIN].astype(float),
            "T": found[LENGTH].astype(int),
            "seed": found[SEED],
            "outcome": found["outcome"],
            "horizon": found["horizon/init"],
            "bound": found["horizon/init_censored"],
            "predicted": known["horizon"],
            "theory": known["decay_per_step"],
        }
    )


def _longest(frame: pd.DataFrame) -> set[str]:
    chosen = frame["gain"].isin(figures.some(frame["gain"], figures.LINES)) & (frame["T"] == frame["T"].max())
    return set(frame.loc[chosen, "run"])


def _nearest(profiles: pd.DataFrame) -> pd.DataFrame:
    """Of the recurrent layer nearest to the input, forward if it has both passes."""
    recurrent = profiles[profiles["direction"].isin(["forward", "backward"])]
    if recurrent.empty:
        raise ValueError("the runs hold no profiles.npz that can be read")
    nearest = recurrent[recurrent["layer"] == recurrent["layer"].min()]
    return nearest[nearest["direction"] == max(nearest["direction"].unique())]  # forward comes after backward


def _updates(folder: Path, runs: pd.Series) -> pd.DataFrame:
    """run, step, time and log10 (the median over samples; +inf where no sample has a finite norm) at each probe."""
    pieces = []
    for run in runs:
        found = pd.concat([rows for name, rows in blocks(folder / run / "profiles.npz") if name == "profiles"])
        found = _nearest(found[found["part"] == "h"])
        loss = "last" if "last" in set(found["loss"]) else "task"
        found = found[found["loss"] == loss]
        broken = found["q50"].isna() & (found["nonfinite"] > 0)
        columns = {"step": found["step"], "time": found["time"], "log10": found["q50"].mask(broken, np.inf)}
        pieces.append(pd.DataFrame({"run": run, **columns}))
    return pd.concat(pieces, ignore_index=True)


EXPERIMENT = drawing.Experiment(
    "trainability",
    make,
    (
        drawing.Published(
            "trainability_map",
            figures.map_figure,
            "Which runs were solved over gain and T, and how far the gradient reached at initialisation.",
        ),
        drawing.Published(
            "trainability_success", figures.success_figure, "Share of solved runs against T, for some of the gains."
        ),
        drawing.Published("trainability_learning", figures.learning_figure, "Training loss, for some gains and T."),
        drawing.Published(
            "trainability_profiles",
            figures.profiles_figure,
            "Norm of the gradient against lag with the fitted decay, before and after training, at the largest T.",
        ),
        drawing.Published(
            "trainability_heatmap",
            figures.heatmap_figure,
            "Norm of the gradient over time steps and training steps, of single runs at the largest T.",
        ),
    ),
    least=2,
)


def main(arguments: list[str] | None = None) -> int:
    """Write the figures, say which runs they show, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw the experiment trainability.", arguments)


if __name__ == "__main__":
    sys.exit(main())
