"""The adding problem."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Split,
    Task,
    require_choice,
    require_positive,
    require_request,
    require_whole,
    squared_error,
)

Marks = Literal["halves", "anywhere"]


@dataclass(frozen=True, kw_only=True)
class Adding(Task):
    """Sum the two marked numbers of a random sequence.

    Channel 0 holds T numbers from U(0, 1); channel 1 is 1 at two positions and 0 elsewhere.

        x = 0.4 0.7 0.1 0.9      marks = 0 1 1 0      target = 0.8

    The loss is the squared error at the last step. Guessing the mean, 1, costs the variance of the target, 1/6.

    Args:
        length: T, at least 2.
        marks: where the two marks stand. "halves": one in the first T // 2 steps and one in the others (Arjovsky 2016),
            so that the first number has to be carried over at least T / 2 steps; "anywhere": any two steps.
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
        require_whole("adding", "length", self.length, 2, "to place two marks")
        require_choice("adding", "marks", self.marks, get_args(Marks))
        require_positive("adding", "tolerance", self.tolerance)
        require_positive("adding", "solved_error", self.solved_error)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("adding", split, size)
        T, B, device = self.length, size, generator.device
        values = torch.rand(T, B, generator=generator, device=device, dtype=torch.float32).to(dtype)
        if self.marks == "halves":
            first = torch.randint(0, T // 2, (B,), generator=generator, device=device)
            second = torch.randint(T // 2, T, (B,), generator=generator, device=device)
        else:  # a random step, and a random non-zero distance around the circle
            first = torch.randint(0, T, (B,), generator=generator, device=device)
            second = (first + torch.randint(1, T, (B,), generator=generator, device=device)) % T
        sample = torch.arange(B, device=device)
        marks = torch.zeros(T, B, device=device, dtype=dtype)
        marks[first, sample] = 1
        marks[second, sample] = 1
        return Batch(torch.stack((values, marks), -1), (values[first, sample] + values[second, sample]).unsqueeze(-1))

    def losses(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> Float[Tensor, "1 B"]:
        return squared_error(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 1"], y: Float[Tensor, "B 1"]) -> dict[str, float]:
        right = (outputs - y).abs() <= self.tolerance  # False for NaN
        return {"loss": self.mean_loss(outputs, y), "error": (~right).float().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
