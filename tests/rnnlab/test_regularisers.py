"""Omega against its formula on an unrolled loop, its closed forms, and what training does with it."""

from functools import partial

import pytest
import torch
from torch import nn

from rnnlab import constraints
from rnnlab.cells import LSTM, Elman
from rnnlab.inits import orthogonal_
from rnnlab.networks import Stack
from rnnlab.regularisers import Omega, none
from rnnlab.tasks.adding import Adding
from rnnlab.train import clip_norm, no_clip, stream, train
from tests.rnnlab.oracles import SHALLOW, stack_of

STEPS, BATCH = 6, 5
RANDOM = [("tanh", "forward", 1), ("sigmoid", "backward", 1), ("relu", "forward", 2), ("modrelu", "bidirectional", 2)]


def loss_of(network: Stack, x, lengths=None, *, weights=None):
    """A smooth loss at every step of every sample, mean over the samples; and the pass that gave it."""
    outputs, trajectory = network(x, lengths)
    weights = torch.linspace(0.2, 1, outputs.shape[0])[:, None, None] if weights is None else weights
    return ((outputs * weights).square().sum() / BATCH), trajectory


def twin(network: Stack, x, *, weight: float, share: float):
    """Omega by its formula: states that retain their gradients, and a vector-Jacobian product per step and sample in
    which the slopes are constants. Also the floor, below which that share of all squared norms lies."""
    below, steps = x, []
    for layer in network.layers:
        found = []
        for direction, cell in zip(network.directions, layer, strict=True):
            back = direction == "backward"
            s, states = torch.zeros(BATCH, cell.size), []
            for z in cell.project(below.flip(0) if back else below).unbind(0):
                before, s = s, cell.step(z, s)
                s.retain_grad()
                states.append(s)
                steps.append((cell, z.detach(), before.detach(), s))
            found.append(torch.stack(states[::-1] if back else states))
        below = torch.cat(found, -1)
    loss = (network.readout(below) * torch.linspace(0.2, 1, len(x))[:, None, None]).square().sum() / BATCH
    loss.backward()
    floor, terms = torch.stack([s.grad.square().sum(-1) for *_, s in steps]).quantile(share).item() * (1 + 1e-9), {}
    for cell, z, before, s in steps:
        for b in range(BATCH):
            u = (z[b] + cell.W.detach() @ before[b]).requires_grad_()
            (slope,) = torch.autograd.grad(cell.g(u, *(t.detach() for t in cell.thresholds)).sum(), u)
            h = before[b].clone().requires_grad_()
            (pulled,) = torch.autograd.grad(slope * (cell.W @ h), h, s.grad[b], create_graph=True)
            size = s.grad[b].square().sum()
            if size > 0 and size >= floor * (share > 0):
                terms.setdefault(cell, []).append((pulled.square().sum() / size - 1) ** 2)
    return weight * sum(sum(found) / len(found) for found in terms.values()), floor * (share > 0)


@pytest.mark.parametrize(("activation", "direction", "depth"), RANDOM)
@pytest.mark.parametrize("share", [0.0, 0.3], ids=["all", "not all"])
def test_omega_is_its_formula_in_every_layer_and_direction(activation, direction, depth, share):
    """Random W, so that W and W^T, and one layer's adjoints and another's, cannot be taken for each other."""
    torch.manual_seed(1)
    network = stack_of(activation, depth=depth, direction=direction)
    x = torch.randn(STEPS, BATCH, 3)
    expected, floor = twin(network, x, weight=4.0, share=share)
    loss, trajectory = loss_of(network, x)
    found = Omega(network, weight=4.0, floor=floor)(trajectory, loss)
    assert found.item() == pytest.approx(expected.item(), rel=1e-11)  # rounding of float64
    weights = [cell.W for cell in network.cells()]
    for one, other in zip(*(torch.autograd.grad(v, weights) for v in (found, expected)), strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)
    others = [p for p in network.parameters() if all(p is not W for W in weights)]
    loss, trajectory = loss_of(network, x)
    again = Omega(network, weight=4.0, floor=floor)(trajectory, loss)
    assert not any(g is not None for g in torch.autograd.grad(again, others, allow_unused=True))


