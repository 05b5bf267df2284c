"""What a probe sees, and what it answers."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.networks import Stack, Trajectory


@dataclass(frozen=True)
class Moment:
    """One training step, after backward and before the optimiser's step.

    Attributes:
        step: number of updates done so far.
        losses: of each scored step and sample, with their graph.
        sample_losses: the task's sum or mean of them over the steps, with its graph.
        scored: the time steps that carry a loss.
    """

    step: int
    network: Stack
    trajectory: Trajectory
    losses: Float[Tensor, "T_y B"]
    sample_losses: Float[Tensor, " B"]
    scored: range


@dataclass(frozen=True)
class Reading:
    """What a probe measured.

    Attributes:
        scalars: name -> number, for the log.
        arrays: name -> tensor on the CPU; the record stacks them over the probed steps.
        axes: name -> values along the axes of the arrays, the same at every step.
    """

    scalars: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, Tensor] = field(default_factory=dict)
    axes: dict[str, list] = field(default_factory=dict)


def upstream(moment: Moment, loss: Float[Tensor, ""]) -> Float[Tensor, "T B D"]:
    """dL/d(out) of any scalar made of the moment's losses: where the way back through the layers begins."""
    return torch.autograd.grad(loss, moment.trajectory.out, retain_graph=True)[0]


@runtime_checkable
class Probe(Protocol):
    """A measurement that leaves the network, its gradients and all random streams as they were."""

    def __call__(self, moment: Moment) -> Reading: ...
