"""Profiles and digests against autograd, per sample, and against laws."""

import math

import numpy as np
import pytest
import torch

from rnnlab.probes import Decades, Every, Moment, Profile, StepLosses
from rnnlab.probes.profile import digest
from rnnlab.statistics import STATISTICS, reduce_samples
from tests.rnnlab.oracles import stack_of


def moment_of(network, x, losses_of) -> Moment:
    outputs, trajectory = network(x)
    losses = losses_of(outputs)
    scored = range(len(x) - len(losses), len(x))
    return Moment(0, network, trajectory, losses, losses.sum(0), scored)


def of_last(outputs):
    return outputs.square().sum(-1)[None]


def of_each(outputs):
    return outputs.square().sum(-1)


def h_norms_by_autograd(network, x, loss_of_h, batch: int) -> torch.Tensor:
    """log10 ||dL_b/dh_{b,t}|| [T, B] of the top layer's forward direction, one sample at a time, by a loop of step."""
    cell, norms = network.layers[-1][0], []
    for b in range(batch):
        s, kept = torch.zeros(1, cell.state_size), []
        for z in cell.project(x[:, b : b + 1]).unbind(0):
            s = cell.step(z, s)
            s.retain_grad()
            kept.append(s)
        loss_of_h(torch.stack([cell.hidden(s) for s in kept])).backward()
        norms.append(torch.stack([cell.hidden(s.grad).norm() for s in kept]).log10())
    return torch.stack(norms, -1)


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
@pytest.mark.parametrize("readout", ["last", "each"])
def test_statistics_are_those_of_per_sample_norms(name, readout):
    network = stack_of(name, depth=1, direction="forward", readout=readout)
    x, batch = torch.randn(12, 7, 3), 7
    reading = Profile()(moment_of(network, x, of_last if readout == "last" else of_each))

    def loss(h):
        return network.readout(h if readout == "each" else h[-1]).square().sum()

    norms = h_norms_by_autograd(network, x, loss, batch).numpy()
    expected = {
        "mean_log10": norms.mean(1),
        "log10_rms": np.log10(np.sqrt((10 ** (2 * norms)).mean(1))),
        **{
            q: np.quantile(norms, level, axis=1, method="nearest")
            for q, level in (("q10", 0.1), ("q50", 0.5), ("q90", 0.9))
        },
    }
    row = reading.arrays["log10_norm"][0]
    assert (reading.axes["part"][0], reading.axes["loss"][0]) == ("h", "task")
    for k, statistic in enumerate(STATISTICS):
        assert np.abs(row[k].numpy() - expected[statistic]).max() < 1e-10, statistic
    assert reading.arrays["samples"] == batch
    assert reading.arrays["zeros"].sum() == reading.arrays["nonfinite"].sum() == 0


def test_with_a_loss_at_every_step_digests_come_from_the_last_scored_one():
    """Forward: the loss at T-1; backward: at 0, its own last step. Lag 0 is there, and no other loss enters."""
    network = stack_of("tanh", depth=1, readout="each")
    x = torch.randn(12, 5, 3)
    reading = Profile()(moment_of(network, x, of_each))
    labels = list(zip(reading.axes["direction"], reading.axes["loss"], strict=True))
    assert labels == [("forward", "task"), ("backward", "task"), ("forward", "last"), ("backward", "last")]
    forward, backward = (reading.arrays["log10_norm"][k][STATISTICS.index("q50")] for k in (2, 3))
    expected = digest(forward.flip(0)), digest(backward)
    for direction, numbers in zip(("forward", "backward"), expected, strict=True):
        for name, value in numbers.items():
            assert reading.scalars[f"adjoint/L0/{direction}/h/{name}"] == value
    assert reading.axes["lag"][2] == list(range(11, -1, -1))
    assert reading.axes["lag"][3] == list(range(12))
    outputs, trajectory = network(x)
    (only,) = torch.autograd.grad(outputs[0].square().sum(), trajectory.out, retain_graph=True)
    assert (only[1:] == 0).all()  # the backward digest's loss is at t = 0
    alone = Profile()(Moment(0, network, trajectory, of_each(outputs[:1]), of_each(outputs[:1])[0], range(1)))
    assert torch.allclose(alone.arrays["log10_norm"][1], reading.arrays["log10_norm"][3], atol=1e-12)


def test_zero_samples_enter_and_broken_ones_are_counted():
    log10 = torch.tensor(
        [[-1.0, -3.0, -math.inf, math.nan], [math.nan] * 4, [-math.inf] * 4, [1.0, 2.0, 3.0, math.inf]]
    )
    statistics, zeros, broken = reduce_samples(log10)
    mean, rms, q10, q50, q90 = statistics
    assert zeros.tolist() == [1, 0, 4, 0]
    assert broken.tolist() == [1, 4, 0, 1]
    assert mean.tolist()[:1] + mean.tolist()[2:] == [-math.inf, -math.inf, pytest.approx(2.0)]
    assert rms[0].item() == pytest.approx(math.log10(math.sqrt((1e-2 + 1e-6 + 0) / 3)))
    assert (q10[0], q50[0], q90[0]) == (-math.inf, -3.0, -1.0)
    assert statistics[:, 1].isnan().all()
    assert statistics[:, 2].isneginf().all()


