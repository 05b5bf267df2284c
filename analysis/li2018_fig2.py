"""Draw figure 2 of Li, Li, Cook, Zhu & Gao, 2018: squared error on the adding problem against updates, for each T.

    python -m analysis.li2018_fig2 [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--keep]

The error is that of the training batches, which are always fresh, as a mean over a window of updates. Weights are those
of the authors' code (Sunnydreamrain/IndRNN_Theano_Lasagne), but that u of both layers of the IndRNN starts between
2^(-1/T) and 2^(1/T), in theirs that of the second, and that the LSTM has peepholes at scale paper alone.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import claims, drawing, figures, tables
from analysis.claims import Claim
from analysis.statistics.aggregate import one_each

NAME = "li2018_fig2"
MODELS = {"indrnn": "IndRNN", "lstm": "LSTM", "peepholelstm": "LSTM", "tanh": "RNN, tanh", "relu": "IRNN"}
INDRNN, LSTM, RNN, IRNN = dict.fromkeys(MODELS.values())
CHANCE = 1 / 6
DROPPED = 0.1  # an error that no constant output reaches
WINDOW = 100  # updates
END = 500
TOP = 0.4
DROPS = {  # (model, T): a window around what was read off the paper's curves, and that
    (INDRNN, 100): (500, 2500, "1,000 to 2,000"),
    (LSTM, 100): (500, 2500, "about 1,600"),
    (IRNN, 100): (2501, 10_000, "5,000 to 7,000"),
    (LSTM, 500): (2500, 10_000, "about 5,500"),
    (INDRNN, 1000): (500, 60_000, "it does"),
}
STAYS = ((RNN, 100), (RNN, 500), (RNN, 1000), (LSTM, 1000), (IRNN, 1000))


def main(arguments: list[str] | None = None) -> int:
    """Write the figure, say which runs it shows and which claims hold, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw figure 2 of Li et al., 2018.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """The table of the figure: model, T, seed, outcome, step and loss, the mean over the `WINDOW` updates up to it."""
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    kind = finished["cell"].where(finished["cell"] != "elman", finished.get("cell.activation"))
    about = pd.DataFrame(
        {
            "run": finished["run"].astype(str),
            "model": pd.Categorical(kind.map(MODELS), list(dict.fromkeys(MODELS.values())), ordered=True),
            "T": finished["task.length"].astype(int),
            "seed": finished["seed"],
            "outcome": finished["outcome"],
        }
    )
    one_each(finished, about[["model", "T", "seed"]])
    losses = tables.scalars(folder, "train/loss", set(finished["run"])).astype({"run": str})
    losses["step"] = -(-losses["step"] // WINDOW) * WINDOW  # the end of its window; step 0 is alone in the first
    table = about.merge(losses.groupby(["run", "step"])["value"].mean().rename("loss").reset_index(), on="run")
    return {NAME: table.drop(columns="run").sort_values(["T", "model", "seed", "step"], ignore_index=True)}, []


def figure(table: pd.DataFrame) -> Figure:
    """The curves of all models, a panel for each T; what lies above `TOP` is not drawn, as in the paper."""
    made = figures.learning_figure(
        figures.by_length(table, "model", "loss"), y="squared error", level=CHANCE, log=False, height=1.8
    )
    for axes in made.axes:
        axes.set_ylim(0, TOP)
    return made


def check(table: pd.DataFrame) -> list[Claim]:
    """What the paper says of the figure: when the error leaves chance, and where it never does."""
    return [
        *(_drops(table, *key, *window) for key, window in DROPS.items()),
        *(_stays(table, *key) for key in STAYS),
    ]


def _drops(table: pd.DataFrame, model: str, T: int, low: int, high: int, paper: str) -> Claim:
    text = f"{model}, T = {T}: the error falls below {DROPPED} for the first time"
    steps, found = table.loc[table["T"] == T, "step"], dropped(table, model, T)
    if not steps.max() >= high and not found.median() < np.inf:
        return claims.untested(text, paper=paper, why=f"needs {high} updates at T = {T}")
    return claims.between(text, found, low, high, paper=paper, unit="updates")


def _stays(table: pd.DataFrame, model: str, T: int) -> Claim:
    text, paper = f"{model}, T = {T}: the error stays at chance to the end", f"never below {CHANCE:.3g}"
    return claims.between(text, last(table, model, T), 0.15, 0.18, paper=paper)


def last(table: pd.DataFrame, model: str, T: int) -> pd.Series:
    """The error over the last `END` updates, of each seed; inf where it diverged."""
    rows = table[(table["model"] == model) & (table["T"] == T)]
    seeds = rows[rows["step"] > rows.groupby("seed")["step"].transform("max") - END].groupby("seed")
    return seeds["loss"].mean().mask(seeds["outcome"].last() == "diverged", np.inf)


def dropped(table: pd.DataFrame, model: str, T: int) -> pd.Series:
    """The update by which the error has come below `DROPPED` for the first time, of each seed; inf where it has not."""
    rows = table[(table["model"] == model) & (table["T"] == T)]
    below = rows["step"].where(rows["loss"] < DROPPED, np.inf)
    return below.groupby(rows["seed"]).min()


EXPERIMENT = drawing.Experiment(
    NAME,
    make,
    (
        drawing.Published(
            NAME, figure, "Li et al. 2018, figure 2: learning to add with an IndRNN and with others.", check
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
