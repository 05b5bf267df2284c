"""The pictures of the experiment `horizon`: what its runs are to the figures that experiments share.

Tables of `statistics.configurations` become tables of `analysis.figures`, which are kept, and these become figures.
"""

import pandas as pd
from matplotlib.figure import Figure

from analysis import figures
from analysis.statistics.digests import INIT, TRAINED

STAGES = {INIT: "at initialisation", TRAINED: "after training"}
LAG = "lag $k$ (steps, in the direction of the pass)"
WAYS = ["forward", "backward", "bidirectional, forward pass", "bidirectional, backward pass"]


def shown(table: pd.DataFrame) -> pd.Series:
    """Which rows of a table with the configuration's columns have a profile in one of the figures."""
    return _simplest(table) | _longest(table)


def _simplest(table: pd.DataFrame) -> pd.Series:
    plain = table["direction"].min()  # ordered: forward, backward, bidirectional
    return (table["direction"] == plain) & (table["depth"] == table.loc[table["direction"] == plain, "depth"].min())


def _longest(table: pd.DataFrame) -> pd.Series:
    return table["T"] == table.groupby("task")["T"].transform("max")


def profiles_table(curves: pd.DataFrame) -> pd.DataFrame:
    """Norm of the gradient against lag for each T, in the simplest network: first direction there is, least depth."""
    of_figure = curves[_simplest(curves)]
    of_figure = of_figure[of_figure["pass"] == of_figure["pass"].max()]  # forward, if it has both
    depth, direction = of_figure["depth"].iloc[0], of_figure["direction"].iloc[0]
    return _panels(of_figure).assign(hue=of_figure["T"], dash="", title=f"{direction}, depth {depth}, layer 0")


def profiles_figure(table: pd.DataFrame) -> Figure:
    return figures.profile_figure(table, hue="T", title=table["title"].iloc[0], lag=LAG)


def networks_table(curves: pd.DataFrame) -> pd.DataFrame | None:
    """Norm of the gradient against lag for each depth, direction and pass, at the largest T; None if there is one."""
    of_figure = curves[_longest(curves)]
    if len(of_figure[["depth", "direction", "pass"]].drop_duplicates()) < 2:
        return None
    lengths = ", ".join(f"{task} T = {T}" for task, T in of_figure.groupby("task")["T"].max().items())
    return _panels(of_figure).assign(hue=of_figure["depth"], dash=_ways(of_figure), title=f"{lengths}, layer 0")


def networks_figure(table: pd.DataFrame) -> Figure:
    return figures.profile_figure(table, hue="depth", title=table["title"].iloc[0], lag=LAG)


def map_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Effective horizon against T; a panel per task, depth, direction and pass; part h of the state."""
    of_h = summary[summary["part"] == "h"]
    frame = of_h.assign(
        row=_ordered(of_h["task"] + ", depth " + of_h["depth"].astype(str), of_h[["task", "depth"]]),
        column=_ways(of_h),
        hue=of_h["cell"] + " " + of_h["init"],
    )
    pieces = []
    for stage in (INIT, TRAINED):
        names = {f"horizon_{stage}_{old}": new for old, new in (("median", "median"), ("min", "low"), ("max", "high"))}
        names[f"horizon_{stage}_median_censored"] = "bound"
        of_stage = frame.rename(columns=names).assign(stage=stage, x=frame["T"])
        pieces.append(of_stage)
    columns = ["row", "column", "hue", "x", "T", "stage", "median", "low", "high", "bound", "outcome"]
    return pd.concat(pieces, ignore_index=True)[columns]


def map_figure(table: pd.DataFrame) -> Figure:
    title = "at each $T$ from left to right in this order"  # in grey, too
    return figures.horizon_figure(table, x="sequence length $T$ (steps)", title=title, slots=True)


def _panels(curves: pd.DataFrame) -> pd.DataFrame:
    """Rows: task and stage; columns: cell and init."""
    stage = curves["stage"].map(list(STAGES).index)
    row = _ordered(curves["task"] + " / " + curves["stage"].map(STAGES), curves[["task"]].assign(stage=stage))
    column = curves["cell"] + " / " + curves["init"]
    return curves[["lag", "median", "low", "high", "runs"]].assign(row=row, column=column)


def _ways(table: pd.DataFrame) -> pd.Series:
    """The direction in words, with the pass where there are two."""
    direction, one = table["direction"].astype(str), table["pass"].astype(str)
    words = direction.where(direction != "bidirectional", "bidirectional, " + one + " pass")
    return pd.Series(pd.Categorical(words, [way for way in WAYS if way in set(words)], ordered=True), table.index)


def _ordered(words: pd.Series, by: pd.DataFrame) -> pd.Series:
    """The words as categories, in the order of the rows of `by`."""
    order = list(dict.fromkeys(words.loc[by.sort_values(list(by)).index]))
    return pd.Series(pd.Categorical(words, order, ordered=True), words.index)
