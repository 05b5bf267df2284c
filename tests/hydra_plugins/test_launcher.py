"""Sweeps on this machine: workers that are killed, interrupted, orphaned; answers in the order of the jobs."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.rnnlab_sweeps import _app, _job, launcher
from hydra_plugins.rnnlab_sweeps._app import Unit

ROOT = Path(__file__).parents[2]

PROBES = """
import os, signal, time
from pathlib import Path
from rnnlab.probes import Reading

def once(mark, seed, at):
    def probe(moment):
        if seed == at and not Path(mark).exists():
            Path(mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Reading()
    return probe

def always(mark, seed, at):
    def probe(moment):
        if seed == at and not Path(mark).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return Reading()
    return probe
"""


def wait_for(what, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture
def start(tmp_path):
    """Starts a program in a process group of its own; in the end nothing of it is left, whatever the test found."""
    groups: list[int] = []

    def begin(*command: object) -> subprocess.Popen:
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background job inherits deafness
        process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            preexec_fn=heard,
        )
        groups.append(process.pid)
        return process

    yield begin
    for group in groups:
        for pid in offspring(group):
            os.kill(pid, signal.SIGKILL)


def offspring(group: int) -> list[int]:
    """What is alive of a process group, without its zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            fields = path.read_text().rpartition(")")[2].split()
            if fields[0] not in "ZX" and int(fields[2]) == group:
                found.append(int(path.parent.name))
    return found


def sweep(out: Path, *overrides: str) -> list[str]:
    tiny = ["task.length=12", "network.hidden=4", "batch=3", "held_out=8", "evaluate_every=5", "tracker=none"]
    return ["-m", "experiments.train", "-m", f"paths.outputs={out}", *tiny, *overrides]


def records(out: Path, name: str) -> dict[int, dict]:
    """What the files of this name say, by the seed of the run."""
    seeds = {p.parent: json.loads(p.read_text())["config"]["seed"] for p in out.rglob("config.json")}
    return {seeds[p.parent]: json.loads(p.read_text()) for p in out.rglob(name)}


def rows(out: Path) -> dict[int, list[dict]]:
    seeds = {p.parent: json.loads(p.read_text())["config"]["seed"] for p in out.rglob("config.json")}
    lines = {seeds[p.parent]: p.read_text().splitlines() for p in out.rglob("scalars.jsonl")}
    return {seed: [{**json.loads(line), "seconds": 0} for line in text] for seed, text in lines.items()}


def test_a_run_that_kills_its_process_is_begun_once_more_and_the_others_are_done(tmp_path, start):
    (tmp_path / "killers.py").write_text(PROBES)
    axes = ["steps=12", "seed=range(5)", "+probes.once.seed=${seed}", "+probes.always.seed=${seed}"]
    for name, at in (("once", 1), ("always", 3)):
        mark = f"+probes.{name}.mark={tmp_path / name}"
        axes += [f"+probes.{name}._target_=killers.{name}", f"+probes.{name}.at={at}", mark]
    first = start(*sweep(tmp_path / "local", *axes, "hydra.launcher.workers=2"))
    _, err = first.communicate(timeout=120)
    assert first.returncode == 1
    assert set(records(tmp_path / "local", "done.json")) == {0, 1, 2, 4}
    (failed,) = records(tmp_path / "local", "failed.json").values()
    assert failed["error"] == "Died: its process was killed by signal 9 (SIGKILL): out of memory?"
    assert "seed=3" in failed["overrides"]
    assert "killed by signal 9 (SIGKILL)" in err
    (tmp_path / "always").touch()  # cured
    second = start(*sweep(tmp_path / "local", *axes, "hydra.launcher.workers=2"))
    second.communicate(timeout=120)
    assert second.returncode == 0
    assert set(records(tmp_path / "local", "done.json")) == {0, 1, 2, 3, 4}
    basic = start(*sweep(tmp_path / "basic", *axes, "hydra/launcher=basic"))
    _, err = basic.communicate(timeout=120)
    assert basic.returncode == 0, err
    assert rows(tmp_path / "local") == rows(tmp_path / "basic")


POOL = """
import os, sys, time
from pathlib import Path
from hydra_plugins.rnnlab_sweeps._app import Unit
from hydra_plugins.rnnlab_sweeps._pool import Pool

here = Path(sys.argv[1])

def make():
    return answer

def answer(unit):
    (here / f"{unit.job}.pid").write_text(str(os.getpid()))
    try:
        time.sleep(float(unit.overrides[0]))
    except KeyboardInterrupt:
        (here / f"{unit.job}.interrupted").touch()
        time.sleep(0.5)  # to write it down takes its time, in which another signal must not break in
        (here / f"{unit.job}.freed").touch()
        raise
    print("out of", unit.job)
    print("a line", end="", file=sys.stderr)
    return unit.job * 10

if __name__ == "__main__":
    with Pool(make, 2) as pool:
        print(sorted(pool.run([Unit(job, [seconds]) for job, seconds in enumerate(sys.argv[2:])])))
"""


@pytest.fixture
def pool(tmp_path, start):
    """Starts a pool of two workers, a unit for each number of seconds."""
    (tmp_path / "pool.py").write_text(POOL)
    return lambda *seconds: start(tmp_path / "pool.py", tmp_path, *seconds)


def at_work(folder: Path, *jobs: int) -> list[int]:
    """The workers of these units, once they have begun."""
    files = [folder / f"{job}.pid" for job in jobs]
    wait_for(lambda: all(file.exists() and file.read_text() for file in files))
    return [int(file.read_text()) for file in files]


@pytest.mark.parametrize("whom", ["group", "parent", "workers and parent"])
def test_ctrl_c_lets_the_running_units_write_it_down_once_and_leaves_no_process(whom, tmp_path, pool):
    process = pool(60, 60, 60)
    workers = at_work(tmp_path, 0, 1)
    if whom == "workers and parent":  # which tells the workers once more
        for worker in workers:
            os.kill(worker, signal.SIGTERM)
        wait_for(lambda: len(list(tmp_path.glob("*.interrupted"))) == 2)
    (os.killpg if whom == "group" else os.kill)(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=9)
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert err.count("Traceback") == 1  # the parent's own
    wait_for(lambda: not offspring(process.pid), 9)
    marks = {path.name for path in tmp_path.iterdir() if path.suffix != ".py"}
    assert marks == {f"{job}.{what}" for job in (0, 1) for what in ("pid", "interrupted", "freed")}


def test_workers_end_with_a_parent_that_is_killed(tmp_path, pool):
    process = pool(60, 60)
    at_work(tmp_path, 0, 1)
    process.kill()
    process.communicate(timeout=9)
    wait_for(lambda: not offspring(process.pid), 9)
    assert (tmp_path / "0.freed").exists()
    assert (tmp_path / "1.freed").exists()


def test_a_killed_worker_is_replaced_and_no_line_is_lost(tmp_path, pool):
    process = pool(1, 0.1, 0.1, 0.1)
    (worker,) = at_work(tmp_path, 0)
    os.kill(worker, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    *lines, answers = out.splitlines()
    assert sorted(lines) == [f"out of {job}" for job in range(4)]
    assert err.count("a line") == 4
    assert answers == "[(0, 0), (1, 10), (2, 20), (3, 30)]"


def test_workers_that_cannot_begin_end_the_sweep_with_the_reason(tmp_path, start):
    (tmp_path / "stillborn.py").write_text(POOL.replace("return answer\n", "os._exit(7)\n"))
    process = start(tmp_path / "stillborn.py", tmp_path, 0, 0, 0)
    _, err = process.communicate(timeout=60)
    assert err.splitlines()[-1].endswith("Died: a worker cannot begin: its process ended with exit code 7")
    wait_for(lambda: not offspring(process.pid), 9)


def test_sigterm_to_all_of_a_sweep_is_recorded_and_leaves_no_process(tmp_path, start):
    process = start(*sweep(tmp_path, "steps=100000", "seed=range(4)", "hydra.launcher.workers=2"))
    wait_for(lambda: sum(path.stat().st_size > 2000 for path in tmp_path.rglob("scalars.jsonl")) == 2)
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert [failed["error"] for failed in records(tmp_path, "failed.json").values()] == ["interrupted"] * 2
    assert not list(tmp_path.rglob("running.json"))
    wait_for(lambda: not offspring(process.pid), 9)


APP = """
import time
from pathlib import Path
import hydra

class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")

@hydra.main(version_base="1.3", config_path=".", config_name="app")
def main(cfg):
    if cfg.i == 2:
        raise Odd(1, 2)
    with Path(cfg.out).open("a") as file:
        print(cfg.i, file=file)

if __name__ == "__main__":
    main()
"""


def test_the_jobs_of_any_application_run_once_each_and_a_failure_is_told(tmp_path, start):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "app.yaml").write_text(f"i: 0\nout: {tmp_path / 'out'}\n")
    given = ["-m", "hydra/launcher=local", f"hydra.sweep.dir={tmp_path / 'multirun'}", "i=range(5)"]
    process = start(tmp_path / "app.py", *given)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Odd: 1 and 2" in err  # though it cannot be unpickled
    assert sorted((tmp_path / "out").read_text().split()) == ["0", "1", "3", "4"]


def test_units_of_a_packed_job_are_its_members():
    override = "+pack={sweep: 'x', fail_fast: true, members: [['seed=1','init.gain=0.5'],['seed=2','init.gain=0.5']]}"
    first, second = _app.cut(3, ["cell=lstm", override])
    assert first == Unit(3, ["cell=lstm"], {"sweep": "x", "fail_fast": True, "members": [["seed=1", "init.gain=0.5"]]})
    assert second.pack["members"] == [["seed=2", "init.gain=0.5"]]
    assert list(_app.cut(4, ["seed=1"])) == [Unit(4, ["seed=1"])]


def test_the_lists_of_a_packed_job_are_one_list_and_a_failure_is_its_failure():
    parts = [JobReturn(status=JobStatus.COMPLETED, _return_value=[number]) for number in (3, 1, 2)]
    whole = launcher.merged(parts, ["cell=lstm"])
    assert whole.return_value == [3, 1, 2]
    assert whole.overrides == ["cell=lstm"]
    dead = JobReturn(status=JobStatus.FAILED, _return_value=_job.died([], ValueError("x"))._return_value)
    with pytest.raises(ValueError, match="x"):
        _ = launcher.merged([parts[0], dead, parts[2]], []).return_value
