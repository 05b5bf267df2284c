import itertools

import pytest
import torch

from rnnlab.tasks.adding import Adding
from rnnlab.tasks.base import squared_error


def adding(length=10, marks="halves") -> Adding:
    return Adding(length=length, marks=marks, tolerance=0.04, solved_error=0.01)


def draw(task: Adding, size: int):
    return task.draw("train", size, torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("marks", ["halves", "anywhere"])
@pytest.mark.parametrize("length", [2, 3, 11])
def test_the_target_is_the_sum_of_the_two_marked_numbers(length, marks):
    x, y, *_ = draw(adding(length, marks), 200)
    for sample in range(200):
        marked = [value for value, mark in x[:, sample].tolist() if mark == 1]
        assert len(marked) == 2
        assert x[:, sample, 1].sum() == 2
        assert y[sample].item() == sum(marked)


@pytest.mark.parametrize(
    ("marks", "pairs"),
    [
        ("halves", list(itertools.product([0, 1], [2, 3, 4]))),
        ("anywhere", list(itertools.combinations(range(5), 2))),
    ],
)
def test_every_allowed_pair_of_marks_is_equally_likely_and_no_other_occurs(marks, pairs):
    size = 20_000
    x, *_ = draw(adding(5, marks), size)
    seen = [tuple(x[:, sample, 1].nonzero().flatten().tolist()) for sample in range(size)]
    assert set(seen) == set(pairs)
    p = 1 / len(pairs)
    error = (p * (1 - p) / size) ** 0.5
    for pair in pairs:  # 5 standard errors: sees a probability that is off by 8 % (halves) or 11 % (anywhere) of itself
        assert abs(seen.count(pair) / size - p) < 5 * error


@pytest.mark.parametrize("marks", ["halves", "anywhere"])
def test_the_best_constant_guess_costs_one_sixth(marks):
    task = adding(10, marks)
    _, y, *_ = draw(task, 100_000)
    best = y.mean()
    losses = task.losses(torch.full_like(y, best), y)[0]
    error = losses.std() / 100_000**0.5
    assert 5 * error < 0.1767 - 1 / 6  # it can tell 1/6 from the value in circulation; it sees 0.003
    assert abs(losses.mean() - task.chance_loss) < 5 * error
    assert abs(best - 1) < 5 * (1 / 6 / 100_000) ** 0.5


def test_a_sample_is_wrong_beyond_the_tolerance_only():
    y = torch.ones(4, 1, dtype=torch.float64)
    outputs = y + torch.tensor([[0.0399], [-0.0399], [0.0401], [-0.0401]], dtype=torch.float64)
    assert adding().metrics(outputs, y)["error"] == 0.5


def test_it_is_solved_strictly_below_one_percent():
    assert adding().solved({"loss": 0.1, "error": 0.0099})
    assert not adding().solved({"loss": 0.0, "error": 0.01})


def test_one_step_cannot_hold_two_marks():
    with pytest.raises(ValueError, match=r"^adding needs length >= 2 to place two marks, got 1$"):
        adding(length=1)


@pytest.mark.usefixtures("as_a_user")
def test_a_squared_error_that_would_broadcast_is_refused():
    with pytest.raises(ValueError, match=r"needs outputs of y's shape \(3, 1\), got \(5, 3, 1\)"):
        squared_error(torch.zeros(5, 3, 1), torch.zeros(3, 1))
