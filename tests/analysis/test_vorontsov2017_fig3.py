"""The experiment `vorontsov2017_fig3`: its tables against run folders whose gradient follows a law, its claims against
tables in which each of them holds, and fails."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from analysis import tables, vorontsov2017_claims, vorontsov2017_figures
from analysis import vorontsov2017_fig3 as experiment

MARGINS = {"$m$ = 0": 0.0, "$m$ = 0.001": 0.001, "$m$ = 0.1": 0.1, "no margin": math.nan}
LEAVES = {0.0: 2000, 0.001: 2000, 0.1: 500}  # the update at which the norm has changed by a factor of 2
STEPS = (0, 250, 500, 750, 1000)


def constraint(m: float) -> dict:
    if math.isnan(m):
        return {"_target_": "rnnlab.constraints.none"}
    if m == 0:
        return {"_target_": "rnnlab.constraints.orthogonal", "map": "cayley"}
    return {"_target_": "rnnlab.constraints.spectral_margin", "margin": m, "map": "cayley"}


@pytest.fixture
def made(tmp_path, fabricate):
    """Two T, all margins; from update 500 on the gradient fades, by m / 10 (no margin: .02) decades a step down to
    the first, and by half of that next to the last."""
    for T in (40, 80):
        for m in MARGINS.values():
            slopes = np.array([0, 1, 5]) * (-0.02 if math.isnan(m) else -m / 10)
            run = fabricate.run(
                tmp_path,
                f"T{T}m{m}",
                T=T,
                task="copying",
                settings={"constraint": constraint(m)},
                steps=(0, 500, 1500),
                slopes=tuple(slopes),
                experiment="vorontsov2017_fig3",
            )
            with np.load(run / "profiles.npz") as data:
                arrays = dict(data)
            arrays["log10_norm"][:, 0] += 0.5 * slopes[:, None, None] * arrays["lag"] * (arrays["lag"] / (T - 1) - 1)
            np.savez(run / "profiles.npz", **arrays)
            lines = [json.dumps({"step": s, "validation/error": 1 - s / 2000}) for s in (0, 500, 1500)]
            (run / "scalars.jsonl").write_text("\n".join(lines) + "\n")
    return experiment.make(tmp_path, tables.runs(tmp_path), tmp_path)[0]


def test_the_bounds_are_those_of_the_shortest_T_over_all_lags_and_a_thousand_updates(made):
    table = made["vorontsov2017_fig3_bound"]
    assert list(table["margin"].cat.categories) == list(MARGINS)
    assert set(table["T"]) == {40}
    assert set(table["lags"]) == {39}
    assert set(table["step"]) == {0, 500}
    for row in table.itertuples():
        np.testing.assert_equal(row.m, MARGINS[row.margin])
        slope = 0 if row.step == 0 else -0.02 if math.isnan(row.m) else -row.m / 10
        expected = [slope, 0.5 * slope * 40 / 39, -39 * slope]
        np.testing.assert_allclose([row.slowest, row.fastest, row.size], expected, atol=1e-12)


def test_the_heat_map_is_relative_to_the_last_step_at_every_update(made):
    table = made["vorontsov2017_fig3"]
    last = table[table["time_to"] == table["time_to"].max()]
    np.testing.assert_allclose(last["log10"], 0, atol=1e-12)
    first = table[(table["time_from"] == -0.5) & (table["step"] == 500)].set_index("margin")["log10"]
    np.testing.assert_allclose(first[list(MARGINS)], [0, -0.0039, -0.39, -0.78], atol=1e-12)


def test_accuracy_is_of_every_T_and_margin(made):
    table = made["vorontsov2017_fig1"]
    assert set(zip(table["T"], table["margin"], strict=True)) == {(T, m) for T in (40, 80) for m in MARGINS}
    np.testing.assert_allclose(table["accuracy"], table["step"] / 2000, atol=1e-12)


def test_the_panels_go_down_the_columns_as_in_the_original(made):
    figure = vorontsov2017_figures.heatmap(made["vorontsov2017_fig3"])
    assert [axes.get_title() for axes in figure.axes[:6]] == [
        "$m$ = 0",
        "no margin",
        "$m$ = 0.001",
        "",
        "$m$ = 0.1",
        "",
    ]
    colours = figure.axes[4].findobj(lambda one: one.get_gid() == "cells")[0].get_array()
    assert colours.min() == pytest.approx(-0.39)


def test_the_bound_of_a_margin_is_drawn_over_what_is_measured(made):
    (axes,) = vorontsov2017_figures.bound(made["vorontsov2017_fig3_bound"]).axes
    theory = [line.get_ydata()[0] for line in axes.get_lines() if line.get_gid() == "theory"]
    np.testing.assert_allclose(theory, [-39 * math.log10(0.999), -39 * math.log10(0.9)])
    measured = {line.get_gid(): line.get_ydata()[-1] for line in axes.get_lines()}
    assert measured["$m$ = 0.1"] == pytest.approx(0.39)


@pytest.fixture
def strays() -> pd.DataFrame:
    """What the paper says: two seeds, 219 lags, the larger the margin the sooner; 1.5 decades without a margin."""
    rows = []
    for seed in (0, 1):
        for margin, m in MARGINS.items():
            for step in STEPS:
                size = 1.5 * step / 1000 if math.isnan(m) else 0.31 * (step / LEAVES[m]) ** 2 if m else 1e-6
                of = {"m": m, "T": 200, "lags": 219, "slowest": -size / 219, "fastest": size / 219, "size": size}
                rows.append({"margin": margin, "seed": seed, "step": step, **of})
    return pd.DataFrame(rows)


def test_the_claims_on_gradients_hold_where_the_table_says_so(strays):
    found = vorontsov2017_claims.gradients(strays)
    assert [claim.verdict for claim in found] == 4 * ["holds"]
    assert found[2].ours == "-0.949 [-0.949, -0.949]"  # of the ranks 1, 2, 3, 4 and 3.5, 3.5, 2, 1


@pytest.mark.parametrize(
    ("failing", "where", "change"),
    [
        (0, lambda t: (t["m"] == 0.001) & (t["step"] == 500), {"fastest": math.log10(1.001) + 2e-6}),
        (0, lambda t: (t["m"] == 0.1) & (t["step"] == 500), {"slowest": math.log10(0.9) - 2e-6}),
        (1, lambda t: (t["m"] == 0) & (t["step"] == 500), {"size": math.log10(1.0003)}),
        (2, lambda t: (t["m"] == 0.001) & (t["step"] == 250), {"size": math.log10(2.01)}),
        (3, lambda t: t["m"].isna() & (t["step"] == 1000), {"size": 2.1}),
    ],
    ids=["above", "below", "not_flat", "in_another_order", "exploding"],
)
def test_a_claim_on_gradients_fails_alone(strays, failing, where, change):
    for name, value in change.items():
        strays.loc[where(strays), name] = value
    found = vorontsov2017_claims.gradients(strays)
    assert [n for n, claim in enumerate(found) if claim.verdict != "holds"] == [failing]


def test_claims_of_margins_that_are_not_there_are_not_tested(strays):
    found = vorontsov2017_claims.gradients(strays[strays["margin"] == "$m$ = 0"])
    assert [claim.verdict for claim in found] == ["not tested", "holds", "not tested", "not tested"]


def learning(T: int, halves: dict[str, int]) -> pd.DataFrame:
    """Two seeds that recall most of the symbols from an update on, and a tenth before; 1000 is never."""
    rows = [
        {"T": T, "margin": name, "m": MARGINS[name], "seed": seed, "outcome": "stuck", "step": step}
        | {"accuracy": 0.6 if step >= half and half < 1000 else 0.1}
        for seed in (0, 1)
        for name, half in halves.items()
        for step in (*STEPS, 300)
    ]
    return pd.DataFrame(rows)


def verdicts(table: pd.DataFrame) -> list[str]:
    return [claim.verdict for claim in vorontsov2017_claims.speed(table)]


def test_a_larger_margin_copies_sooner():
    assert verdicts(learning(200, dict(zip(MARGINS, (1000, 750, 500, 300), strict=True)))) == [
        "holds",
        "holds",
        "not tested",
        "not tested",
    ]
    found = verdicts(learning(200, dict(zip(MARGINS, (500, 750, 500, 1000), strict=True))))
    assert found[:2] == ["does not hold", "does not hold"]
    assert verdicts(learning(200, {"$m$ = 0.001": 500})) == 4 * ["not tested"]


def test_at_the_longest_T_the_smallest_margin_wins_and_none_fails():
    assert verdicts(learning(10_000, dict(zip(MARGINS, (750, 300, 500, 1000), strict=True)))) == ["holds", "holds"]
    found = verdicts(learning(10_000, dict(zip(MARGINS, (750, 500, 300, 750), strict=True))))
    assert found == ["does not hold", "does not hold"]
