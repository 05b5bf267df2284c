"""Real data: origin and licence in README.md. What ships lies here, what may not is made once by rebuild.py."""

import functools
import os
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


def own_folder() -> Path:
    """Where a user's data sets are that do not ship: $RNNLAB_DATA, else rnnlab/data in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("RNNLAB_DATA") or cache / "rnnlab" / "data")


@functools.cache
def load(name: str) -> dict[str, np.ndarray]:
    """The arrays of name.npz, of this folder or else of the user's own, read once per process.

    Raises:
        FileNotFoundError: naming the file and the command that rebuilds it.
    """
    path = FOLDER / f"{name}.npz"
    if not path.is_file():
        path = own_folder() / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; rebuild it with: python -m rnnlab.tasks.data.rebuild {name}")
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def part(split: str, count: int) -> slice:
    """Which of `count` ordered items belong to a split: the first 60 %, the next 20 %, the last 20 %."""
    cuts = {"train": (0, 3), "validation": (3, 4), "test": (4, 5)}
    start, stop = cuts[split]
    return slice(start * count // 5, stop * count // 5)
