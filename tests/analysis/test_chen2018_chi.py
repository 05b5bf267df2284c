"""The phase diagram and the trainable length, against run folders and tables that follow the theory, or do not."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis import chen2018_chi as experiment
from analysis import chen2018_figures as figures
from analysis import tables

CHI = {(0.5, 0.1): 0.25, (0.5, 1.0): 0.1, (1.5, 0.1): 1.2, (1.5, 1.0): 0.7}


def phases(stray: float = 0.0) -> pd.DataFrame:
    """Three networks at each corner of the diagram, 1 % below, at and 1 % above (1 + stray) chi."""
    rows = [(*at, seed, chi) for at, chi in CHI.items() for seed in range(3)]
    table = pd.DataFrame(rows, columns=["sw", "sin", "seed", "chi"])
    return table.assign(measured=table["chi"] * (1 + stray + 0.01 * (table["seed"] - 1)))


def lengths(multiple: dict[float, float], T: tuple[int, ...] = (5, 10, 20, 40, 80)) -> pd.DataFrame:
    """Networks that learn up to a multiple of their correlation time."""
    time = {0.5: 0.72, 0.7: 1.4, 0.9: 4.7}
    rows = [(sw, n, seed, n <= multiple[sw] * time[sw], time[sw]) for sw in time for n in T for seed in range(3)]
    return pd.DataFrame(rows, columns=["sw", "T", "seed", "solved", "time"])


def verdicts(table: pd.DataFrame, check) -> list[str]:
    return [claim.verdict for claim in check(table)][: 3 if check is experiment.check else 2]


def test_the_factor_is_that_of_the_squared_norm_over_thirty_lags(tmp_path, fabricate):
    settings = {"steps": 0, "task": {"_target_": "rnnlab.tasks.latch.Latch", "length": 60, "noise": 0.3}}
    wide = {"T": 60, "steps": (0,), "init": "gaussian", "init_values": {"gain": 0.9}, "settings": settings}
    for seed in range(2):
        slope = -0.05 * (1 + seed)
        fabricate.run(tmp_path, f"w{seed}", slopes=(slope,), seed=seed, predicted={"chi": 0.8}, **wide)
    for T, outcome in ((10, "solved"), (20, "stuck")):
        fabricate.run(
            tmp_path, f"t{T}", T=T, outcome=outcome, init="gaussian", init_values={"gain": 0.7}, predicted={"chi": 0.5}
        )
    made, _ = experiment.make(tmp_path, tables.runs(tmp_path), tmp_path)
    found = made[experiment.NAME]
    assert list(found["measured"]) == pytest.approx([10**-0.1, 10**-0.2])
    assert found[["sw", "sin", "chi"]].iloc[0].tolist() == [0.9, 0.3, 0.8]
    trained = made[experiment.LENGTH]
    assert list(trained["T"]) == [10, 20]
    assert list(trained["solved"]) == [True, False]
    assert list(trained["time"]) == pytest.approx([1 / math.log(2)] * 2)


def test_a_profile_that_is_bent_later_than_thirty_lags_counts_up_to_there(tmp_path, fabricate):
    path = fabricate.run(tmp_path, "a", T=60, steps=(0,), slopes=(-0.05,))
    with np.load(path / "profiles.npz") as data:
        arrays = dict(data)
    arrays["log10_norm"][:, :, :, : 60 - 31] -= 7
    np.savez(path / "profiles.npz", **arrays)
    assert experiment.factors(tmp_path, {"a"})["a"] == pytest.approx(10**-0.1)


def test_claims_on_chi_hold_within_two_percent_and_no_farther():
    assert verdicts(phases(), experiment.check) == ["holds"] * 3
    assert verdicts(phases(stray=0.03), experiment.check) == ["does not hold", "does not hold", "holds"]
    quiet = phases()
    quiet.loc[quiet["chi"] > 1, "measured"] = 0.99
    assert verdicts(quiet, experiment.check) == ["holds", "holds", "does not hold"]
    assert verdicts(phases().query("chi < 1"), experiment.check) == ["holds", "holds", "not tested"]


def test_one_corner_of_the_diagram_that_strays_is_enough_to_fail():
    table = phases()
    table.loc[(table["sw"] == 0.5) & (table["sin"] == 1), "measured"] *= 1.04
    assert verdicts(table, experiment.check) == ["does not hold", "holds", "holds"]


def test_claims_on_the_length_hold_of_one_multiple_and_fail_of_another_law():
    assert verdicts(lengths(dict.fromkeys((0.5, 0.7, 0.9), 15)), experiment.length_check) == ["holds", "holds"]
    falling = lengths({0.5: 60, 0.7: 16, 0.9: 2.5})  # 40, 20, 10 steps
    assert verdicts(falling, experiment.length_check) == ["does not hold", "does not hold"]
    growing = lengths({0.5: 8, 0.7: 8, 0.9: 18})  # 5, 10, 80 steps, as 7, 7 and 17 of them
    assert verdicts(growing, experiment.length_check) == ["holds", "does not hold"]
    none = lengths(dict.fromkeys((0.5, 0.7, 0.9), 15)).query("sw > 1")
    assert verdicts(none, experiment.length_check) == ["not tested", "not tested"]


def test_the_multiple_from_memory_is_no_test_but_ours_is_told():
    (*_, told) = experiment.length_check(lengths(dict.fromkeys((0.5, 0.7, 0.9), 15)))
    assert told.verdict == "not tested"
    assert told.rule.endswith("; 14 here")  # 10, 20 and 40 steps as multiples of .72, 1.4 and 4.7: the middle one


def test_the_longest_length_is_that_up_to_which_all_are_learned():
    table = pd.DataFrame({"sw": 0.5, "T": [10, 20, 40, 80] * 3, "seed": [0] * 4 + [1] * 4 + [2] * 4, "time": 1.0})
    table["solved"] = [True, True, False, True] + [False] * 4 + [True] * 4
    found = figures.longest(table).set_index("seed")
    assert list(found["T"]) == pytest.approx([20, 10 / math.sqrt(2), 80])
    assert list(found["all"]) == [False, False, True]


def test_ranks_are_compared_and_not_values():
    x = pd.Series([1.0, 2.0, 3.0, 4.0])
    assert experiment.rank_correlation(x, 10**x) == pytest.approx(1)
    assert experiment.rank_correlation(x, pd.Series([4.0, 3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert experiment.rank_correlation(x, pd.Series([1.0, 1.0, 2.0, 2.0])) == pytest.approx(2 / math.sqrt(5))


def test_both_pictures_show_the_theory():
    diagram = figures.phase_figure(phases())
    labels = [text.get_text() for text in diagram.legends[0].get_texts()]
    assert labels[-1] == "mean-field theory"
    reach = figures.length_figure(lengths(dict.fromkeys((0.5, 0.7, 0.9), 15)))
    texts = [text.get_text() for text in reach.axes[1].get_legend().get_texts()]
    assert texts[0].startswith(r"$T = 6 \times")
    assert texts[1].endswith("median here")
