"""The reference of the scores, against plain loops over dictionaries and against what is known of made sequences."""

import math
from collections import Counter

import numpy as np
import pytest

from tests.benchmarks.ngram import fitted, orders, places, trigram


def pieces(seed: int, lengths: tuple[int, ...], symbols: int) -> list[np.ndarray]:
    """Each symbol follows from the two before, in two of three cases."""
    generator = np.random.default_rng(seed)
    found = []
    for length in lengths:
        piece = [7, 1]  # 7 is no symbol: it is given, as a genre is
        while len(piece) < length:
            follows = (piece[-1] + 2 * piece[-2]) % symbols
            piece.append(follows if generator.random() < 2 / 3 else int(generator.integers(symbols)))
        found.append(np.array(piece))
    return found


def slow(train, asked, symbols) -> list[list[float]]:
    """Probabilities of each symbol asked by each order, one by one, by the equation of the module."""
    n = Counter()
    for piece in train:
        padded = ["start", *piece.tolist()]
        for k in range(2, len(padded)):
            for order in range(3):
                n[tuple(padded[k - order : k + 1])] += 1
                n["context", tuple(padded[k - order : k])] += 1
    rows = []
    for piece in asked:
        padded = ["start", *piece.tolist()]
        for k in range(2, len(padded)):
            row = [1 / symbols]
            for order in range(3):
                context = n["context", tuple(padded[k - order : k])]
                row.append(n[tuple(padded[k - order : k + 1])] / context if context else row[-1])
            rows.append(row)
    return rows


def test_each_order_says_what_counting_says():
    train, test = pieces(0, (40, 3, 2, 90), 5), pieces(1, (30, 8, 2), 6)  # 5 does not occur in training
    train += [piece[1:] for piece in train]  # begin with a symbol that also stands elsewhere
    found = orders(places(train), places(test), 6)
    np.testing.assert_allclose(found, slow(train, test, 6), rtol=1e-14)  # one division each
    assert len(found) == 29 + 7 + 1
    assert (found[:, 3] == 0).any()
    assert (found[:, 1] == 0).any()


def test_every_mixture_is_a_distribution_over_the_symbols():
    train = pieces(0, (60, 20), 5)
    contexts = [[a, b] for a in (-1, 0, 3, 7) for b in range(6)]
    asked = np.array([[*context, c] for context in contexts for c in range(6)])
    sums = orders(places(train), asked, 6).reshape(len(contexts), 6, 4).sum(1)
    np.testing.assert_allclose(sums, 1, rtol=1e-14)  # rounding of six fractions


def test_the_weights_are_the_best_there_are():
    said = orders(places(pieces(0, (400,), 5)), places(pieces(1, (300,), 5)), 5)
    weights = fitted(said)
    assert weights.sum() == pytest.approx(1, rel=1e-12)
    best = np.log(said @ weights).mean()
    generator = np.random.default_rng(0)
    for scale in (0.003, 0.03, 0.3):
        for _ in range(100):
            other = weights * np.exp(scale * generator.standard_normal(4))
            assert np.log(said @ (other / other.sum())).mean() < best + 1e-5  # the iteration stops when it gains 1e-7


def test_the_score_is_the_entropy_of_a_source_of_second_order():
    symbols, length = 4, 10_000
    train, validation, test = (pieces(seed, (length,), symbols) for seed in range(3))
    right = 2 / 3 + 1 / 3 / symbols
    entropy = -right * math.log(right) - (1 - right) * math.log((1 - right) / (symbols - 1))
    found = trigram(train, validation, test, symbols)
    # standard error of the mean over 10,000 symbols: 0.87 / 100; 16 contexts of 3 free shares cost 48 / 20,000 more
    assert found.nats == pytest.approx(entropy, abs=4 * 0.87 / 100)
    assert found.weights.argmax() == 3
    assert found.nats < trigram([x[::-1] for x in train], validation, test, symbols).nats - 0.1


def test_the_weights_see_the_validation_split_and_the_score_the_test_split():
    train, other = pieces(0, (300,), 5), [np.random.default_rng(3).integers(0, 5, 300)]
    learned = trigram(train, train, train, 5)
    assert learned.weights[3] > 0.99
    unlike = trigram(train, other, train, 5)
    assert unlike.weights[:2].sum() > 0.9
    assert unlike.nats > learned.nats
    assert trigram(train, train, other, 5).nats > math.log(5)
