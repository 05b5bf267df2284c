"""The numbers that stand for a run: its final loss, its metric, its horizon and decay before and after training."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from analysis import tables
from analysis.dashboard.one import read_profiles, read_run
from analysis.digests import INIT, TRAINED, digests, nearest

LOSSES = ("test/loss", "validation/loss", "train/loss")
ERRORS = ("test/error", "validation/error")
STAGES = {"horizon": "horizon", "decay": "decay_per_step"}
PREDICTED = tuple(f"predicted.{name}" for name in STAGES.values())
GRADIENT = tuple(f"{name}/{stage}" for name in STAGES for stage in (INIT, TRAINED))
SECONDS = "wall_seconds"
HIGH = ("accuracy", "score", "f1", "auc", "correct", "bleu")  # the metrics of which more is better


@dataclass(frozen=True)
class Quantity:
    """A column of the runs to be summarised over seeds; `best` is "low", "high", or empty if it is no contest."""

    name: str
    best: Literal["low", "high", ""] = ""


def quantities_of(runs: pd.DataFrame, metrics: Sequence[str] | None = None) -> list[Quantity]:
    """The final loss, the metrics, or that of the task, horizon and decay before and after training, and the time.

    Horizon and decay also as predicted by theory, where that was recorded.

    Raises:
        ValueError: no finished run measured a loss or a metric, or none of the name given.
    """
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    for name in metrics or ():
        if "/" not in name or name not in finished or not finished[name].notna().any():
            there = [column for column in sorted(runs) if column.startswith(("test/", "validation/"))]
            raise ValueError(f"--metric needs what the runs measured ({', '.join(there)}), got {name!r}")
    names = dict.fromkeys([loss_of(finished), *(metrics or [metric_of(finished)])])
    contests = [Quantity(name, "high" if higher_is_better(name) else "low") for name in names]
    predicted = [name for name in PREDICTED if name in finished and finished[name].notna().any()]
    return [*contests, *(Quantity(name) for name in (*predicted, *GRADIENT, SECONDS))]


def loss_of(runs: pd.DataFrame) -> str:
    """The column of the final loss: on the test set, else on the validation set, else the last of training.

    Raises:
        ValueError: no run has one.
    """
    return _first(runs, LOSSES, "loss")


def metric_of(runs: pd.DataFrame) -> str:
    """The column of the task's metric: its error, else another one, on the test set before the validation set.

    Raises:
        ValueError: no run has one.
    """
    others = [f"{part}/" for part in ("test", "validation")]
    found = [name for part in others for name in sorted(runs) if name.startswith(part) and name not in LOSSES]
    return _first(runs, [*ERRORS, *found], "metric")


def higher_is_better(name: str) -> bool:
    return any(word in HIGH for word in name.lower().rpartition("/")[2].split("_"))


def verdicts(runs: pd.DataFrame, folder: Path) -> pd.Series:
    """The verdict on each finished run, as the dashboard has it; None where it has none."""
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    drawn = {run: read_run(folder / run, read_profiles(folder / run)).drawn["verdict"] for run in finished["run"]}
    return runs["run"].map({run: found["name"] for run, found in drawn.items() if found})


def measured(runs: pd.DataFrame, folder: Path, metrics: Collection[str]) -> pd.DataFrame:
    """The runs with the columns of `GRADIENT`, in steps and in decades per step, and NAME_censored of horizons.

    They are those of the recurrent layer nearest to the input, at the first probe and at the last. A run that diverged
    has no trained network; in each of the metrics it counts as infinitely bad. A run that is not finished has nothing.
    """
    runs = runs.reset_index(drop=True)
    finished, diverged = runs["outcome"].isin(tables.FINISHED), runs["outcome"] == "diverged"
    found = nearest(digests(tables.scalars(folder, "adjoint/", set(runs.loc[finished, "run"]))))
    columns = {}
    for stage in (INIT, TRAINED):
        at = runs[["run"]].merge(found[found["stage"] == stage], on="run", how="left")
        bound = at["horizon_censored"] == 1
        if "task.length" in runs:
            at["horizon"] = at["horizon"].mask(bound & at["horizon"].isna(), runs["task.length"])
        gone = diverged if stage == TRAINED else pd.Series(False, runs.index)
        columns |= {f"{name}/{stage}": at[of].astype(float).mask(gone) for name, of in STAGES.items()}
        columns[f"horizon/{stage}_censored"] = bound & ~gone
    columns |= {name: runs[name].astype(float).where(finished).mask(diverged, _worst(name)) for name in metrics}
    return runs.drop(columns=[name for name in columns if name in runs]).join(pd.DataFrame(columns))


def _worst(name: str) -> float:
    return -math.inf if higher_is_better(name) else math.inf


def _first(runs: pd.DataFrame, names: Collection[str], what: str) -> str:
    for name in names:
        if name in runs and runs[name].notna().any():
            return name
    raise ValueError(f"no run has a {what} ({', '.join(names) or 'nothing is measured'})")
