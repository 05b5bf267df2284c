"""Fewer points of a curve, so that its table stays small and its picture the same."""

import numpy as np


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
