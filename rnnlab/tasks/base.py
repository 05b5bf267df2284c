"""What every task offers: sequences, a loss per scored step and sample, and a criterion for "solved"."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

Split = Literal["train", "validation", "test"]
Reduction = Literal["sum", "mean"]


class Batch(NamedTuple):
    """Inputs x [T, B, I] and targets y: classes [B] or values [B, O] if read last, [T_y, B] or [T_y, B, O] if each."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A problem of length T. Subclasses are frozen dataclasses, one per file; every field is a setting of the science.

    The loss of a sample is the sum or the mean (`reduction`) of the losses of its T_y scored steps; that of a batch is
    the mean over its samples. Draws use the generator alone, stand on its device, and hold the same numbers (rounded)
    whatever the dtype.

    Attributes:
        length: T in the source paper.
        inputs, outputs: I and O.
        readout: "last": outputs are [B, O], read from the final states; "each": [T, B, O].
        reduction: how a sample's losses are reduced over its scored steps.
    """

    length: int
    inputs: ClassVar[int]
    outputs: ClassVar[int]
    readout: ClassVar[Literal["last", "each"]]
    reduction: ClassVar[Reduction]

    @property
    def steps(self) -> int:
        """Number of time steps of x."""
        return self.length

    @property
    def scored(self) -> range:
        """The time steps that carry a loss."""
        return range(self.steps - 1 if self.readout == "last" else 0, self.steps)

    @property
    @abstractmethod
    def chance_loss(self) -> float:
        """Loss per sample of the best guess that does not look at the input."""

    @abstractmethod
    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        """`size` random samples; a task that makes its data ignores the split."""

    def held_out(
        self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> Batch:
        """What a model is evaluated on: fresh samples, or for real data the split itself, at most `size` of it."""
        return self.draw(split, size, generator, dtype=dtype)

    @abstractmethod
    def losses(self, outputs: Tensor, y: Tensor) -> Float[Tensor, "T_y B"]:
        """Loss of each scored step and sample, not reduced."""

    def sample_losses(self, losses: Float[Tensor, "T_y B"]) -> Float[Tensor, " B"]:
        """Loss of each sample: the sum or the mean over its scored steps."""
        return losses.sum(0) if self.reduction == "sum" else losses.mean(0)

    @abstractmethod
    def metrics(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """At least "loss", the mean over samples, and "error", the fraction that is wrong. A NaN output is wrong."""

    @abstractmethod
    def solved(self, metrics: dict[str, float]) -> bool:
        """Whether these metrics meet the published criterion."""

    def mean_loss(self, outputs: Tensor, y: Tensor) -> float:
        """The batch loss as a number."""
        return self.sample_losses(self.losses(outputs, y)).mean().item()


def cross_entropy(outputs: Float[Tensor, "*T_y B O"], y: Int[Tensor, "*T_y B"]) -> Float[Tensor, "scored B"]:
    """-log softmax(outputs)[y] in nats; a last-step loss gets a time axis of length one."""
    return functional.cross_entropy(outputs.flatten(0, -2), y.flatten(), reduction="none").view(-1, y.shape[-1])


def squared_error(outputs: Float[Tensor, "*T_y B O"], y: Float[Tensor, "*T_y B O"]) -> Float[Tensor, "scored B"]:
    """Squared distance, summed over the outputs; a last-step loss gets a time axis of length one.

    Raises:
        ValueError: if the shapes differ, because subtraction would broadcast silently.
    """
    if outputs.shape != y.shape:
        raise ValueError(f"squared_error needs outputs of y's shape {tuple(y.shape)}, got {tuple(outputs.shape)}")
    return (outputs - y).square().sum(-1).view(-1, y.shape[-2])


def misclassified(outputs: Float[Tensor, "*T_y B O"], y: Int[Tensor, "*T_y B"]) -> Bool[Tensor, "*T_y B"]:
    """Whether the most probable class is not y. True where an output is NaN: its argmax could be right by accident."""
    return (outputs.argmax(-1) != y) | outputs.isnan().any(-1)


def require_whole(task: str, name: str, value: object, least: int, why: str) -> None:
    """Raise ValueError unless value is a whole number >= least; True and 5.0 are not whole numbers."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{task} needs a whole number as {name}, got {value!r}")
    if value < least:
        raise ValueError(f"{task} needs {name} >= {least} {why}, got {value}")


def require_positive(task: str, name: str, value: object) -> None:
    """Raise ValueError unless value is a finite number > 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < math.inf:
        raise ValueError(f"{task} needs {name} to be a number > 0, got {value!r}")


def require_choice(task: str, name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ValueError unless value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{task} needs {name} to be one of {', '.join(choices)}, got {value!r}")


def require_request(task: str, split: object, size: object) -> None:
    """Raise ValueError unless split and size can be asked of a task."""
    require_choice(task, "split", split, get_args(Split))
    require_whole(task, "size", size, 1, "to draw a sample")
