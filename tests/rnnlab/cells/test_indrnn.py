"""IndRNN: its gradient in closed form, and the paper's clipping of u."""

import math

import pytest
import torch

from rnnlab.cells.indrnn import IndRNN
from rnnlab.inits import orthogonal_
from rnnlab.scan import adjoint_scan, scan
from tests.rnnlab.oracles import random_cell, relative

ROUNDING = 1e-12  # float64, products over 30 steps


def backward_from_the_end(cell: IndRNN, x: torch.Tensor, g_T: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    path = scan(cell, x)[2]
    direct = torch.zeros_like(path.states)
    direct[-1] = g_T
    return adjoint_scan(cell, path, direct), path.states


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_gradient_is_u_to_the_k_times_the_product_of_slopes(activation):
    cell = IndRNN(3, 6, activation=activation, lowest=0.0, bound=None)
    with torch.no_grad():
        cell.u.uniform_(-1.2, 1.2)
        cell.U.normal_()
        cell.b.fill_(0.5)
    g, x = torch.randn(2, 6), torch.randn(30, 2, 3)
    a, h = backward_from_the_end(cell, x, g)
    slopes = (h > 0).double() if activation == "relu" else 1 - h**2
    for k in (1, 2, 7, 30):
        expected = g * cell.u**k * slopes[31 - k :].prod(0)
        assert relative(a[30 - k], expected) < ROUNDING
    assert (a[25] != 0).any()


def test_the_bound_of_the_paper_keeps_the_gain_over_T_steps_below_two():
    """bound = 2^(1/T): exactly 2 for a unit at the bound that never switches off, for all others less."""
    T = 200
    cell = IndRNN(1, 50, activation="relu", lowest=0.0, bound=2 ** (1 / T))
    with torch.no_grad():
        cell.u.normal_(std=2.0)  # most of them far outside
        cell.U.fill_(1.0)
    g = torch.randn(1, 50)
    outside = cell.u.detach() > cell.bound
    a, _ = backward_from_the_end(cell, torch.rand(T, 1, 1), g)
    gain = (a[0] / g).abs()[0]
    assert gain.max() <= 2 * (1 + ROUNDING)
    assert outside.any()
    assert torch.allclose(gain[outside], torch.tensor(2.0), rtol=ROUNDING)


def test_training_clips_u_after_each_update_as_the_paper_does():
    """Against a hand-written loop with u = clip(u - lr g): units are pushed against both bounds and pulled back."""
    cell, lr, bound = IndRNN(2, 8, activation="tanh", lowest=0.0, bound=0.9), 0.5, 0.9
    cell.initialise(orthogonal_)
    with torch.no_grad():
        cell.u.uniform_(-0.9, 0.9)
    u, U, b = (p.detach().clone() for p in (cell.u, cell.U, cell.b))
    at_bound, left = torch.zeros(8, dtype=torch.bool), torch.zeros(8, dtype=torch.bool)
    x, y = torch.randn(6, 4, 2), torch.randn(6, 4, 8)
    for update in range(20):
        sign = 1 if update % 10 < 5 else -1  # what pushed out pulls in, and the other way round
        scan(cell, x)  # a second pass, as an evaluation between would be
        (grad,) = torch.autograd.grad(sign * (scan(cell, x)[0] * y).sum(), cell.u)
        cell.u.data -= lr * grad
        twin, h, loss = u.clone().requires_grad_(), torch.zeros(4, 8), 0
        for x_t, y_t in zip(x, y, strict=True):
            h = torch.tanh(x_t @ U.t() + b + twin * h)
            loss = loss + sign * (h * y_t).sum()
        (expected,) = torch.autograd.grad(loss, twin)
        left |= at_bound & ((u - lr * expected).abs() < bound)
        u = (u - lr * expected).clamp(-bound, bound)
        at_bound |= u.abs() == bound
        scan(cell, x)
        assert relative(cell.u.detach(), u) < ROUNDING
    assert at_bound.sum() > 3
    assert left.sum() > 3


def test_an_unbounded_cell_is_left_alone_and_a_bounded_step_knows_its_bound():
    free = random_cell("indrnn")
    before = free.u.detach().clone()
    scan(free, torch.randn(3, 2, 3))
    assert torch.equal(free.u, before)
    cell, z, s = IndRNN(1, 2, activation="tanh", lowest=0.0, bound=0.5), torch.zeros(1, 2), torch.ones(1, 2)
    cell.u.data = torch.tensor([3.0, -3.0])
    assert torch.allclose(cell.step(z, s), torch.tensor([[math.tanh(0.5), -math.tanh(0.5)]]), rtol=1e-15)


@pytest.mark.parametrize(
    ("lowest", "bound", "top"), [(0.0, None, 1.0), (0.0, 1.3, 1.3), (0.3, 0.4, 0.4), (0.9, None, 1.0)]
)
def test_u_starts_uniform_between_the_lowest_and_the_bound(lowest, bound, top):
    """Mean and mean square of 4,000 draws within 5 standard errors: 2 % and 4 % of either."""
    cell = IndRNN(1, 4000, activation="relu", lowest=lowest, bound=bound)
    cell.initialise(orthogonal_, torch.Generator().manual_seed(1))
    v = (cell.u.detach() - lowest) / (top - lowest)
    assert (v >= 0).all()
    assert (v <= 1).all()
    assert abs(v.mean() - 1 / 2) < 5 * (1 / 12 / 4000) ** 0.5
    assert abs((v**2).mean() - 1 / 3) < 5 * (4 / 45 / 4000) ** 0.5


@pytest.mark.parametrize(
    ("activation", "lowest", "bound", "message"),
    [
        ("elu", 0.0, None, "indrnn needs an activation out of relu, tanh, got 'elu'"),
        ("relu", 0.0, 0.0, "indrnn needs a positive, finite bound of abs\\(u\\), or none, got 0.0"),
        ("relu", 0.0, math.inf, "or none, got inf"),
        ("relu", 1.1, None, "indrnn needs 0 <= lowest <= 1.0, up to which u starts, got 1.1"),
        ("relu", 0.5, 0.4, "indrnn needs 0 <= lowest <= 0.4"),
        ("relu", -0.1, None, "got -0.1"),
    ],
)
def test_wrong_settings_are_refused(activation, lowest, bound, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        IndRNN(2, 3, activation=activation, lowest=lowest, bound=bound)
