"""MNIST, pixel by pixel, from files that the user has."""

import functools
import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from rnnlab.tasks import data
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
    require_switch,
    require_whole,
)
from rnnlab.tasks.pixels import pixel_by_pixel

PIXELS = 784
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True, kw_only=True)
class MNIST(Task):
    """Name the handwritten digit whose 28 x 28 pixels are shown one by one, followed by blank steps.

        x = pixel 0, pixel 1, .., pixel 783, 0, .., 0  (T steps, row by row, scaled to [0, 1])      answer = 0 .. 9

    With T > 784 the answer is due T - 784 steps after the last pixel. Permuted, the pixels come in one fixed random
    order (numpy.random.RandomState(0)), the same for every image. The loss is the cross-entropy in nats at the last
    step; chance is ln 10, an error of 90 %.

    MNIST is in no package, ours included: `folder` must hold its four files, train-images-idx3-ubyte,
    train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, as they are or with .gz behind. They are
    read at the first draw. The first five sixths of the training files train (50,000 images), the last sixth validates
    (10,000); the t10k files are the test (10,000, by other writers). `draw` samples with replacement.

    Args:
        length: T, at least 784.
        folder: where the files are; ~ is the home, and what does not begin with / counts from where Python was started.
        permuted: whether the pixels come in the random order.
        solved_error: solved if the fraction of wrong answers is below this. Ours; Bai, Kolter, Koltun, 2018, report
            0.128 for an LSTM, 0.038 for a GRU and 0.785 for a tanh RNN; permuted 0.143, 0.127 and 0.747.

    Raises:
        FileNotFoundError: at the first draw, naming the files that are missing.
        ValueError: at the first draw, if a file is not what its name says.

    Reference:
        LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition, 1998; pixel by pixel
        after Le, Jaitly, Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, 2015.
    """

    folder: str
    permuted: bool
    solved_error: float
    kind: ClassVar[Kind] = "many-to-one"
    inputs: ClassVar[int] = 1
    outputs: ClassVar[int] = 10
    readout: ClassVar[Readout] = "last"
    reduction: ClassVar[Reduction] = "mean"
    chance_loss: ClassVar[float] = math.log(10)

    def __post_init__(self) -> None:
        require_whole("mnist", "length", self.length, PIXELS, "to show every pixel")
        require_switch("mnist", "permuted", self.permuted)
        require_positive("mnist", "solved_error", self.solved_error)

    def draw(self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32) -> Batch:
        require_request("mnist", split, size)
        count = len(_split(split, self.folder)[1])
        return self._batch(split, torch.randint(0, count, (size,), generator=generator, device=generator.device), dtype)

    def held_out(
        self, split: Split, size: int, generator: torch.Generator, *, dtype: torch.dtype = torch.float32
    ) -> Batch:
        require_request("mnist", split, size)
        count = min(size, len(_split(split, self.folder)[1]))
        return self._batch(split, torch.arange(count, device=generator.device), dtype)

    def _batch(self, split: Split, chosen: Int[Tensor, " B"], dtype: torch.dtype) -> Batch:
        pixels, labels = (values[chosen.to(values.device)].to(chosen.device) for values in _split(split, self.folder))
        return Batch(pixel_by_pixel(pixels, self.length, white=255, permuted=self.permuted, dtype=dtype), labels)

    def losses(self, outputs: Float[Tensor, "B 10"], y: Int[Tensor, " B"]) -> Float[Tensor, "1 B"]:
        return cross_entropy(outputs, y)

    def metrics(self, outputs: Float[Tensor, "B 10"], y: Int[Tensor, " B"]) -> dict[str, float]:
        return {"loss": self.mean_loss(outputs, y), "error": misclassified(outputs, y).double().mean().item()}

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < self.solved_error


@functools.cache
def _split(split: Split, folder: str) -> tuple[UInt8[Tensor, "N 784"], Int[Tensor, " N"]]:
    """Grey levels 0 .. 255 and the digits, on the CPU."""
    images, labels = _files(folder)["test" if split == "test" else "train"]
    chosen = data.part(split, len(labels), (5, 1, 0)) if split != "test" else slice(None)
    return torch.from_numpy(images[chosen]), torch.from_numpy(labels[chosen].astype("int64"))


@functools.cache
def _files(folder: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images [N, 784] and labels [N] of the training files and of the test files."""
    place = Path(folder).expanduser().absolute()
    names = [name for pair in FILES.values() for name in pair]
    missing = [name for name in names if not any((place / f"{name}{ending}").is_file() for ending in ("", ".gz"))]
    if missing:
        raise FileNotFoundError(
            f"mnist needs its four files, as they are or with .gz behind, in the folder {str(place)!r}; "
            f"{', '.join(missing)} could not be found there. No package has them: download them and name their folder "
            "by task.folder=FOLDER"
        )
    return {part: _pair(place / images, place / labels) for part, (images, labels) in FILES.items()}


def _pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    pixels, digits = _idx(images, (28, 28)).reshape(-1, PIXELS), _idx(labels, ())
    if len(pixels) != len(digits):
        raise ValueError(f"mnist needs {len(pixels)} labels in {labels.name}, one for each image, got {len(digits)}")
    return pixels, digits


def _idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The bytes of an IDX file, uint8 [N, *shape].

    It begins with 0, 0, 8 for bytes, the number of axes, and their sizes, each in 4 bytes, the most significant first.
    """
    size, head = math.prod(shape), 8 + 4 * len(shape)
    raw = path.read_bytes() if path.is_file() else _unpacked(path.with_name(f"{path.name}.gz"))
    count = max(0, len(raw) - head) // size
    begins = bytes([0, 0, 8, 1 + len(shape)]) + b"".join(n.to_bytes(4, "big") for n in (count, *shape))
    if raw[:head] != begins or count == 0 or len(raw) != head + count * size:
        wanted = " x ".join(map(str, ("N", *shape)))
        raise ValueError(f"mnist needs {path.name} to be an IDX file of {wanted} bytes, got {len(raw)} other bytes")
    return np.array(np.frombuffer(raw, "uint8", offset=head).reshape(-1, *shape))


def _unpacked(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"mnist needs {path.name} to be a whole gzip file, got: {error}") from error
