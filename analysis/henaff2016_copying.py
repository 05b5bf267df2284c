"""Draw the experiment `henaff2016_copying`: which recurrent layers learn to copy.

    python -m analysis.henaff2016_copying [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--keep]

writes henaff2016_copying (validation loss over updates, a panel for each T, as a multiple of the loss of who knows the
time but not the symbols, 10 ln 8 / (T + 20)), and says which claims hold.
"""

import math
import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis import claims, drawing, tables
from analysis.claims import Claim
from analysis.figures import by_length, learning_figure
from analysis.statistics.aggregate import one_each, unique

NAME = "henaff2016_copying"
LOSS = "validation/loss"
ORTHOGONAL = "linear, orthogonal"
MODELS = {  # cell, its activation, init
    ("elman", "identity", "orthogonal"): ORTHOGONAL,
    ("elman", "identity", "identity"): "linear, identity",
    ("elman", "identity", "glorot"): "linear, Glorot",
    ("elman", "tanh", "orthogonal"): "tanh, orthogonal",
    ("lstm", None, "glorot"): "LSTM",
}
LEARNED, NOT_LEARNED = 0.3, 0.8  # of chance
TOP = 30.0  # of chance, that is drawn: from Glorot's matrix some start at a million
PAPER = {
    ORTHOGONAL: "solves it",
    "linear, identity": "suits adding, not copying",
    "LSTM": "slower than linear, orthogonal",
}


def main(arguments: list[str] | None = None) -> int:
    """Write the figure, say which runs it shows and which claims hold, and print the paths."""
    return drawing.main(EXPERIMENT, f"Draw the experiment {NAME}.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """Of each run and evaluation: model, T, seed, outcome, step and loss, in units of chance."""
    found = trained(runs)
    logged = tables.scalars(folder, LOSS, set(found["run"])).astype({"run": str})
    table = logged[logged["name"] == LOSS].merge(found, on="run")
    chance = 10 * math.log(8) / (table["T"] + 20)
    table = table.assign(loss=table["value"] / chance).sort_values(["T", "model", "seed", "step"], ignore_index=True)
    return {NAME: table[["T", "model", "seed", "outcome", "step", "loss"]]}, []


def trained(runs: pd.DataFrame) -> pd.DataFrame:
    """Finished runs: run, outcome, model (in words, in order), T and seed.

    Raises:
        ValueError: a run of another model.
    """
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    unique(finished)
    own = finished.get("cell.activation", pd.Series(None, finished.index, object))
    activation = [a if cell == "elman" else None for cell, a in zip(finished["cell"], own, strict=True)]
    keys = list(zip(finished["cell"], activation, finished["init"], strict=True))
    if unknown := [key for key in keys if key not in MODELS]:
        raise ValueError(f"{NAME} knows the models {', '.join(MODELS.values())}, got {unknown[0]}")
    found = pd.DataFrame(
        {
            "run": finished["run"],
            "outcome": finished["outcome"],
            "model": pd.Categorical([MODELS[key] for key in keys], MODELS.values(), ordered=True),
            "T": finished["task.length"].astype(int),
            "seed": finished["seed"].astype(int),
        }
    )
    one_each(finished, found[["model", "T", "seed"]])
    return found


def figure(table: pd.DataFrame) -> Figure:
    """Loss over updates, a panel for each T, a line for each model."""
    curves = by_length(table, "model", "loss")
    drawn = learning_figure(curves, y="validation loss (chance: 1)", level=1.0)
    for axes in drawn.axes:
        axes.set_ylim(top=min(axes.get_ylim()[1], TOP))
    return drawn


def check(table: pd.DataFrame) -> list[Claim]:
    """At each T, whether the linear layer that starts orthogonal has learned to copy, and the others have not."""
    said = []
    for T in sorted(table["T"].unique()):
        for model in MODELS.values():
            of = table[(table["T"] == T) & (table["model"] == model)].sort_values("step")
            last = of.drop_duplicates("seed", keep="last")
            loss = last["loss"].where(last["outcome"] != "diverged", math.inf)
            rule = (claims.at_most, LEARNED) if model == ORTHOGONAL else (claims.at_least, NOT_LEARNED)
            text = f"T = {T}: {model}: loss after {table['step'].max()} updates, or when solved, over that of chance"
            said.append(rule[0](text, loss, rule[1], paper=PAPER.get(model, "both are needed")))
    return said


EXPERIMENT = drawing.Experiment(
    NAME,
    make,
    (
        drawing.Published(
            NAME, figure, "Loss over updates of copying, for a linear orthogonal layer and those that are not.", check
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
