"""Seeds of one configuration: medians, ranges and bounds against run folders whose profiles follow a known law."""

import math

import numpy as np
import pytest

from analysis import tables
from analysis.statistics.configurations import configurations, curves, table
from analysis.statistics.digests import digests, spread


def summary(folder):
    return table(configurations(tables.runs(folder)), digests(tables.scalars(folder, "adjoint/")))


def lines_of(folder):
    return curves(configurations(tables.runs(folder)), tables.profiles(folder))


def test_spread_keeps_bounds_apart_from_values():
    assert spread([30, 10, 20]).text() == "20 [10, 30]"
    assert spread([50, 10, 20], [1, 0, 0]).text() == "20 [10, >= 50]"
    assert spread([50, 10, 50], [1, 0, 1]).text() == ">= 50 [10, >= 50]"
    assert spread([10, 50], [0, 1]).text() == ">= 30 [10, >= 50]"  # half of it is a bound
    assert spread([50, 49], [1, 0]).low_censored is False
    assert spread([7], [1]).text() == ">= 7"
    assert spread([math.nan, -0.0123456]).text() == "-0.0123"
    assert spread([math.inf, math.inf, 3]).text() == "inf [3, inf]"
    assert spread([math.nan]).text() == "-"
    assert spread([math.inf, -math.inf]).runs == 2


def test_the_table_recovers_median_and_range_over_seeds(tmp_path, fabricate):
    rates = [-0.2, -0.1, -0.4]
    for seed, rate in enumerate(rates):
        fabricate.run(tmp_path, f"a{seed}", T=60, seed=seed, slopes=(rate, rate / 4), error=0.1 * (seed + 1))
    (row,) = summary(tmp_path).to_dict("records")
    assert (row["decay_init_median"], row["decay_init_min"], row["decay_init_max"]) == (-0.2, -0.4, -0.1)
    assert (row["horizon_init_median"], row["horizon_init_min"], row["horizon_init_max"]) == (15, 8, 30)
    assert row["horizon_init"] == "15 [8, 30]"
    # trained: 3 / 0.05 = 60 = T and 3 / 0.025 = 120 are beyond, 3 / 0.1 = 30 is seen
    assert row["horizon_trained"] == ">= 60 [30, >= 60]"
    assert row["half_life_init_median"] == pytest.approx(math.log10(2) / 0.2)
    assert row["error_median"] == pytest.approx(0.2)
    assert (row["seeds"], row["solved"], row["outcome"]) == (3, 3, "solved")
    assert (row["step_init"], row["step_trained"]) == (0, 100)


