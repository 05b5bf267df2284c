"""The adding problem."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.tasks.base import Batch, Kind, Readout, Split, Task, require_positive, require_request, squared_error
from rnnlab.tasks.marks import Marks, marked_numbers, require_marks


@dataclass(frozen=True, kw_only=True)
class Adding(Task):
    """Sum the two marked numbers of a random sequence.

    Channel 0 holds T numbers from U(0, 1); channel 1 is 1 at two positions and 0 elsewhere.

        x = 0.4 0.7 0.1 0.9      marks = 0 1 1 0      target = 0.8

    The loss is the squared error at the last step. Guessing the mean, 1, costs the variance of the target, 1/6.

    Args:
        length: T, at least 2.
        marks: where the two marks stand: "halves" (Arjovsky 2016), "anywhere" or "early" (Pascanu 2013), see
            `marked_numbers`.
        tolerance: a sample is wrong if its absolute error exceeds this; 0.04 in the 1997 paper, whose target is
            scaled to [0, 1] where ours spans [0, 2].
        solved_error: solved if the fraction of wrong samples is below this.

    Reference:
        Hochreiter & Schmidhuber, Long Short-Term Memory, 1997, experiment 4: the task and the criterion;
        Arjovsky, Shah, Bengio, Unitary Evolution Recurrent Neural Networks, 2016, sec. 5.2: this variant.
    """

    marks: Marks
    tolerance: float
    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 1
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    chance_loss: ClassVar[float] = 1 / 6  # twice the variance of U(0, 1)

    def __post_init__(self) -> None:
        require_marks("adding", self.length, self.marks)
        require_positive("adding", "tolerance", self.tolerance)
        require_positive("adding", "solved_error", self.solved_error)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("adding", split, size)
        x, marked = marked_numbers(self.length, size, self.marks, generator, dtype)
        return Batch(x, marked.sum(0).unsqueeze(-1))

    def losses(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> Float[Tensor, "1 B"]:
        return squared_error(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> dict[str, float]:
        loss = self.mean_loss(outputs, y)  # first: it refuses what the subtraction would broadcast
        right = (outputs - y).abs() <= self.tolerance  # False for NaN
        return {"loss": loss, "error": (~right).float().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
