"""Depth in each of the three blocks of a network, and two networks in a row: outputs, gradients, adjoints, profiles."""

import math

import pytest
import torch
from torch import nn

from rnnlab.networks import EncoderDecoder, Stack, adjoints
from rnnlab.tasks.base import Batch, cross_entropy, shifted
from tests.rnnlab.oracles import CELLS, SHALLOW, relative
from tests.rnnlab.unrolled import check

DEPTHS = {
    "stacked": {"depth": 3, "residual": True, "layer_norm": True},
    "residual": {"depth": 3, "residual": True},
    "layer_norm": {"depth": 2, "layer_norm": True},
    "input": {"input_layers": 2},
    "transition": {"transition": 3},
    "shortcut": {"transition": 2, "shortcut": True},
    "output": {"output_layers": 2, "activation": "sigmoid"},
    "all": {"depth": 2, "input_layers": 1, "transition": 2, "output_layers": 1, "residual": True, "layer_norm": True},
}
SIZES = {"inputs": 3, "outputs": 4, "hidden": 4, "depth": 1}
DIRECTIONS = ("forward", "backward", "bidirectional")


def network_of(cell: str, readout: str, **settings) -> Stack | EncoderDecoder:
    kind = EncoderDecoder if readout == "decoder" else Stack
    network = kind(CELLS[cell], **{**SIZES, **SHALLOW, "direction": "forward", "readout": readout, **settings})
    for p in network.parameters():
        nn.init.normal_(p, std=0.5)
    return network


def batch_of(readout: str, lengths: bool, tokens: bool) -> Batch:
    x = torch.randint(0, 3, (5, 3)) if tokens else torch.randn(5, 3, 3)
    steps = torch.tensor([5, 2, 4]) if lengths else None
    if readout == "decoder":
        y = torch.tensor([[2, 1, 3], [3, 0, 1], [0, -1, 2], [-1, -1, 0]])
        return Batch(x, y, steps, shifted(y))
    y = torch.randint(0, 4, (3,) if readout == "last" else (5, 3))
    if lengths and readout == "each":
        y = y.masked_fill(torch.arange(5)[:, None] >= steps, -1)
    return Batch(x, y, steps)


