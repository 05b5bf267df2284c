"""Settings drawn at random: each axis follows its law, and the drawing is part of the sweep."""

import math
import random
import statistics

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.hydra_plugins.test_sweeper import hydra_is_up, of_job, plan  # noqa: F401

RANDOM = "hydra/sweeper=random"
LR = "optimizer.lr=tag(log, interval(1e-4, 1e-1))"


def values(sweep, key: str) -> list[str]:
    return [line.partition("=")[2] for lines in sweep.runs.values() for line in lines if line.startswith(f"{key}=")]


def drawn(axis: str, count: int) -> list[str]:
    from hydra_plugins.rnnlab_sweeps.random_search import pick

    override = OverridesParser.create().parse_override(axis)
    return [pick(override, random.Random(f"{axis}/{n}")) for n in range(count)]


@pytest.mark.parametrize(
    ("axis", "law"),
    [
        (LR, lambda v: math.log(v / 1e-4) / math.log(1e3)),
        ("init.gain=interval(0.5, 1.5)", lambda v: v - 0.5),
        ("network.hidden=int(interval(8, 127))", lambda v: (v - 7.5) / 120),
        ("seed=range(10)", lambda v: (v + 0.5) / 10),
        ("batch=4,12", lambda v: 0.25 if v == 4 else 0.75),
    ],
)
def test_an_axis_is_drawn_evenly_on_its_scale(axis, law):
    """Uniform on [0, 1], or two atoms: mean .5; 4 standard errors of 2,000 draws see a bias of .03."""
    shares = [law(float(value)) for value in drawn(axis, 2000)]
    assert min(shares) > 0
    assert max(shares) < 1
    assert statistics.mean(shares) == pytest.approx(0.5, abs=4 * statistics.stdev(shares) / math.sqrt(2000))
    assert statistics.stdev(shares) > 0.24


def test_whole_numbers_have_both_ends_equally_often():
    """1,000 expected of each of 3, standard deviation 26: 4 of them is .1 of it."""
    found = drawn("network.hidden=int(interval(8, 10))", 3000)
    assert all(abs(found.count(value) - 1000) < 105 for value in ("8", "9", "10"))
    assert set(found) == {"8", "9", "10"}


def test_seeds_stay_a_grid_and_what_is_packed_is_the_same_setting_with_each(monkeypatch):
    sweep, jobs = plan(RANDOM, "hydra.sweeper.samples=5", LR, "cell=elman,lstm", "seed=0,1,2")
    assert len(sweep.runs) == 15
    rates = values(sweep, "optimizer.lr")
    assert len(set(rates)) == 5
    assert all(rates.count(rate) == 3 for rate in rates)
    assert {run for job in jobs for run, _ in of_job(job)} == set(sweep.runs)
    assert set(values(sweep, "cell")) == {"elman", "lstm"}


def test_more_samples_add_to_fewer_and_another_seed_draws_others():
    few, _ = plan(RANDOM, "hydra.sweeper.samples=3", LR)
    same, _ = plan(RANDOM, "hydra.sweeper.samples=3", LR, "+network.checkpoint_every=choice(3)")
    many, _ = plan(RANDOM, "hydra.sweeper.samples=6", LR)
    other, _ = plan(RANDOM, "hydra.sweeper.samples=3", LR, "hydra.sweeper.draw=1")
    assert set(few.runs) < set(many.runs)
    assert len(many.runs) == 6
    assert values(same, "optimizer.lr") == values(few, "optimizer.lr")
    assert not set(other.runs) & set(few.runs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=0,1"], "random needs a setting to draw, got none"),
        (["optimizer.lr=interval(2,1)"], r"optimizer.lr: needs an interval with low < high, got 2.0, 1.0"),
        (
            ["optimizer.lr=tag(log, interval(0,1))"],
            r"optimizer.lr: needs an interval with 0 < low < high, got 0.0, 1.0",
        ),
        ([LR, "hydra.sweeper.samples=0"], r"hydra.sweeper.samples: needs >= 1, got 0"),
    ],
)
def test_wrong_axes_are_refused(arguments, message):
    with pytest.raises(Exception, match=message):
        plan(RANDOM, *arguments)
