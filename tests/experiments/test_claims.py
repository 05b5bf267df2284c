"""One claim at a time on a run folder, over processes, hosts and kills."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from experiments import claims
from experiments.claims import Busy
from tests.experiments.holders import dead_pid, plant, start

RIVAL = """
import sys, time
from pathlib import Path
from experiments.claims import Busy, Claim
held = []
for round_ in sorted(Path(sys.argv[1]).iterdir()):
    while time.time() < float(round_.name):
        pass
    try:
        held.append(Claim(round_))
        print(round_.name, flush=True)
    except Busy:
        pass
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("changes", "age", "free"),
    [
        ({}, 0, False),
        ({}, 10**4, False),  # this host is asked about the process, however old the sign of life
        ({"pid": -1}, 0, True),
        ({"born": "1"}, 0, True),  # the pid is alive but belongs to a younger process
        ({"host": "elsewhere"}, 0, False),
        ({"host": "elsewhere"}, 290, False),
        ({"host": "elsewhere"}, 310, True),
        ({"boot": "another container"}, 0, False),  # same name, but its pids are not ours
        ({"boot": "another container"}, 310, True),
    ],
)
def test_when_a_claim_is_free(tmp_path, changes, age, free):
    if "pid" in changes:
        changes = {"pid": dead_pid()}
    plant(tmp_path, age, **changes)
    if free:
        claims.Claim(tmp_path).release()
        assert list(tmp_path.iterdir()) == []
    else:
        with pytest.raises(Busy):
            claims.Claim(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["running.json"]


def test_of_several_that_take_over_a_dead_claim_one_wins(tmp_path):
    pid = dead_pid()
    begin = time.time() + 3  # the rivals import meanwhile
    names = [f"{begin + 0.01 * k:.3f}" for k in range(100)]
    for name in names:
        plant(tmp_path / name, pid=pid)
    rivals = [start(RIVAL, tmp_path) for _ in range(3)]
    time.sleep(max(0, begin + 2 - time.time()))
    won = [line for rival in rivals for line in rival.communicate()[0].split()]
    assert sorted(won) == names


def test_two_that_judge_the_same_claim_dead_at_the_same_time_do_not_both_win(tmp_path, monkeypatch):
    def slowly(*args):
        time.sleep(0.3)  # wide enough for the other one to come to the same verdict, if it may look now
        return judge(*args)

    judge = claims._alive
    monkeypatch.setattr(claims, "_alive", slowly)
    plant(tmp_path, pid=dead_pid())
    with ThreadPoolExecutor(2) as pool:
        attempts = [pool.submit(claims.Claim, tmp_path) for _ in range(2)]
        (lost,) = [attempt for attempt in attempts if attempt.exception()]
    (won,) = [attempt for attempt in attempts if attempt is not lost]
    assert isinstance(lost.exception(), Busy)
    won.result().release()
    assert list(tmp_path.iterdir()) == []


def test_a_holder_refreshes_its_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "REFRESH", 0.01)
    held = claims.Claim(tmp_path)
    path = tmp_path / "running.json"
    os.utime(path, (0, 0))
    until = time.monotonic() + 10
    while path.stat().st_mtime == 0 and time.monotonic() < until:
        time.sleep(0.01)
    assert abs(path.stat().st_mtime - time.time()) < 10
    held.release()
