"""A Hydra application in a worker process: the units that its jobs are cut into, and what runs one."""

import importlib
import inspect
import operator
import pickle
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, env_override, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hydra_plugins.rnnlab_sweeps._job import died


@dataclass(frozen=True)
class Unit:
    """A job, or one member of a packed one: `pack` is that of the job, with this member alone."""

    job: int
    overrides: list[str]
    pack: dict[str, Any] | None = None


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


@dataclass(frozen=True)
class App:
    """What a worker has to know; called there, it makes the process one of the application's."""

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

    def __call__(self) -> "Runner":
        setup_globals()
        Singleton.set_state({**Singleton.get_state(), "instances": self.singletons})  # resolvers are closures
        module, name = self.task
        return Runner(self, inspect.unwrap(operator.attrgetter(name)(importlib.import_module(module))))


class Runner:
    """Runs units. Members of one job share the composed configuration and Hydra's preparations, .1 s together."""

    def __init__(self, app: App, task: TaskFunction) -> None:
        self.app, self.task = app, task
        self.job: int | None = None
        self.config = self.hydra = DictConfig({})

    def __call__(self, unit: Unit) -> JobReturn:
        try:
            if unit.job == self.job:
                HydraConfig.instance().cfg = self.hydra
                return sendable(JobReturn(status=JobStatus.COMPLETED, _return_value=self._run(unit)))
            job = run_job(
                hydra_context=self.app.context,
                task_function=partial(self._begin, unit),
                config=self.app.compose(unit),
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
        except (Exception, SystemExit) as error:
            job = died(unit.overrides, error)
        return sendable(job)

    def _begin(self, unit: Unit, config: DictConfig) -> Any:
        self.job, self.config, self.hydra = unit.job, config, HydraConfig.instance().cfg
        return self._run(unit)

    def _run(self, unit: Unit) -> Any:
        if unit.pack is not None:
            with open_dict(self.config):
                self.config.pack = unit.pack
        with env_override(self.hydra.hydra.job.env_set):
            return self.task(self.config)


def where(task: TaskFunction) -> tuple[str, str]:
    """Module and name by which another process finds the function."""
    module = task.__module__
    if module == "__main__" and sys.modules["__main__"].__spec__:
        module = sys.modules["__main__"].__spec__.name
    return module, task.__qualname__


def sendable(job: JobReturn) -> JobReturn:
    """The same without Hydra's own part, whose classes each process has anew; a failure if that cannot be sent."""
    job.hydra_cfg = None
    try:
        pickle.loads(pickle.dumps(job))
    except Exception as error:
        value = job._return_value if job.status is JobStatus.FAILED else error
        return JobReturn(
            job.overrides, status=JobStatus.FAILED, _return_value=RuntimeError(f"{type(value).__name__}: {value}")
        )
    return job
