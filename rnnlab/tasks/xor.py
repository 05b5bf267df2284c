"""Exclusive or: a problem without time."""

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
    wrong_bits,
)


@dataclass(frozen=True, kw_only=True)
class Xor(Task):
    """Say whether two random bits differ: one input, one answer, one time step.

        x = 0 0    0 1    1 0    1 1
        y =  0      1      1      0

    No line separates the two answers, so that a hidden layer is needed; the cell's first step, f(U x + b), is one. The
    loss is the binary cross-entropy in nats; chance is ln 2, an error of 50 %. Nothing travels through time, and the
    gradient at the only state is that of a network with one hidden layer.

    Args:
        solved_error: solved if the fraction of wrong answers is below this. Ours; the source asks for all four.

    Reference:
        Rumelhart, Hinton, Williams, Learning internal representations by error propagation, 1986, "The XOR problem".
    """

    solved_error: float
    length: ClassVar[int] = 1
    kind: ClassVar[Kind] = "one-to-one"
    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 1
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    chance_loss: ClassVar[float] = math.log(2)

    def __post_init__(self) -> None:
        require_positive("xor", "solved_error", self.solved_error)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("xor", split, size)
        bits = torch.randint(0, 2, (1, size, 2), generator=generator, device=generator.device)
        return Batch(bits.to(dtype), (bits.sum(-1) % 2).mT.to(dtype))

    def losses(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> Float[Tensor, "1 B"]:
        return binary_cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": wrong_bits(outputs, y).double().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
