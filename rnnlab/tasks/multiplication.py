"""The multiplication problem."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.tasks.base import Batch, Kind, Readout, Split, Task, require_positive, require_request, squared_error
from rnnlab.tasks.marks import Marks, marked_numbers, require_marks


@dataclass(frozen=True, kw_only=True)
class Multiplication(Task):
    """Multiply the two marked numbers of a random sequence.

    Channel 0 holds T numbers from U(0, 1); channel 1 is 1 at two positions and 0 elsewhere.

        x = 0.4 0.7 0.1 0.9      marks = 0 1 1 0      target = 0.07

    Unlike a sum, a product cannot be collected by an integrator: the first number has to be kept apart. The loss is the
    squared error at the last step. Guessing the mean, 1/4, costs the variance of the target, 1/9 - 1/16 = 7/144.

    Args:
        length: T, at least 2.
        marks: where the two marks stand: "halves" (Arjovsky 2016, of the adding problem), "anywhere" or "early"
            (Pascanu 2013), see `marked_numbers`. The 1997 paper draws T anew for each sequence, up to a tenth more.
        tolerance: a sample is wrong if its absolute error exceeds this; 0.04 in the 1997 paper.
        solved_error: solved if the fraction of wrong samples is below this; 13 of 2,000, or 140 of 2,000, in 1997.

    Reference:
        Hochreiter & Schmidhuber, Long Short-Term Memory, 1997, experiment 5.
    """

    marks: Marks
    tolerance: float
    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    inputs: ClassVar[int] = 2
    outputs: ClassVar[int] = 1
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    chance_loss: ClassVar[float] = 7 / 144

    def __post_init__(self) -> None:
        require_marks("multiplication", self.length, self.marks)
        require_positive("multiplication", "tolerance", self.tolerance)
        require_positive("multiplication", "solved_error", self.solved_error)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("multiplication", split, size)
        x, marked = marked_numbers(self.length, size, self.marks, generator, dtype)
        return Batch(x, marked.prod(0).unsqueeze(-1))

    def losses(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> Float[Tensor, "1 B"]:
        return squared_error(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> dict[str, float]:
        loss = self.mean_loss(outputs, y)  # first: it refuses what the subtraction would broadcast
        right = (outputs - y).abs() <= self.tolerance  # False for NaN
        return {"loss": loss, "error": (~right).float().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
