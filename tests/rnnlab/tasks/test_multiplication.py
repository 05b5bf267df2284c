import math

import pytest
import torch

from rnnlab.tasks.multiplication import Multiplication
from tests.rnnlab.tasks.every import make, seeded


def multiplication(length=10, marks="halves") -> Multiplication:
    return Multiplication(length=length, marks=marks, tolerance=0.04, solved_error=0.0065)


def draw(task, size: int):
    return task.draw("train", size, seeded(), dtype=torch.float64)


@pytest.mark.parametrize(("length", "marks"), [(2, "halves"), (3, "anywhere"), (11, "early"), (11, "anywhere")])
def test_the_target_is_the_product_of_the_two_marked_numbers(length, marks):
    x, y, *_ = draw(multiplication(length, marks), 200)
    for sample in range(200):
        marked = [value for value, mark in x[:, sample].tolist() if mark == 1]
        assert len(marked) == 2
        assert x[:, sample, 1].sum() == 2
        assert y[sample].item() == math.prod(marked)


@pytest.mark.parametrize("task", ["adding", "multiplication"])
@pytest.mark.parametrize(("length", "first", "second"), [(10, [0], [1, 2, 3, 4]), (24, [0, 1], range(2, 12))])
def test_early_marks_stand_in_the_first_tenth_and_from_there_to_the_middle(task, length, first, second):
    size = 10_000
    x, *_ = draw(make(task, length=length, marks="early"), size)
    places = [x[:, sample, 1].nonzero().flatten().tolist() for sample in range(size)]
    for which, window in enumerate((first, second)):
        seen = [place[which] for place in places]
        assert set(seen) == set(window)
        p = 1 / len(window)
        for step in window:  # 5 standard errors: sees a probability off by 15 % of itself in a window of ten
            assert abs(seen.count(step) / size - p) <= 5 * (p * (1 - p) / size) ** 0.5


@pytest.mark.parametrize("task", ["adding", "multiplication"])
def test_early_marks_need_ten_steps(task):
    with pytest.raises(ValueError, match=rf"^{task} needs length >= 10 to place a mark in the first tenth, got 9$"):
        make(task, length=9, marks="early")


def test_the_best_constant_guess_costs_7_144ths():
    task, size = multiplication(), 100_000
    _, y, *_ = draw(task, size)
    best = y.mean()
    losses = task.losses(torch.full_like(y, best), y)[0]
    error = losses.std() / size**0.5
    assert 5 * error < 0.0012  # what it can see, of .0486
    assert abs(losses.mean() - task.chance_loss) < 5 * error
    assert abs(best - 0.25) < 5 * (7 / 144 / size) ** 0.5
    assert task.chance_loss == pytest.approx(1 / 9 - 1 / 16, rel=1e-15)


def test_a_sample_is_wrong_beyond_the_tolerance_only():
    y = torch.full((4, 1), 0.25, dtype=torch.float64)
    outputs = y + torch.tensor([[0.0399], [-0.0399], [0.0401], [-0.0401]], dtype=torch.float64)
    assert multiplication().metrics(outputs, y)["error"] == 0.5


def test_it_is_solved_strictly_below_13_of_2000():
    assert multiplication().solved({"loss": 0.1, "error": 12 / 2000})
    assert not multiplication().solved({"loss": 0.0, "error": 13 / 2000})
