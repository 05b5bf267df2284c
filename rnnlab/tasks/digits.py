"""Handwritten digits, pixel by pixel."""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from rnnlab.tasks import data
from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Split,
    Task,
    cross_entropy,
    misclassified,
    require_positive,
    require_request,
    require_switch,
    require_whole,
)
from rnnlab.tasks.pixels import pixel_by_pixel

PIXELS = 64


@dataclass(frozen=True, kw_only=True)
class Digits(Task):
    """Name the handwritten digit whose 8 x 8 pixels are shown one by one, followed by blank steps.

        x = pixel 0, pixel 1, .., pixel 63, 0, 0, .., 0  (T steps, row by row, scaled to [0, 1])      answer = 0 .. 9

    With T > 64 the answer is due T - 64 steps after the last pixel: the lag can be swept on real data. Permuted, the
    pixels come in one fixed random order (numpy.random.RandomState(0)), the same for every image: what is near in the
    image is then far in time. The loss is the cross-entropy in nats at the last step; chance is ln 10, an error of 90 %
    (the ten classes are equal to within 4 %).

    The 1,797 samples are shuffled once (numpy.random.RandomState(0), stored with the data) and cut into 1,078 for
    training, 359 for validation and 360 for the test. The source does not name its 13 writers, so that the same hand
    can occur in two splits. `draw` samples with replacement.

    Args:
        length: T, at least 64.
        permuted: whether the pixels come in the random order.
        solved_error: solved if the fraction of wrong answers is below this. Ours; a tanh RNN of 64 units reaches 0.15.

    Reference:
        Alpaydin & Kaynak, Cascading Classifiers, 1998, as shipped by scikit-learn (data/README.md); pixel by pixel
        after Le, Jaitly, Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, 2015.
    """

    permuted: bool
    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 10
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Literal["sum", "mean"]] = "mean"
    chance_loss: ClassVar[float] = math.log(10)

    def __post_init__(self) -> None:
        require_whole("digits", "length", self.length, PIXELS, "to show every pixel")
        require_switch("digits", "permuted", self.permuted)
        require_positive("digits", "solved_error", self.solved_error)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("digits", split, size)
        count = len(images(split)[1])
        return self._batch(split, torch.randint(0, count, (size,), generator=generator, device=generator.device), dtype)

    def held_out(
        self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> Batch:
        require_request("digits", split, size)
        count = min(size, len(images(split)[1]))
        return self._batch(split, torch.arange(count, device=generator.device), dtype)

    def _batch(self, split: Split, chosen: Int[Tensor, " B"], dtype: torch.dtype) -> Batch:
        pixels, labels = (values.to(chosen.device)[chosen] for values in images(split))
        return Batch(pixel_by_pixel(pixels, self.length, white=16, permuted=self.permuted, dtype=dtype), labels)

    def losses(self, outputs: Float[Tensor, "B 10"], y: Int[Tensor, " B"]) -> Float[Tensor, "1 B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 10"], y: Int[Tensor, " B"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": misclassified(outputs, y).float().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error


@functools.cache
def images(split: Split) -> tuple[UInt8[Tensor, "N 64"], Int[Tensor, " N"]]:
    """Grey levels 0 .. 16 and the digits, on the CPU."""
    arrays = data.load("digits")
    chosen = arrays["order"][data.part(split, len(arrays["order"]))]
    return torch.from_numpy(arrays["pixels"][chosen]), torch.from_numpy(arrays["labels"][chosen]).long()
