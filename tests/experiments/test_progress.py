"""What the terminal shows of a sweep is where its runs stand, and it costs no sweep, whatever happens to it."""

import io
import itertools
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from experiments import display, progress, screen
from experiments.standing import Watch
from experiments.sweeps import Sweep
from tests.experiments import folders
from tests.experiments.holders import dead_pid, plant

ROOT = Path(__file__).parents[2]


def seeds(*names: str) -> dict[str, list[str]]:
    return {name: ["cell=gru", "scale=smoke", f"seed={k}"] for k, name in enumerate(names)}


def show(sweep: Sweep, kind=display.Lines):
    """The display, and what asks for it to be drawn."""
    shown, watch = kind(sweep, display.since(sweep)), Watch(sweep.folder, sweep.runs)
    return shown, lambda: shown(watch.look())


def test_each_run_that_ends_gets_one_line_in_the_order_of_their_ends(tmp_path, capsys):
    sweep = folders.sweep(tmp_path, seeds("a", "b", "c", "d"))
    folders.done(tmp_path, "d", age=1000)  # before this start
    folders.failed(tmp_path, "c", "ValueError: old", age=1000)  # tried again by this start
    _, look = show(sweep)
    look()
    assert capsys.readouterr().out == ""
    folders.done(tmp_path, "a", "solved", seconds=2.5, age=2)
    folders.failed(tmp_path, "b", "RuntimeError: [no] memory", age=3)
    look()
    look()
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\[2/4\] FAILED  b  seed=1  RuntimeError: \[no\] memory  \(.* left\)", first)
    assert re.fullmatch(r"\[3/4\] solved         2\.5 s  error 0\.125  a  seed=0  \(.* left\)", second)
    folders.failed(tmp_path, "c", "ValueError: again")
    look()
    assert re.fullmatch(r"\[4/4\] FAILED  c  seed=2  ValueError: again  \(0 s left\)\n", capsys.readouterr().out)


def test_after_a_quiet_minute_the_running_runs_are_listed(tmp_path, capsys):
    sweep = folders.sweep(tmp_path, seeds("a", "b"))
    folders.running(tmp_path, "a", step=40, steps=100, rate=10.0, horizon=7.0)
    shown, look = show(sweep)
    look()
    assert capsys.readouterr().out == ""
    shown.last -= display.QUIET + 1
    look()
    total, head, run = capsys.readouterr().out.splitlines()
    assert total == "  0/2 over, 1 running, 16 s left"  # 6 s of the 10 s of one, then the other
    assert head.split() == list(screen.RUNNING)
    assert run.split() == ["a", "40/100", f"{1 / 41:.4g}", "7", "10", "6", "s", "seed=0"]
    look()
    assert capsys.readouterr().out == ""


def picture(sweep: Sweep, width: int = 100, height: int = 20) -> str:
    shown = display.Screen(sweep, display.since(sweep))
    shown.console = Console(width=width, height=height, file=io.StringIO(), record=True)
    shown.console.print(shown.picture(Watch(sweep.folder, sweep.runs).look()))
    return shown.console.export_text()


def test_the_live_display_counts_and_shows_each_running_run(tmp_path):
    sweep = folders.sweep(tmp_path, seeds("a", "b", "c", "d", "e", "f"))
    folders.done(tmp_path, "a", age=1000)
    folders.done(tmp_path, "b", "diverged")
    folders.failed(tmp_path, "c", "ValueError: no")
    folders.running(tmp_path, "d", step=40, steps=100, rate=10.0)
    folders.running(tmp_path, "e", step=80, steps=100, rate=20.0)
    head, counts, names, first, second = picture(sweep).splitlines()
    assert re.fullmatch(r"\S+  ━{15} +3/6  6 s left *", head)  # half of the bar; 60 steps at 10 a second
    assert counts.strip() == "1 diverged, 1 done before, 1 failed, 1 to come, 2 running"
    assert names.split() == list(screen.RUNNING)
    assert first.split() == ["d", "40/100", f"{1 / 41:.4g}", "7", "10", "6", "s", "seed=3"]
    assert second.split() == ["e", "80/100", f"{1 / 81:.4g}", "7", "20", "1", "s", "seed=4"]


