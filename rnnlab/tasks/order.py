"""The order of symbols among distractors: what the temporal order problems with two and three symbols share."""

import itertools
import math
from collections.abc import Mapping, Sequence
from numbers import Real

import torch
from torch.nn.functional import one_hot

from rnnlab.tasks.base import Batch

SYMBOLS = 6  # A, B and the distractors c, d, e, f


def window_steps(window: Sequence[float], length: int) -> range:
    """The time steps of [from, to) in fractions of the length, rounded down."""
    start, stop = (math.floor(round(edge * length, 9)) for edge in window)  # .29 * 100 < 29
    return range(start, stop)


def require_windows(task: str, length: int, windows: Mapping[str, object]) -> dict[str, tuple[float, ...]]:
    """The windows as tuples, which can be hashed; each must hold a step and end before the next begins."""
    found = {name: _fractions(task, name, window) for name, window in windows.items()}
    for name, window in found.items():
        if not window_steps(window, length):
            raise ValueError(
                f"{task} needs a length at which the window {name} {list(window)} holds a step, got {length}"
            )
    for one, other in itertools.pairwise(found):
        if found[one][1] > found[other][0]:
            raise ValueError(
                f"{task} needs {one} to end before {other} begins, got {list(found[one])}, {list(found[other])}"
            )
    return found


def _fractions(task: str, name: str, window: object) -> tuple[float, ...]:
    pair = tuple(window) if isinstance(window, Sequence) and not isinstance(window, str) else ()
    if len(pair) != 2 or not all(isinstance(edge, Real) for edge in pair) or not 0 <= pair[0] < pair[1] <= 1:
        raise ValueError(f"{task} needs {name} to be [from, to] with 0 <= from < to <= 1, got {window!r}")
    return tuple(float(edge) for edge in pair)


def draw_order(
    length: int, size: int, windows: Sequence[Sequence[float]], generator: torch.Generator, dtype: torch.dtype
) -> Batch:
    """One-hot symbols [T, B, 6], A or B at a random step of each window; y [B] reads them as binary digits, A = 0."""
    device = generator.device
    symbols = torch.randint(2, SYMBOLS, (length, size), generator=generator, device=device)
    answer = torch.randint(0, 2, (len(windows), size), generator=generator, device=device)
    sample = torch.arange(size, device=device)
    for window, symbol in zip(windows, answer, strict=True):
        steps = window_steps(window, length)
        place = torch.randint(steps.start, steps.stop, (size,), generator=generator, device=device)
        symbols[place, sample] = symbol
    weight = 2 ** torch.arange(len(windows), device=device).flip(0).unsqueeze(-1)
    return Batch(one_hot(symbols, SYMBOLS).to(dtype), (weight * answer).sum(0))
