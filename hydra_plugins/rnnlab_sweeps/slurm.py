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
LATE = 5.0  # seconds that a shared file system may take to show the result of a job that has left the queue


class Slurm(Launcher):
    """Hydra launcher: submits a sweep, waits for all of its jobs, and gives those that were killed as failed.

    The jobs do not depend on this process: after Ctrl-C or a lost connection they go on.

    Args:
        max_num_timeout: how often a job whose time is up is put into the queue again.
        settings: of sbatch, under submitit's names; null is the default of the cluster.
    """

    def __init__(self, max_num_timeout: int, **settings: Any) -> None:
        self.max_num_timeout = max_num_timeout
        self.settings = {key: value for key, value in settings.items() if value is not None}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.submitit = extra("submitit", "slurm")
        if shutil.which("sbatch") is None:
            raise ClusterError("hydra/launcher=slurm needs sbatch: start the sweep on a login node of the cluster")
        self.job, self.config = job(hydra_context, task_function, config), config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        folder = Path(self.config.hydra.sweep.dir) / "slurm"
        executor = self.submitit.AutoExecutor(
            folder / "%j", cluster="slurm", slurm_max_num_timeout=self.max_num_timeout
        )
        settings = {key if key in OF_ALL else f"slurm_{key}": value for key, value in self.settings.items()}
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        try:
            executor.update_parameters(name=self.config.name, **settings)
            jobs = executor.map_array(self.job, [list(overrides) for overrides in job_overrides], numbers)
        except (NameError, AssertionError, self.submitit.core.utils.FailedJobError) as error:
            raise ClusterError(f"hydra/launcher=slurm: {error}") from error
        number = jobs[0].job_id.partition("_")[0]
        print(f"SLURM job {number} with {len(jobs)} tasks, logs in {folder}/{number}*", flush=True)
        try:
            return [result(one, overrides) for one, overrides in zip(jobs, job_overrides, strict=True)]
        except KeyboardInterrupt:
            print(f"SLURM job {number} goes on; to end it: scancel {number}", flush=True)
            raise


def result(job: Any, overrides: Sequence[str]) -> JobReturn:
    """What one job returned, once it has ended in whatever way: it has left its result, or the queue.

    Unlike submitit, which asks the accounting and waits for ever on a cluster without it, this asks the queue.
    """
    path, started = job.paths.result_pickle, time.monotonic()
    while not path.exists() and queued(job.job_id):
        time.sleep(min(30.0, max(1.0, (time.monotonic() - started) / 10)))
    left = time.monotonic()
    while not path.exists() and time.monotonic() < left + LATE:
        time.sleep(0.5)
    try:
        outcome, value = pickle.loads(path.read_bytes())
    except FileNotFoundError:
        outcome, value = "killed", job.stderr() or "no log"
    if outcome == "success":
        return value
    return died(overrides, ClusterError(f"SLURM job {job.job_id}: {outcome}: {value.strip().splitlines()[-1]}"))


def queued(job_id: str) -> bool:
    """Whether SLURM has the job waiting or running; also if it does not answer, as then nothing is known."""
    command = ["squeue", "--me", "--array", "--noheader", "--format=%i"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.returncode != 0 or job_id in answer.stdout.split()
