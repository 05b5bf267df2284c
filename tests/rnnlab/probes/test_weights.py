"""Gates, weight gradients over time and truncation, against autograd and against each other."""

import math
from functools import partial

import pytest
import torch

from rnnlab.networks import Stack, adjoints
from rnnlab.networks.measures import WeightShares
from rnnlab.probes import Drive, Moment, Truncation, Weights
from rnnlab.scaled import Scaled
from rnnlab.statistics import STATISTICS
from tests.rnnlab.oracles import Plain, random_cell, relative, stack_of

CELLS = ["tanh", "relu", "lstm", "gru"]


def moment_of(network: Stack, x: torch.Tensor, lengths: torch.Tensor | None = None) -> Moment:
    """A loss at every step, so that the shares of the steps differ in direction."""
    torch.manual_seed(1)
    outputs, trajectory = network(x, lengths)
    losses = (outputs * torch.randn_like(outputs)).sum(-1)
    if lengths is not None:
        losses = losses * trajectory.valid
    return Moment(0, network, trajectory, losses, losses.sum(0), range(len(x)))


def w_grad(network: Stack, moment: Moment) -> dict[tuple[int, str], torch.Tensor]:
    """dL/dW of the mean loss by autograd."""
    passes = moment.trajectory.passes
    found = torch.autograd.grad(
        moment.sample_losses.mean(), [run.cell.W for run in passes.values()], retain_graph=True, allow_unused=True
    )
    return dict(zip(passes, found, strict=True))


def steps_of_w(moment: Moment, key: tuple[int, str], gates: int, size: int) -> torch.Tensor:
    """G_t [T, Z, H] of the mean loss, one outer product per step and sample, from the drive's gradient by autograd."""
    run = moment.trajectory.passes[key]
    shares = torch.zeros(len(run.path.x), gates * size, size)
    found = {}

    def take(of, cell, block):
        found.setdefault(of, []).append(
            torch.einsum(
                "kbz,kbh->kzh",
                cell.recurrent(block.delta.flatten(0, 1)).unflatten(0, block.delta.shape[:2]),
                cell.hidden(block.before),
            )
        )
        return {}

    (d_out,) = torch.autograd.grad(moment.sample_losses.mean(), moment.trajectory.out, retain_graph=True)
    adjoints(moment.trajectory, d_out, take=take)
    shares = torch.cat(found[key][::-1])
    return shares.flip(0) if run.reversed else shares


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("lengths", [None, torch.tensor([250, 13, 201, 1, 97])])
def test_shares_of_the_steps_are_those_of_the_weight_gradient(name, lengths):
    """Their sum is W.grad; each norm is that of the explicit outer products, in spite of the Gram matrices."""
    network = stack_of(name)
    x = torch.randn(250, 5, 3)  # two blocks
    moment = moment_of(network, x, lengths)
    reading = Weights()(moment)
    gates = moment.trajectory.passes[0, "forward"].cell.gates
    series = list(zip(*(reading.axes[f"weight_{part}"] for part in ("layer", "direction", "gate")), strict=True))
    assert len(series) == 4 * (len(gates) + 1)
    for key, grad in w_grad(network, moment).items():
        shares = steps_of_w(moment, key, len(gates), 4)
        assert relative(shares.sum(0), grad) < 1e-12
        for gate, rows in [("all", slice(None)), *((g, slice(4 * k, 4 * k + 4)) for k, g in enumerate(gates))]:
            norms = shares[:, rows].flatten(1).norm(dim=1)
            measured = 10 ** reading.arrays["weight_log10_norm"][series.index((*key, gate))]
            assert (measured - norms).abs().max() < 1e-7 * norms.max()  # squares lose half of the 16 digits
            cancelled = reading.scalars[f"weights/L{key[0]}/{key[1]}/{gate}/cancellation"]
            assert cancelled == pytest.approx((grad[rows].norm() / norms.sum()).item(), rel=1e-6)
            assert 0 < cancelled < (1 + 1e-6 if name == "relu" else 0.9)  # random losses do cancel


