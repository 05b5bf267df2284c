"""What W&B is told of a run, as plain values: names, histograms over t, the rows of the final table.

A profile is the median over samples, log10_norm at `q50`; its name is L0/forward/h, with /last appended if it belongs
to the loss of the last scored step alone. `profiles` has the layout of `profiles.npz` throughout.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

STEP = "train/step"
LONGEST = "adjoint/longest_horizon"  # over layers, directions and parts of the state
FLOOR = -30.0  # W&B draws heights >= 0 alone: log10 norms below this one are shown as 0
MAX_BINS = 256
MAX_ROWS = 3_000  # W&B shows 10,000; each costs .03 ms
FEW_BINS, FEW_STEPS = 16, 12  # what a thinned table keeps of time and of training, if there is as much
MEASURED = ("step", "log10_norm", "step_loss")  # of the arrays that are read here, those with a first axis step

Arrays = Mapping[str, np.ndarray]


def title(config: Mapping[str, Any]) -> str:
    """A name to read: `lstm adding T=200 depth=2 bidirectional orthogonal seed=0`; W&B's own name if it is empty."""

    def of(*path: str) -> Any:
        node: Any = config
        for key in path:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    def choice(group: str) -> str:
        return str(of(group, "_target_") or "").rpartition(".")[2].strip("_").lower()

    values = {"T": of("task", "length"), "depth": of("network", "depth"), "seed": of("seed")}
    T, depth, seed = (f"{key}={value}" if value is not None else "" for key, value in values.items())
    parts = (choice("cell"), choice("task"), T, depth, of("network", "direction"), choice("init"), seed)
    return " ".join(filter(None, parts))


def entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `scalars.jsonl` as W&B's history has it; where there are horizons, with the longest of them.

    Names of digests differ with layers, directions and parts: this one every run has, so runs can be compared by it.
    """
    horizons = [value for key, value in row.items() if key.startswith("adjoint/") and key.endswith("/horizon")]
    longest = {LONGEST: float(np.fmax.reduce(horizons))} if horizons else {}
    return {STEP if key == "step" else key: value for key, value in row.items()} | longest


def summary(done: Mapping[str, Any]) -> dict[str, Any]:
    """What `done.json` says on one level: metrics under their own names, predictions as `predicted.NAME`."""
    flat = {key: value for key, value in done.items() if key not in ("metrics", "predicted")}
    predicted = {f"predicted.{key}": value for key, value in (done.get("predicted") or {}).items()}
    return {key: number(value) for key, value in {**flat, **done.get("metrics", {}), **predicted}.items()}


def number(value: Any) -> Any:
    """A non-finite number that the record wrote as text is a number again; anything else stays what it is."""
    return float(value) if value in ("nan", "inf", "-inf") else value


def until(profiles: Arrays, step: int) -> Arrays | None:
    """The profiles up to this training step; None if it was not probed."""
    where = np.flatnonzero(profiles["step"] == step) if profiles else []
    if not len(where):
        return None
    return {key: value[: where[-1] + 1] if key in MEASURED else value for key, value in profiles.items()}


def series(profiles: Arrays) -> list[str]:
    """A name for each entry of the series axis."""
    axes = (profiles[key].tolist() for key in ("layer", "direction", "part", "loss"))
    return [
        f"L{layer}/{direction}/{part}" + ("" if loss == "task" else f"/{loss}")
        for layer, direction, part, loss in zip(*axes, strict=True)
    ]


def medians(profiles: Arrays) -> np.ndarray:
    """The median over samples of the log10 norm, [N, S, T]."""
    return profiles["log10_norm"][:, :, profiles["statistic"].tolist().index("q50"), :]


def binned(values: np.ndarray, time: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Means over at most `most` bins of the last axis, and the edges of the bins in time steps."""
    cuts = np.linspace(0, len(time), min(len(time), most) + 1).round().astype(int)
    means = np.add.reduceat(values, cuts[:-1], axis=-1) / np.diff(cuts)
    return means, np.append(time[cuts[:-1]], time[-1] + 1) - 0.5


def histograms(profiles: Arrays) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Heights and edges over t of the last step's profiles, ready for `wandb.Histogram`."""
    found = {}
    if "log10_norm" in profiles:
        heights = np.maximum(np.nan_to_num(medians(profiles)[-1], nan=FLOOR) - FLOOR, 0)
        for name, height in zip(series(profiles), heights, strict=True):
            found[f"grad/profile/{name}"] = binned(height, profiles["time"], MAX_BINS)
    if profiles.get("step_loss", np.empty((0, 0))).shape[-1] > 1:
        losses = np.maximum(np.nan_to_num(profiles["step_loss"][-1]), 0)
        found["loss/profile"] = binned(losses, profiles["step_loss_time"], MAX_BINS)
    return found


def rows(profiles: Arrays) -> list[list[Any]]:
    """Rows (step, series, t, log10_g) of all profiles, thinned in time and then in steps to at most MAX_ROWS.

    An exact zero or a missing value is None. The first and the last step are always there.
    """
    names = series(profiles)
    count = len(profiles["step"])
    bins = max(FEW_BINS, MAX_ROWS // (min(count, FEW_STEPS) * len(names)))
    values, edges = binned(medians(profiles), profiles["time"], min(MAX_BINS, bins))
    centres = ((edges[:-1] + edges[1:]) / 2).tolist()
    keep = np.linspace(0, count - 1, min(count, max(2, MAX_ROWS // values[0].size))).round().astype(int)
    return [
        [step, name, t, value if math.isfinite(value) else None]
        for step, of_step in zip(profiles["step"][keep].tolist(), values[keep].tolist(), strict=True)
        for name, profile in zip(names, of_step, strict=True)
        for t, value in zip(centres, profile, strict=True)
    ]
