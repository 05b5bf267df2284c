"""One job of a sweep as a cluster calls it, and what both clusters share. (The name keeps it out of Hydra's scan.)"""

import importlib
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


class ClusterError(CompactHydraException, RuntimeError):
    """What the cluster did not do; Hydra prints the message without a traceback."""


@dataclass(frozen=True)
class Job:
    """A callable that travels to another process, composes the configuration of one job there and runs it.

    Attributes:
        folder: where the sweep was started: paths of the configuration are relative to it.
        singletons: the state of Hydra, which the other process has not.
    """

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig
    folder: str
    singletons: dict[Any, Any]

    def __call__(self, overrides: Sequence[str], number: int) -> JobReturn:
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise ClusterError(f"{socket.gethostname()} has no folder {self.folder}: is it shared?") from error
        Singleton.set_state(self.singletons)
        setup_globals()
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config.hydra.job):
            config.hydra.job.id, config.hydra.job.num = str(number), number
        return run_job(
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=self.hydra_context,
        )

    def checkpoint(self, *arguments: Any) -> Any:
        """What SLURM is to start again when the time of this job is up: the same, as the run folders say what is left.

        Called by submitit before it puts the job into the queue again and leaves; SLURM then ends it once more.
        """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return extra("submitit.helpers", "slurm").DelayedSubmission(self, *arguments)


def job(hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> Job:
    return Job(hydra_context, task_function, config, os.getcwd(), Singleton.get_state())


def died(overrides: Sequence[str], error: BaseException) -> JobReturn:
    """A job of which no result came back: it fell over, its process was killed, or the node is gone."""
    lost = JobReturn(overrides=list(overrides), status=JobStatus.FAILED)
    lost.return_value = error
    return lost


def extra(module: str, name: str) -> ModuleType:
    """The module of an optional dependency; one line that says how to install it if it is not there."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        line = f"hydra/launcher={name} needs {module}: pip install -c constraints.txt -e '.[{name}]'"
        raise ClusterError(line) from error
