"""A task."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Reduction,
    Split,
    Task,
    cross_entropy,
    error_rate,
    require_positive,
    require_request,
    require_whole,
)


@dataclass(frozen=True, kw_only=True)
class Majority(Task):
    """Say which of two tokens, each equally likely at every step, came more often.

        x = 0 1 1 0 1      answer = 1

    Every step counts the same, so that the gradient has to reach all of them, but none of them alone decides. The loss
    is the cross-entropy in nats at the last step; chance is ln 2, an error of 50 %.

    Args:
        length: T, an odd number, so that there is a majority.
        solved_error: solved if the fraction of wrong answers is below this.
    """

    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 2
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Reduction] = "mean"
    chance_loss: ClassVar[float] = math.log(2)

    def __post_init__(self) -> None:
        require_whole("majority", "length", self.length, 1, "to hold a token")
        require_positive("majority", "solved_error", self.solved_error)
        if self.length % 2 == 0:
            raise ValueError(f"majority needs an odd length, got {self.length}")

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("majority", split, size)
        x = torch.randint(0, 2, (self.length, size), generator=generator, device=generator.device)
        return Batch(x, (x.sum(0) > self.length // 2).long())

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": error_rate(outputs, y)}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
