"""Layers of a cell over time, in one or both directions, with what lies between them and below them."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from rnnlab.cells import Cell
from rnnlab.cells.deep_transition import DeepTransition
from rnnlab.cells.elman import Activation
from rnnlab.networks.dense import Dense
from rnnlab.networks.trajectory import Feed, Key, Link, Pass, Trajectory, spans, turn
from rnnlab.scan import padding, scan

Direction = Literal["forward", "backward", "bidirectional"]


class Layers(nn.Module):
    """D recurrent layers, and feed-forward ones from the input to the lowest of them.

        u^0_t = x_t,  u^j_t = g(A_j u^{j-1}_t + c_j)                      from input to hidden
        forward         h^l_t = f(v^l_t, h^l_{t-1})                       v^0_t = u_t, v^l_t = o^{l-1}_t
        backward        the same from the last step to the first
        bidirectional   two independent passes over the whole sequence, concatenated at each step
        o^l_t = h^l_t, with `residual` + o^{l-1}_t above the lowest layer; with `layer_norm` v^l_t = LN(o^{l-1}_t) there

    Depth is a matter of three blocks. More layers here or below change the prefactor of the gradient over the lag, as
    C(k + D - 1, D - 1) for D linear ones; a deeper transition, m maps a step, changes its rate.

    Args:
        cell: builds the cell of a layer, `cell(inputs, size)`.
        inputs: I.
        hidden: H, per direction, and the width of the feed-forward layers.
        depth: D.
        input_layers: how many lie between input and hidden state.
        transition: m, maps from hidden to hidden in one step; see `DeepTransition`.
        shortcut: whether the last of them sees h_{t-1} as well.
        activation: g of the feed-forward layers.
        truncate: K of truncated backpropagation through time, in every layer; None: the full gradient. See `scan`.
        checkpoint_every: k, keep every k-th state alone: for sequences whose states do not fit into memory. See `scan`.

    Reference:
        Schuster & Paliwal, Bidirectional recurrent neural networks, 1997; Graves, Generating sequences, 2013; Pascanu,
        Gulcehre, Cho, Bengio, How to construct deep recurrent neural networks, 2014; pre-norm residual layers after
        Xiong et al., On layer normalization in the transformer architecture, 2020.
    """

    def __init__(
        self,
        cell: Callable[[int, int], Cell],
        *,
        inputs: int,
        hidden: int,
        depth: int,
        direction: Direction,
        input_layers: int,
        transition: int,
        shortcut: bool,
        activation: Activation,
        residual: bool,
        layer_norm: bool,
        truncate: int | None,
        checkpoint_every: int | None = None,
    ):
        super().__init__()
        least = {"inputs": (inputs, 1), "hidden": (hidden, 1), "depth": (depth, 1), "transition": (transition, 1)}
        for name, (value, bound) in {**least, "input_layers": (input_layers, 0)}.items():
            if value < bound:
                raise ValueError(f"stack needs {name} >= {bound}, got {value}")
        for name, value in (("truncate", truncate), ("checkpoint_every", checkpoint_every)):
            if value is not None and value < 1:
                raise ValueError(f"stack needs {name} >= 1 steps, or none, got {value}")
        for name, value, known in (("direction", direction, Direction), ("activation", activation, Activation)):
            if value not in get_args(known):
                raise ValueError(f"stack needs a {name} out of {', '.join(get_args(known))}, got {value!r}")
        if shortcut and transition == 1:
            raise ValueError("stack needs transition >= 2 for a shortcut around its last map, got 1")
        if transition > 1:
            cell = partial(DeepTransition, cell=cell, maps=transition, shortcut=shortcut)
        self.inputs, self.hidden, self.residual = inputs, hidden, residual
        self.truncate, self.checkpoint_every = truncate, checkpoint_every
        self.directions = ("forward", "backward") if direction == "bidirectional" else (direction,)
        self.width = hidden * len(self.directions)
        widths = [inputs] + [hidden] * input_layers
        self.dense = nn.ModuleList(Dense(w, hidden, activation=activation) for w in widths[:-1])
        self.layers = nn.ModuleList(
            nn.ModuleList(cell(self.width if layer else widths[-1], hidden) for _ in self.directions)
            for layer in range(depth)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(self.width) for _ in range(depth - 1) if layer_norm)

    def cells(self) -> Iterator[Cell]:
        return (cell for layer in self.layers for cell in layer)

    @torch.no_grad()
    def initialise(
        self,
        recurrent: Callable[..., Tensor],
        generator: torch.Generator | None = None,
        *,
        gate_bias: Callable[..., Any] | None = None,
    ) -> "Layers":
        """Fill every cell (see `Cell.initialise`) and the feed-forward layers: Glorot-uniform, biases 0."""
        for dense in self.dense:
            dense.initialise(generator)
        for cell in self.cells():
            cell.initialise(recurrent, generator, gate_bias=gate_bias)
        return self

    def run(
        self,
        x: Float[Tensor, "T B I"] | Int[Tensor, "T B"],
        lengths: Int[Tensor, " B"] | None = None,
        states: Mapping[Key, Float[Tensor, "B S"]] = MappingProxyType({}),
    ) -> Trajectory:
        """Run all layers over a sequence, from the given initial states, 0 where none is given."""
        self.check_states(states)
        if lengths is not None:
            lengths = lengths.cpu()
            if x.is_floating_point() and x.shape[1:2] == lengths.shape:
                x = x.masked_fill(padding(spans(lengths, len(x), False), slice(0, len(x))).to(x.device), 0)  # even NaN
        self.check(x, lengths)
        u, feeds = self.enter(x)
        settings = {"truncate": self.truncate, "checkpoint_every": self.checkpoint_every}
        passes, last, links, below = {}, {}, {}, None
        for depth, layer in enumerate(self.layers):
            v, found = self.between(depth, u), []
            for direction, cell in zip(self.directions, layer, strict=True):
                back, key = direction == "backward", (depth, direction)
                span = spans(lengths, len(x), back)
                now = cell.materialised()  # as its weights are for this pass, if a constraint computes them
                h, last[key], path = scan(now, turn(v, back), states.get(key), spans=span, **settings)
                passes[key] = Pass(now, back, path)
                found.append(turn(h, back))
            if depth and (self.norms or self.residual):
                norm = {"norm": self.norms[depth - 1], "below": u.detach()} if self.norms else {}
                links[depth] = Link(**norm, residual=self.residual)
            below, u = u, found[0] if len(found) == 1 else torch.cat(found, -1)
            u = u + below if depth and self.residual else u
        return Trajectory(passes, u, last, lengths, links, feeds)

    def enter(self, x: Tensor) -> tuple[Tensor, tuple[Feed, ...]]:
        """From the input to that of the lowest recurrent layer."""
        if not self.dense and not x.is_floating_point():
            x = nn.functional.one_hot(x, self.inputs).to(self.dtype)
        feeds = []
        for dense in self.dense:
            x = dense(x)
            feeds.append(Feed(dense, x.detach()))
        return x, tuple(feeds)

    def between(self, layer: int, below: Tensor) -> Tensor:
        """The input of a layer from the output of the one below."""
        return self.norms[layer - 1](below) if layer and self.norms else below

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def check(self, x: Tensor, lengths: Tensor | None) -> None:
        """Refuse an input that is not one: its shape, its tokens, NaN; lengths that are not from 1 to T."""
        name = type(self).__name__.lower()
        tokens = not x.is_floating_point()
        fits = x.ndim == 2 and x.dtype == torch.int64 if tokens else x.ndim == 3 and x.shape[-1] == self.inputs
        if not fits or 0 in x.shape:
            wanted = f"numbers [T >= 1, B >= 1, I = {self.inputs}] or tokens [T >= 1, B >= 1] of torch.int64"
            raise ValueError(f"{name} needs x of {wanted}, got {x.dtype} of {list(x.shape)}")
        if tokens:
            least, most = (int(v) for v in torch.aminmax(x))
            if least < 0 or most >= self.inputs:
                wrong = least if least < 0 else most
                raise ValueError(f"{name} needs tokens from 0 to {self.inputs - 1} in x, got {wrong}")
        if lengths is not None and not _fits(lengths, *x.shape[:2]):
            got = lengths.tolist()
            raise ValueError(f"{name} needs B = {x.shape[1]} lengths from 1 to T = {len(x)}, got {got}")
        if not (tokens or x.isfinite().all()):
            t, b, i = (~x.isfinite()).nonzero()[0].tolist()
            got = "NaN" if x[t, b, i].isnan() else "inf"
            raise ValueError(f"{name} needs finite numbers in x, got {got} at step {t} of sample {b}, input {i}")
        if not tokens and x.dtype != self.dtype:
            raise ValueError(f"{name} needs x of its parameters' {self.dtype}, got {x.dtype}")

    def check_states(self, states: Mapping[Key, Tensor]) -> None:
        """Refuse initial states of a layer and direction that are not there, or of another size."""
        keys = [(depth, direction) for depth in range(len(self.layers)) for direction in self.directions]
        sizes = dict(zip(keys, (cell.state_size for cell in self.cells()), strict=True))
        for key, s in states.items():
            if key not in sizes or s.ndim != 2 or s.shape[1] != sizes[key]:
                wanted = f"states (layer, direction): [B, S] with S of {sizes}"
                raise ValueError(f"{type(self).__name__.lower()} needs {wanted}, got {key}: {list(s.shape)}")


def _fits(lengths: Tensor, steps: int, samples: int) -> bool:
    whole = lengths.shape == (samples,) and not lengths.is_floating_point()
    return whole and bool(((lengths >= 1) & (lengths <= steps)).all())