class Sum:
    """A task as far as a twin needs one: cross-entropy, summed."""

    losses = staticmethod(cross_entropy)

    @staticmethod
    def sample_losses(losses, y):
        return losses.sum(0)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("readout", ["each", "last", "decoder"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("lengths", [False, True])
def test_every_block_equals_the_twin(depth, readout, direction, lengths):
    torch.manual_seed(1)
    network = network_of("lstm", readout, direction=direction, **DEPTHS[depth])
    scored = {"last": range(4, 5), "each": range(5), "decoder": range(5, 9)}[readout]
    check(network, batch_of(readout, lengths, tokens=depth in ("input", "residual")), Sum, scored)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("residual", [False, True])
def test_more_layers_change_the_prefactor_and_not_the_rate(depth, residual):
    """D identity-like linear layers of recurrent gain a: d h^D_T / d h^1_{T-k} = C(k+D-1, D-1) a^k, lattice paths.

    With a residual around each of the D - 1 upper layers a path may also go up without it: the sum over m of
    C(D-1, m) paths that use m of the layers, each C(k+m-1, m-1) a^k for m > 0, next to the lowest layer's own a^k; in
    generating functions a^k [z^k] (1/(1-z)) ((2-z)/(1-z))^(D-1).
    """
    gain, steps = 0.7, 12
    network = network_of("identity", "last", depth=depth, residual=residual)
    for p in network.parameters():
        nn.init.zeros_(p)
    for cell in network.cells():
        nn.init.eye_(cell.U)
        cell.W.data = gain * torch.eye(4)
    network.readout.weight.data[0] = torch.tensor([3.0, 0, 4, 0])
    outputs, trajectory = network(torch.zeros(steps, 1, 3))
    (d_out,) = torch.autograd.grad(outputs[:, 0].sum(), trajectory.out)
    found = adjoints(trajectory, d_out).parts[0, "forward", "h"].norm(dim=-1)[:, 0].flip(0)
    law = torch.zeros(steps)
    law[0] = 1.0
    of_layer = torch.zeros(steps)
    of_layer[:] = 1.0  # 1/(1-z); with a residual (2-z)/(1-z) = 1 + 1/(1-z)
    for layer in range(depth):
        factor = of_layer.clone()
        if residual and layer:
            factor[0] += 1.0
        law = torch.stack([sum(law[j] * factor[k - j] for j in range(k + 1)) for k in range(steps)])
    assert relative(found, 5 * law * gain ** torch.arange(steps)) < 1e-13
    if not residual:
        assert law.tolist() == [math.comb(k + depth - 1, depth - 1) for k in range(steps)]


def test_a_feed_forward_layer_passes_no_gradient_from_step_to_step():
    network = network_of("tanh", "last", input_layers=2)
    nn.init.zeros_(network.layers[0][0].W)
    outputs, trajectory = network(torch.randn(6, 2, 3))
    (d_out,) = torch.autograd.grad(outputs.sum(), trajectory.out)
    found = adjoints(trajectory, d_out, input_too=True)
    for d in (*found.feeds.values(), found.x):
        assert (d[:-1] == 0).all()
        assert (d[-1] != 0).any()


def test_tokens_are_one_hot_vectors():
    x = torch.randint(0, 3, (5, 2))
    for settings in ({}, {"input_layers": 1}):
        network = network_of("gru", "each", **settings)
        of_tokens, of_vectors = (network(v)[0] for v in (x, nn.functional.one_hot(x, 3).double()))
        assert relative(of_tokens, of_vectors) < 1e-14


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 0}, "stack needs depth >= 1, got 0"),
        ({"input_layers": -1}, "stack needs input_layers >= 0, got -1"),
        ({"output_layers": -1}, "stack needs output_layers >= 0, got -1"),
        ({"transition": 0}, "stack needs transition >= 1, got 0"),
        ({"shortcut": True}, "stack needs transition >= 2 for a shortcut around its last map, got 1"),
        ({"activation": "elu"}, "stack needs a activation out of tanh, relu, sigmoid, identity.*, got 'elu'"),
        ({"readout": "decoder"}, "got one whose output has a length of its own: use network=encoder_decoder"),
    ],
)
def test_wrong_settings_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        Stack(CELLS["tanh"], **{**SIZES, **SHALLOW, "direction": "forward", "readout": "each", **change})


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize(
    ("x", "lengths", "message"),
    [
        (torch.zeros(5, 2, 4), None, r"stack needs x of numbers \[T >= 1, B >= 1, I = 3\] or tokens"),
        (torch.zeros(5, 3), None, "stack needs x of numbers"),
        (torch.zeros(0, 2, 3), None, "stack needs x of numbers"),
        (torch.zeros(5, 0, 3), None, "stack needs x of numbers"),
        (
            torch.zeros(5, 2, 3).index_fill(0, torch.tensor([3]), torch.nan),
            None,
            "got NaN at step 3 of sample 0, input 0",
        ),
        (torch.full((5, 2), 3), None, "stack needs tokens from 0 to 2 in x, got 3"),
        (torch.full((5, 2), -1), None, "stack needs tokens from 0 to 2 in x, got -1"),
        (torch.zeros(5, 2, 3), torch.tensor([5, 0]), r"stack needs B = 2 lengths from 1 to T = 5, got \[5, 0\]"),
        (torch.zeros(5, 2, 3), torch.tensor([5, 6]), r"stack needs B = 2 lengths from 1 to T = 5, got \[5, 6\]"),
        (torch.zeros(5, 2, 3), torch.tensor([5]), r"stack needs B = 2 lengths from 1 to T = 5, got \[5\]"),
    ],
)
def test_wrong_input_is_refused_and_the_place_is_named(x, lengths, message):
    with pytest.raises(ValueError, match=message):
        network_of("tanh", "each", direction="forward")(x, lengths)
