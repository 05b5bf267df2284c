"""repeat, reverse and sort: a decoder writes what it has read, in the same order or another."""

import itertools
import math
from collections import Counter, defaultdict

import pytest
import torch

from rnnlab.tasks.repeat import Repeat
from rnnlab.tasks.reverse import Reverse
from rnnlab.tasks.sort import Sort, sorted_entropy
from tests.rnnlab.tasks.every import make, seeded

REWRITE = {Repeat: list, Reverse: lambda tokens: tokens[::-1], Sort: sorted}
TASKS = list(REWRITE)


def task_of(cls, length=5, shortest=2, symbols=4, reduction="mean"):
    return cls(length=length, shortest=shortest, symbols=symbols, reduction=reduction, solved_error=0.05)


def draw(task, size: int):
    return task.draw("train", size, seeded())


@pytest.mark.parametrize("cls", TASKS)
@pytest.mark.parametrize(("length", "shortest"), [(5, 2), (1, 1), (4, 4)])
def test_the_target_is_the_sequence_rewritten_and_a_stop(cls, length, shortest):
    x, y, lengths, given = draw(task_of(cls, length, shortest), 200)
    for sample in range(200):
        read, written = x[:, sample].tolist(), y[:, sample].tolist()
        size = lengths[sample].item()
        tokens = read[:size]
        assert shortest <= size <= length
        assert set(tokens) <= {1, 2, 3, 4}
        assert read == tokens + [0] * (length - size)
        assert written == [*REWRITE[cls](tokens), 0] + [-1] * (length - size)
        assert given[:, sample].tolist() == [0, *REWRITE[cls](tokens)] + [-1] * (length - size)


@pytest.mark.parametrize(
    ("cls", "read", "written"),
    [
        (Repeat, [4, 1, 2], [4, 1, 2, 0]),
        (Reverse, [4, 1, 2], [2, 1, 4, 0]),
        (Sort, [4, 1, 2, 1], [1, 1, 2, 4, 0]),
    ],
)
def test_the_example_of_the_docstring(cls, read, written):
    x, y, *_ = draw(task_of(cls, len(read), len(read)), 2_000)
    (sample, *_) = (x == torch.tensor(read)[:, None]).all(0).nonzero()[:, 0]
    assert y[:, sample].tolist() == written


@pytest.mark.parametrize("cls", TASKS)
def test_lengths_and_symbols_are_equally_likely(cls):
    size = 20_000
    x, _, lengths, _ = draw(task_of(cls), size)
    for least, seen in ((2, lengths), (1, x[x > 0])):
        count = torch.bincount(seen, minlength=least + 4)[least:]
        assert len(count) == 4
        # 5 standard errors: sees a share of .25 that is off by .015 (lengths) or .008 (symbols)
        assert (count / len(seen) - 0.25).abs().max() < 5 * (0.25 * 0.75 / len(seen)) ** 0.5


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("cls", TASKS)
@pytest.mark.parametrize(("length", "shortest", "symbols"), [(1, 1, 2), (4, 1, 2), (4, 3, 3), (3, 3, 4)])
def test_chance_is_the_loss_of_the_best_guess_at_the_next_token_after_every_beginning(
    cls, reduction, length, shortest, symbols
):
    """Exact: every sequence once. What follows a beginning is guessed by how often, and at what weight, it does."""
    lengths = range(shortest, length + 1)
    targets = Counter()
    for size in lengths:
        for tokens in itertools.product(range(1, symbols + 1), repeat=size):
            targets[(*REWRITE[cls](list(tokens)), 0)] += 1 / len(lengths) / symbols**size
    weight = {y: p / (len(y) if reduction == "mean" else 1) for y, p in targets.items()}
    after = defaultdict(Counter)
    for y, w in weight.items():
        for t, token in enumerate(y):
            after[y[:t]][token] += w
    loss = -sum(
        w * math.log(after[y[:t]][token] / after[y[:t]].total()) for y, w in weight.items() for t, token in enumerate(y)
    )
    # rounding of a few hundred terms in float64
    assert task_of(cls, length, shortest, symbols, reduction).chance_loss == pytest.approx(loss, rel=1e-12)


def test_sorting_is_worth_the_logarithm_of_the_orders_it_forgets():
    assert sorted_entropy(1, 7) == pytest.approx(math.log(7), rel=1e-14)
    assert sorted_entropy(2, 2) == pytest.approx(math.log(4) - math.log(2) / 2, rel=1e-14)  # half of all pairs differ
    many = 10**6  # hardly two are equal: all of l! orders are forgotten
    assert sorted_entropy(5, many) == pytest.approx(5 * math.log(many) - math.log(120), abs=1e-4)


@pytest.mark.parametrize("name", ["repeat", "reverse", "sort"])
def test_it_is_solved_by_what_it_writes_alone_strictly_below_its_error(name):
    assert make(name).solved({"loss": 1.0, "error": 0.5, "edit_error": 0.5, "sequence_error": 0.0499})
    assert not make(name).solved({"loss": 0.0, "error": 0.0, "edit_error": 0.0, "sequence_error": 0.05})


@pytest.mark.parametrize("name", ["repeat", "reverse", "sort"])
def test_a_range_of_lengths_that_is_empty_is_refused(name):
    with pytest.raises(ValueError, match=rf"^{name} needs length >= 4 because a sequence has at least 4 steps, got 3$"):
        make(name, length=3, shortest=4)
    with pytest.raises(ValueError, match=rf"^{name} needs shortest >= 1 to have something to write, got 0$"):
        make(name, shortest=0)
    with pytest.raises(ValueError, match=rf"^{name} needs symbols >= 2 to have a choice, got 1$"):
        make(name, symbols=1)
