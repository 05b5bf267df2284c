"""`hydra/launcher=ray`: the jobs of a sweep as tasks of a Ray cluster. See CLUSTERS.md."""

import re
import socket
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.rnnlab_sweeps._job import ClusterError, Job, died, extra, job


class Ray(Launcher):
    """Hydra launcher: hands out a sweep, waits for all of its jobs, and gives those that were killed as failed.

    The jobs depend on this process: they end with it.

    Args:
        address: of the cluster to join; null: RAY_ADDRESS, or a cluster on this machine, or else a new one.
        remote: what one job needs and how often it is tried again when its process dies: arguments of ray.remote.
    """

    def __init__(self, address: str | None, remote: DictConfig) -> None:
        self.address, self.remote = address, dict(remote)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.ray = extra("ray", "ray")
        self.job = job(hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        self.join()
        try:
            shared = self.ray.put(self.job)
            call = self.ray.remote(**self.remote)(run)
            tasks = [call.remote(shared, list(one), initial_job_idx + n) for n, one in enumerate(job_overrides)]
            return [self.result(task, overrides) for task, overrides in zip(tasks, job_overrides, strict=True)]
        finally:
            self.ray.shutdown()

    def join(self) -> None:
        try:
            if re.fullmatch(r"[\w.-]+:\d+", self.address or ""):  # an address where nobody listens costs Ray minutes
                host, port = self.address.split(":")
                socket.create_connection((host, int(port)), timeout=10).close()
            self.ray.init(address=self.address, logging_level="warning")
        except (OSError, ValueError, RuntimeError, self.ray.exceptions.RayError) as error:
            raise ClusterError(f"hydra/launcher=ray: cannot join {self.address}: {error}") from error

    def result(self, task: Any, overrides: Sequence[str]) -> JobReturn:
        try:
            return self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            return died(overrides, ClusterError(f"Ray: {type(error).__name__}: {str(error).strip().splitlines()[0]}"))


def run(job: Job, overrides: list[str], number: int) -> JobReturn:
    return job(overrides, number)
