"""What is expected of a published figure, as the header of its experiment says it, held against its kept table."""

import pandas as pd
import pytest

from analysis import results


def share(table: pd.DataFrame) -> float:
    assert len(table)
    return table["solved"].sum() / table["runs"].sum()


def test_which_lengths_can_be_trained_is_known_from_the_horizon_before_training():
    table, about = results.read("trainability_map")
    assert about["scale"] in ("laptop", "paper")
    gain = table["x"].astype(float)
    assert share(table[gain.isin([1.0, 1.5])]) > 0.9
    assert share(table[(gain <= 0.8) & (table["T"] > 2 * table["horizon"])]) < 0.05
    assert share(table[(gain >= 2.5) & (table["T"] >= 40)]) < 0.05
    ordered = table[(gain <= 0.8) & (table["T"] == 320)]
    assert ordered["horizon"].to_numpy() == pytest.approx(ordered["predicted"].to_numpy(), rel=0.15)


def test_a_gru_sees_forty_steps_back_and_training_halves_what_an_elman_sees():
    table, about = results.read("horizon_map")
    assert about["scale"] in ("laptop", "paper")
    shallow = table[(table["row"] == "adding, depth 1") & (table["column"] == "forward")]
    gru = shallow[shallow["hue"].str.startswith("gru")]
    assert len(gru)
    assert gru["median"].between(30, 50).all()
    elman = shallow[shallow["hue"].str.startswith("elman") & (shallow["T"] == 200)]
    before, after = (elman[elman["stage"] == stage].set_index("hue")["median"] for stage in ("init", "trained"))
    assert len(before) == 2
    assert (before >= 50).all()
    assert (after <= before / 2).all()
