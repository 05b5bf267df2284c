"""The sweep that the tests of the clusters start, break and start again, and what can be read of its run folders."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
SHAPE = ["task.length=12", "network.hidden=4", "batch=3", "held_out=8", "log_every=100", "steps=300", "tracker=none"]
TWO_PACKS = [*SHAPE, "cell=elman,lstm", "seed=1,2,3", "hydra.sweeper.pack=3"]  # two jobs of three runs
TWO_RUNS = [*SHAPE, "cell=elman", "seed=1,2"]  # two of these runs, a job each


@contextlib.contextmanager
def starter() -> Iterator[Callable[..., subprocess.Popen]]:
    """A function that starts a sweep; those that have not ended with the context are killed."""
    started = []

    def start(out: Path, launcher: str, *overrides: str, env: dict[str, str] | None = None) -> subprocess.Popen:
        place = f"paths.outputs={os.path.relpath(out, ROOT)}"  # relative, as most users have it
        command = [sys.executable, "-m", "experiments.train", "-m", f"hydra/launcher={launcher}", place, *overrides]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(command, cwd=ROOT, env=env, **streams))
        return started[-1]

    try:
        yield start
    finally:
        for sweep in started:
            sweep.kill()
            sweep.communicate()


def wait(sweep: subprocess.Popen) -> tuple[int, str]:
    """Exit code and output of a sweep; one that hangs is killed and fails the test."""
    try:
        output, _ = sweep.communicate(timeout=150)
    except subprocess.TimeoutExpired:
        sweep.kill()
        raise AssertionError(f"the sweep hangs: {sweep.communicate()[0]}") from None
    return sweep.returncode, output


def until(true: Callable[[], Any], what: str, seconds: float = 100) -> Any:
    """What the call returns, once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


def training(folder: Path) -> dict[str, int]:
    """The runs that train now and have done a few steps, and the process that does so."""
    found = {}
    for claim in folder.glob("*/running.json"):
        with contextlib.suppress(FileNotFoundError):  # it begins, or ends while we look
            if claim.with_name("scalars.jsonl").read_bytes().count(b"\n") > 1:
                found[claim.parent.name] = json.loads(claim.read_text())["pid"]
    return found


def kill_at_second_member(folder: Path) -> str:
    """Kill a process that has done one run and trains the next; returns that."""
    first: dict[int, str] = {}

    def second() -> tuple[str, int] | None:
        found = training(folder).items()
        return next(((run, pid) for run, pid in found if first.setdefault(pid, run) != run), None)

    run, pid = until(second, "a process trains its second run")
    os.kill(pid, signal.SIGKILL)
    return run


def hold(folder: Path, runs: int) -> dict[str, int]:
    """Stop the processes of so many runs after their first steps, so that they train until SIGCONT."""

    def stopped() -> dict[str, int]:
        found = training(folder)
        for pid in found.values():
            os.kill(pid, signal.SIGSTOP)
        return found if len(found) == runs else {}

    return until(stopped, f"{runs} runs train")


def planned(folder: Path) -> set[str]:
    (manifest,) = (folder / "sweeps").glob("*.json")
    return set(json.loads(manifest.read_text())["runs"])


def marks(folder: Path) -> dict[str, tuple[int, int]]:
    """The finished runs, with what changes if a mark of completion is written again."""
    return {mark.parent.name: (mark.stat().st_ino, mark.stat().st_mtime_ns) for mark in folder.glob("*/done.json")}


def numbers(folder: Path) -> dict[str, Any]:
    """Everything in the records of all runs that must be the same to the last bit, wherever they were trained."""
    found = {}
    for mark in sorted(folder.glob("*/done.json")):
        run = mark.parent
        rows = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
        done = json.loads(mark.read_text())
        with np.load(run / "profiles.npz") as profiles:
            arrays = {name: profiles[name].tobytes() for name in profiles.files}
        weights = torch.load(run / "weights.pt", weights_only=True)
        found[run.name] = {
            "scalars": [{key: value for key, value in row.items() if key != "seconds"} for row in rows],
            "done": (done["outcome"], done["steps"], done["metrics"]),
            "profiles": arrays,
            "weights": {name: value.numpy().tobytes() for name, value in weights.items()},
        }
    return found
