"""Feed-forward layers at each time step: the way from input to hidden, and from hidden to output."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from rnnlab.cells.elman import FUNCTIONS, SLOPES, Activation


class Dense(nn.Module):
    """u = g(A x + c), at each step alone: no gradient passes from step to step through it.

    A token, a whole number k, stands for the one-hot vector e_k: A e_k is a column of A, an embedding.

    Args:
        inputs, size: of x and of u.
        activation: g, as in `Elman`.
    """

    def __init__(self, inputs: int, size: int, *, activation: Activation):
        super().__init__()
        self.inputs, self.size, self.activation = inputs, size, activation
        self.g, self.slope = FUNCTIONS[activation], SLOPES[activation]
        self.A = nn.Parameter(torch.zeros(size, inputs))
        self.c = nn.Parameter(torch.zeros(size))

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """A Glorot-uniform, c = 0."""
        nn.init.xavier_uniform_(self.A, generator=generator)
        self.c.zero_()

    def forward(self, x: Float[Tensor, "*rows I"] | Int[Tensor, "*rows"]) -> Float[Tensor, "*rows W"]:
        if not x.is_floating_point():
            return self.g(nn.functional.embedding(x, self.A.t()) + self.c)
        return self.g(nn.functional.linear(x, self.A, self.c))

    def pull(self, u: Float[Tensor, "*rows W"], d: Float[Tensor, "*rows W"]) -> Float[Tensor, "*rows I"]:
        """dL/dx from u and dL/du."""
        return (self.slope(u) * d) @ self.A
