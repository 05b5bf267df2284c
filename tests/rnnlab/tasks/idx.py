"""Files like those of MNIST, small and made up."""

import atexit
import functools
import gzip
import shutil
import tempfile
from pathlib import Path

import numpy as np

COUNTS = {"train": 60, "t10k": 20}


def idx(array: np.ndarray) -> bytes:
    """An IDX file of bytes: 0, 0, 8, the number of axes, their sizes as big-endian int32, the content."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.astype("uint8").tobytes()


@functools.cache
def content() -> dict[str, np.ndarray]:
    """The name of each of the four files and what it holds."""
    random = np.random.RandomState(1)
    made = {}
    for part, count in COUNTS.items():
        made[f"{part}-images-idx3-ubyte"] = random.randint(0, 256, (count, 28, 28))
        made[f"{part}-labels-idx1-ubyte"] = random.randint(0, 10, count)
    return made


def write(folder: Path, *, packed: bool = False) -> None:
    for name, array in content().items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))


@functools.cache
def fabricated() -> str:
    """A folder with the four files, removed when the tests end."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    write(Path(folder))
    return folder
