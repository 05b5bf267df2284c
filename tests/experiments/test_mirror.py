"""W&B in another process shows what the run folder says, and neither waits for the other."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from experiments.mirror import Helper, Mirror
from experiments.tracking import marked
from tests.experiments.wandb_client import KEY, leet, nobody
from tests.experiments.wandb_server import serve

ROOT = Path(__file__).parents[2]
CONFIG = {"seed": 0, "task": {"_target_": "rnnlab.tasks.adding.Adding", "length": 12}}
DONE = {"outcome": "stuck", "steps": 2, "metrics": {"test/loss": 0.5}, "wall_seconds": 1.0}

PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
from experiments import mirror

mirror.PERIOD = 0.0
tracker = mirror.Mirror(mode=sys.argv[1], project="rnnlab", entity=None)
for folder in map(Path, sys.argv[3:]):
    tracker.start(folder, folder.name, "horizon", {})
    with (folder / "scalars.jsonl").open("ab", buffering=0) as lines:
        for step in range(3):
            lines.write(json.dumps({"step": step, "train/loss": 0.5 / (step + 1)}).encode() + b"\\n")
            tracker.log({"step": step})
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[2] == "done":
        (folder / "done.json").write_text(os.environ["DONE"])
        tracker.finish({})
    else:
        tracker.fail("RuntimeError: it fell over")
"""


@pytest.fixture(autouse=True)
def environment(tmp_path) -> Iterator[pytest.MonkeyPatch]:
    with nobody(tmp_path / "home") as patch:
        patch.setenv("DONE", json.dumps(DONE))
        yield patch


def folders(path: Path, *names: str) -> list[Path]:
    """Run folders as they are when their training begins."""
    made = [path / name for name in names]
    for folder in made:
        folder.mkdir()
        about = {"run": folder.name, "name": "horizon", "scale": "smoke", "config": CONFIG}
        (folder / "config.json").write_text(json.dumps(about))
    return made


def train(mode: str, end: str, *runs: Path) -> subprocess.CompletedProcess:
    """A process that writes the runs and tells a mirror of it."""
    command = [sys.executable, "-c", PROGRAM, mode, end, *map(str, runs)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_each_run_of_a_process_is_there_in_full_when_the_process_ends(tmp_path):
    runs = folders(tmp_path, "one", "two")
    result = train("offline", "done", *runs)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    for run in runs:
        found = leet(run)
        assert [row["train/loss"] for row in found.history] == [0.5, 0.25, 0.5 / 3]
        about = {"run_id": run.name, "display_name": "adding T=12 seed=0", "run_group": "horizon", "tags": ["smoke"]}
        assert found.run.items() >= about.items()
        assert (found.config, found.exit_code) == (CONFIG, 0)
        assert found.summary.items() >= {"outcome": "stuck", "steps": 2, "test/loss": 0.5}.items()
        assert marked(run) == "offline"


def test_online_runs_reach_the_server_while_they_go_on(tmp_path, environment):
    (run,) = folders(tmp_path, "one")
    with serve() as server:
        environment.setenv("WANDB_BASE_URL", server.url)
        environment.setenv("WANDB_API_KEY", KEY)
        result = train("online", "done", run)
    assert (result.returncode, result.stderr) == (0, "")
    assert [row["train/loss"] for row in server.history["one"]] == [0.5, 0.25, 0.5 / 3]
    assert (server.exit_codes, marked(run)) == ({"one": 0}, "online")


def test_without_a_key_one_line_is_said_for_all_runs(tmp_path):
    result = train("online", "done", *folders(tmp_path, "one", "two"))
    assert result.returncode == 0
    assert result.stderr == "W&B cannot be reached (ConnectionError: no API key): it goes on offline\n"
    assert {marked(tmp_path / name) for name in ("one", "two")} == {"offline"}


@pytest.mark.parametrize(("end", "error"), [("fail", "RuntimeError: it fell over"), ("kill", "killed")])
def test_a_run_that_fails_or_is_killed_is_failed_in_wandb(tmp_path, end, error):
    (run,) = folders(tmp_path, "one")
    assert train("offline", end, run).returncode == (-signal.SIGKILL if end == "kill" else 0)
    found = leet(run)  # after a kill too: its stderr, which ours holds, ends with the mirror
    assert (found.exit_code, found.summary["error"]) == (1, error)
    assert [row["train/loss"] for row in found.history] == [0.5, 0.25, 0.5 / 3]
    assert marked(run) is None


def test_a_folder_that_cannot_be_read_costs_the_mirror_of_that_run_alone(tmp_path):
    bad, good = folders(tmp_path, "bad", "good")
    (bad / "config.json").unlink()
    result = train("offline", "done", bad, good)
    assert result.returncode == 0
    assert result.stderr.startswith("W&B is not told more of this run (FileNotFoundError")
    assert [marked(bad), marked(good)] == [None, "offline"]


@pytest.fixture
def helper() -> Iterator[Helper]:
    ours = Helper()
    yield ours
    if ours._process:
        ours._process.kill()
        ours.close()


def test_a_helper_that_died_is_said_once(helper, caplog):
    helper._process.kill()
    helper._process.wait()
    for _ in range(3):
        helper.tell(step=0)
    assert [record.message for record in caplog.records] == [
        "W&B is lost (BrokenPipeError: [Errno 32] Broken pipe): the runs go on without it"
    ]


def test_a_helper_that_hangs_blocks_nothing(helper, caplog):
    os.kill(helper._process.pid, signal.SIGSTOP)
    started = time.monotonic()
    for step in range(20_000):  # more than a pipe takes
        helper.tell(step=step)
    assert time.monotonic() - started < 60
    assert len(caplog.records) == 1
    assert helper._process is None


def test_a_helper_that_does_not_end_is_left_behind(helper, caplog, monkeypatch):
    monkeypatch.setattr("experiments.mirror.LIMIT", 0.01)
    process = helper._process
    os.kill(process.pid, signal.SIGSTOP)
    helper.close()
    assert process.returncode == -signal.SIGKILL
    assert "experiments.replay" in caplog.records[0].message


def test_a_long_run_is_looked_at_now_and_then_only(monkeypatch):
    told, clock = [], [0.0]
    monkeypatch.setattr("experiments.mirror.helper", lambda pid: Mock(tell=lambda **message: told.append(message)))
    monkeypatch.setattr("experiments.mirror.time.monotonic", lambda: clock[0])
    ours = Mirror(mode="offline", project="rnnlab", entity=None)
    ours.start(Path("/run"), "run", "horizon", {})
    for step in range(100):
        clock[0] += 0.25
        ours.log({"step": step})
    ours.finish(DONE)
    assert told[0]["start"] == "/run"
    assert [m["step"] for m in told[1:-1]] == list(range(4, 100, 5))
    assert told[-1] == {"end": ""}
