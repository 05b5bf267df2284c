"""The coupled oscillatory cell."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rnnlab.cells.base import Cell, Rows


class CoRNN(Cell):
    """Coupled oscillators, driven and damped, y'' = tanh(W y + Wz y' + U x + b) - gamma y - epsilon y', in steps of dt:

        z_t = z_{t-1} + dt (tanh(W y_{t-1} + Wz z_{t-1} + U x_t + b) - gamma y_{t-1} - epsilon z_{t-1})
        y_t = y_{t-1} + dt z_t

    The flat state is [y, z], y is the hidden state. The damping is that of the step before (the paper's nbar = n - 1,
    and its authors' code), y takes the new z. The Jacobian is the identity plus dt times a bounded matrix: over k steps
    the gradient grows by at most exp(Gamma k dt), with Gamma in the norms of W and Wz, so it does not explode for
    k dt of order 1. Without W and Wz each (y, z) loses exactly sqrt(1 - dt epsilon) per step while it oscillates.

    In the flat state the adjoint of z holds y fixed. `parts` reports the conventional dL/dz_t, what autograd gives on a
    loop: it adds the path through y_t of the same step, dt dL/dy_t.

    Args:
        dt: the time step, > 0.
        gamma, epsilon: stiffness and damping, >= 0.

    Reference:
        Rusch & Mishra, Coupled oscillatory recurrent neural network (coRNN), 2021, eq. 3.
    """

    blocks = 2
    recurrents = ("W", "Wz")
    records = 1  # tape: tanh(.)

    def __init__(self, inputs: int, size: int, *, dt: float, gamma: float, epsilon: float):
        super().__init__(inputs, size)
        if not 0 < dt < math.inf:
            raise ValueError(f"cornn needs a positive, finite dt, got {dt}")
        for name, value in (("gamma", gamma), ("epsilon", epsilon)):
            if not 0 <= value < math.inf:
                raise ValueError(f"cornn needs {name} >= 0 and finite, got {value}")
        self.dt, self.gamma, self.epsilon = dt, gamma, epsilon
        self.Wz = nn.Parameter(torch.zeros(size, size))

    @torch.no_grad()
    def initialise(
        self,
        recurrent: Callable[..., Any],
        generator: torch.Generator | None = None,
        *,
        gate_bias: Callable[..., Any] | None = None,
    ) -> None:
        """As every cell, and Wz with `recurrent` too."""
        super().initialise(recurrent, generator, gate_bias=gate_bias)
        recurrent(self.Wz, generator=generator)

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        y, v = s.chunk(2, -1)
        force = torch.tanh(z + y @ self.W.t() + v @ self.Wz.t())
        v = v + self.dt * (force - self.gamma * y - self.epsilon * v)
        return torch.cat([y + self.dt * v, v], -1)

    def parts(self, tape: Tensor, before: Tensor, after: Tensor, a: Tensor) -> dict[str, Tensor]:
        y, z = a.chunk(2, -1)
        return {"h": y, "z": torch.add(z, y, alpha=self.dt)}

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor:
        return 1 - tape * tape

    def weights(self) -> tuple[Tensor, ...]:
        return self.W.contiguous(), self.Wz.contiguous(), self.W.t().contiguous(), self.Wz.t().contiguous()

    def split(self, s: Tensor) -> Rows:
        return s.split(self.size, -1)

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        (force,), (y, z), (y_next, z_next) = slot, before, after
        force.addmm_(y, weights[2]).addmm_(z, weights[3]).tanh_()
        torch.mul(z, 1 - self.dt * self.epsilon, out=z_next)
        z_next.add_(force, alpha=self.dt).sub_(y, alpha=self.dt * self.gamma)
        torch.add(y, z_next, alpha=self.dt, out=y_next)

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        return self.dt * (1 - tape * tape), torch.empty_like(tape), delta

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        slope, total, delta = c
        (a_y, a_z), (out_y, out_z) = a, out
        torch.add(a_z, a_y, alpha=self.dt, out=total)
        torch.mul(slope, total, out=delta)
        out_y.add_(a_y).sub_(total, alpha=self.dt * self.gamma).addmm_(delta, weights[0])
        out_z.add_(total, alpha=1 - self.dt * self.epsilon).addmm_(delta, weights[1])

    def recurrent(self, delta: Tensor) -> Tensor:
        return delta

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        y, z = before.chunk(2, -1)
        return {"W": delta.t() @ y, "Wz": delta.t() @ z}
