import math

import pytest
import torch

from rnnlab.tasks.copying import Copying


def copying(length=5, reduction="mean") -> Copying:
    return Copying(length=length, reduction=reduction, solved_error=0.01)


def draw(task: Copying, size: int):
    return task.draw("train", size, torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_the_sequence_is_symbols_blanks_delimiter_blanks_and_the_answer_its_symbols(length):
    x, y, *_ = draw(copying(length), 50)
    assert x.sum(-1).eq(1).all()
    for sample in range(50):
        shown = x[:, sample].argmax(-1).tolist()
        symbols = shown[:10]
        assert set(symbols) <= set(range(8))
        assert shown == symbols + [8] * (length - 1) + [9] + [8] * 10
        assert y[:, sample].tolist() == [8] * (length + 10) + symbols


def test_the_best_guess_that_sees_only_the_clock_costs_ten_times_ln_8():
    size, task = 20_000, copying(reduction="sum")
    _, y, *_ = draw(task, size)
    logits = torch.full((task.steps, 9), -1e4, dtype=torch.float64)
    for step in range(task.steps):
        classes, counts = y[step].unique(return_counts=True)
        logits[step, classes] = (counts / size).double().log()
    loss = task.metrics(logits[:, None].expand(-1, size, -1), y)["loss"]
    # Wilks: 2 N (chance - loss) is chi-squared with 10 * 7 degrees of freedom, 70 +- sqrt(140). Five standard
    # deviations see 0.003 nats; seven symbols instead of eight would be 1.3.
    assert 0 < 2 * size * (task.chance_loss - loss) < 70 + 5 * 140**0.5


@pytest.mark.parametrize("length", [1, 50])
def test_chance_is_the_formula_of_the_paper(length):
    assert copying(length).chance_loss == pytest.approx(10 * math.log(8) / (length + 20), rel=1e-15)
    assert copying(length, "sum").chance_loss == pytest.approx(10 * math.log(8), rel=1e-15)


def test_the_reduction_is_over_the_steps_of_one_sample():
    losses, y = torch.arange(6.0).reshape(3, 2), torch.zeros(3, 2, dtype=torch.long)
    assert copying(reduction="mean").sample_losses(losses, y).tolist() == [2, 3]
    assert copying(reduction="sum").sample_losses(losses, y).tolist() == [6, 9]


def test_the_error_counts_the_recalled_symbols_and_not_the_blanks():
    task = copying()
    _, y, *_ = draw(task, 4)
    blank = torch.nn.functional.one_hot(torch.full_like(y, 8), 9).double()
    assert task.metrics(blank, y)["error"] == 1  # though 15 of 25 steps are right
    answer = torch.nn.functional.one_hot(y, 9).double()
    answer[:-10] = -blank[:-10]  # wrong at every blank
    answer[-1, 0] = blank[-1, 0]  # and at one of the forty symbols
    assert task.metrics(answer, y)["error"] == pytest.approx(1 / 40, rel=1e-6)  # rounding of a float32 mean


def test_it_is_solved_strictly_below_its_error():
    assert copying().solved({"loss": 1.0, "error": 0.0099})
    assert not copying().solved({"loss": 0.0, "error": 0.01})
