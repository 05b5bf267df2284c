"""From run folders to the payload: against the folders' own files, read again, torn, mixed and absent."""

import base64
import json
import os
import time

import numpy as np
import pytest

from analysis.dashboard import __main__ as command
from analysis.dashboard import one
from analysis.dashboard.collect import Collector
from analysis.dashboard.one import POINTS, thinned
from analysis.folders import FILES


def collected(folder, **options):
    collector = Collector(folder, **options)
    collector.refresh()
    return collector.payload()


def by_id(payload):
    return {run["run"]: run for run in payload["runs"]}


def refuse_constants(_):
    raise AssertionError("not JSON")


@pytest.fixture
def sweep(tmp_path, fabricate):
    """Two lengths, a seed each: one forgets, one remembers; an LSTM in both directions; one that has just begun."""
    folder = tmp_path / "sweep"
    fabricate.run(folder, "forgets", T=50, slopes=(-0.02, -0.5), outcome="stuck", error=0.9)
    fabricate.run(folder, "remembers", T=80, slopes=(-0.02, -0.01), seed=1, settings={"steps": 100})
    fabricate.run(folder, "wide", T=80, cell="lstm", direction="bidirectional", seed=2)
    path = fabricate.run(folder, "young", T=80, seed=3, outcome=None)
    (path / "running.json").write_text("{}")
    for name in ("scalars.jsonl", "profiles.npz"):
        (path / name).unlink()
    return folder


def test_axes_are_what_varies_and_common_is_what_does_not(sweep):
    found = collected(sweep)
    axes = {axis["name"]: axis for axis in found["axes"]}
    assert list(axes)[-1] == "seed"
    assert axes["task.length"] == {"name": "task.length", "label": "T", "numeric": True, "values": [50, 80]}
    assert axes["cell"] == {"name": "cell", "label": "cell", "numeric": False, "values": ["elman", "lstm"]}
    assert found["common"]["optimizer.lr"] == 0.001
    assert not set(found["common"]) & set(axes)
    for run in found["runs"]:
        config = json.loads((sweep / run["run"] / "config.json").read_text())["config"]
        settings = dict(zip(axes, run["settings"], strict=True))
        assert (settings["task.length"], settings["seed"]) == (config["task"]["length"], config["seed"])


def test_numbers_are_those_of_the_record(sweep):
    found = collected(sweep)
    assert (found["loss"], found["metric"]) == ("validation/loss", "validation/error")
    runs = by_id(found)
    forgets = runs["forgets"]
    assert (forgets["outcome"], forgets["loss"], forgets["metric"], forgets["T"]) == ("stuck", 0.9, 0.9, 50)
    assert (forgets["horizon"], forgets["censored"], forgets["decay"]) == (6, False, -0.5)
    assert forgets["init"] == {"horizon": 50, "censored": True, "decay": -0.02}
    assert forgets["curves"]["horizon"] == [[0, 100], [50, 6]]
    assert forgets["curves"]["decay"] == [[0, 100], [-0.02, -0.5]]
    assert forgets["curves"]["train/loss"] == [[0, 100], [0.1, 0.1]]
    verdict = forgets["verdict"]
    assert (verdict["name"], verdict["number"], verdict["threshold"]) == ("vanishing", 6, 25)
    assert runs["remembers"]["verdict"]["name"] == "healthy"
    assert set(found["verdicts"]) == {"exploding", "clip-limited", "saturated", "vanishing", "healthy"}


def test_a_run_that_has_just_begun_has_settings_and_nothing_else(sweep):
    young = by_id(collected(sweep))["young"]
    assert young["outcome"] == "running"
    assert young["settings"] is not None
    assert (young["step"], young["loss"], young["horizon"], young["verdict"], young["init"]) == (None,) * 5
    assert (young["curves"], young["profiles"], young["T"]) == ({}, None, 80)


def test_profiles_point_to_the_series_of_the_sweep(sweep):
    found = collected(sweep)
    names = [(s["layer"], s["direction"], s["part"]) for s in found["series"]]
    both = [(0, way, part) for way in ("forward", "backward") for part in ("h", "c")]
    assert names == both
    wide = by_id(found)["wide"]["profiles"]
    assert sorted(drawn["of"] for drawn in wide["series"]) == [0, 1, 2, 3]
    for drawn in wide["series"]:
        _, direction, part = names[drawn["of"]]
        rate = -0.02 * (1.5 if direction == "backward" else 1.0) * (0.5 if part == "c" else 1.0)  # law of `fabricate`
        codes = np.frombuffer(base64.b64decode(drawn["codes"]), np.uint8).reshape(2, -1)[1].astype(float)
        low, high = drawn["low"][1], drawn["high"][1]
        expected = -1 + rate * np.array(wide["bins"][drawn["bins"]]["lag"])
        np.testing.assert_allclose(low + (codes - 1) / 252 * (high - low), expected, rtol=0, atol=(high - low) / 500)


