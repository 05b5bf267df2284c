"""What the scores are held against where it can be computed: on the same splits, in seconds."""

import math
from typing import NamedTuple

import numpy as np
import torch

from rnnlab.tasks.base import UNSCORED, Task
from rnnlab.tasks.sentiment import Sentiment, sentences
from tests.benchmarks.ngram import trigram

EVERYTHING = 10**6  # samples: all of a split
PENALTIES = (0.3, 1.0, 3.0, 10.0)  # C of the logistic regression, chosen by validation
STORED = 0.764  # what `tfidf` gave with scikit-learn 1.9.1


class Reference(NamedTuple):
    """A number, in the unit of the score beside it, and whose it is."""

    value: float
    whose: str


def tokens(task: Task, split: str, *, joined: bool) -> list[np.ndarray]:
    """What a network that predicts tokens sees of a split: the first token of each piece, then its targets.

    Args:
        joined: the pieces follow each other in one text, so that a model may look across their borders.
    """
    x, y, *_ = task.held_out(split, EVERYTHING, torch.Generator())
    if joined:
        return [torch.cat([x[0, :1], y.T.flatten()]).numpy()]
    return [
        torch.cat([first[None], target[target != UNSCORED]]).numpy() for first, target in zip(x[0], y.T, strict=True)
    ]


def trigram_nats(task: Task, *, joined: bool) -> Reference:
    """Nats per token of the test split."""
    parts = (tokens(task, split, joined=joined) for split in ("train", "validation", "test"))
    return Reference(trigram(*parts, task.outputs).nats, "interpolated trigram, computed here")


def trigram_bits(task: Task, *, joined: bool) -> Reference:
    """Bits per token of the test split."""
    nats, whose = trigram_nats(task, joined=joined)
    return Reference(nats / math.log(2), whose)


def tfidf(task: Sentiment) -> Reference:
    """Test accuracy of logistic regression on TF-IDF of the same words; its penalty is chosen by validation.

    Without scikit-learn, a number from before.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        return Reference(
            STORED, "TF-IDF + logistic regression, STORED: scikit-learn is not here, pip install -e .[scores]"
        )
    vectors = TfidfVectorizer(analyzer=list, min_df=task.least_count)
    words, y = sentences("train")
    x = vectors.fit_transform(words)
    fits = [LogisticRegression(C=C, max_iter=1000).fit(x, y.numpy()) for C in PENALTIES]
    validation, test = ((vectors.transform(words), y.numpy()) for words, y in map(sentences, ("validation", "test")))
    best = max(fits, key=lambda fit: fit.score(*validation))
    return Reference(best.score(*test), f"TF-IDF + logistic regression (C = {best.C:g}), computed here")
