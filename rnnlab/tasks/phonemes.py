"""Letters to phonemes: how is a word spoken?"""

import functools
from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.tasks import data
from rnnlab.tasks.base import (
    UNSCORED,
    Batch,
    Kind,
    Readout,
    Reduction,
    Split,
    Task,
    cross_entropy,
    error_rate,
    require_choice,
    require_positive,
    require_request,
    require_whole,
    shifted,
)
from rnnlab.tasks.ragged import Ragged

LETTERS = "abcdefghijklmnopqrstuvwxyz'"  # tokens 1 .. 27
LONGEST = 28
SHARES = (18, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Phonemes(Task):
    """Write the phonemes of an English word, given its letters.

        x = t h r o u g h, 0, 0, ..      y = TH R UW stop, -1, -1, ..      given = start TH R UW, -1, -1, ..

    Letters are 1 to 26, the apostrophe 27. Phonemes are 1 to 39 in the order of the alphabet of their names, without
    stress; 0 is the stop, and the start of what is given. Of several pronunciations the first is the target. Letters
    and phonemes are equal in number in one word of four, so that there is no answer to read off step by step.

    124,926 words of the dictionary consist of letters and apostrophes; with T = 8, 88,625 are short enough. The split
    is by word: the dictionary is shuffled once (numpy.random.RandomState(0)) and cut into 90 % for training, 5 % for
    validation and 5 % for the test, then the longer words are left out, so that a word is in the same split whatever T.
    An inflection of a word counts as another word. `draw` samples with replacement.

    The loss is the cross-entropy in nats of each phoneme and the stop, given those before. `chance_loss` is that of the
    best answer that knows the step alone, over the test split.

    Metrics:
        error: fraction of the phonemes and stops that are wrong when those before are given.
        edit_error, sequence_error: of what the network writes by itself. In the field the phoneme error rate (PER) and
            the word error rate (WER), there with the nearest of several pronunciations.

    Args:
        length: T, the longest word in letters, from 2 to 28.
        reduction: over the phonemes of a word and its stop.
        solved_error: solved if `edit_error` is below this. Ours.

    Reference:
        The CMU Pronouncing Dictionary, 1993-2015 (data/README.md); with an encoder-decoder after Yao & Zweig,
        Sequence-to-Sequence Neural Net Models for Grapheme-to-Phoneme Conversion, 2015.
    """

    reduction: Reduction
    solved_error: float
    kind: ClassVar[Kind] = "sequence-to-sequence"
    inputs: ClassVar[int] = 28
    outputs: ClassVar[int] = 40
    readout: ClassVar[Readout] = "decoder"

    def __post_init__(self) -> None:
        require_whole("phonemes", "length", self.length, 2, "for words in each split")
        require_choice("phonemes", "reduction", self.reduction, get_args(Reduction))
        require_positive("phonemes", "solved_error", self.solved_error)
        if self.length > LONGEST:
            raise ValueError(f"phonemes needs length <= {LONGEST}, the longest word, got {self.length}")

    @property
    def emitted(self) -> int:
        return 1 + _most_phonemes(self.length)

    @property
    def chance_loss(self) -> float:
        y = self._batch("test", torch.arange(len(_split("test", self.length)[0].lengths), device="cpu")).y
        scored = (y != UNSCORED).double()
        weight = scored / scored.sum(0) if self.reduction == "mean" else scored
        mass = weight.new_zeros(len(y), self.outputs).scatter_add(1, y.clamp_min(0), weight)  # of each class, by step
        total = mass.sum(1)
        return (total.xlogy(total).sum() - mass.xlogy(mass).sum()).item() / y.shape[1]

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("phonemes", split, size)
        count = len(_split(split, self.length)[0].lengths)
        return self._batch(split, torch.randint(0, count, (size,), generator=generator, device=generator.device))

    def held_out(
        self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> Batch:
        require_request("phonemes", split, size)
        count = min(size, len(_split(split, self.length)[0].lengths))
        return self._batch(split, torch.arange(count, device=generator.device))

    def _batch(self, split: Split, chosen: Int[Tensor, " B"]) -> Batch:
        words, spoken = _split(split, self.length)
        (x, lengths), (y, counts) = words.batch(chosen, self.length), spoken.batch(chosen, self.emitted)
        time = torch.arange(len(y), device=y.device).unsqueeze(1)
        y = y.long().masked_fill(time > counts, UNSCORED)  # the padding at time = counts is the stop
        return Batch(x.long(), y, lengths.cpu(), shifted(y))

    def losses(self, outputs: Float[Tensor, "T_y B 40"], y: Int[Tensor, "T_y B"]) -> Float[Tensor, "T_y B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T_y B 40"], y: Int[Tensor, "T_y B"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": error_rate(outputs, y)}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["edit_error"] < self.solved_error


@functools.cache
def names() -> tuple[str, ...]:
    """What the 40 classes are called: the stop, then the phonemes of the dictionary."""
    return "stop", *(name.decode() for name in data.load("cmudict")["phonemes"])


@functools.cache
def _dictionary() -> tuple[Ragged, Ragged]:
    """Letters and phonemes of every word, uint8 on the CPU."""
    arrays = data.load("cmudict")
    text = np.append(arrays["words"], ord("\n"))
    ends = np.flatnonzero(text == ord("\n"))
    tokens = np.zeros(256, "uint8")
    tokens[[ord(letter) for letter in LETTERS]] = range(1, 1 + len(LETTERS))
    lengths = torch.from_numpy(np.diff(ends, prepend=-1) - 1)
    starts = torch.from_numpy(ends) - lengths
    counts = torch.from_numpy(arrays["counts"].astype("int64"))
    return Ragged(torch.from_numpy(tokens[text]), starts, lengths), Ragged.joined(
        torch.from_numpy(arrays["pronunciations"]), counts
    )


@functools.cache
def _most_phonemes(longest: int) -> int:
    """Of any word of at most `longest` letters: asked for several times an update."""
    return max(int(_split(split, longest)[1].lengths.max()) for split in get_args(Split))


@functools.cache
def _split(split: Split, longest: int) -> tuple[Ragged, Ragged]:
    """Letters and phonemes of the words of a split, in its order, that have at most `longest` letters."""
    words, spoken = _dictionary()
    order = torch.from_numpy(data.shuffled(len(words.lengths)))[data.part(split, len(words.lengths), SHARES)]
    chosen = order[words.lengths[order] <= longest]
    return words.only(chosen), spoken.only(chosen)
