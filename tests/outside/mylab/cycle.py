"""A filler of the recurrent matrix."""

import math

import torch
from torch import Tensor


@torch.no_grad()
def cycle_(W: Tensor, *, gain: float, generator: torch.Generator | None = None) -> Tensor:
    """W e_i = gain e_{i+1}, and the last unit feeds the first: a linear cell is a delay line of H steps.

    Orthogonal but for the gain, so that the gradient changes by the gain per step. Nothing is drawn.

    Reference:
        Rodan & Tino, Minimum complexity echo state network, 2011.
    """
    if not 0 < gain < math.inf:
        raise ValueError(f"cycle needs a positive, finite gain, got {gain}")
    return torch.nn.init.eye_(W).mul_(gain).copy_(W.roll(1, 0))
