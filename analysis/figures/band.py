"""One line of a panel: the median over seeds, and their range."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes


def band(axes: Axes, table: pd.DataFrame, x: str, value: str, look: dict[str, Any]) -> None:
    """Median as a line, range as a band, of the rows that share x.

    Args:
        table: the columns x and value, a row for each x and seed.
        look: colour and dashes, from `looks`.
    """
    over = table.groupby(x)[value]
    axes.fill_between(over.median().index, over.min(), over.max(), color=look["color"], alpha=0.2, linewidth=0)
    axes.plot(over.median(), **look)
