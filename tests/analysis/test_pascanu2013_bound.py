"""The bound (gamma smax)^k against run folders whose gradient follows a law: below it, at it, and above it."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from analysis import pascanu2013_bound as experiment
from analysis import tables

T = 30


def made(folder, fabricate, slopes=(-0.2, -0.1), bounds=(0.9, 1.2), **settings) -> dict[str, pd.DataFrame]:
    """One run, probed twice: decades per step that the gradient loses, and the bound of one step."""
    given = {"init": "gaussian", "init_values": {"gain": 0.5}, "experiment": experiment.NAME, **settings}
    activation = given.pop("activation", "tanh")
    given["settings"] = {"cell": {"activation": activation}}
    path = fabricate.run(folder, f"r{len(list(folder.iterdir()))}", T=T, slopes=slopes, **given)
    lines = [json.loads(line) for line in (path / "scalars.jsonl").read_text().splitlines()]
    for line, bound in zip(lines, bounds, strict=True):
        line[experiment.BOUND] = bound
    (path / "scalars.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return experiment.make(folder, tables.runs(folder), folder)[0]


def verdicts(table: pd.DataFrame, check=experiment.check) -> list[str]:
    return [claim.verdict for claim in check(table)]


def test_each_update_is_held_against_the_bound_of_its_own_matrix(tmp_path, fabricate):
    found = made(tmp_path, fabricate)
    rows = found[experiment.CONDITIONS]
    assert list(rows["step"]) == [0, 100]
    assert list(rows["grown"]) == pytest.approx([-0.2, -0.1])
    assert list(rows["allowed"]) == pytest.approx([math.log10(0.9), math.log10(1.2)])
    assert list(rows["over"]) == pytest.approx([-0.2 - math.log10(0.9), -0.1 - math.log10(1.2)])  # at lag 1
    assert set(rows["lags"]) == {T - 1}
    curve = found[experiment.NAME]
    assert set(curve["step"]) == {100}
    np.testing.assert_allclose(curve["ratio"], -0.1 * curve["lag"], atol=1e-12)
    np.testing.assert_allclose(curve["bound"], math.log10(1.2) * curve["lag"], atol=1e-12)


def test_one_statistic_at_one_lag_above_the_bound_is_found(tmp_path, fabricate):
    path = tmp_path / "runs"
    path.mkdir()
    made(path, fabricate)
    (run,) = path.iterdir()
    with np.load(run / "profiles.npz") as data:
        arrays = dict(data)
    arrays["log10_norm"][1, 0, list(tables.STATISTICS).index("q90"), 3] += 4.6  # of the second probe, at lag 26
    np.savez(run / "profiles.npz", **arrays)
    rows = experiment.make(path, tables.runs(path), path)[0][experiment.CONDITIONS]
    assert rows["over"].iloc[0] < 0
    assert rows["over"].iloc[1] == pytest.approx(4.6 - 26 * (0.1 + math.log10(1.2)))
    assert verdicts(rows)[0] == "holds"
    arrays["log10_norm"][1, 0, list(tables.STATISTICS).index("q90"), 3] += 0.1
    np.savez(run / "profiles.npz", **arrays)
    rows = experiment.make(path, tables.runs(path), path)[0][experiment.CONDITIONS]
    assert verdicts(rows)[0] == "does not hold"


def test_a_gradient_that_is_zero_far_back_is_measured_up_to_there(tmp_path, fabricate):
    rows = made(tmp_path, fabricate, zero_from=10)[experiment.CONDITIONS]
    assert list(rows["lags"]) == [9, 9]
    assert list(rows["grown"]) == pytest.approx([-0.2, -0.1])


@pytest.fixture
def conditions() -> pd.DataFrame:
    """Probed updates: below, at and above the bound of 1, all within theirs; the linear one attains it."""
    rows = [("tanh", 0, -0.1, -0.2), ("tanh", 5, 0.2, -0.1), ("relu", 0, 0.3, 0.1)]
    table = pd.DataFrame(rows, columns=["column", "step", "allowed", "grown"]).assign(row="gaussian $W$", over=-0.01)
    linear = {"row": "orthogonal $W$", "column": "identity", "step": 0, "allowed": 0.05, "grown": 0.05, "over": 1e-14}
    return pd.concat([table, pd.DataFrame([linear])], ignore_index=True)


def test_all_claims_hold_where_the_bound_does(conditions):
    assert verdicts(conditions) == ["holds"] * 5


@pytest.mark.parametrize(
    ("row", "column", "value", "fails"),
    [
        (1, "over", 1e-5, {0}),
        (3, "over", -1e-3, {1}),  # not attained
        (0, "grown", 0.1, {2}),
        (1, "grown", 0.1, {3}),  # all that may explode do
    ],
)
def test_each_claim_fails_where_its_sentence_is_wrong(conditions, row, column, value, fails):
    conditions.loc[row, column] = value
    found = verdicts(conditions)
    assert {n for n, verdict in enumerate(found) if verdict == "does not hold"} == fails


def test_none_that_explodes_fails_and_none_at_all_is_not_tested(conditions):
    quiet = conditions[conditions["grown"] < 0]
    assert verdicts(quiet) == ["holds", "not tested", "holds", "holds", "does not hold"]
    assert set(verdicts(conditions[:0])) == {"not tested"}


def test_the_drawn_points_are_held_against_their_bound():
    table = pd.DataFrame({"ratio": [0.0, -1.0, -np.inf], "bound": [0.0, -1.0005, -2.0]})
    assert verdicts(table, experiment.curves_check) == ["holds"]
    assert verdicts(table.assign(bound=table["bound"] - 0.01), experiment.curves_check) == ["does not hold"]


def test_a_panel_for_each_init_and_activation_with_the_bound_of_each_gain(tmp_path, fabricate):
    made(tmp_path, fabricate)
    made(tmp_path, fabricate, init_values={"gain": 0.8}, bounds=(0.95, 1.0))
    found = made(tmp_path, fabricate, init="orthogonal", activation="sigmoid")[experiment.NAME]
    picture = experiment.figure(found)
    shown = [axes for axes in picture.axes if axes.axison]
    assert len(picture.axes) == 4
    assert [sum(line.get_gid() == "bound" for line in axes.lines) for axes in shown] == [2, 1]
