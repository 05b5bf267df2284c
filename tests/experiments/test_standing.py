"""Where a run stands is what its folder says, at any moment of its life."""

import builtins
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from experiments import standing as module
from experiments.standing import Standing, Watch, standing, time_left
from tests.experiments import folders
from tests.experiments.holders import dead_pid, plant


def test_each_state_is_told_from_the_others(tmp_path):
    folders.done(tmp_path, "solved", "solved", seconds=3.5)
    folders.done(tmp_path, "diverged", "diverged")
    folders.running(tmp_path, "running")
    folders.failed(tmp_path, "failed", "RuntimeError: the probe fell over", overrides=["seed=3"])
    plant(folders.begin(tmp_path, "killed"), pid=dead_pid())
    folders.begin(tmp_path, "killed_elsewhere")
    plant(tmp_path / "killed_elsewhere", age=1000, host="elsewhere")
    folders.begin(tmp_path, "left")
    (tmp_path / "empty").mkdir()
    runs = {path.name: [f"name={path.name}"] for path in tmp_path.iterdir()} | {"absent": ["seed=9"]}
    found = standing(tmp_path, runs)
    assert {run: one.state for run, one in found.items()} == {
        "solved": "done",
        "diverged": "done",
        "running": "running",
        "failed": "failed",
        "killed": "killed",
        "killed_elsewhere": "killed",
        "left": "killed",
        "empty": "missing",
        "absent": "missing",
    }
    assert (found["solved"].word, found["diverged"].word, found["killed"].word) == ("solved", "diverged", "killed")
    assert (found["solved"].seconds, found["solved"].error, found["solved"].step) == (3.5, 0.125, 80)
    assert found["failed"].failure == "RuntimeError: the probe fell over"
    assert found["failed"].overrides == ("name=failed",)
    assert standing(tmp_path, ["failed"])["failed"].overrides == ("seed=3",)  # what the run itself wrote down
    assert found["absent"] == Standing(run="absent", overrides=("seed=9",))


def test_a_run_that_is_tried_again_is_running_whatever_an_earlier_attempt_left(tmp_path):
    plant(folders.failed(tmp_path, "a", "ValueError: no"))
    assert standing(tmp_path, ["a"])["a"].state == "running"
    folders.done(tmp_path, "a")  # written before the claim is given up
    assert standing(tmp_path, ["a"])["a"].state == "done"


@pytest.mark.parametrize("end", ["done", "failed"])
def test_a_run_that_ends_between_two_looks_is_not_called_killed(tmp_path, monkeypatch, end):
    """done.json is looked for, then it is written, then the claim is given up, then the claim is looked at."""
    path = folders.running(tmp_path, "a")

    def late(folder):
        folders.done(tmp_path, "a") if end == "done" else folders.failed(tmp_path, "a", "ValueError: no")
        (path / "running.json").unlink()
        return False

    monkeypatch.setattr(module, "held", late)
    assert standing(tmp_path, ["a"])["a"].state == end


def test_the_last_row_and_the_last_probe_are_those_of_the_end_of_the_file(tmp_path):
    path = folders.running(tmp_path, "a", steps=10**6)
    (path / "scalars.jsonl").unlink()
    probed = {"adjoint/L1/forward/h/horizon": 3.0, "adjoint/L0/forward/c/horizon": 4.0}
    probed |= {"adjoint/L0/forward/h/horizon": 11.0, "adjoint/L0/forward/h/horizon_censored": 1.0}
    probed |= {"adjoint/L0/backward/h/horizon": 5.0, "adjoint/L0/input/u/horizon": 6.0}
    folders.log(path, [{"step": 0, "seconds": 0.0, "train/loss": 9.0, "adjoint/L0/forward/h/horizon": 99.0}])
    folders.log(path, [{"step": 1, "seconds": 0.1, "train/loss": 8.0, **probed}])
    padding = {"grad/norm": 0.123456789, "grad/zeros": 0.0}
    rows = ({"step": 10 * k, "seconds": 0.5 * k, "train/loss": 1 / k, **padding} for k in range(1, 3001))
    folders.log(path, rows)  # the probe is further back than the first part that is read
    assert (path / "scalars.jsonl").stat().st_size > 3 * 2**16
    one = standing(tmp_path, ["a"])["a"]
    assert (one.step, one.steps, one.seconds) == (30000, 10**6, 1500.0)
    assert one.loss == 1 / 3000
    assert (one.horizon, one.censored) == (11.0, True)
    assert one.rate == pytest.approx(20.0)
    assert one.remaining() == pytest.approx((10**6 - 30000) / 20.0)


