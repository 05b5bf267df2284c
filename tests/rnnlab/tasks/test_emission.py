import math

import pytest
import torch

from rnnlab.tasks.emission import Emission
from tests.rnnlab.tasks.every import seeded


def emission(length=6, symbols=5, reduction="sum") -> Emission:
    return Emission(length=length, symbols=symbols, reduction=reduction, solved_error=0.01)


def draw(task: Emission, size: int):
    return task.draw("train", size, seeded(), dtype=torch.float64)


@pytest.mark.parametrize(("length", "symbols"), [(1, 2), (6, 5), (9, 4)])
def test_the_answer_walks_around_the_ring_from_the_seed_and_nothing_else_is_shown(length, symbols):
    x, y, *_ = draw(emission(length, symbols), 300)
    assert not x[1:].any()
    seeds = set()
    for sample in range(300):
        start, step = (part.nonzero().item() for part in x[0, sample].split(symbols))
        assert x[0, sample].sum() == 2
        place, walk = start, []
        for _ in range(length):
            walk.append(place)
            place = place + step if place + step < symbols else place + step - symbols
        assert y[:, sample].tolist() == walk
        seeds.add((start, step))
    assert len(seeds) == symbols**2


def test_the_example_of_the_docstring():
    x, y, *_ = draw(emission(), 300)
    seed = torch.zeros(10)
    seed[1] = seed[5 + 2] = 1
    (found,) = (x[0] == seed).all(-1).nonzero()[:1, 0]
    assert y[:, found].tolist() == [1, 3, 0, 2, 4, 1]


@pytest.mark.parametrize("symbols", [4, 5])  # a composite number too: 2 and 4 share a divisor
def test_the_best_guess_that_sees_only_the_clock_costs_ln_n_per_step(symbols):
    size, task = 20_000, emission(6, symbols)
    _, y, *_ = draw(task, size)
    logits = torch.stack([(y[t].bincount(minlength=symbols) / size).double().log() for t in range(6)])
    metrics = task.metrics(logits[:, None].expand(-1, size, -1), y)
    # Wilks at each step: chi-squared with n - 1 degrees of freedom, and 2 (n - 1) as its variance. The steps are not
    # independent, so that at most their standard deviations add up. Five of them see 0.003 nats of 9.7.
    assert 0 < 2 * size * (task.chance_loss - metrics["loss"]) < 6 * (symbols - 1 + 5 * (2 * (symbols - 1)) ** 0.5)
    assert abs(metrics["error"] - (1 - 1 / symbols)) < 0.02  # the best of n at each step: sees 5 standard errors
    assert task.chance_loss == pytest.approx(6 * math.log(symbols), rel=1e-15)
    assert emission(6, symbols, "mean").chance_loss == pytest.approx(math.log(symbols), rel=1e-15)


def test_one_symbol_is_no_choice():
    with pytest.raises(ValueError, match=r"^emission needs symbols >= 2 to have a choice, got 1$"):
        emission(symbols=1)


def test_it_is_solved_strictly_below_its_error():
    assert emission().solved({"loss": 1.0, "error": 0.0099})
    assert not emission().solved({"loss": 0.0, "error": 0.01})
