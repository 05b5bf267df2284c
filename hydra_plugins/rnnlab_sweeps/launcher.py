"""hydra/launcher=local, the default of -m: a sweep on this machine, one worker process per core.

A packed job is cut into its members again, so that every core has something to do until the last run. A worker lives
for many runs, because importing torch takes as long as a short one. The death of a worker (out of memory, a crash)
leaves the others alone: what it was at is begun once more, and written down as failed if that ends a process again.

Every Hydra application of an environment imports this file: nothing heavy at the top, no postponed annotations.
"""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.errors import ConfigCompositionException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

PRELOAD = {"experiments.train": ("experiments.run", "torch._dynamo")}  # what a run would spend its first seconds on


@dataclass
class LocalLauncherConf:
    """The setting of hydra.launcher.

    workers: processes at once; null is the cores that this process may use, over the `threads` of a run.
    """

    _target_: str = "hydra_plugins.rnnlab_sweeps.launcher.LocalLauncher"
    workers: int | None = None


class LocalLauncher(Launcher):
    """Runs jobs in worker processes; returns what they return, in the order of the jobs."""

    def __init__(self, workers: int | None) -> None:
        if workers is not None and workers < 1:
            raise ConfigCompositionException(
                f"hydra.launcher.workers: needs a number of processes >= 1, or null, got {workers}"
            )
        self.workers = workers

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from hydra_plugins.rnnlab_sweeps._app import App, cut, where
        from hydra_plugins.rnnlab_sweeps._pool import Pool

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        app = App(self.hydra_context, self.config, where(self.task_function), Singleton.get_state()["instances"])
        units = [unit for job, overrides in enumerate(job_overrides) for unit in cut(initial_job_idx + job, overrides)]
        parts: list[JobReturn] = [JobReturn() for _ in units]
        size = self.workers or cores() // (OmegaConf.select(self.config, "threads") or 1) or 1
        with Pool(app, size, PRELOAD.get(app.task[0], ())) as pool:
            for place, answer in pool.run(units):
                parts[place] = answer if isinstance(answer, JobReturn) else lost(app, units[place], answer)
        of_job: list[list[JobReturn]] = [[] for _ in job_overrides]
        for unit, part in zip(units, parts, strict=True):
            of_job[unit.job - initial_job_idx].append(part)
        return [merged(parts, list(overrides)) for parts, overrides in zip(of_job, job_overrides, strict=True)]


def cores() -> int:
    """Those that this process may use: its affinity, and its share if it is in a container."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, math.ceil(int(quota) / int(period)))
    return count


def lost(app: Any, unit: Any, error: Exception) -> JobReturn:
    """A unit that ended its process each time: written down in the folder of its run."""
    from experiments.records import mark_failed
    from experiments.sweeps import members, stop_mark
    from hydra_plugins.rnnlab_sweeps._job import died

    config = app.compose(unit)
    if OmegaConf.select(config, "paths.outputs") is not None:  # one of ours
        with open_dict(config):
            del config["hydra"]
            if unit.pack is not None:
                config.pack = unit.pack
        folder = Path(config.paths.outputs) / config.name
        for run in members(config, unit.overrides):
            mark_failed(folder / run.id, error, run.overrides)
        if unit.pack is not None and unit.pack["fail_fast"]:
            stop_mark(folder, unit.pack["sweep"]).touch()
    return died(unit.overrides, error)


def merged(parts: list[JobReturn], overrides: list[str]) -> JobReturn:
    """One return for the units of a job: their lists as one list, or the first failure."""
    for part in parts:
        if part.status is not JobStatus.COMPLETED:
            return replace(part, overrides=overrides)
    if len(parts) == 1:
        return parts[0]
    return replace(
        parts[0], overrides=overrides, _return_value=[result for part in parts for result in part._return_value]
    )


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConf, provider="rnnlab")
