"""The mirror shows what was logged, and no fault of W&B costs a run."""

import json
import logging
import math
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from experiments.mirror import Mirror
from experiments.schema import FLOOR, MAX_BINS, MAX_ROWS, binned, histograms, rows, title, until
from experiments.tracking import PATIENCE, NoTracker, Timed, Tracker, WandbTracker, marked
from tests.experiments.wandb_client import KEY, leet, nobody
from tests.experiments.wandb_server import serve

DONE = {"outcome": "solved", "steps": 20, "metrics": {"test/loss": 0.125}}


@pytest.fixture(autouse=True)
def monkeypatch(tmp_path) -> Iterator[pytest.MonkeyPatch]:
    with nobody(tmp_path / "home") as patch:
        yield patch


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "outputs" / "horizon" / "abc123"
    path.mkdir(parents=True)
    return path


def tracker(mode: str = "offline") -> WandbTracker:
    return WandbTracker(mode=mode, project="rnnlab", entity=None)


def profiles(steps: list[int], T: int = 7) -> dict[str, np.ndarray]:
    """Two series whose median decays by 0.1 decades per step of lag, scaled by the training step; zero at t = 0."""
    decay = -0.1 * np.arange(T)[::-1] - np.array(steps)[:, None, None, None] / 100
    log10_norm = np.broadcast_to(decay, (len(steps), 2, 3, T)) + np.array([-1, 0, 1])[:, None]
    log10_norm[..., 0] = -np.inf
    return {
        "step": np.array(steps),
        "layer": np.array([0, 1]),
        "direction": np.array(["forward", "backward"]),
        "part": np.array(["h", "c"]),
        "loss": np.array(["task", "last"]),
        "statistic": np.array(["q10", "q50", "q90"]),
        "time": np.arange(T),
        "log10_norm": log10_norm,
        "step_loss": np.tile(np.arange(T) / 10, (len(steps), 1)),
        "step_loss_time": np.arange(T),
    }


def run(mode: str, folder: Path) -> WandbTracker:
    """A run of 20 logged steps, each tenth probed."""
    ours = tracker(mode)
    ours.start(folder, "abc123", "horizon", {"seed": 0, "cell": {"hidden": 8}}, ["lstm"])
    for step in range(20):
        loss = math.inf if step == 3 else 1 / (step + 1)
        ours.log({"step": step, "train/loss": loss}, profiles([step]) if step % 10 == 0 else None)
    ours.finish(DONE, table=profiles([0, 10]))
    return ours


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings of the tracker; W&B's own log goes to its own files."""
    ours = [record for record in caplog.records if record.name == "experiments.tracking"]
    assert all(record.levelno == logging.WARNING for record in ours)
    return [record.message for record in ours]


def test_an_offline_run_reads_back_as_it_was_logged(folder, capfd):
    run("offline", folder)
    found = leet(folder)
    *logged, last = found.history
    assert [row["train/step"] for row in logged] == list(range(20))
    losses = [float(row["train/loss"]) for row in logged]
    assert losses == [math.inf if step == 3 else 1 / (step + 1) for step in range(20)]
    probed = [step for step, row in enumerate(logged) if any(key.startswith("grad/profile/") for key in row)]
    assert probed == [0, 10]
    heights = [0, *(-0.1 * np.arange(7)[::-1] - 0.1 - FLOOR)[1:]]
    assert logged[10]["grad/profile/L0/forward/h.values"] == pytest.approx(heights, abs=1e-9)
    assert logged[10]["grad/profile/L0/forward/h.bins"] == [t - 0.5 for t in range(8)]
    assert "grad/profile/L1/backward/c/last.values" in logged[10]
    assert logged[10]["loss/profile.values"] == pytest.approx(np.arange(7) / 10)
    assert last["grad/profiles.nrows"] == 2 * 2 * 7
    assert found.config == {"seed": 0, "cell": {"hidden": 8}}
    about = {"project": "rnnlab", "run_id": "abc123", "run_group": "horizon", "tags": ["lstm"]}
    assert found.run.items() >= {**about, "display_name": "seed=0"}.items()
    assert (found.exit_code, found.summary["outcome"], found.summary["test/loss"]) == (0, "solved", 0.125)
    assert marked(folder) == "offline"
    assert capfd.readouterr() == ("", "")


