"""A checkpoint is used if it is whole and of this very code; else one line says why, and the run starts anew."""

import contextlib
import math
import os
import re
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import provenance, records
from experiments.checkpoints import Kept
from experiments.records import Busy, Record, finished
from tests.experiments.test_records import CONFIG, open_record, rows

STATE = {"step": 2, "network": {"W": torch.eye(3)}}


def interrupted(folder: Path, **changes: object) -> None:
    """A run killed two lines and a half after its checkpoint at step 2."""
    with contextlib.suppress(KeyboardInterrupt), open_record(folder, **changes) as record:
        for step in range(4):
            if step == 2:
                record.checkpoint(STATE, seconds=1.5, axes=["part"], probed=1)
            record.scalars({"step": step, "seconds": step / 2, "train/loss": math.inf})
            if step in (0, 2):
                record.profiles(
                    {"step": np.arange(0, step + 1, 2), "part": np.array(["h"]), "g": np.ones((1 + step // 2, 5))}
                )
        with (folder / "scalars.jsonl").open("ab") as file:
            file.write(b'{"step": 4, "tra')
        raise KeyboardInterrupt


def test_what_came_before_the_checkpoint_is_kept_and_the_rest_is_cut(tmp_path):
    interrupted(tmp_path)
    assert len(rows(tmp_path)) == 4
    for _ in range(2):  # a kill right after the cut: it is the same once more
        with contextlib.suppress(KeyboardInterrupt), open_record(tmp_path) as record:
            kept = record.kept
            assert (kept.state["step"], kept.seconds, list(kept.axes)) == (2, 1.5, ["part"])
            assert torch.equal(kept.state["network"]["W"], torch.eye(3))
            assert kept.lines == (tmp_path / "scalars.jsonl").read_bytes()
            assert {name: v.tolist() for name, v in kept.arrays.items()} == {
                "step": [0],
                "part": ["h"],
                "g": [[1.0] * 5],
            }
            assert [row["step"] for row in rows(tmp_path)] == [0, 1]
            assert np.load(tmp_path / "profiles.npz")["g"].shape == (1, 5)
            assert not (tmp_path / "failed.json").exists()
            raise KeyboardInterrupt


def test_one_who_was_taken_over_does_not_write_into_the_lines_that_are_kept(tmp_path):
    interrupted(tmp_path)
    with (tmp_path / "scalars.jsonl").open("ab", buffering=0) as late, open_record(tmp_path) as record:
        late.write(b'{"step": 3, "train/loss": 7}\n')
        record.scalars({"step": 2})
        assert [row["step"] for row in rows(tmp_path)] == [0, 1, 2]


def torn(folder: Path) -> None:
    os.truncate(folder / "checkpoint.pt", (folder / "checkpoint.pt").stat().st_size // 2)


def empty(folder: Path) -> None:
    os.truncate(folder / "checkpoint.pt", 0)


def garbage(folder: Path) -> None:
    (folder / "checkpoint.pt").write_bytes(b"not a checkpoint at all" * 100)


def unsafe(folder: Path) -> None:
    torch.save({"identity": Path("runs code when it is read")}, folder / "checkpoint.pt")


def other_file(folder: Path) -> None:
    torch.save({"W": torch.eye(2)}, folder / "checkpoint.pt")


def lines_lost(folder: Path) -> None:
    (folder / "scalars.jsonl").unlink()


def lines_cut(folder: Path) -> None:
    (folder / "scalars.jsonl").write_bytes((folder / "scalars.jsonl").read_bytes().splitlines(keepends=True)[0])


def profiles_lost(folder: Path) -> None:
    (folder / "profiles.npz").unlink()


@pytest.mark.parametrize("damage", [torn, empty, garbage, unsafe, other_file, lines_cut, lines_lost, profiles_lost])
def test_a_checkpoint_that_cannot_be_used_is_dropped_with_a_line(tmp_path, caplog, damage):
    interrupted(tmp_path)
    damage(tmp_path)
    with open_record(tmp_path) as record:
        assert record.kept == Kept()
        assert {path.name for path in tmp_path.iterdir()} == {"running.json", "config.json", "scalars.jsonl"}
        assert rows(tmp_path) == []
    (said,) = caplog.messages
    reason = r"(it cannot be read: \w+|the record beside it is shorter than it was)"
    assert re.search(rf"checkpoint\.pt is of no use, the run starts anew: {reason}$", said)


def test_a_disk_that_cannot_be_read_now_costs_no_checkpoint(tmp_path, monkeypatch):
    interrupted(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", lambda *_, **__: (_ for _ in ()).throw(OSError("stale file handle")))
        with pytest.raises(OSError, match="stale"):
            open_record(tmp_path)
    with open_record(tmp_path) as record:
        assert record.kept.state["step"] == 2


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"seed": 1}, "its run is aa6a3773232b, now it is [0-9a-f]{12}"),
        ({"torch": "1.9.0"}, r"its torch is 2\.[^ ]+, now it is 1\.9\.0"),
        ({"code": "abc"}, "its code is [0-9a-f]{12}, now it is abc"),
        ({"device": "cuda"}, "its device is cpu, now it is cuda"),
        ({"loops": "compiled"}, "its loops is python, now it is compiled"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_a_checkpoint_of_other_numbers_is_dropped_with_a_line(tmp_path, caplog, monkeypatch, changes, line):
    interrupted(tmp_path)
    if "torch" in changes:
        monkeypatch.setattr(records, "versions", lambda: changes)
    if "code" in changes:
        monkeypatch.setattr(records, "sources", lambda config: changes["code"])
    given = {name: changes[name] for name in ("device", "loops") if name in changes}
    config = {**CONFIG, "seed": changes.get("seed", 0)}
    with Record.open(tmp_path, config, name="horizon", scale="smoke", **given) as record:
        assert record.kept == Kept()
        assert rows(tmp_path) == []
    assert not (tmp_path / "checkpoint.pt").exists()
    (said,) = caplog.messages
    assert re.search(line, said)


def test_a_disk_without_room_costs_a_warning_and_keeps_the_old_checkpoint(tmp_path, caplog):
    """A real limit: no file may grow beyond 10 kB."""
    interrupted(tmp_path)
    before, limits = (tmp_path / "checkpoint.pt").read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_record(tmp_path) as record:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
            record.checkpoint({**STATE, "more": torch.ones(100_000)}, seconds=2.0, axes=[], probed=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        record.scalars({"step": 2})
        assert not list(tmp_path.glob("*.part"))
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    (said,) = caplog.messages
    assert re.search(r"checkpoint\.pt was not written, the run goes on without it: .*File too large$", said)
    with open_record(tmp_path) as record:
        assert record.kept.state["step"] == 2


def test_the_checkpoint_of_a_done_run_is_dropped_even_if_a_kill_comes_between(tmp_path, monkeypatch):
    interrupted(tmp_path)
    checkpoint = tmp_path / "checkpoint.pt"
    with open_record(tmp_path) as record:
        left = checkpoint.read_bytes()
        record.done("stuck", steps=3, metrics={}, wall_seconds=2.0)
        assert not checkpoint.exists()
        checkpoint.write_bytes(left)  # as a kill in front of its removal would have it
    with pytest.raises(Busy, match="nothing is trained again"):
        open_record(tmp_path)
    assert finished(tmp_path)
    assert not checkpoint.exists()


def test_the_checkpoint_is_there_until_the_mark_is(tmp_path, monkeypatch):
    interrupted(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"), open_record(tmp_path) as record:
        patch.setattr(records, "replace_json", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        record.done("stuck", steps=3, metrics={}, wall_seconds=2.0)
    assert not finished(tmp_path)
    assert (tmp_path / "checkpoint.pt").exists()


def test_the_code_of_a_run_is_rnnlab_and_what_the_user_wrote(tmp_path, monkeypatch):
    def code() -> str:
        provenance._digest.cache_clear()  # another process
        return provenance.sources({"task": CONFIG, "cell": {"_target_": "mine.cells.Cell", "list": [{"a": 1}]}})

    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "cells.py").write_text("")
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    first = code()
    (folder / "notes.txt").write_text("no code")
    assert code() == first
    assert provenance.sources(CONFIG) != first
    (folder / "helper.py").write_text("gain = 2")
    second = code()
    assert second != first
    monkeypatch.setattr(Path, "read_bytes", lambda self, read=Path.read_bytes: read(self) + b" ")
    assert code() != second  # of our own files, too
    provenance._digest.cache_clear()
