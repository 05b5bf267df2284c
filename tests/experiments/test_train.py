"""The command line as its users type it: runs, sweeps, wrong input, kills.

A process of its own takes six seconds, most of them imports. Where it is not what is tested, this one runs the file.
"""

import contextlib
import importlib
import io
import json
import math
import re
import runpy
import signal
import subprocess
import sys
import time
import traceback
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from rnnlab import kernels

ROOT = Path(__file__).parents[2]
TINY = ["task.length=12", "network.hidden=4", "batch=3", "held_out=8", "evaluate_every=5", "tracker=none"]


def arguments(out: Path, *overrides: str) -> list[str]:
    flags = [o for o in overrides if o.startswith("-")]
    given = [f"paths.outputs={out}", *TINY, *(o for o in overrides if o not in flags)]
    return [sys.executable, "-W", "error::FutureWarning", "-m", "experiments.train", *flags, *given]


def train(out: Path, *overrides: str, timeout: float = 200) -> subprocess.CompletedProcess:
    return subprocess.run(arguments(out, *overrides), cwd=ROOT, capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def here(monkeypatch):
    """As `train`, in this process, where every warning is an error."""

    def train(out: Path, *overrides: str) -> subprocess.CompletedProcess:
        command, printed, said, code = arguments(out, *overrides), io.StringIO(), io.StringIO(), 0
        monkeypatch.setattr(sys, "argv", command[command.index("-m") + 1 :])
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            try:
                runpy.run_path(str(ROOT / "experiments" / "train.py"), run_name="__main__")
            except SystemExit as stop:
                code = stop.code
            except Exception:  # which Python itself prints
                code = traceback.print_exc() or 1
        return subprocess.CompletedProcess(command, code, printed.getvalue(), said.getvalue())

    return train


def only_run(folder: Path) -> Path:
    (run,) = [p for p in folder.iterdir() if p.is_dir()]
    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    out = tmp_path_factory.mktemp("outputs")
    return out, train(out, "cell=lstm", "task=adding", "network.depth=2", "network.direction=bidirectional", "steps=20")


def test_one_run_leaves_the_whole_record(finished):
    out, result = finished
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    run = only_run(out / "single")
    assert {p.name for p in run.iterdir()} == {
        "config.json",
        "scalars.jsonl",
        "profiles.npz",
        "weights.pt",
        "done.json",
    }
    done = json.loads((run / "done.json").read_text())
    assert done["outcome"] == "stuck"
    assert done["steps"] == 20
    assert {"validation/loss", "validation/error", "test/loss", "test/error"} == set(done["metrics"])
    rows = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2, 5, 10, 15, 20]
    assert all(math.isfinite(row["grad/norm"]) and row["grad/norm"] > 0 for row in rows)
    assert "adjoint/L1/backward/c/decay_per_step" in rows[0]
    about = json.loads((run / "config.json").read_text())
    assert "seed" in about["config"]
    assert about["loops"] == ("compiled" if kernels.available() else "python")  # their sums differ in the last bits
    assert run.name in result.stdout


def test_the_profiles_of_a_run_are_full_and_not_the_same_before_and_after(finished):
    """Trap 14: an artefact that is written but never filled."""
    with np.load(only_run(finished[0] / "single") / "profiles.npz") as data:
        assert data["step"].tolist() == [0, 1, 2, 5, 10, 20]
        series = set(zip(data["layer"].tolist(), data["direction"].tolist(), data["part"].tolist(), strict=True))
        assert series == {(d, way, part) for d in (0, 1) for way in ("forward", "backward") for part in "hc"}
        assert data["log10_norm"].shape == (6, 8, 5, 12)
        assert np.isfinite(data["log10_norm"]).all()
        assert np.abs(data["log10_norm"][-1] - data["log10_norm"][0]).max() > 0.1
        assert data["step_loss"].shape == (6, 1)


def test_the_trained_weights_load_without_running_code(finished):
    state = torch.load(only_run(finished[0] / "single") / "weights.pt", weights_only=True)
    assert state["layers.1.0.W"].shape == (16, 4)


def test_a_finished_run_is_not_trained_again(finished, here):
    out, _ = finished
    mark = only_run(out / "single") / "done.json"
    before = mark.stat().st_mtime_ns
    result = here(out, "cell=lstm", "task=adding", "network.depth=2", "network.direction=bidirectional", "steps=20")
    assert result.returncode == 0
    assert "done before" in result.stdout
    assert mark.stat().st_mtime_ns == before


def test_a_run_alone_and_one_packed_with_others_give_the_same_numbers_to_the_last_bit(finished, tmp_path):
    lstm = ["cell=lstm", "task=adding", "network.depth=2", "network.direction=bidirectional", "steps=20"]
    train(tmp_path, "-m", "hydra.launcher.workers=1", *lstm, "seed=2,1,0")

    def numbers(run):
        rows = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

    first = only_run(finished[0] / "single")
    second = tmp_path / "single" / first.name
    assert numbers(first) == numbers(second)
    assert (first / "weights.pt").read_bytes() == (second / "weights.pt").read_bytes()
    assert (first / "profiles.npz").read_bytes() == (second / "profiles.npz").read_bytes()


