"""coRNN: the paper's equations written out, and what its gradient obeys."""

import math
from itertools import pairwise

import pytest
import torch

from rnnlab import inits
from rnnlab.cells.cornn import CoRNN
from rnnlab.scaled import log10_norm
from rnnlab.scan import adjoint_scan, scan
from tests.rnnlab.oracles import random_cell, relative


def oscillators(gain: float, size: int = 8, **settings) -> CoRNN:
    cell = CoRNN(3, size, **{"dt": 0.1, "gamma": 1.5, "epsilon": 0.8, **settings})
    cell.initialise(lambda W, generator: inits.gaussian_(W, gain=gain, generator=generator))
    return cell


def backward_from_the_end(cell: CoRNN, x: torch.Tensor, g_T: torch.Tensor) -> torch.Tensor:
    path = scan(cell, x)[2]
    direct = torch.zeros_like(path.states)
    direct[-1] = g_T
    return adjoint_scan(cell, path, direct)


def test_states_and_adjoints_equal_a_loop_of_the_papers_equations():
    """Eq. 3 with explicit damping, y and z as autograd sees them: dL/dz_n has the path through y_n of its own step."""
    cell = random_cell("cornn")
    dt, gamma, epsilon = cell.dt, cell.gamma, cell.epsilon
    x, w = torch.randn(12, 3, 3), torch.randn(12, 3, 4)
    y, z, kept = torch.zeros(3, 4), torch.zeros(3, 4), []
    for x_t in x:
        force = torch.tanh(y @ cell.W.t() + z @ cell.Wz.t() + x_t @ cell.U.t() + cell.b)
        z = z + dt * force - dt * gamma * y - dt * epsilon * z
        z.retain_grad()
        y = y + dt * z
        y.retain_grad()
        kept.append((y, z))
    (torch.stack([y for y, _ in kept]) * w).sum().backward()
    path = scan(cell, x)[2]
    direct = torch.zeros_like(path.states)
    direct[1:, :, :4] = w
    a = adjoint_scan(cell, path, direct)
    rows = (v.flatten(0, 1) for v in (torch.cat(path.tape), path.states[:-1], path.states[1:], a[1:]))
    parts = cell.parts(*rows)
    for k, name in enumerate(("h", "z")):
        assert relative(path.states[1:, :, 4 * k :][..., :4], torch.stack([s[k] for s in kept])) < 1e-12
        assert relative(parts[name], torch.stack([s[k].grad for s in kept]).flatten(0, 1)) < 1e-12
    assert relative(a[1:, :, 4:].flatten(0, 1), parts["z"]) > 0.01  # the flat state's is another quantity


def test_without_weights_each_oscillator_is_a_two_by_two_matrix():
    """M = [[1 - dt^2 gamma, dt (1 - dt epsilon)], [-dt gamma, 1 - dt epsilon]], of determinant 1 - dt epsilon."""
    dt, gamma, epsilon = 0.1, 1.5, 0.8
    cell = oscillators(1.0, dt=dt, gamma=gamma, epsilon=epsilon)
    cell.W.data.zero_()
    cell.Wz.data.zero_()
    g = torch.randn(2, 2, 8)
    a = backward_from_the_end(cell, torch.randn(300, 2, 3), g.transpose(0, 1).flatten(1)).unflatten(-1, (2, 8))
    keep = 1 - dt * epsilon
    M = torch.tensor([[1 - dt**2 * gamma, dt * keep], [-dt * gamma, keep]])
    for k in (1, 2, 50, 300):
        expected = torch.einsum("pq,pbh->bqh", torch.linalg.matrix_power(M, k), g)
        assert relative(a[300 - k], expected) < 1e-11  # 300 roundings
    assert torch.allclose(torch.linalg.eigvals(M).abs(), torch.tensor(keep).sqrt(), rtol=1e-14)


def test_the_gradient_grows_by_at_most_exp_of_time_not_of_steps():
    """J = I + dt A with ||A|| <= Gamma, so ratio_k <= exp(Gamma k dt): a hard inequality at every lag.

        Gamma = 1 + sqrt(1 + dt^2) sqrt((smax(W) + gamma)^2 + (smax(Wz) + epsilon)^2)

    Here W is 3 times a Gaussian one: at rest a basic cell would grow by 3 per step, 1e+238 over 500 steps; the bound
    over 500 steps of dt = 1/500 is 4e+4, and what is measured is 2.6.
    """
    T, dt = 500, 1 / 500
    cell = oscillators(3.0, size=32, dt=dt)
    norm = log10_norm(backward_from_the_end(cell, torch.randn(T, 2, 3), torch.randn(2, 64)))
    widest = [torch.linalg.matrix_norm(W.detach(), 2) for W in (cell.W, cell.Wz)]
    rate = 1 + math.hypot(1, dt) * math.hypot(widest[0] + cell.gamma, widest[1] + cell.epsilon)
    k = torch.arange(T, -1, -1.0)[:, None]
    growth = norm - norm[-1]
    assert (growth <= rate * k * dt / math.log(10) + 1e-12).all()
    assert growth.max() > 0.2  # there is a growth to bound


def test_the_gradient_over_a_given_time_does_not_depend_on_the_number_of_steps():
    """Over time 1, with dt = 1/T and a constant input: the limit of dt -> 0, approached with the first power of dt."""
    g, x = torch.randn(2, 64), torch.randn(2, 3)
    cell, found = oscillators(3.0, size=32), []
    for T in (200, 400, 800, 1600):
        cell.dt = 1 / T
        found.append(backward_from_the_end(cell, x.expand(T, 2, 3), g)[0])
    steps = [(late - early).norm() for early, late in pairwise(found)]
    assert steps[-1] < 0.02 * found[-1].norm()
    for coarse, fine in pairwise(steps):
        assert 1.8 < coarse / fine < 2.2  # 2 but for the second power of dt


def test_both_recurrent_matrices_are_filled():
    cell = oscillators(2.0, size=200)
    for W in (cell.W, cell.Wz):  # variance gain^2 / H of 40,000 entries: 2 % is 3 standard errors
        assert abs(W.detach().var() * 200 / 4 - 1) < 0.02
    assert not torch.equal(cell.W, cell.Wz)


@pytest.mark.parametrize(("name", "value"), [("dt", 0.0), ("dt", math.nan), ("gamma", -1.0), ("epsilon", math.inf)])
def test_wrong_settings_are_refused(name, value, as_a_user):
    with pytest.raises(ValueError, match=rf"cornn needs .*{name}.*, got {value}"):
        oscillators(1.0, **{name: value})
