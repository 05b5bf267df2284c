"""Runs that are sent after the fact: all of the record arrives, once, and it is what a live tracker sends."""

import json
import math
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from experiments import replay, run
from experiments.schema import LONGEST, STEP, number
from experiments.tracking import WandbTracker, marked
from rnnlab import kernels
from tests.experiments.wandb_client import KEY, leet, nobody, offline_run, wandb_command
from tests.experiments.wandb_server import Server, serve

CONF = Path(__file__).parents[2] / "conf"
TINY = ["name=tiny", "task.length=12", "network.hidden=4", "batch=3", "held_out=8", "evaluate_every=5", "steps=10"]
LIVE = {"_target_": "experiments.tracking.WandbTracker", "mode": "offline", "project": "rnnlab", "entity": None}
RUNS = [
    ["cell=lstm", "network.depth=2", "network.direction=bidirectional"],
    ["task=copying"],
    ["optimizer=sgd", "optimizer.lr=1e30", "clip=none"],
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Three finished runs, tracked in this process: many series, a loss at many steps, one that diverges."""
    outputs = tmp_path_factory.mktemp("trained")
    kernels.available()  # compiled once, in the home of the user
    with nobody(outputs / "home"), initialize_config_dir(str(CONF), version_base="1.3"):
        for overrides in RUNS:
            cfg = compose("train", [*TINY, *overrides])
            cfg.paths.outputs, cfg.tracker = str(outputs), LIVE
            done = run.run(cfg)
            assert 0 < done["tracker_seconds"] < done["wall_seconds"]
    return outputs


@pytest.fixture
def outputs(trained, tmp_path, monkeypatch) -> Iterator[Path]:
    """A copy of them, and a W&B that nobody has used."""
    shutil.copytree(trained, tmp_path / "outputs", symlinks=True)
    with nobody(tmp_path / "home"):
        yield tmp_path / "outputs"


@pytest.fixture
def server(outputs, monkeypatch) -> Iterator[Server]:
    with serve() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield server


def runs(outputs: Path) -> list[Path]:
    return sorted(path.parent for path in outputs.glob("tiny/*/done.json"))


def recorded(folder: Path) -> list[dict]:
    """What `scalars.jsonl` holds, in W&B's words."""
    rows = [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]
    rows = [{STEP if key == "step" else key: number(value) for key, value in row.items()} for row in rows]
    for row in rows:
        if horizons := [value for key, value in row.items() if key.endswith("/horizon")]:
            row[LONGEST] = max((value for value in horizons if value == value), default=math.nan)
    return rows


def scalars(row: dict) -> dict:
    """The numbers of a row of W&B's history, without what W&B adds and what is not a number."""
    own = {key: value for key, value in row.items() if not key.startswith("_") and "/profile" not in key}
    return {key: float(value) for key, value in own.items()}


def same(found: dict, wanted: dict) -> bool:
    """Value for value, where nan is nan."""
    return {k: repr(float(v)) for k, v in found.items()} == {k: repr(float(v)) for k, v in wanted.items()}


def check(server: Server, folder: Path) -> None:
    """What arrived is what the folder says."""
    about, done = (json.loads((folder / name).read_text()) for name in ("config.json", "done.json"))
    run, rows = server.runs[folder.name], server.history[folder.name]
    assert (run["groupName"], run["tags"]) == ("tiny", ["laptop"])
    assert server.config(folder.name) == about["config"]
    wanted = recorded(folder)
    assert all(same(scalars(found), row) for found, row in zip(rows, wanted, strict=False))
    assert len(rows) == len(wanted) + 1  # the table
    assert "grad/profiles" in rows[-1]
    probed = [row[STEP] for row in rows if any(key.startswith("grad/profile/") for key in row)]
    assert probed == [row[STEP] for row in wanted if any(key.endswith("/log10_ratio") for key in row)]
    summary = server.summary[folder.name]
    flat = {key: value for key, value in done.items() if key not in ("metrics", "predicted")} | done["metrics"]
    assert summary["outcome"] == flat.pop("outcome")
    assert same({key: summary[key] for key in flat}, flat)
    assert server.exit_codes[folder.name] == 0


def test_what_arrives_is_the_record_value_for_value_and_arrives_once(outputs, server, capfd):
    assert replay.main(["tiny", "--online", "--outputs", str(outputs)]) == 0
    for folder in runs(outputs):
        check(server, folder)
        assert marked(folder) == "online"
    assert {server.summary[folder.name]["outcome"] for folder in runs(outputs)} == {"stuck", "diverged"}
    out, err = capfd.readouterr()
    assert out.splitlines()[0] == "3 finished runs, 0 of them sent before"
    assert re.fullmatch(r"\[3/3\] [0-9a-f]{12} online", out.splitlines()[-1])
    assert err == ""
    sent = json.dumps(server.history)
    assert replay.main(["tiny", "--online", "--outputs", str(outputs)]) == 0
    assert capfd.readouterr().out == "3 finished runs, 3 of them sent before\n"
    assert json.dumps(server.history) == sent


def test_a_run_that_fails_is_failed_in_wandb(tmp_path):
    def fall(*_) -> None:
        raise RuntimeError("it fell over")

    kernels.available()
    with nobody(tmp_path / "home") as patch, initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*TINY, f"paths.outputs={tmp_path}"])
        cfg.tracker = LIVE
        patch.setattr(run, "evaluate", fall)
        with pytest.raises(RuntimeError, match="it fell over"):
            run.run(cfg)
        (folder,) = tmp_path.glob("tiny/*")
        found = leet(folder)
    assert (found.exit_code, found.summary["error"]) == (1, "RuntimeError: it fell over")
    assert len(found.history) == len(recorded(folder)) > 0
    assert marked(folder) is None


