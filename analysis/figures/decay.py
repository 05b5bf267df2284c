"""How fast the gradient decays: a straight line through the logarithm of its norm, and how sure its slope is."""

import math

import numpy as np
import pandas as pd

from analysis.figures.groups import gathered, groups

LEVEL = 0.95


def student(p: float, df: int) -> float:
    """The p-quantile of Student's t with df degrees of freedom, for p >= 1/2.

    Reference:
        Abramowitz & Stegun, Handbook of Mathematical Functions, 1964, 26.7.3 and 26.7.4: the distribution is a finite
        sum where df is a whole number; it is inverted here by bisection.
    """
    if not (0.5 <= p < 1 and df >= 1):
        raise ValueError(f"student needs 1/2 <= p < 1 and df >= 1, got p = {p}, df = {df}")
    low, high = 0.0, 1.0
    while _between(high, df) < 2 * p - 1:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _between(middle, df) < 2 * p - 1 else (low, middle)
    return (low + high) / 2


def _between(t: float, df: int) -> float:
    """Probability of [-t, t]."""
    angle = math.atan(t / math.sqrt(df))
    cosine = math.cos(angle)
    term, total = (cosine, cosine) if df % 2 else (1.0, 1.0)
    for k in range(2 + df % 2, df, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    if df % 2 == 0:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + (math.sin(angle) * total if df > 1 else 0.0))


def decays(relative: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Decades per step, negative when vanishing: one row per value of `by`, over the runs that have it.

    Each run has the least-squares slope of log10 norm over lag, up to its first lag that is zero or not finite, as in
    the digest decay_per_step. `slope` is their mean, `slope_low` and `slope_high` its 95 % interval by Student's t over
    the runs (NaN for one run): it says how far another sample of seeds may lie, not how straight the line is.
    `intercept` is the mean of theirs, `fit_last` the smallest last lag, `runs` how many there are.

    Args:
        relative: the columns `by`, run, lag, and relative in decades, at all lags: thinned ones weigh the loss more.
    """
    rows = []
    for key, group in groups(relative, by):
        lines = [_line(run) for _, run in group.groupby("run", observed=True)]
        lines = np.array([line for line in lines if line is not None])
        if len(lines):
            slope, half = lines[:, 0].mean(), math.nan
            if len(lines) > 1:
                error = lines[:, 0].std(ddof=1) / math.sqrt(len(lines))
                half = student(0.5 + LEVEL / 2, len(lines) - 1) * error
            row = {"slope": slope, "slope_low": slope - half, "slope_high": slope + half}
            row |= {"intercept": lines[:, 1].mean(), "fit_last": int(lines[:, 2].min()), "runs": len(lines)}
            rows.append(key | row)
    if not rows:
        raise ValueError("no profile has two lags with a norm that is neither zero nor infinite: there is no decay")
    return gathered(rows, by, relative)


def _line(run: pd.DataFrame) -> tuple[float, float, int] | None:
    """Slope, intercept and last lag of the line through one run; None where there are fewer than two points."""
    run = run.sort_values("lag")
    lag, value = run["lag"].to_numpy(float), run["relative"].to_numpy(float)
    finite = np.isfinite(value)
    n = len(value) if finite.all() else int(finite.argmin())
    if n < 2:
        return None
    x, y = lag[:n] - lag[:n].mean(), value[:n]
    slope = float(x @ y / (x @ x))
    return slope, float(y.mean() - slope * lag[:n].mean()), int(lag[n - 1])
