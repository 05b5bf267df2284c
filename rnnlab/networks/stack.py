"""Recurrent layers and a readout: the network of four of the five problem kinds."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from rnnlab.cells import Cell
from rnnlab.cells.elman import Activation
from rnnlab.networks.dense import Dense
from rnnlab.networks.layers import Direction, Layers
from rnnlab.networks.stream import Stream
from rnnlab.networks.trajectory import Key, Trajectory

Readout = Literal["each", "last"]


class Stack(Layers):
    """D recurrent layers and a readout; see `Layers` for the recurrent part and its arguments.

        v^0 = h^D,  v^j = g(A_j v^{j-1} + c_j)                             from hidden to output
        y = W_ya v + b_y     at each step ("each"), or once from the final states ("last")

    One-to-one is T = 1; one-to-many an input at t = 0 and zeros after it, or what was emitted before; many-to-one the
    readout "last"; many-to-many with T_x = T_y the readout "each". For T_x != T_y see `EncoderDecoder`.

    The nonlinearity of the output is in the task's loss. The final state of a backward pass is that at t = 0, so a
    bidirectional "last" reads h_{T-1} forward and h_0 backward: at T-1 the backward pass has seen one step only.

    Args:
        outputs: O.
        output_layers: how many feed-forward layers of H units lie between hidden state and output.
        readout: what the task scores.
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
        input_layers: int,
        transition: int,
        shortcut: bool,
        output_layers: int,
        activation: Activation,
        residual: bool,
        layer_norm: bool,
        truncate: int | None,
        checkpoint_every: int | None = None,
    ):
        super().__init__(
            cell,
            inputs=inputs,
            hidden=hidden,
            depth=depth,
            direction=direction,
            input_layers=input_layers,
            transition=transition,
            shortcut=shortcut,
            activation=activation,
            residual=residual,
            layer_norm=layer_norm,
            truncate=truncate,
            checkpoint_every=checkpoint_every,
        )
        if readout == "decoder":
            raise ValueError(
                "stack needs a task with an output at each step or at the last, got one whose output has a length of "
                "its own: use network=encoder_decoder"
            )
        if readout not in get_args(Readout):
            raise ValueError(f"stack needs a readout out of {', '.join(get_args(Readout))}, got {readout!r}")
        for name, value, least in (("outputs", outputs, 1), ("output_layers", output_layers, 0)):
            if value < least:
                raise ValueError(f"stack needs {name} >= {least}, got {value}")
        self.read = readout
        widths = [self.width] + [hidden] * output_layers
        self.heads = nn.ModuleList(Dense(w, hidden, activation=activation) for w in widths[:-1])
        self.readout = nn.Linear(widths[-1], outputs)

    @torch.no_grad()
    def initialise(
        self,
        recurrent: Callable[..., Tensor],
        generator: torch.Generator | None = None,
        *,
        gate_bias: Callable[..., Any] | None = None,
    ) -> "Stack":
        """Fill every cell (see `Cell.initialise`) and all feed-forward layers: Glorot-uniform, biases 0."""
        super().initialise(recurrent, generator, gate_bias=gate_bias)
        for dense in self.heads:
            dense.initialise(generator)
        nn.init.xavier_uniform_(self.readout.weight, generator=generator)
        nn.init.zeros_(self.readout.bias)
        return self

    def forward(
        self,
        x: Float[Tensor, "T B I"] | Int[Tensor, "T B"],
        lengths: Int[Tensor, " B"] | None = None,
        states: Mapping[Key, Float[Tensor, "B S"]] = MappingProxyType({}),
    ) -> tuple[Float[Tensor, "T B O"] | Float[Tensor, "B O"], Trajectory]:
        """Outputs [T, B, O] or, read from the final states, [B, O]; and the trajectory.

        Args:
            x: numbers, or tokens below I, which stand for one-hot vectors.
            lengths: steps of each sample, where x is padded behind them: each sample comes out as if it were alone.
                At padded steps the hidden states are 0, and so is their part of every gradient.
            states: initial states of some (layer, direction), 0 for the others.

        Raises:
            ValueError: wrong shapes, an empty batch, tokens out of range, NaN, lengths that are not B from 1 to T.
        """
        trajectory = self.run(x, lengths, states)
        read = trajectory.out if self.read == "each" else self.final(trajectory.out, trajectory.lengths)
        y, heads = self.head(read)
        return y, replace(trajectory, heads=heads)

    def head(self, v: Float[Tensor, "*rows D"]) -> tuple[Float[Tensor, "*rows O"], tuple[Tensor, ...]]:
        """From hidden state to output, and what the layers between them gave."""
        found = []
        for dense in self.heads:
            v = dense(v)
            found.append(v)
        return self.readout(v), tuple(found)

    def final(self, out: Float[Tensor, "T B D"], lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "B D"]:
        """The final hidden state of each direction: the last in its own order of time."""
        samples = torch.arange(out.shape[1], device=out.device)
        forward = out[-1] if lengths is None else out[lengths.to(out.device) - 1, samples]
        ends = {"forward": forward, "backward": out[0]}
        both = [ends[name][:, k * self.hidden :][:, : self.hidden] for k, name in enumerate(self.directions)]
        return torch.cat(both, -1)

    def stream(self, states: Mapping[Key, Float[Tensor, "B S"]] = MappingProxyType({})) -> Stream:
        """The network one step at a time, each output before the next input is known; see `Stream`."""
        return Stream(self, states)