def test_the_live_display_is_never_higher_or_wider_than_the_terminal(tmp_path):
    names = [f"run{k:02}" for k in range(30)]
    sweep = folders.sweep(tmp_path, {name: [f"seed={k}", "x" * 200] for k, name in enumerate(names)})
    sweep.runs["run00"].append("y" * 200)
    for name in names:
        folders.running(tmp_path, name)
    lines = picture(sweep, width=80, height=12).splitlines()
    assert len(lines) <= 11
    assert max(map(len, lines)) <= 80
    assert lines[-1].strip() == "... and 23 more"
    assert all(name in line for name, line in zip(names, lines[3:-1], strict=False))


def test_the_total_counts_every_run_and_lists_those_to_be_tried_again(tmp_path, capsys):
    sweep = folders.sweep(tmp_path, seeds("a", "b", "c", "d", "e", "f"))
    folders.done(tmp_path, "a", age=1000)
    folders.done(tmp_path, "b")
    folders.failed(tmp_path, "c", "MemoryError: of a kind")
    plant(folders.running(tmp_path, "d", step=40), pid=dead_pid())
    folders.running(tmp_path, "e")
    left = progress.total(sweep)
    total, failed, killed = capsys.readouterr().out.splitlines()
    counts = "1 done before, 1 failed, 1 killed, 1 missing, 1 running elsewhere, 1 stuck"
    assert re.fullmatch(rf"\S+: 6 runs in 1 min 0\d s: {counts}", total)
    assert failed == "FAILED  c  seed=2  MemoryError: of a kind"
    assert killed == "killed  d  seed=3  at step 40 of 100"
    assert [s.run for s in left] == ["c", "d", "f"]


def test_a_long_list_of_failures_is_cut_and_says_where_the_rest_is(tmp_path, capsys):
    sweep = folders.sweep(tmp_path, seeds(*(f"r{k}" for k in range(progress.MOST + 3))))
    for run in sweep.runs:
        folders.failed(tmp_path, run, "ValueError: no")
    progress.total(sweep)
    *_, last = capsys.readouterr().out.splitlines()
    assert last == f"... and 3 more: python -m experiments.status {sweep.name}"


def test_what_differs_between_the_runs_is_shown_and_nothing_else():
    runs = {"a": ["experiment=e", "cell=gru", "seed=0"], "b": ["experiment=e", "cell=gru", "seed=1"]}
    assert screen.labels(runs) == {"a": "seed=0", "b": "seed=1"}
    assert screen.labels({"a": runs["a"]}) == {"a": "cell=gru seed=0"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (80, "1 min 20 s"),
        (3600, "1 h 00 min"),
        (90000, "25 h 00 min"),
        (float("nan"), "?"),
    ],
)
def test_a_clock_is_read_by_people(seconds, text):
    assert screen.clock(seconds) == text


def test_what_ends_just_before_the_launcher_returns_is_still_shown(tmp_path, capsys):
    sweep = folders.sweep(tmp_path, seeds("a", "b"))
    with progress.watching(sweep):
        folders.done(tmp_path, "a", age=1)
        folders.done(tmp_path, "b")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{sweep.name}: 2 runs"
    assert [line[:5] for line in lines[1:]] == ["[1/2]", "[2/2]"]
    assert "progress" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), BrokenPipeError(32, "nobody reads")])
def test_a_display_that_breaks_costs_one_line_and_not_the_sweep(tmp_path, capsys, monkeypatch, error):
    def fall(*args):
        raise error

    monkeypatch.setattr(progress, "POLL", 0.01)
    monkeypatch.setattr(display.Lines, "__call__", fall)
    with progress.watching(folders.sweep(tmp_path, seeds("a"))):
        time.sleep(0.1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"progress is not shown any more ({type(error).__name__}: ")


def test_an_exception_of_the_launcher_goes_through_and_the_thread_ends(tmp_path):
    with pytest.raises(KeyboardInterrupt), progress.watching(folders.sweep(tmp_path, seeds("a"))):
        raise KeyboardInterrupt
    assert "progress" not in [thread.name for thread in threading.enumerate()]