def test_tables_and_pictures_stay_in_the_run_folder(folder, tmp_path):
    import matplotlib.image

    picture = tmp_path / "figure.png"
    matplotlib.image.imsave(picture, np.random.default_rng(0).random((8, 8)))
    ours = tracker()
    ours.start(folder, "abc123", "horizon", {})
    ours.finish(DONE, table=profiles([0, 10]), figure=lambda: picture)
    (table,) = folder.glob("wandb/offline-run-*/files/media/table/grad/*.json")
    assert json.loads(table.read_text())["data"][:2] == [[0, "L0/forward/h", 0.0, None], [0, "L0/forward/h", 1.0, -0.5]]
    assert len(list(folder.glob("wandb/offline-run-*/files/media/images/*.png"))) == 1
    assert {path.name for path in folder.iterdir()} == {"wandb", "wandb.json"}
    assert not (tmp_path / "home" / ".local").exists()


def test_an_online_run_reaches_the_server_and_a_rerun_of_the_same_id_starts_anew(folder, monkeypatch, caplog, capfd):
    with serve() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        run("online", folder)
        first = list(server.history["abc123"])
        run("online", folder)
    assert server.runs["abc123"]["groupName"] == "horizon"
    assert server.runs["abc123"]["tags"] == ["lstm"]
    assert [row["train/step"] for row in first] == [*range(20), 19]  # the table stands at the last step
    again = server.history["abc123"][len(first) :]
    assert [row["_step"] for row in again] == [row["_step"] for row in first] == list(range(21))
    assert first[10]["grad/profile/L0/forward/h"]["_type"] == "histogram"
    assert server.summary["abc123"]["outcome"] == "solved"
    assert server.exit_codes == {"abc123": 0}
    assert marked(folder) == "online"
    assert json.loads((folder / "wandb.json").read_text())["url"].endswith("/team/rnnlab/runs/abc123")
    assert (said(caplog), capfd.readouterr()) == ([], ("", ""))


def test_online_without_a_key_is_offline_and_says_so_once(folder, monkeypatch, caplog, capfd):
    with serve() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        run("online", folder)
    assert said(caplog) == ["W&B cannot be reached (ConnectionError: no API key): it goes on offline"]
    assert len(leet(folder).history) == 21
    assert server.runs == {}
    assert capfd.readouterr() == ("", "")


