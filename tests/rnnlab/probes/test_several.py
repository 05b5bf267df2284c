"""Probes where some steps do not count, samples end at different times, or a decoder follows an encoder."""

import math

import pytest
import torch
from torch import nn

from rnnlab import train
from rnnlab.networks import adjoints
from rnnlab.networks.measures import norms
from rnnlab.probes import Drive, Moment, Profile, StepLosses, Weights
from rnnlab.scaled import Scaled
from rnnlab.tasks.base import Batch, counted, cross_entropy, edit_distance, shifted
from rnnlab.tasks.reverse import Reverse
from tests.rnnlab.networks.test_depth import network_of
from tests.rnnlab.oracles import relative

GAIN = 0.8


def linear(readout: str, **settings):
    """A network of linear cells, W = 0.8 times a rotation: every adjoint loses log10 0.8 decades a step, exactly.

    All outputs are nearly equally likely, so that the gradient of a target is that of its class, whatever the sample.
    """
    network = network_of("identity", readout, **settings)
    readouts = network.decoder if readout == "decoder" else network
    readouts.readout.weight.data *= 1e-13
    readouts.readout.bias.data.zero_()
    for cell in network.cells():
        cell.W.data = GAIN * torch.linalg.qr(torch.randn(4, 4)).Q
    return network


def moment_of(network, batch: Batch, scored: range) -> Moment:
    outputs, trajectory = network(**batch.inputs)
    losses = cross_entropy(outputs, batch.y)
    return Moment(0, network, trajectory, losses, losses.sum(0), scored, counted(batch.y))


def series(reading, key) -> int:
    axes = reading.axes
    keys = list(zip(axes["layer"], axes["direction"], axes["part"], axes["loss"], strict=True))
    return keys.index(key)


UNSCORED = torch.tensor([[-1, 1, -1], [-1, 1, 1], [1, -1, 1], [1, 1, -1], [1, -1, 1], [-1, -1, 1], [-1, -1, -1]])


@pytest.mark.parametrize("lengths", [None, torch.tensor([6, 5, 7])])
def test_lag_counts_from_the_last_step_of_each_sample_that_counts(lengths):
    """Forward from the last such step, backward from the first; of a linear cell the slope is that of every sample."""
    network = linear("each", direction="bidirectional")
    reading = Profile()(moment_of(network, Batch(torch.randn(7, 3, 3), UNSCORED, lengths), range(7)))
    for direction, steps in (("forward", {4, 3, 5}), ("backward", {2, 0, 1})):
        found = {name: reading.scalars[f"adjoint/L0/{direction}/h/{name}"] for name in ("decay_per_step", "horizon")}
        assert found["decay_per_step"] == pytest.approx(math.log10(GAIN), abs=1e-9)
        k = series(reading, (0, direction, "h", "last"))
        lag = reading.axes["lag"][k]
        assert lag[max(steps) if direction == "forward" else min(steps)] == 0
    # Behind its own last step that counts a state of the forward direction receives nothing from it.
    k = series(reading, (0, "forward", "h", "last"))
    assert reading.arrays["zeros"][k].tolist() == ([0, 0, 0, 0, 1, 2, 3] if lengths is None else [0, 0, 0, 0, 1, 1, 1])


def test_the_loss_of_a_step_is_the_mean_over_the_samples_that_count():
    network = linear("each")
    moment = moment_of(network, Batch(torch.randn(7, 3, 3), UNSCORED), range(7))
    found = StepLosses()(moment).arrays["step_loss"]
    for t, row in enumerate(UNSCORED):
        of_step = [moment.losses[t, b].item() for b in range(3) if row[b] >= 0]
        if of_step:
            assert found[t].item() == pytest.approx(sum(of_step) / len(of_step), rel=1e-14)
        else:
            assert found[t].isnan()


@pytest.fixture
def written() -> tuple:
    network = linear("decoder", depth=2, direction="bidirectional")
    y = torch.tensor([[1, 2, 3], [2, 1, 1], [0, 0, 0]])
    batch = Batch(torch.randn(5, 3, 3), y, torch.tensor([5, 3, 4]), shifted(y))
    return network, moment_of(network, batch, range(5, 8))


def test_a_decoder_goes_on_in_time_where_its_encoder_ends(written):
    _, moment = written
    reading = Profile()(moment)
    assert reading.axes["time"] == list(range(8))
    for layer, direction, own in ((0, "forward", range(5)), (1, "backward", range(5)), (3, "forward", range(5, 8))):
        for loss in ("task", "last"):
            k = series(reading, (layer, direction, "h", loss))
            finite = reading.arrays["log10_norm"][k].isfinite().all(0)
            assert [t for t in range(8) if finite[t]] == list(own)
        lag = [7 - t for t in range(8)] if direction == "forward" else list(range(8))
        assert reading.axes["lag"][k] == lag
    top = [reading.scalars[f"adjoint/L{layer}/forward/h/decay_per_step"] for layer in (1, 3)]
    assert top == pytest.approx([math.log10(GAIN)] * 2, abs=1e-9)  # the lower layers also hear of the upper ones
    assert reading.scalars["adjoint/L1/backward/h/decay_per_step"] == pytest.approx(math.log10(GAIN), abs=1e-9)


