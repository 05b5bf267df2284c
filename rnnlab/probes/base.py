"""What a probe sees, and what it answers."""

import math
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rnnlab.networks import EncoderDecoder, Stack, Trajectory


@dataclass(frozen=True)
class Moment:
    """One training step, after backward and before the optimiser's step.

    Attributes:
        step: number of updates done so far.
        losses: of each scored step and sample, with their graph.
        sample_losses: the task's sum or mean of them over the steps, with its graph.
        scored: the time steps that carry a loss.
        counted: which of them count, of each sample; None: all do.
    """

    step: int
    network: Stack | EncoderDecoder
    trajectory: Trajectory
    losses: Float[Tensor, "T_y B"]
    sample_losses: Float[Tensor, " B"]
    scored: range
    counted: Bool[Tensor, "T_y B"] | None = None


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


def placed(rows: Float[Tensor, "*some n"], start: int, steps: int) -> Float[Tensor, "*some T"]:
    """What was measured of n steps in a row of all T, NaN where there is nothing: an encoder's and a decoder's."""
    return torch.nn.functional.pad(rows, (start, steps - start - rows.shape[-1]), value=math.nan)


@runtime_checkable
class Probe(Protocol):
    """A measurement that leaves the network, its gradients and all random streams as they were."""

    def __call__(self, moment: Moment) -> Reading: ...
