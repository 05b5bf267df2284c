"""The status of a sweep: what the folders say, in numbers that can be trusted or in a question mark."""

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from analysis.folders import folder_of
from experiments import status
from experiments.report import Report
from experiments.status import Asker, targeted
from tests.experiments import folders
from tests.experiments.holders import dead_pid, plant

ROOT = Path(__file__).parents[2]


def asked(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "experiments.status", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def report(folder: Path, **which) -> Report:
    return Asker(targeted(folder, **which))()


@pytest.fixture
def live(tmp_path) -> Path:
    """A sweep of ten runs, started a minute ago, with one of everything."""
    folder = tmp_path / "outputs" / "gains"
    names = [f"run{k}" for k in range(10)]
    folders.sweep(folder, {name: ["experiment=gains", "cell=gru", f"seed={k}"] for k, name in enumerate(names)})
    folders.done(folder, "run0", "solved", seconds=9.0, age=40)
    folders.done(folder, "run1", "stuck", seconds=12.0, age=30)
    folders.done(folder, "run2", "diverged", seconds=3.0, age=20)
    folders.done(folder, "run3", "stuck", seconds=3.0, age=1000)  # by an earlier start
    folders.failed(folder, "run4", "RuntimeError: [no] memory", age=10)
    folders.failed(folder, "run5", "ValueError: old", age=1000)
    folders.running(folder, "run6", step=40, steps=100, rate=10.0)
    plant(folders.running(folder, "run7", step=80, steps=100), pid=dead_pid())
    (folder / "run7" / "checkpoint.pt").touch()
    folders.done(folder, "other")
    return folder


def test_what_is_said_of_a_live_sweep(live):
    about, counts, pace, again, others = report(live).lines()
    assert re.fullmatch(
        r"gains: 10 runs, scale laptop, launcher local, started 1 min 0\d s ago \(sweep \w{12}\)", about
    )
    assert counts == "4 done (1 diverged, 1 solved, 2 stuck), 1 running, 2 failed, 1 killed, 2 missing"
    # 4 ended since the first of them began 49 s ago; to come: .6 of one, two missing, one killed, one failed before
    rate, seconds = map(float, re.fullmatch(r"(.*) runs a minute since the start, (\d+) s left", pace).groups())
    assert rate == pytest.approx(60 * 4 / 49, rel=0.06)  # 3 s for a slow machine to come here
    assert seconds == pytest.approx(4.6 * 49 / 4, rel=0.06)
    assert again == "1 of the failed runs are of an earlier start and will be tried again by this one"
    assert others == f"{live} also holds 1 other runs and 0 other sweeps"


def test_the_tables_show_the_running_the_slowest_and_the_failed(live):
    running, slow, failed = report(live).tables()
    assert running[2] == [("run6", "40/100", f"{1 / 41:.4g}", "7", "10", "6 s", "seed=6")]
    assert [row[:3] for row in slow[2][:2]] == [("run1", "stuck", "12.0"), ("run0", "solved", "9.0")]
    assert failed[2] == [
        ("run4", "seed=4", "RuntimeError: [no] memory"),
        ("run5", "seed=5", "ValueError: old"),
        ("run7", "seed=7", "killed at step 80 of 100, goes on from a checkpoint"),
    ]


def test_text_and_screen_say_the_same(live):
    found = report(live)
    console = Console(width=150, record=True, file=io.StringIO(), highlight=False)
    console.print(found.rich())
    words = re.findall(r"[\w\[\]./]+", console.export_text())
    assert sorted(words) == sorted(re.findall(r"[\w\[\]./]+", found.text()))


def test_runs_that_nobody_works_on_have_no_time_left(live):
    (live / "run6" / "running.json").unlink()
    for name in ("run0", "run1", "run2", "run4"):
        for file in ("done.json", "failed.json"):
            if (live / name / file).exists():
                os.utime(live / name / file, (time.time() - 50,) * 2)
    lines = report(live).lines()
    assert "nothing is running: the same command tries the 6 that are not done" in lines
    assert not any("left" in line for line in lines)


def test_a_sweep_that_cannot_know_says_so(tmp_path):
    folders.sweep(tmp_path, {"a": ["seed=0"], "b": ["seed=1"]}, age=5)
    plant(folders.begin(tmp_path, "a"))
    assert report(tmp_path).lines()[2] == "? left"


def test_the_newest_sweep_is_shown_and_others_on_demand(tmp_path):
    old = folders.sweep(tmp_path, {"a": ["seed=0"], "b": ["seed=1"]}, age=100)
    new = folders.sweep(tmp_path, {"b": ["seed=1"], "c": ["seed=2"], "d": ["seed=3"]}, age=50)
    for run in "abe":
        folders.done(tmp_path, run)
    (tmp_path / "sweeps" / "torn.json").write_text('{"sweep": "')
    found = report(tmp_path)
    assert list(found.standings) == ["b", "c", "d"]
    assert f"{tmp_path} also holds 2 other runs and 1 other sweeps" in found.lines()
    assert list(report(tmp_path, wanted=old.id[:5]).standings) == ["a", "b"]
    every = report(tmp_path, whole=True)
    assert {run: s.overrides for run, s in every.standings.items()} == {"a": ("seed=0",), "b": ("seed=1",), "e": ()}
    with pytest.raises(ValueError, match=f"is called zzz: there is {new.id}, {old.id}"):
        report(tmp_path, wanted="zzz")


def test_without_a_manifest_all_runs_are_shown(tmp_path):
    folders.done(tmp_path, "a", "solved")
    folders.failed(tmp_path, "b", "ValueError: no", overrides=["seed=7"])
    found = report(tmp_path)
    assert found.lines()[:2] == [
        f"{tmp_path.name}: all 2 runs in {tmp_path}",
        "1 done (1 solved), 0 running, 1 failed",
    ]
    assert found.tables()[-1][2] == [("b", "seed=7", "ValueError: no")]


def test_runs_of_different_code_or_torch_are_warned_of(tmp_path):
    for k in range(3):
        folders.done(tmp_path, f"a{k}")
    assert report(tmp_path).warnings == []
    folders.done(tmp_path, "b", code="b" * 40 + "-dirty")
    folders.running(tmp_path, "c", torch="3")
    assert report(tmp_path).warnings == [
        f"code differs: {'a' * 10} (4 runs), {'b' * 10}-dirty (1 runs)",
        "torch differs: 2 (4 runs), 3 (1 runs)",
    ]


def test_a_run_that_is_tried_again_counts_with_its_new_code(tmp_path):
    folders.done(tmp_path, "a")
    folders.failed(tmp_path, "b", "ValueError: no")
    folders.begin(tmp_path, "b", code="b" * 40)
    ask = Asker(targeted(tmp_path))
    assert len(ask().warnings) == 1
    folders.done(tmp_path, "b")
    (tmp_path / "b" / "failed.json").unlink()
    assert ask().warnings == []


def test_a_failure_of_this_start_is_not_called_an_earlier_one(tmp_path):
    folders.sweep(tmp_path, {"a": [], "b": []}, age=60)
    folders.failed(tmp_path, "a", "ValueError: no")
    assert not any("earlier" in line for line in report(tmp_path).lines())


def test_an_unknown_name_gets_the_closest_one_or_what_there_is(live):
    outputs = live.parent
    (outputs / "empty").mkdir()
    folders.done(outputs / "horizon", "a")
    with pytest.raises(ValueError, match=r"there are no runs in .*gain: did you mean gains"):
        folder_of(outputs, "gain")
    with pytest.raises(ValueError, match=r"there are no runs in .*empty: there is gains, horizon"):
        folder_of(outputs, "empty")
    with pytest.raises(ValueError, match=r"there is no folder .*elsewhere: name the one with the runs with --outputs"):
        folder_of(outputs / "elsewhere", "gains")


def test_the_command_prints_plain_text_or_json(live):
    given = ["gains", "--outputs", str(live.parent)]
    plain = asked(*given)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert plain.stdout.startswith("gains: 10 runs")
    assert "\x1b" not in plain.stdout
    told = json.loads(asked(*given, "--json").stdout, parse_constant=pytest.fail)
    assert told["counts"] == {
        "diverged": 1,
        "failed": 2,
        "killed": 1,
        "missing": 2,
        "running": 1,
        "solved": 1,
        "stuck": 2,
    }
    assert told["runs"]["run6"]["step"] == 40
    assert told["runs"]["run4"]["failure"] == "RuntimeError: [no] memory"
    wrong = asked("gain", "--outputs", str(live.parent))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == f"status: there are no runs in {live.parent / 'gain'}: did you mean gains?\n"


def test_to_watch_is_to_see_each_change_until_the_end(live, capsys, monkeypatch):
    monkeypatch.setattr(status, "EVERY", 0.02)
    for name in ("run5", "run7", "run8", "run9"):
        folders.done(live, name)

    def work():
        time.sleep(0.2)
        folders.done(live, "run6", "solved")

    worker = threading.Thread(target=work)
    worker.start()
    status.main(["gains", "--outputs", str(live.parent), "--watch"])
    worker.join()
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("8 done (1 diverged, 1 solved, 6 stuck), 1 running, 1 failed | ")
    assert last.startswith("9 done (1 diverged, 2 solved, 6 stuck), 0 running, 1 failed | ")
