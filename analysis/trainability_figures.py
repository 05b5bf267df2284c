"""The pictures of the experiment `trainability`: how far training reaches over the gain of W and T.

Runs become tables of `analysis.figures`, which are kept, and these become figures. The axes are gain and T; lines are
drawn for at most `LINES` of the gains, evenly chosen, the smallest and the largest among them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import figures, style
from analysis.statistics.digests import INIT
from analysis.statistics.profiles import POINTS, kept, relative

LINES, PANELS = 5, 3
STAGES = {INIT: "at initialisation", "trained": "after training"}


def some(values: Sequence[Any], n: int) -> list[Any]:
    """At most n of the values, evenly chosen by their place; the first and the last are among them."""
    values = sorted(set(values))
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, min(n, len(values))).round().astype(int))]


def map_table(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each gain and T.

    Args:
        runs: gain, T, outcome, horizon, bound and predicted, as `analysis.trainability` makes it.
    """
    return figures.tiles(runs.rename(columns={"gain": "x"}), ["x", "T"])


def map_figure(table: pd.DataFrame) -> Figure:
    return figures.trainability_figure(table, x=style.label("init.gain"))


def success_table(runs: pd.DataFrame) -> pd.DataFrame:
    chosen = runs[runs["gain"].isin(some(runs["gain"], LINES))]
    return figures.rates(chosen.rename(columns={"gain": "hue", "T": "x"}), ["hue", "x"])


def success_figure(table: pd.DataFrame) -> Figure:
    return figures.success_figure(table, x=style.label("T"), hue="$g$", log=True)


def learning_table(runs: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """The same gains, at `PANELS` of the T.

    Args:
        losses: run, step and value.
    """
    gains, lengths = some(runs["gain"], LINES), some(runs["T"], PANELS)
    chosen = runs[runs["gain"].isin(gains) & runs["T"].isin(lengths)].rename(columns={"gain": "hue"})
    joined = losses.astype({"run": str}).merge(chosen[["run", "hue", "T", "outcome"]], on="run")
    return figures.aligned(joined.assign(column=_panel("$T$ = ", joined["T"])), ["column", "hue"])


def learning_figure(table: pd.DataFrame) -> Figure:
    return figures.learning_figure(table, hue="$g$", log_x=True)


def profiles_table(runs: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """The same gains, at the largest T, with the fit of each and what theory says of initialisation.

    Args:
        profiles: from `analysis.tables.profiles`, of one layer, direction and part. Diverged runs have no trained one.
    """
    chosen = runs[(runs["T"] == runs["T"].max()) & runs["gain"].isin(some(runs["gain"], LINES))]
    found = (
        relative(profiles, points=None)
        .astype({"run": str})
        .merge(chosen[["run", "gain", "outcome", "theory"]], on="run")
    )
    found = found[(found["stage"] == INIT) | (found["outcome"] != "diverged")].rename(columns={"gain": "hue"})
    theory = found.groupby("hue")["theory"].median()
    found["column"] = pd.Categorical(found["stage"].map(STAGES), list(STAGES.values()), ordered=True)
    by = ["column", "hue"]
    lines = kept(found, "lag", POINTS).groupby([*by, "lag"], observed=True)["relative"]
    table = lines.agg(median="median", low="min", high="max", runs="count").reset_index()
    fits = figures.decays(found, by).drop(columns="runs")
    table = table.merge(fits, on=by, how="left")
    table["fit"] = (table["intercept"] + table["slope"] * table["lag"]).where(table["lag"] <= table["fit_last"])
    table["predicted"] = (table["hue"].map(theory) * table["lag"]).where(table["column"] == STAGES[INIT])
    return table.drop(columns=["intercept", "fit_last"]).assign(title=f"$T$ = {runs['T'].max()}, layer 0")


def profiles_figure(table: pd.DataFrame) -> Figure:
    return figures.profile_figure(table, hue="$g$", title=table["title"].iloc[0], height=2.0)


def examples(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the heat map: the smallest, the middle and the largest gain at the largest T, the first seed."""
    chosen = runs[(runs["T"] == runs["T"].max()) & runs["gain"].isin(some(runs["gain"], PANELS))]
    return chosen.sort_values(["gain", "seed"]).drop_duplicates("gain")


def heatmap_table(runs: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """A panel for each of the runs, named by gain and outcome.

    Args:
        runs: from `examples`.
        profiles: run, step, time and log10, of all probed steps.
    """
    pieces = []
    for run in runs.itertuples():
        found = profiles[profiles["run"] == run.run]
        if len(found):
            pieces.append(figures.updates(found).assign(column=f"$g$ = {run.gain:g}, {run.outcome}"))
    table = pd.concat(pieces, ignore_index=True)
    panels = pd.Categorical(table["column"], list(dict.fromkeys(table["column"])), ordered=True)
    title = f"one run each, seed {', '.join(map(str, sorted(set(runs['seed']))))}, $T$ = {runs['T'].max()}, layer 0"
    return table.assign(column=panels, title=title)


def heatmap_figure(table: pd.DataFrame) -> Figure:
    return figures.heatmap_figure(table, title=table["title"].iloc[0])


def _panel(name: str, values: pd.Series) -> pd.Categorical:
    words = {value: f"{name}{value:g}" for value in sorted(set(values))}
    return pd.Categorical(values.map(words), list(words.values()), ordered=True)
