"""What truncated backpropagation through time would see of the gradient."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rnnlab.networks import Trajectory, adjoints
from rnnlab.networks.measures import RecurrentGradient
from rnnlab.probes.base import Moment, Reading, upstream
from rnnlab.probes.weights import require
from rnnlab.scaled import Scaled


@dataclass(frozen=True, kw_only=True)
class Truncation:
    """Cosine between the truncated and the full gradient of the recurrent weights, for several windows K.

        cos(g_K, g),   g_K = dL/dW with the state detached every K steps, in all layers       of the mean loss

    1: nothing that points elsewhere is lost; 0: what is left has nothing to do with the gradient; NaN where one of the
    two is exactly zero. For each layer and direction `truncation/K10/L0/forward/cosine`, and over all of them
    `truncation/K10/cosine`. Whatever the network itself trains with, `full` is the gradient without a cut. Each window
    costs one more adjoint scan.

    Args:
        windows: the values of K.

    Reference:
        Tallec & Ollivier, Unbiasing truncated backpropagation through time, 2017, on what truncation loses.
    """

    windows: Sequence[int]

    def __post_init__(self):
        if not self.windows or min(self.windows) < 1:
            raise ValueError(f"truncation needs windows of K >= 1 steps each, got {list(self.windows)}")

    def __call__(self, moment: Moment) -> Reading:
        d_out = Scaled.of(upstream(moment, moment.sample_losses.mean()))
        full = _gradients(moment.trajectory.truncated(None), d_out)
        require(moment, set(full))
        scalars = {}
        for window in self.windows:
            cut = _gradients(moment.trajectory.truncated(window), d_out)
            for (layer, direction), g in full.items():
                scalars[f"truncation/K{window}/L{layer}/{direction}/cosine"] = cosine(cut[layer, direction], g)
            scalars[f"truncation/K{window}/cosine"] = cosine(_joined(cut), _joined(full))
        return Reading(scalars=scalars)


def _gradients(trajectory: Trajectory, d_out: Scaled) -> dict[tuple[int, str], Scaled]:
    take = RecurrentGradient()
    adjoints(trajectory, d_out, take=take)
    return take.total


def _joined(gradients: dict[tuple[int, str], Scaled]) -> Scaled:
    """All of them as one row, at the scale of the largest."""
    top = torch.stack([g.log2 for g in gradients.values()]).amax(0)
    return Scaled(torch.cat([g.at(top) for g in gradients.values()], -1), top)


def cosine(a: Scaled, b: Scaled) -> float:
    """Of two single rows, at any scale."""
    x, y = (Scaled.of(v.value.double()).value for v in (a, b))
    return torch.nn.functional.cosine_similarity(x, y, eps=0.0).item()