def test_a_run_with_fewer_series_points_to_its_own(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", direction="forward")
    fabricate.run(tmp_path, "b", direction="backward")
    found = collected(tmp_path)
    assert [series["direction"] for series in found["series"]] == ["forward", "backward"]
    assert [[drawn["of"] for drawn in run["profiles"]["series"]] for run in found["runs"]] == [[0], [1]]


def test_the_same_folder_gives_the_same_payload_and_all_of_it_is_json(sweep):
    first, second = (json.dumps(collected(sweep), allow_nan=False) for _ in range(2))
    assert first == second
    json.loads(first, parse_constant=refuse_constants)


@pytest.fixture
def opened(monkeypatch):
    """What is read, and of which run."""
    found = []

    def spied(name, read):
        def spy(path, *rest):
            found.append((name, path.name))
            return read(path, *rest)

        return spy

    for name in ("read_run", "read_profiles"):
        monkeypatch.setattr(f"analysis.dashboard.collect.{name}", spied(name, getattr(one, name)))
    return found


def test_only_what_has_changed_is_read_again(sweep, fabricate, opened):
    collector = Collector(sweep)
    assert collector.refresh()
    assert len(opened) == 8
    opened.clear()
    assert not collector.refresh()
    assert opened == [("read_run", "young")]  # it runs: it may have died
    opened.clear()
    fabricate.run(sweep, "new", T=50, seed=9)
    with (sweep / "young" / "scalars.jsonl").open("a") as file:
        file.write(json.dumps({"step": 0, "train/loss": 0.5}) + "\n")
    assert collector.refresh()
    assert sorted(opened) == [("read_profiles", "new"), ("read_run", "new"), ("read_run", "young")]
    runs = by_id(collector.payload())
    assert runs["new"]["outcome"] == "solved"
    assert runs["young"]["loss"] == 0.5


def test_a_run_that_ends_dies_or_goes_is_seen(sweep):
    collector = Collector(sweep)
    collector.refresh()
    running = sweep / "young" / "running.json"
    old = time.time() - 1000
    os.utime(running, (old, old))
    assert collector.refresh()
    assert by_id(collector.payload())["young"]["outcome"] == "unfinished"
    (sweep / "young" / "failed.json").write_text(json.dumps({"error": "RuntimeError: no memory"}))
    assert collector.refresh()
    young = by_id(collector.payload())["young"]
    assert (young["outcome"], young["failure"]) == ("failed", "RuntimeError: no memory")
    for path in (sweep / "young").iterdir():
        path.unlink()
    assert collector.refresh()
    assert "young" not in by_id(collector.payload())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [0, 40])
def test_a_torn_file_of_one_run_leaves_the_others_and_mends(sweep, name, size):
    path = sweep / "forgets" / name
    whole = path.read_bytes() if path.exists() else None
    path.write_bytes((whole or b"{}" * 40)[:size])
    collector = Collector(sweep)
    collector.refresh()
    payload = collector.payload()
    json.dumps(payload, allow_nan=False)
    assert {"remembers", "wide", "young"} <= set(by_id(payload))
    if name in ("config.json", "done.json"):
        assert "forgets" in payload["left_out"]
        assert "forgets" not in by_id(payload)
    if name == "profiles.npz":
        assert "profiles.npz" in payload["left_out"]["forgets"]
        assert by_id(payload)["forgets"]["profiles"] is None
    path.write_bytes(whole) if whole else path.unlink()
    collector.refresh()
    assert collector.payload() == collected(sweep)
    assert collector.payload()["left_out"] == {}


def test_experiments_and_scales_that_are_mixed_become_axes(tmp_path, fabricate):
    fabricate.run(tmp_path / "mixed", "a", scale="laptop")
    fabricate.run(tmp_path / "mixed", "b", scale="smoke")
    config = tmp_path / "mixed" / "b" / "config.json"
    config.write_text(config.read_text().replace('"name": "horizon"', '"name": "other"'))
    found = collected(tmp_path / "mixed")
    assert [axis["name"] for axis in found["axes"]] == ["name", "scale"]
    assert found["axes"][0]["label"] == "experiment"
    assert found["axes"][1]["values"] == ["smoke", "laptop"]
    alone = collected(tmp_path / "mixed", scale="smoke")
    assert [run["run"] for run in alone["runs"]] == ["b"]
    assert alone["axes"] == []


