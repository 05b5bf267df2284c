"""profiles.npz as long tables, a block for each probed step, so that the longest of them fits into memory.

    profiles       step, layer, direction, part, loss, time, lag, one column per statistic (log10 of a norm), zeros,
                   nonfinite
    drive          step, layer, direction, gate, time, one column per statistic (log10 of a norm)
    weights        step, layer, direction, gate, time, log10_norm
    states         step, layer, direction, measure (norm, distance), time, one column per statistic (log10 of a norm)
    step_losses    step, time, loss

The last four only of runs with those probes. -inf is an exact zero, NaN a step at which a series has no state.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd


class Layout(NamedTuple):
    """How an array [step, series, statistic, time] of the record is laid out as a table.

    Attributes:
        values: the array; without the axis of series if there are no labels, of statistics if there is no `statistic`.
        labels: the array of each label of the series, by the name of its column.
        statistic: the array of the names of the statistics.
        name: of the column, if there is one statistic.
        beside: further arrays [step, series, time].
        fixed: further arrays [series, time], the same at every step.
    """

    values: str
    labels: dict[str, str]
    time: str = "time"
    statistic: str | None = None
    name: str = ""
    beside: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()


LAYOUTS = {
    "profiles": Layout(
        "log10_norm",
        {name: name for name in ("layer", "direction", "part", "loss")},
        statistic="statistic",
        beside=("zeros", "nonfinite"),
        fixed=("lag",),
    ),
    "drive": Layout(
        "drive_log10_norm",
        {name: f"drive_{name}" for name in ("layer", "direction", "gate")},
        statistic="drive_statistic",
    ),
    "weights": Layout(
        "weight_log10_norm", {name: f"weight_{name}" for name in ("layer", "direction", "gate")}, name="log10_norm"
    ),
    "states": Layout(
        "state_log10",
        {name: f"state_{name}" for name in ("layer", "direction", "measure")},
        time="state_time",
        statistic="state_statistic",
    ),
    "step_losses": Layout("step_loss", {}, time="step_loss_time", name="loss"),
}


def blocks(file: str | Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """The name of a table and some of its rows, for each probed step; everything is checked before the first.

    Raises:
        ValueError: an array and its axes do not fit.
    """
    with Path(file).open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        arrays = dict(data)
    found = {table: layout for table, layout in LAYOUTS.items() if layout.values in arrays}
    for layout in found.values():
        _check(arrays, layout)
    for n in range(len(arrays["step"])):
        for table, layout in found.items():
            yield table, _block(arrays, layout, n)


def _check(arrays: Mapping[str, np.ndarray], layout: Layout) -> None:
    steps, times = len(arrays["step"]), len(arrays[layout.time])
    series = [len(arrays[name]) for name in layout.labels.values()][:1]
    statistics = [len(arrays[layout.statistic])] if layout.statistic else []
    wanted = {layout.values: (steps, *series, *statistics, times)}
    wanted |= dict.fromkeys(layout.beside, (steps, *series, times))
    wanted |= dict.fromkeys(layout.fixed, (*series, times))
    wanted |= {name: tuple(series) for name in layout.labels.values()}
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, its axes say {shape}")


def _block(arrays: Mapping[str, np.ndarray], layout: Layout, n: int) -> pd.DataFrame:
    times = arrays[layout.time]
    count = len(arrays[next(iter(layout.labels.values()))]) if layout.labels else 1
    columns = {"step": np.repeat(arrays["step"][n], count * len(times))}
    for name, source in layout.labels.items():
        label = arrays[source]
        columns[name] = (
            pd.Categorical(label).repeat(len(times)) if label.dtype.kind == "U" else label.repeat(len(times))
        )
    columns["time"] = np.tile(times, count)
    columns |= {name: arrays[name].ravel() for name in layout.fixed}
    values = arrays[layout.values][n]
    if layout.statistic:
        columns |= {str(name): values[:, k].ravel() for k, name in enumerate(arrays[layout.statistic])}
    else:
        columns[layout.name] = values.ravel()
    columns |= {name: arrays[name][n].ravel() for name in layout.beside}
    return pd.DataFrame(columns)
