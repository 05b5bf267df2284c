"""hydra/launcher=local, the default of -m: a sweep on this machine, one worker process per core.

A packed job is cut into its members again, so that every core has something to do until the last run. A worker lives
for many runs, because importing torch takes as long as a short one. The death of a worker (out of memory, a crash)
leaves the others alone: what it was at is begun once more, and written down as failed if that ends a process again.

Every Hydra application of an environment imports this file: nothing heavy at the top, no postponed annotations.
"""

import dataclasses
import importlib
import inspect
import math
import operator
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.errors import ConfigCompositionException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict


@dataclass
class LocalLauncherConf:
    """The setting of hydra.launcher.

    workers: processes at once; null is the cores that this process may use, over the `threads` of a run.
    """

    _target_: str = "hydra_plugins.rnnlab_sweeps.launcher.LocalLauncher"
    workers: int | None = None


@dataclass(frozen=True)
class Unit:
    """A job, or one member of a packed one: `pack` is then the job's, with this member alone."""

    job: int
    overrides: list[str]
    pack: dict[str, Any] | None = None


@dataclass(frozen=True)
class App:
    """What a worker has to know of the Hydra application."""

    context: HydraContext
    config: DictConfig
    task: tuple[str, str]  # module and name
    singletons: dict[Any, Any]

    def compose(self, unit: Unit) -> DictConfig:
        """The configuration of the job, without `pack`."""
        config = self.context.config_loader.load_sweep_config(self.config, list(unit.overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = unit.job
        return config

    def begin(self) -> Callable[[Unit], JobReturn]:
        """Make this process the application's; returns what runs a unit."""
        setup_globals()
        Singleton.set_state({**Singleton.get_state(), "instances": self.singletons})  # resolvers are closures
        module, name = self.task
        task = inspect.unwrap(operator.attrgetter(name)(importlib.import_module(module)))
        last: tuple[int, DictConfig] | None = None

        def run(unit: Unit) -> JobReturn:
            nonlocal last
            try:
                if last is None or last[0] != unit.job:
                    last = unit.job, self.compose(unit)
                config = last[1]
                if unit.pack is not None:
                    with open_dict(config):
                        config.pack = unit.pack
                job = run_job(
                    hydra_context=self.context,
                    task_function=task,
                    config=config,
                    job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                )
            except (Exception, SystemExit) as error:
                job = failed(unit.overrides, error)
            return sendable(job)

        return run


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
        from hydra_plugins.rnnlab_sweeps._pool import Pool

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        app = App(self.hydra_context, self.config, where(self.task_function), Singleton.get_state()["instances"])
        units = [unit for job, overrides in enumerate(job_overrides) for unit in cut(initial_job_idx + job, overrides)]
        parts: list[JobReturn] = [JobReturn() for _ in units]
        with Pool(app.begin, self.workers or cores() // (OmegaConf.select(self.config, "threads") or 1) or 1) as pool:
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


def where(task: TaskFunction) -> tuple[str, str]:
    """Module and name by which another process finds the function."""
    module = task.__module__
    if module == "__main__" and sys.modules["__main__"].__spec__:
        module = sys.modules["__main__"].__spec__.name
    return module, task.__qualname__


def cut(job: int, overrides: Sequence[str]) -> Iterator[Unit]:
    """The units of a job."""
    packed = [line for line in overrides if line.startswith("+pack=")]
    static = [line for line in overrides if line not in packed]
    if not packed:
        yield Unit(job, static)
        return
    pack = OverridesParser.create().parse_override(packed[0]).value()
    for values in pack["members"]:
        yield Unit(job, static, {**pack, "members": [values]})


def failed(overrides: Sequence[str], error: BaseException) -> JobReturn:
    return JobReturn(overrides=list(overrides), status=JobStatus.FAILED, _return_value=error)


def sendable(job: JobReturn) -> JobReturn:
    """The same without Hydra's own part, whose classes each process has anew; an error if that cannot be sent."""
    job.hydra_cfg = None
    try:
        pickle.loads(pickle.dumps(job._return_value))
    except Exception:
        line = f"{type(job._return_value).__name__}: {job._return_value}"
        job._return_value = RuntimeError(line if job.status is JobStatus.FAILED else f"cannot be sent: {line}")
        job.status = JobStatus.FAILED
    return job


def lost(app: App, unit: Unit, error: Exception) -> JobReturn:
    """A unit that ended its process each time: written down in the folder of its run."""
    from experiments.records import write_death
    from experiments.sweeps import members

    config = app.compose(unit)
    if OmegaConf.select(config, "paths.outputs") is not None:  # one of ours
        with open_dict(config):
            del config["hydra"]
            if unit.pack is not None:
                config.pack = unit.pack
        for run in members(config, unit.overrides):
            write_death(Path(config.paths.outputs) / config.name / run.id, error, run.overrides)
    return failed(unit.overrides, error)


def merged(parts: list[JobReturn], overrides: list[str]) -> JobReturn:
    """One return for the units of a job: their lists as one list, or the first failure."""
    for part in parts:
        if part.status is not JobStatus.COMPLETED:
            return dataclasses.replace(part, overrides=overrides)
    if len(parts) == 1:
        return parts[0]
    return dataclasses.replace(
        parts[0], overrides=overrides, _return_value=[result for part in parts for result in part._return_value]
    )


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConf, provider="rnnlab")
