import math
import re
from collections import Counter

import numpy as np
import pytest
import torch

from rnnlab.tasks import data
from rnnlab.tasks.sentiment import Sentiment, sentences, vocabulary
from tests.rnnlab.tasks.every import seeded

CUTS = {"train": (0, 7396), "validation": (7396, 8452), "test": (8452, 10_566)}


def sentiment(length=51, least_count=2) -> Sentiment:
    return Sentiment(length=length, least_count=least_count, solved_error=0.25)


def rated(split: str) -> list[tuple[str, float]]:
    arrays = data.load("movie_reviews")
    lines = arrays["text"].tobytes().decode().split("\n")
    return [(lines[i], arrays["ratings"][i]) for i in arrays["order"][slice(*CUTS[split])]]


def spelled(tokens: list[int], least_count: int = 2) -> list[str]:
    words = {token: word for word, token in vocabulary(least_count).items()}
    return [words.get(token, "?") for token in tokens]


def test_a_sentence_by_hand():
    lines = [line for line, _ in rated("validation")]
    place = lines.index("Effective but too tepid biopic")
    x, y, lengths, _ = sentiment(8).held_out("validation", 10_000, seeded())
    assert x[:, place].tolist() == [670, 12, 43, 4179, 2186, 0, 0, 0]
    assert (y[place], lengths[place]) == (0, 5)
    assert spelled([2, 3, 4, 5]) == ["the", "a", "and", "of"]  # the most frequent words of the training sentences


@pytest.mark.parametrize("split", CUTS)
def test_held_out_samples_are_the_sentences_of_the_split_and_the_sign_of_their_rating(split):
    x, y, lengths, _ = sentiment().held_out(split, 10_000, seeded())
    known = rated(split)
    assert y.tolist() == [int(rating > 0) for _, rating in known]
    assert 0 not in [rating for _, rating in known]
    for b in range(0, len(known), 23):
        words = re.sub(r"[^\w'’]|(?<!\w)['’]|['’](?!\w)", " ", known[b][0].lower()).split()
        assert lengths[b] == len(words)
        assert all(a in ("?", b) for a, b in zip(spelled(x[: len(words), b].tolist()), words, strict=True))


def test_no_sentence_is_in_two_splits():
    parts = [{" ".join(words) for words in sentences(split)[0]} for split in CUTS]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 10_566


@pytest.mark.parametrize("least_count", [1, 2, 5])
def test_the_vocabulary_is_counted_in_the_training_sentences_alone(least_count):
    counts = Counter(word for words in sentences("train")[0] for word in words)
    known = vocabulary(least_count)
    assert set(known) == {word for word, count in counts.items() if count >= least_count}
    assert sorted(known.values()) == [*range(2, 2 + len(known))]
    assert [counts[word] for word in sorted(known, key=known.get)] == sorted(
        (counts[word] for word in known), reverse=True
    )
    task = sentiment(least_count=least_count)
    assert task.inputs == len(known) + 2
    for split in CUTS:
        x = task.held_out(split, 10_000, seeded()).x
        unknown = sum(word not in known for words in sentences(split)[0] for word in words)
        assert (x == 1).sum() == unknown
        assert (unknown > 0) == (split != "train" or least_count > 1)


def test_a_longer_sentence_loses_its_beginning():
    whole, last = (sentiment(T).held_out("test", 300, seeded()) for T in (51, 6))
    assert last.y.equal(whole.y)
    for b, length in enumerate(whole.lengths.tolist()):
        words = whole.x[:length, b].tolist()
        assert last.x[: last.lengths[b], b].tolist() == words[-6:]
        assert last.lengths[b] == min(length, 6)


def test_draws_come_from_their_split_with_their_label():
    for split in CUTS:
        everything = sentiment().held_out(split, 10_000, seeded())
        known = {(tuple(everything.x[:, b].tolist()), everything.y[b].item()) for b in range(len(everything.y))}
        x, y, *_ = sentiment().draw(split, 2_000, seeded(3))
        drawn = {(tuple(x[:, b].tolist()), y[b].item()) for b in range(2_000)}
        assert drawn <= known
        expected = len(known) * (1 - math.exp(-2_000 / len(known)))
        assert abs(len(drawn) - expected) < 5 * math.sqrt(len(known) / 4)  # more than any such count spreads


def test_chance_is_the_entropy_of_the_labels_of_the_test_split():
    ratings = np.array([rating for _, rating in rated("test")])
    positive = (ratings > 0).mean()
    assert positive == 1060 / 2114
    entropy = -positive * math.log(positive) - (1 - positive) * math.log(1 - positive)
    assert sentiment().chance_loss == pytest.approx(entropy, rel=1e-12)  # rounding
    y = sentiment().held_out("test", 10_000, seeded()).y
    constant = torch.tensor([math.log(1 - positive), math.log(positive)], dtype=torch.float64).expand(len(y), 2)
    assert sentiment().metrics(constant, y)["loss"] == pytest.approx(entropy, rel=1e-12)


def test_words_say_something_about_the_rating_of_other_sentences():
    """Naive Bayes: log odds of each word, with one added to every count, summed over the sentence."""

    task = sentiment()
    x, y, *_ = task.held_out("train", 10_000, seeded())
    seen = torch.stack([x[:, y == label].flatten().bincount(minlength=task.inputs) for label in (0, 1)], 1) + 1.0
    odds = (seen[1:] / seen[1:].sum(0)).log()
    x, y_test, *_ = task.held_out("test", 10_000, seeded())
    outputs = (torch.cat([torch.zeros(1, 2), odds])[x]).sum(0)
    error = sentiment().metrics(outputs, y_test)["error"]
    assert 0.2 < error < 0.26  # TF-IDF and logistic regression: 0.245; labels beside their sentences: 0.5 +- 0.011


def test_it_is_solved_strictly_below_its_error():
    assert sentiment().solved({"loss": 1.0, "error": 0.249})
    assert not sentiment().solved({"loss": 0.0, "error": 0.25})


@pytest.mark.usefixtures("as_a_user")
def test_lengths_and_counts_without_meaning_are_refused():
    with pytest.raises(ValueError, match=r"^sentiment needs length <= 51, the longest sentence, got 52$"):
        sentiment(52)
    with pytest.raises(ValueError, match=r"^sentiment needs least_count >= 1 .*, got 0$"):
        sentiment(least_count=0)
    with pytest.raises(ValueError, match=r"^sentiment needs a whole number as least_count, got 1.5$"):
        sentiment(least_count=1.5)
