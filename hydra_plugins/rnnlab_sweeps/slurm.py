"""`hydra/launcher=slurm`: the jobs of a sweep as the tasks of one SLURM array. See CLUSTERS.md."""

import pickle
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.rnnlab_sweeps._job import ClusterError, died, extra, job

OF_ALL = ("timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node")  # submitit's names; the others are of SLURM alone
LATE = 5.0  # seconds that a shared file system may take to show the result of a job that is gone


class Slurm(Launcher):
    """Hydra launcher: submits a sweep, waits for all of its jobs, and gives those that were killed as failed.

    The jobs do not depend on this process: after Ctrl-C or a lost connection they go on.

    Args:
        max_num_timeout: how often a job whose time is up is put into the queue again.
        array_size: tasks of one array, at most; a longer sweep is several arrays.
        settings: of sbatch, under submitit's names; null is the default of the cluster.
    """

    def __init__(self, max_num_timeout: int, array_size: int, **settings: Any) -> None:
        self.max_num_timeout, self.array_size = max_num_timeout, array_size
        self.settings = {key: value for key, value in settings.items() if value is not None}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.submitit = extra("submitit", "slurm")
        if shutil.which("sbatch") is None:
            raise ClusterError("hydra/launcher=slurm needs sbatch: start the sweep on a login node of the cluster")
        self.job, self.config = job(hydra_context, task_function, config), config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        folder = Path(self.config.hydra.sweep.dir) / "slurm"
        settings = {key if key in OF_ALL else f"slurm_{key}": value for key, value in self.settings.items()}
        calls = [(list(overrides), initial_job_idx + n) for n, overrides in enumerate(job_overrides)]
        jobs: list[Any] = []
        try:
            executor = self.submitit.AutoExecutor(
                folder / "%j", cluster="slurm", slurm_max_num_timeout=self.max_num_timeout
            )
            executor.update_parameters(name=self.config.name, **settings)
            for first in range(0, len(calls), self.array_size):
                jobs += executor.map_array(self.job, *zip(*calls[first : first + self.array_size], strict=True))
        except (NameError, AssertionError, self.submitit.core.utils.FailedJobError) as error:
            raise ClusterError(f"hydra/launcher=slurm: {error}") from error
        numbers = " ".join(sorted({job.job_id.partition("_")[0] for job in jobs}, key=int))
        print(f"SLURM job {numbers} with {len(jobs)} tasks, logs in {folder}", flush=True)
        try:
            wait(jobs)
        except KeyboardInterrupt:
            print(f"SLURM job {numbers} goes on; to end it: scancel {numbers}", flush=True)
            raise
        return [result(job, overrides) for job, overrides in zip(jobs, job_overrides, strict=True)]


def wait(jobs: Sequence[Any]) -> None:
    """Return once each job has left its result or the queue.

    submitit asks the accounting instead, and waits for ever for a killed job where a cluster has none.
    """
    started = time.monotonic()
    while waiting := {job.job_id for job in jobs if not job.paths.result_pickle.exists()}:
        queue = queued()
        if queue is not None and not waiting & queue:
            break
        time.sleep(min(30.0, max(1.0, (time.monotonic() - started) / 10)))
    left = time.monotonic()
    while time.monotonic() < left + LATE and not all(job.paths.result_pickle.exists() for job in jobs):
        time.sleep(0.5)


def queued() -> set[str] | None:
    """The jobs of this user that wait or run; None if SLURM does not answer."""
    command = ["squeue", "--me", "--array", "--noheader", "--format=%i"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if answer.returncode else set(answer.stdout.split())


def result(job: Any, overrides: Sequence[str]) -> JobReturn:
    """What a job that has ended returned; if it was killed, an error with the last line of its log."""
    try:
        outcome, value = pickle.loads(job.paths.result_pickle.read_bytes())
    except FileNotFoundError:
        outcome, value = "killed", job.stderr() or "no log"
    if outcome == "success":
        return value
    return died(overrides, ClusterError(f"SLURM job {job.job_id}: {outcome}: {value.strip().splitlines()[-1]}"))
