"""The temporal order problem with three symbols."""

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
class ThreeBitOrder(Task):
    """Say which of A and B came first, second and third, among distractors c, d, e, f.

        x = d c B f A c e A d e      answer = BAA      one of AAA, AAB, .., BBB = 0, 1, .., 7

    One symbol stands at a uniformly random step of each window, and anything else is noise. The loss is the
    cross-entropy in nats at the last step; chance is ln 8, an error of 87.5 %.

    Args:
        length: T.
        first, second, third: the windows, as [from, to) in fractions of T, rounded down to steps; each ends before the
            next begins. [0.1, 0.2], [0.3, 0.4] and [0.6, 0.7] in the code of Pascanu 2013; in experiment 6b of 1997,
            where T is 100 to 110 with a begin and an end symbol, steps 10 to 20, 33 to 43 and 66 to 76.
        solved_error: solved if the fraction of wrong answers is below this; 0.01 in Pascanu 2013, on 10,000 samples.

    Raises:
        ValueError: if a window holds no step at this length.

    Reference:
        Hochreiter & Schmidhuber, Long Short-Term Memory, 1997, experiment 6b; Pascanu, Mikolov, Bengio, On the
        difficulty of training recurrent neural networks, 2013, and the authors' code.
    """

    first: Sequence[float]
    second: Sequence[float]
    third: Sequence[float]
    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    inputs: ClassVar[int] = SYMBOLS
    outputs: ClassVar[int] = 8
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    chance_loss: ClassVar[float] = math.log(8)

    def __post_init__(self) -> None:
        require_whole("three_bit_order", "length", self.length, 3, "to hold three windows")
        require_positive("three_bit_order", "solved_error", self.solved_error)
        windows = {"first": self.first, "second": self.second, "third": self.third}
        for name, window in require_windows("three_bit_order", self.length, windows).items():
            object.__setattr__(self, name, window)  # a tuple can be hashed, a list not

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("three_bit_order", split, size)
        return draw_order(self.length, size, (self.first, self.second, self.third), generator, dtype)

    def losses(self, outputs: Float[Tensor, "B 8"], y: Int[Tensor, " B"]) -> Float[Tensor, "1 B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 8"], y: Int[Tensor, " B"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": misclassified(outputs, y).float().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
