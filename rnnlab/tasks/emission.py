"""A sequence grown from a seed."""

import math
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

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


@dataclass(frozen=True, kw_only=True)
class Emission(Task):
    """Grow a sequence of T symbols from one input: the walk around a ring of n symbols that starts at a in steps of b.

        y_t = (a + b t) mod n      t = 0 .. T - 1

    The seed is shown at t = 0 as two one-hot vectors of n channels, for a and for b, each uniform in 0 .. n - 1; all
    later inputs are zero. With n = 5 and T = 6:

        seed = (1, 2)      y = 1 3 0 2 4 1

    From then on the network runs by itself: b has to be kept for T - 1 steps while the place on the ring moves. The
    loss is the cross-entropy in nats at each of the T steps. Whatever t is, each symbol is equally likely, so that who
    has not seen the seed pays ln n per step, with an error of 1 - 1 / n.

    Args:
        length: T. With T > n the sequence repeats itself.
        symbols: n, at least 2.
        reduction: over the T steps.
        solved_error: solved if the fraction of wrong symbols is below this.

    Reference:
        None: task and criterion are ours. It is the arithmetic progression as a one-to-many problem.
    """

    symbols: int
    reduction: Reduction
    solved_error: float
    kind: ClassVar[Kind] = "one-to-many"
    readout: ClassVar[Readout] = "each"

    def __post_init__(self) -> None:
        require_whole("emission", "length", self.length, 1, "to emit a symbol")
        require_whole("emission", "symbols", self.symbols, 2, "to have a choice")
        require_choice("emission", "reduction", self.reduction, get_args(Reduction))
        require_positive("emission", "solved_error", self.solved_error)

    @property
    def inputs(self) -> int:
        return 2 * self.symbols

    @property
    def outputs(self) -> int:
        return self.symbols

    @property
    def chance_loss(self) -> float:
        return math.log(self.symbols) * (self.length if self.reduction == "sum" else 1)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("emission", split, size)
        seed = torch.randint(0, self.symbols, (size, 2), generator=generator, device=generator.device)
        x = torch.zeros(self.length, size, self.inputs, device=seed.device, dtype=dtype)
        x[0] = one_hot(seed, self.symbols).flatten(1).to(dtype)
        time = torch.arange(self.length, device=seed.device).unsqueeze(-1)
        return Batch(x, (seed[:, 0] + seed[:, 1] * time) % self.symbols)

    def losses(self, outputs: Float[Tensor, "T B n"], y: Int[Tensor, "T B"]) -> Float[Tensor, "T B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T B n"], y: Int[Tensor, "T B"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": error_rate(outputs, y)}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
