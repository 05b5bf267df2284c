"""W&B, a mirror of the record of a run. It can cost no run: at the first error it says so once and stops.

    scalars and digests     each logged step, over train/step
    grad/profile/SERIES     on probed steps, a histogram over t whose heights are log10 norm - FLOOR: W&B stacks the
                            histograms of a run to a heat map of step against t
    loss/profile            the same for the loss of each step of the sequence, if there are several
    grad/profiles           once, at the end: a table (step, series, t, log10_g) for charts of one's own
    figure                  once, at the end of a run that is worth it
    summary                 what `done.json` says; of a run that failed the error, and W&B calls it failed

Names and values are made in `experiments.schema`. `tracker=offline` and `online` run this in a process of its own, see
`experiments.mirror`.
"""

import contextlib
import functools
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable

from experiments.files import replace_json
from experiments.records import numbers
from experiments.schema import STEP, Arrays, entry, histograms, rows, summary, title

logger = logging.getLogger(__name__)

PATIENCE = 14.0  # seconds to find out whether there is a server, log-in included
MARK = "wandb.json"  # in a run folder: where W&B has all of it

Mode = Literal["offline", "online"]
Draw = Callable[[], Path]  # called only if there is someone to show the picture to


@runtime_checkable
class Tracker(Protocol):
    """What a run tells a tracker. `profiles` and `table` have the layout of `profiles.npz`."""

    def start(
        self, folder: Path, run_id: str, name: str, config: Mapping[str, Any], tags: Sequence[str] = ()
    ) -> None: ...

    def log(self, row: Mapping[str, Any], profiles: Arrays | None = None) -> None: ...

    def finish(self, done: Mapping[str, Any], table: Arrays | None = None, figure: Draw | None = None) -> None: ...

    def fail(self, error: str) -> None: ...


class NoTracker:
    """The record is enough."""

    def start(
        self, folder: Path, run_id: str, name: str, config: Mapping[str, Any], tags: Sequence[str] = ()
    ) -> None: ...

    def log(self, row: Mapping[str, Any], profiles: Arrays | None = None) -> None: ...

    def finish(self, done: Mapping[str, Any], table: Arrays | None = None, figure: Draw | None = None) -> None: ...

    def fail(self, error: str) -> None: ...


