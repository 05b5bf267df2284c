"""The law of resuming: a run that was killed makes the numbers of one that was not, to the last bit."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.build import build
from experiments.records import Record
from experiments.run import follow
from tests.choices import ROOT, files
from tests.experiments.test_build import composed

SHORT = ["steps=12", "log_every=1", "evaluate_every=5", "batch=3", "schedule=every", "schedule.interval=4"]
ADDING = ["task.length=7", *SHORT]
CONSTRAINTS = sorted(files("constraint"))
OPTIMIZERS, SCHEDULERS = (list(enumerate(sorted(files(group)))) for group in ("optimizer", "scheduler"))
SETTINGS = {  # with which a choice can be seen to act within 12 steps
    "sgd": ["optimizer.momentum=0.9"],
    "step": ["scheduler.step_size=3", "scheduler.gamma=0.5"],
    "cosine": ["scheduler.T_max=9"],
}


def numbers(measurements) -> list[tuple]:
    """All that was measured, as text and bytes: a NaN equals a NaN."""

    def arrays(reading) -> dict[str, bytes] | None:
        return reading and {name: value.numpy().tobytes() for name, value in reading.arrays.items()}

    return [(m.step, repr(m.scalars), m.outcome, arrays(m.reading)) for m in measurements]


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """As `checkpoint.pt` goes, and without pickles that run code."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def assert_resumes(overrides: list[str], stop: int) -> None:
    """Training that stops at a measurement and goes on in a network of its own, against training in one go."""
    config = composed(*overrides)
    whole, first, second = build(config), build(config), build(config)
    untrained = {name: value.clone() for name, value in whole.network.state_dict().items()}
    wanted = numbers(whole.measurements())
    state = next(through_a_file(m.state()) for m in first.measurements() if m.step == stop)
    assert [step for step, *_ in wanted] == list(range(13))
    assert numbers(second.measurements(resume=state)) == wanted[stop:]
    trained, again = whole.network.state_dict(), second.network.state_dict()
    assert trained.keys() == again.keys()
    assert all(torch.equal(value, again[name]) for name, value in trained.items())
    assert not all(torch.equal(value, untrained[name]) for name, value in trained.items())


@pytest.mark.parametrize(("o", "s"), list(product(OPTIMIZERS, SCHEDULERS)), ids=lambda pair: pair[1])
def test_every_optimizer_and_scheduler_goes_on(o, s):
    """Of three by three each meets each of the three constraints."""
    constraint = CONSTRAINTS[(o[0] + s[0]) % len(CONSTRAINTS)]
    chosen = [f"optimizer={o[1]}", f"scheduler={s[1]}", f"constraint={constraint}", "optimizer.lr=0.05"]
    given = [*SETTINGS.get(o[1], []), *SETTINGS.get(s[1], [])]
    assert_resumes(["cell=lstm", *ADDING, *chosen, *given], 1 + (5 * o[0] + 4 * s[0]) % 11)


@pytest.mark.parametrize(("k", "cell"), list(enumerate(files("cell"))), ids=lambda c: c if isinstance(c, str) else "")
def test_every_cell_goes_on(k, cell):
    assert_resumes([f"cell={cell}", *ADDING, "optimizer.lr=0.01", f"dtype=float{(32, 64)[k % 2]}"], 1 + k % 11)


@pytest.mark.parametrize(
    "overrides",
    [
        ["task=reverse", "network=encoder_decoder", "constraint=orthogonal", "regulariser=omega"],
        [
            "task=digits",
            "network.direction=bidirectional",
            "network.input_layers=1",
            "network.output_layers=1",
            "regulariser=omega",
        ],
        [
            "task.length=9",
            "network.depth=2",
            "network.transition=2",
            "network.shortcut=true",
            "network.residual=true",
            "clip=value",
        ],
        [
            "task.length=20",
            "network.truncate=6",
            "regulariser=omega",
            "constraint=spectral_margin",
            "+probe@probes.drive=drive",
            "+probe@probes.weights=weights",
        ],
    ],
    ids=["encoder_decoder", "bidirectional", "deep", "truncated"],
)
def test_every_kind_of_network_goes_on(overrides):
    assert_resumes([*SHORT, *overrides], 7)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_on_a_gpu_goes_on():
    """Its random stream too, whose state stands on the CPU."""
    assert_resumes(["cell=lstm", *ADDING, "device=cuda"], 5)


class Stop:
    """A tracker that sends Ctrl-C at one step."""

    def __init__(self, step: int | None = None) -> None:
        self.step = step

    def log(self, row, profiles=None) -> None:
        if row["step"] == self.step:
            raise KeyboardInterrupt


