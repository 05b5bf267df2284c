"""Draw figure 4 of Arjovsky, Shah & Bengio, 2016: gradients and states over time, before and after 100 updates.

    python -m analysis.arjovsky2016_fig4 [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--keep]

The panels are the paper's: norm of dC/dh_t at initialisation and after training; norm of h_t and its distance from the
last one, after training. Of the LSTM it is h, as the paper writes; its memory c decays alike. What is not the paper's:
the orthogonal network is real and any rotation, theirs complex and a product of structured matrices; their LSTM has an
output gate that sees c through a full matrix; their RMSprop starts its average at 0.001, not 0; their states are those
of networks that were trained at T = 200 until they had learned, ours are of the same 100 updates.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import claims, drawing, tables
from analysis.arjovsky2016_fig4_figures import (
    DISTANCE,
    INIT,
    IRNN,
    LSTM,
    MODELS,
    NORM,
    ORTHOGONAL,
    PUBLISHED,
    RNN,
    SATURATING,
    TITLES,
    TRAINED,
    figure,
)
from analysis.claims import Claim
from analysis.statistics.aggregate import one_each
from analysis.tables.blocks import blocks

NAME = "arjovsky2016_fig4"
POINTS = 101  # of a curve
WINDOW = (0.5, 0.9)  # of T, in which slopes are fitted: behind the transient of the states, before that of the loss
UNIT = "decades per step"


def main(arguments: list[str] | None = None) -> int:
    """Write the figure, say which runs it shows and which claims hold, and print the paths."""
    return drawing.main(EXPERIMENT, "Draw figure 4 of Arjovsky et al., 2016.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """The table of the figure: model, seed, outcome, panel, time and log10 of a norm, median over samples."""
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    kind = finished["cell.activation"].where(finished["cell"] == "elman", finished["cell"])
    model = pd.Categorical(kind.map(MODELS), list(MODELS.values()), ordered=True)
    one_each(finished, pd.DataFrame({"model": model, "T": finished["task.length"], "seed": finished["seed"]}))
    gradients = tables.profiles(folder, loss="task", only=set(finished["run"]), layer=0, part="h")
    gradients = gradients[gradients["direction"] == "forward"].astype({"run": str})
    first = gradients["step"] == gradients.groupby("run")["step"].transform("min")
    gradients["panel"] = np.where(first, INIT, TRAINED)
    names = ["run", "panel", "time", "log10"]
    shown = finished.loc[np.isin(model, SATURATING), "run"]
    rows = pd.concat([gradients[names], *(_states(folder, run)[names] for run in shown)])
    table = finished[["run", "seed", "outcome"]].assign(model=model).merge(rows, on="run")
    kept = np.linspace(0, table["time"].max(), POINTS).round()
    table = table[table["time"].isin(kept)].drop(columns="run")
    table["panel"] = pd.Categorical(table["panel"], list(TITLES), ordered=True)
    return {NAME: table.sort_values(["model", "seed", "panel", "time"], ignore_index=True)}, []


def check(table: pd.DataFrame) -> list[Claim]:
    """What the paper says of the figure, in decades per step over the middle of the sequence."""
    slope = {key: _slopes(table, *key) for key in PUBLISHED}
    paper = {key: f"{value:g}" for key, value in PUBLISHED.items()}
    change = slope[RNN, TRAINED] - slope[RNN, INIT]
    others = pd.DataFrame({model: slope[model, TRAINED] for model in (RNN, LSTM)}).reindex(
        slope[ORTHOGONAL, TRAINED].index
    )
    last, half = table["time"].max(), _nearest(table["time"], table["time"].max() / 2)
    away = {model: _at(table, model, DISTANCE, half) - _at(table, model, NORM, last) for model in (LSTM, ORTHOGONAL)}
    grown = _at(table, IRNN, TRAINED, 0) - _at(table, IRNN, INIT, 0)  # NaN where it diverged: +inf
    after = "after 100 updates its gradient decays"
    return [
        claims.at_most(
            "orthogonal network: at initialisation the gradient keeps its norm, abs(slope)",
            slope[ORTHOGONAL, INIT].abs(),
            1e-3,
            paper=paper[ORTHOGONAL, INIT],
            unit=UNIT,
        ),
        claims.at_least(
            "RNN: the gradient vanishes at initialisation", slope[RNN, INIT], 0.005, paper=paper[RNN, INIT], unit=UNIT
        ),
        claims.at_least(
            "LSTM: the gradient vanishes at initialisation",
            slope[LSTM, INIT],
            0.005,
            paper=paper[LSTM, INIT],
            unit=UNIT,
        ),
        claims.between(
            f"orthogonal network: {after}",
            slope[ORTHOGONAL, TRAINED],
            1e-3,
            0.03,
            paper=paper[ORTHOGONAL, TRAINED],
            unit=UNIT,
        ),
        *(
            claims.at_least(
                f"{model}: {after} faster than the orthogonal network's, by",
                (slope[model, TRAINED] - slope[ORTHOGONAL, TRAINED]).dropna(),
                0.01,
                paper=f"{PUBLISHED[model, TRAINED] - PUBLISHED[ORTHOGONAL, TRAINED]:.3g}",
                unit=UNIT,
            )
            for model in (LSTM, RNN)
        ),
        claims.every(
            "orthogonal network: after 100 updates the slowest decay of the three, in each seed",
            slope[ORTHOGONAL, TRAINED].dropna() < others.min(axis=1),
            paper="yes, of one network each",
            rule="every seed",
        ),
        claims.at_least(
            f"RNN: {after} faster than before, by",
            change.dropna(),
            0.02,
            paper=f"{PUBLISHED[RNN, TRAINED] - PUBLISHED[RNN, INIT]:.3g}",
            unit=UNIT,
        ),
        claims.every(
            "IRNN: within 100 updates its gradient at t = 0 grows 50-fold, or the run diverges",
            grown.fillna(np.inf) > np.log10(50),
            paper="not in the figure",
            rule="every seed",
        ),
        claims.at_most(
            "LSTM: its state stays where it is: distance of h_(T/2) from the last state, over the norm of that",
            10 ** away[LSTM],
            0.25,
            paper="almost the same",
        ),
        claims.at_least(
            "orthogonal network: its state goes on changing, the same ratio",
            10 ** away[ORTHOGONAL],
            0.5,
            paper="far from it",
        ),
        claims.untested(
            "orthogonal network: the norm of its state grows steadily",
            paper="yes",
            why="needs networks trained at T = 200 and shown longer sequences",
        ),
    ]


def _slopes(table: pd.DataFrame, model: str, panel: str) -> pd.Series:
    """Decades per step of each seed, positive where the norm falls back in time."""
    low, high = (share * (table["time"].max() + 1) for share in WINDOW)
    rows = table[(table["model"] == model) & (table["panel"] == panel) & table["time"].between(low, high)]
    seeds = rows[np.isfinite(rows["log10"])].groupby("seed")
    found = {seed: np.polyfit(one["time"], one["log10"], 1)[0] for seed, one in seeds if len(one) > 1}
    return pd.Series(found, dtype=float)


def _at(table: pd.DataFrame, model: str, panel: str, time: int) -> pd.Series:
    """log10 of the norm at that time, of each seed."""
    chosen = (table["model"] == model) & (table["panel"] == panel) & (table["time"] == time)
    return table[chosen].set_index("seed")["log10"]


def _nearest(times: pd.Series, wanted: float) -> int:
    return int(times.iloc[(times - wanted).abs().argmin()])


def _states(folder: Path, run: str) -> pd.DataFrame:
    """Norm and distance over time at the last probed step."""
    found = pd.concat([rows for name, rows in blocks(folder / run / "profiles.npz") if name == "states"])
    found = found[(found["step"] == found["step"].max()) & (found["layer"] == 0) & (found["direction"] == "forward")]
    panel = found["measure"].map({"norm": NORM, "distance": DISTANCE}).astype(str)
    return found.assign(run=run, panel=panel, log10=found["q50"])


EXPERIMENT = drawing.Experiment(
    NAME,
    make,
    (
        drawing.Published(
            NAME,
            figure,
            "Arjovsky et al. 2016, figure 4: gradients and states over time, before and after 100 updates of adding.",
            check,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
