"""The leaky integrator's closed forms."""

import pytest
import torch

from rnnlab import inits
from rnnlab.cells import Elman
from rnnlab.cells.leaky import Leaky
from rnnlab.scaled import log10_norm
from rnnlab.scan import adjoint_scan, scan
from tests.rnnlab.oracles import relative


def leaky(leak: float, gain: float, size: int = 12) -> Leaky:
    cell = Leaky(3, size, leak=leak)
    cell.initialise(lambda W, generator: inits.gaussian_(W, gain=gain, generator=generator))
    cell.b.data.normal_()
    return cell


def backward_from_the_end(cell, x: torch.Tensor) -> torch.Tensor:
    path = scan(cell, x)[2]
    direct = torch.zeros_like(path.states)
    direct[-1].normal_()
    return adjoint_scan(cell, path, direct)


@pytest.mark.parametrize("leak", [0.01, 0.3, 1.0])
def test_without_weights_a_gradient_keeps_one_minus_alpha_to_the_k(leak):
    cell = leaky(leak, 1.0)
    cell.W.data.zero_()
    a = backward_from_the_end(cell, torch.randn(200, 2, 3))
    law = (1 - leak) ** torch.arange(200, -1, -1.0)
    assert torch.allclose(a, a[-1] * law[:, None, None], rtol=1e-12, atol=0)  # 200 roundings


@pytest.mark.parametrize(("leak", "gain"), [(0.1, 0.5), (0.1, 3.0), (0.7, 1.5)])
def test_the_gradient_stays_within_its_bound_at_every_lag(leak, gain):
    cell = leaky(leak, gain)
    norm = log10_norm(backward_from_the_end(cell, torch.randn(60, 3, 3)))
    k = torch.arange(60, -1, -1.0)[:, None]
    bound = k * (1 - leak + leak * torch.linalg.matrix_norm(cell.W.detach(), 2)).log10()
    assert (norm - norm[-1] <= bound + 1e-12).all()


def test_the_memory_fades_with_the_time_constant_whatever_the_weights_are():
    """Linearised at 0 the Jacobian is (1 - alpha) I + alpha W, exactly."""
    cell, alpha = leaky(0.2, 1.0), 0.2
    cell.b.data.zero_()
    path = scan(cell, torch.zeros(1, 12, 3))[2]
    direct = torch.zeros_like(path.states)
    direct[-1] = torch.eye(12)
    J = adjoint_scan(cell, path, direct)[0]
    assert torch.allclose(J, (1 - alpha) * torch.eye(12) + alpha * cell.W, rtol=0, atol=1e-15)


def test_a_leak_of_one_is_the_basic_cell():
    cell, twin = leaky(1.0, 1.2), Elman(3, 12, activation="tanh")
    twin.load_state_dict(cell.state_dict())
    x, w = torch.randn(20, 3, 3), torch.randn(20, 3, 12)
    (h, _, _), (expected, _, _) = scan(cell, x), scan(twin, x)
    assert relative(h, expected) < 1e-13
    own = torch.autograd.grad((h * w).sum(), tuple(cell.parameters()))
    basic = torch.autograd.grad((expected * w).sum(), tuple(twin.parameters()))
    assert max(relative(a, b) for a, b in zip(own, basic, strict=True)) < 1e-12


@pytest.mark.parametrize("leak", [0.0, -0.1, 1.5])
def test_a_leak_outside_zero_to_one_is_refused(leak, as_a_user):
    with pytest.raises(ValueError, match=rf"leaky needs a leak in \(0, 1\], got {leak}"):
        Leaky(2, 3, leak=leak)
