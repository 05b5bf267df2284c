"""Sequences of tokens rewritten by a decoder: what reverse and sort share."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor

from rnnlab.tasks.base import UNSCORED, Batch, Reduction, require_whole, shifted


def require_tokens(task: str, length: object, shortest: object, symbols: object) -> None:
    """Raise ValueError unless sequences of `shortest` to `length` symbols can be drawn."""
    require_whole(task, "shortest", shortest, 1, "to have something to write")
    require_whole(task, "length", length, shortest, f"because a sequence has at least {shortest} steps")
    require_whole(task, "symbols", symbols, 2, "to have a choice")


def draw_tokens(
    length: int, shortest: int, symbols: int, size: int, generator: torch.Generator
) -> tuple[Int[Tensor, "T B"], Int[Tensor, " B"]]:
    """Tokens 1 .. symbols, each equally likely, and 0 behind the end; lengths from `shortest` to T, equally likely."""
    tokens = torch.randint(1, symbols + 1, (length, size), generator=generator, device=generator.device)
    lengths = torch.randint(shortest, length + 1, (size,), generator=generator, device=generator.device)
    time = torch.arange(length, device=generator.device).unsqueeze(-1)
    return torch.where(time < lengths, tokens, 0), lengths


def rewritten(x: Int[Tensor, "T B"], lengths: Int[Tensor, " B"], answer: Int[Tensor, "T B"]) -> Batch:
    """The batch whose target is the answer up to each sample's length, then 0, the stop, then nothing that counts."""
    time = torch.arange(len(x) + 1, device=x.device).unsqueeze(-1)
    y = torch.cat([answer, answer[:1]])
    y = torch.where(time < lengths, y, torch.where(time == lengths, 0, UNSCORED))
    return Batch(x, y, lengths.cpu(), shifted(y))


def blind_loss(entropies: Mapping[int, float], reduction: Reduction) -> float:
    """Loss of the best decoder that reads what was written so far, but nothing of x; all lengths equally likely.

        sum     H(L) + E h(L)
        mean    Z (H(L') + E h(L')),      p(L' = l) = p(L = l) / (l + 1) / Z

    with h(l) the entropy in nats of the targets of length l. A sequence costs the logarithm of its probability; a mean
    over its l + 1 steps weighs it by 1 / (l + 1), which is the same as drawing it less often.

    Args:
        entropies: h(l) of each length.
    """
    weights = [(1 / len(entropies) / (length + 1 if reduction == "mean" else 1), h) for length, h in entropies.items()]
    total = sum(weight for weight, _ in weights)
    return sum(weight * (h - math.log(weight / total)) for weight, h in weights)