def followed(folder: Path, tracker: Stop, *overrides: str) -> tuple[dict[str, np.ndarray], list[dict]]:
    """The arrays and the rows of a run as far as the tracker lets it come."""
    bench = replace(build(composed(*ADDING, "schedule.interval=3", *overrides)), tracker=tracker)
    with Record.open(folder, {"seed": 0}, name="x", scale="smoke") as record:
        arrays, _ = follow(bench, record, 12, checkpoint_seconds=0.0)
    rows = [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]
    return arrays, [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


GROWING = ["cell.activation=identity", "init.gain=1.5"]  # gradients, so that half-lives are infinite
BURSTING = ["optimizer=sgd", "clip=none", "optimizer.lr=1e30", "regulariser=omega"]


@pytest.mark.parametrize(("overrides", "stop"), [(GROWING, 3), (GROWING, 8), (BURSTING, 1)])
def test_two_attempts_leave_the_record_of_one(tmp_path, overrides, stop):
    arrays, rows = followed(tmp_path / "one", Stop(), *overrides)
    assert (len(rows) < 12) == (overrides is BURSTING)  # which diverges
    with pytest.raises(KeyboardInterrupt):
        followed(tmp_path / "two", Stop(stop), *overrides)
    again, same = followed(tmp_path / "two", Stop(), *overrides)
    assert same == rows
    assert {name: v.tobytes() for name, v in again.items()} == {name: v.tobytes() for name, v in arrays.items()}
    assert (tmp_path / "one" / "profiles.npz").read_bytes() == (tmp_path / "two" / "profiles.npz").read_bytes()


WITNESS = """
import os
from rnnlab.probes import Reading

def see(moment):
    with open(os.environ["WITNESS"], "a") as file:
        file.write(f"{moment.step}\\n")
    return Reading()

def make():
    return see
"""
RUN = ["cell=lstm", "network.hidden=6", "network.depth=2", "constraint=orthogonal", "scheduler=cosine", "task.length=9"]
RUN += ["batch=4", "held_out=8", "steps=40", "log_every=2", "evaluate_every=7", "stop_when_solved=false"]
RUN += ["schedule=every", "schedule.interval=3", "tracker=none", "device=cpu", "checkpoint_seconds=0"]
RUN += ["+probes.witness._target_=witness.make"]


class Nursery:
    """Starts attempts at one run, one after another, in outputs folders of choice."""

    def __init__(self, home: Path) -> None:
        (home / "witness.py").write_text(WITNESS)
        self.home, self.seen = home, home / "seen"
        paths = os.pathsep.join([str(ROOT), str(home)])
        env = {**os.environ, "PYTHONPATH": paths, "WITNESS": str(self.seen), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.experiments.nursery", *RUN]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, **pipes)

    def attempt(self, out: Path, death: int = 0, meanwhile: Callable[[int], None] = lambda pid: None) -> int:
        """The exit status of one attempt, which is killed at a disk operation or by `meanwhile`, given its pid."""
        self.process.stdin.write(f"{out} {death}\n")
        self.process.stdin.flush()
        meanwhile(int(self.process.stdout.readline()))
        return int(self.process.stdout.readline())

    def witnessed(self) -> Counter[int]:
        """How often each step was probed since `seen` was removed."""
        return Counter(map(int, self.seen.read_text().split()))

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> Iterator[Nursery]:
    ours = Nursery(tmp_path_factory.mktemp("nursery"))
    try:
        yield ours
    finally:
        ours.end()


@pytest.fixture
def nursery(started) -> Nursery:
    started.seen.unlink(missing_ok=True)
    return started


def record_of(out: Path) -> dict[str, Any]:
    """The files of the only run, without what only a clock can know."""
    (folder,) = (path for path in (out / "single").iterdir() if path.is_dir())
    files = [path for path in folder.iterdir() if not path.name.startswith("running.")]  # the claim of the last death
    found: dict[str, Any] = {path.name: path.read_bytes() for path in files}
    rows = [json.loads(line) for line in found["scalars.jsonl"].splitlines()]
    done = json.loads(found["done.json"])
    clock = [row.pop("seconds") for row in rows] + [done.pop("wall_seconds")]
    assert clock == sorted(clock)  # it goes on over the attempts
    assert 0 < done.pop("probe_seconds") < clock[-1]
    done.pop("tracker_seconds")
    return {**found, "scalars.jsonl": rows, "done.json": done}


@pytest.fixture(scope="module")
def whole(started, tmp_path_factory) -> dict[str, Any]:
    """The record of the run in one go."""
    out = tmp_path_factory.mktemp("whole")
    assert started.attempt(out) == 0
    assert set(started.witnessed().values()) == {1}
    found = record_of(out)
    assert set(found) == {"config.json", "scalars.jsonl", "profiles.npz", "weights.pt", "done.json"}
    return found


def assert_went_on(nursery: Nursery, out: Path, whole: dict[str, Any], deaths: int) -> None:
    """The record equals that of one go in every byte, and few steps were done twice."""
    assert record_of(out) == whole
    seen = nursery.witnessed()
    steps = [*range(0, 40, 3), 40]
    assert sorted(seen) == steps
    assert seen.total() <= len(steps) + 2 * deaths


@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_at_any_disk_operation_goes_on(whole, nursery, tmp_path, seed):
    draw, deaths = random.Random(seed), 0
    while nursery.attempt(tmp_path, death=draw.randrange(1, 45)) != 0:
        deaths += 1
        assert deaths < 100
    assert deaths > 3
    assert_went_on(nursery, tmp_path, whole, deaths)


def test_a_run_killed_at_any_time_goes_on(whole, nursery, tmp_path):
    draw, deaths = random.Random(0), 0

    def kill(pid: int) -> None:
        time.sleep(draw.uniform(0.03, 0.25))
        os.kill(pid, signal.SIGKILL)

    for _ in range(6):
        deaths += nursery.attempt(tmp_path, meanwhile=kill) == -signal.SIGKILL
    assert nursery.attempt(tmp_path) == 0
    assert deaths > 0
    assert_went_on(nursery, tmp_path, whole, deaths)


def test_a_run_ended_by_ctrl_c_goes_on(whole, nursery, tmp_path):
    def interrupt(pid: int) -> None:
        until = time.monotonic() + 60
        while not list(tmp_path.rglob("checkpoint.pt")) and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(pid, signal.SIGINT)

    assert nursery.attempt(tmp_path, meanwhile=interrupt) == 130
    (failed,) = tmp_path.rglob("failed.json")
    assert json.loads(failed.read_text())["error"] == "interrupted"
    assert nursery.attempt(tmp_path) == 0
    assert_went_on(nursery, tmp_path, whole, deaths=1)
