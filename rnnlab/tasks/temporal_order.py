"""The temporal order problem."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Split,
    Task,
    cross_entropy,
    misclassified,
    require_positive,
    require_request,
    require_whole,
)
from rnnlab.tasks.order import SYMBOLS, draw_order, require_windows


@dataclass(frozen=True, kw_only=True)
class TemporalOrder(Task):
    """Say which of A and B came first and which came second, among distractors c, d, e, f.

        x = d c B f e c A d d e      answer = BA      one of AA, AB, BA, BB = 0, 1, 2, 3

    One symbol stands at a uniformly random step of each window, and anything else is noise. The loss is the
    cross-entropy in nats at the last step; chance is ln 4, an error of 75 %.

    Args:
        length: T.
        first, second: the windows, as [from, to) in fractions of T, rounded down to steps; the first ends before the
            second begins. [0.1, 0.2] and [0.5, 0.6] in Pascanu 2013 (steps as in their code whenever 10 divides T) and,
            for T = 100, in experiment 6a of 1997, which also varies T and adds a begin and an end symbol.
        solved_error: solved if the fraction of wrong answers is below this; 0.01 in Pascanu 2013, on 10,000 samples.

    Raises:
        ValueError: if a window holds no step at this length.

    Reference:
        Hochreiter & Schmidhuber, Long Short-Term Memory, 1997, experiment 6a; Pascanu, Mikolov, Bengio, On the
        difficulty of training recurrent neural networks, 2013, sec. 4.1, and the authors' code.
    """

    first: Sequence[float]
    second: Sequence[float]
    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    inputs: ClassVar[int] = SYMBOLS
    outputs: ClassVar[int] = 4
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    chance_loss: ClassVar[float] = math.log(4)

    def __post_init__(self) -> None:
        require_whole("temporal_order", "length", self.length, 2, "to hold two windows")
        require_positive("temporal_order", "solved_error", self.solved_error)
        windows = {"first": self.first, "second": self.second}
        for name, window in require_windows("temporal_order", self.length, windows).items():
            object.__setattr__(self, name, window)  # a tuple can be hashed, a list not

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("temporal_order", split, size)
        return draw_order(self.length, size, (self.first, self.second), generator, dtype)

    def losses(self, outputs: Float[Tensor, "B 4"], y: Int[Tensor, " B"]) -> Float[Tensor, "1 B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 4"], y: Int[Tensor, " B"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": misclassified(outputs, y).float().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
