"""W&B, a mirror of the record of a run. It can cost no run: at the first error it says so once and stops.

    scalars and digests     each logged step, over train/step
    grad/profile/SERIES     on probed steps, a histogram over t whose heights are log10 norm - FLOOR: W&B stacks the
                            histograms of a run to a heat map of step against t
    loss/profile            the same for the loss of each step of the sequence, if there are several
    grad/profiles           once, at the end: a table (step, series, t, log10_g) for charts of one's own
    figure                  once, at the end

A profile is the median over samples, log10_norm at `q50`; SERIES is L0/forward/h, with /last appended if it belongs to
the loss of the last scored step alone.
"""

import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

logger = logging.getLogger(__name__)

FLOOR = -30.0  # W&B draws heights >= 0 alone: log10 norms below this one are shown as 0
MAX_BINS = 256
MAX_ROWS = 2_000  # W&B shows 10,000; each costs .2 ms

Arrays = Mapping[str, np.ndarray]
Draw = Callable[[], Path]  # called only if there is someone to show the picture to


@runtime_checkable
class Tracker(Protocol):
    """What a run tells a tracker. `profiles` and `table` have the layout of `profiles.npz`."""

    def start(
        self, folder: Path, run_id: str, name: str, config: Mapping[str, Any], tags: Sequence[str] = ()
    ) -> None: ...

    def log(self, row: Mapping[str, Any], profiles: Arrays | None = None) -> None: ...

    def finish(self, done: Mapping[str, Any], table: Arrays | None = None, figure: Draw | None = None) -> None: ...


class NoTracker:
    """The record is enough."""

    def start(
        self, folder: Path, run_id: str, name: str, config: Mapping[str, Any], tags: Sequence[str] = ()
    ) -> None: ...

    def log(self, row: Mapping[str, Any], profiles: Arrays | None = None) -> None: ...

    def finish(self, done: Mapping[str, Any], table: Arrays | None = None, figure: Draw | None = None) -> None: ...


def _harmless(method: Callable[..., None]) -> Callable[..., None]:
    """Turn an error of the method into one warning, and the tracker silent from then on."""

    @functools.wraps(method)
    def guarded(self: "WandbTracker", *args: Any, **kwargs: Any) -> None:
        if self._silent:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self._silent = True
            logger.warning("W&B failed at %s (%s): the run goes on without it", method.__name__, _line(error))

    return guarded


class WandbTracker:
    """One W&B run per run: its id is the id of the run, its group the experiment, its files lie in the run folder.

    A second start of the same id begins that W&B run anew, as the record does. `online` without a key or a server
    falls back to `offline`; `wandb sync` sends the folder later.

    Args:
        mode: `offline` needs no account and no network.
        entity: the user or team; None is the default of the account.
    """

    def __init__(self, *, mode: Literal["offline", "online"], project: str, entity: str | None) -> None:
        if mode not in ("offline", "online"):
            raise ValueError(f"tracker needs mode offline or online, got {mode!r}")
        self.mode = mode
        self.project = project
        self.entity = entity
        self._run: Any = None
        self._silent = False

    @_harmless
    def start(self, folder: Path, run_id: str, name: str, config: Mapping[str, Any], tags: Sequence[str] = ()) -> None:
        what = {"dir": str(folder), "id": run_id, "group": name, "config": dict(config), "tags": list(tags)}
        os.environ["WANDB_DATA_DIR"] = str(folder / "wandb")  # else tables are staged under the home directory
        if self.mode == "online":
            try:
                self._run = self._init("online", **what)
            except Exception as error:
                logger.warning("W&B cannot be reached (%s): the run goes on offline", _line(error))
        self._run = self._run or self._init("offline", **what)
        self._run.define_metric("train/step")
        self._run.define_metric("*", step_metric="train/step")

    def _init(self, mode: Literal["offline", "online"], **what: Any) -> Any:
        import wandb  # here, so that a broken installation costs the mirror and not the run

        wandb.setup(settings=wandb.Settings(silent=True))  # before login, which talks too
        if mode == "online" and not wandb.login(prompt=False):
            raise ConnectionError("no API key")
        settings = wandb.Settings(
            console="off",
            silent=True,
            init_timeout=15,
            finish_timeout=60,
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        place = {"mode": mode, "project": self.project, "entity": self.entity}
        return wandb.init(**place, **what, reinit="finish_previous", settings=settings)

    @_harmless
    def log(self, row: Mapping[str, Any], profiles: Arrays | None = None) -> None:
        """Mirror one logged step; of `profiles` the last step is taken."""
        import wandb

        entry = {"train/step" if key == "step" else key: value for key, value in row.items()}
        for key, bins in histograms(profiles or {}).items():
            entry[key] = wandb.Histogram(np_histogram=bins)
        self._run.log(entry)

    @_harmless
    def finish(self, done: Mapping[str, Any], table: Arrays | None = None, figure: Draw | None = None) -> None:
        import wandb

        self._run.summary.update(dict(done))
        if table:
            data = wandb.Table(columns=["step", "series", "t", "log10_g"], data=rows(table))
            self._run.log({"grad/profiles": data})
        if figure is not None:
            self._run.log({"figure": wandb.Image(str(figure()))})
        self._run.finish()
        self._run = None


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


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
    bins = min(MAX_BINS, MAX_ROWS // (2 * len(names)))
    values, edges = binned(medians(profiles), profiles["time"], bins)
    centres = (edges[:-1] + edges[1:]) / 2
    count = len(profiles["step"])
    keep = np.linspace(0, count - 1, min(count, MAX_ROWS // values[0].size)).round().astype(int)
    return [
        [int(profiles["step"][n]), name, float(t), float(value) if np.isfinite(value) else None]
        for n in keep
        for name, profile in zip(names, values[n], strict=True)
        for t, value in zip(centres, profile, strict=True)
    ]