def test_a_sweep_runs_every_combination_with_a_line_each_and_a_total(tmp_path):
    result = train(
        tmp_path, "-m", "steps=2", "cell=elman,gru", "network.direction=forward,backward", "init=glorot,identity"
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "single: 8 runs"
    assert sum(bool(re.match(r"\[\d/8\] stuck", line)) for line in lines) == 8
    assert re.fullmatch(r"single: 8 runs in \d+ s: 8 stuck", lines[-1])
    runs = [p for p in (tmp_path / "single").iterdir() if (p / "done.json").exists()]
    configs = [json.loads((p / "config.json").read_text())["config"] for p in runs]
    targets = {(c["cell"]["_target_"], c["network"]["direction"], c["init"]["_target_"]) for c in configs}
    assert len(targets) == len(runs) == 8


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "cell=lsmt",
            r"Could not find 'cell/lsmt'[\s\S]*elman[\s\S]*error: there is no 'lsmt': did you mean 'lstm'\?$",
        ),
        ("task.lenght=50", r"^error: there is no 'lenght': did you mean 'length'\?$"),
        ("task.length=-5", r"^error: task: adding needs length >= 2 to place two marks, got -5$"),
        ("init=identity init.gain=2", r"^error: there is no 'gain': only _target_, scale$"),
        ("scale=huge", r"Could not find 'scale/huge'"),
    ],
)
def test_wrong_input_gets_a_clear_line_and_leaves_nothing(override, message, tmp_path, here):
    result = here(tmp_path, *override.split())
    assert result.returncode in (1, 2)
    assert re.search(message, result.stderr, re.MULTILINE), result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("config.json"))


def test_in_a_sweep_a_wrong_run_is_named_and_the_others_are_done(tmp_path):
    result = train(tmp_path, "-m", "steps=1", "task.length=-5,12,14")
    assert result.returncode == 1
    assert "FAILED  " in result.stdout
    assert "task: adding needs length >= 2 to place two marks, got -5" in result.stdout
    *_, total, failure = result.stdout.splitlines()
    assert total.startswith("single: 3 runs in")
    assert total.endswith("1 failed, 2 stuck")
    assert "task.length=-5" in failure
    assert "Traceback" not in result.stderr
    assert len(list(tmp_path.rglob("done.json"))) == 2


def test_with_fail_fast_nothing_begins_after_a_failure_and_the_next_start_goes_on(tmp_path, here):
    axes = ["-m", "hydra/launcher=basic", "steps=1", "task.length=-5,12,14"]
    result = here(tmp_path, *axes, "hydra.sweeper.fail_fast=true")
    assert result.returncode == 1
    assert "1 failed, 2 missing" in result.stdout
    assert not list(tmp_path.rglob("done.json"))
    result = here(tmp_path, *axes)
    assert result.returncode == 1
    assert len(list(tmp_path.rglob("done.json"))) == 2


def test_a_crash_leaves_its_traceback_in_the_record_and_is_tried_again(tmp_path, here, monkeypatch):
    broken = tmp_path / "broken_probe.py"
    broken.write_text(
        "def probe(moment):\n    raise RuntimeError('the probe fell over')\n\n\ndef make():\n    return probe\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    given = [tmp_path, "steps=2", "+probes.broken._target_=broken_probe.make"]
    result = here(*given)
    assert result.returncode == 1
    assert "the probe fell over" in result.stderr
    run = only_run(tmp_path / "single")
    failed = json.loads((run / "failed.json").read_text())
    assert failed["error"] == "RuntimeError: the probe fell over"
    assert "broken_probe.py" in failed["traceback"]
    assert not (run / "running.json").exists()
    broken.write_text("from rnnlab.probes import Reading\n\n\ndef make():\n    return lambda moment: Reading()\n")
    monkeypatch.delitem(sys.modules, "broken_probe")
    importlib.invalidate_caches()
    result = here(*given)
    assert result.returncode == 0
    assert (run / "done.json").exists()
    assert not (run / "failed.json").exists()


@pytest.fixture
def start():
    """Starts trainings that are ended with the test, whatever happens in it."""
    processes = []

    def begin(out: Path, *overrides: str) -> subprocess.Popen:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background job inherits deafness
        processes.append(subprocess.Popen(arguments(out, *overrides), cwd=ROOT, preexec_fn=heard, **quiet))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def wait_for(what, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_is_recorded(tmp_path, start):
    process = start(tmp_path, "steps=100000")
    wait_for(lambda: any(p.stat().st_size > 2000 for p in tmp_path.rglob("scalars.jsonl")))
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    assert process.returncode == 130
    run = only_run(tmp_path / "single")
    assert json.loads((run / "failed.json").read_text())["error"] == "interrupted"
    assert not (run / "running.json").exists()


def test_two_starts_of_one_run_do_not_write_one_folder(tmp_path, start):
    first = start(tmp_path, "steps=100000")
    wait_for(lambda: list(tmp_path.rglob("running.json")))
    first.send_signal(signal.SIGSTOP)  # alive, and costs nothing
    second = train(tmp_path, "steps=100000")
    assert second.returncode != 0
    assert "Traceback" not in second.stderr
    assert str(first.pid) in second.stderr