def test_what_is_appended_is_taken_in_and_a_torn_line_waits_for_its_end(tmp_path):
    path = folders.running(tmp_path, "a", step=40)
    watch = Watch(tmp_path, ["a"])
    assert watch.look()["a"].step == 40
    with (path / "scalars.jsonl").open("a") as file:
        file.write('{"step": 60, "seconds": 6.0, "train/loss": "nan"}\n{"step": 80, "sec')
        file.flush()
        one = watch.look()["a"]
        assert one.step == 60
        assert math.isnan(one.loss)
        file.write('onds": 8.0, "train/loss": 0.5}\n')
    one = watch.look()["a"]
    assert (one.step, one.loss, one.horizon) == (80, 0.5, 7.0)


def test_a_restart_from_a_checkpoint_or_from_nothing_is_followed(tmp_path):
    path = folders.running(tmp_path, "a", step=40, rate=10.0)
    watch = Watch(tmp_path, ["a"])
    watch.look()
    lines = (path / "scalars.jsonl").read_text().splitlines(keepends=True)
    (path / "cut").write_text("".join(lines[:3]))  # steps 0, 10, 20
    os.replace(path / "cut", path / "scalars.jsonl")
    folders.log(path, [{"step": 25, "seconds": 3.0, "train/loss": 0.1}])
    one = watch.look()["a"]
    assert (one.step, one.horizon) == (25, 7.0)
    assert one.rate == pytest.approx(25 / 3.0)
    (path / "scalars.jsonl").unlink()
    one = watch.look()["a"]
    assert (one.state, one.step, one.horizon, one.loss) == ("running", None, None, None)


def test_a_file_cut_in_place_is_followed(tmp_path):
    path = folders.running(tmp_path, "a", step=40, rate=10.0)
    log = path / "scalars.jsonl"
    watch = Watch(tmp_path, ["a"])
    watch.look()
    size = len("".join(log.read_text().splitlines(keepends=True)[:3]))  # steps 0, 10, 20
    os.truncate(log, size)
    assert watch.look()["a"].step == 20
    folders.log(path, [{"step": k, "seconds": k / 10, "train/loss": 0.1} for k in (30, 40)])
    watch.look()
    os.truncate(log, size)  # and it grows beyond what it was before anybody looks
    folders.log(path, [{"step": k, "seconds": 10 + k / 2, "train/loss": 0.1} for k in range(21, 40)])
    one = watch.look()["a"]
    assert one.step == 39
    assert one.rate == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["L1/forward/h", "L0/forward/h"], "L0/forward/h"),
        (["L0/backward/h", "L0/forward/h"], "L0/forward/h"),
        (["L0/forward/c", "L0/forward/h"], "L0/forward/h"),
        (["L0/input/u", "L1/backward/h", "L2/output/v"], "L1/backward/h"),
    ],
)
def test_the_horizon_is_that_of_the_recurrent_layer_nearest_to_the_input(tmp_path, names, chosen):
    path = folders.running(tmp_path, "a")
    digests = {f"adjoint/{name}/horizon": float(k) for k, name in enumerate(names)}
    folders.log(path, [{"step": 50, "seconds": 5.0, "train/loss": 0.1, **digests}])
    assert standing(tmp_path, ["a"])["a"].horizon == names.index(chosen)


def test_a_change_within_the_same_tick_of_the_clock_is_seen(tmp_path):
    path = folders.failed(tmp_path, "a", "ValueError: no")
    watch, stamp = Watch(tmp_path, ["a"]), path.stat().st_mtime_ns
    assert watch.look()["a"].state == "failed"
    folders.done(tmp_path, "a")
    os.utime(path, ns=(stamp, stamp))
    assert watch.look()["a"].state == "done"


def test_done_runs_are_not_read_again_and_missing_ones_cost_nothing(tmp_path, monkeypatch):
    runs = [f"done{k}" for k in range(5)] + [f"failed{k}" for k in range(5)] + [f"missing{k}" for k in range(5)]
    for k in range(5):
        folders.done(tmp_path, f"done{k}")
        folder = folders.failed(tmp_path, f"failed{k}", "ValueError: no")
        os.utime(folder, (time.time() - 100,) * 2)
    watch = Watch(tmp_path, runs)
    before = watch.look()

    def refuse(*args, **kwargs):
        raise AssertionError(args)

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr("pathlib.Path.open", refuse)
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    assert watch.look() == before
    monkeypatch.undo()
    plant(tmp_path / "failed3")  # taken up again: the folder has changed
    (tmp_path / "failed4" / "failed.json").unlink()
    after = watch.look()
    assert (after["failed3"].state, after["failed4"].state) == ("running", "missing")


