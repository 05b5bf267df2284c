"""The copying memory problem."""

import math
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Reduction,
    Split,
    Task,
    cross_entropy,
    misclassified,
    require_choice,
    require_positive,
    require_request,
    require_whole,
)

SYMBOLS, RECALLED = 8, 10
BLANK, DELIMITER = 8, 9


@dataclass(frozen=True, kw_only=True)
class Copying(Task):
    """Repeat ten symbols after a delay of T steps.

    Ten symbols out of eight, T - 1 blanks (_), a delimiter (|), ten blanks; the answer is blank until the delimiter has
    been read and then the ten symbols in order. With three symbols instead of ten and T = 4:

        x = a c b _ _ _ | _ _ _
        y = _ _ _ _ _ _ _ a c b

    Each symbol has to be carried over T + 10 steps. Inputs are one-hot in 10 categories (8 symbols, blank, delimiter);
    outputs are logits of 9, since the delimiter is never an answer. The loss is the cross-entropy in nats of all T + 20
    steps. Who knows the time but not the symbols pays 10 ln 8 over the sequence.

    Args:
        length: T, the delay, at least 1. The sequence has T + 20 steps.
        reduction: over the T + 20 steps; "mean" in the paper.
        solved_error: solved if the fraction of the ten recalled symbols that is wrong is below this. The paper has no
            criterion: it shows the loss against 10 ln 8 / (T + 20).

    Reference:
        Hochreiter & Schmidhuber, 1997; Arjovsky, Shah, Bengio, Unitary Evolution Recurrent Neural Networks, 2016,
        sec. 5.1 and the authors' code (10 inputs, 9 outputs).
    """

    reduction: Reduction
    solved_error: float
    kind: ClassVar[Kind] = "many-to-many"
    inputs: ClassVar[int] = 10
    outputs: ClassVar[int] = 9
    readout: ClassVar[Readout] = "each"

    def __post_init__(self) -> None:
        require_whole("copying", "length", self.length, 1, "to place the delimiter")
        require_choice("copying", "reduction", self.reduction, get_args(Reduction))
        require_positive("copying", "solved_error", self.solved_error)

    @property
    def steps(self) -> int:
        return self.length + 2 * RECALLED

    @property
    def chance_loss(self) -> float:
        return RECALLED * math.log(SYMBOLS) / (self.steps if self.reduction == "mean" else 1)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("copying", split, size)
        device = generator.device
        symbols = torch.randint(0, SYMBOLS, (RECALLED, size), generator=generator, device=device)
        x = torch.full((self.steps, size), BLANK, device=device)
        x[:RECALLED] = symbols
        x[-RECALLED - 1] = DELIMITER
        y = torch.full((self.steps, size), BLANK, device=device)
        y[-RECALLED:] = symbols
        return Batch(one_hot(x, self.inputs).to(dtype), y)

    def losses(self, outputs: Float[Tensor, "T B 9"], y: Int[Tensor, "T B"]) -> Float[Tensor, "T B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T B 9"], y: Int[Tensor, "T B"]) -> dict[str, float]:
        wrong = misclassified(outputs[-RECALLED:], y[-RECALLED:])
        return {"loss": self.mean_loss(outputs, y), "error": wrong.float().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
