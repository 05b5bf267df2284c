"""The experiment `trainability` against run folders whose gradient decays by log10 gain a step."""

import json
import math

import numpy as np
import pytest

from analysis import drawing, tables, trainability
from analysis import trainability_figures as figures


@pytest.fixture
def made(tmp_path, fabricate):
    """The tables of the figures of a small sweep."""
    fabricate.trainability(tmp_path)
    return trainability.make(tmp_path, tables.runs(tmp_path), tmp_path)[0]


def test_the_map_counts_what_was_solved_and_how_far_the_gradient_reached(made):
    table = made["trainability_map"].set_index(["x", "T"])
    assert dict(table["solved"]) == {(0.7, 20): 2, (0.7, 60): 0, (0.9, 20): 3, (0.9, 60): 3, (1.2, 20): 2, (1.2, 60): 2}
    assert dict(table["diverged"].groupby("x").sum()) == {0.7: 0, 0.9: 0, 1.2: 2}
    # gain .9 loses .0458 decades a step, or 10 % more or less: 3 decades in 66 steps, or 60 or 73; gain .7 in 18 to 22
    assert list(table.loc[0.9, "horizon"]) == [20, 60]
    assert list(table.loc[0.9, "horizon_bound"]) == [True, True]
    assert list(table.loc[0.7, "horizon"]) == [20, 20]
    assert list(table.loc[0.7, "horizon_bound"]) == [True, False]
    assert table.loc[(0.7, 60), "predicted"] == pytest.approx(3 / -math.log10(0.7))
    assert table.loc[(1.2, 60), "predicted"] == math.inf


def test_the_fit_of_the_profiles_is_the_law_and_the_theory_belongs_to_initialisation(made):
    table = made["trainability_profiles"]
    assert list(table["column"].cat.categories) == ["at initialisation", "after training"]
    for (column, gain), curve in table.groupby(["column", "hue"], observed=True):
        trained = column == "after training"
        alive = [0.9, 1.0] if trained and gain > 1 else [0.9, 1.0, 1.1]  # the last seed diverged
        expected = np.mean([math.log10(gain) * factor * (0.25 if trained else 1) for factor in alive])
        assert curve["slope"].iloc[0] == pytest.approx(expected)
        np.testing.assert_allclose(curve["fit"], expected * curve["lag"], atol=1e-12)
        assert set(curve["runs"]) == {len(alive)}
        theory = np.full(len(curve), np.nan) if trained else math.log10(gain) * curve["lag"]
        np.testing.assert_allclose(curve["predicted"], theory)


def test_the_fit_is_of_all_lags_of_a_long_profile(tmp_path, fabricate):
    """The lags that are drawn lie close at the loss: on a bent profile they have another slope than the digest."""
    bent = {}
    for gain in (0.8, 0.9):
        for T in (20, 400):
            path = fabricate.run(tmp_path, f"{gain}{T}", T=T, init_values={"gain": gain}, experiment="trainability")
            with np.load(path / "profiles.npz") as data:
                arrays = dict(data)
            bent[gain] = gain * np.cos(np.arange(T) / 60)
            arrays["log10_norm"][:] = bent[gain][::-1]  # time runs towards the loss
            np.savez(path / "profiles.npz", **arrays)
    table = trainability.make(tmp_path, tables.runs(tmp_path), tmp_path)[0]["trainability_profiles"]
    assert table["lag"].nunique() < 200
    for gain, curve in table.groupby("hue"):
        assert curve["slope"].iloc[0] == pytest.approx(np.polyfit(np.arange(400), bent[gain], 1)[0])


def test_learning_and_success_are_of_the_chosen_gains(made):
    learning = made["trainability_learning"]
    assert list(learning["column"].cat.categories) == ["$T$ = 20", "$T$ = 60"]
    ends = learning[(learning["end"] == "diverged") & (learning["hue"] == 1.2)]
    assert list(ends["x"]) == [10, 10]  # the last finite loss
    assert list(made["trainability_success"].query("hue == 0.7")["rate"]) == [2 / 3, 0.0]
    assert figures.some(range(11), 5) == [0, 2, 5, 8, 10]
    assert figures.some([3.0, 1.0, 3.0], 5) == [1.0, 3.0]


