"""How far two rankings agree."""

import pandas as pd


def rank_correlation(x: pd.Series, y: pd.Series) -> float:
    """Spearman's: the correlation of the ranks, the mean rank for ties; NaN where one of the two is constant."""
    return float(x.rank().corr(y.rank()))
