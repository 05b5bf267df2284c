"""The delay line."""

import math
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

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


@dataclass(frozen=True, kw_only=True)
class DelayedRecall(Task):
    """Repeat at every step the symbol of d steps ago.

        y_t = x_{t-d}, t = d .. T - 1; the first d steps do not count (.)

        x = c a b b a c      y = . . c a b b      (d = 2)

    The memory is full at all times: d symbols have to be held in order, and each new one displaces the oldest. Every
    scored step asks for exactly d steps of memory. Inputs are tokens, n symbols drawn evenly; the loss is the
    cross-entropy in nats, ln n per scored step for who does not look, with an error of 1 - 1 / n.

    Args:
        length: T, above d.
        delay: d, at least 1.
        symbols: n, at least 2.
        reduction: over the T - d scored steps.
        solved_error: solved if the fraction of wrong symbols, of those that count, is below this; ours.

    Reference:
        Jaeger, Short term memory in echo state networks, 2001: delayed recall as the measure of a network's memory,
        there of real numbers and by linear readouts.
    """

    delay: int
    symbols: int
    reduction: Reduction
    solved_error: float
    kind: ClassVar[Kind] = "many-to-many"
    readout: ClassVar[Readout] = "each"

    def __post_init__(self) -> None:
        require_whole("delayed_recall", "delay", self.delay, 1, "to need a memory")
        require_whole("delayed_recall", "length", self.length, self.delay + 1, f"to answer {self.delay} steps later")
        require_whole("delayed_recall", "symbols", self.symbols, 2, "to have a choice")
        require_choice("delayed_recall", "reduction", self.reduction, get_args(Reduction))
        require_positive("delayed_recall", "solved_error", self.solved_error)

    @property
    def inputs(self) -> int:
        return self.symbols

    @property
    def outputs(self) -> int:
        return self.symbols

    @property
    def chance_loss(self) -> float:
        return math.log(self.symbols) * (self.length - self.delay if self.reduction == "sum" else 1)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("delayed_recall", split, size)
        x = torch.randint(0, self.symbols, (self.length, size), generator=generator, device=generator.device)
        y = x.roll(self.delay, 0)
        y[: self.delay] = UNSCORED
        return Batch(x, y)

    def losses(self, outputs: Float[Tensor, "T B n"], y: Int[Tensor, "T B"]) -> Float[Tensor, "T B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T B n"], y: Int[Tensor, "T B"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": error_rate(outputs, y)}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
