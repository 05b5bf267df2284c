"""An electrocardiogram, predicted one sample ahead."""

import functools
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnnlab.tasks import data
from rnnlab.tasks.base import (
    Batch,
    Kind,
    Readout,
    Reduction,
    Split,
    Task,
    require_choice,
    require_positive,
    require_request,
    require_whole,
    squared_error,
)


@dataclass(frozen=True, kw_only=True)
class ECG(Task):
    """Predict the next sample of a heart's voltage, at every step of a window of T steps.

        x_t = v_{s+t}      y_t = v_{s+t+1}      t = 0 .. T - 1, in mV, 360 per second

    Five minutes of record 208: 108,000 samples, cut in time into 60 % for training, 20 % for validation and the last
    20 % for the test; a window never crosses a cut. It is one patient, so this measures forecasting, not transfer.
    `draw` takes windows at random starts; `held_out` takes those that start at 0, T, 2T, .. of the split.

    The loss is the squared error in mV^2. The reference is persistence: the next sample will equal this one.
    `chance_loss` is its mean squared error over the whole test split, 4.1e-3 mV^2 (training 5.3e-3, validation 4.0e-3).

    Metrics:
        error: root mean square error in mV.
        ratio: squared error over that of persistence on the very same windows. Persistence comes from the targets,
            y_{t-1} for y_t, so that both sums leave out the first step of each window.

    Args:
        length: T, from 2 to 21,599, the longest window that fits the shorter splits.
        reduction: over the T steps.
        solved_ratio: solved if `ratio` is below this. Ours; a linear prediction from 16 samples has 0.15.

    Reference:
        Moody & Mark, The impact of the MIT-BIH Arrhythmia Database, 2001, as shipped by SciPy (data/README.md).
    """

    reduction: Reduction
    solved_ratio: float
    kind: ClassVar[Kind] = "many-to-many"
    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 1
    readout: ClassVar[Readout] = "each"

    def __post_init__(self) -> None:
        require_whole("ecg", "length", self.length, 2, "to compare with persistence")
        require_choice("ecg", "reduction", self.reduction, get_args(Reduction))
        require_positive("ecg", "solved_ratio", self.solved_ratio)
        longest = min(len(_split(split)) for split in get_args(Split)) - 1
        if self.length > longest:
            raise ValueError(f"ecg needs length <= {longest} for a window to fit each split, got {self.length}")

    @property
    def chance_loss(self) -> float:
        persistence = _split("test").diff().square().mean().item()
        return persistence * (self.length if self.reduction == "sum" else 1)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("ecg", split, size)
        starts = len(_split(split)) - self.length  # a window holds length + 1 samples
        start = torch.randint(0, starts, (size,), generator=generator, device=generator.device)
        return self._windows(split, start, dtype)

    def held_out(
        self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> Batch:
        require_request("ecg", split, size)
        count = min(size, (len(_split(split)) - 1) // self.length)
        return self._windows(split, torch.arange(count, device=generator.device) * self.length, dtype)

    def _windows(self, split: Split, start: Int[Tensor, " B"], dtype: torch.dtype) -> Batch:
        volts = _split(split).to(start.device, dtype)
        time = torch.arange(self.length, device=start.device).unsqueeze(-1) + start
        return Batch(volts[time].unsqueeze(-1), volts[time + 1].unsqueeze(-1))

    def losses(self, outputs: Float[Tensor, "T B 1"], y: Float[Tensor, "T B 1"]) -> Float[Tensor, "T B"]:
        return squared_error(outputs, y)

    def metrics(self, outputs: Float[Tensor, "T B 1"], y: Float[Tensor, "T B 1"]) -> dict[str, float]:
        squared = self.losses(outputs, y)
        return {
            "loss": self.sample_losses(squared, y).mean().item(),
            "error": squared.mean().sqrt().item(),
            "ratio": (squared[1:].sum() / squared_error(y[:-1], y[1:]).sum()).item(),
        }

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["ratio"] < self.solved_ratio


@functools.cache
def _split(split: Split) -> Float[Tensor, " N"]:
    """The voltage in mV of one stretch of time, float64 on the CPU."""
    counts = torch.from_numpy(data.load("ecg")["counts"].astype("float64"))
    return (counts[data.part(split, len(counts))] - 1024) / 200  # zero and gain of the converter