class Timed:
    """A tracker and the seconds that its run has waited for it; as a context, an exception that leaves it is told."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.seconds = 0.0

    def start(self, *args: Any, **kwargs: Any) -> None:
        self._timed(self.tracker.start, *args, **kwargs)

    def log(self, *args: Any, **kwargs: Any) -> None:
        self._timed(self.tracker.log, *args, **kwargs)

    def finish(self, *args: Any, **kwargs: Any) -> None:
        self._timed(self.tracker.finish, *args, **kwargs)

    def fail(self, error: str) -> None:
        self._timed(self.tracker.fail, error)

    def _timed(self, method: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        started = time.perf_counter()
        try:
            method(*args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.fail("interrupted" if isinstance(error, KeyboardInterrupt) else line(error))


def _harmless(method: Callable[..., None]) -> Callable[..., None]:
    """Turn an error of the method into one warning, and the tracker silent until the next run."""

    @functools.wraps(method)
    def guarded(self: "WandbTracker", *args: Any, **kwargs: Any) -> None:
        if self._silent:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:
            self._silent = True
            self._close()
            logger.warning("W&B failed at %s (%s): the run goes on without it", method.__name__.strip("_"), line(error))

    return guarded


class WandbTracker:
    """One W&B run per run: its id is the id of the run, its group the experiment, its files lie in the run folder.

    A second start of the same id begins that W&B run anew, as the record does. One tracker may serve many runs, one
    after another. `online` without a key or a server becomes `offline`, for this run and those after it;
    `experiments.replay --online` sends them later.

    Args:
        mode: `offline` needs no account and no network.
        entity: the user or team; None is the default of the account.
    """

    def __init__(self, *, mode: Mode, project: str, entity: str | None) -> None:
        if mode not in ("offline", "online"):
            raise ValueError(f"tracker needs mode offline or online, got {mode!r}")
        self.mode = mode
        self.project = project
        self.entity = entity
        self._folder = Path()
        self._run: Any = None
        self._silent = False
        self._known = False  # there is a server and it knows us

    def start(self, folder: Path, run_id: str, name: str, config: Mapping[str, Any], tags: Sequence[str] = ()) -> None:
        self._close()  # left open by a run that told nothing of its end
        self._folder, self._silent = folder, False
        self._start(id=run_id, group=name, config=numbers(config), tags=list(tags))

    @_harmless
    def _start(self, **what: Any) -> None:
        (self._folder / MARK).unlink(missing_ok=True)
        os.environ["WANDB_DATA_DIR"] = str(self._folder / "wandb")  # else tables are staged under the home directory
        what |= {"dir": str(self._folder), "name": title(what["config"]) or None}
        if self.mode == "online":
            started = time.monotonic()
            try:
                self._login()
                left = max(2.0, PATIENCE - (time.monotonic() - started))
                self._run = self._init(init_timeout=left, **what)
            except Exception as error:
                self.mode = "offline"
                logger.warning("W&B cannot be reached (%s): it goes on offline", line(error))
        self._run = self._run or self._init(**what)
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP)

    def _login(self) -> None:
        """Asks the server once, for 10 s at most unless the user's WANDB_HTTP_TIMEOUT says otherwise."""
        import wandb  # here, so that a broken installation costs the mirror and not the run

        if self._known:
            return
        wandb.setup(settings=wandb.Settings(silent=True))  # before login, which talks too
        if not wandb.login(prompt=False):
            raise ConnectionError("no API key")
        self._known = True

    def _init(self, *, init_timeout: float = PATIENCE, **what: Any) -> Any:
        import wandb

        wandb.setup(settings=wandb.Settings(silent=True))
        settings = wandb.Settings(
            console="off",
            silent=True,
            init_timeout=init_timeout,
            finish_timeout=60,
            finish_timeout_raises=True,
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        place = {"mode": self.mode, "project": self.project, "entity": self.entity}
        return wandb.init(**place, **what, reinit="finish_previous", settings=settings)

    @_harmless
    def log(self, row: Mapping[str, Any], profiles: Arrays | None = None) -> None:
        """Mirror one logged step; of `profiles` the last step is taken."""
        import wandb

        shown = {key: wandb.Histogram(np_histogram=bins) for key, bins in histograms(profiles or {}).items()}
        self._run.log(entry(row) | shown)

    @_harmless
    def finish(self, done: Mapping[str, Any], table: Arrays | None = None, figure: Draw | None = None) -> None:
        self._run.summary.update(summary(done))
        if table:
            self._run.log({"grad/profiles": _table(rows(table))})
        if figure is not None:
            self._picture(figure)
        run, self._run = self._run, None
        where = {"mode": self.mode, "entity": run.entity, "project": run.project, "run": run.id, "url": run.url}
        try:
            run.finish()
        except TimeoutError:
            self.mode = "offline"  # the next are not to wait as long
            raise
        mark(self._folder, where)

    def _picture(self, figure: Draw) -> None:
        import wandb

        try:
            path = figure()
        except Exception as error:
            logger.warning("%s: no picture for W&B (%s)", self._folder, line(error))
        else:
            self._run.log({"figure": wandb.Image(str(path))})

    @_harmless
    def fail(self, error: str) -> None:
        self._run.summary.update({"outcome": "failed", "error": error})
        self._close()

    def _close(self) -> None:
        """End a run that is not to count as finished."""
        run, self._run = self._run, None
        if run is not None:
            with contextlib.suppress(Exception):
                run.finish(exit_code=1)


def _table(data: list[list[Any]]) -> Any:
    import wandb

    kinds = {row[-1] is None: row for row in data}  # a row of each kind tells the types: W&B would look at every one
    table = wandb.Table(columns=["step", "series", "t", "log10_g"], data=list(kinds.values()))
    table.data = data
    return table


def mark(folder: Path, where: Mapping[str, Any]) -> None:
    """Write down that W&B has all of this run, and where."""
    replace_json(folder / MARK, {**where, "time": time.time()})


def marked(folder: Path) -> Mode | None:
    """Where W&B has all of this run: on this disk, on its server, or nowhere."""
    try:
        return json.loads((folder / MARK).read_text())["mode"]
    except (OSError, ValueError, KeyError):
        return None


def line(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
