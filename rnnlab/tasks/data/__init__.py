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


def part(split: str, count: int, shares: tuple[int, int, int] = (3, 1, 1)) -> slice:
    """Which of `count` ordered items belong to a split: first those for training, then validation, then the test.

    With the usual shares 60 %, 20 % and 20 %.
    """
    before = {"train": 0, "validation": shares[0], "test": shares[0] + shares[1]}[split]
    share = shares[("train", "validation", "test").index(split)]
    return slice(before * count // sum(shares), (before + share) * count // sum(shares))


def shuffled(count: int) -> np.ndarray:
    """A fixed permutation of 0 .. count - 1, from a stream that numpy has promised never to change."""
    return np.random.RandomState(0).permutation(count)