def test_a_diverged_run_has_no_number_where_there_is_none(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", outcome="diverged", error=float("nan"))
    (run,) = collected(tmp_path)["runs"]
    assert (run["outcome"], run["loss"], run["metric"]) == ("diverged", None, None)
    assert run["verdict"]["name"] == "exploding"


def test_predictions_of_theory_are_passed_on(tmp_path, fabricate):
    path = fabricate.run(tmp_path, "a")
    done = json.loads((path / "done.json").read_text())
    (path / "done.json").write_text(json.dumps(done | {"predicted": {"horizon": 52.0, "decay_per_step": -0.0577}}))
    (run,) = collected(tmp_path)["runs"]
    assert run["predicted"] == {"horizon": 52, "decay_per_step": -0.0577}


def test_the_length_is_that_of_the_profiles_and_a_whole_setting_is_an_integer(tmp_path, fabricate):
    task = {"_target_": "rnnlab.tasks.adding.Adding", "length": 30}
    for name, gain in (("a", 1.0), ("b", 2), ("c", 0.5)):
        fabricate.run(tmp_path / "sweep", name, T=40, init_values={"gain": gain}, settings={"task": task})
    found = collected(tmp_path / "sweep")
    assert {run["T"] for run in found["runs"]} == {40}  # what is counted in steps of the network
    assert json.dumps([axis["values"] for axis in found["axes"]]) == "[[0.5, 1, 2]]"


def test_a_warning_that_goes_is_a_change(tmp_path, fabricate):
    path = fabricate.run(tmp_path / "sweep", "a")
    (path / "profiles.npz").write_bytes(b"PK")
    collector = Collector(tmp_path / "sweep")
    collector.refresh()
    assert list(collector.left_out) == ["a"]
    (path / "profiles.npz").unlink()
    assert collector.refresh()
    assert collector.left_out == {}


def test_an_encoder_is_judged_by_its_own_length(tmp_path, fabricate):
    path = fabricate.run(tmp_path / "sweep", "a", T=70, slopes=(-0.12, -0.12), outcome="stuck")  # horizon 25
    assert collected(tmp_path / "sweep")["runs"][0]["verdict"]["name"] == "vanishing"  # of 70 steps
    with np.load(path / "profiles.npz") as data:
        arrays = dict(data)
    arrays["log10_norm"][..., 40:] = np.nan  # it ends there
    np.savez(path / "profiles.npz", **arrays)
    verdict = collected(tmp_path / "sweep")["runs"][0]["verdict"]
    assert (verdict["name"], verdict["number"], verdict["threshold"]) == ("healthy", 25, 20)


def test_a_long_curve_keeps_its_ends_and_its_extremes():
    random = np.random.default_rng(0)
    values = dict(enumerate(random.normal(size=5000).round(3).tolist()))
    values[1234], values[4321], values[77] = 99.5, -99.5, float("nan")
    steps, y = thinned(values)
    assert len(steps) <= POINTS
    assert (steps[0], steps[-1]) == (0, 4999)
    assert {1234: 99.5, 4321: -99.5}.items() <= dict(zip(steps, y, strict=True)).items()
    assert all(values[step] == value for step, value in zip(steps, y, strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there are no runs in"),
        (["swep"], "did you mean sweep?"),
        (["sweep", "--scale", "paper"], "has no run of scale paper; there are: laptop"),
        (["sweep", "--out", "x.html", "--serve"], "--out needs a page that is written"),
        (["sweep", "--port", "1"], "--port needs --serve"),
        (["sweep", "--serve", "--port", "65536"], "--port needs one from 0 to 65535, got 65536"),
        (["sweep", "--out", "/dev/null/x.html"], "cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(sweep, arguments, message, capsys):
    with pytest.raises(SystemExit) as refusal:
        command.main([*arguments, "--outputs", str(sweep.parent)])
    assert refusal.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_runs_that_failed_before_they_began_say_why(tmp_path, capsys):
    (tmp_path / "sweep" / "a").mkdir(parents=True)
    (tmp_path / "sweep" / "a" / "failed.json").write_text(json.dumps({"error": "ValueError: no such cell"}))
    with pytest.raises(SystemExit):
        command.main(["sweep", "--outputs", str(tmp_path)])
    assert "ValueError: no such cell" in capsys.readouterr().err.splitlines()[-1]


def test_the_page_is_written_whole_and_alike(sweep, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(["sweep", "--outputs", str(sweep.parent)]) == 0
    path = tmp_path / "dashboards" / "sweep.html"
    assert capsys.readouterr().out.strip() == str(path.relative_to(tmp_path))
    assert command.main(["sweep", "--outputs", str(sweep.parent), "--out", "again.html"]) == 0
    assert (tmp_path / "again.html").read_bytes() == path.read_bytes()
    assert sorted(file.name for file in path.parent.iterdir()) == ["sweep.html"]
