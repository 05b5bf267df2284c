"""The basic recurrent cell."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from rnnlab.cells.base import Cell, Rows

Activation = Literal["tanh", "relu", "sigmoid", "identity"]  # these alone, where there is no parameter beta
CellActivation = Literal[Activation, "modrelu"]


def modrelu(z: Tensor, beta: Tensor) -> Tensor:
    return z.sign() * torch.relu(z.abs() + beta)


FUNCTIONS = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": torch.positive,
    "modrelu": modrelu,
}
IN_PLACE = {
    "tanh": torch.tanh_,
    "relu": torch.relu_,
    "sigmoid": torch.sigmoid_,
    "identity": lambda h: h,
    "modrelu": lambda h, beta: h.copy_(modrelu(h, beta)),
}
SLOPES = {  # g' written in terms of h = g(.)
    "tanh": lambda h: torch.addcmul(h.new_ones(()), h, h, value=-1),
    "relu": lambda h: (h > 0).to(h.dtype),
    "sigmoid": lambda h: torch.addcmul(h, h, h, value=-1),
    "identity": torch.ones_like,
    "modrelu": lambda h: (h != 0).to(h.dtype),
}


class Elman(Cell):
    """The basic cell, a_t = g(W_aa a_{t-1} + W_ax x_t + b_a), here

        h_t = g(W h_{t-1} + U x_t + b),      g = tanh, relu, sigmoid, the identity
                                             or modrelu, g(z) = sign(z) relu(abs(z) + beta) with a learned beta

    so dh_t/dh_{t-1} = diag(g') W, and over k steps the gradient grows by at most (gamma smax(W))^k with gamma = max g':
    1/4 for the sigmoid, 1 for the others. ReLU has slope 0 at 0, as in torch.
    modReLU (the real one) has slope 1 or 0 on both sides of 0: it keeps the sign, and a unit is off where abs(z) does
    not exceed -beta. `initialise` leaves beta at 0, where g is the identity. It has no compiled loop.

    Args:
        activation: g.

    Reference:
        Elman, Finding structure in time, 1990; Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural
        networks, 2013, section 2.1; Arjovsky, Shah, Bengio, Unitary evolution recurrent neural networks, 2016.
    """

    records = 0

    def __init__(self, inputs: int, size: int, *, activation: CellActivation):
        super().__init__(inputs, size)
        if activation not in FUNCTIONS:
            known = ", ".join(get_args(CellActivation))
            raise ValueError(f"elman needs an activation out of {known}, got {activation!r}")
        self.activation = activation
        self.g, self.g_, self.slope = (table[activation] for table in (FUNCTIONS, IN_PLACE, SLOPES))
        if activation == "modrelu":
            self.beta = nn.Parameter(torch.zeros(size))
            self.records = 1  # tape: sign(h_t), for the gradient of beta

    @property
    def kernel(self) -> str | None:
        return None if self.activation == "modrelu" else f"elman_{self.activation}"

    @property
    def thresholds(self) -> tuple[Tensor, ...]:
        """What g learns."""
        return (self.beta,) if self.activation == "modrelu" else ()

    def step(self, z: Tensor, s: Tensor) -> Tensor:
        return self.g(torch.addmm(z, s, self.W.t()), *self.thresholds)

    def slopes(self, tape: Tensor, after: Tensor) -> Tensor | None:
        if self.activation == "identity":
            return None
        slope = self.slope(after)
        return 4 * slope if self.activation == "sigmoid" else slope

    def weights(self) -> tuple[Tensor, ...]:
        return self.W.contiguous(), self.W.t().contiguous(), *self.thresholds

    def room(self, tape: Tensor, after: Tensor) -> Tensor:
        return after

    def slots(self, tape: Tensor) -> Rows:
        return (tape,) if self.records else ()

    def advance(self, weights: tuple[Tensor, ...], slot: Rows, before: Rows, after: Rows) -> None:
        _, W_t, *thresholds = weights
        self.g_(after[0].addmm_(before[0], W_t), *thresholds)
        for sign in slot:
            torch.sign(after[0], out=sign)

    def linearise(self, tape: Tensor, before: Tensor, after: Tensor, delta: Tensor) -> Rows:
        return self.slope(after), delta

    def pull(self, weights: tuple[Tensor, ...], c: Rows, a: Rows, out: Rows) -> None:
        slope, delta = c
        torch.mul(slope, a[0], out=delta)
        out[0].addmm_(delta, weights[0])

    def recurrent(self, delta: Tensor) -> Tensor:
        return delta

    def gradients(self, tape: Tensor, before: Tensor, a: Tensor, delta: Tensor) -> dict[str, Tensor]:
        found = {"W": delta.t() @ before}
        return found | {"beta": (delta * tape).sum(0)} if self.records else found
