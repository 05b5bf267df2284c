"""The leaky integrator."""

import torch
from torch import Tensor

from rnnlab.cells.base import Cell, Rows


class Leaky(Cell):
    """Leaky (fractional) cell, a mean of the old state and of what the basic cell would make of it:

        h_t = (1 - alpha) h_{t-1} + alpha n_t,      n_t = tanh(W h_{t-1} + U x_t + b)

    so dh_t/dh_{t-1} = (1 - alpha) I + alpha diag(1 - n_t^2) W: the memory fades with time constant 1 / alpha whatever W
    is, and with W = 0 a gradient keeps exactly (1 - alpha)^k over k steps. At alpha = 1 it is the basic cell. Over k
    steps the gradient grows by at most (1 - alpha + alpha smax(W))^k.

    Args:
        leak: alpha, in (0, 1]; one for all units, and not learned (FastRNN learns its two weights).

    Reference:
        Jaeger, Lukosevicius, Popovici, Siewert, Optimization and applications of echo state networks with
        leaky-integrator neurons, 2007; Kusupati et al., FastGRNN, 2018, section 3.1.
    """

    records = 1  # tape: n

    def __init__(self, inputs: int, size: int, *, leak: float):
        super().__init__(inputs, size)
        if not 0 < leak <= 1:
            raise ValueError(f"leaky needs a leak in (0, 1], got {leak}")
        self.leak = leak

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        return torch.lerp(s, torch.addmm(z, s, self.W.t()).tanh(), self.leak)

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor:
        return 1 - tape * tape

    def weights(self) -> tuple[Tensor, ...]:
        return self.W.contiguous(), self.W.t().contiguous()

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        (n,), (h,) = slot, before
        n.addmm_(h, weights[1]).tanh_()
        torch.lerp(h, n, self.leak, out=after[0])

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        return self.leak * (1 - tape * tape), delta

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        slope, delta = c
        torch.mul(slope, a[0], out=delta)
        out[0].add_(a[0], alpha=1 - self.leak).addmm_(delta, weights[0])

    def recurrent(self, delta: Tensor) -> Tensor:
        return delta

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        return {"W": delta.t() @ before}
