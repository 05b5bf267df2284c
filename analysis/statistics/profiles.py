"""Gradient profiles as they are compared: relative to the step of the loss, at the lags that a picture needs."""

import numpy as np
import pandas as pd

from analysis.statistics.digests import INIT, TRAINED

POINTS = 160  # of a curve


def relative(profiles: pd.DataFrame, points: int | None = POINTS) -> pd.DataFrame:
    """Decades relative to lag 0, and the stage: init at the first probed step of a run, trained at any other.

    A profile that is zero or not a number at lag 0 has no ratio and is left out, and so is what comes after the loss.

    Args:
        profiles: from `analysis.tables.profiles`, with both ends.
        points: how many lags of a long profile stay, see `thinned`; all of them if None, as a fit needs.
    """
    found = profiles[profiles["lag"] >= 0]
    found = found if points is None else kept(found, "lag", points)
    series = ["run", "step", "layer", "direction", "part"]
    start = found.loc[found["lag"] == 0, [*series, "log10"]].rename(columns={"log10": "start"})
    found = found.merge(start[np.isfinite(start["start"])], on=series)
    first = found.groupby("run", observed=True)["step"].transform("min")
    return found.assign(relative=found["log10"] - found["start"], stage=np.where(found["step"] == first, INIT, TRAINED))


def kept(table: pd.DataFrame, column: str, points: int, by: str | list[str] = "run") -> pd.DataFrame:
    """The rows whose value in the column is among the `thinned` ones of the same `by`."""
    chosen = np.zeros(len(table), bool)
    for rows in table.groupby(by, observed=True).indices.values():
        values = table[column].to_numpy()[rows]
        chosen[rows] = np.isin(values, thinned(np.unique(values), points))
    return table[chosen]


def thinned(values: np.ndarray, points: int) -> np.ndarray:
    """At most about `points` of the sorted values: half of them evenly, half geometrically spaced from the first.

    The first and the last stay. Near the first every value is there, as a profile needs at its loss, and no gap is
    wider than two of `points` even ones. The same values give the same choice.
    """
    n = len(values)
    if n <= points:
        return values
    half = max(points // 2, 2)
    places = np.concatenate([[0], np.geomspace(1, n - 1, half).round(), np.linspace(0, n - 1, half).round()])
    return values[np.unique(places.astype(int))]
