"""The record is read as it was written, and what cannot be read is named and left out."""

import json
import math
import os
import shutil
import time
import tracemalloc

import numpy as np
import pytest

from analysis import tables
from analysis.tables import final, rows


def test_a_run_is_a_row_with_short_names(tmp_path, fabricate):
    settings = {"probe": {"_target_": "a.Probe", "_partial_": True, "lags": [1, 2]}}
    values = {"gain": 0.9}
    fabricate.run(
        tmp_path, "a", cell="lstm", T=30, depth=2, seed=7, init_values=values, error=math.nan, settings=settings
    )
    (row,) = tables.runs(tmp_path).to_dict("records")
    assert (row["run"], row["outcome"], row["scale"]) == ("a", "solved", "laptop")
    assert (row["cell"], row["init"], row["task"]) == ("lstm", "orthogonal", "adding")
    assert (row["init.gain"], row["task.length"], row["network.depth"], row["seed"]) == (0.9, 30, 2, 7)
    assert (row["optimizer"], row["optimizer.lr"], row["probe.lags"]) == ("rmsprop", 0.001, "[1, 2]")
    assert math.isnan(row["validation/error"])
    assert (row["steps"], row["steps_done"]) == (100, 100)
    settings = tables.configuration(tables.runs(tmp_path))
    assert "init.gain" in settings
    assert not {"run", "outcome", "validation/error", "versions.torch", "steps_done"} & set(settings)


def test_a_run_without_done_json_says_why(tmp_path, fabricate):
    for name in ("left", "failed", "live", "dead"):
        fabricate.run(tmp_path, name, outcome=None)
    (tmp_path / "failed" / "failed.json").write_text('{"error": "out of memory", "traceback": "", "overrides": []}')
    for name in ("live", "dead"):
        (tmp_path / name / "running.json").write_text("{}")
    long_ago = time.time() - 2 * rows.STALE
    os.utime(tmp_path / "dead" / "running.json", (long_ago, long_ago))
    frame = tables.runs(tmp_path).set_index("run")
    assert dict(frame["outcome"]) == {
        "left": "unfinished",
        "failed": "failed",
        "live": "running",
        "dead": "unfinished",
    }
    assert frame.loc["failed", "failure"] == "out of memory"


