import itertools

import pytest
import torch

from rnnlab.tasks.three_bit_order import ThreeBitOrder
from tests.rnnlab.tasks.every import seeded


def order(length=50, first=(0.1, 0.2), second=(0.3, 0.4), third=(0.6, 0.7)) -> ThreeBitOrder:
    return ThreeBitOrder(length=length, first=first, second=second, third=third, solved_error=0.01)


def draw(task: ThreeBitOrder, size: int):
    x, y, *_ = task.draw("train", size, seeded(), dtype=torch.float64)
    assert x.sum(-1).eq(1).all()
    return x.argmax(-1), y


def test_the_answer_is_the_order_of_the_three_symbols_and_all_else_is_noise():
    symbols, y = draw(order(), 500)
    numbers = {told: number for number, told in enumerate(itertools.product((0, 1), repeat=3))}
    for sample in range(500):
        told = tuple(symbol for symbol in symbols[:, sample].tolist() if symbol in (0, 1))
        assert y[sample].item() == numbers[told]


def test_each_symbol_stands_in_its_window():
    symbols, _ = draw(order(), 3_000)
    places = torch.stack([(symbols[:, sample] < 2).nonzero().flatten() for sample in range(3_000)])
    for which, window in enumerate((range(5, 10), range(15, 20), range(30, 35))):
        assert set(places[:, which].tolist()) == set(window)


def test_the_best_constant_guess_costs_ln_8_and_is_wrong_seven_times_in_eight():
    size, task = 20_000, order(10)
    _, y = draw(task, size)
    frequency = torch.bincount(y, minlength=8).double() / size
    metrics = task.metrics(frequency.log().expand(size, 8), y)
    # Wilks: 2 N (chance - loss) is chi-squared with 7 degrees of freedom, 7 +- sqrt(14); five standard deviations see
    # 6e-4 nats.
    assert 0 < 2 * size * (task.chance_loss - metrics["loss"]) < 7 + 5 * 14**0.5
    assert abs(metrics["error"] - 0.875) < 5 * (0.875 * 0.125 / size) ** 0.5  # sees 0.012


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 7}, r"needs a length at which the window second \[0\.3, 0\.4\] holds a step, got 7"),
        ({"third": (0.35, 0.7)}, r"needs second to end before third begins, got \[0\.3, 0\.4\], \[0\.35, 0\.7\]"),
        ({"first": (0.1, 0.5)}, r"needs first to end before second begins, got \[0\.1, 0\.5\], \[0\.3, 0\.4\]"),
    ],
)
def test_windows_without_a_step_or_out_of_order_are_refused(changes, message):
    with pytest.raises(ValueError, match=rf"^three_bit_order {message}$"):
        order(**changes)


def test_it_is_solved_strictly_below_one_percent():
    assert order().solved({"loss": 1.0, "error": 0.0099})
    assert not order().solved({"loss": 0.0, "error": 0.01})
