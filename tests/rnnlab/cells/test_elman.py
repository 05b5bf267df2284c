"""modReLU, the activation with a parameter of its own."""

import torch

from rnnlab import inits
from rnnlab.cells import Elman
from rnnlab.scan import adjoint_scan, scan


def modrelu_cell(beta: float, size: int = 16) -> Elman:
    cell = Elman(3, size, activation="modrelu")
    cell.initialise(lambda W, generator: inits.orthogonal_(W, gain=1.0, generator=generator))
    cell.beta.data.fill_(beta)
    return cell


def test_modrelu_is_the_function_of_the_paper_on_real_numbers():
    """(abs(z) + beta) z / abs(z) where abs(z) + beta > 0, else 0."""
    cell, x = modrelu_cell(-0.5), torch.randn(4, 3)
    cell.beta.data.normal_()
    h = scan(cell, x[None])[0][0]
    z = cell.project(x)
    expected = torch.where(z.abs() + cell.beta > 0, (z.abs() + cell.beta) * z / z.abs(), torch.zeros(()))
    assert torch.allclose(h, expected, rtol=0, atol=1e-15)
    assert (expected == 0).any()
    assert (expected != 0).any()


def test_modrelu_with_orthogonal_weights_loses_gradient_at_units_that_are_off_alone():
    """At beta = 0 the norm is kept exactly; below, it never grows, and its loss is the share of units that are off."""
    for beta in (0.0, -0.1):
        cell = modrelu_cell(beta)
        path = scan(cell, torch.randn(40, 3, 3))[2]
        direct = torch.zeros_like(path.states)
        direct[-1].normal_()
        a = adjoint_scan(cell, path, direct)
        kept = (a[1:] * (path.states[1:] != 0)).norm(dim=-1)
        assert torch.allclose(a[:-1].norm(dim=-1), kept, rtol=1e-13)
        assert torch.allclose(kept, a[1:].norm(dim=-1), rtol=1e-13) == (beta == 0)
