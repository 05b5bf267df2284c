"""Each verdict by the number that decides it, on either side of its threshold, and in the order of the rules."""

import math
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from analysis import tables
from analysis.statistics import digests
from analysis.statistics.names import nearest
from analysis.statistics.verdict import REMEDIES, RULES, by_name, verdict
from experiments.build import build

CONF = Path(__file__).parents[2] / "conf"
T = 100
HEAD = "adjoint/L0/forward/h"


def run(
    *,
    horizon=T,
    ratio=-2.0,
    clipped=0.0,
    saturated=None,
    nonfinite=0.0,
    steps=range(0, 201, 20),
    head="adjoint/L0/forward/h",
):
    """Scalars of a run that is healthy but for what is said; clipped: at which share of the late steps."""
    late = [step for step in steps if step > max(steps) / 2]
    fires = set(late[: round(clipped * len(late))])
    rows = []
    for step in steps:
        rows += [(step, "grad/norm", 1.0 + step), (step, "grad/nonfinite", 0.0), (step, "grad/clipped", step in fires)]
    for step in (min(steps), max(steps)):
        last = step == max(steps)
        rows += [
            (step, f"{head}/horizon", horizon if last else float(T)),
            (step, f"{head}/horizon_censored", float(not last or horizon >= T or math.isnan(horizon))),
            (step, f"{head}/log10_ratio", ratio if last else -1.0),
            (step, f"{head}/decay_per_step", -0.01),
        ]
        if saturated is not None:
            rows.append((step, "state/L0/forward/saturated", saturated if last else 0.0))
    rows.append((max(steps), "grad/nonfinite", nonfinite))
    return by_name(rows)


def named(scalars, T=T, outcome="stuck"):
    found = verdict(scalars, T, outcome)
    return found and (found.name, found.number, found.threshold)


@pytest.mark.parametrize(
    ("scalars", "expected"),
    [
        (run(), ("healthy", 100, 50)),
        (run(horizon=50.0), ("healthy", 50, 50)),
        (run(horizon=49.0), ("vanishing", 49, 50)),
        (run(ratio=2.99), ("healthy", 100, 50)),
        (run(ratio=3.0), ("exploding", 3, 3)),
        (run(ratio=math.inf), ("exploding", math.inf, 3)),
        (run(ratio=math.nan), ("healthy", 100, 50)),
        (run(nonfinite=7.0), ("exploding", 7, 0)),
        (run(clipped=0.4), ("healthy", 100, 50)),
        (run(clipped=0.6), ("clip-limited", 0.6, 0.5)),
        (run(saturated=0.5), ("healthy", 100, 50)),
        (run(saturated=0.51), ("saturated", 0.51, 0.5)),
        (run(saturated=math.nan), ("healthy", 100, 50)),
    ],
)
def test_a_number_decides_on_its_side_of_the_threshold(scalars, expected):
    assert named(scalars) == expected


@pytest.mark.parametrize(
    ("wrong", "first"),
    [
        ({"horizon": 3.0, "saturated": 0.9}, "saturated"),
        ({"horizon": 3.0, "saturated": 0.9, "clipped": 1.0}, "clip-limited"),
        ({"horizon": 3.0, "saturated": 0.9, "clipped": 1.0, "ratio": 4.0}, "exploding"),
    ],
)
def test_the_first_rule_that_holds_decides(wrong, first):
    assert verdict(run(**wrong), T).name == first
    assert list(RULES) == ["exploding", "clip-limited", "saturated", "vanishing", "healthy"] == list(REMEDIES)


def test_a_run_that_diverged_exploded_whatever_its_gradient_did_before():
    assert named(run(), outcome="diverged") == ("exploding", None, 0)


def test_the_first_gradient_that_was_not_finite_is_named():
    found = verdict(run() | {"grad/nonfinite": {0: 0.0, 20: 3.0, 40: 9.0}}, T)
    assert (found.number, found.text) == (3, "3 entries of the gradient are not finite at update 20")


def test_clipping_in_the_first_half_does_not_count():
    steps = range(0, 201, 20)
    scalars = run() | {"grad/clipped": {step: float(step <= 100) for step in steps}}
    assert verdict(scalars, T).name == "healthy"


def test_clipping_in_a_run_of_a_few_steps_says_nothing():
    assert verdict(run(steps=[0, 1, 2, 5, 10, 20, 40], clipped=1.0), T).name == "healthy"


