"""Penalties on how the gradient travels: what is added to the loss, made of the adjoints of the pass that gave it.

A regulariser is built for a network and called after the loss's own backward pass: `regulariser(trajectory, loss)`
gives a scalar whose graph leads to the weights alone.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.cells import Cell, Elman
from rnnlab.networks import EncoderDecoder, Stack, Trajectory, adjoints
from rnnlab.networks.trajectory import Key
from rnnlab.scan import Block

Regulariser = Callable[[Trajectory, Tensor], Float[Tensor, ""]]


def none(network: Stack | EncoderDecoder) -> None:
    """Train on the loss alone."""


class Omega:
    """The vanishing-gradient regulariser: each step back in time should keep the norm of the gradient,

        lambda Omega,   Omega = 1/n sum_{t,b} ( ||W^T diag(g'_t) a_t||^2 / ||a_t||^2 - 1 )^2,   a_t = dL/dh_{b,t}

    over the n pairs of a step and a sample whose ||a_t||^2 reaches the floor; one Omega for each layer and direction,
    with its own n, and their sum. Only the immediate derivative with respect to W is taken: a_t and the slopes g'_t are
    constants of the pass, so no other parameter is moved, and no second derivative of the network is needed. It asks
    for W that keeps the norm along the adjoints that there are, not in all directions, as an orthogonal W would.

    L is the mean over the B samples, so a_t carries 1/B, and so does what the floor is held against. This follows the
    authors' code. The paper writes norms in place of their squares in eq. 9, and derivatives with respect to the
    pre-activation in place of h; their code has neither, nor the sum over steps in place of its mean.

    It costs one more adjoint scan per update, in the range of the parameters' dtype.

    Args:
        weight: lambda, the authors' alpha; they take 4 for temporal order, with clipping of the sum of both gradients.
        floor: the smallest ||a_t||^2 that counts: the quotient of two vanished gradients says nothing.

    Raises:
        ValueError: a negative or infinite number, or a cell that is not elman: W is not all of its ds_t/ds_{t-1}.

    Reference:
        Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, 2013, section 3.3, and its
        authors' code.
    """

    def __init__(self, network: Stack | EncoderDecoder, *, weight: float, floor: float):
        for name, value in (("weight", weight), ("floor", floor)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"omega needs a finite {name} >= 0, got {value}")
        for cell in network.cells():
            if type(cell).step is not Elman.step:
                name = type(cell.materialised()).__name__
                raise ValueError(f"omega needs elman cells, where a step back is W^T diag(g') a, got {name}")
        self.weight, self.floor = weight, floor

    def __call__(self, trajectory: Trajectory, loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
        (d_out,) = torch.autograd.grad(loss, trajectory.out, retain_graph=True)
        found: dict[Cell, list[tuple[Tensor, Tensor]]] = {}

        def take(key: Key, cell: Cell, block: Block) -> dict[str, Tensor]:
            found.setdefault(cell, []).append(self._terms(cell.W, block.a, block.delta))
            return {}

        adjoints(trajectory, d_out, take=take, smallest=torch.finfo(d_out.dtype).tiny * 2.0**32)
        sums, counts = zip(*(map(sum, zip(*parts, strict=True)) for parts in found.values()), strict=True)
        return self.weight * sum(s / n.clamp_min(1) for s, n in zip(sums, counts, strict=True))

    def _terms(self, W: Tensor, a: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
        """The sum over the steps of a block, with its graph to W alone, and how many counted."""
        norm = torch.linalg.vector_norm(a, dim=-1, keepdim=True, dtype=torch.float64)  # 1e+20 has a square there
        counts = (norm.square() >= self.floor) & (norm > 0)
        unit = delta * torch.where(counts, norm.reciprocal(), 0).to(delta.dtype)
        with torch.enable_grad():
            quotient = (unit @ W).square().sum(-1)
            return ((quotient - 1).square() * counts[..., 0]).sum(), counts.sum()
