"""The next character of a novel."""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
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
    error_rate,
    require_choice,
    require_positive,
    require_request,
    require_whole,
)

SHARES = (18, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Characters(Task):
    """Predict the next character of Moby-Dick, at each of T characters.

        x = C a l l   m e   I s h m a e      y = a l l   m e   I s h m a e l      (T = 14)

    83 symbols, tokens 0 to 82 in the order of their code points: capitals and small letters, punctuation, blanks and
    ends of lines; each occurs in the training text. The 1,190,317 characters of the 135 chapters are cut in time: the
    first 90 % train, into chapter 124; the next 5 % validate; the last 5 % test, from chapter 133 to the end. A window
    never crosses a cut. It is one author and one story. `draw` takes windows at random starts; `held_out` takes those
    that start at 0, T, 2T, .. of the split. A network starts each window without a memory.

    The loss is the cross-entropy in nats. `chance_loss` is the entropy of the characters of the test split, 3.097 nats
    (4.469 bits): no answer that ignores the input does better there. What knows the previous two characters, counts in
    the training text interpolated with shorter contexts (weights fitted on the validation text), has 2.899 bits; three,
    2.440; four, 2.279.

    Metrics:
        error: fraction of the characters named wrong.
        bits: bits per character, the mean loss of a character over ln 2.

    Args:
        length: T, from 1 to 59,515, the longest window that fits the shorter splits.
        reduction: over the T steps.
        solved_bits: solved if `bits` is below this. Ours: the trigram model above.

    Reference:
        Melville, Moby-Dick; or, The Whale, 1851, as shipped by stdlib (data/README.md); the task after Elman, Finding
        Structure in Time, 1990, and Graves, Generating Sequences With Recurrent Neural Networks, 2013.
    """

    reduction: Reduction
    solved_bits: float
    kind: ClassVar[Kind] = "many-to-many"
    inputs: ClassVar[int] = 83
    outputs: ClassVar[int] = 83
    readout: ClassVar[Readout] = "each"

    def __post_init__(self) -> None:
        require_whole("characters", "length", self.length, 1, "to predict a character")
        require_choice("characters", "reduction", self.reduction, get_args(Reduction))
        require_positive("characters", "solved_bits", self.solved_bits)
        longest = min(len(_split(split)) for split in get_args(Split)) - 1
        if self.length > longest:
            raise ValueError(f"characters needs length <= {longest} for a window to fit each split, got {self.length}")

    @property
    def chance_loss(self) -> float:
        share = _split("test").bincount().double() / len(_split("test"))
        return -share.xlogy(share).sum().item() * (self.length if self.reduction == "sum" else 1)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("characters", split, size)
        starts = len(_split(split)) - self.length  # a window holds length + 1 characters
        return self._windows(split, torch.randint(0, starts, (size,), generator=generator, device=generator.device))

    def held_out(
        self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> Batch:
        require_request("characters", split, size)
        count = min(size, (len(_split(split)) - 1) // self.length)
        return self._windows(split, torch.arange(count, device=generator.device) * self.length)

    def _windows(self, split: Split, start: Int[Tensor, " B"]) -> Batch:
        text = _split(split).to(start.device)
        time = torch.arange(self.length, device=start.device).unsqueeze(-1) + start
        return Batch(text[time].long(), text[time + 1].long())

    def losses(self, outputs: Float[Tensor, "T B 83"], y: Int[Tensor, "T B"]) -> Float[Tensor, "T B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T B 83"], y: Int[Tensor, "T B"]) -> dict[str, float]:
        losses = self.losses(outputs, y)
        return {
            "loss": self.sample_losses(losses, y).mean().item(),
            "error": error_rate(outputs, y),
            "bits": losses.mean().item() / math.log(2),
        }

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["bits"] < self.solved_bits


@functools.cache
def symbols() -> str:
    """The characters that tokens 0 to 82 stand for."""
    return "".join(sorted(set(_text())))


def _text() -> str:
    return data.load("moby_dick")["text"].tobytes().decode()


@functools.cache
def _split(split: Split) -> UInt8[Tensor, " N"]:
    """The tokens of one stretch of the text, on the CPU."""
    points = np.frombuffer(_text().encode("utf-32-le"), "<u4")
    alphabet = np.array([ord(symbol) for symbol in symbols()])
    tokens = np.searchsorted(alphabet, points[data.part(split, len(points), SHARES)])
    return torch.from_numpy(tokens.astype("uint8"))
