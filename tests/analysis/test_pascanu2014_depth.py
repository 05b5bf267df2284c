"""The experiment `pascanu2014_depth`: its table from run folders, and its claims, each seen to hold and to fail."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis import pascanu2014_depth as depth
from analysis import tables

RATE = math.log10(0.9)
TANH_RATE = -0.06
GRIDS = [  # init, activation, D, m
    ("identity", "identity", 1, 1),
    ("identity", "identity", 3, 1),
    ("orthogonal", "identity", 1, 1),
    ("orthogonal", "identity", 3, 1),
    ("orthogonal", "identity", 1, 2),
    ("orthogonal", "tanh", 1, 1),
    ("orthogonal", "tanh", 3, 1),
    ("orthogonal", "tanh", 1, 2),
]


def law(column: str, D: int, m: int, lag: int) -> float:
    """By products instead of binomials: C(k + 2, 2) = (k + 2)(k + 1) / 2."""
    ways = math.log10((lag + 2) * (lag + 1) / 2) if D == 3 else 0.0
    share = {depth.ALIGNED: 1, depth.ROTATED: 0.5, depth.TANH: 0}[column]
    first = TANH_RATE if column == depth.TANH else RATE
    return lag * (first + (m - 1) * RATE) + share * ways


@pytest.fixture(scope="module")
def runs(tmp_path_factory, fabricate):
    """A folder of runs whose gradient falls by .05 decades a step, whatever they are."""
    folder = tmp_path_factory.mktemp("depth")
    for init, activation, D, m in GRIDS:
        for seed in (0, 1):
            settings = {
                "cell": {"_target_": "rnnlab.cells.elman.Elman", "activation": activation},
                "network": {"_target_": "Stack", "hidden": 8, "depth": D, "direction": "forward", "transition": m},
            }
            fabricate.run(
                folder,
                f"{init}{activation}{D}{m}{seed}",
                init=init,
                init_values={"scale": 0.9} if init == "identity" else {"gain": 0.9},
                depth=D,
                seed=seed,
                T=30,
                steps=(0,),
                slopes=(-0.05,),
                settings=settings,
                predicted={"decay_per_step": TANH_RATE} if activation == "tanh" and m == 1 else None,
            )
    return folder


def test_the_table_is_of_the_lowest_layer_and_has_the_law_of_each_network(runs):
    table = depth.make(runs, tables.runs(runs), runs)[0]["pascanu2014_depth"]
    seen = {key: sorted(rows["hue"].unique()) for key, rows in table.groupby(["row", "column"], observed=True)}
    both = (depth.ROTATED, depth.TANH)
    wanted = {(depth.LAYERS, column): [1, 3] for column in (depth.ALIGNED, *both)}
    assert seen == wanted | {(depth.MAPS, depth.ALIGNED): [1]} | {(depth.MAPS, column): [1, 2] for column in both}
    assert table.groupby(["row", "column", "hue", "seed"], observed=True)["lag"].nunique().eq(30).all()
    np.testing.assert_allclose(table["log10"], -0.05 * table["lag"], atol=1e-12)
    for row in table.itertuples():
        D, m = (row.hue, 1) if row.row == depth.LAYERS else (1, row.hue)
        assert row.predicted == pytest.approx(law(row.column, D, m, row.lag), abs=1e-12)


@pytest.fixture
def ideal(runs):
    """The same table, with what theory says as what was measured; with tanh layers add .3 decades at once."""
    table = depth.make(runs, tables.runs(runs), runs)[0]["pascanu2014_depth"]
    layers = (table["column"] == depth.TANH) & (table["row"] == depth.LAYERS) & (table["hue"] > 1)
    return table.assign(log10=table["predicted"] + 0.3 * (layers & (table["lag"] > 0)))


def verdicts(table: pd.DataFrame) -> list[str]:
    return [claim.verdict for claim in depth.check(table)]


def test_the_claims_hold_of_the_theory(ideal):
    assert verdicts(ideal) == ["holds"] * 5 + ["not tested"]


@pytest.mark.parametrize(
    ("claim", "row", "column", "off"),
    [
        (0, depth.LAYERS, depth.ALIGNED, 0.002),
        (1, depth.LAYERS, depth.ROTATED, 0.3),
        (2, depth.MAPS, depth.ROTATED, 0.002),
        (3, depth.MAPS, depth.TANH, 0.3),
        (4, depth.LAYERS, depth.TANH, 0.3),
    ],
)
def test_each_claim_fails_where_the_longest_lag_of_the_deepest_is_off(ideal, claim, row, column, off):
    of = (ideal["row"] == row) & (ideal["column"] == column) & (ideal["hue"] > 1)
    bent = ideal["log10"] + off * of * ideal["lag"] / ideal["lag"].max()
    assert [k for k, said in enumerate(verdicts(ideal.assign(log10=bent))) if said == "does not hold"] == [claim]


def test_what_the_table_has_not_is_not_tested(ideal):
    linear = ideal[(ideal["column"] == depth.ROTATED)]
    assert verdicts(linear) == ["not tested", "holds", "holds", "not tested", "not tested", "not tested"]
