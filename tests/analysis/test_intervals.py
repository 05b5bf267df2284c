"""Intervals against published tables, the equation that defines them, and how often they hold what they should."""

from math import comb
from statistics import NormalDist

import numpy as np
import pytest

from analysis.intervals import held, sign_test, trim, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_that_of_the_published_table(successes, n, low, high):
    # Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I, method 3: four digits
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low), abs=5e-5)


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_ends_of_wilson_are_where_the_score_test_begins_to_reject(level):
    z = NormalDist().inv_cdf((1 + level) / 2)
    for successes, n in ((1, 5), (3, 7), (19, 40)):
        for p in wilson(successes, n, level):
            assert abs(successes / n - p) == pytest.approx(z * (p * (1 - p) / n) ** 0.5, rel=1e-12)


def test_wilson_at_the_ends():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 3)[0] == 0.0
    assert wilson(3, 3)[1] == 1.0
    assert wilson(3, 3)[0] == pytest.approx(3 / (3 + NormalDist().inv_cdf(0.975) ** 2))
    with pytest.raises(ValueError, match="0 <= successes <= n, got 4 of 3"):
        wilson(4, 3)
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 95"):
        wilson(1, 3, 95)


def test_trim_is_that_of_the_published_table():
    # Conover, Practical Nonparametric Statistics; Hollander & Wolfe, table of the sign test: ranks of the 95 % interval
    ranks = {6: 1, 8: 1, 9: 2, 11: 2, 12: 3, 15: 4, 17: 5, 20: 6, 25: 8, 30: 10, 100: 40}
    assert {n: trim(n) + 1 for n in ranks} == ranks
    assert [trim(n) for n in range(6)] == [0] * 6  # the range is all there is
    assert [held(n) for n in (0, 1, 2, 3, 4, 5)] == [0.0, 0.0, 0.5, 0.75, 0.875, 0.9375]
    assert held(6) >= 0.95


def test_the_trimmed_range_holds_the_median_as_often_as_it_says():
    rng, times = np.random.default_rng(0), 4000
    for n in (3, 5, 9, 12):
        k = trim(n)
        values = np.sort(np.exp(3 * rng.standard_normal((times, n))), axis=1)  # skewed, of median 1
        share = np.mean((values[:, k] <= 1) & (values[:, n - 1 - k] >= 1))
        # 4 standard errors of a share of 4000: at most 0.028
        assert abs(share - held(n, k)) < 4 * (held(n, k) * (1 - held(n, k)) / times) ** 0.5


def test_the_sign_test_counts_the_splits():
    assert sign_test(0, 6) == sign_test(6, 0) == 2 / 64
    assert sign_test(1, 7) == 2 * (1 + 8) / 256
    assert sign_test(2, 8) == pytest.approx(0.109375)  # twice the binomial tail of 2 in 10
    assert sign_test(3, 3) == sign_test(0, 0) == 1.0
    assert sign_test(40, 60) == pytest.approx(2 * sum(comb(100, i) for i in range(41)) / 2**100)