def linear(gain: float, dtype=torch.float64) -> Stack:
    sizes = {"inputs": 3, "outputs": 2, "hidden": 4, "depth": 1, **SHALLOW}
    network = Stack(partial(Elman, activation="identity"), **sizes, direction="forward", readout="each")
    return network.initialise(partial(orthogonal_, gain=gain), stream(3, "init")).to(dtype)


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.5])
def test_a_scaled_orthogonal_linear_cell_has_one_and_the_same_term_everywhere(gain):
    """Every step changes the squared norm by gain^2. A loss of the last step whose gradient falls below the floor on
    the way is divided by the steps that count, not by all."""
    network, x = linear(gain), torch.randn(40, BATCH, 3)
    last = torch.zeros(40, 1, 1)
    last[-1] = 1
    loss, trajectory = loss_of(network, x, weights=last)
    found = Omega(network, weight=2.0, floor=1e-12)(trajectory, loss)
    assert found.item() == pytest.approx(2 * (gain**2 - 1) ** 2, rel=1e-10, abs=1e-24)


def test_omega_does_not_depend_on_the_scale_of_the_loss():
    """In float32 a gradient of 1e+25 has no square. The floor apart; 1e-4: a product of 6 steps in float32."""
    torch.manual_seed(2)
    network, x = stack_of("tanh").float(), torch.randn(STEPS, BATCH, 3, dtype=torch.float32)
    loss, trajectory = loss_of(network, x)
    small, large = (Omega(network, weight=1.0, floor=0.0)(trajectory, c * loss).item() for c in (1, 1e25))
    assert large == pytest.approx(small, rel=1e-4)


@pytest.mark.parametrize("floor", [0.0, 1e-20])
def test_steps_without_a_gradient_do_not_count(floor):
    """Those after the only loss receive none at all, and nothing is divided by 0."""
    network, x = linear(0.5), torch.randn(10, BATCH, 3)
    early = torch.zeros(10, 1, 1)
    early[3] = 1
    loss, trajectory = loss_of(network, x, weights=early)
    assert Omega(network, weight=1.0, floor=floor)(trajectory, loss).item() == pytest.approx(0.75**2, rel=1e-10)
    loss, trajectory = loss_of(network, x, weights=0 * early)
    nothing = Omega(network, weight=1.0, floor=floor)(trajectory, loss)
    nothing.backward()
    assert nothing.item() == 0
    assert all(not cell.W.grad.any() for cell in network.cells())


def test_padding_does_not_count():
    """A batch of several lengths is its samples one by one, weighted by the steps that each has."""
    torch.manual_seed(4)
    network = stack_of("tanh", depth=1)
    x, lengths = torch.randn(STEPS, BATCH, 3), torch.tensor([6, 3, 1, 4, 6])
    mask = torch.arange(STEPS)[:, None] < lengths
    loss, trajectory = loss_of(network, x, lengths, weights=mask[..., None].double())
    found = Omega(network, weight=1.0, floor=0.0)(trajectory, loss).item()
    alone = []
    for b, n in enumerate(lengths.tolist()):
        loss, trajectory = loss_of(network, x[:n, b : b + 1], weights=torch.ones(1))
        alone.append(n * Omega(network, weight=1.0, floor=0.0)(trajectory, loss).item())
    assert found == pytest.approx(sum(alone) / lengths.sum().item(), rel=1e-11)


def test_a_constrained_matrix_gets_the_gradient_of_what_it_is_made_of():
    torch.manual_seed(5)
    network = stack_of("tanh", depth=1, direction="forward")
    (cell,) = network.cells()
    constraints.spectral_margin(cell, margin=0.3, map="matrix_exp")
    loss, trajectory = loss_of(network, torch.randn(STEPS, BATCH, 3))
    omega = Omega(network, weight=1.0, floor=0.0)
    loss.backward(retain_graph=True)
    of_W, *of_originals = torch.autograd.grad(
        omega(trajectory, loss), [trajectory.passes[0, "forward"].cell.W, *cell.parametrizations.W.parameters()]
    )
    expected = torch.autograd.grad(cell.W, list(cell.parametrizations.W.parameters()), of_W)
    assert all(torch.allclose(g, e, rtol=1e-10) for g, e in zip(of_originals, expected, strict=True))
    assert any(g.abs().max() > 1e-3 for g in of_originals)


