"""Memory that is asked for in the course of the sequence (delayed_recall, variable_recall, flip_flop) or at its end."""

import itertools
import math

import pytest
import torch

from rnnlab.tasks.base import UNSCORED
from rnnlab.tasks.delayed_recall import DelayedRecall
from rnnlab.tasks.flip_flop import FlipFlop
from rnnlab.tasks.position_recall import PositionRecall
from rnnlab.tasks.variable_recall import VariableRecall
from tests.rnnlab.tasks.every import make, seeded


def delayed(length=7, delay=3, symbols=4, reduction="mean") -> DelayedRecall:
    return DelayedRecall(length=length, delay=delay, symbols=symbols, reduction=reduction, solved_error=0.01)


def variable(length=5, symbols=3, reduction="sum") -> VariableRecall:
    return VariableRecall(length=length, symbols=symbols, reduction=reduction, solved_error=0.01)


def flip_flop(length=12, channels=3, pulse=0.3, reduction="mean") -> FlipFlop:
    return FlipFlop(length=length, channels=channels, pulse=pulse, reduction=reduction, solved_error=0.01)


def draw(task, size: int):
    return task.draw("train", size, seeded(), dtype=torch.float64)


@pytest.mark.parametrize(("length", "delay"), [(2, 1), (7, 3), (6, 5)])
def test_the_answer_is_the_symbol_of_d_steps_ago_and_nothing_is_asked_before(length, delay):
    x, y, *_ = draw(delayed(length, delay), 100)
    for sample in range(100):
        shown = x[:, sample].tolist()
        assert y[:, sample].tolist() == [UNSCORED] * delay + shown[: length - delay]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_best_guess_at_a_delayed_symbol_costs_ln_n_per_scored_step(reduction):
    size, task = 20_000, delayed(reduction=reduction)
    _, y, *_ = draw(task, size)
    logits = torch.zeros(7, 4, dtype=torch.float64)
    for t in range(3, 7):
        logits[t] = (y[t].bincount(minlength=4) / size).double().log()
    metrics = task.metrics(logits[:, None].expand(-1, size, -1), y)
    excess = 2 * size * (task.chance_loss - metrics["loss"]) * (4 if reduction == "mean" else 1)
    # Wilks: chi-squared with 4 * 3 degrees of freedom, 12 +- sqrt 24; five standard deviations see 9e-4 nats in the sum
    assert 0 < excess < 12 + 5 * 24**0.5
    assert abs(metrics["error"] - 0.75) < 5 * (0.75 * 0.25 / (4 * size)) ** 0.5 + 0.005  # the best of four, not any
    assert task.chance_loss == pytest.approx(math.log(4) * (4 if reduction == "sum" else 1), rel=1e-15)


def test_a_delay_that_leaves_no_step_to_answer_is_refused():
    with pytest.raises(ValueError, match=r"^delayed_recall needs length >= 4 to answer 3 steps later, got 3$"):
        delayed(length=3, delay=3)
    with pytest.raises(ValueError, match=r"^delayed_recall needs delay >= 1 to need a memory, got 0$"):
        delayed(delay=0)


def test_the_symbol_is_named_at_the_cue_and_everything_else_is_blank():
    x, y, *_ = draw(variable(9), 300)
    for sample in range(300):
        shown, wanted = x[:, sample].tolist(), y[:, sample].tolist()
        (place,) = [t for t, token in enumerate(shown) if token < 3]
        cue = shown.index(4)
        assert place < cue
        assert shown == [3] * place + [shown[place]] + [3] * (cue - place - 1) + [4] + [3] * (8 - cue)
        assert wanted == [3] * cue + [shown[place]] + [3] * (8 - cue)


def test_every_pair_of_steps_and_every_symbol_is_equally_likely():
    size = 30_000
    x, *_ = draw(variable(4, 2), size)
    cases = list(itertools.product(itertools.combinations(range(4), 2), range(2)))
    seen = []
    for sample in range(size):
        shown = x[:, sample].tolist()
        (place,) = [t for t, token in enumerate(shown) if token < 2]
        seen.append(((place, shown.index(3)), shown[place]))
    assert set(seen) == set(cases)
    p = 1 / len(cases)
    for case in cases:  # 5 standard errors: sees a probability off by 10 % of itself
        assert abs(seen.count(case) / size - p) < 5 * (p * (1 - p) / size) ** 0.5


@pytest.mark.parametrize(("length", "symbols"), [(2, 2), (5, 3), (6, 8)])
def test_the_chance_of_variable_recall_is_the_entropy_of_each_steps_answer(length, symbols):
    """Exact: every pair of steps and every symbol once."""
    cases = list(itertools.product(itertools.combinations(range(length), 2), range(symbols)))
    total = 0.0
    for t in range(length):
        answers = [symbol if cue == t else symbols for (_, cue), symbol in cases]
        shares = [answers.count(answer) / len(cases) for answer in set(answers)]
        total -= sum(share * math.log(share) for share in shares)
    assert variable(length, symbols).chance_loss == pytest.approx(total, rel=1e-13)  # rounding of a float64 sum
    assert variable(length, symbols, "mean").chance_loss == pytest.approx(total / length, rel=1e-13)


