import pytest
import torch

from rnnlab.tasks.temporal_order import TemporalOrder


def order(length=50, first=(0.1, 0.2), second=(0.5, 0.6)) -> TemporalOrder:
    return TemporalOrder(length=length, first=list(first), second=list(second), solved_error=0.01)


def draw(task: TemporalOrder, size: int):
    x, y, *_ = task.draw("train", size, torch.Generator().manual_seed(0), dtype=torch.float64)
    assert x.sum(-1).eq(1).all()
    return x.argmax(-1), y


def test_the_answer_is_the_order_of_the_two_symbols_and_all_else_is_noise():
    symbols, y = draw(order(), 500)
    for sample in range(500):
        told = [symbol for symbol in symbols[:, sample].tolist() if symbol in (0, 1)]
        assert len(told) == 2
        assert y[sample].item() == {(0, 0): 0, (0, 1): 1, (1, 0): 2, (1, 1): 3}[tuple(told)]


@pytest.mark.parametrize(
    ("length", "first", "second", "steps"),
    [
        (10, (0.1, 0.2), (0.5, 0.6), ([1], [5])),
        (50, (0.1, 0.2), (0.5, 0.6), ([5, 6, 7, 8, 9], [25, 26, 27, 28, 29])),
        (100, (0.1, 0.12), (0.28, 0.29), ([10, 11], [28])),  # 0.29 * 100 < 29 in floating point
        (7, (0.0, 0.5), (0.5, 1.0), ([0, 1, 2], [3, 4, 5, 6])),
    ],
)
def test_the_symbols_stand_at_each_step_of_their_window_equally_often(length, first, second, steps):
    size = 5_000
    symbols, _ = draw(order(length, first, second), size)
    places = [sorted((symbols[:, sample] < 2).nonzero().flatten().tolist()) for sample in range(size)]
    for which, window in enumerate(steps):
        seen = [place[which] for place in places]
        assert set(seen) == set(window)
        p = 1 / len(window)
        for step in window:  # 5 standard errors: sees a probability off by 14 % of itself in a window of five
            assert abs(seen.count(step) / size - p) <= 5 * (p * (1 - p) / size) ** 0.5


def test_the_four_distractors_are_equally_likely():
    symbols, _ = draw(order(), 2_000)
    counts = torch.bincount(symbols[30:].flatten(), minlength=6)  # after the second window
    assert counts[:2].sum() == 0
    shares = counts[2:] / counts.sum()
    assert (shares - 0.25).abs().max() < 5 * (0.25 * 0.75 / 40_000) ** 0.5  # sees 0.011


def test_the_best_constant_guess_costs_ln_4_and_is_wrong_three_times_in_four():
    size, task = 20_000, order()
    _, y, *_ = draw(task, size)
    frequency = torch.bincount(y, minlength=4).double() / size
    metrics = task.metrics(frequency.log().expand(size, 4), y)
    # Wilks: 2 N (chance - loss) is chi-squared with 3 degrees of freedom, 3 +- sqrt(6); five standard deviations see
    # 4e-4 nats.
    assert 0 < 2 * size * (task.chance_loss - metrics["loss"]) < 3 + 5 * 6**0.5
    assert abs(metrics["error"] - 0.75) < 5 * (0.75 * 0.25 / size) ** 0.5  # sees 0.015


def test_it_is_solved_strictly_below_one_percent():
    assert order().solved({"loss": 1.0, "error": 0.0099})
    assert not order().solved({"loss": 0.0, "error": 0.01})


def test_a_window_without_a_step_is_refused():
    with pytest.raises(ValueError, match=r"^temporal_order needs a length at which the window second .* got 6$"):
        order(length=6)


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("window", [(0.2, 0.1), (0.2, 0.2), (-0.1, 0.2), (0.1, 1.1), (0.1,), (0.1, 0.2, 0.3), "ab"])
def test_a_window_that_is_no_interval_is_refused(window):
    with pytest.raises(ValueError, match=r"^temporal_order needs first to be \[from, to\]"):
        order(first=window)


def test_windows_that_overlap_are_refused():
    with pytest.raises(ValueError, match=r"^temporal_order needs first to end before second begins"):
        order(first=(0.1, 0.55))