def test_online_without_a_server_is_offline_and_waits_and_says_so_once_for_many_runs(tmp_path, monkeypatch, caplog):
    """The server takes the connection and never answers, which is the slowest way to be away."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "1")  # of the 10 s that it is given else
        ours, waits = tracker("online"), []
        for name in ("one", "two", "three"):
            (tmp_path / name).mkdir()
            started = time.monotonic()
            ours.start(tmp_path / name, name, "horizon", {})
            waits.append(time.monotonic() - started)
            ours.log({"step": 0})
            ours.finish(DONE)
    (line,) = said(caplog)
    assert "cannot be reached" in line
    assert waits[0] > 1 > max(waits[1:])
    for name in ("one", "two", "three"):
        assert marked(tmp_path / name) == "offline"
    assert len(leet(tmp_path / "three").history) == 1


def test_the_time_to_find_out_is_bounded(monkeypatch):
    """Log-in takes what it takes, at most 10 s; the rest of the patience is what the start of the run gets."""
    ours, clock, given = tracker("online"), [0.0], []
    monkeypatch.setattr("experiments.tracking.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(ours, "_login", lambda: clock.__setitem__(0, 10.0))
    monkeypatch.setattr(ours, "_init", lambda **what: given.append(what.get("init_timeout")) or 1 / 0)
    ours.start(Path(), "abc123", "horizon", {})
    assert given == [PATIENCE - 10, None]
    assert 10 + given[0] <= 15


def test_a_run_that_fails_is_failed_in_wandb(folder):
    ours = Timed(tracker())
    with pytest.raises(RuntimeError, match="the probe"), ours:
        ours.start(folder, "abc123", "horizon", {})
        ours.log({"step": 0, "train/loss": 0.5})
        raise RuntimeError("the probe fell over\nlater")
    found = leet(folder)
    assert (found.exit_code, found.summary["outcome"]) == (1, "failed")
    assert found.summary["error"] == "RuntimeError: the probe fell over"
    assert found.summary["train/loss"] == 0.5
    assert marked(folder) is None
    assert ours.seconds > 0


@pytest.mark.parametrize(
    "fault",
    ["wandb.setup", "wandb.init", "wandb.Histogram", "wandb.Table.__init__", "wandb.Run.log", "wandb.Run.finish"],
)
def test_no_fault_of_wandb_costs_a_run(folder, monkeypatch, caplog, fault):
    def broken(*_, **__):
        raise RuntimeError(f"{fault} is broken\nin two lines")

    with monkeypatch.context() as patch:
        patch.setattr(fault, broken)
        run("offline", folder)
    (line,) = said(caplog)
    assert line.endswith(f"(RuntimeError: {fault} is broken): the run goes on without it")
    assert marked(folder) is None


def test_a_picture_that_cannot_be_drawn_costs_neither_the_run_nor_the_summary(folder, caplog):
    def draw() -> Path:
        raise ZeroDivisionError("no axis")

    ours = tracker()
    ours.start(folder, "abc123", "horizon", {})
    ours.finish(DONE, table=profiles([0]), figure=draw)
    assert said(caplog) == [f"{folder}: no picture for W&B (ZeroDivisionError: no axis)"]
    found = leet(folder)
    assert (found.summary["outcome"], found.exit_code) == ("solved", 0)


def test_a_missing_wandb_costs_no_run(folder, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "wandb", None)
        run("offline", folder)
    (line,) = said(caplog)
    assert "ModuleNotFoundError" in line


def test_runs_in_one_process_do_not_mix_and_one_without_an_end_is_failed(tmp_path):
    ours = tracker()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        ours.start(tmp_path / name, name, "horizon", {})
        ours.log({"step": 0, "of": name})
        if name == "two":
            ours.finish(DONE)
    found = [leet(tmp_path / name) for name in ("one", "two")]
    assert [[row["of"] for row in run.history] for run in found] == [["one"], ["two"]]
    assert [run.exit_code for run in found] == [1, 0]


def test_long_profiles_are_binned_and_keep_their_sum():
    long = profiles([0], T=1000)
    heights, edges = histograms(long)["grad/profile/L1/backward/c/last"]
    assert (len(heights), len(edges)) == (MAX_BINS, MAX_BINS + 1)
    assert (edges[0], edges[-1]) == (-0.5, 999.5)
    assert heights @ np.diff(edges) == pytest.approx(np.maximum(long["log10_norm"][0, 1, 1] - FLOOR, 0).sum())


@pytest.mark.parametrize(("steps", "T"), [(1, 5), (3, 100), (500, 200), (40, 5000)])
def test_the_table_is_small_and_has_the_first_and_the_last_step(steps, T):
    table = rows(profiles(list(range(steps)), T=T))
    assert len(table) <= MAX_ROWS
    assert len(table) > MAX_ROWS / 3 or len(table) == steps * 2 * T
    assert {table[0][0], table[-1][0]} == {0, steps - 1}
    assert all(value is None or math.isfinite(value) for *_, value in table)
    json.dumps(table, allow_nan=False)


def test_bins_of_one_step_change_nothing():
    values, edges = binned(np.array([3.0, 1.0, 2.0]), np.array([-1, 0, 1]), most=3)
    assert values.tolist() == [3, 1, 2]
    assert edges.tolist() == [-1.5, -0.5, 0.5, 1.5]


def test_no_tracker_says_and_writes_nothing(folder):
    none = NoTracker()
    none.start(folder, "abc123", "horizon", {})
    none.log({"step": 0}, profiles([0]))
    none.finish(DONE, table=profiles([0]))
    assert list(folder.iterdir()) == []
    for kind in (none, tracker(), Timed(none), Mirror(mode="offline", project="rnnlab", entity=None)):
        assert isinstance(kind, Tracker)


@pytest.mark.parametrize("kind", [WandbTracker, Mirror])
def test_an_unknown_mode_is_refused(kind):
    with pytest.raises(ValueError, match="offline or online, got 'sometimes'"):
        kind(mode="sometimes", project="rnnlab", entity=None)


def test_the_profiles_until_a_step_end_with_it():
    some = until(profiles([0, 5, 10]), 5)
    assert some["step"].tolist() == [0, 5]
    assert (len(some["log10_norm"]), len(some["step_loss"]), len(some["time"])) == (2, 2, 7)
    assert until(profiles([0, 5, 10]), 7) is None
    assert until({}, 0) is None


def test_a_title_says_what_runs_differ_in():
    config = {
        "seed": 3,
        "cell": {"_target_": "rnnlab.cells.lstm.LSTM"},
        "task": {"_target_": "rnnlab.tasks.adding.Adding", "length": 50},
        "network": {"depth": 2, "direction": "forward"},
        "init": {"_target_": "rnnlab.inits.orthogonal_", "gain": 1.0},
    }
    assert title(config) == "lstm adding T=50 depth=2 forward orthogonal seed=3"
    assert title({"seed": 0, "task": {"_target_": "mine.Xor"}}) == "xor seed=0"
    assert title({}) == ""
