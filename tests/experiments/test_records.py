"""The run folder survives what happens to runs: kills, failures, takeovers, and numbers that are none."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import claims
from experiments.records import Busy, Record, finished, run_id
from tests.experiments.holders import plant, start

CONFIG = {"cell": {"_target_": "rnnlab.cells.lstm.LSTM"}, "init": {"gain": 1.0}, "steps": 3, "seed": 0}
WRITER = """
import sys
from pathlib import Path
import numpy as np
from experiments.records import Record
with Record.open(Path(sys.argv[1]), {"seed": 0}, name="kill", scale="smoke") as record:
    print("open", flush=True)
    for step in range(10**6):
        record.scalars({"step": step, "train/loss": 0.5, "pad": "x" * 2000})
        if step % 5 == 0:
            record.profiles({"step": np.arange(step + 1)})
        print(step, flush=True)
"""


def open_record(folder: Path, **changes: object) -> Record:
    return Record.open(folder, {**CONFIG, **changes}, name="horizon", scale="smoke", overrides=["seed=0"])


def rows(folder: Path) -> list[dict]:
    """The rows of scalars.jsonl as strict JSON, without a torn last line."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    lines = (folder / "scalars.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line, parse_constant=refuse) for line in lines]


@pytest.mark.parametrize("lines", [1, 2, 3, 7, 12, 60])
def test_what_was_logged_before_a_kill_is_read_back_and_the_folder_is_free_at_once(tmp_path, lines):
    writer = start(WRITER, tmp_path)
    said = [writer.stdout.readline() for _ in range(lines)]
    time.sleep(0.0007 * lines)  # not always right after a line: somewhere between two acknowledged ones
    writer.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)  # dead but not reaped, as under a launcher
    steps = [row["step"] for row in rows(tmp_path)]
    assert said[0] == "open\n"
    assert steps == list(range(len(steps)))
    assert len(steps) >= lines - 1
    if len(steps) > 1:
        assert len(np.load(tmp_path / "profiles.npz")["step"]) % 5 == 1
    assert (tmp_path / "running.json").exists()
    began = time.perf_counter()
    with open_record(tmp_path):
        assert rows(tmp_path) == []
        assert {path.name for path in tmp_path.iterdir()} == {"running.json", "config.json", "scalars.jsonl"}
    assert time.perf_counter() - began < 2  # at once, not after the 5 minutes of another host
    writer.communicate()


def test_a_live_holder_keeps_the_folder_and_its_record(tmp_path):
    holder = start(WRITER, tmp_path)
    holder.stdout.readline()
    with pytest.raises(Busy, match=f"process {holder.pid} on"):
        open_record(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["name"] == "kill"
    holder.kill()
    holder.communicate()


def test_a_process_cannot_hold_a_folder_twice(tmp_path):
    with open_record(tmp_path), pytest.raises(Busy):
        open_record(tmp_path)
    with open_record(tmp_path):
        pass


def test_a_holder_that_was_taken_over_stops_and_leaves_the_new_claim_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "REFRESH", 0.01)

    def rewrite() -> None:
        with open_record(tmp_path) as record:
            (tmp_path / "running.json").unlink()
            plant(tmp_path, host="elsewhere")
            until = time.monotonic() + 10
            while time.monotonic() < until:
                record.scalars({"step": 0})

    with pytest.raises(Busy, match="taken over"):
        rewrite()
    assert json.loads((tmp_path / "running.json").read_text())["host"] == "elsewhere"
    assert not (tmp_path / "failed.json").exists()


def test_a_run_leaves_its_files_and_done_is_the_mark(tmp_path):
    with open_record(tmp_path) as record:
        assert not finished(tmp_path)
        record.scalars({"step": 0, "train/loss": np.float32(0.5), "grad/clipped": True})
        record.scalars({"step": 1, "train/loss": torch.tensor(0.25)})
        record.profiles({"step": np.arange(2), "part": np.array(["h", "c"])})
        record.weights({"W": torch.eye(2)})
        record.done("solved", steps=2, metrics={"test/loss": 0.1}, wall_seconds=1.5)
        assert finished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "scalars.jsonl",
        "profiles.npz",
        "weights.pt",
        "done.json",
    }
    assert rows(tmp_path) == [{"step": 0, "train/loss": 0.5, "grad/clipped": True}, {"step": 1, "train/loss": 0.25}]
    assert np.load(tmp_path / "profiles.npz")["part"].tolist() == ["h", "c"]
    assert torch.equal(torch.load(tmp_path / "weights.pt", weights_only=True)["W"], torch.eye(2))
    assert json.loads((tmp_path / "done.json").read_text()) == {
        "outcome": "solved",
        "steps": 2,
        "metrics": {"test/loss": 0.1},
        "predicted": {},
        "wall_seconds": 1.5,
        "probe_seconds": 0.0,
        "tracker_seconds": 0.0,
    }
    with pytest.raises(Busy, match="nothing is trained again"):
        open_record(tmp_path)
    assert len(rows(tmp_path)) == 2


