"""The basic recurrent cell."""

from typing import Literal, get_args

import torch
from torch import Tensor

from rnnlab.cells.base import Cell, Rows

Activation = Literal["tanh", "relu", "sigmoid", "identity"]

FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": torch.positive}
IN_PLACE = {"tanh": torch.tanh_, "relu": torch.relu_, "sigmoid": torch.sigmoid_, "identity": lambda h: h}
SLOPES = {  # g' written in terms of h = g(.)
    "tanh": lambda h: torch.addcmul(h.new_ones(()), h, h, value=-1),
    "relu": lambda h: (h > 0).to(h.dtype),
    "sigmoid": lambda h: torch.addcmul(h, h, h, value=-1),
    "identity": torch.ones_like,
}


class Elman(Cell):
    """The basic cell, a_t = g(W_aa a_{t-1} + W_ax x_t + b_a), here

        h_t = g(W h_{t-1} + U x_t + b),      g = tanh, relu, sigmoid or the identity

    so dh_t/dh_{t-1} = diag(g') W, and over k steps the gradient grows by at most (gamma smax(W))^k with gamma = max g':
    1/4 for the sigmoid, 1 for the others. ReLU has slope 0 at 0, as in torch.

    Args:
        activation: g.

    Reference:
        Elman, Finding structure in time, 1990; Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural
        networks, 2013, section 2.1.
    """

    records = 0

    def __init__(self, inputs: int, size: int, *, activation: Activation):
        super().__init__(inputs, size)
        if activation not in FUNCTIONS:
            known = ", ".join(get_args(Activation))
            raise ValueError(f"elman needs an activation out of {known}, got {activation!r}")
        self.activation = activation
        self.g, self.g_, self.slope = (table[activation] for table in (FUNCTIONS, IN_PLACE, SLOPES))

    @property
    def kernel(self) -> str:
        return f"elman_{self.activation}"

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        return self.g(torch.addmm(z, s, self.W.t()))

    def weights(self) -> tuple[Tensor, ...]:
        return self.W.contiguous(), self.W.t().contiguous()

    def room(self, tape: Tensor, after: Tensor) -> Tensor:
        return after

    def slots(self, tape: Tensor) -> Rows:
        return ()

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        self.g_(after[0].addmm_(before[0], weights[1]))

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        return self.slope(after), delta

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        slope, delta = c
        torch.mul(slope, a[0], out=delta)
        out[0].addmm_(delta, weights[0])

    def recurrent(self, delta: Tensor) -> Tensor:
        return delta

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        return {"W": delta.t() @ before}