def test_one_step_alone_does_not_cancel_and_large_ranges_do_not_matter():
    network = stack_of("tanh", depth=1, direction="forward")
    _, trajectory = network(torch.randn(50, 1, 3))
    d_out = torch.zeros(50, 1, 4)
    d_out[-1] = 1
    for log2 in (0.0, -9000.0, 9000.0):
        shares = WeightShares()
        direct = Scaled.of(d_out)
        found = adjoints(trajectory.truncated(1), Scaled(direct.value, direct.log2 + log2), take=shares).parts
        assert shares.cancellation()[0, "forward", "all"] == pytest.approx(1, abs=1e-9)
        assert found[0, "forward", "all"].isfinite().sum() == 1
        assert 0 < found[0, "forward", "all"][-1] - log2 * math.log10(2) + 10 < 20


@pytest.mark.parametrize("name", CELLS)
def test_the_drive_of_each_gate_equals_autograd_sample_by_sample(name):
    network = stack_of(name, depth=1, direction="forward")
    cell, x = network.layers[0][0], torch.randn(20, 4, 3)
    moment = moment_of(network, x)
    reading = Drive()(moment)
    z = cell.project(x).detach().requires_grad_()
    s, hs = torch.zeros(4, cell.state_size), []
    for z_t in z.unbind(0):
        s = cell.step(z_t, s)
        hs.append(cell.hidden(s))
    torch.manual_seed(1)
    outputs = network.readout(torch.stack(hs))
    (outputs * torch.randn_like(outputs)).sum().backward()
    for k, gate in enumerate(cell.gates):
        norms = z.grad[..., 4 * k : 4 * k + 4].norm(dim=-1).log10()
        at = reading.axes["drive_gate"].index(gate)
        mean = reading.arrays["drive_log10_norm"][at, STATISTICS.index("mean_log10")]
        assert torch.allclose(mean, norms.mean(1), rtol=0, atol=1e-12)  # a relu's may be -inf
        median = norms.quantile(0.5, dim=1, interpolation="nearest").nanmedian()
        assert reading.scalars[f"drive/L0/forward/{gate}/median"] == pytest.approx(median.item(), abs=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_cosine_of_truncation_equals_autograd_on_networks_that_differ_in_it(name):
    network = stack_of(name)
    x = torch.randn(30, 4, 3)
    moment = moment_of(network, x)
    scalars = Truncation(windows=[1, 7, 30])(moment).scalars
    full = w_grad(network, moment)
    for window in (1, 7, 30):
        network.truncate = window
        cut = w_grad(network, moment_of(network, x))
        for (layer, direction), g in full.items():
            expected = torch.cosine_similarity(cut[layer, direction].flatten(), g.flatten(), dim=0).item()
            found = scalars[f"truncation/K{window}/L{layer}/{direction}/cosine"]
            assert found == pytest.approx(expected, abs=1e-12)
        both = (torch.cat([g.flatten() for g in grads.values()]) for grads in (cut, full))
        assert scalars[f"truncation/K{window}/cosine"] == pytest.approx(
            torch.cosine_similarity(*both, dim=0).item(), abs=1e-12
        )
        assert (abs(scalars[f"truncation/K{window}/cosine"] - 1) < 1e-12) == (window == 30)
    network.truncate = 5  # what the network itself trains with is no concern of the probe
    again = Truncation(windows=[7])(moment_of(network, x)).scalars
    assert again["truncation/K7/cosine"] == pytest.approx(scalars["truncation/K7/cosine"], abs=1e-12)


def test_a_cell_that_writes_only_its_step_is_refused_and_not_left_out(as_a_user):
    network = stack_of("tanh", depth=1, direction="forward")
    network.layers[0][0] = Plain(random_cell("tanh"))
    moment = moment_of(network, torch.randn(5, 2, 3))
    for probe in (Weights(), Truncation(windows=[2])):
        with pytest.raises(NotImplementedError, match="need a cell with `recurrent`, which Plain lacks"):
            probe(moment)
    assert Drive()(moment).arrays["drive_log10_norm"].isfinite().all()  # this one is known of every cell


@pytest.mark.parametrize("windows", [[], [3, 0]])
def test_windows_below_one_are_refused(windows, as_a_user):
    with pytest.raises(ValueError, match="truncation needs windows of K >= 1 steps each, got"):
        partial(Truncation, windows=windows)()