def test_the_heat_map_is_of_single_runs(made):
    table = made["trainability_heatmap"]
    assert list(table["column"].cat.categories) == ["$g$ = 0.7, stuck", "$g$ = 0.9, solved", "$g$ = 1.2, solved"]
    cell = table[(table["column"] == "$g$ = 0.7, stuck") & (table["step"] == 10) & (table["time_from"] == 9.5)]
    assert cell["log10"].item() == pytest.approx(-1 + 0.9 * math.log10(0.7) / 2 * 49)  # seed 0, half the slope, lag 49


def test_a_norm_that_is_no_number_is_told_from_no_state(tmp_path, fabricate):
    fabricate.trainability(tmp_path, gains=(0.8, 1.1))
    for path in tmp_path.glob("g1.1T60s0/profiles.npz"):
        with np.load(path) as data:
            arrays = dict(data)
        arrays["log10_norm"][:, :, :, :10] = np.nan
        arrays["nonfinite"][:, :, :5] = 20
        np.savez(path, **arrays)
    made, _ = trainability.make(tmp_path, tables.runs(tmp_path), tmp_path)
    column = made["trainability_heatmap"].query("column == '$g$ = 1.1, solved' and step == 0")["log10"].to_numpy()
    assert np.isposinf(column[:5]).all()
    assert np.isnan(column[5:10]).all()
    assert np.isfinite(column[10:]).all()


def test_without_theory_nothing_is_predicted(tmp_path, fabricate):
    fabricate.trainability(tmp_path, gains=(0.8, 1.1))
    for path in tmp_path.glob("*/done.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"predicted": {}}))
    made, _ = trainability.make(tmp_path, tables.runs(tmp_path), tmp_path)
    assert made["trainability_map"]["predicted"].isna().all()
    picture = figures.map_figure(made["trainability_map"])
    assert "predicted by theory" not in [text.get_text() for text in picture.legends[0].get_texts()]


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("nowhere", "experiments.train -m experiment=nowhere"),
        ("unfinished", "no finished run; there are: 1 laptop unfinished"),
        ("one", "one finished run is no sweep: draw its profiles with python -m analysis.run one/a"),
        ("mixed", "the runs are of several experiments (horizon, trainability): choose with --where name=NAME"),
        ("no_gain", "a map of trainability needs two values of init.gain, and the finished runs have fewer"),
        ("no_length", "a map of trainability needs two values of task.length, and the finished runs have fewer"),
        ("cells", "the runs differ in cell (elman, gru), too: choose with --where cell=VALUE"),
        ("twice", "the same configuration and seed is there more than once"),
        ("blind", "the runs hold no profiles.npz that can be read"),
    ],
)
@pytest.mark.filterwarnings("ignore:blind.* cannot be read")
def test_what_is_no_such_sweep_is_one_line_and_exit_code_2(tmp_path, fabricate, capsys, monkeypatch, folder, words):
    gains = ({"gain": 0.8}, {"gain": 1.1})
    for k, gain in enumerate(gains):
        for T in (20, 40):
            for name in ("cells", "twice", "blind"):
                cell = "gru" if name == "cells" and k else "elman"
                fabricate.run(tmp_path / name, f"{k}{T}", cell=cell, T=T, init_values=gain)
        fabricate.run(tmp_path / "no_length", str(k), init_values=gain)
        fabricate.run(tmp_path / "no_gain", str(k), T=20 * (k + 1))
        fabricate.run(tmp_path / "mixed", str(k), experiment=("horizon", "trainability")[k])
    for path in (tmp_path / "blind").glob("*/profiles.npz"):
        path.write_bytes(b"torn")
    fabricate.run(tmp_path / "twice", "again", T=20, init_values=gains[0], settings={"device": "cuda"})
    fabricate.run(tmp_path / "one", "a")
    fabricate.run(tmp_path / "unfinished", "a", outcome=None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        trainability.main([folder])
    error = capsys.readouterr().err
    assert leaving.value.code == 2
    assert error.count("\n") == 1
    assert words in error


def test_what_the_tables_are_of_is_said(tmp_path, fabricate):
    fabricate.trainability(tmp_path, gains=(0.8, 1.1))
    fabricate.run(tmp_path, "left", experiment="trainability", outcome=None)
    about = drawing.about("trainability", tables.runs(tmp_path))
    assert about == {"experiment": "trainability", "scale": "laptop", "runs": 12, "seeds": 3}
