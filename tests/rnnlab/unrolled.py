"""A slow, obvious twin of every network: one sample at a time, one step at a time, under autograd."""

import math

import pytest
import torch
from torch import Tensor

from rnnlab.networks import EncoderDecoder, Stack
from rnnlab.networks.layers import Layers
from rnnlab.probes import Moment, Profile
from rnnlab.statistics import STATISTICS
from rnnlab.tasks.base import Batch, Task, counted
from tests.rnnlab.oracles import relative

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
    return x if x.is_floating_point() else torch.nn.functional.one_hot(x, size).to(torch.get_default_dtype())


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


def log10_norm(g: torch.Tensor) -> float:
    """Scaled before it is squared: a square of 1e-164 is 0."""
    largest = g.abs().max()
    return (largest.log10() + (g / largest).norm().log10()).item() if largest else -math.inf


def check(network: Stack | EncoderDecoder, batch: Batch, task: Task, scored: range) -> None:
    """Losses, gradients of all parameters, and the mean log10 norms of every series, against the twin."""
    outputs, trajectory = network(**batch.inputs)
    losses = task.losses(outputs, batch.y)
    sample_losses = task.sample_losses(losses, batch.y)
    moment = Moment(0, network, trajectory, losses, sample_losses, scored, counted(batch.y))
    reading = Profile()(moment)
    ours = torch.autograd.grad(sample_losses.sum(), list(network.parameters()), allow_unused=True)
    norms: dict[tuple[int, str, str], dict[int, list[float]]] = {}
    network.zero_grad()
    H = network.encoder.hidden if isinstance(network, EncoderDecoder) else network.hidden
    for b in range(batch.x.shape[1]):
        last = network.read == "last"
        x = batch.x[:, b] if batch.lengths is None else batch.x[: batch.lengths[b], b]
        given = None if batch.given is None else batch.given[:, b][batch.given[:, b] >= 0]
        y = batch.y[b : b + 1] if last else batch.y[:, b : b + 1]
        found, kept = one_sample(network, x, given, len(batch.x))
        if not last:  # behind the end there is nothing to score
            found = torch.nn.functional.pad(found, (0, 0, 0, len(y) - len(found)))
        loss = task.sample_losses(task.losses(found[None] if last else found[:, None], y), y)[0]
        assert relative(loss, sample_losses[b]) < 1e-11
        loss.backward()
        for key, of_time in kept.items():
            for t, v in of_time.items():
                g = torch.zeros(1) if v.grad is None else v.grad[:H]
                norms.setdefault(key, {}).setdefault(t, []).append(log10_norm(g))
    for p, g in zip(network.parameters(), ours, strict=True):
        theirs = torch.zeros_like(p) if p.grad is None else p.grad
        assert relative(torch.zeros_like(p) if g is None else g, theirs) < 1e-10
    axes, log10 = reading.axes, reading.arrays["log10_norm"][:, STATISTICS.index("mean_log10")]
    series = zip(axes["layer"], axes["direction"], axes["part"], axes["loss"], strict=True)
    measured = {key[:3]: log10[k] for k, key in enumerate(series) if key[3] == "task"}
    assert set(norms) == {key for key in measured if key[2] in ("h", "u", "v")}
    for key, of_time in norms.items():
        for t in range(trajectory.stop):
            if t in of_time:
                expected = sum(of_time[t]) / len(of_time[t])
                assert measured[key][t].item() == pytest.approx(expected, abs=1e-8), (key, t)  # 2e-8 of the norm
            else:
                assert measured[key][t].isnan(), (key, t)
