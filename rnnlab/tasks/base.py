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
Kind = Literal["one-to-one", "one-to-many", "many-to-one", "many-to-many", "sequence-to-sequence"]
Readout = Literal["last", "each", "decoder"]
UNSCORED = -1  # the class target of a step that does not count: padding, or nothing to say yet


class Batch(NamedTuple):
    """Samples of a task, time first.

    Attributes:
        x: numbers [T, B, I], or tokens [T, B], whole numbers from 0 to I - 1 that stand for one-hot vectors.
        y: classes [B] or values [B, O] if read last; [T_y, B] or [T_y, B, O] if read at each step or from a decoder.
            A class target of -1 does not count.
        lengths: steps of x of each sample, [B] on the CPU, where x is padded behind them; None: all have T.
        given: what a decoder reads, tokens [T_y, B]: the target shifted by one step, behind a 0.
    """

    x: Tensor
    y: Tensor
    lengths: Tensor | None = None
    given: Tensor | None = None

    @property
    def inputs(self) -> dict[str, Tensor]:
        """What a network is called with."""
        return {name: v for name, v in self._asdict().items() if name != "y" and v is not None}


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A problem of length T. Subclasses are frozen dataclasses, one per file; every field is a setting of the science.

    The loss of a sample is the sum or the mean (`reduction`) of the losses of its T_y scored steps; that of a batch is
    the mean over its samples. Draws use the generator alone, stand on its device, and hold the same numbers (rounded)
    whatever the dtype. Every batch has the same number of steps: what is shorter is padded.

    Attributes:
        length: T in the source paper.
        kind: which of the five problem kinds it is; "many-to-many" has T_x = T_y, "sequence-to-sequence" has not.
        inputs, outputs: I and O.
        readout: "last": outputs are [B, O], read from the final states; "each": [T, B, O]; "decoder": [T_y, B, O], from
            a second network that reads what was written so far; there class 0 is both the start and the stop.
        reduction: how a sample's losses are reduced over its scored steps.
    """

    length: int
    kind: ClassVar[Kind]
    inputs: ClassVar[int]
    outputs: ClassVar[int]
    readout: ClassVar[Readout]
    reduction: ClassVar[Reduction]

    @property
    def steps(self) -> int:
        """Number of time steps of x."""
        return self.length

    @property
    def emitted(self) -> int:
        """Steps of a decoder, stop included; 0 for a task without one."""
        return 0

    @property
    def scored(self) -> range:
        """The time steps that carry a loss; those of a decoder follow those of x."""
        first = {"last": self.steps - 1, "each": 0, "decoder": self.steps}[self.readout]
        return range(first, self.steps + self.emitted)

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
        """Loss of each scored step and sample, not reduced; 0 where the target does not count."""

    def sample_losses(self, losses: Float[Tensor, "T_y B"], y: Tensor) -> Float[Tensor, " B"]:
        """Loss of each sample: the sum or the mean over its scored steps."""
        if self.reduction == "sum":
            return losses.sum(0)
        scored = counted(y)
        if scored is None:
            return losses.mean(0)
        if not bool(scored.any(0).all()):
            empty = int(scored.any(0).int().argmin())
            raise ValueError(f"a mean over steps needs a target that counts in every sample, sample {empty} has none")
        return losses.sum(0) / scored.sum(0)

    @abstractmethod
    def metrics(self, outputs: Tensor, y: Tensor) -> dict[str, float]:
        """At least "loss", the mean over samples, and "error", the fraction that is wrong. A NaN output is wrong."""

    @abstractmethod
    def solved(self, metrics: dict[str, float]) -> bool:
        """Whether these metrics meet the published criterion."""

    def written(self, tokens: Int[Tensor, "T_y B"], y: Int[Tensor, "T_y B"]) -> dict[str, float]:
        """Metrics of what a decoder wrote by itself, up to its first 0, against the targets up to theirs.

        edit_error        edit distance over the length of the target, both summed over the samples
        sequence_error    fraction of the samples that are not right as a whole
        """
        if tokens.shape[1:] != y.shape[1:] or 0 in y.shape:
            got = f"{list(tokens.shape)} and {list(y.shape)}"
            raise ValueError(f"written needs tokens [T, B] and y [T_y >= 1, B >= 1] of the same samples, got {got}")
        pairs = [(_until_stop(a), _until_stop(b)) for a, b in zip(tokens.T.tolist(), y.T.tolist(), strict=True)]
        distances = [edit_distance(a, b) for a, b in pairs]
        return {
            "edit_error": sum(distances) / max(1, sum(len(b) for _, b in pairs)),
            "sequence_error": sum(d > 0 for d in distances) / len(pairs),
        }

    def mean_loss(self, outputs: Tensor, y: Tensor) -> float:
        """The batch loss as a number."""
        return self.sample_losses(self.losses(outputs, y), y).mean().item()


def counted(y: Tensor) -> Bool[Tensor, "T_y B"] | None:
    """Where a class target counts; None if every step does. Read last, the time axis has length one."""
    if y.is_floating_point() or bool((y != UNSCORED).all()):
        return None
    return (y != UNSCORED).view(-1, y.shape[-1])


def cross_entropy(outputs: Float[Tensor, "*T_y B O"], y: Int[Tensor, "*T_y B"]) -> Float[Tensor, "scored B"]:
    """-log softmax(outputs)[y] in nats, 0 where y is -1; a last-step loss gets a time axis of length one.

    Raises:
        ValueError: shapes that do not fit, an empty batch, a target outside the vocabulary.
    """
    _require_pairs("cross_entropy", outputs, y, classes=True)
    least, most = torch.aminmax(y)
    if least < UNSCORED or most >= outputs.shape[-1]:
        wrong = int(least if least < UNSCORED else most)
        raise ValueError(f"cross_entropy needs targets from 0 to {outputs.shape[-1] - 1}, or -1, got {wrong}")
    found = functional.cross_entropy(outputs.flatten(0, -2), y.flatten(), reduction="none", ignore_index=UNSCORED)
    return found.view(-1, y.shape[-1])


def binary_cross_entropy(outputs: Float[Tensor, "*T_y B O"], y: Float[Tensor, "*T_y B O"]) -> Float[Tensor, "scored B"]:
    """-y log p - (1 - y) log(1 - p) in nats with p = sigmoid(outputs), summed over the outputs.

    Raises:
        ValueError: if the shapes differ, of an empty batch, or if a target is not 0 or 1.
    """
    _require_pairs("binary_cross_entropy", outputs, y)
    if not bool(((y == 0) | (y == 1)).all()):
        raise ValueError(f"binary_cross_entropy needs targets 0 or 1, got {y[(y != 0) & (y != 1)][0].item()}")
    found = functional.binary_cross_entropy_with_logits(outputs, y, reduction="none")
    return found.sum(-1).view(-1, y.shape[-2])


def squared_error(outputs: Float[Tensor, "*T_y B O"], y: Float[Tensor, "*T_y B O"]) -> Float[Tensor, "scored B"]:
    """Squared distance, summed over the outputs; a last-step loss gets a time axis of length one.

    Raises:
        ValueError: if the shapes differ, because subtraction would broadcast silently; of an empty batch, or if a
            target is not finite.
    """
    _require_pairs("squared_error", outputs, y)
    if not bool(y.isfinite().all()):
        raise ValueError(f"squared_error needs finite targets, got {y[~y.isfinite()][0].item()}")
    return (outputs - y).square().sum(-1).view(-1, y.shape[-2])


def misclassified(outputs: Float[Tensor, "*T_y B O"], y: Int[Tensor, "*T_y B"]) -> Bool[Tensor, "*T_y B"]:
    """Whether the most probable class is not y. True where an output is NaN: its argmax could be right by accident.

    False where y is -1; so divide by the number of steps that count, as `error_rate` does.
    """
    _require_pairs("misclassified", outputs, y, classes=True)
    return ((outputs.argmax(-1) != y) | outputs.isnan().any(-1)) & (y != UNSCORED)


def error_rate(outputs: Float[Tensor, "*T_y B O"], y: Int[Tensor, "*T_y B"]) -> float:
    """Fraction of the steps that count, of all samples together, whose most probable class is wrong."""
    wrong, scored = misclassified(outputs, y).double().sum().item(), int((y != UNSCORED).sum())
    if not scored:
        raise ValueError("error_rate needs a target that counts, got none")
    return wrong / scored


def wrong_bits(outputs: Float[Tensor, "*T_y B O"], y: Float[Tensor, "*T_y B O"]) -> Bool[Tensor, "*T_y B O"]:
    """Whether an output is not on its target's side of 0. True where it is 0 or NaN, which says nothing."""
    _require_pairs("wrong_bits", outputs, y)
    return ~(outputs * (2 * y - 1) > 0)