def test_each_pass_and_part_of_layer_0_has_its_row(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", direction="bidirectional", depth=2, cell="lstm", slopes=(-0.4, -0.2))
    frame = summary(tmp_path)
    assert list(zip(frame["pass"], frame["part"], strict=True)) == [
        ("forward", "h"),
        ("forward", "c"),
        ("backward", "h"),
        ("backward", "c"),
    ]
    assert set(frame["layer"]) == {0}
    for row in frame.to_dict("records"):
        for stage, rate in (("init", -0.4), ("trained", -0.2)):
            expected = fabricate.law(rate, 0, row["pass"], row["part"])
            assert row[f"decay_{stage}_median"] == pytest.approx(expected, rel=1e-12)
            assert row[f"horizon_{stage}_median"] == fabricate.horizon(expected, 50)[0]


def test_a_diverged_run_counts_but_has_no_trained_network(tmp_path, fabricate):
    for seed, outcome in enumerate(("solved", "stuck", "diverged")):
        fabricate.run(tmp_path, f"a{seed}", seed=seed, slopes=(-0.3, -0.1 * (seed + 1)), outcome=outcome)
    fabricate.run(tmp_path, "left", seed=3, slopes=(-9.0, -9.0), outcome=None)
    (row,) = summary(tmp_path).to_dict("records")
    assert (row["solved"], row["stuck"], row["diverged"], row["unfinished"], row["seeds"]) == (1, 1, 1, 1, 3)
    assert row["outcome"] == "mixed"
    assert (row["decay_init_runs"], row["decay_trained_runs"]) == (3, 2)
    assert row["decay_init_min"] == -0.3  # not that of the unfinished run
    assert row["decay_trained_min"] == -0.2


def test_a_configuration_that_never_finished_stays_in_the_table(tmp_path, fabricate):
    fabricate.run(tmp_path, "a")
    fabricate.run(tmp_path, "b", init="glorot", outcome=None)
    (tmp_path / "b" / "profiles.npz").unlink()
    (tmp_path / "b" / "scalars.jsonl").unlink()
    row = summary(tmp_path).set_index("init").loc["glorot"]
    assert (row["outcome"], row["unfinished"], row["horizon_init"], row["error"]) == ("unfinished", 1, "-", "-")


def test_a_first_probe_after_step_0_is_not_passed_off_as_initialisation(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", steps=(10, 100))
    with pytest.warns(UserWarning, match="first probed step is not 0 in a"):
        summary(tmp_path)


def test_a_run_probed_once_has_no_trained_stage(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", steps=(0,), slopes=(-0.3,))
    (row,) = summary(tmp_path).to_dict("records")
    assert (row["horizon_init"], row["horizon_trained"]) == ("10", "-")
    assert set(lines_of(tmp_path)["stage"]) == {"init"}


def test_runs_that_differ_in_more_than_the_seed_are_not_pooled(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", init_values={"gain": 1.0})
    fabricate.run(tmp_path, "b", init_values={"gain": 0.5})
    frame = configurations(tables.runs(tmp_path))
    assert set(frame["init"]) == {"orthogonal gain=1", "orthogonal gain=0.5"}
    fabricate.run(tmp_path, "c", init_values={"gain": 1.0}, seed=1, settings={"batch": 99})
    with pytest.raises(ValueError, match=r"differ in batch \(20, 99\)"):
        configurations(tables.runs(tmp_path))


def test_one_seed_cannot_count_twice(tmp_path, fabricate):
    fabricate.run(tmp_path, "a")
    fabricate.run(tmp_path, "b", settings={"device": "cuda"})
    with pytest.raises(ValueError, match="more than once: a, b"):
        configurations(tables.runs(tmp_path))


def test_streams_that_are_seeded_apart_are_seeds_too(tmp_path, fabricate):
    for init in range(3):
        seeds = {"seeds": {"init": init, "order": 0, "data": 0}}
        fabricate.run(tmp_path, f"a{init}", seed=0, slopes=(-0.1 * (init + 1), -0.1), settings=seeds)
    (row,) = summary(tmp_path).to_dict("records")
    assert row["seeds"] == 3
    assert (row["decay_init_min"], row["decay_init_max"]) == pytest.approx((-0.3, -0.1))


def test_a_setting_that_follows_T_does_not_split_an_init(tmp_path, fabricate):
    for T in (20, 40):
        fabricate.run(tmp_path, f"a{T}", T=T, init="chrono", init_values={"t_max": T})
    assert set(configurations(tables.runs(tmp_path))["init"]) == {"chrono"}


def test_curves_are_relative_to_lag_0_with_the_range_over_seeds(tmp_path, fabricate):
    for seed, rate in enumerate((-0.2, -0.1, -0.4)):
        fabricate.run(tmp_path, f"a{seed}", T=30, direction="bidirectional", seed=seed, slopes=(rate, rate / 2))
    frame = lines_of(tmp_path)
    assert len(frame) == 2 * 2 * 30
    for (one, stage), curve in frame.groupby(["pass", "stage"]):
        factor = fabricate.law(1.0, 0, one, "h") * (0.5 if stage == "trained" else 1.0)
        for column, rate in (("median", -0.2), ("low", -0.4), ("high", -0.1)):
            np.testing.assert_allclose(curve[column], factor * rate * curve["lag"], atol=1e-12)
    assert set(frame["runs"]) == {3}


def test_a_long_curve_is_thinned_and_keeps_its_law(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", T=2500, slopes=(-0.01, -0.002))
    init = lines_of(tmp_path).query("stage == 'init'")
    lag = init["lag"].to_numpy()
    assert (lag[0], lag[-1], len(lag) <= 160) == (0, 2499, True)
    assert list(lag[:10]) == list(range(10))
    assert np.diff(lag).max() <= 2 * 2500 / 160 + 1  # no gap wider than that of the even half
    np.testing.assert_allclose(init["median"], -0.01 * init["lag"], atol=1e-11)
