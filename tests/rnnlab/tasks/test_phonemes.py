import functools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from rnnlab.tasks import data
from rnnlab.tasks.base import Batch
from rnnlab.tasks.phonemes import LETTERS, Phonemes, names
from tests.rnnlab.tasks.every import perfect, seeded

CUTS = {"train": (0, 112_433), "validation": (112_433, 118_679), "test": (118_679, 124_926)}


def phonemes(length=8, reduction="mean") -> Phonemes:
    return Phonemes(length=length, reduction=reduction, solved_error=0.25)


@functools.cache
def dictionary() -> list[tuple[str, str]]:
    """Word and pronunciation of all entries, by a plain loop over the stored file."""
    arrays = data.load("cmudict")
    known = [name.decode() for name in arrays["phonemes"]]
    spoken, start, codes = [], 0, arrays["pronunciations"].tolist()
    for count in arrays["counts"].tolist():
        spoken.append(" ".join(known[code - 1] for code in codes[start : start + count]))
        start += count
    return list(zip(arrays["words"].tobytes().decode().split("\n"), spoken, strict=True))


def entries(split: str) -> list[tuple[str, str]]:
    return [dictionary()[i] for i in np.random.RandomState(0).permutation(124_926)[slice(*CUTS[split])]]


def read(batch: Batch) -> list[tuple[str, str]]:
    """What a batch says, for people."""
    letters, known = " " + LETTERS, names()
    words = ["".join(letters[token] for token in x).strip() for x in batch.x.T.tolist()]
    assert [len(word) for word in words] == batch.lengths.tolist()
    return [
        (word, " ".join(known[code] for code in y[: y.index(0)]))
        for word, y in zip(words, batch.y.T.tolist(), strict=True)
    ]


def held_out(split: str, length: int = 8) -> Batch:
    return phonemes(length).held_out(split, 200_000, seeded())


def test_a_word_by_hand():
    batch = held_out("train")
    place = [word for word, _ in entries("train") if len(word) <= 8].index("through")
    x, y, lengths, given = (values[..., [place]] for values in batch)
    assert x.T.tolist() == [[20, 8, 18, 15, 21, 7, 8, 0]]
    assert lengths.tolist() == [7]
    assert [names()[code] for code in y[:4, 0]] == ["TH", "R", "UW", "stop"]
    assert y.T.tolist() == [[32, 28, 34, 0] + 12 * [-1]]
    assert given.T.tolist() == [[0, 32, 28, 34] + 12 * [-1]]


@pytest.mark.parametrize(("split", "length"), [("train", 6), ("validation", 9), ("test", 28)])
def test_held_out_samples_are_the_words_of_the_split_that_are_short_enough(split, length):
    assert read(held_out(split, length)) == [entry for entry in entries(split) if len(entry[0]) <= length]


def test_the_first_pronunciation_is_the_target():
    known = {word: spoken for split in CUTS for word, spoken in read(held_out(split, 6))}
    assert known["read"] == "R EH D"  # the second is R IY D
    assert known["'em"] == "AH M"
    assert known["either"] == "IY DH ER"


def test_a_word_is_in_one_split_and_stays_there_whatever_the_length():
    parts = {split: {tuple(word) for word in held_out(split).x.T.tolist()} for split in CUTS}
    assert {split: len(part) for split, part in parts.items()} == {"train": 79_800, "validation": 4_437, "test": 4_388}
    assert len(set.union(*parts.values())) == 88_625
    for split, part in parts.items():
        short = {tuple(word) for word in held_out(split, 5).x.T.tolist()}
        assert short == {word[:5] for word in part if not any(word[5:])}


@pytest.mark.parametrize(("length", "longest"), [(2, 9), (3, 15), (8, 15), (28, 28)])
def test_a_decoder_writes_as_long_as_the_longest_pronunciation_and_a_stop(length, longest):
    task = phonemes(length)  # w is spoken with eight phonemes, fyi and www stand for three names each
    known = [entry for split in CUTS for entry in entries(split) if len(entry[0]) <= length]
    assert max(len(spoken.split()) for _, spoken in known) == longest
    assert task.emitted == longest + 1
    assert len(task.scored) == longest + 1
    for split in CUTS:
        assert task.held_out(split, 10, seeded()).y.shape[0] == longest + 1


def test_draws_come_from_their_split():
    for split in CUTS:
        known = {entry for entry in entries(split) if len(entry[0]) <= 8}
        drawn = set(read(phonemes().draw(split, 1_000, seeded(2))))
        assert drawn <= known
        expected = len(known) * (1 - math.exp(-1_000 / len(known)))
        assert abs(len(drawn) - expected) < 5 * math.sqrt(len(known) / 4)  # more than any such count spreads


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_chance_is_reached_by_the_best_answer_that_knows_the_step_alone(reduction):
    y = held_out("test").y
    steps = defaultdict(Counter)
    for target in y.T.tolist():
        said = target[: target.index(0) + 1]
        for step, code in enumerate(said):
            steps[step][code] += 1 / len(said) if reduction == "mean" else 1
    outputs = torch.full((*y.shape, 40), -torch.inf, dtype=torch.float64)
    for step, mass in steps.items():
        for code, count in mass.items():
            outputs[step, :, code] = math.log(count)
    outputs[len(steps) :] = 0
    task = phonemes(reduction=reduction)
    assert task.chance_loss == pytest.approx(task.metrics(outputs, y)["loss"], rel=1e-12)  # two orders of a sum
    assert task.chance_loss == pytest.approx({"mean": 2.910, "sum": 18.514}[reduction], abs=5e-4)
    other = outputs + 1e-2 * torch.randn(len(y), 1, 40, generator=seeded(), dtype=torch.float64)
    assert task.metrics(other, y)["loss"] > task.chance_loss


def test_errors_are_those_of_phonemes_and_of_words():
    batch = phonemes().held_out("test", 3, seeded())
    assert [spoken for _, spoken in read(batch)] == ["L EY N IY", "P IY B AH L Z", "S AH F AY S T"]
    written = batch.y.clamp_min(0)
    written[3, 0] = 0  # L EY N: one deletion
    written[[0, 1], 1] = written[[1, 0], 1]  # IY P B AH L Z: two substitutions
    assert phonemes().written(written, batch.y) == {"edit_error": 3 / 16, "sequence_error": 2 / 3}
    outputs = perfect(phonemes(), batch.y)
    outputs[3, 0] = outputs[4, 0]
    assert phonemes().metrics(outputs, batch.y)["error"] == 1 / 19  # 16 phonemes and three stops


def test_it_is_solved_strictly_below_its_edit_error():
    assert phonemes().solved({"loss": 1.0, "error": 0.5, "edit_error": 0.249})
    assert not phonemes().solved({"loss": 0.0, "error": 0.0, "edit_error": 0.25})


@pytest.mark.parametrize(("length", "rule"), [(1, ">= 2 for words in each split"), (29, "<= 28, the longest word")])
def test_a_length_without_words_and_one_beyond_the_longest_are_refused(length, rule):
    with pytest.raises(ValueError, match=rf"^phonemes needs length {rule}, got {length}$"):
        phonemes(length)