def test_numbers_that_are_none_are_strings_in_strict_json(tmp_path):
    with open_record(tmp_path) as record:
        record.scalars({"a": float("nan"), "b": np.float64("inf"), "c": torch.tensor(-torch.inf), "d": [1.0, np.inf]})
        record.done("diverged", steps=1, metrics={"test/loss": float("inf")}, wall_seconds=0.1)
    assert rows(tmp_path) == [{"a": "nan", "b": "inf", "c": "-inf", "d": [1.0, "inf"]}]
    assert json.loads((tmp_path / "done.json").read_text())["metrics"] == {"test/loss": "inf"}


def test_a_replacement_that_breaks_off_leaves_the_old_arrays(tmp_path, monkeypatch):
    def half(file, **_):
        file.write(b"PK half an archive")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), open_record(tmp_path) as record:
        record.profiles({"step": np.arange(3)})
        monkeypatch.setattr(np, "savez", half)
        record.profiles({"step": np.arange(4)})
    assert np.load(tmp_path / "profiles.npz")["step"].tolist() == [0, 1, 2]
    assert (tmp_path / "profiles.npz.part").exists()
    with open_record(tmp_path):
        assert not list(tmp_path.glob("*.part"))


def test_arrays_that_need_pickle_are_refused(tmp_path):
    with pytest.raises(ValueError, match="objects in part"), open_record(tmp_path) as record:
        record.profiles({"part": np.array(["h", None])})


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\nlines"), "ValueError: two"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_a_failed_run_says_why_and_is_tried_again(tmp_path, error, line):
    with pytest.raises(type(error)), open_record(tmp_path) as record:
        record.scalars({"step": 0})
        raise error
    failed = json.loads((tmp_path / "failed.json").read_text())
    assert failed["error"] == line
    assert failed["overrides"] == ["seed=0"]
    assert "test_records.py" in failed["traceback"]
    assert not finished(tmp_path)
    assert not (tmp_path / "running.json").exists()
    with open_record(tmp_path):
        assert not (tmp_path / "failed.json").exists()
        assert rows(tmp_path) == []


def test_an_error_after_the_mark_does_not_make_a_done_run_failed(tmp_path):
    with pytest.raises(ValueError, match="too late"), open_record(tmp_path) as record:
        record.done("stuck", steps=1, metrics={}, wall_seconds=0.1)
        raise ValueError("too late")
    assert finished(tmp_path)
    assert not (tmp_path / "failed.json").exists()


def test_the_id_is_that_of_the_numbers_alone():
    shell = {"hydra": {"job": 1}, "tracker": {"mode": "online"}, "paths": {"outputs": "/x"}, "name": "a", "scale": "b"}
    reordered = dict(reversed(CONFIG.items()))
    assert run_id({**CONFIG, **shell}) == run_id(reordered) == run_id({**CONFIG, "init": {"gain": 1}})
    changes = [{"seed": 1}, {"steps": 4}, {"init": {"gain": 1.1}}, {"init": {"gain": "1.0"}}, {"clip": float("inf")}]
    assert len({run_id({**CONFIG, **change}) for change in [{}, *changes]}) == 1 + len(changes)


def test_the_id_of_a_configuration_does_not_change_between_versions():
    assert run_id(CONFIG) == "aa6a3773232b"  # a new value here means that every finished run is trained again


def test_config_json_holds_the_numbers_and_names_no_machine(tmp_path):
    with open_record(tmp_path, paths={"outputs": str(tmp_path)}, tracker={"entity": "me"}):
        text = (tmp_path / "config.json").read_text()
    about = json.loads(text)
    assert about["config"] == CONFIG
    assert about["run"] == run_id(about["config"])
    assert (about["name"], about["scale"]) == ("horizon", "smoke")
    assert about["versions"]["torch"] == torch.__version__
    assert claims._where()["host"] not in json.dumps({**about, "code": None})
    assert str(tmp_path) not in text


def test_how_often_to_write_a_checkpoint_is_no_part_of_the_id():
    assert run_id({**CONFIG, "checkpoint_seconds": 5}) == run_id(CONFIG)
