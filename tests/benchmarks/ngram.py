"""What a network has to beat: the cross-entropy of an interpolated trigram model of the same symbols.

    p(c | a b) = w3 n(abc) / n(ab) + w2 n(bc) / n(b) + w1 n(c) / n + w0 / V          n counts the training split

An order whose context does not occur in training says what the next lower one says. The weights are those that make the
validation split most probable (expectation-maximisation, from equal weights); the test split is seen once.

Reference: Jelinek & Mercer, Interpolated estimation of Markov source parameters from sparse data, 1980.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Pieces = Sequence[
    np.ndarray
]  # the first symbol of a piece is given, of any class; the others, 0 .. V - 1, are predicted
ENOUGH = 1e-7  # nats per symbol that one more step of the iteration gains


class Score(NamedTuple):
    """Nats per predicted symbol of the test split; the weights of uniform, unigram, bigram and trigram."""

    nats: float
    weights: np.ndarray


def trigram(train: Pieces, validation: Pieces, test: Pieces, symbols: int) -> Score:
    """The model fitted and scored; seconds for a million symbols."""
    seen = places(train)
    weights = fitted(orders(seen, places(validation), symbols))
    return Score(-np.log(orders(seen, places(test), symbols) @ weights).mean().item(), weights)


def places(pieces: Pieces) -> np.ndarray:
    """(a, b, c) of each predicted symbol c, [N, 3]; a of the first in a piece is -1, which stands for the start."""
    rows = [np.stack([np.r_[-1, piece[:-2]], piece[:-1], piece[1:]], 1) for piece in pieces if len(piece) > 1]
    return np.concatenate(rows).astype("int64")


def orders(seen: np.ndarray, asked: np.ndarray, symbols: int) -> np.ndarray:
    """What each order alone says of each symbol asked, [N, 4]: uniform, unigram, bigram, trigram."""
    found = [np.full(len(asked), 1 / symbols)]
    for context in range(3):
        above, below = (counted(seen[:, 2 - context : stop], asked[:, 2 - context : stop]) for stop in (3, 2))
        found.append(np.divide(above, below, out=found[-1].copy(), where=below > 0))
    return np.stack(found, 1)


def counted(seen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """How often each row asked is among the rows seen, [N]; a row of no symbols always is."""
    base = (2 + max(seen.max(initial=0), asked.max(initial=0))) ** np.arange(seen.shape[1])
    keys, counts = np.unique((seen + 1) @ base, return_counts=True)
    wanted = (asked + 1) @ base
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, counts[place], 0)


def fitted(orders: np.ndarray) -> np.ndarray:
    """The weights of the mixture that make its symbols most probable, [4]."""
    weights, last = np.full(orders.shape[1], 1 / orders.shape[1]), -np.inf
    while True:
        joint = orders * weights
        total = joint.sum(1)
        now = np.log(total).mean()
        if now - last < ENOUGH:
            return weights
        weights, last = (joint / total[:, None]).mean(0), now
