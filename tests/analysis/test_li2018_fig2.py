"""Figure 2 of Li et al. 2018 against tables and run folders whose errors the test chooses."""

import math

import pandas as pd
import pytest

from analysis import li2018_fig2 as fig2
from analysis import tables
from analysis.li2018_fig2 import INDRNN, IRNN, LSTM, RNN

DROPS = {(INDRNN, 100): 1500, (LSTM, 100): 1600, (IRNN, 100): 6000, (LSTM, 500): 5500, (INDRNN, 1000): 9000}
NEVER = dict.fromkeys(fig2.STAYS, math.inf)


def table(drops: dict, steps: int, outcome: str = "stuck") -> pd.DataFrame:
    """An error of .165 up to a step, .01 from there on; two seeds, the second 100 updates later."""
    rows = []
    for (model, T), drop in drops.items():
        for seed in range(2):
            for step in range(0, steps + 1, 100):
                loss = 0.165 if step < drop + 100 * seed else 0.01
                rows.append({"model": model, "T": T, "seed": seed, "outcome": outcome, "step": step, "loss": loss})
    return pd.DataFrame(rows)


def verdicts(found: pd.DataFrame) -> list[str]:
    return ["".join(word[0] for word in claim.verdict.split()) for claim in fig2.check(found)]


def test_every_claim_holds_of_the_curves_of_the_paper():
    found = table(DROPS | NEVER, 60_000)
    assert verdicts(found) == ["h"] * 10
    assert fig2.check(found)[1].ours == "1650 [1600, 1700] updates"


def test_a_laptop_shows_one_length_and_not_the_late_drop():
    drops = dict.fromkeys(((INDRNN, 100), (LSTM, 100)), 1500) | {(RNN, 100): math.inf, (IRNN, 100): math.inf}
    assert verdicts(table(drops, 2500)) == ["h", "h", "nt", "nt", "nt", "h", "nt", "nt", "nt", "nt"]


def test_a_drop_that_comes_too_early_is_known_before_the_window_is_over():
    drops = {(INDRNN, 100): 1500, (IRNN, 100): 2000}
    assert verdicts(table(drops, 2500)) == ["h", "nt", "dnh", "nt", "nt", "nt", "nt", "nt", "nt", "nt"]


@pytest.mark.parametrize("claim", range(10))
def test_each_claim_can_fail(claim):
    late, early = list(DROPS), list(fig2.STAYS)
    key = late[claim] if claim < 5 else early[claim - 5]
    found = verdicts(table(DROPS | NEVER | {key: math.inf if claim < 5 else 3000}, 60_000))
    assert found == ["dnh" if k == claim else "h" for k in range(10)]


def test_the_end_is_a_mean_over_its_last_five_windows():
    found = table({(RNN, 100): math.inf}, 2000)
    found["loss"] = found["step"] / 1e4
    assert list(fig2.last(found, RNN, 100)) == pytest.approx([0.18, 0.18])  # 1600 to 2000


def test_a_run_that_diverged_is_neither_at_chance_nor_below():
    found = table(DROPS | NEVER, 60_000, "diverged")
    assert verdicts(found)[5:] == ["dnh"] * 5


def test_the_table_holds_means_over_windows_of_updates(tmp_path, fabricate):
    """Logged at 0, 50, 100, 150, 200: the initialisation, and two windows of 100 updates."""
    for name, cell in (("a", {"_target_": "rnnlab.cells.indrnn.IndRNN", "activation": "relu"}), ("b", None)):
        cell = cell or {"_target_": "rnnlab.cells.elman.Elman", "activation": "relu"}
        fabricate.run(
            tmp_path,
            name,
            steps=(0, 50, 100, 150, 200),
            slopes=(-0.1,) * 5,
            losses=(8.0, 1.0, 3.0, 5.0, 9.0),
            experiment="li2018_fig2",
            settings={"cell": cell},
        )
    found = fig2.make(tmp_path, tables.runs(tmp_path), tmp_path)[0]["li2018_fig2"]
    assert list(found["model"].unique()) == [INDRNN, IRNN]
    for _, one in found.groupby("model", observed=True):
        assert list(one[["step", "loss"]].itertuples(index=False, name=None)) == [(0, 8.0), (100, 2.0), (200, 7.0)]
