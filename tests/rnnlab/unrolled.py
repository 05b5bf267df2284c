"""A slow, obvious twin of every network: one sample at a time, one step at a time, under autograd."""

import torch
from torch import Tensor

from rnnlab.networks import EncoderDecoder, Stack
from rnnlab.networks.layers import Layers

G = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda x: x}
Kept = dict[tuple[int, str, str], dict[int, Tensor]]


def keep(kept: Kept, key: tuple[int, str, str], time: int, v: Tensor) -> Tensor:
    v.retain_grad()
    kept.setdefault(key, {})[time] = v
    return v


def dense(layer, x: Tensor) -> Tensor:
    return G[layer.activation](layer.A @ x + layer.c)


def vector(x: Tensor, size: int) -> Tensor:
    """A number as it is, a token as its one-hot vector."""
    return x if x.is_floating_point() else torch.eye(size)[x]


def layers(network: Layers, x: Tensor, states: dict, kept: Kept, *, start: int, first: tuple[int, int]):
    """Outputs [T][D] of the top layer and the last states, of one sample; `first` numbers the layers and the feeds."""
    below = [vector(v, network.inputs) for v in x]
    below = [v if v.requires_grad else v.clone().requires_grad_() for v in below]
    for k, layer in enumerate(network.dense):
        below = [keep(kept, (first[1] + k, "input", "u"), start + t, dense(layer, v)) for t, v in enumerate(below)]
    last = {}
    for depth, layer in enumerate(network.layers):
        given = [network.norms[depth - 1](v) for v in below] if depth and len(network.norms) else below
        both = []
        for direction, cell in zip(network.directions, layer, strict=True):
            s = states.get((depth, direction), torch.zeros(cell.state_size))
            times = range(len(x)) if direction == "forward" else reversed(range(len(x)))
            hidden = {}
            for t in times:
                s = cell.step(cell.project(given[t][None]), s[None])[0]
                s = keep(kept, (first[0] + depth, direction, "h"), start + t, s)
                hidden[t] = cell.hidden(s)
            both.append(hidden)
            last[depth, direction] = s
        out = [torch.cat([hidden[t] for hidden in both]) for t in range(len(x))]
        below = [o + b for o, b in zip(out, below, strict=True)] if depth and network.residual else out
    return below, last


def head(network: Stack, v: Tensor, kept: Kept, time: int) -> Tensor:
    for k, layer in enumerate(network.heads):
        v = keep(kept, (k, "output", "v"), time, dense(layer, v))
    return network.readout.weight @ v + network.readout.bias


def one_sample(network: Stack | EncoderDecoder, x: Tensor, given: Tensor | None, steps: int) -> tuple[Tensor, Kept]:
    """Outputs of one sample, and each state that a profile speaks of by the time in the network; T = steps."""
    kept: Kept = {}
    if isinstance(network, EncoderDecoder):
        _, last = layers(network.encoder, x, {}, kept, start=0, first=(0, 0))
        across = {}
        for depth in range(network.depth):
            both = torch.cat([last[depth, name] for name in network.directions])
            across[depth, "forward"] = network.bridges[depth].weight @ both if len(network.bridges) else both
        decoder, behind = network.decoder, (network.depth, len(network.encoder.dense))
        out, _ = layers(decoder, given, across, kept, start=steps, first=behind)
        return torch.stack([head(decoder, v, kept, steps + t) for t, v in enumerate(out)]), kept
    out, _ = layers(network, x, {}, kept, start=0, first=(0, 0))
    if network.read == "each":
        return torch.stack([head(network, v, kept, t) for t, v in enumerate(out)]), kept
    ends = {"forward": out[-1], "backward": out[0]}
    H = network.hidden
    final = torch.cat([ends[name][k * H : (k + 1) * H] for k, name in enumerate(network.directions)])
    return head(network, final, kept, steps - 1), kept
