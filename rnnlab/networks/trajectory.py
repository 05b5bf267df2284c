"""What a forward pass leaves behind for the probes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from rnnlab.cells import Cell
from rnnlab.cells.base import pull_back
from rnnlab.networks.dense import Dense
from rnnlab.scan import Path

Key = tuple[int, str]  # layer, direction


class Pass(NamedTuple):
    """One direction of one layer as it was run; its path is in the cell's own order of time."""

    cell: Cell
    reversed: bool
    path: Path


class Link(NamedTuple):
    """How the input v of a layer came from the output o of the one below: v = mask o, or v = norm(o), or v = o.

    Attributes:
        mask: of dropout, with its 1 / (1 - p).
        norm, below: layer norm, and the o that it was given.
        residual: whether o was also added to the layer's output.
    """

    mask: Float[Tensor, "T B D"] | None = None
    norm: nn.LayerNorm | None = None
    below: Float[Tensor, "T B D"] | None = None
    residual: bool = False

    def pull(self, d: Tensor) -> Tensor:
        """dL/do but for the residual path, from dL/dv: linear, and on each row alone."""
        d = d if self.mask is None else d * self.mask
        return d if self.norm is None else pull_back(self.norm, (self.below,), d)[0]


class Feed(NamedTuple):
    """A feed-forward layer as it was run, u_t = g(A u'_t + c): all that its pull-back needs."""

    layer: Dense
    u: Float[Tensor, "T B W"]


class Origin(NamedTuple):
    """Where the initial states of a decoder came from.

    Attributes:
        pull: from the gradient of the initial states, (layer, direction) -> [B, S], to that of the encoder's last.
    """

    encoder: "Trajectory"
    pull: Callable[[dict], dict]


@dataclass(frozen=True)
class Trajectory:
    """What a forward pass left behind for the probes.

    Attributes:
        passes: (layer, direction) -> Pass; layers count from 0, directions are `forward` and `backward`.
        out: the hidden states of the top layer, directions concatenated, in true time and with their graph.
        last: (layer, direction) -> the last state [B, S] of each sample, with its graph.
        lengths: steps of each sample, on the CPU; None where all have all T steps.
        links: layer -> how its input came from the layer below, where that is not the identity.
        feeds: the layers from input to hidden, from the bottom.
        heads: outputs of the layers from hidden to output, from the bottom, with their graph: [T, B, W], or [B, W] read
            from the final states.
        origin: of a decoder, the encoder that its initial states came from.
    """

    passes: dict[Key, Pass]
    out: Float[Tensor, "T B D"]
    last: dict[Key, Float[Tensor, "B S"]] = field(default_factory=dict)
    lengths: Int[Tensor, " B"] | None = None
    links: dict[int, Link] = field(default_factory=dict)
    feeds: tuple[Feed, ...] = ()
    heads: tuple[Tensor, ...] = ()
    origin: Origin | None = None

    @property
    def start(self) -> int:
        """The time of its first step in the network's own time: a decoder goes on where its encoder ends."""
        return 0 if self.origin is None else self.origin.encoder.stop

    @property
    def stop(self) -> int:
        """The time after its last step."""
        return self.start + len(self.out)

    @property
    def both(self) -> "tuple[Trajectory, ...]":
        """The encoder's, if there is one, and this one."""
        return (self,) if self.origin is None else (*self.origin.encoder.both, self)

    def of(self, layer: int) -> "Trajectory":
        """Which of them a recurrent layer belongs to."""
        return next(run for run in self.both if any(depth == layer for depth, _ in run.passes))

    @property
    def valid(self) -> Bool[Tensor, "T B"] | None:
        """The steps that are no padding, on the CPU; None if all are."""
        return None if self.lengths is None else torch.arange(len(self.out))[:, None] < self.lengths

    def truncated(self, window: int | None) -> "Trajectory":
        """The same trajectory whose adjoints do not pass every K-th step: truncated backpropagation through time."""
        passes = {key: run._replace(path=run.path._replace(truncate=window)) for key, run in self.passes.items()}
        origin = self.origin and self.origin._replace(encoder=self.origin.encoder.truncated(window))
        return replace(self, passes=passes, origin=origin)


def spans(lengths: Int[Tensor, " B"] | None, steps: int, back: bool) -> Int[Tensor, "2 B"] | None:
    """First and past-the-last step of each sample, in the order of time of a direction."""
    if lengths is None:
        return None
    none = torch.zeros_like(lengths)
    return torch.stack([steps - lengths, none + steps] if back else [none, lengths])


def turn(x, back: bool):
    """From the order of time of a direction to true time, and back."""
    return x.flip(0) if back else x
