"""Layers and directions against torch.nn, and the readout of final states."""

import pytest
import torch

from rnnlab.networks import Stack, adjoints
from rnnlab.scaled import Scaled
from tests.rnnlab.oracles import CELLS, TORCH, copy_into_torch, relative, stack_of

pytestmark = pytest.mark.usefixtures("loops")
DIRECTIONS = ("forward", "backward", "bidirectional")


def turned(network: Stack, x: torch.Tensor) -> torch.Tensor:
    """torch.nn has no backward direction alone: it is the forward one on the reversed sequence."""
    return x.flip(0) if network.directions == ("backward",) else x


@pytest.mark.parametrize("kind", TORCH)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("readout", ["each", "last"])
def test_outputs_and_all_gradients_equal_torch_nn(kind, depth, direction, readout):
    network = stack_of(kind, depth=depth, direction=direction, readout=readout)
    twin = copy_into_torch(network, kind)
    x = torch.randn(7, 2, 3, requires_grad=True)
    outputs, _ = network(x)
    w = torch.randn_like(outputs)
    (outputs * w).sum().backward()
    dx, x.grad = x.grad, None
    ours = {name: p.grad for name, p in network.named_parameters()}
    network.zero_grad()
    out, last = twin(turned(network, x))
    last = last[0] if kind == "lstm" else last
    read = turned(network, out) if readout == "each" else torch.cat([*last[-len(network.directions) :]], -1)
    theirs = network.readout(read)
    (theirs * w).sum().backward()
    assert relative(outputs, theirs) < 1e-10
    assert relative(dx, x.grad) < 1e-10
    for depth_, layer in enumerate(network.layers):
        for k, end in zip(range(len(layer)), ("", "_reverse"), strict=False):
            for mine, name in (("U", "weight_ih"), ("W", "weight_hh"), ("b", "bias_ih")):
                assert (
                    relative(ours[f"layers.{depth_}.{k}.{mine}"], getattr(twin, f"{name}_l{depth_}{end}").grad) < 1e-10
                )
            if kind == "gru":
                q = getattr(twin, f"bias_hh_l{depth_}{end}").grad[8:]
                assert relative(ours[f"layers.{depth_}.{k}.q"], q) < 1e-10
    assert relative(ours["readout.weight"], network.readout.weight.grad) < 1e-10


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("readout", ["each", "last"])
def test_adjoints_of_every_layer_and_of_the_input_equal_autograd(name, direction, readout):
    """The twin is a loop over `step` in which every h_t, and x_t, is a tensor that retains its gradient."""
    network = stack_of(name, direction=direction, readout=readout)
    x = torch.randn(6, 2, 3)
    outputs, trajectory = network(x)
    w = torch.randn_like(outputs)
    (d_out,) = torch.autograd.grad((outputs * w).sum(), trajectory.out)
    plain, scaled = (adjoints(trajectory, d, input_too=True) for d in (d_out, Scaled.of(d_out)))
    x.requires_grad_()
    out, kept = x, {}
    for depth, layer in enumerate(network.layers):
        both = []
        for direction_, cell in zip(network.directions, layer, strict=True):
            times = range(6) if direction_ == "forward" else reversed(range(6))
            s, hs = torch.zeros(2, cell.state_size), {}
            for t in times:
                s = cell.step(cell.project(out[t]), s)
                s.retain_grad()
                kept[depth, direction_, t] = s
                hs[t] = cell.hidden(s)
            both.append(torch.stack([hs[t] for t in range(6)]))
        out = torch.cat(both, -1)
    read = out if readout == "each" else network.final(out)
    (network.readout(read) * w).sum().backward()
    for (depth, direction_, part), a in plain.parts.items():
        expected = torch.stack([kept[depth, direction_, t].grad for t in range(6)])[..., : network.hidden]
        if part == "h":  # the c part is tested against torch.nn.LSTMCell, where it is conventional
            assert relative(a, expected) < 1e-12
        assert relative(scaled.parts[depth, direction_, part].at(torch.zeros(6, 2)), a) < 1e-12
    assert relative(plain.x, x.grad) < 1e-12
    assert relative(scaled.x.at(torch.zeros(6, 2)), x.grad) < 1e-12


def test_a_bidirectional_last_readout_reads_both_final_states():
    """Trap 10: at T-1 the backward half has seen one step; read there, it sends no gradient to any earlier t."""
    network = stack_of("tanh", depth=1, readout="last")
    x = torch.randn(20, 2, 3)
    outputs, trajectory = network(x)
    (d_out,) = torch.autograd.grad(outputs.sum(), trajectory.out)
    right = adjoints(trajectory, d_out).parts[0, "backward", "h"]
    assert (right.norm(dim=-1) > 0).all()
    wrong = torch.zeros_like(d_out)
    wrong[-1] = 1
    trapped = adjoints(trajectory, wrong).parts[0, "backward", "h"]
    assert (trapped[:-1] == 0).all()
    assert (trapped[-1] != 0).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 0}, "stack needs depth >= 1, got 0"),
        ({"hidden": -3}, "stack needs hidden >= 1, got -3"),
        ({"direction": "both"}, "direction out of forward, backward, bidirectional, got 'both'"),
        ({"readout": "first"}, "readout out of each, last, got 'first'"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        stack_of("tanh", **settings)