def test_drives_and_weight_shares_stand_at_the_time_of_their_network(written):
    _, moment = written
    for reading, name in ((Drive()(moment), "drive"), (Weights()(moment), "weight")):
        for k, layer in enumerate(reading.axes[f"{name}_layer"]):
            nothing = reading.arrays[f"{name}_log10_norm"][k].isnan()
            nothing = nothing.all(0) if name == "drive" else nothing
            assert nothing.tolist() == [(t < 5) != (layer < 2) for t in range(8)]


def test_a_weight_gradient_of_an_encoder_is_the_sum_of_its_shares(written):
    network, moment = written
    weights = [cell.W for cell in network.cells()]
    wanted = torch.autograd.grad(moment.sample_losses.mean(), weights, retain_graph=True)
    reading = Weights()(moment)
    found = [reading.scalars[f"weights/L{k}/{d}/all/cancellation"] for k in (0, 1) for d in ("forward", "backward")]
    found += [reading.scalars[f"weights/L{k}/forward/all/cancellation"] for k in (2, 3)]
    keys = list(zip(reading.axes["weight_layer"], reading.axes["weight_direction"], strict=True))
    order = [(0, "forward"), (0, "backward"), (1, "forward"), (1, "backward"), (2, "forward"), (3, "forward")]
    for key, gradient, ratio in zip(order, wanted, found, strict=True):
        rows = [reading.arrays["weight_log10_norm"][k] for k, other in enumerate(keys) if other == key]
        total = (10 ** rows[-1].nan_to_num(-math.inf)).sum()  # "all" stands last
        assert gradient.norm().item() == pytest.approx(ratio * total.item(), rel=1e-10)


def test_truncation_cuts_the_encoder_too(written):
    _, moment = written
    (d_out,) = torch.autograd.grad(moment.sample_losses.sum(), moment.trajectory.out, retain_graph=True)
    found = adjoints(moment.trajectory.truncated(2), Scaled.of(d_out), take=norms).parts[1, "forward", "h"]
    # Cut between steps 2 k - 1 and 2 k: sample 0 ends at t = 4, which is alone behind its last cut.
    assert found[:, 0].isfinite().tolist() == [False, False, False, False, True]
    assert found[:, 2].isfinite().tolist() == [False, False, True, True, False]


@pytest.mark.parametrize("rows", [1, 30, 200_000])
def test_an_evaluation_in_chunks_is_that_of_the_whole(monkeypatch, rows):
    task = Reverse(length=6, shortest=1, symbols=3, reduction="mean", solved_error=0.1)
    batch = task.draw("test", 13, torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.manual_seed(3)
    network = network_of("tanh", "decoder", inputs=4, outputs=4)
    for p in network.parameters():
        nn.init.normal_(p, std=1.5)
    monkeypatch.setattr(train, "ROWS", rows)
    found = train.evaluate(network, task, batch)
    with torch.no_grad():
        outputs, _ = network(**batch.inputs)
    assert found["loss"] == pytest.approx(task.mean_loss(outputs, batch.y), rel=1e-13)
    distances = 0
    for b in range(13):
        T = int(batch.lengths[b])
        tokens = network.generate(batch.x[:T, b : b + 1], steps=task.emitted)[:, 0].tolist()
        tokens = tokens[: tokens.index(0)] if 0 in tokens else tokens
        distances += edit_distance(tokens, batch.x[:T, b].flip(0).tolist())
    assert found["edit_error"] == pytest.approx(distances / int(batch.lengths.sum()), rel=1e-14)
    assert relative(torch.tensor(found["error"]), torch.tensor(task.metrics(outputs, batch.y)["error"])) < 1e-14


def test_a_feed_forward_layer_is_told_of_the_loss_at_the_end():
    """In both directions there are two losses of one step, at the end and at the start; only the first is its own."""
    network = linear("each", direction="bidirectional", input_layers=1, output_layers=1)
    y = torch.ones(7, 3, dtype=torch.long)
    reading = Profile()(moment_of(network, Batch(torch.randn(7, 3, 3), y), range(7)))
    k = series(reading, (0, "output", "v", "last"))
    assert reading.arrays["zeros"][k].tolist() == [3, 3, 3, 3, 3, 3, 0]
    assert (
        reading.axes["lag"][k]
        == reading.axes["lag"][series(reading, (0, "input", "u", "last"))]
        == list(range(6, -1, -1))
    )
