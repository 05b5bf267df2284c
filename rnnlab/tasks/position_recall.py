"""Recall by position."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Split,
    Task,
    binary_cross_entropy,
    require_positive,
    require_request,
    require_whole,
    wrong_bits,
)


@dataclass(frozen=True, kw_only=True)
class PositionRecall(Task):
    """Say at the end which bit stood at each of the T positions.

        x = 1 -1 -1 1      y = 1 0 0 1

    Bits are -1 and 1 to the eye and 0 and 1 to the loss, each a coin. There is an output for each position p, so that
    one run tells how well a network recalls what it saw T - 1 - p steps before the end of its forward pass, and p steps
    before that of its backward one; no position is easier in itself. The loss is the binary cross-entropy in nats,
    summed over the positions; chance is T ln 2, an error of 50 %.

    Metrics:
        error: fraction of wrong bits, of all positions.
        error/p: of position p = 0 .. T - 1.

    Args:
        length: T.
        solved_error: solved if the fraction of wrong bits is below this; ours.

    Reference:
        Jaeger, Short term memory in echo state networks, 2001: how much of each earlier input a network still holds,
        there with linear readouts, of real numbers and of a network that is not trained.
    """

    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    inputs: ClassVar[int] = 1
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"

    def __post_init__(self) -> None:
        require_whole("position_recall", "length", self.length, 1, "to hold a bit")
        require_positive("position_recall", "solved_error", self.solved_error)

    @property
    def outputs(self) -> int:
        return self.length

    @property
    def chance_loss(self) -> float:
        return self.length * math.log(2)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("position_recall", split, size)
        bits = torch.randint(0, 2, (self.length, size), generator=generator, device=generator.device)
        return Batch((2 * bits - 1).to(dtype).unsqueeze(-1), bits.T.to(dtype))

    def losses(self, outputs: Float[Tensor, "B T"], y: Float[Tensor, "B T"]) -> Float[Tensor, "1 B"]:
        return binary_cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B T"], y: Float[Tensor, "B T"]) -> dict[str, float]:
        wrong = wrong_bits(outputs, y).double().mean(0)
        each = {f"error/{p}": value for p, value in enumerate(wrong.tolist())}
        return {"loss": self.mean_loss(outputs, y), "error": wrong.mean().item(), **each}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
