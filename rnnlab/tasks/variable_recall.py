"""Recall on cue, with the clock taken away."""

import math
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Reduction,
    Split,
    Task,
    cross_entropy,
    error_rate,
    require_choice,
    require_positive,
    require_request,
    require_whole,
)


@dataclass(frozen=True, kw_only=True)
class VariableRecall(Task):
    """Name a symbol when the cue comes; both stand at random steps.

    One of n symbols at step p, the cue (|) at a later step q, blanks (_) elsewhere; each pair p < q is equally likely.
    The answer is the symbol at the step of the cue, and blank at all others. With T = 8:

        x = _ _ b _ _ _ | _
        y = _ _ _ _ _ _ b _

    In the copying problem the answer is due at a fixed time, and a linear orthogonal network solves it with a clock:
    the memory rotates and arrives in time. Here the lag q - p is anything from 1 to T - 1, so that the symbol has to be
    held, not sent. Inputs are tokens (n symbols, blank, cue), outputs are logits of n + 1 classes. The loss is the
    cross-entropy in nats at every step. Who sees the cue but has forgotten the symbol pays ln n over the sequence; who
    sees nothing also pays for not knowing when,

        ln n + sum over t of H(t / (T (T - 1) / 2)),      H(c) = -c ln c - (1 - c) ln(1 - c)

    Args:
        length: T, at least 2.
        symbols: n, at least 2.
        reduction: over the T steps.
        solved_error: solved if the fraction of the cues that are answered wrong is below this; ours.

    Reference:
        Henaff, Szlam, LeCun, Recurrent Orthogonal Networks and Long-Memory Tasks, 2016: the copying problem with a
        variable lag, which orthogonal networks do not solve. One symbol instead of ten, and at a random place, is ours.
    """

    symbols: int
    reduction: Reduction
    solved_error: float
    kind: ClassVar[Kind] = "many-to-many"
    readout: ClassVar[Readout] = "each"

    def __post_init__(self) -> None:
        require_whole("variable_recall", "length", self.length, 2, "to place a symbol and a cue")
        require_whole("variable_recall", "symbols", self.symbols, 2, "to have a choice")
        require_choice("variable_recall", "reduction", self.reduction, get_args(Reduction))
        require_positive("variable_recall", "solved_error", self.solved_error)

    @property
    def inputs(self) -> int:
        return self.symbols + 2

    @property
    def outputs(self) -> int:
        return self.symbols + 1

    @property
    def chance_loss(self) -> float:
        pairs = self.length * (self.length - 1) / 2
        cue = torch.arange(self.length, dtype=torch.float64) / pairs  # the probability of the cue at t
        when = torch.special.entr(cue) + torch.special.entr(1 - cue)
        return (math.log(self.symbols) + when.sum().item()) / (self.length if self.reduction == "mean" else 1)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("variable_recall", split, size)
        T, n, device = self.length, self.symbols, generator.device
        symbol = torch.randint(0, n, (size,), generator=generator, device=device)
        one = torch.randint(0, T, (size,), generator=generator, device=device)
        # another step, at a random non-zero distance around the circle
        other = (one + torch.randint(1, T, (size,), generator=generator, device=device)) % T
        place, cue = torch.minimum(one, other), torch.maximum(one, other)
        sample = torch.arange(size, device=device)
        x = torch.full((T, size), n, device=device)
        y = x.clone()
        x[place, sample] = symbol
        x[cue, sample] = n + 1
        y[cue, sample] = symbol
        return Batch(x, y)

    def losses(self, outputs: Float[Tensor, "T B C"], y: Int[Tensor, "T B"]) -> Float[Tensor, "T B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T B C"], y: Int[Tensor, "T B"]) -> dict[str, float]:
        cued = y != self.symbols
        return {"loss": self.mean_loss(outputs, y), "error": error_rate(outputs[cued], y[cued])}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
