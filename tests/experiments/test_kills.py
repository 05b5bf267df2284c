"""A sweep whose whole process tree is killed, again and again, at moments that it cannot choose."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from analysis import tables
from experiments.status import main as status
from tests.experiments.test_train import ROOT, arguments, wait_for

KILLS = int(os.environ.get("RNNLAB_KILLS", "4"))  # ten take two minutes
AXES = ["-m", "tracker=offline", "steps=150", "log_every=10", "cell=elman,gru", "seed=range(12)"]
AXES += ["checkpoint_seconds=0.2"]


def tree(session: int) -> list[int]:
    """The processes of a session, in whatever group."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if entry.name.isdigit() and int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def kill(process: subprocess.Popen) -> None:
    while left := tree(process.pid):  # they start others meanwhile
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    process.wait()


def torn(folder: Path) -> list[str]:
    """The files of a run that cannot be read; a last line that was being written does not count."""
    found = []
    for path in folder.iterdir():
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".npz":
                with np.load(path) as data:
                    assert len(data["step"]) == len(data["log10_norm"]) > 0
            elif path.suffix == ".pt":
                torch.load(path, weights_only=True)
            elif path.suffix == ".jsonl":
                steps = [json.loads(line)["step"] for line in path.read_bytes().split(b"\n")[:-1]]
                assert steps == sorted(set(steps))
        except Exception as error:
            found.append(f"{path}: {error!r}")
    return found


def newer(folder: Path, stamp: int) -> bool:
    """Whether a run was begun since."""
    return any(path.stat().st_mtime_ns > stamp for path in folder.rglob("config.json"))


def test_the_next_start_completes_what_kills_left(tmp_path, capsys):
    """24 runs: at a kill two are at work. What is done stays as it was to the byte, so nothing is done twice."""
    generator = random.Random()
    done: dict[Path, int] = {}
    begun: set[Path] = set()
    outcomes = []
    for _ in range(KILLS):
        process = subprocess.Popen(
            arguments(tmp_path, *AXES), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            if generator.random() < 0.8:  # at work; else before that, most likely
                wait_for(partial(newer, tmp_path, time.time_ns()))
            time.sleep(generator.uniform(0, 2))
        finally:
            kill(process)
        folders = [p for p in tmp_path.glob("single/*") if p.name != "sweeps"]
        assert [line for folder in folders for line in torn(folder)] == []
        marks = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("done.json")}
        assert done.items() <= marks.items()
        begun |= {p for p in folders if (p / "scalars.jsonl").exists()}
        outcomes.append(len(marks) - len(done))
        done = marks
    assert begun, "the kills came before anything had begun"
    last = subprocess.run(arguments(tmp_path, *AXES), cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert last.returncode == 0, last.stderr
    marks = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("done.json")}
    assert done.items() <= marks.items()
    assert len(marks) == 24
    runs = tables.runs(tmp_path / "single")
    assert (runs["outcome"] == "stuck").all()
    assert (runs["steps_done"] == 150).all()
    steps = tables.scalars(tmp_path / "single", "train/loss").groupby("run", observed=True)["step"]
    assert all(list(found) == list(steps.get_group(runs["run"][0])) for _, found in steps)
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.rglob("checkpoint.pt"))
    status(["single", "--outputs", str(tmp_path)])
    assert "24" in capsys.readouterr().out
    print(f"done at each kill: {outcomes}")
