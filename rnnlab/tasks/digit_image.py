"""Handwritten digits, seen at once: a problem without time."""

import math
from dataclasses import dataclass
from typing import ClassVar

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
    misclassified,
    require_positive,
    require_request,
)
from rnnlab.tasks.digits import PIXELS, images


@dataclass(frozen=True, kw_only=True)
class DigitImage(Task):
    """Name the handwritten digit whose 8 x 8 pixels are the input of the only step.

        x = (pixel 0, pixel 1, .., pixel 63), row by row, scaled to [0, 1]      answer = 0 .. 9

    The images, the splits and the loss of task digits, without its 64 steps: what differs between the two is time.
    Nothing travels through time here; the cell's step f(U x + b) is a hidden layer. The loss is the cross-entropy in
    nats; chance is ln 10, an error of 90 %. `draw` samples with replacement.

    Args:
        solved_error: solved if the fraction of wrong answers is below this. Ours; logistic regression has 0.02.

    Reference:
        Alpaydin & Kaynak, Cascading Classifiers, 1998, as shipped by scikit-learn (data/README.md).
    """

    solved_error: float
    length: ClassVar[int] = 1
    kind: ClassVar[Kind] = "one-to-one"
    inputs: ClassVar[int] = PIXELS
    outputs: ClassVar[int] = 10
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Reduction] = "mean"
    chance_loss: ClassVar[float] = math.log(10)

    def __post_init__(self) -> None:
        require_positive("digit_image", "solved_error", self.solved_error)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("digit_image", split, size)
        count = len(images(split)[1])
        return self._batch(split, torch.randint(0, count, (size,), generator=generator, device=generator.device), dtype)

    def held_out(
        self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> Batch:
        require_request("digit_image", split, size)
        count = min(size, len(images(split)[1]))
        return self._batch(split, torch.arange(count, device=generator.device), dtype)

    def _batch(self, split: Split, chosen: Int[Tensor, " B"], dtype: torch.dtype) -> Batch:
        pixels, labels = (values.to(chosen.device)[chosen] for values in images(split))
        return Batch(pixels.to(dtype).unsqueeze(0) / 16, labels)

    def losses(self, outputs: Float[Tensor, "B 10"], y: Int[Tensor, " B"]) -> Float[Tensor, "1 B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 10"], y: Int[Tensor, " B"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": misclassified(outputs, y).double().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error
