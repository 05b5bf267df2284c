"""Two networks in a row: one that reads, and one that writes a sequence of another length."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from rnnlab.cells import Cell
from rnnlab.cells.elman import Activation
from rnnlab.networks.layers import Direction, Layers
from rnnlab.networks.stack import Stack
from rnnlab.networks.stream import Stream
from rnnlab.networks.trajectory import Key, Origin, Trajectory
from rnnlab.scaled import Scaled, mapped

STOP = 0  # the token that begins and ends what is written


class EncoderDecoder(nn.Module):
    """Many-to-many with T_x != T_y: an encoder reads x, its last states are the decoder's first, the decoder writes y.

        encoder    s^l_t = f(x_t, s^l_{t-1}),  t = 0 .. T_x - 1
        between    s^l_0 of the decoder = s^l of the encoder; of a bidirectional one B_l [s^l forward, s^l backward]
        decoder    d^l_t = f(e(y_{t-1}), d^l_{t-1}),  y_t = W d_t + b,  y_{-1} = 0, the token that starts and stops

    In training the decoder reads the target's tokens, whatever it has written itself. All of x reaches y through the
    states at one time, so the gradient travels up to T_x + T_y steps. In the trajectory time runs through: the decoder
    begins at T_x, and its layers are counted on from the encoder's.

    Args:
        cell, hidden, depth, ...: of both, as in `Stack`; `direction` is the encoder's, a decoder runs forward.
        outputs: O, the number of tokens that the decoder reads and writes, 0 among them.

    Reference:
        Sutskever, Vinyals, Le, Sequence to sequence learning with neural networks, 2014; Cho et al., Learning phrase
        representations using RNN encoder-decoder, 2014.
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
        readout: Literal["decoder"],
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
        super().__init__()
        if readout != "decoder":
            raise ValueError(
                f"encoder_decoder needs a task whose output has a length of its own, got one that is read "
                f"{readout!r}: use network=stack"
            )
        both = {
            "hidden": hidden,
            "depth": depth,
            "input_layers": input_layers,
            "transition": transition,
            "shortcut": shortcut,
            "activation": activation,
            "residual": residual,
            "layer_norm": layer_norm,
            "truncate": truncate,
            "checkpoint_every": checkpoint_every,
        }
        self.encoder = Layers(cell, inputs=inputs, direction=direction, **both)
        self.decoder = Stack(
            cell,
            inputs=outputs,
            outputs=outputs,
            direction="forward",
            readout="each",
            output_layers=output_layers,
            **both,
        )
        self.depth, self.directions, self.read = depth, self.encoder.directions, "decoder"
        sizes = [cell.state_size for cell in self.decoder.cells()]
        self.bridges = nn.ModuleList(
            nn.Linear(2 * size, size, bias=False) for size in sizes if len(self.directions) == 2
        )

    def cells(self):
        yield from self.encoder.cells()
        yield from self.decoder.cells()

    @torch.no_grad()
    def initialise(
        self,
        recurrent: Callable[..., Tensor],
        generator: torch.Generator | None = None,
        *,
        gate_bias: Callable[..., Any] | None = None,
    ) -> "EncoderDecoder":
        """Fill both networks, and the maps between them Glorot-uniform."""
        self.encoder.initialise(recurrent, generator, gate_bias=gate_bias)
        self.decoder.initialise(recurrent, generator, gate_bias=gate_bias)
        for bridge in self.bridges:
            nn.init.xavier_uniform_(bridge.weight, generator=generator)
        return self

    def forward(
        self,
        x: Float[Tensor, "T_x B I"] | Int[Tensor, "T_x B"],
        lengths: Int[Tensor, " B"] | None = None,
        *,
        given: Int[Tensor, "T_y B"],
    ) -> tuple[Float[Tensor, "T_y B O"], Trajectory]:
        """Outputs of the decoder, taught with what it is given, and the trajectory of both.

        Args:
            x, lengths: as for `Stack`.
            given: what the decoder reads: 0, then the target but for its last token; -1 behind the end.

        Raises:
            ValueError: see `Stack.forward`; what is given is not whole tokens [T_y, B], each below O, or has a -1
                before its end.
        """
        encoded = self.encoder.run(x, lengths)
        self.check(given, x.shape[1])
        steps = (given >= 0).sum(0).cpu()
        lengths = None if bool((steps == len(given)).all()) else steps
        y, written = self.decoder(given.clamp_min(0), lengths, self.across(encoded.last))
        passes = {(self.depth + layer, name): run for (layer, name), run in written.passes.items()}
        links = {self.depth + layer: link for layer, link in written.links.items()}
        last = {(self.depth + layer, name): s for (layer, name), s in written.last.items()}
        origin = Origin(encoded, self.pull)
        return y, replace(written, passes=passes, links=links, last=last, origin=origin)

    def check(self, given: Tensor, samples: int) -> None:
        """Refuse what is not a token of the decoder at the first step of each sample, and at each until its end."""
        if given.ndim != 2 or given.shape[1] != samples or not len(given) or given.dtype != torch.int64:
            got = f"{given.dtype} of {list(given.shape)}"
            raise ValueError(f"encoder_decoder needs given of torch.int64 [T_y >= 1, B = {samples}], got {got}")
        least, most = (int(v) for v in torch.aminmax(given))
        if least < -1 or most >= self.decoder.inputs:
            rule = f"tokens from 0 to {self.decoder.inputs - 1} in given, or -1"
            raise ValueError(f"encoder_decoder needs {rule}, got {least if least < -1 else most}")
        late = (given[1:] >= 0) & (given[:-1] < 0)
        if bool((given[0] < 0).any() | late.any()):
            raise ValueError("encoder_decoder needs -1 in given behind the end of a sample, got one before a token")

    def across(self, last: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
        """The decoder's initial states from the encoder's last."""
        found = {}
        for layer in range(self.depth):
            both = torch.cat([last[layer, name] for name in self.directions], -1)
            found[layer, "forward"] = self.bridges[layer](both) if self.bridges else both
        return found

    def pull(self, first: Mapping[Key, Tensor | Scaled]) -> dict[Key, Tensor | Scaled]:
        """From the gradient of the decoder's initial states to that of the encoder's last."""
        found = {}
        for (layer, _), d in first.items():
            layer -= self.depth
            both = mapped(d, lambda v, layer=layer: v @ self.bridges[layer].weight) if self.bridges else d
            size = both.shape[-1] // len(self.directions)
            for k, name in enumerate(self.directions):
                found[layer, name] = mapped(both, lambda v, k=k, size=size: v[..., k * size :][..., :size])
        return found

    @torch.no_grad()
    def generate(
        self,
        x: Float[Tensor, "T_x B I"] | Int[Tensor, "T_x B"],
        lengths: Int[Tensor, " B"] | None = None,
        *,
        steps: int,
    ) -> Int[Tensor, "T_y B"]:
        """What the decoder writes by itself: at each step its most probable token, until all samples have stopped."""
        if steps < 1:
            raise ValueError(f"generate needs steps >= 1, got {steps}")
        stream = Stream(self.decoder, self.across(self.encoder.run(x, lengths).last))
        token = torch.full((x.shape[1],), STOP, device=x.device)
        written, stopped = [], torch.zeros_like(token, dtype=torch.bool)
        while len(written) < steps and not bool(stopped.all()):
            token = stream(token).argmax(-1).masked_fill(stopped, STOP)
            stopped |= token == STOP
            written.append(token)
        return torch.stack(written)

    def stream(self) -> Stream:
        """Refused: see `generate`."""
        raise ValueError(
            "stream needs a network that answers as the input comes in, got an encoder-decoder: it reads the whole "
            "sequence before its first output; let it write with generate()"
        )
