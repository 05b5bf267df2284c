"""Numbers about the parameters' gradients as the optimiser would see them, before clipping."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def global_norm(grads: Sequence[Tensor]) -> float:
    """2-norm over all gradients, accumulated in float64: squares of 1e-30 or 1e+30 do not leave its range.

    Unlike `clip_grad_norm_(p, inf)` it touches nothing: there one Inf turns every gradient into NaN.
    """
    norms = [torch.linalg.vector_norm(g, dtype=torch.float64) for g in grads]
    return torch.linalg.vector_norm(torch.stack(norms)).item() if norms else math.nan


def counts(grads: Sequence[Tensor]) -> dict[str, float]:
    """Entries that are exactly zero, and entries that are NaN or infinite."""
    return {
        "grad/zeros": float(sum(int((g == 0).sum()) for g in grads)),
        "grad/nonfinite": float(sum(int((~g.isfinite()).sum()) for g in grads)),
    }
