"""The independently recurrent cell."""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from rnnlab.cells.base import Cell, Rows
from rnnlab.cells.elman import FUNCTIONS, IN_PLACE, SLOPES

Activation = Literal["relu", "tanh"]


class IndRNN(Cell):
    """Independently recurrent cell: each unit sees its own past alone, through one weight u_i.

        h_t = g(u * h_{t-1} + U x_t + b),      g = relu or tanh

    The Jacobian is diagonal, so the gradient of unit i over k steps is u_i^k times the product of the g', exactly: with
    abs(u) <= bound its gain over T steps is at most bound^T, and bound = 2^(1/T) makes that 2. Units mix in the
    next layer only. `recurrent` is not used: there is no matrix to fill.

    The bound is the paper's clipping of u after each update. Here u is cut to the bound in place when a scan begins,
    before it is used: an update that pushes out is undone, one that pulls in works from the first.

    Args:
        activation: g.
        lowest: u starts between this and the bound: from 0 on units keep memories of all lengths; near 1, as in the
            last layer of the authors' code, long ones alone.
        bound: of abs(u); None: no bound.

    Reference:
        Li, Li, Cook, Zhu, Gao, Independently recurrent neural network (IndRNN), 2018, eq. 2 to 4.
    """

    recurrents = ()
    records = 0

    def __init__(self, inputs: int, size: int, *, activation: Activation, lowest: float, bound: float | None):
        super().__init__(inputs, size)
        if activation not in get_args(Activation):
            known = ", ".join(get_args(Activation))
            raise ValueError(f"indrnn needs an activation out of {known}, got {activation!r}")
        if bound is not None and not 0 < bound < math.inf:
            raise ValueError(f"indrnn needs a positive, finite bound of abs(u), or none, got {bound}")
        if not 0 <= lowest <= (bound or 1.0):
            raise ValueError(f"indrnn needs 0 <= lowest <= {bound or 1.0}, up to which u starts, got {lowest}")
        self.lowest, self.bound = lowest, bound
        self.g, self.g_, self.slope = (table[activation] for table in (FUNCTIONS, IN_PLACE, SLOPES))
        self.u = nn.Parameter(torch.zeros(size))

    @torch.no_grad()
    def initialise(
        self,
        recurrent: Callable[..., Any],
        generator: torch.Generator | None = None,
        *,
        gate_bias: Callable[..., Any] | None = None,
    ) -> None:
        """As every cell, and u ~ U(lowest, bound), or U(lowest, 1) without one."""
        super().initialise(recurrent, generator, gate_bias=gate_bias)
        self.u.uniform_(self.lowest, self.bound or 1.0, generator=generator)

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        u = self.u if self.bound is None else self.u.clamp(-self.bound, self.bound)
        return self.g(torch.addcmul(z, s, u))

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor:
        return self.slope(after)

    def weights(self) -> tuple[Tensor, ...]:
        if self.bound is not None:
            self.u.data.clamp_(-self.bound, self.bound)
        return (self.u,)

    def room(self, tape: Tensor, after: Tensor) -> Tensor:
        return after

    def slots(self, tape: Tensor) -> Rows:
        return ()

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        self.g_(after[0].addcmul_(before[0], weights[0]))

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        return self.slope(after), delta

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        slope, delta = c
        torch.mul(slope, a[0], out=delta)
        out[0].addcmul_(delta, weights[0])

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        return {"u": (delta * before).sum(0)}
