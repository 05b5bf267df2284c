"""One line of a panel, the median over seeds and their range, and what says so in the legend."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch


def band(axes: Axes, table: pd.DataFrame, x: str, value: str, look: dict[str, Any]) -> pd.Series:
    """Median as a line, range as a band, of the rows that share x; returns the median.

    Args:
        table: the columns x and value, a row for each x and seed.
        look: colour and dashes, from `looks`.
    """
    over = table.groupby(x)[value]
    median = over.median()
    axes.fill_between(median.index, over.min(), over.max(), color=look["color"], alpha=0.2, linewidth=0)
    axes.plot(median.index, median, **look)
    return median


def mark() -> Patch:
    """What stands for the band in the legend."""
    return Patch(color="0.8", label="range over seeds")
