"""The parity problem."""

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
class Parity(Task):
    """Say whether the number of ones among T random bits is odd.

        x = 0 1 1 0 1      answer = 1

    Every bit decides, and all but one of them say nothing about the answer: there is no easier part to learn first. Two
    states suffice, but each 1 must exchange them, so that the state may neither decay nor be held. The loss is the
    binary cross-entropy in nats at the last step; chance is ln 2, an error of 50 %.

    Args:
        length: T. The longest dependency spans T - 1 steps.
        solved_error: solved if the fraction of wrong answers is below this. Ours; a torch.nn.GRU of 64 units stays at
            chance for some 2,000 updates and then jumps (T = 6, Adam 1e-2), or never leaves it (T = 10, Adam 3e-3).

    Reference:
        Minsky & Papert, Perceptrons, 1969; as a test of memory Bengio, Simard, Frasconi, Learning long-term
        dependencies with gradient descent is difficult, 1994, where bits are -1 and 1 and lengths vary.
    """

    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    chance_loss: ClassVar[float] = math.log(2)

    def __post_init__(self) -> None:
        require_whole("parity", "length", self.length, 1, "to hold a bit")
        require_positive("parity", "solved_error", self.solved_error)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("parity", split, size)
        bits = torch.randint(0, 2, (self.length, size, 1), generator=generator, device=generator.device)
        return Batch(bits.to(dtype), (bits.sum(0) % 2).to(dtype))

    def losses(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> Float[Tensor, "1 B"]:
        return binary_cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": wrong_bits(outputs, y).double().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
