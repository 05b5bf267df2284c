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
