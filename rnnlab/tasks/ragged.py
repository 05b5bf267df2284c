"""Sequences of unequal length, and batches of them."""

from typing import NamedTuple

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


class Ragged(NamedTuple):
    """S sequences: number s is flat[starts[s]], .., flat[starts[s] + lengths[s] - 1]."""

    flat: Shaped[Tensor, "N *I"]
    starts: Int[Tensor, " S"]
    lengths: Int[Tensor, " S"]

    @classmethod
    def joined(cls, flat: Shaped[Tensor, "N *I"], lengths: Int[Tensor, " S"]) -> "Ragged":
        """The sequences that stand one behind the other in `flat`."""
        return cls(flat, lengths.cumsum(0) - lengths, lengths)

    def only(self, chosen: Shaped[Tensor, " C"]) -> "Ragged":
        """Some of the sequences, by their numbers or by a mask."""
        return Ragged(self.flat, self.starts[chosen], self.lengths[chosen])

    def endings(self, steps: int) -> "Ragged":
        """The last `steps` of each sequence, or the whole of it."""
        return Ragged(self.flat, self.starts + (self.lengths - steps).clamp_min(0), self.lengths.clamp_max(steps))

    def batch(
        self, chosen: Int[Tensor, " B"], steps: int, *, padding: int = 0
    ) -> tuple[Shaped[Tensor, "steps B *I"], Int[Tensor, " B"]]:
        """The chosen sequences side by side on the device of `chosen`, and how long each is.

        What is shorter than `steps` is padded behind its end, what is longer is cut there.
        """
        starts, lengths = (edge.to(chosen.device)[chosen] for edge in (self.starts, self.lengths.clamp_max(steps)))
        time = torch.arange(steps, device=chosen.device).unsqueeze(1)
        beyond = time >= lengths
        values = self.flat.to(chosen.device)[(starts + time).masked_fill(beyond, 0)]
        return values.masked_fill(beyond.view(*beyond.shape, *[1] * (values.ndim - 2)), padding), lengths
