"""Layers of a cell over time, in one or both directions, and a linear readout."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from rnnlab.cells import Cell
from rnnlab.scan import Path, scan

Direction = Literal["forward", "backward", "bidirectional"]
Readout = Literal["each", "last"]
Key = tuple[int, str]  # layer, direction


class Pass(NamedTuple):
    """One direction of one layer as it was run; its path is in the cell's own order of time."""

    cell: Cell
    reversed: bool
    path: Path


@dataclass(frozen=True)
class Trajectory:
    """What a forward pass left behind for the probes.

    Attributes:
        passes: (layer, direction) -> Pass; layers count from 0, directions are `forward` and `backward`.
        out: the hidden states of the top layer, directions concatenated, in true time and with their graph.
        lengths: steps of each sample, on the CPU; None where all have all T steps.
        masks: layer -> what its output was multiplied by on the way up, where it was (dropout, with its 1 / (1 - p)).
    """

    passes: dict[Key, Pass]
    out: Float[Tensor, "T B D"]
    lengths: Int[Tensor, " B"] | None = None
    masks: dict[int, Float[Tensor, "T B D"]] = field(default_factory=dict)

    @property
    def valid(self) -> Bool[Tensor, "T B"] | None:
        """The steps that are no padding, on the CPU; None if all are."""
        return None if self.lengths is None else torch.arange(len(self.out))[:, None] < self.lengths

    def truncated(self, window: int | None) -> "Trajectory":
        """The same trajectory whose adjoints do not pass every K-th step: truncated backpropagation through time."""
        passes = {key: run._replace(path=run.path._replace(truncate=window)) for key, run in self.passes.items()}
        return replace(self, passes=passes)


class Stack(nn.Module):
    """D recurrent layers and a readout.

        forward         h^l_t = f(h^{l-1}_t, h^l_{t-1})                     h^0_t = x_t
        backward        the same from the last step to the first
        bidirectional   two independent passes over the whole sequence, concatenated at each step
        y = W_ya h^D + b_y     at each step ("each"), or once from the final states ("last")

    The nonlinearity of the readout is in the task's loss. The final state of a backward pass is that at t = 0, so a
    bidirectional "last" reads h_{T-1} forward and h_0 backward: at T-1 the backward pass has seen one step only.

    Args:
        cell: builds the cell of a layer, `cell(inputs, size)`.
        inputs, outputs: I and O.
        hidden: H, per direction.
        depth: D.
        readout: what the task scores.
        truncate: K of truncated backpropagation through time, in every layer; None: the full gradient. See `scan`.
        checkpoint_every: k, keep every k-th state alone: for sequences whose states do not fit into memory. See `scan`.

    Reference:
        Schuster & Paliwal, Bidirectional recurrent neural networks, 1997; Graves, Generating sequences, 2013.
    """

    def __init__(
        self,
        cell: Callable[[int, int], Cell],
        *,
        inputs: int,
        outputs: int,
        hidden: int,
        depth: int,
        direction: Direction,
        readout: Readout,
        truncate: int | None,
        checkpoint_every: int | None = None,
    ):
        super().__init__()
        for name, value in (("inputs", inputs), ("outputs", outputs), ("hidden", hidden), ("depth", depth)):
            if value < 1:
                raise ValueError(f"stack needs {name} >= 1, got {value}")
        for name, value in (("truncate", truncate), ("checkpoint_every", checkpoint_every)):
            if value is not None and value < 1:
                raise ValueError(f"stack needs {name} >= 1 steps, or none, got {value}")
        for name, value, known in (("direction", direction, Direction), ("readout", readout, Readout)):
            if value not in get_args(known):
                raise ValueError(f"stack needs a {name} out of {', '.join(get_args(known))}, got {value!r}")
        self.read, self.hidden = readout, hidden
        self.truncate, self.checkpoint_every = truncate, checkpoint_every
        self.directions = ("forward", "backward") if direction == "bidirectional" else (direction,)
        widths = [inputs] + [hidden * len(self.directions)] * depth
        self.layers = nn.ModuleList(
            nn.ModuleList(cell(width, hidden) for _ in self.directions) for width in widths[:-1]
        )
        self.readout = nn.Linear(widths[-1], outputs)

    @torch.no_grad()
    def initialise(
        self,
        recurrent: Callable[..., Tensor],
        generator: torch.Generator | None = None,
        *,
        gate_bias: Callable[..., Any] | None = None,
    ) -> "Stack":
        """Fill every cell (see `Cell.initialise`) and the readout: Glorot-uniform, bias 0."""
        for layer in self.layers:
            for cell in layer:
                cell.initialise(recurrent, generator, gate_bias=gate_bias)
        nn.init.xavier_uniform_(self.readout.weight, generator=generator)
        nn.init.zeros_(self.readout.bias)
        return self

    def forward(
        self, x: Float[Tensor, "T B I"], lengths: Int[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, "T B O"] | Float[Tensor, "B O"], Trajectory]:
        """Outputs [T, B, O] or, read from the final states, [B, O]; and the trajectory.

        Args:
            lengths: steps of each sample, where x is padded behind them: each sample comes out as if it were alone.
                At padded steps the hidden states are 0, and so is their part of every gradient.

        Raises:
            ValueError: lengths that are not B numbers from 1 to T.
        """
        if lengths is not None:
            lengths = lengths.cpu()
            if lengths.shape != x.shape[1:2] or not ((lengths >= 1) & (lengths <= len(x))).all():
                got = lengths.tolist()
                raise ValueError(f"stack needs B = {x.shape[1]} lengths from 1 to T = {len(x)}, got {got}")
        passes, out = {}, x
        for depth, layer in enumerate(self.layers):
            found = []
            for direction, cell in zip(self.directions, layer, strict=True):
                back = direction == "backward"
                settings = {"truncate": self.truncate, "checkpoint_every": self.checkpoint_every}
                h, _, path = scan(cell, turn(out, back), spans=spans(lengths, len(x), back), **settings)
                passes[depth, direction] = Pass(cell, back, path)
                found.append(turn(h, back))
            out = found[0] if len(found) == 1 else torch.cat(found, -1)
        read = out if self.read == "each" else self.final(out, lengths)
        return self.readout(read), Trajectory(passes, out, lengths)

    def final(self, out: Float[Tensor, "T B D"], lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "B D"]:
        """The final hidden state of each direction: the last in its own order of time."""
        samples = torch.arange(out.shape[1], device=out.device)
        forward = out[-1] if lengths is None else out[lengths.to(out.device) - 1, samples]
        ends = {"forward": forward, "backward": out[0]}
        both = [ends[name][:, k * self.hidden :][:, : self.hidden] for k, name in enumerate(self.directions)]
        return torch.cat(both, -1)


def spans(lengths: Int[Tensor, " B"] | None, steps: int, back: bool) -> Int[Tensor, "2 B"] | None:
    """First and past-the-last step of each sample, in the order of time of a direction."""
    if lengths is None:
        return None
    none = torch.zeros_like(lengths)
    return torch.stack([steps - lengths, none + steps] if back else [none, lengths])


def turn(x, back: bool):
    """From the order of time of a direction to true time, and back."""
    return x.flip(0) if back else x