def test_who_sees_the_cue_but_has_forgotten_the_symbol_pays_ln_n():
    task = variable(6, 4)
    x, y, *_ = draw(task, 50)
    logits = torch.where((x == 5)[..., None], torch.tensor([0, 0, 0, 0, -1e4]), torch.tensor([-1e4] * 4 + [0.0]))
    metrics = task.metrics(logits, y)
    assert metrics["loss"] == pytest.approx(math.log(4), rel=1e-14)
    assert 0 < metrics["error"] < 1  # that of the 50 cues alone
    blank = torch.nn.functional.one_hot(torch.full_like(y, 4), 5).double()
    assert task.metrics(blank, y)["error"] == 1  # though 5 of 6 steps are right


def test_a_flip_flop_says_the_sign_of_the_last_pulse_of_each_channel():
    x, y, *_ = draw(flip_flop(), 100)
    assert set(x.unique().tolist()) == {-1, 0, 1}
    for sample, channel in itertools.product(range(100), range(3)):
        held = 0
        for t in range(12):
            held = x[t, sample, channel].item() or held
            assert y[t, sample, channel].item() == held
            assert held in (-1, 1)  # from the first step on


@pytest.mark.parametrize("pulse", [0.1, 0.5, 1.0])
def test_pulses_come_with_their_probability_and_with_either_sign(pulse):
    x, *_ = draw(flip_flop(pulse=pulse), 2_000)
    later = x[1:].flatten()
    count = len(later)
    assert x[0].abs().eq(1).all()
    # 5 standard errors of 66,000 coins: sees .006 and, of the sign, .02 of a pulse
    assert abs(later.abs().mean() - pulse) <= 5 * (pulse * (1 - pulse) / count) ** 0.5
    assert abs(x.sum() / x.abs().sum()) < 5 / x.abs().sum() ** 0.5


@pytest.mark.parametrize(("reduction", "steps"), [("mean", 1), ("sum", 12)])
def test_the_best_guess_of_a_flip_flop_that_sees_only_the_clock_costs_one_per_channel_and_step(reduction, steps):
    size, task = 20_000, flip_flop(reduction=reduction)
    _, y, *_ = draw(task, size)
    best = y.mean(1, keepdim=True)
    loss = task.metrics(best.expand_as(y), y)["loss"]
    # At each step N (1 - loss) is chi-squared with one degree of freedom per channel, 3 +- sqrt 6. The steps are not
    # independent, so that at most their standard deviations add up. Five of them see 8e-4 per step, of 3.
    assert 0 < size * (task.chance_loss - loss) / steps < 3 + 5 * 6**0.5
    assert task.chance_loss == 3 * steps


def test_a_flip_flop_counts_the_channels_on_the_wrong_side():
    y = torch.tensor([[[1.0, -1.0]], [[1.0, 1.0]]])
    outputs = torch.tensor([[[0.1, 0.1]], [[0.0, 3.0]]])  # one wrong, and one that says nothing
    assert flip_flop().metrics(outputs, y)["error"] == 0.5


def test_a_pulse_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"^flip_flop needs pulse <= 1 because it is a probability, got 1\.5$"):
        flip_flop(pulse=1.5)
    with pytest.raises(ValueError, match=r"^flip_flop needs pulse to be a number > 0, got 0\.0$"):
        flip_flop(pulse=0.0)


@pytest.mark.parametrize("name", ["delayed_recall", "variable_recall", "flip_flop"])
def test_it_is_solved_strictly_below_its_error(name):
    assert make(name).solved({"loss": 1.0, "error": 0.0099})
    assert not make(name).solved({"loss": 0.0, "error": 0.01})


def test_the_answer_is_the_bit_at_each_position_of_its_own_sample():
    x, y, *_ = draw(PositionRecall(length=5, solved_error=0.01), 200)
    assert set(x.unique().tolist()) == {-1, 1}
    for sample in range(200):
        assert y[sample].tolist() == [(bit + 1) / 2 for bit in x[:, sample, 0].tolist()]


def test_the_error_is_told_position_by_position():
    task = PositionRecall(length=3, solved_error=0.01)
    y = torch.tensor([[0.0, 1, 1], [1, 1, 0]])
    outputs = torch.tensor([[-1.0, -1, 1], [1, -1, 0]])  # the second bit is always wrong, a 0 says nothing
    metrics = task.metrics(outputs, y)
    assert [metrics[f"error/{p}"] for p in range(3)] == [0, 1, 0.5]
    assert metrics["error"] == 0.5
    assert not task.solved(metrics)
    assert task.solved({"loss": 9.0, "error": 0.0099})


def test_who_remembers_no_bit_pays_ln_2_for_each_and_they_are_independent():
    size, task = 20_000, PositionRecall(length=4, solved_error=0.01)
    _, y, *_ = draw(task, size)
    share = y.mean(0)
    loss = task.metrics((share / (1 - share)).log().expand(size, 4), y)["loss"]
    # Wilks: chi-squared with 4 degrees of freedom, 4 +- sqrt 8; five standard deviations see 5e-4 nats
    assert -1e-12 < 2 * size * (task.chance_loss - loss) < 4 + 5 * 8**0.5
    assert (torch.corrcoef(y.T) - torch.eye(4)).abs().max() < 5 / size**0.5  # 5 standard errors: sees .035