def test_a_folder_that_is_not_there_yet_is_a_sweep_of_missing_runs(tmp_path):
    watch = Watch(tmp_path / "later", ["a", "b"])
    assert {one.state for one in watch.look().values()} == {"missing"}
    folders.done(tmp_path / "later", "a")
    assert watch.look()["a"].state == "done"
    (tmp_path / "later" / "b").write_text("a file, not a folder")
    assert watch.look()["b"].state == "missing"


def test_reading_while_others_write_never_fails_and_never_goes_back(tmp_path):
    """One writer appends, replaces and ends; the reader sees steps that only grow, and at last the end."""
    path = folders.running(tmp_path, "a", step=4, steps=400)
    (path / "scalars.jsonl").unlink()

    def write():
        for step in range(400):
            with (path / "scalars.jsonl").open("ab", buffering=0) as file:
                line = json.dumps({"step": step, "seconds": step / 10, "train/loss": 0.5}).encode() + b"\n"
                file.write(line[:20])
                file.write(line[20:])
        folders.done(tmp_path, "a")
        (path / "running.json").unlink()

    writer = threading.Thread(target=write)
    writer.start()
    watch, seen = Watch(tmp_path, ["a"]), []
    while writer.is_alive():
        one = watch.look()["a"]
        assert one.state in ("running", "done")
        seen += [one.step] if one.step is not None and one.state == "running" else []
        time.sleep(0.001)
    writer.join()
    assert seen == sorted(seen)
    assert watch.look()["a"].state == "done"


def test_nothing_heavy_is_imported():
    program = "import sys, experiments.standing; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pandas", "hydra", "omegaconf", "rich", "wandb"} & set(loaded)


def test_a_folder_that_vanishes_is_missing(tmp_path):
    folders.running(tmp_path, "a")
    watch = Watch(tmp_path, ["a"])
    assert watch.look()["a"].state == "running"
    shutil.rmtree(tmp_path / "a")
    assert watch.look()["a"].state == "missing"


NOW = 1000.0


def many(state: str, count: int, **known) -> list[Standing]:
    return [Standing(run=f"{state}{k}", state=state, **known) for k in range(count)]


def test_the_time_left_is_what_the_runs_so_far_took():
    """Two workers, ten runs of 4 s each in 20 s; four to come and two half done: 5 runs' worth at 1 in 2 s."""
    ended = [Standing(run=f"e{k}", state="done", ended=NOW - 4 * (k // 2), seconds=4.0) for k in range(10)]
    running = many("running", 2, step=50, steps=100, rate=25.0)
    waiting = [*many("missing", 2), *many("killed", 1), Standing(run="again", state="failed", ended=1.0)]
    old = many("done", 50, ended=2.0, seconds=4.0)
    assert time_left([*ended, *running, *waiting, *old], started=NOW - 21, now=NOW) == pytest.approx(5 / (10 / 20))


def test_the_time_left_is_at_least_that_of_the_slowest_running_run():
    ended = many("done", 9, ended=NOW - 1, seconds=1.0)
    slow = Standing(run="slow", state="running", step=10, steps=1000, rate=1.0)
    assert time_left([*ended, slow], started=NOW - 10, now=NOW) == pytest.approx(990.0)


def test_before_a_run_has_ended_the_steps_made_tell_the_time_left():
    running = many("running", 2, step=100, steps=1000, rate=10.0)  # 90 s more, of 100 s
    assert time_left(running, started=0.0, now=NOW) == pytest.approx(90.0)
    assert time_left([*running, *many("missing", 4)], 0.0, NOW) == pytest.approx((4 + 1.8) * 100 / 2)


def test_the_time_left_is_not_known_without_a_rate_or_without_anyone_at_work():
    assert math.isnan(time_left([*many("running", 1), *many("missing", 1)], 0.0, NOW))
    assert math.isnan(time_left([*many("missing", 1), *many("done", 3, ended=NOW - 100, seconds=1.0)], 0.0, NOW))
    assert time_left([*many("done", 3, ended=NOW, seconds=1.0)], 0.0, NOW) == 0.0


def test_a_failure_of_this_start_is_not_to_be_done_again_and_one_of_an_earlier_start_is():
    running = many("running", 1, step=0, steps=10, rate=1.0)
    for ended, runs in ((NOW - 5, 1), (NOW - 500, 2)):
        old = Standing(run="old", state="failed", ended=ended, seconds=5.0)
        expected = 10.0 if runs == 1 else 20.0
        assert time_left([*running, old], started=NOW - 50, now=NOW) == pytest.approx(expected)