TASK = Adding(length=12, marks="halves", tolerance=0.04, solved_error=0.01)


def trained(network: Stack, regulariser, *, clip=no_clip, steps=3, lr=0.05) -> list:
    optimizer = torch.optim.SGD(network.parameters(), lr=lr)
    held_out = TASK.held_out("validation", 5, stream(0, "validation"), dtype=torch.float64)
    settings = {"steps": steps, "batch": 5, "log_every": 1, "evaluate_every": 100, "stop_when_solved": False}
    given = {"generator": stream(0, "train"), "validation": held_out, "probes": [], "schedule": lambda *_: False}
    return list(train(network, TASK, optimizer, regulariser=regulariser, clip=clip, **given, **settings))


def tanh_network() -> Stack:
    sizes = {"inputs": TASK.inputs, "outputs": TASK.outputs, "hidden": 8, "depth": 1, **SHALLOW}
    network = Stack(partial(Elman, activation="tanh"), **sizes, direction="forward", readout=TASK.readout)
    return network.initialise(partial(orthogonal_, gain=1.3), stream(0, "init"))


@pytest.mark.parametrize("threshold", [None, 0.1], ids=["free", "clipped"])
def test_training_follows_the_sum_of_both_gradients_and_clips_that(threshold):
    """By hand: one norm over loss and penalty, and the penalty is not in the loss that is recorded."""
    network, other = tanh_network(), tanh_network()
    clip = no_clip if threshold is None else partial(clip_norm, threshold=threshold)
    found = trained(network, Omega(network, weight=4.0, floor=1e-20), clip=clip)
    generator, omega = stream(0, "train"), Omega(other, weight=4.0, floor=1e-20)
    for m in found:
        x, y, *_ = TASK.draw("train", 5, generator, dtype=torch.float64)
        outputs, trajectory = other(x)
        loss = TASK.sample_losses(TASK.losses(outputs, y), y).mean()
        penalty = omega(trajectory, loss)
        grads = torch.autograd.grad(loss + penalty, tuple(other.parameters()))
        norm = nn.utils.get_total_norm(grads).item()
        assert m.scalars["train/loss"] == pytest.approx(loss.item(), rel=1e-12)
        assert m.scalars["train/penalty"] == pytest.approx(penalty.item(), rel=1e-12)
        assert m.scalars["grad/norm"] == pytest.approx(norm, rel=1e-10)
        assert m.scalars["grad/clipped"] == (threshold is not None)
        scale = 1 if threshold is None else threshold / norm
        with torch.no_grad():
            for p, g in zip(other.parameters(), grads, strict=True):
                p -= 0.05 * scale * g * (m.step < 3)
    for p, q in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-11, atol=1e-14)


def test_a_weight_of_0_is_no_regulariser_to_the_last_bit():
    network, other = tanh_network(), tanh_network()
    trained(network, Omega(network, weight=0.0, floor=1e-20))
    found = trained(other, none(other))
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), other.parameters(), strict=True))
    assert "train/penalty" not in found[0].scalars


def test_what_is_no_elman_cell_or_no_number_is_refused():
    with pytest.raises(ValueError, match=r"omega needs elman cells, .*, got LSTM"):
        Omega(stack_of("lstm"), weight=4.0, floor=1e-20)
    network = Stack(LSTM, inputs=3, outputs=2, hidden=4, depth=1, **SHALLOW, direction="forward", readout="each")
    constraints.orthogonal(next(network.cells()), map="cayley")
    with pytest.raises(ValueError, match="got LSTM"):
        Omega(network, weight=4.0, floor=1e-20)
    with pytest.raises(ValueError, match=r"omega needs a finite weight >= 0, got -1.0"):
        Omega(tanh_network(), weight=-1.0, floor=1e-20)
    with pytest.raises(ValueError, match=r"omega needs a finite floor >= 0, got nan"):
        Omega(tanh_network(), weight=1.0, floor=float("nan"))