def _require_pairs(name: str, outputs: Tensor, y: Tensor, *, classes: bool = False) -> None:
    """Raise ValueError unless every output of a batch has its target, where torch would broadcast or reduce nothing."""
    if outputs.ndim != y.ndim + classes or outputs.shape[: y.ndim] != y.shape:
        more = " and an axis of classes" if classes else ""
        raise ValueError(f"{name} needs outputs of y's shape {tuple(y.shape)}{more}, got {tuple(outputs.shape)}")
    if 0 in outputs.shape:
        raise ValueError(f"{name} needs at least one step, sample and output, got outputs {tuple(outputs.shape)}")
    if y.dtype != torch.int64 if classes else not y.is_floating_point():
        raise ValueError(f"{name} needs {'classes of torch.int64' if classes else 'numbers'} as y, got {y.dtype}")


def shifted(y: Int[Tensor, "T_y B"]) -> Int[Tensor, "T_y B"]:
    """What a decoder reads when it is taught: y one step later, behind a 0; -1 where y does not count."""
    return torch.cat([torch.zeros_like(y[:1]), y[:-1]]).where(y != UNSCORED, UNSCORED)


def edit_distance(found: Sequence[int], wanted: Sequence[int]) -> int:
    """Least number of insertions, deletions and substitutions between two sequences (Levenshtein, 1966)."""
    row = list(range(len(wanted) + 1))
    for i, a in enumerate(found, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(wanted, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def _until_stop(tokens: list[int]) -> list[int]:
    ends = [k for k, token in enumerate(tokens) if token <= 0]
    return tokens[: ends[0]] if ends else tokens


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


def require_switch(task: str, name: str, value: object) -> None:
    """Raise ValueError unless value is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{task} needs {name} to be true or false, got {value!r}")


def require_choice(task: str, name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ValueError unless value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{task} needs {name} to be one of {', '.join(choices)}, got {value!r}")


def require_request(task: str, split: object, size: object) -> None:
    """Raise ValueError unless split and size can be asked of a task."""
    require_choice(task, "split", split, get_args(Split))
    require_whole(task, "size", size, 1, "to draw a sample")