def test_final_scalars_are_those_of_the_last_row_in_which_each_stands(tmp_path, fabricate):
    """Three hundred runs whose numbers differ, of many rows, against the whole of the long table."""
    for k in range(300):
        path = fabricate.run(tmp_path, f"r{k:03}", outcome="stuck" if k % 2 else None, seed=k)
        rows = [
            {"step": 0, "train/loss": k, "validation/loss": 7.0 * k, "adjoint/L0/forward/h/horizon": 3.0, "own": -k}
        ]
        rows += [{"step": n, "train/loss": k + 1 / n, "grad/norm": "inf"} for n in range(1, 40)]
        rows[5 + k % 30]["adjoint/L0/forward/h/horizon"] = k
        rows[1 + k % 37]["validation/loss"] = "nan" if k == 9 else k + 0.1
        (path / "scalars.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 40, "train/l')
    frame = tables.runs(tmp_path).set_index("run")
    long = tables.scalars(tmp_path).astype({"run": str, "name": str})
    last = long.sort_values("step").groupby(["run", "name"]).tail(1).pivot(index="run", columns="name", values="value")
    last = last.rename(columns={"own": "scalar/own"})
    unfinished = frame.index[frame["outcome"] == "unfinished"]
    assert len(unfinished) == 150
    np.testing.assert_array_equal(frame.loc[unfinished, last.columns], last.loc[unfinished])
    assert set(frame.loc[unfinished, "steps_done"]) == {39}
    done = frame[frame["outcome"] == "stuck"]
    assert set(done["validation/loss"]) == {0.01}  # what done.json says goes before
    np.testing.assert_array_equal(done["train/loss"], last.loc[done.index, "train/loss"])
    assert not set(last.columns) & set(tables.configuration(tables.runs(tmp_path)))


def test_final_scalars_far_from_the_end_are_found_too(tmp_path):
    file = tmp_path / "scalars.jsonl"
    assert final.final(file) == (None, {})
    file.write_text('{"step": 0, "a": 1')
    assert final.final(file) == (None, {})
    rows = [
        {"step": 0, "a": 1.0, "b": 2.0},
        {"step": 1, "b": 3.0, "c": 5.0},
        *({"step": n, "a": n} for n in range(2, 9000)),
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert file.stat().st_size > 10 * final.TAIL
    assert final.final(file) == (8999, {"a": 8999.0, "b": 3.0, "c": 5.0})
    file.write_text("torn\n" + file.read_text())  # nobody knows which names to look for
    assert final.final(file) == (8999, {"a": 8999.0})


def test_only_the_end_of_a_long_file_is_read(tmp_path):
    file = tmp_path / "scalars.jsonl"
    first, last = (json.dumps({"step": step, "a": 0.5, "b": 2.0}).encode() + b"\n" for step in (0, 10**6))
    with file.open("wb") as stream:
        stream.write(first)
        stream.seek(10**8)  # a hole
        stream.write(b"\n" + last)
    tracemalloc.start()
    assert final.final(file) == (10**6, {"a": 0.5, "b": 2.0})
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_manifests_of_sweeps_and_other_folders_are_no_runs(tmp_path, fabricate):
    fabricate.run(tmp_path, "a")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "0123456789ab.json").write_text('{"sweep": "0123456789ab", "runs": {"a": []}}')
    (tmp_path / ".submitit").mkdir()
    assert list(tables.runs(tmp_path)["run"]) == ["a"]
    assert set(tables.scalars(tmp_path)["run"]) == set(tables.profiles(tmp_path)["run"]) == {"a"}


def test_the_device_that_was_found_stands_for_auto(tmp_path, fabricate):
    path = fabricate.run(tmp_path, "a", settings={"device": "auto"}) / "config.json"
    assert list(tables.runs(tmp_path)["device"]) == ["auto"]
    path.write_text(json.dumps({**json.loads(path.read_text()), "device": "cuda"}))
    assert list(tables.runs(tmp_path)["device"]) == ["cuda"]


def test_a_run_that_failed_before_it_began_is_left_out_with_its_error(tmp_path, fabricate):
    fabricate.run(tmp_path, "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "failed.json").write_text('{"error": "BadInput: no", "traceback": "", "overrides": []}')
    with pytest.warns(UserWarning, match=r"b cannot be read .* failed before it began: BadInput: no"):
        assert list(tables.runs(tmp_path)["run"]) == ["a"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"config": 3}', '{"run": "bad"}'])
def test_a_corrupt_folder_is_named_and_the_others_are_read(tmp_path, fabricate, content):
    fabricate.run(tmp_path, "good")
    fabricate.run(tmp_path, "bad")
    (tmp_path / "bad" / "config.json").write_text(content)
    (tmp_path / "figures").mkdir()  # not a run: no warning
    with pytest.warns(UserWarning, match="bad cannot be read"):
        frame = tables.runs(tmp_path)
    assert list(frame["run"]) == ["good"]


def test_no_runs_says_which_command_makes_them(tmp_path):
    for folder in (tmp_path / "horizon", tmp_path):
        with pytest.raises(ValueError, match=rf"python -m experiments\.train -m experiment={folder.name}"):
            tables.runs(folder)


def test_scalars_survive_a_torn_last_line_and_name_a_torn_middle_one(tmp_path, fabricate):
    file = fabricate.run(tmp_path, "a") / "scalars.jsonl"
    file.write_text('{"step": 0, "x": 1.5, "y": "nan"}\n{"step": 1, "x": "-inf", "y": "inf"}\n{"step": 2, "x": 7')
    frame = tables.scalars(tmp_path)
    value = frame.set_index(["step", "name"])["value"]
    assert len(frame) == 4
    assert value[0, "x"] == 1.5
    assert math.isnan(value[0, "y"])
    assert (value[1, "x"], value[1, "y"]) == (-math.inf, math.inf)
    file.write_text('{"step": 0, "x": 1}\n{"step": 1, "x"{"step": 2, "x": 3}\n{"step": 3, "x": 4}\n')
    with pytest.warns(UserWarning, match=r"scalars\.jsonl line 2"):
        assert list(tables.scalars(tmp_path)["step"]) == [0, 3]


def test_a_step_logged_twice_counts_once_with_its_later_value(tmp_path, fabricate):
    (fabricate.run(tmp_path, "a") / "scalars.jsonl").write_text('{"step": 5, "x": 1}\n{"step": 5, "x": 2, "z": 3}\n')
    frame = tables.scalars(tmp_path)
    assert dict(zip(frame["name"], frame["value"], strict=True)) == {"x": 2.0, "z": 3.0}
    assert list(tables.scalars(tmp_path, prefix="z")["name"]) == ["z"]


def test_lag_counts_from_the_loss_in_the_direction_of_the_layer(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", T=20, direction="bidirectional", depth=2, cell="lstm", slopes=(-0.1, -0.3))
    frame = tables.profiles(tmp_path)
    assert len(frame) == 2 * (2 * 2 * 2) * 20
    for (step, layer, direction, part), curve in frame.groupby(["step", "layer", "direction", "part"], observed=True):
        rate = fabricate.law({0: -0.1, 100: -0.3}[step], layer, direction, part)
        slope, at_loss = np.polyfit(curve["lag"], curve["log10"], 1)
        # the law is exact, so only the rounding of a fit in float64 is left
        assert slope == pytest.approx(rate, rel=1e-9)
        assert at_loss == pytest.approx(-1.0, rel=1e-9)
        assert list(curve["time"]) == list(range(20))


def test_steps_and_statistic_are_those_asked_for(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", T=10, steps=(0, 50, 100), slopes=(-0.1, -0.2, -0.3))
    chosen = {"first": [0], "last": [100], "ends": [0, 100], "all": [0, 50, 100]}
    for steps, expected in chosen.items():
        assert list(tables.profiles(tmp_path, steps=steps)["step"].unique()) == expected
    low, middle = (tables.profiles(tmp_path, statistic=name)["log10"] for name in ("q10", "q50"))
    np.testing.assert_allclose(low - middle, -0.2, atol=1e-12)
    for argument in ({"loss": "first"}, {"statistic": "mean"}, {"steps": "some"}):
        with pytest.raises(ValueError, match="must be one of"):
            tables.profiles(tmp_path, **argument)


def test_the_loss_of_the_last_step_is_preferred_where_there_is_one(tmp_path, fabricate):
    file = fabricate.run(tmp_path, "a", T=10) / "profiles.npz"
    with np.load(file) as data:
        arrays = dict(data)
    for axis, values in (
        ("layer", [0, 0]),
        ("direction", ["forward"] * 2),
        ("part", ["h"] * 2),
        ("loss", ["task", "last"]),
    ):
        arrays[axis] = np.array(values)
    for name in ("log10_norm", "zeros", "nonfinite"):
        arrays[name] = np.concatenate([arrays[name], arrays[name] - 5], axis=1)
    arrays["lag"] = np.concatenate([arrays["lag"]] * 2)
    np.savez(file, **arrays)
    last, task = (tables.profiles(tmp_path, loss=loss)["log10"] for loss in ("last", "task"))
    np.testing.assert_allclose(last - task, -5.0, atol=1e-12)


def test_an_exact_zero_stays_minus_infinity(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", T=30, zero_from=12)
    frame = tables.profiles(tmp_path)
    assert set(frame.loc[np.isneginf(frame["log10"]), "lag"]) == set(range(12, 30))


def test_unreadable_profiles_are_named_and_those_of_a_live_run_are_waited_for(tmp_path, fabricate):
    fabricate.run(tmp_path, "good")
    torn = fabricate.run(tmp_path, "torn") / "profiles.npz"
    torn.write_bytes(torn.read_bytes()[:900])
    (fabricate.run(tmp_path, "early", outcome=None) / "profiles.npz").unlink()
    with pytest.warns(UserWarning, match="torn cannot be read") as caught:
        frame = tables.profiles(tmp_path)
    assert list(frame["run"].unique()) == ["good"]
    assert len(caught) == 1
    shutil.rmtree(torn.parent)
    (tmp_path / "good" / "profiles.npz").unlink()  # a finished run must have one
    with pytest.warns(UserWarning, match="good cannot be read"):
        assert tables.profiles(tmp_path).empty


def test_only_the_runs_asked_for_are_read(tmp_path, fabricate):
    for name in ("a", "b"):
        fabricate.run(tmp_path, name)
    assert set(tables.scalars(tmp_path, only={"b"})["run"]) == {"b"}
    assert set(tables.profiles(tmp_path, only={"b"})["run"]) == {"b"}


def test_only_the_layer_and_part_asked_for_are_kept(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", depth=2, cell="lstm", T=10)
    every, one = tables.profiles(tmp_path), tables.profiles(tmp_path, layer=1, part="c")
    assert len(one) == len(every) / 4
    expected = every[(every["layer"] == 1) & (every["part"] == "c")]["log10"]
    np.testing.assert_array_equal(one["log10"], expected)


def test_the_fabricated_record_is_strict_json(tmp_path, fabricate):
    def refuse(name):
        raise AssertionError(name)

    for line in (fabricate.run(tmp_path, "a", slopes=(0.0, 0.1)) / "scalars.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)
