"""Which of the runs of a folder are looked at."""

import pandas as pd

from analysis import tables


def select(runs: pd.DataFrame, scale: str | None, where: list[str]) -> pd.DataFrame:
    """Runs of one scale, by default the largest of which one is finished, that have the values asked for; says so.

    Raises:
        ValueError: no setting of that name, no finished run, or runs of several experiments.
    """
    runs = matching(runs, where)
    finished = runs[runs["outcome"].isin(tables.FINISHED)]
    scales = set(finished["scale"].dropna())
    present = [*sorted(scales - {*tables.SCALES}), *(s for s in tables.SCALES if s in scales)]
    if not present or (scale is not None and scale not in present):
        counts = ", ".join(f"{n} {s} {o}" for (s, o), n in runs.groupby(["scale", "outcome"]).size().items())
        raise ValueError(f"no finished run{f' of scale {scale}' if scale else ''}; there are: {counts or 'none'}")
    chosen = runs[runs["scale"] == (scale or present[-1])]
    names = sorted(set(chosen["name"].dropna()))
    if len(names) > 1:
        raise ValueError(f"the runs are of several experiments ({', '.join(names)}): choose with --where name=NAME")
    counts = ", ".join(f"{n} {outcome}" for outcome, n in chosen["outcome"].value_counts().items())
    print(f"scale {scale or present[-1]}: {len(chosen)} run{'s' if len(chosen) != 1 else ''} ({counts})")
    return chosen


def matching(runs: pd.DataFrame, where: list[str]) -> pd.DataFrame:
    """Those runs that have all the settings, each NAME=VALUE."""
    for condition in where:
        name, _, value = condition.partition("=")
        if name not in runs:
            raise ValueError(f"--where needs NAME=VALUE with a setting of the runs, got {condition!r}")
        runs = runs[runs[name].map(lambda v, value=value: _equal(v, value)).astype(bool)]
        if runs.empty:
            raise ValueError(f"no run has {' and '.join(where)}")
    return runs


def _equal(setting: object, text: str) -> bool:
    try:
        return float(setting) == float(text)  # 1e-3 is 0.001
    except (TypeError, ValueError):
        return str(setting).lower() == text.lower()
