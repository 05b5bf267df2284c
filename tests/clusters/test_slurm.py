"""Sweeps on a real SLURM of one node: a job killed, a submitting process interrupted, time up, preemption."""

import importlib.util
import json
import os
import pickle
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.clusters import slurm_node, sweeps
from tests.clusters.sweeps import TWO_PACKS, TWO_RUNS

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("clusters")]


@pytest.fixture(scope="module")
def slurm():
    why = slurm_node.missing()
    if importlib.util.find_spec("submitit") is None:
        why = "submitit not found: pip install -e '.[slurm]'"
    if why:
        pytest.skip(f"CLUSTERS NOT TESTED: SLURM: {why}")
    with slurm_node.slurm_node() as environment:
        yield environment


def ask(slurm: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout


def at_once(slurm: dict[str, str], number: str) -> bool:
    """Let a job that was put into the queue again start, for which SLURM would wait two minutes."""
    command = ["scontrol", "update", f"JobId={number}", "StartTime=now"]
    subprocess.run(command, env=slurm, capture_output=True, check=False)  # an error if it runs already
    return True


def state(slurm: dict[str, str], job: str) -> str:
    return ask(slurm, "squeue", "--noheader", f"--jobs={job}", "--format=%T").strip()


def task_of(pid: int) -> str:
    """Which task of its array the process works on."""
    return re.search(r"\0SLURM_ARRAY_TASK_ID=(\d+)\0", Path(f"/proc/{pid}/environ").read_text())[1]


def first_line(run: Path) -> str:
    return (run / "scalars.jsonl").read_text().partition("\n")[0]


def error(run: Path) -> str:
    return json.loads((run / "failed.json").read_text())["error"]


def job_of(output: str) -> tuple[str, int]:
    """The numbers of the arrays of a sweep and how many tasks they have."""
    numbers, tasks = re.search(r"^SLURM job ([\d ]+) with (\d+) tasks, ", output, re.MULTILINE).groups()
    return numbers, int(tasks)


def trained(folder: Path) -> Counter:
    """How often each run was trained to its end, over all jobs of all sweeps that have returned."""
    results = [pickle.loads(path.read_bytes())[1].return_value for path in folder.glob("slurm/*/*_result.pkl")]
    members = [member for result in results for member in (result if isinstance(result, list) else [result])]
    return Counter(m["run"] for m in members if not m["skipped"] and m["outcome"] in ("solved", "stuck", "diverged"))


def test_after_a_kill_the_same_command_trains_what_is_missing_alone(slurm, start, here, tmp_path):
    folder = tmp_path / "single"
    first = start(tmp_path, "slurm", *TWO_PACKS, env=slurm)
    run = sweeps.kill_at_second_member(folder)
    code, output = sweeps.wait(first)
    assert code == 1
    number, jobs = job_of(output)
    assert jobs == 2
    assert re.search(rf"^error: ClusterError: SLURM job {number}_\d: killed: ", output, re.MULTILINE), output
    assert re.search(rf"^killed .*{run}", output, re.MULTILINE), output
    before, planned = sweeps.marks(folder), sweeps.planned(folder)
    missing = planned - set(before)
    assert len(planned) == 6
    assert run in missing
    assert len(missing) == 2  # with the last member of its job
    settings = [f"hydra.launcher.setup=['touch {tmp_path}/set-up']", "+hydra.launcher.additional_parameters.nice=7"]
    code, output = sweeps.wait(start(tmp_path, "slurm", *TWO_PACKS, *settings, env=slurm))
    assert code == 0, output
    number, jobs = job_of(output)
    assert jobs == 1
    assert (tmp_path / "set-up").exists()
    assert "Nice=7" in ask(slurm, "scontrol", "show", "job", number)
    after = sweeps.marks(folder)
    assert {name: after[name] for name in before} == before
    assert trained(folder)[run] == 1
    assert sweeps.numbers(folder) == here


def test_jobs_outlive_their_sweep_and_a_second_one_leaves_them_alone(slurm, start, here, tmp_path):
    folder = tmp_path / "single"
    first = start(tmp_path, "slurm", *TWO_RUNS, env=slurm)
    both = sweeps.hold(folder, 2)
    first.send_signal(signal.SIGINT)
    code, output = sweeps.wait(first)
    assert code == 130
    number, _ = job_of(output)
    assert f"SLURM job {number} goes on; to end it: scancel {number}" in output
    code, output = sweeps.wait(start(tmp_path, "slurm", *TWO_RUNS, "hydra.launcher.array_size=1", env=slurm))
    assert code == 0
    assert "2 running elsewhere" in output
    numbers, jobs = job_of(output)
    assert len(numbers.split()) == jobs == 2
    assert sweeps.training(folder) == both
    for pid in both.values():
        os.kill(pid, signal.SIGCONT)
    sweeps.until(lambda: not ask(slurm, "squeue", "--noheader"), "the queue is empty")
    assert trained(folder) == dict.fromkeys(sweeps.planned(folder), 1)
    assert sweeps.numbers(folder) == {run: here[run] for run in sweeps.planned(folder)}


def test_a_job_whose_time_is_up_and_one_that_is_preempted_go_on_in_the_queue(slurm, start, here, tmp_path):
    folder = tmp_path / "single"
    sweep = start(tmp_path, "slurm", *TWO_RUNS, "checkpoint_seconds=0", env=slurm)
    both = sweeps.hold(folder, 2)
    begun = {run: first_line(folder / run) for run in both}
    number = ask(slurm, "squeue", "--noheader", "--format=%F").split()[0]
    ask(slurm, "scancel", "--signal=USR2", f"{number}_0")  # as SLURM does some time before the time is up
    os.kill(next(pid for pid in both.values() if task_of(pid) == "0"), signal.SIGCONT)
    sweeps.until(lambda: state(slurm, f"{number}_0") != "RUNNING", "the job has left")
    ask(slurm, "sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")
    sweeps.until(lambda: not sweeps.training(folder), "both have stopped and freed their folders")
    assert sweeps.marks(folder) == {}
    assert [error(folder / run) for run in both] == ["interrupted"] * 2
    sweeps.until(lambda: at_once(slurm, number) and sweeps.training(folder), "one trains again")
    code, output = sweeps.wait(sweep)
    assert code == 0, output
    logs = {path.name: path.read_text() for path in folder.glob("slurm/*/*_log.*")}
    assert f"Requeued job {number}_0" in logs[f"{number}_0_0_log.out"]
    assert "DUE TO PREEMPTION" in logs[f"{number}_1_0_log.err"]
    assert {run: first_line(folder / run) for run in both} == begun  # with the time it took: they went on
    assert trained(folder) == dict.fromkeys(sweeps.planned(folder), 1)
    assert sweeps.numbers(folder) == {run: here[run] for run in sweeps.planned(folder)}


def test_a_refused_sweep_is_one_line(slurm, start, tmp_path):
    code, output = sweeps.wait(start(tmp_path, "slurm", *TWO_RUNS, "hydra.launcher.partition=none", env=slurm))
    assert code == 1
    assert "error: ClusterError: hydra/launcher=slurm: sbatch: error: invalid partition specified: none" in output
    assert "Traceback" not in output