def test_rms_of_norms_beyond_every_float_is_finite():
    assert reduce_samples(torch.tensor([[-3010.0, -3010.0], [3010.0, 3010.0]]))[0][1].tolist() == [-3010.0, 3010.0]


def test_digest_recovers_a_known_decay():
    found = digest(2 - 0.05 * torch.arange(200.0))
    assert found["decay_per_step"] == pytest.approx(-0.05, abs=1e-12)
    assert found["half_life"] == pytest.approx(math.log10(2) / 0.05)
    assert (found["horizon"], found["horizon_censored"]) == (60.0, 0.0)
    assert found["log10_ratio"] == pytest.approx(-0.05 * 199)


def test_digest_of_a_flat_a_growing_and_a_dying_profile():
    flat = digest(torch.zeros(50))
    assert (flat["half_life"], flat["horizon"], flat["horizon_censored"]) == (math.inf, 50.0, 1.0)
    assert digest(0.1 * torch.arange(50.0))["decay_per_step"] == pytest.approx(0.1)
    dying = digest(torch.cat([-0.1 * torch.arange(10.0), torch.full((5,), -math.inf)]))
    assert dying["decay_per_step"] == pytest.approx(-0.1)
    assert (dying["horizon"], dying["log10_ratio"]) == (10.0, -math.inf)
    dead = digest(torch.full((5,), -math.inf))
    assert all(math.isnan(dead[name]) for name in ("decay_per_step", "half_life", "horizon", "log10_ratio"))


def test_a_probe_leaves_gradients_and_random_streams_as_they_were():
    network = stack_of("lstm", readout="last")
    moment = moment_of(network, torch.randn(8, 3, 3), of_last)
    moment.sample_losses.mean().backward(retain_graph=True)
    before = [p.grad.clone() for p in network.parameters()]
    state = torch.get_rng_state()
    Profile()(moment)
    StepLosses()(moment)
    assert all(torch.equal(p.grad, g) for p, g in zip(network.parameters(), before, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_step_losses_are_means_over_samples_at_each_scored_step():
    network = stack_of("gru", readout="each")
    moment = moment_of(network, torch.randn(9, 4, 3), of_each)
    reading = StepLosses()(moment)
    assert torch.allclose(reading.arrays["step_loss"], moment.losses.detach().mean(1))
    assert reading.axes["step_loss_time"] == list(range(9))


def test_decades_are_one_two_five_and_both_ends():
    assert [n for n in range(3001) if Decades()(n, 3000)] == [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 3000]
    assert [n for n in range(8) if Every(interval=3)(n, 7)] == [0, 3, 6, 7]


def test_every_refuses_an_interval_below_one():
    with pytest.raises(ValueError, match="every needs interval >= 1, got 0"):
        Every(interval=0)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_padded_steps_enter_no_statistic_and_lag_counts_from_each_samples_own_end(direction):
    """A linear cell of gain .8 has one law per sample, |v_b| .8^k; a wrong end shows as a wrong slope."""
    network = stack_of("identity", depth=1, direction=direction, readout="last")
    network.layers[0][0].W.data = 0.8 * torch.nn.init.orthogonal_(torch.empty(4, 4))
    lengths, x = torch.tensor([20, 3, 12]), torch.randn(20, 3, 3)
    outputs, trajectory = network(x, lengths)
    losses = of_last(outputs)
    reading = Profile()(Moment(0, network, trajectory, losses, losses.sum(0), range(19, 20)))
    ends = lengths - 1 if direction == "forward" else 0 * lengths
    (d_out,) = torch.autograd.grad(losses.sum(), trajectory.out)
    v = d_out[ends, torch.arange(3)].norm(dim=-1).log10()
    t = torch.arange(20)[:, None]
    law = torch.where(t < lengths, v + (ends - t).abs() * math.log10(0.8), math.nan)
    statistics = reading.arrays["log10_norm"][0]
    assert torch.allclose(statistics[STATISTICS.index("mean_log10")], law.nanmean(1), rtol=0, atol=1e-12)
    assert torch.allclose(
        statistics[STATISTICS.index("log10_rms")], (100**law).nanmean(1).log10() / 2, rtol=0, atol=1e-12
    )
    assert (reading.arrays["zeros"] == 0).all()
    assert (reading.arrays["nonfinite"] == 0).all()
    by_lag = [[(v[b] + k * math.log10(0.8)).item() for b in range(3) if k < lengths[b]] for k in range(20)]
    medians = torch.tensor([np.quantile(found, 0.5, method="nearest") for found in by_lag])
    for name, value in digest(medians).items():
        assert reading.scalars[f"adjoint/L0/{direction}/h/{name}"] == pytest.approx(value, abs=1e-9)
