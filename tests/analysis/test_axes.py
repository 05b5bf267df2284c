"""Which settings are axes of a sweep, and where an experiment lies."""

import numpy as np
import pandas as pd
import pytest

from analysis import tables
from analysis.cli import folder_of
from analysis.statistics.aggregate import axes, one_each


def test_axes_are_the_settings_that_vary_seeds_last(tmp_path, fabricate):
    for k, (cell, T, seed) in enumerate((c, T, s) for c in ("elman", "lstm") for T in (20, 40) for s in (0, 1)):
        probes = {"drive": {"_target_": "a.drive"}} if k % 3 else {}  # begun before there was this probe
        settings = {
            "probes": probes,
            "seeds": {"init": seed, "data": seed},
            "threads": 1 + k % 2,
            "device": ("cpu", "cuda")[k % 2],
        }
        fabricate.run(tmp_path, f"r{k}", cell=cell, T=T, seed=seed, settings=settings)
    assert axes(tables.runs(tmp_path)) == ["task.length", "cell", "seed"]


def test_a_value_of_a_part_is_an_axis_only_where_it_varies_within_the_part():
    frame = pd.DataFrame(
        {
            "init": ["orthogonal", "orthogonal", "glorot"],
            "init.gain": [1.0, 1.0, np.nan],
            "network": ["stack"] * 3,
            "network.truncate": [np.nan, 64, 64],  # null is a value
            "clip": ["norm"] * 3,
            "clip.threshold": [1.0, 1.0, 1.0],
        }
    )
    assert axes(frame) == ["init", "network.truncate"]
    assert axes(frame.assign(**{"init.gain": [1.0, 2.0, np.nan]})) == ["init", "init.gain", "network.truncate"]


def test_a_setting_that_repeats_another_is_no_axis():
    frame = pd.DataFrame(
        {
            "task.length": [10, 20, 10, 20],
            "gate_bias": ["chrono", "chrono", "constant", "constant"],
            "gate_bias.longest": [10, 20, np.nan, np.nan],
            "seed": [0, 0, 1, 1],
            "seeds.init": [0, 0, 1, 1],
            "seeds.order": [0, 0, 0, 1],
        }
    )
    assert axes(frame) == ["task.length", "gate_bias", "seed", "seeds.order"]
    assert axes(frame.iloc[:1]) == []


def test_the_folder_of_an_experiment_is_found_by_name_or_path(tmp_path, fabricate, monkeypatch):
    outputs = tmp_path / "outputs"
    fabricate.run(outputs / "gains", "a")
    (outputs / "begun" / "sweeps").mkdir(parents=True)
    (outputs / "begun" / "sweeps" / "b.json").write_text("{}")
    (outputs / "empty").mkdir()
    assert folder_of(outputs, "gains") == outputs / "gains"
    assert folder_of(outputs, "begun") == outputs / "begun"
    assert folder_of(tmp_path / "elsewhere", str(outputs / "gains")) == outputs / "gains"
    monkeypatch.chdir(tmp_path)
    assert folder_of(outputs, "outputs/gains").resolve() == outputs / "gains"
    with pytest.raises(ValueError, match=r"no runs in .*gain: did you mean gains\?"):
        folder_of(outputs, "gain")
    with pytest.raises(ValueError, match=r"no runs in .*empty: there is begun, gains$"):
        folder_of(outputs, "empty")
    with pytest.raises(ValueError, match=r"^outputs holds no runs, but begun, gains: name one$"):
        folder_of(outputs, "outputs")
    with pytest.raises(ValueError, match=r"there is none$"):
        folder_of(outputs / "empty", "x")
    with pytest.raises(ValueError, match=r"there is no folder .*elsewhere: name the one with the runs with --outputs"):
        folder_of(tmp_path / "elsewhere", "gains")


def test_runs_that_a_figure_would_take_for_one_are_refused(tmp_path, fabricate):
    for name, steps, seed in (("a", 10, 0), ("b", 10, 1), ("c", 20, 1)):
        fabricate.run(tmp_path, name, seed=seed, settings={"steps": steps})
    runs = tables.runs(tmp_path)
    one_each(runs[runs["run"] != "c"], runs.loc[runs["run"] != "c", ["cell", "seed"]])
    one_each(runs, runs[["cell", "seed", "steps"]])
    with pytest.raises(ValueError, match=r"shows runs as one that differ in steps \(10, 20\): choose with --where"):
        one_each(runs, runs[["cell", "seed"]])
