"""The flip-flop of several bits."""

from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Reduction,
    Split,
    Task,
    require_choice,
    require_positive,
    require_request,
    require_whole,
    squared_error,
    wrong_bits,
)


@dataclass(frozen=True, kw_only=True)
class FlipFlop(Task):
    """Say at every step, for each of k channels, whether its last pulse was 1 or -1.

        x = 1 0 0 -1 0 -1 0 1      y = 1 1 1 -1 -1 -1 -1 1      (one channel)

    A channel pulses with probability p at each step, and at t = 0 for sure; the sign is a coin. A network that solves
    it holds k bits, in 2^k fixed points, for 1 / p steps on average and for as long as no pulse comes. The loss is the
    squared error, summed over the channels. Each target is 1 or -1 with equal probability, so that who does not look
    can do no better than 0 and pays 1 per channel and step.

    Args:
        length: T.
        channels: k; 3 in the source.
        pulse: p, at most 1. 0.5 with T = 64 in the authors' later code, which also puts a pulse at t = 0.
        reduction: over the T steps.
        solved_error: solved if the fraction of outputs, of all channels and steps, on the wrong side of 0 is below
            this; ours.

    Reference:
        Sussillo & Barak, Opening the Black Box: Low-Dimensional Dynamics in High-Dimensional Recurrent Neural Networks,
        2013, "3-bit flip-flop"; Golub & Sussillo, FixedPointFinder, 2018.
    """

    channels: int
    pulse: float
    reduction: Reduction
    solved_error: float
    kind: ClassVar[Kind] = "many-to-many"
    readout: ClassVar[Readout] = "each"

    def __post_init__(self) -> None:
        require_whole("flip_flop", "length", self.length, 1, "to hold a pulse")
        require_whole("flip_flop", "channels", self.channels, 1, "to have something to hold")
        require_positive("flip_flop", "pulse", self.pulse)
        if self.pulse > 1:
            raise ValueError(f"flip_flop needs pulse <= 1 because it is a probability, got {self.pulse}")
        require_choice("flip_flop", "reduction", self.reduction, get_args(Reduction))
        require_positive("flip_flop", "solved_error", self.solved_error)

    @property
    def inputs(self) -> int:
        return self.channels

    @property
    def outputs(self) -> int:
        return self.channels

    @property
    def chance_loss(self) -> float:
        return float(self.channels * (self.length if self.reduction == "sum" else 1))

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("flip_flop", split, size)
        shape, device = (self.length, size, self.channels), generator.device
        pulses = torch.rand(shape, generator=generator, device=device, dtype=torch.float32) < self.pulse
        pulses[0] = True
        signs = 2 * torch.randint(0, 2, shape, generator=generator, device=device).to(dtype) - 1
        time = torch.arange(self.length, device=device).view(-1, 1, 1)
        last = torch.where(pulses, time, 0).cummax(0).values  # when the last pulse came
        return Batch(signs * pulses, signs.gather(0, last))

    def losses(self, outputs: Float[Tensor, "T B k"], y: Float[Tensor, "T B k"]) -> Float[Tensor, "T B"]:
        return squared_error(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T B k"], y: Float[Tensor, "T B k"]) -> dict[str, float]:
        wrong = wrong_bits(outputs, (y > 0).to(y.dtype))
        return {"loss": self.mean_loss(outputs, y), "error": wrong.double().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
