"""The experiment `henaff2016_copying`: its table from run folders, its claims where they hold and where they fail."""

import json
import math

import pandas as pd
import pytest

from analysis import henaff2016_copying as experiment
from analysis import tables

LOSSES = dict(zip(experiment.MODELS.values(), (0.2, 0.9, 1.0, 1.0, 0.95), strict=True))


def table_of(losses: dict[str, float], outcome: str = "stuck") -> pd.DataFrame:
    rows = [
        {"T": 50, "model": model, "seed": seed, "outcome": outcome, "step": step, "loss": 1.1 if step == 0 else loss}
        for model, loss in losses.items()
        for seed in range(3)
        for step in (1000, 0)
    ]
    return pd.DataFrame(rows)


def verdicts(table: pd.DataFrame) -> list[str]:
    return [claim.verdict for claim in experiment.check(table)]


def test_a_loss_is_in_units_of_chance_and_a_model_has_its_name(tmp_path, fabricate):
    for name, cell, init in (("a", "elman", "orthogonal"), ("b", "lstm", "glorot")):
        settings = {"cell": {"_target_": f"rnnlab.cells.{cell}.{cell.upper()}"}}
        if cell == "elman":
            settings["cell"]["activation"] = "tanh"
        run = fabricate.run(tmp_path, name, T=50, task="copying", cell=cell, init=init, settings=settings)
        line = {"step": 3, "validation/loss": 10 * math.log(8) / 70 / 4, "validation/loss_of_another": 7}
        (run / "scalars.jsonl").write_text(json.dumps(line) + "\n")
    table = experiment.make(tmp_path, tables.runs(tmp_path), tmp_path)[0]["henaff2016_copying"]
    assert list(table["model"]) == ["tanh, orthogonal", "LSTM"]
    assert list(table["loss"]) == pytest.approx([0.25, 0.25])


def test_another_model_is_refused(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", task="copying", cell="gru")
    with pytest.raises(ValueError, match=r"knows the models linear, orthogonal, .*gru"):
        experiment.make(tmp_path, tables.runs(tmp_path), tmp_path)


def test_the_claims_hold_where_only_the_linear_orthogonal_layer_learns():
    assert verdicts(table_of(LOSSES)) == 5 * ["holds"]


@pytest.mark.parametrize("model", LOSSES)
def test_a_claim_fails_alone(model):
    found = verdicts(table_of(LOSSES | {model: 0.4}))
    assert [name for name, verdict in zip(LOSSES, found, strict=True) if verdict != "holds"] == [model]


def test_a_run_that_diverged_has_not_learned():
    assert verdicts(table_of(LOSSES, "diverged")) == ["does not hold", *4 * ["holds"]]
    assert verdicts(table_of({"LSTM": math.nan}, "diverged"))[-1] == "holds"


def test_a_model_that_is_not_there_is_not_tested():
    assert verdicts(table_of({"LSTM": 1.0})) == [*4 * ["not tested"], "holds"]
