"""The unit of its own: derivatives against autograd, the wall against its closed form, descent against a parabola."""

import math
from functools import partial

import pytest
import torch

from rnnlab.scalar import BENDS, Jet, descend, error, ridge, wall

FIGURE = {"activation": "sigmoid", "length": 50, "start": 0.5, "target": 0.7}
FUNCTIONS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "identity": lambda x: x}


def by_hand(parameters: torch.Tensor, g, length: int, start: float, target: float) -> torch.Tensor:
    w, b = parameters
    x = torch.tensor(start)
    for _ in range(length):
        x = w * g(x) + b
    return (g(x) - target) ** 2


@pytest.mark.parametrize("activation", BENDS)
def test_both_derivatives_of_the_error_are_those_of_autograd(activation):
    given = {"length": 7, "start": 0.5, "target": 0.3}
    for _ in range(5):
        point = torch.randn(2)
        naive = partial(by_hand, g=FUNCTIONS[activation], **given)
        found = error(*point, activation=activation, **given)
        gradient = torch.autograd.functional.jacobian(naive, point)
        hessian = torch.autograd.functional.hessian(naive, point)
        assert found.value.item() == pytest.approx(naive(point).item(), rel=1e-12)
        assert torch.allclose(found.first, gradient, rtol=1e-9, atol=1e-12)
        assert torch.allclose(found.second, hessian[[0, 0, 1], [0, 1, 1]], rtol=1e-9, atol=1e-12)
        assert found.gradient_norm.item() == pytest.approx(gradient.norm().item(), rel=1e-9, abs=1e-12)
        largest = torch.linalg.eigvalsh(hessian).abs().max().item()
        assert found.curvature.item() == pytest.approx(largest, rel=1e-9, abs=1e-12)


def test_a_grid_of_weights_and_biases_is_as_each_of_its_points():
    w, b = torch.linspace(4, 7, 3), torch.linspace(-3.5, -1.5, 4)
    grid = error(w[:, None], b, **FIGURE)
    assert grid.first.shape == (2, 3, 4)
    alone = error(w[2], b[1], **FIGURE)
    for whole, one in zip(grid, alone, strict=True):
        assert torch.allclose(whole[..., 2, 1], one, rtol=1e-12)


@pytest.mark.parametrize("w", [4.0, 5.0, 6.4])
def test_at_the_fixed_point_the_gradient_is_that_of_the_closed_form(w):
    """r^50 of the rounding of b, 1e-16, is left: 1e-8 at the largest w."""
    line, norm = wall(torch.tensor(w), **FIGURE)
    h = 1 / (1 + math.exp(-0.5))
    assert line.item() == pytest.approx(0.5 - w * h, rel=1e-14)
    assert error(torch.tensor(w), line, **FIGURE).gradient_norm.item() == pytest.approx(norm.item(), rel=1e-5)


def test_the_wall_is_found_however_thin_it_is_and_its_curvature_is_the_square():
    w = torch.tensor([5.5, 6.0, 6.4])
    line, at_line = wall(w, **FIGURE)
    surface = partial(error, **FIGURE)
    tops = {}
    for name in ("gradient_norm", "curvature"):
        b = ridge(w, between=(-3.5, -1.5), height=lambda w, b, name=name: getattr(surface(w, b), name))
        assert (b - line).abs().max() < 1e-4  # the wall is 1e-5 to 1e-8 thick
        tops[name] = getattr(surface(w, b), name).log10()
    assert (10 ** tops["gradient_norm"] > at_line).all()
    rise = {name: (top[-1] - top[0]).item() for name, top in tops.items()}
    assert rise["gradient_norm"] == pytest.approx((at_line[-1] / at_line[0]).log10().item(), rel=0.05)
    assert rise["curvature"] == pytest.approx(2 * rise["gradient_norm"], rel=0.05)


def test_a_peak_at_the_end_of_the_interval_is_found_there():
    assert ridge(torch.ones(2), between=(-1.0, 3.0), height=lambda w, b: w * b).tolist() == [3.0, 3.0]
    assert ridge(torch.ones(1), between=(-1.0, 3.0), height=lambda w, b: -w * b).tolist() == [-1.0]


def parabola(w: torch.Tensor, b: torch.Tensor) -> Jet:
    """E = w^2 + b^2 / 2."""
    none = torch.zeros_like(w)
    return Jet(w**2 + b**2 / 2, torch.stack([2 * w, b]), torch.stack([none + 2, none, none + 1]))


def test_descent_on_a_parabola_shrinks_both_sides_by_their_own_factor():
    start = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    path = descend(start, torch.full((2,), math.inf), surface=parabola, rate=0.1, updates=6)
    factors = torch.tensor([0.8, 0.9]) ** torch.arange(7)[:, None]
    assert torch.allclose(path, start[:, None] * factors, rtol=1e-12)


def test_a_clipped_step_is_as_long_as_rate_and_threshold_allow_and_a_shorter_one_is_left_alone():
    start = torch.tensor([[3.0, 4.0], [0.1, 0.2]])
    path = descend(start, torch.full((2,), 0.5), surface=parabola, rate=0.1, updates=1)
    step = path[:, 1] - path[:, 0]
    assert step.norm(dim=1)[0].item() == pytest.approx(0.05, rel=1e-12)
    assert torch.allclose(step[0] / step[0].norm(), -torch.tensor([6.0, 4.0]) / math.hypot(6, 4))
    assert torch.allclose(step[1], -torch.tensor([0.02, 0.02]))


def test_another_activation_and_no_steps_are_refused(as_a_user):
    one = torch.ones(())
    with pytest.raises(
        ValueError, match="scalar needs an activation out of tanh, relu, sigmoid, identity, got 'modrelu'"
    ):
        error(one, one, **{**FIGURE, "activation": "modrelu"})
    with pytest.raises(ValueError, match="scalar needs length >= 1, got 0"):
        error(one, one, **{**FIGURE, "length": 0})
