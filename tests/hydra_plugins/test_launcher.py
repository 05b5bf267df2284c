"""Sweeps on this machine: workers that are killed, interrupted, orphaned; answers in the order of the jobs."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.rnnlab_sweeps import _app, launcher
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
    trees: list[psutil.Process] = []

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
        trees.append(psutil.Process(process.pid))
        return process

    yield begin
    for tree in trees:
        for process in offspring(tree.pid):
            process.kill()


def offspring(group: int) -> list[psutil.Process]:
    """What is alive of a process group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass
    return found


def sweep(out: Path, *overrides: str) -> list[str]:
    tiny = ["task.length=12", "network.hidden=4", "batch=3", "held_out=8", "evaluate_every=5", "tracker=none"]
    return ["-m", "experiments.train", "-m", f"paths.outputs={out}", "hydra.launcher.workers=2", *tiny, *overrides]


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
    first = start(*sweep(tmp_path / "local", *axes))
    _, err = first.communicate(timeout=120)
    assert first.returncode == 1
    assert set(records(tmp_path / "local", "done.json")) == {0, 1, 2, 4}
    (failed,) = records(tmp_path / "local", "failed.json").values()
    assert failed["error"] == "Died: its process was killed by signal 9 (SIGKILL): out of memory?"
    assert "seed=3" in failed["overrides"]
    assert "killed by signal 9 (SIGKILL)" in err
    (tmp_path / "always").touch()  # cured
    second = start(*sweep(tmp_path / "local", *axes))
    second.communicate(timeout=120)
    assert second.returncode == 0
    assert set(records(tmp_path / "local", "done.json")) == {0, 1, 2, 3, 4}
    basic = start(*sweep(tmp_path / "basic", *axes, "hydra/launcher=basic", "~hydra.launcher.workers"))
    _, err = basic.communicate(timeout=120)
    assert basic.returncode == 0, err
    assert rows(tmp_path / "local") == rows(tmp_path / "basic")