def told(folder: Path) -> list:
    """All that the offline run of the folder holds, without times and the random names of W&B's files."""
    of_own = {"_timestamp", "_runtime", "_wandb.runtime", "start_time", "runtime"}

    def own(value: object) -> object:
        if isinstance(value, dict):
            return {k: own(v) for k, v in value.items() if k not in of_own and "artifact_path" not in k}
        return value

    return [
        (kind, own(value))
        for kind, value in leet(folder).records
        if kind in ("run", "metric", "history", "summary", "exit")
    ]


def test_a_replay_tells_all_that_the_live_tracker_told(outputs):
    live = [told(folder) for folder in runs(outputs)]
    assert [marked(folder) for folder in runs(outputs)] == ["offline"] * 3
    for folder in runs(outputs):
        replay.replay(folder, WandbTracker(mode="offline", project="rnnlab", entity=None))
    for folder, before in zip(runs(outputs), live, strict=True):
        assert told(folder) == before
        assert [kind for kind, _ in before].count("history") == len(recorded(folder)) + 1


def test_an_interrupted_replay_goes_on_where_it_was(outputs, server, monkeypatch):
    drawn = []

    def interrupt(folder, done):
        drawn.append(folder)
        if len(drawn) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(replay, "drawing", interrupt)
        assert replay.main(["tiny", "--online", "--outputs", str(outputs)]) == 130
    assert [marked(folder) for folder in runs(outputs)] == ["online", None, "offline"]
    first = len(server.history[runs(outputs)[0].name])
    assert replay.main(["tiny", "--online", "--outputs", str(outputs)]) == 0
    assert [marked(folder) for folder in runs(outputs)] == ["online"] * 3
    assert len(server.history[runs(outputs)[0].name]) == first


