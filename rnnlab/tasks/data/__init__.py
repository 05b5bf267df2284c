"""The real data that ship with the package: origin and licence in README.md, rebuilt by rebuild.py."""

import functools
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


@functools.cache
def load(name: str) -> dict[str, np.ndarray]:
    """The arrays of FOLDER/name.npz, read once per process.

    Raises:
        FileNotFoundError: naming the file and the command that rebuilds it.
    """
    path = FOLDER / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; rebuild it with: python -m rnnlab.tasks.data.rebuild")
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def part(split: str, count: int) -> slice:
    """Which of `count` ordered items belong to a split: the first 60 %, the next 20 %, the last 20 %."""
    cuts = {"train": (0, 3), "validation": (3, 4), "test": (4, 5)}
    start, stop = cuts[split]
    return slice(start * count // 5, stop * count // 5)
