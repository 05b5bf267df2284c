"""Intervals that hold for few samples: of a success rate, and of a median.

Nothing is assumed of the distribution. Final losses of seeds are skewed, have two heaps where some seeds solve the task
and others do not, and may be infinite; with five of them neither Student's interval nor a bootstrap holds its level.
The order statistics do, also on a log axis, and a lower bound stays one.
"""

from collections.abc import Iterator
from itertools import islice
from math import sqrt
from statistics import NormalDist

LEVEL = 0.95


def wilson(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """The score interval of a success rate p that was seen as s/n, with z the normal quantile of (1 + level)/2.

        (s + z^2/2 -+ z sqrt(s (n - s)/n + z^2/4)) / (n + z^2)

    All p that a test of the level would not reject: within [0, 1], and more than a point at 0 or n successes. Nothing
    seen is (0, 1).

    Raises:
        ValueError: successes are not among n, or the level is not between 0 and 1.

    Reference:
        Wilson, Probable inference, the law of succession, and statistical inference, 1927; recommended for small n by
        Brown, Cai & DasGupta, Interval estimation for a binomial proportion, 2001.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"wilson needs 0 <= successes <= n, got {successes} of {n}")
    _check(level)
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre, half = successes + z * z / 2, z * sqrt(successes * (n - successes) / n + z * z / 4)
    low = (centre - half) / (n + z * z) if successes else 0.0
    high = (centre + half) / (n + z * z) if successes < n else 1.0
    return low, high


def trim(n: int, level: float = LEVEL) -> int:
    """How many of n sorted values to leave out at each end, so that the others still hold the median at the level.

    0 also where not even the range does: below 6 values at 0.95. `held` tells at which level it holds it.
    """
    _check(level)
    return max(0, next(k for k, tail in enumerate(_tails(n)) if 1 - 2 * tail / 2**n < level) - 1)


def held(n: int, trimmed: int = 0) -> float:
    """The probability that n independent values, without so many at each end, span the median of their distribution.

        1 - 2 sum_{i <= trimmed} C(n, i) / 2^n       the range: 1 - 2^(1 - n), 0.75 for 3 and 0.94 for 5 values

    At least that where the distribution has atoms. 0 for a single value.

    Reference:
        Thompson, On confidence ranges for the median, 1936; David & Nagaraja, Order Statistics, 2003, section 7.1.
    """
    return 1 - 2 * _tail(n, trimmed) / 2**n if n else 0.0


def sign_test(lower: int, higher: int) -> float:
    """Two-sided p of the sign test: as uneven a split of the pairs that differ, if both signs are equally likely.

    For outcomes that are 0 or 1 this is McNemar's exact test.

    Reference:
        Dixon & Mood, The statistical sign test, 1946.
    """
    n, least = lower + higher, min(lower, higher)
    return min(1.0, 2 * _tail(n, least) / 2**n)


def _tails(n: int) -> Iterator[int]:
    """The sums of C(n, i) over i <= 0, 1, ..., n."""
    ways = tail = 1
    for k in range(n + 1):
        yield tail
        ways = ways * (n - k) // (k + 1)
        tail += ways


def _tail(n: int, k: int) -> int:
    return next(islice(_tails(n), k, None))


def _check(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
