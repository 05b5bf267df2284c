"""A filler of the biases of gates that keep a memory."""

import math

import torch
from torch import Tensor


@torch.no_grad()
def spread_bias_(
    retain: Tensor, admit: Tensor | None, *, longest: float, generator: torch.Generator | None = None
) -> None:
    """Units whose memory lasts from 1 to `longest` steps, evenly spaced in the logarithm; b = log of that.

    The gate that admits, if there is another, gets -b. Nothing is drawn.
    """
    if not 1 <= longest < math.inf:
        raise ValueError(f"spread_bias needs a finite longest >= 1 step, got {longest}")
    retain.copy_(torch.linspace(0, math.log(longest), len(retain)))
    if admit is not None:
        admit.copy_(-retain)
