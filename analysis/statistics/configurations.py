"""Seeds of one configuration brought together: one row, or one curve, per configuration.

A configuration is task, T, cell, init, depth and direction; runs that differ in nothing else but the seed are its
sample. What is looked at is layer 0, the one nearest to the input, because the gradient has every other layer behind it
there; a bidirectional network has two rows, one for each pass, each with the lag counted in its own direction.

Initialisation counts all finished runs; "trained" leaves out the diverged ones, which have no trained network, but
stand in the counts of outcomes. Runs without done.json enter no statistic and are counted as unfinished.
"""

import pandas as pd

from analysis import tables
from analysis.statistics.aggregate import DIRECTIONS, is_seed
from analysis.statistics.digests import INIT, TRAINED, Spread, spread
from analysis.statistics.profiles import relative

KEYS = ["task", "T", "cell", "init", "depth", "direction"]
LAYER = 0
MAY_DIFFER = ("seed", "seeds", "probes", "device", "threads", "tracker", "hydra", "paths", "name", "scale")
MEASURED = {"horizon": "horizon", "decay": "decay_per_step", "half_life": "half_life"}


def configurations(runs: pd.DataFrame) -> pd.DataFrame:
    """The table of runs with the columns of `KEYS`; a value in which one init or cell varies becomes part of its name.

    Raises:
        ValueError: a key is absent, runs of one configuration differ in anything else than the seed, or a seed is
            there twice.
    """
    names = {"task.length": "T", "network.depth": "depth", "network.direction": "direction"}
    absent = [name for name in ("task", "cell", "init", "seed", *names) if name not in runs]
    if absent:
        raise ValueError(f"the runs have no setting {', '.join(absent)}: they are of another experiment")
    frame = runs.rename(columns=names)
    frame["direction"] = pd.Categorical(frame["direction"], DIRECTIONS, ordered=True)
    for column in _differing(frame):
        part, _, setting = column.rpartition(".")
        if part in ("cell", "init"):
            value = frame[column].map(lambda v: f"{v:g}" if isinstance(v, int | float) else str(v))
            frame[part] = frame[part].where(frame[column].isna(), frame[part] + f" {setting}=" + value)
    for column in _differing(frame):
        values = ", ".join(map(str, frame[column].unique()))
        raise ValueError(f"runs of one configuration differ in {column} ({values}): choose with --where {column}=VALUE")
    finished = frame[frame["outcome"].isin(tables.FINISHED)]
    one = [*KEYS, *(name for name in frame if is_seed(name))]
    for _, twins in finished[finished.duplicated(one, keep=False)].groupby(one, observed=True, dropna=False):
        raise ValueError(f"the same configuration and seed is there more than once: {', '.join(twins['run'])}")
    return frame.sort_values([*KEYS, "seed"], ignore_index=True)


def _differing(frame: pd.DataFrame) -> list[str]:
    settings = [c for c in tables.configuration(frame) if c not in KEYS and c.split(".")[0] not in MAY_DIFFER]
    groups = frame.groupby(KEYS, observed=True)
    return [column for column in settings if (groups[column].nunique(dropna=False) > 1).any()]


def passes(direction: str) -> list[str]:
    """The directions of the layers that a network of this direction has."""
    return ["forward", "backward"] if direction == "bidirectional" else [direction]


def table(runs: pd.DataFrame, digests: pd.DataFrame) -> pd.DataFrame:
    """One row per configuration, pass and part of the state.

    Horizon (steps), decay (decades per step) and half_life (steps), each with _init and _trained, and error (on the
    validation set, all finished runs): as text under the name itself, as numbers under NAME_median, NAME_min, NAME_max,
    with NAME_*_censored where the horizon is only a lower bound, and NAME_runs; besides, the counts of outcomes.

    Args:
        runs: from `configurations`.
        digests: from `analysis.statistics.digests.digests`.
    """
    found = _measured(digests, runs)
    parts = found.groupby("cell")["part"].unique()
    samples = dict(list(found.groupby([*KEYS, "pass", "part", "stage"], observed=True)))
    rows = []
    for key, group in runs.groupby(KEYS, observed=True):
        setting = dict(zip(KEYS, key, strict=True))
        for direction in passes(setting["direction"]):
            for part in sorted(parts.get(setting["cell"], ["h"]), reverse=True):  # h before c
                row = setting | {"pass": direction, "part": part, "layer": LAYER} | _outcomes(group)
                for stage in (INIT, TRAINED):
                    sample = samples.get((*key, direction, part, stage), found.iloc[:0])
                    row[f"step_{stage}"] = sample["step"].max()
                    for name, column in MEASURED.items():
                        bound = sample["horizon_censored"] if name == "horizon" else None
                        row |= _columns(f"{name}_{stage}", spread(sample[column], bound), bound is not None)
                error = group.get("validation/error", pd.Series(dtype=float))
                rows.append(row | _columns("error", spread(error)))
    return pd.DataFrame(rows)


def _measured(found: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of layer 0 that count, with `pass` for the layer's direction and the keys of the run beside them."""
    runs = runs.loc[runs["outcome"].isin(tables.FINISHED), ["run", "outcome", *KEYS]]
    found = found[found["layer"] == LAYER].rename(columns={"direction": "pass"})
    found = found.astype({"run": str, "pass": str, "part": str}).merge(runs, on="run")
    found = found[(found["stage"] == INIT) | (found["outcome"] != "diverged")]
    if "horizon" in found:
        beyond = (found["horizon_censored"] == 1) & found["horizon"].isna()
        found["horizon"] = found["horizon"].mask(beyond, found["T"])
    return found


def _outcomes(group: pd.DataFrame) -> dict[str, object]:
    counts = {name: int((group["outcome"] == name).sum()) for name in tables.FINISHED}
    seen = [name for name, count in counts.items() if count]
    finished = sum(counts.values())
    outcome = "mixed" if len(seen) > 1 else seen[0] if seen else "unfinished"
    return {"seeds": finished, "outcome": outcome, **counts, "unfinished": len(group) - finished}


def _columns(name: str, s: Spread, bounds: bool = False) -> dict[str, object]:
    row = {name: s.text(), f"{name}_median": s.median, f"{name}_min": s.low, f"{name}_max": s.high}
    if bounds:
        censored = (s.median_censored, s.low_censored, s.high_censored)
        row |= {f"{name}_{which}_censored": c for which, c in zip(("median", "min", "max"), censored, strict=True)}
    return row | {f"{name}_runs": s.runs}


def curves(runs: pd.DataFrame, profiles: pd.DataFrame, part: str = "h") -> pd.DataFrame:
    """Profiles relative to lag 0, per configuration, pass, stage and lag: median, low and high over seeds, in decades.

    -inf is an exact zero. A long profile keeps the lags of `analysis.statistics.profiles.relative`.

    Args:
        runs: from `configurations`.
        profiles: from `analysis.tables.profiles` with both ends.
    """
    found = relative(profiles[(profiles["layer"] == LAYER) & (profiles["part"] == part)])
    found = _measured(found[["run", "layer", "direction", "part", "stage", "lag", "relative"]], runs)
    values = found.groupby([*KEYS, "pass", "stage", "lag"], observed=True)["relative"]
    return values.agg(median="median", low="min", high="max", runs="count").reset_index()
