"""Two marked numbers in a random sequence: what the adding and the multiplication problem share."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.tasks.base import require_choice, require_whole

Marks = Literal["halves", "anywhere", "early"]


def require_marks(task: str, length: object, marks: object) -> None:
    """Raise ValueError unless two marks can be placed so."""
    require_whole(task, "length", length, 2, "to place two marks")
    require_choice(task, "marks", marks, get_args(Marks))
    if marks == "early":
        require_whole(task, "length", length, 10, "to place a mark in the first tenth")


def marked_numbers(
    length: int, size: int, marks: Marks, generator: torch.Generator, dtype: torch.dtype
) -> tuple[Float[Tensor, "T B 2"], Float[Tensor, "2 B"]]:
    """T numbers from U(0, 1) and, beside them, 1 at the two marked steps; and the two numbers that are marked.

    halves      one mark in the first T // 2 steps and one in the others (Arjovsky 2016), so that the first number has
                to be carried over at least T / 2 steps
    anywhere    any two steps, each pair equally likely
    early       one in the first T // 10 steps and one from there to T // 2, as in the code of Pascanu 2013 whenever 10
                divides T, so that both have to be carried over at least T / 2 steps; needs T >= 10
    """
    T, device = length, generator.device

    def step(start: int, stop: int) -> Tensor:
        return torch.randint(start, stop, (size,), generator=generator, device=device)

    values = torch.rand(T, size, generator=generator, device=device, dtype=torch.float32).to(dtype)
    if marks == "anywhere":  # a random step, and a random non-zero distance around the circle
        first = step(0, T)
        second = (first + step(1, T)) % T
    else:
        border, end = (T // 2, T) if marks == "halves" else (T // 10, T // 2)
        first, second = step(0, border), step(border, end)
    sample = torch.arange(size, device=device)
    marked = torch.zeros(T, size, device=device, dtype=dtype)
    marked[first, sample] = 1
    marked[second, sample] = 1
    return torch.stack((values, marked), -1), torch.stack((values[first, sample], values[second, sample]))
