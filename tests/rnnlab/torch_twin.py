"""The slow twin of torch.nn.RNN, LSTM and GRU: naive loops over samples, layers, directions and steps under autograd.

Every h_t, c_t and drive z_t = W_ih x_t + b_ih of every sample is a tensor of its own that keeps its gradient, and every
step multiplies with its own copy of W_hh, whose gradient is that step's share of dL/dW_hh. Nothing here is shared with
the library: the equations are those of the documentation of torch.nn.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

GATES = {nn.RNN: ("h",), nn.LSTM: ("i", "f", "g", "o"), nn.GRU: ("r", "u", "n")}  # in the order of the weights


class Key(NamedTuple):
    layer: int
    direction: str


@dataclass
class Twin:
    """What a loop leaves: the outputs of torch.nn for a padded, time-first batch, and what retained its gradient.

    Attributes:
        out: [T, B, D], zero where a sample has ended.
        last: h_n and, for an LSTM, c_n, each [layers x directions, B, .].
        kept: (key, "h", "c" or "z", sample, time) -> tensor.
        copies: (key, time) -> that step's copy of W_hh.
    """

    out: Tensor | None = None
    last: tuple[Tensor, ...] = ()
    kept: dict[tuple[Key, str, int, int], Tensor] = field(default_factory=dict)
    copies: dict[tuple[Key, int], Tensor] = field(default_factory=dict)

    def log10_norms(self, key: Key, name: str, rows: slice = slice(None)) -> Tensor:
        """log10 ||dL_b/d(name)_{b,t}|| [T, B], after `backward`; NaN where a sample has ended."""
        found = self.out.new_full(self.out.shape[:2], torch.nan)
        for (at, part, b, t), tensor in self.kept.items():
            if (at, part) == (key, name):
                found[t, b] = gradient(tensor)[rows].norm().log10()
        return found

    def weight_shares(self, key: Key, rows: slice = slice(None)) -> Tensor:
        """The share [T, G, H] of each step in the gradient of these rows of W_hh."""
        return torch.stack([gradient(self.copies[key, t])[rows] for t in range(len(self.out))])


def gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def gate_rows(module: nn.RNNBase) -> dict[str, slice]:
    """The rows of W_hh, and the entries of the drive, of each gate."""
    kind = next(kind for kind in GATES if isinstance(module, kind))
    H = module.hidden_size
    return {gate: slice(k * H, (k + 1) * H) for k, gate in enumerate(GATES[kind])}


def keys(module: nn.RNNBase) -> list[Key]:
    directions = ("forward", "backward")[: 1 + module.bidirectional]
    return [Key(layer, direction) for layer in range(module.num_layers) for direction in directions]


def unrolled(
    module: nn.RNNBase,
    x: Tensor,
    hx: tuple[Tensor, ...] | None = None,
    lengths: list[int] | None = None,
    masks: list[Tensor] | None = None,
) -> Twin:
    """Run the twin over x [T, B, I].

    Args:
        hx: h_0 and, for an LSTM, c_0, each [layers x directions, B, .]; zeros if not given.
        lengths: of each sample, T if not given.
        masks: what the output [T, B, D] of each layer but the last is multiplied with.
    """
    T, B = x.shape[:2]
    lengths = lengths or [T] * B
    twin, every = Twin(), keys(module)
    ends: dict[tuple[Key, int], tuple[Tensor, ...]] = {}
    outs = []
    for b, length in enumerate(lengths):
        sequence = [x[t, b] for t in range(length)]
        for layer in range(module.num_layers):
            found = {}
            for key in (key for key in every if key.layer == layer):
                first = None if hx is None else tuple(v[every.index(key), b] for v in hx)
                found[key.direction] = _one_pass(module, key, sequence, first, twin, b)
                ends[key, b] = found[key.direction][1]
            sequence = [torch.cat([found[d][0][t] for d in found]) for t in range(length)]
            if masks is not None and layer < module.num_layers - 1:
                sequence = [v * masks[layer][t, b] for t, v in enumerate(sequence)]
        outs.append(torch.stack(sequence + [torch.zeros_like(sequence[0])] * (T - length)))
    twin.out = torch.stack(outs, 1)
    states = range(2 if isinstance(module, nn.LSTM) else 1)
    twin.last = tuple(torch.stack([torch.stack([ends[key, b][k] for b in range(B)]) for key in every]) for k in states)
    return twin


def _one_pass(module, key: Key, sequence: list[Tensor], first, twin: Twin, b: int):
    """([h_t in true time], last state) of one sample, layer and direction."""
    end = f"l{key.layer}" + ("_reverse" if key.direction == "backward" else "")
    p = {name[: -len(end) - 1]: v for name, v in module.named_parameters() if name.endswith("_" + end)}
    zero = p["weight_hh"].new_zeros(p["weight_hh"].shape[0])
    b_ih, b_hh = p.get("bias_ih", zero), p.get("bias_hh", zero)
    state = first or (p["weight_hh"].new_zeros(p["weight_hh"].shape[1]), p["weight_hh"].new_zeros(module.hidden_size))
    hs = {}
    times = range(len(sequence))
    for t in times if key.direction == "forward" else reversed(times):
        W = twin.copies.setdefault((key, t), p["weight_hh"] * 1)
        W.retain_grad()
        z = p["weight_ih"] @ sequence[t] + b_ih
        state = _step(module, z, W @ state[0] + b_hh, state, p.get("weight_hr"))
        for name, v in zip("zhc", (z, *state), strict=False):
            v.retain_grad()
            twin.kept[key, name, b, t] = v
        hs[t] = state[0]
    return [hs[t] for t in times], state


def _step(module, z: Tensor, y: Tensor, state: tuple[Tensor, ...], W_hr: Tensor | None) -> tuple[Tensor, ...]:
    """The next state from the drive z, y = W_hh h + b_hh and the last state."""
    if isinstance(module, nn.LSTM):
        i, f, g, o = (z + y).chunk(4)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return (h if W_hr is None else W_hr @ h), c
    if isinstance(module, nn.GRU):
        (z_r, z_u, z_n), (y_r, y_u, y_n) = z.chunk(3), y.chunk(3)
        r, u = (z_r + y_r).sigmoid(), (z_u + y_u).sigmoid()
        n = (z_n + r * y_n).tanh()
        return ((1 - u) * n + u * state[0],)
    return (torch.relu(z + y),) if module.nonlinearity == "relu" else (torch.tanh(z + y),)
