"""xor, parity and latch: one bit as the answer."""

import math

import pytest
import torch

from rnnlab.tasks.base import wrong_bits
from rnnlab.tasks.latch import Latch
from rnnlab.tasks.parity import Parity
from rnnlab.tasks.xor import Xor
from tests.rnnlab.tasks.every import make, seeded

BITS = ("xor", "parity", "latch")


def draw(task, size: int):
    return task.draw("train", size, seeded(), dtype=torch.float64)


def test_xor_says_whether_two_bits_differ_and_the_four_cases_are_equally_likely():
    size = 20_000
    x, y, *_ = draw(Xor(solved_error=0.01), size)
    seen = [(*map(int, case), int(answer)) for case, answer in zip(x[0].tolist(), y[:, 0].tolist(), strict=True)]
    assert set(seen) == {(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)}
    for case in set(seen):  # 5 standard errors: sees a probability off by 6 % of itself
        assert abs(seen.count(case) / size - 0.25) < 5 * (0.25 * 0.75 / size) ** 0.5


def test_no_line_separates_xor():
    x, y, *_ = draw(Xor(solved_error=0.01), 400)
    line = x[0] @ torch.randn(2, 1) + torch.randn(1)
    margins = {tuple(case): margin for case, margin in zip(x[0].tolist(), (line * (2 * y - 1)).flatten(), strict=True)}
    assert len(margins) == 4
    assert abs(sum(margins.values())) < 1e-14  # whatever the line, so that one of the four is not positive


@pytest.mark.parametrize("length", [1, 2, 7])
def test_parity_is_one_if_the_number_of_ones_is_odd(length):
    x, y, *_ = draw(Parity(length=length, solved_error=0.01), 200)
    assert set(x.unique().tolist()) == {0, 1}
    for sample in range(200):
        assert y[sample].item() == x[:, sample].flatten().tolist().count(1) % 2


def test_parity_without_one_of_its_bits_is_a_coin():
    size = 20_000
    x, y, *_ = draw(Parity(length=4, solved_error=0.01), size)
    others = x.sum(0) - x[2]
    for told in range(4):
        share = y[others == told].mean()
        assert abs(share - 0.5) < 5 * (0.25 / int((others == told).sum())) ** 0.5  # sees .05 in the rarest case


def test_a_latch_is_told_the_class_in_its_first_steps_and_hears_noise_in_the_others():
    size, task = 20_000, Latch(length=6, shown=2, noise=0.2, channels=3, solved_error=0.01)
    x, y, *_ = draw(task, size)
    told = torch.where(torch.arange(6)[:, None] < 2, 2 * y[:, 0] - 1, 0)
    noise = torch.cat([x[..., 0] - told, x[..., 1], x[..., 2]])  # of steps and channels
    # 5 standard errors of a mean and of a standard deviation over 20,000 numbers: sees .007 and .005
    assert noise.mean(1).abs().max() < 5 * 0.2 / size**0.5
    assert (noise.std(1) - 0.2).abs().max() < 5 * 0.2 / (2 * size) ** 0.5
    together = torch.corrcoef(torch.cat([noise, y.T]))
    assert (together - torch.eye(19)).abs().max() < 5 / size**0.5  # none of them knows of another, or of the class


def test_the_best_answer_to_the_latch_errs_as_often_as_the_normal_distribution_says():
    size, L, s = 40_000, 2, 1.3
    x, y, *_ = draw(Latch(length=5, shown=L, noise=s, channels=1, solved_error=0.01), size)
    p = 0.5 * math.erfc(math.sqrt(L) / s / math.sqrt(2))
    error = wrong_bits(x[:L].sum(0), y).double().mean()
    assert abs(error - p) < 5 * (p * (1 - p) / size) ** 0.5  # sees .009 of .138


@pytest.mark.parametrize("name", BITS)
def test_the_best_constant_answer_costs_ln_2_and_is_wrong_half_the_time(name):
    size, task = 40_000, make(name)
    _, y, *_ = draw(task, size)
    share = y.mean()
    metrics = task.metrics((share / (1 - share)).log().expand(size, 1), y)
    # Wilks: 2 N (chance - loss) is chi-squared with one degree of freedom, 1 +- sqrt 2; five standard deviations see
    # 1e-4 nats.
    assert -1e-12 < 2 * size * (task.chance_loss - metrics["loss"]) < 1 + 5 * 2**0.5
    assert abs(metrics["error"] - 0.5) < 5 * (0.25 / size) ** 0.5  # sees 0.0125


def test_an_answer_of_zero_or_nan_is_wrong():
    y = torch.tensor([[0.0], [1.0], [0.0], [1.0], [0.0], [1.0]])
    outputs = torch.tensor([[-0.1], [0.1], [0.0], [0.0], [math.nan], [math.nan]])
    assert wrong_bits(outputs, y)[:, 0].tolist() == [False, False, True, True, True, True]
    assert wrong_bits(-outputs, y).all()


@pytest.mark.parametrize("name", BITS)
def test_it_is_solved_strictly_below_its_error(name):
    assert make(name).solved({"loss": 1.0, "error": 0.0099})
    assert not make(name).solved({"loss": 0.0, "error": 0.01})


def test_a_latch_that_has_nothing_to_hold_is_refused():
    with pytest.raises(ValueError, match=r"^latch needs length >= 4 to hold what 3 steps have told, got 3$"):
        make("latch", length=3)
    with pytest.raises(ValueError, match=r"^latch needs shown >= 1 to tell the class, got 0$"):
        make("latch", shown=0)
    with pytest.raises(ValueError, match=r"^latch needs noise to be a number > 0, got -1\.0$"):
        make("latch", noise=-1.0)
    with pytest.raises(ValueError, match=r"^latch needs channels >= 1 to tell the class in, got 0$"):
        make("latch", channels=0)
