"""What a run logged and measured: its scalars over the steps, its gradient profiles over time."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from analysis.folders import left_out, run_folders
from analysis.tables.final import UNREADABLE, number

STATISTICS = ("mean_log10", "log10_rms", "q10", "q50", "q90")
DIRECTIONS = ("forward", "backward", "input", "output")  # the latter two of feed-forward layers
PARTS = ("h", "c")  # of the state, in the order of every table; others come after them
COLUMNS = ("step", "layer", "direction", "part", "time", "lag", "log10")  # of a profile


def scalars(folder: str | Path, prefix: str = "", only: Collection[str] | None = None) -> pd.DataFrame:
    """Logged numbers, long: run, step, name, value. "nan", "inf" and "-inf" are numbers again.

    A torn last line (the process was killed while writing) is dropped silently, any other unreadable line with a
    warning. A step that was logged twice, before and after a restart, counts once: the later line.

    Args:
        prefix: only names that start so; lines that do not hold it are not parsed, which is what makes it fast.
        only: ids of the runs to read; all of them if None.
    """
    columns: dict[str, list] = {"run": [], "step": [], "name": [], "value": []}
    for path in run_folders(folder, only):
        found = logged(path, prefix)
        columns["run"] += [path.name] * len(found)
        columns["step"] += [step for step, _, _ in found]
        columns["name"] += [name for _, name, _ in found]
        columns["value"] += [value for _, _, value in found]
    frame = pd.DataFrame(columns).astype({"run": "category", "step": int, "name": "category", "value": float})
    return frame.drop_duplicates(["run", "step", "name"], keep="last", ignore_index=True)


def logged(path: Path, prefix: str = "") -> list[tuple[int, str, float]]:
    """The same for one run folder: step, name and value, line by line, also of a step that was logged twice."""
    file, found = path / "scalars.jsonl", []
    try:
        lines = file.read_bytes().split(b"\n") if file.exists() else []
    except OSError as error:
        left_out(path, error)
        return []
    for k, line in enumerate(lines, start=1):
        if not line.strip() or prefix.encode() not in line:
            continue
        try:
            record = json.loads(line)
            step = int(record.pop("step"))
            found += [(step, name, number(v)) for name, v in record.items() if name.startswith(prefix)]
        except UNREADABLE as error:
            if k < len(lines):
                left_out(file, error, f" line {k}")
    return found


Loss = Literal["last", "task"]
Steps = Literal["first", "last", "ends", "all"]


def profiles(
    folder: str | Path,
    loss: Loss = "last",
    statistic: str = "q50",
    steps: Steps = "ends",
    only: Collection[str] | None = None,
    layer: int | None = None,
    part: str | None = None,
) -> pd.DataFrame:
    """Gradient profiles, long: run, step, layer, direction, part, time, lag, log10.

    lag: the steps of that layer, in its own direction, between state and loss; negative after the loss.
    log10 is the base-10 logarithm of the norm, -inf where it is exactly zero.

    Args:
        loss: "last" is the loss of the last scored step alone; in a task that scores one step this is the task's loss,
            and is stored under that name. "task" is the task's own loss; where it has many terms lag means nothing.
        statistic: over the samples of the probe's batch, one of `STATISTICS`.
        steps: the first probed step, the last, both, or all of them.
        only: ids of the runs to read; all of them if None.
        layer, part: the only layer and part to keep; all of them if None. Long sequences need this for memory.

    Returns:
        An empty table, after the warnings, if none can be read.
    """
    _check(loss, statistic, steps)
    blocks = []
    for path in run_folders(folder, only):
        file = path / "profiles.npz"
        if not file.exists() and not (path / "done.json").exists():
            continue  # it has not come to its first probe
        try:
            blocks.append((path.name, profile(file, loss, statistic, steps, layer, part)))
        except UNREADABLE as error:
            left_out(path, error)
    if not blocks:
        return pd.DataFrame({name: [] for name in ("run", *COLUMNS)})
    frame = pd.concat([block for _, block in blocks], ignore_index=True)
    frame["part"] = frame["part"].astype("category")  # they were not all the same
    names = pd.Index(sorted({name for name, _ in blocks}))
    codes = np.repeat(names.get_indexer([name for name, _ in blocks]), [len(block) for _, block in blocks])
    frame.insert(0, "run", pd.Categorical.from_codes(codes, names))
    return frame


def profile(
    file: str | Path,
    loss: Loss = "last",
    statistic: str = "q50",
    steps: Steps = "ends",
    layer: int | None = None,
    part: str | None = None,
) -> pd.DataFrame:
    """The same for one profiles.npz, without the column run."""
    _check(loss, statistic, steps)
    with Path(file).open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        step, moment, layers, direction, parts, kind, names = (
            data[key] for key in ("step", "time", "layer", "direction", "part", "loss", "statistic")
        )
        norm, lag = data["log10_norm"], data["lag"]
    if norm.shape != (len(step), len(layers), len(names), len(moment)):
        raise ValueError(f"log10_norm has shape {norm.shape}, its axes say otherwise")
    order = np.argsort(step, kind="stable")
    if len(order) == 0:
        raise ValueError("no probed step")
    n = {"first": order[:1], "last": order[-1:], "ends": np.unique(order[[0, -1]]), "all": order}[steps]
    chosen = kind == ("last" if loss == "last" and "last" in kind else "task")
    chosen &= (layer is None or layers == layer) & (part is None or parts == part)
    s = np.flatnonzero(chosen)
    (k,) = np.flatnonzero(names == statistic)
    T = len(moment)
    at = np.tile(np.repeat(s, T), len(n))
    t = np.tile(moment, len(n) * len(s))
    return pd.DataFrame(
        {
            "step": np.repeat(step[n], len(s) * T),
            "layer": layers[at],
            "direction": pd.Categorical(direction, DIRECTIONS)[at],
            "part": pd.Categorical(parts, [*PARTS, *sorted(set(parts) - set(PARTS))])[at],
            "time": t,
            "lag": np.tile(lag[s].ravel(), len(n)),
            "log10": norm[n][:, s, k, :].ravel(),
        }
    )


def _check(loss: str, statistic: str, steps: str) -> None:
    for name, value, allowed in (
        ("loss", loss, ("last", "task")),
        ("statistic", statistic, STATISTICS),
        ("steps", steps, ("first", "last", "ends", "all")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