PRETEND = """
import sys, time
from pathlib import Path
from experiments import progress
from tests.experiments import folders
folder = Path(sys.argv[1]) / "pretend"
progress.POLL = 0.05
runs = {"first": ["seed=0"], "second": ["seed=1"], "third": ["seed=2"]}
sweep = folders.sweep(folder, runs, age=0)
try:
    with progress.watching(sweep):
        folders.failed(folder, "first", "ValueError: [one] of them")
        folders.running(folder, "second", step=40)
        time.sleep(0.3)
        print("a word of the launcher", flush=True)
        time.sleep(float(sys.argv[2]))
finally:
    progress.total(sweep)
"""


def on_a_terminal(folder: Path, seconds: float, interrupt_at: str | None = None) -> str:
    """What a pseudo-terminal of 100 columns receives, if Ctrl-C is typed as soon as that text is seen."""
    leader, follower = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "24"}
    command = [sys.executable, "-c", PRETEND, str(folder), str(seconds)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=follower, stdout=follower, stderr=follower, start_new_session=True
    )
    os.close(follower)
    seen = b""
    try:
        while True:
            try:
                chunk = os.read(leader, 4096)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            seen += chunk
            if interrupt_at and interrupt_at.encode() in seen:
                process.send_signal(signal.SIGINT)
                interrupt_at = None
        process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    return seen.decode()


def test_on_a_terminal_the_display_changes_in_place_and_leaves_no_trace_but_the_lines(tmp_path):
    seen = on_a_terminal(tmp_path, 0.3)
    assert "\x1b[1A\x1b[2K" in seen  # it goes up and wipes what it drew
    assert re.search(r"second  40/100", seen)
    assert "FAILED  first  seed=0  ValueError: [one] of them" in seen
    assert "a word of the launcher\r\n" in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")  # the cursor is back
    after = seen[seen.rindex("\x1b[2K") :]
    assert "pretend: 3 runs in" in after  # below a wiped display
    assert "\x1b[" not in after.removeprefix("\x1b[2K")


def test_ctrl_c_leaves_the_terminal_whole(tmp_path):
    seen = on_a_terminal(tmp_path, 60, interrupt_at="a word of the launcher")
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")
    assert seen.index("pretend: 3 runs in") > seen.rindex("\x1b[2K")
    assert "KeyboardInterrupt" in seen


class Moment:
    """A measurement of a training run."""

    def __init__(self, step: int, outcome: str | None = None) -> None:
        self.step, self.outcome = step, outcome
        self.scalars = {"train/loss": 0.5, "grad/norm": 2.0, "validation/error": 0.25}


def test_a_single_run_says_now_and_then_how_it_gets_on(capsys, monkeypatch):
    now = iter([0.0, 1.0, 6.0, 7.0, 8.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    with progress.Ticker(100, first=30) as tick:
        for step in (40, 60, 70):
            tick(Moment(step))
        tick(Moment(78, "stuck"))  # the end, because there was a line before
    assert capsys.readouterr().out.splitlines() == [
        "  goes on at step 30/100",
        "  step 60/100  loss 0.5  validation error 0.250  gradient norm 2  5.0 steps/s, 8 s left",
        "  step 78/100  loss 0.5  validation error 0.250  gradient norm 2  6.0 steps/s, 4 s left",
    ]


def test_a_run_of_a_sweep_says_nothing_itself(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    for sweep in (False, True):
        monkeypatch.setattr(progress, "in_sweep", lambda sweep=sweep: sweep)
        with progress.Ticker(100) as tick:
            tick(Moment(10))
        assert (capsys.readouterr().out == "") == sweep


def test_a_sweep_of_many_runs_is_looked_at_less_often(tmp_path, monkeypatch):
    looks = []

    def slowly(*args):
        looks.append(time.monotonic())
        time.sleep(0.05)

    monkeypatch.setattr(progress, "POLL", 0.01)
    monkeypatch.setattr(progress, "SHARE", 10.0)
    monkeypatch.setattr(display.Lines, "__call__", slowly)
    with progress.watching(folders.sweep(tmp_path, seeds("a"))):
        time.sleep(1.2)
    assert min(b - a for a, b in itertools.pairwise(looks[:-1])) > 0.5  # the last look is at the end
