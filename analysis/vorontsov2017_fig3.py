"""Draw the experiment `vorontsov2017_fig3`: copying with the singular values of W within a margin m of 1.

    python -m analysis.vorontsov2017_fig3 [FOLDER] [--out figures] [--scale smoke|laptop|paper] [--keep]

writes vorontsov2017_fig3 (their figure 3: norm of dL_T/dh_t over updates and time steps, a panel for each margin),
vorontsov2017_fig3_bound (how far that norm strays from where it starts, with the bound of the margin) and
vorontsov2017_fig1 (their figure 1: accuracy over updates for each T), and says which claims hold. L_T is the loss of
the last step alone; figure 3 is of the shortest T.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import drawing, tables
from analysis import vorontsov2017_claims as said
from analysis import vorontsov2017_figures as figures
from analysis.figures import updates
from analysis.statistics.aggregate import unique
from analysis.statistics.profiles import relative

NAME = "vorontsov2017_fig3"
UPDATES = 1000  # of their figure 3
BINS = 44  # of time: 5 steps each at T = 200
ERROR = "validation/error"


def main(arguments: list[str] | None = None) -> int:
    """Write the figures, say which runs they show and which claims hold, and print the paths."""
    return drawing.main(EXPERIMENT, f"Draw the experiment {NAME}.", arguments)


def make(folder: Path, runs: pd.DataFrame, out: Path) -> tuple[dict[str, pd.DataFrame | None], list[Path]]:
    """The table of each figure; nothing is written besides."""
    found = trained(runs)
    short = found[found["T"] == found["T"].min()]
    profiles = tables.profiles(folder, steps="all", only=set(short["run"]), layer=0, part="h")
    ratios = relative(profiles[profiles["step"] <= UPDATES], points=None).astype({"run": str})
    ratios = ratios.merge(short, on="run")
    errors = tables.scalars(folder, ERROR, set(found["run"])).astype({"run": str}).merge(found, on="run")
    return {
        NAME: cells(ratios),
        f"{NAME}_bound": bounds(ratios),
        "vorontsov2017_fig1": accuracies(errors),
    }, []


def trained(runs: pd.DataFrame) -> pd.DataFrame:
    """Finished runs: run, outcome, margin (in words, in order), m (NaN: none), T and seed."""
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    unique(finished)
    own = finished.get("constraint.margin", pd.Series(np.nan, finished.index)).astype(float)
    m = own.where(finished["constraint"] != "orthogonal", 0.0)
    words = {value: f"$m$ = {value:g}" for value in sorted(m.dropna().unique())}
    return pd.DataFrame(
        {
            "run": finished["run"],
            "outcome": finished["outcome"],
            "margin": pd.Categorical(m.map(words).fillna(figures.NONE), [*words.values(), figures.NONE], ordered=True),
            "m": m,
            "T": finished["task.length"].astype(int),
            "seed": finished["seed"].astype(int),
        }
    )


def cells(ratios: pd.DataFrame) -> pd.DataFrame:
    """The heat map: decades relative to the last step, over updates and bins of time; the median over seeds."""
    steps = f"$T$ = {ratios['T'].iloc[0]}, {ratios['lag'].max() + 1} steps"
    parts = [
        updates(group[["run", "step", "time"]].assign(log10=group["relative"]), BINS).assign(margin=margin)
        for margin, group in ratios.groupby("margin", observed=True)
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(margin=pd.Categorical(table["margin"], ratios["margin"].cat.categories), title=steps)


def bounds(ratios: pd.DataFrame) -> pd.DataFrame:
    """Of each run and probed update, over all lags k: the least and the largest decades per step, `slowest` and
    `fastest`, and `size`, by how many decades the norm strays at most from that at lag 0; `lags` is the largest k."""
    far = ratios[ratios["lag"] > 0]
    far = far.assign(rate=far["relative"] / far["lag"], size=far["relative"].abs())
    by = far.groupby(["margin", "seed", "step"], observed=True)
    table = by.agg(
        m=("m", "first"),
        T=("T", "first"),
        lags=("lag", "max"),
        slowest=("rate", "min"),
        fastest=("rate", "max"),
        size=("size", "max"),
    )
    return table.reset_index()


def accuracies(errors: pd.DataFrame) -> pd.DataFrame:
    """Of each run and evaluation: the fraction of the ten symbols that is recalled."""
    found = errors[errors["name"] == ERROR].sort_values(["T", "margin", "seed", "step"], ignore_index=True)
    table = found[["T", "margin", "m", "seed", "outcome", "step"]]
    return table.assign(accuracy=1 - found["value"])


EXPERIMENT = drawing.Experiment(
    NAME,
    make,
    (
        drawing.Published(
            NAME,
            figures.heatmap,
            "Norm of the gradient of the last step's loss over time steps and updates, for margins of the spectrum.",
        ),
        drawing.Published(
            f"{NAME}_bound",
            figures.bound,
            "By how much that norm strays over the sequence, and what the margin allows.",
            said.gradients,
        ),
        drawing.Published(
            "vorontsov2017_fig1",
            figures.learning,
            "Accuracy of copying over updates, for the same margins.",
            said.speed,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
