"""The functions that tasks share, against formulas, loops and a recursive twin."""

import functools
import math

import pytest
import torch

from rnnlab.tasks.base import (
    binary_cross_entropy,
    counted,
    cross_entropy,
    edit_distance,
    error_rate,
    misclassified,
    shifted,
)
from tests.rnnlab.tasks.every import make, seeded

Y = torch.tensor([[2, -1], [0, 1], [-1, -1]])


def logits(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(3), dtype=torch.float64)


def test_cross_entropy_is_minus_the_log_of_the_softmax_at_the_target_and_zero_where_there_is_none():
    outputs = logits(3, 2, 4).requires_grad_()
    losses = cross_entropy(outputs, Y)
    for t, b in ((0, 0), (1, 0), (1, 1)):
        p = outputs[t, b].detach().softmax(0)
        assert losses[t, b].item() == pytest.approx(-math.log(p[Y[t, b]]), rel=1e-14)  # rounding of a float64 sum
    assert losses[Y == -1].tolist() == [0, 0, 0]
    (gradient,) = torch.autograd.grad(losses.sum(), outputs)
    assert gradient[Y == -1].eq(0).all()
    assert gradient[Y != -1].ne(0).all()


def test_a_loss_that_is_read_last_has_a_time_axis_of_length_one():
    outputs, y = logits(2, 4), torch.tensor([3, -1])
    assert cross_entropy(outputs, y).equal(cross_entropy(outputs[None], y[None]))
    assert counted(y).tolist() == [[True, False]]


@pytest.mark.parametrize("wrong", [4, -2, -100])
def test_a_target_outside_the_vocabulary_is_refused(wrong):
    with pytest.raises(ValueError, match=rf"^cross_entropy needs targets from 0 to 3, or -1, got {wrong}$"):
        cross_entropy(logits(3, 2, 4), torch.tensor([[0, -1], [1, wrong], [3, 3]]))


def test_binary_cross_entropy_is_minus_the_log_of_the_right_answers_probability_summed_over_the_outputs():
    outputs, y = logits(3, 2, 4), (logits(3, 2, 4) > 0.3).double()
    losses = binary_cross_entropy(outputs, y)
    p = 1 / (1 + (-outputs).exp())
    for t in range(3):
        for b in range(2):
            right = [p[t, b, o] if y[t, b, o] else 1 - p[t, b, o] for o in range(4)]
            assert losses[t, b].item() == pytest.approx(-sum(map(math.log, right)), rel=1e-14)
    assert binary_cross_entropy(outputs[0], y[0]).equal(losses[:1])


def test_binary_cross_entropy_of_a_sure_and_wrong_answer_is_its_logit_and_not_infinite():
    outputs = torch.tensor([[1000.0], [-1000.0]])
    assert binary_cross_entropy(outputs, torch.tensor([[0.0], [1.0]])).tolist() == [[1000, 1000]]
    assert binary_cross_entropy(outputs, torch.tensor([[1.0], [0.0]])).tolist() == [[0, 0]]


@pytest.mark.usefixtures("as_a_user")
def test_binary_cross_entropy_refuses_what_it_would_broadcast_and_what_is_no_bit():
    with pytest.raises(ValueError, match=r"needs outputs of y's shape \(3, 1\), got \(5, 3, 1\)$"):
        binary_cross_entropy(torch.zeros(5, 3, 1), torch.zeros(3, 1))
    with pytest.raises(ValueError, match=r"^binary_cross_entropy needs targets 0 or 1, got 0\.5$"):
        binary_cross_entropy(torch.zeros(2, 1), torch.tensor([[1.0], [0.5]]))


def test_the_mean_of_a_sample_is_over_its_own_scored_steps():
    losses = torch.tensor([[6.0, 0.0], [2.0, 5.0], [0.0, 0.0]])  # two steps of the first sample count, one of the other
    assert make("copying", reduction="mean").sample_losses(losses, Y).tolist() == [4, 5]
    assert make("copying", reduction="sum").sample_losses(losses, Y).tolist() == [8, 5]
    everywhere = Y.clamp_min(0)
    assert counted(everywhere) is None
    assert make("copying", reduction="mean").sample_losses(3 * losses, everywhere).tolist() == [8, 5]


def test_the_error_rate_is_of_the_steps_that_count_and_nan_is_wrong():
    outputs = torch.nn.functional.one_hot(torch.tensor([[2, 0], [1, 1], [3, 3]]), 4).double()
    assert misclassified(outputs, Y).tolist() == [[False, False], [True, False], [False, False]]
    assert error_rate(outputs, Y) == pytest.approx(1 / 3, rel=1e-15)
    outputs[0, 0, 3] = math.nan
    outputs[2, 0] = math.nan  # nothing is asked there
    assert error_rate(outputs, Y) == pytest.approx(2 / 3, rel=1e-15)


def test_shifted_is_the_target_one_step_later_behind_a_zero_and_nothing_behind_its_end():
    y = torch.tensor([[5, 7], [6, 0], [0, -1], [-1, -1]])
    assert shifted(y).tolist() == [[0, 0], [5, 7], [6, -1], [-1, -1]]


@functools.cache
def recursive(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Levenshtein's definition: drop one from either side, or match both."""
    if not a or not b:
        return len(a) + len(b)
    return min(recursive(a[1:], b) + 1, recursive(a, b[1:]) + 1, recursive(a[1:], b[1:]) + (a[0] != b[0]))


def test_edit_distance_is_that_of_its_recursive_definition():
    for _ in range(300):
        a, b = (tuple(torch.randint(1, 4, (int(torch.randint(0, 8, ())),)).tolist()) for _ in range(2))
        assert edit_distance(a, b) == edit_distance(b, a) == recursive(a, b)
    assert edit_distance([11, 9, 20, 20, 5, 14], [19, 9, 20, 20, 9, 14, 7]) == 3  # kitten, sitting


def test_what_was_written_is_compared_up_to_the_first_stop_and_the_edit_error_weighs_by_length():
    y = torch.tensor([[1, 3, 2], [2, 0, 2], [0, -1, 2], [-1, -1, 0]])
    tokens = torch.tensor([[1, 3, 2], [2, 3, 2], [0, 0, 2], [9, 9, 2]])  # right; one too many; no stop: one too many
    assert make("copying").written(tokens, y) == {"edit_error": 2 / 6, "sequence_error": 2 / 3}
    right = torch.where(y < 0, 7, y)
    assert make("copying").written(right, y) == {"edit_error": 0, "sequence_error": 0}
