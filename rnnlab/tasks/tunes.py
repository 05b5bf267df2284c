"""A fiddle tune, written token by token from its genre alone."""

import functools
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, get_args

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
)
from rnnlab.tasks.data.tunebook import GENRES

STOP = 0


@dataclass(frozen=True, kw_only=True)
class Tunes(Task):
    """Write a reel, hornpipe, jig or strathspey in ABC notation: the genre goes in, each next token comes out.

        x = jig    M:6/8  L:1/8  K:G  |:  G2  B  d ..  B3  :|        then 0
        y = M:6/8  L:1/8  K:G    |:   G2  B   d  ..    :|  stop      then -1         (T steps, padded)

    What is read at a step is the token that was written at the step before (in training: that of the tune), so that
    nothing comes from outside but the genre, at t = 0. A token is a note with its accidental, octave and length, a bar,
    a repeat, and so on (data/abc.py); the first three are the meter, the unit length and the key, so that what is
    written is a complete tune.

    Of 1,059 tunes of Ryan's Mammoth Collection (1883), 947 are of these genres, can be read, and stand there once; 568
    train, 189 validate, 190 test. The split is by tune: those that share half of their different bars, note by note,
    are variants and stand in one part; a tune in another key is not recognised. The vocabulary is that of the training
    tunes, whatever their length, and a stop: 230 classes. Tunes with a token outside it are left out (16 of the
    validation, 13 of the test), and those with more than T - 1 tokens.

    The loss is the cross-entropy in nats. `chance_loss` is that of the best fixed distribution of tokens on the test
    split. `draw` takes tunes evenly and with replacement, `held_out` the first of the split.

    Metrics:
        error: fraction of all tokens whose most probable guess is wrong, the stop included.
        nats_per_token: over all tokens, each of the same weight; "loss" weights each tune alike if it is a mean.

    Args:
        length: T, at least 2.
        reduction: over the tokens of a tune.
        solved_nats: solved if `nats_per_token` is below this. Ours; on the test split a trigram model interpolated with
            the lower orders has 2.44, and a GRU of 128 units behind an embedding 1.92 after 42 s (`make scores`).

    Reference:
        Sturm et al., Music transcription modelling and composition using deep learning, 2016; the tunes as shipped by
        music21 (data/README.md), which this package does not: `python -m rnnlab.tasks.data.rebuild tunes`, once.
    """

    reduction: Reduction
    solved_nats: float
    kind: ClassVar[Kind] = "one-to-many"
    readout: ClassVar[Readout] = "each"

    def __post_init__(self) -> None:
        require_whole("tunes", "length", self.length, 2, "to write a token and to stop")
        require_choice("tunes", "reduction", self.reduction, get_args(Reduction))
        require_positive("tunes", "solved_nats", self.solved_nats)
        shortest = max(int(_corpus().lengths[split].min()) for split in get_args(Split))
        if self.length < shortest:
            raise ValueError(f"tunes needs length >= {shortest} for a tune of each split to fit, got {self.length}")

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """What the classes stand for; 0 is the stop, an empty text."""
        return _corpus().vocabulary

    @property
    def outputs(self) -> int:
        return len(self.vocabulary)

    @property
    def inputs(self) -> int:
        """The tokens, and the four genres behind them."""
        return self.outputs + len(GENRES)

    def genre(self, name: str) -> int:
        """The token that asks for a genre.

        Raises:
            ValueError: naming the genres.
        """
        require_choice("tunes", "genre", name, GENRES)
        return self.outputs + GENRES.index(name)

    @property
    def chance_loss(self) -> float:
        y, lengths = _padded("test", self.length)[1:]
        share = torch.zeros(self.outputs, dtype=torch.float64)
        weight = (1 / lengths.double() if self.reduction == "mean" else torch.ones(len(lengths))).expand_as(y)
        share.index_add_(0, y[y != UNSCORED], weight[y != UNSCORED].double())
        return -(share.xlogy(share / share.sum())).sum().item() / len(lengths)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("tunes", split, size)
        count = len(_padded(split, self.length).lengths)
        return self._batch(split, torch.randint(0, count, (size,), generator=generator, device=generator.device))

    def held_out(
        self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> Batch:
        require_request("tunes", split, size)
        count = min(size, len(_padded(split, self.length).lengths))
        return self._batch(split, torch.arange(count, device=generator.device))

    def _batch(self, split: Split, chosen: Int[Tensor, " B"]) -> Batch:
        x, y, lengths = _padded(split, self.length)
        kept = chosen.cpu()
        return Batch(x[:, kept].to(chosen.device), y[:, kept].to(chosen.device), lengths[kept])

    def losses(self, outputs: Float[Tensor, "T B O"], y: Int[Tensor, "T B"]) -> Float[Tensor, "T B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T B O"], y: Int[Tensor, "T B"]) -> dict[str, float]:
        losses = self.losses(outputs, y)
        return {
            "loss": self.sample_losses(losses, y).mean().item(),
            "error": error_rate(outputs, y),
            "nats_per_token": losses.sum().item() / int((y != UNSCORED).sum()),
        }

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["nats_per_token"] < self.solved_nats


class Padded(NamedTuple):
    """The tunes of a split that fit T steps, [T, N], and how many steps each has."""

    x: Tensor
    y: Tensor
    lengths: Tensor


class Corpus(NamedTuple):
    """What the classes stand for; of each split genres [N], lengths [N] and classes, tune after tune, with stops."""

    vocabulary: tuple[str, ...]
    genres: dict[Split, np.ndarray]
    lengths: dict[Split, np.ndarray]
    classes: dict[Split, np.ndarray]


@functools.lru_cache(maxsize=12)
def _padded(split: Split, steps: int) -> Padded:
    corpus = _corpus()
    lengths = corpus.lengths[split]
    fits = lengths <= steps
    tunes = np.split(corpus.classes[split], lengths.cumsum()[:-1])
    y = np.full((steps, fits.sum()), UNSCORED)
    for column, k in enumerate(fits.nonzero()[0]):
        y[: lengths[k], column] = tunes[k]
    x = np.concatenate([len(corpus.vocabulary) + corpus.genres[split][None, fits], y[:-1].clip(0)])  # stop and pad: 0
    return Padded(*map(torch.from_numpy, (x, y, lengths[fits])))


@functools.cache
def _corpus() -> Corpus:
    arrays = data.load("tunes")
    lengths, order = arrays["lengths"].astype("int64"), arrays["order"]
    tunes = np.split(arrays["tokens"], lengths.cumsum()[:-1])
    parts = {split: order[data.part(split, len(order))] for split in get_args(Split)}
    known = np.unique(np.concatenate([tunes[k] for k in parts["train"]]))
    number = np.full(len(arrays["spellings"]), UNSCORED)
    number[known] = 1 + np.arange(len(known))  # 0 is the stop
    kept = {split: [k for k in part if (number[tunes[k]] > STOP).all()] for split, part in parts.items()}
    classes = {split: [part for k in chosen for part in (number[tunes[k]], [STOP])] for split, chosen in kept.items()}
    return Corpus(
        ("", *arrays["spellings"][known].tolist()),
        {split: arrays["genres"][chosen].astype("int64") for split, chosen in kept.items()},
        {split: lengths[chosen] + 1 for split, chosen in kept.items()},
        {split: np.concatenate(pieces) for split, pieces in classes.items()},
    )
