"""A network one step at a time, and a decoder that reads what it wrote."""

import pytest
import torch
from torch import nn

from rnnlab.constraints import orthogonal
from tests.rnnlab.networks.test_depth import DEPTHS, network_of
from tests.rnnlab.oracles import CELLS, relative

ALL = {key: v for settings in DEPTHS.values() for key, v in settings.items()} | {"depth": 3, "shortcut": True}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("settings", [{"depth": 2}, ALL], ids=["stacked", "all"])
def test_a_stream_equals_the_run_over_the_whole_sequence(cell, settings):
    network = network_of(cell, "each", direction="forward", **settings)
    x = torch.randn(7, 2, 3)
    whole, _ = network(x)
    stream = network.stream()
    assert relative(torch.stack([stream(v) for v in x]), whole) < 1e-12
    with pytest.raises(ValueError, match="stream needs the B = 2 samples that it began with, got 3"):
        stream(torch.randn(3, 3))


def test_a_stream_says_what_the_answer_were_if_the_sequence_ended_here():
    network = network_of("gru", "last", direction="forward")
    x, stream = torch.randint(0, 3, (6, 2)), network.stream()
    for t in range(6):
        assert relative(stream(x[t]), network(x[: t + 1])[0]) < 1e-12


def test_two_streams_of_one_network_do_not_share_their_states():
    network = network_of("tanh", "each", direction="forward")
    x = torch.randn(2, 1, 3)
    one, other = network.stream(), network.stream()
    one(x[0])
    assert torch.equal(other(x[1]), network.stream()(x[1]))


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("direction", ["backward", "bidirectional"])
def test_a_network_that_needs_the_whole_sequence_has_no_stream(direction):
    network = network_of("tanh", "each", direction=direction)
    with pytest.raises(ValueError, match=f"got a {direction} one: .* the whole sequence is needed before any output"):
        network.stream()


@pytest.mark.usefixtures("as_a_user")
def test_an_encoder_decoder_has_no_stream():
    with pytest.raises(ValueError, match=r"it reads the whole sequence before its first output; .* generate"):
        network_of("tanh", "decoder", direction="forward").stream()


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_what_a_decoder_writes_is_what_it_answers_when_taught_with_it(direction):
    """Greedy: given its own tokens, the most probable token at each step is the one that it wrote."""
    torch.manual_seed(2)
    network = network_of("lstm", "decoder", direction=direction, depth=2)
    for p in network.parameters():
        nn.init.normal_(p, std=2.0)  # so that what is written differs from sample to sample
    nn.init.zeros_(network.decoder.readout.bias)
    x, lengths = torch.randn(5, 8, 3), torch.tensor([5, 2, 4, 1, 5, 3, 2, 5])
    written = network.generate(x, lengths, steps=6)
    assert len(set(map(tuple, written.T.tolist()))) > 2
    for b in range(8):
        tokens = written[:, b].tolist()
        end = tokens.index(0) + 1 if 0 in tokens else len(tokens)
        assert tokens[end:] == [0] * (len(tokens) - end)
        given = torch.tensor([0, *tokens[: end - 1]])[:, None]
        outputs, _ = network(x[: lengths[b], b : b + 1], given=given)
        assert outputs.argmax(-1)[:, 0].tolist() == tokens[:end]


def test_a_constrained_matrix_is_computed_once_for_all_steps():
    network = network_of("gru", "each", depth=2)
    for cell in network.cells():
        orthogonal(cell, map="cayley")
    x = torch.randn(7, 2, 3)
    whole, _ = network(x)
    calls = []
    for cell in network.cells():
        cell.parametrizations.W[0].register_forward_hook(lambda *_: calls.append(1))
    stream = network.stream()
    assert relative(torch.stack([stream(v) for v in x]), whole) < 1e-12
    assert len(calls) == 2