def test_without_a_server_nothing_counts_as_sent_and_the_next_call_sends_it(outputs, server, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        patch.delenv("WANDB_API_KEY")
        assert replay.main(["tiny", "--online", "--outputs", str(outputs)]) == 1
    out, err = capfd.readouterr()
    assert err.splitlines()[-1].startswith("error: ")
    assert "the same command goes on from here" in err
    assert (server.runs, len(out.splitlines())) == ({}, 1)
    assert replay.main([str(runs(outputs)[0]), "--online"]) == 0
    check(server, runs(outputs)[0])
    assert len(server.runs) == 1


def test_without_online_the_runs_are_written_offline_and_those_that_are_stay(outputs, capfd):
    first, *others = runs(outputs)
    for folder in others:
        shutil.rmtree(folder / "wandb")
        (folder / "wandb.json").unlink()
    before = offline_run(first)
    assert replay.main(["tiny", "--outputs", str(outputs)]) == 0
    assert "3 finished runs, 1 of them sent before" in capfd.readouterr().out
    assert offline_run(first) == before
    for folder in others:
        assert len(leet(folder).history) == len(recorded(folder)) + 1


@pytest.mark.parametrize("name", ["config.json", "profiles.npz", "scalars.jsonl"])
def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_sent(outputs, server, capfd, name):
    first, *others = runs(outputs)
    (first / name).write_bytes(b"{torn\n")
    assert replay.main(["tiny", "--online", "--outputs", str(outputs)]) == 1
    assert f"error: {first} cannot be read (" in capfd.readouterr().err
    assert [marked(folder) for folder in runs(outputs)] == [None, "online", "online"]
    assert server.exit_codes.get(first.name) in (None, 1)
    for folder in others:
        check(server, folder)


def test_wandb_sync_sends_an_offline_run_as_it_is(outputs, server):
    for folder in runs(outputs):
        wandb_command("sync", offline_run(folder))
        check(server, folder)


def test_a_run_that_goes_on_is_read_as_far_as_it_is_written(outputs, tmp_path):
    source, folder = max(runs(outputs), key=lambda folder: len(recorded(folder))), tmp_path / "growing"
    folder.mkdir()
    reader = replay.Reader(folder)
    assert list(reader.rows()) == []
    shutil.copy(source / "profiles.npz", folder)
    lines = (source / "scalars.jsonl").read_bytes().splitlines(keepends=True)
    with (folder / "scalars.jsonl").open("wb", buffering=0) as file:
        file.write(b"".join(lines[:3]) + lines[3][:20])
        assert [row["step"] for row, _ in reader.rows(last=1)] == [0, 1]
        assert [row["step"] for row, _ in reader.rows()] == [2]
        file.write(lines[3][20:])
        ((row, profiles),) = reader.rows()
    assert row == {key: number(value) for key, value in json.loads(lines[3]).items()}  # "inf" is a number
    assert row["step"] == 5
    assert profiles["step"].tolist() == [0, 1, 2, 5]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "replay: there are no runs in OUTPUTS/nothing: there is failing, tiny\n"),
        ("empty", "replay: there are no runs in OUTPUTS/empty: there is failing, tiny\n"),
        ("failing", "replay: OUTPUTS/failing has no finished run\n"),
        ("OUTPUTS/failing/a", "replay: OUTPUTS/failing/a is not finished\n"),
        ("--onlin nothing", None),
    ],
)
def test_wrong_input_is_one_line_that_says_what_there_is(outputs, name, message, capfd, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["replay.py"])  # as python -m has it
    (outputs / "empty").mkdir(exist_ok=True)
    (outputs / "failing" / "a").mkdir(parents=True, exist_ok=True)
    (outputs / "failing" / "a" / "config.json").write_text("{}")
    with pytest.raises(SystemExit) as stop:
        replay.main([*name.replace("OUTPUTS", str(outputs)).split(), "--outputs", str(outputs)])
    assert stop.value.code == 2
    err = capfd.readouterr().err
    assert message is None or err == message.replace("OUTPUTS", str(outputs))
    assert len(err.splitlines()) == 1
