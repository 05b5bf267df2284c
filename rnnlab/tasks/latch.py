"""The latching problem."""

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
class Latch(Task):
    """Remember the sign of the first L inputs while noise goes on.

        x_t = c 1[t < L] + s e_t      c = -1 or 1, e_t ~ N(0, 1), t = 0 .. T - 1      y = (c + 1) / 2

        x = 0.9 1.1 1.2 -0.2 0.1 -0.1 0.3      answer = 1      (L = 3)

    Further channels hold noise alone. With as many of them as the network has units, a Glorot-uniform U makes of it a
    drive that is fresh in each unit at each step, of variance s^2: the white input of mean-field theory.

    One bit has to be held for T - L steps against the noise. A unit x = tanh(w x) holds it with w > 1 alone, and the
    more firmly it does, the faster the gradient through it vanishes: at the rate w (1 - x*^2) at its fixed point x*.
    The loss is the binary cross-entropy in nats at the last step; chance is ln 2, an error of 50 %. The best answer
    there is errs with probability Phi(-sqrt(L) / s), 2e-18 in the paper's setting.

    Args:
        length: T, above `shown`.
        shown: L, the steps that tell; 3 of T = 20 in the paper, where the values of these steps were trained too.
        noise: s, a standard deviation; 0.2 in the paper.
        channels: of the input; 1 in the paper.
        solved_error: solved if the fraction of wrong answers is below this; ours.

    Reference:
        Bengio, Simard, Frasconi, Learning long-term dependencies with gradient descent is difficult, 1994, sec. III;
        with given instead of trained inputs: Hochreiter & Schmidhuber, Bridging long time lags by weight guessing and
        "Long Short-Term Memory", 1996, latch variant II (L = 1).
    """

    shown: int
    noise: float
    channels: int
    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    outputs: ClassVar[int] = 1
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    chance_loss: ClassVar[float] = math.log(2)

    def __post_init__(self) -> None:
        require_whole("latch", "shown", self.shown, 1, "to tell the class")
        require_whole("latch", "length", self.length, self.shown + 1, f"to hold what {self.shown} steps have told")
        require_positive("latch", "noise", self.noise)
        require_whole("latch", "channels", self.channels, 1, "to tell the class in")
        require_positive("latch", "solved_error", self.solved_error)

    @property
    def inputs(self) -> int:
        return self.channels

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("latch", split, size)
        device = generator.device
        y = torch.randint(0, 2, (size, 1), generator=generator, device=device).to(dtype)
        noise = torch.randn(self.length, size, self.channels, generator=generator, device=device, dtype=torch.float32)
        x = (self.noise * noise).to(dtype)
        x[: self.shown, :, :1] += 2 * y - 1
        return Batch(x, y)

    def losses(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> Float[Tensor, "1 B"]:
        return binary_cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": wrong_bits(outputs, y).double().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