def test_the_verdict_of_clipping_tells_the_norm_that_a_threshold_is_chosen_by():
    text = verdict(run(clipped=1.0), T).text
    assert "100% of the 5 steps logged since update 120" in text
    assert "median norm before it is 161" in text


def test_a_sequence_of_one_step_cannot_vanish():
    found = verdict(run(horizon=1.0) | {"adjoint/L0/forward/h/horizon_censored": {0: 1.0}}, 1)
    assert (found.name, found.number, found.threshold) == ("healthy", 1, 0.5)
    assert "single step" in found.text


def test_a_censored_horizon_is_its_own_length():
    """An encoder over 40 of 70 steps: the gradient that is there after 40 steps has gone all the way."""
    found = verdict(run(horizon=40.0) | {"adjoint/L0/forward/h/horizon_censored": {200: 1.0}}, 70)
    assert (found.name, found.number, found.threshold) == ("healthy", 40, 20)


@pytest.mark.parametrize("scalars", [{}, by_name([(0, "train/loss", 1.0), (0, "grad/norm", 1.0)])])
def test_without_a_probe_there_is_no_verdict(scalars):
    assert verdict(scalars, T) is None


def test_without_the_length_a_fall_is_not_judged():
    assert verdict(run(horizon=3.0), None) is None
    assert verdict(run(), None).name == "healthy"


def test_a_loss_without_gradient_has_no_verdict_but_a_dead_layer_below_a_live_one_has():
    dead = run(horizon=math.nan)
    assert verdict(dead, T) is None
    alive = {name: of for name, of in run(head="adjoint/L1/forward/h").items() if name.startswith("adjoint")}
    assert named(dead | alive) == ("vanishing", 0, 50)


def test_any_recurrent_layer_may_explode_but_no_feed_forward_one():
    assert named(run() | {"adjoint/L1/backward/h/log10_ratio": {200: 5.0}}) == ("exploding", 5, 3)
    assert "layer 1, backward" in verdict(run() | {"adjoint/L1/backward/h/log10_ratio": {200: 5.0}}, T).text
    assert verdict(run() | {"adjoint/L1/output/v/log10_ratio": {200: 5.0}}, T).name == "healthy"


def test_the_last_probe_decides_not_the_first():
    scalars = run()
    scalars["adjoint/L0/forward/h/horizon"][0] = 2.0
    scalars["adjoint/L0/forward/h/horizon_censored"][0] = 0.0
    assert verdict(scalars, T).name == "healthy"


def test_the_nearest_layer_is_recurrent_forward_and_h_if_there_is_a_choice():
    heads = ["L0/input/u", "L1/backward/h", "L1/forward/c", "L1/forward/h", "L2/forward/h", "L3/output/v"]
    names = [f"adjoint/{head}/horizon" for head in heads]
    for k, expected in enumerate([3, 2, 1, 4, 0, 5]):
        gone = [3, 2, 1, 4, 0, 5][:k]
        assert nearest(name for n, name in enumerate(names) if n not in gone) == f"adjoint/{heads[expected]}"
    assert nearest(["train/loss", "adjoint/of/another/kind"]) is None


def test_the_nearest_layer_is_that_of_the_table_of_digests(tmp_path, fabricate):
    fabricate.run(tmp_path, "a", cell="lstm", direction="bidirectional", depth=2)
    frame = tables.scalars(tmp_path)
    (row,) = (
        digests.nearest(digests.digests(frame))[["layer", "direction", "part"]].drop_duplicates().to_numpy().tolist()
    )
    assert nearest(frame["name"].unique()) == "adjoint/L{}/{}/{}".format(*row)


def test_a_step_that_was_logged_twice_counts_as_it_was_last():
    assert by_name([(0, "a", 1.0), (20, "a", 2.0), (10, "a", 3.0), (20, "a", 4.0)]) == {"a": {0: 1.0, 10: 3.0, 20: 4.0}}


OVERRIDES = sorted({remedy.overrides for several in REMEDIES.values() for remedy in several})


@pytest.mark.parametrize("tried", OVERRIDES)
def test_what_is_tried_builds(tried):
    overrides = tried.replace("=T", "=30").split()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", ["network.hidden=16", "network.depth=2", "device=cpu", "task.length=30", *overrides])
    assert build(config).task.length == 30


def test_each_verdict_that_is_bad_news_says_what_is_tried():
    assert all(bool(REMEDIES[name]) == (name != "healthy") for name in RULES)
