"""The linear cells whose entries never mix: closed forms of what they keep, and the laws of their initialisation."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from rnnlab.cells.lru import LRU
from rnnlab.cells.min_gru import MinGRU
from rnnlab.cells.min_lstm import MinLSTM
from rnnlab.constraints import orthogonal
from rnnlab.inits import constant_bias_, glorot_
from rnnlab.scaled import Scaled
from rnnlab.scan import adjoint_scan, scan
from tests.rnnlab.oracles import relative

pytestmark = pytest.mark.usefixtures("loops")
ROUNDING = 1e-12  # float64, up to 100 multiplications deep
RING = {"r_min": 0.9, "r_max": 0.999, "max_phase": 2 * math.pi}


def lru(size: int = 6, inputs: int = 2, **settings) -> LRU:
    cell = LRU(inputs, size, **{**RING, **settings})
    cell.initialise(glorot_)
    return cell


def complex_pairs(s: torch.Tensor) -> torch.Tensor:
    return torch.complex(s[..., ::2], s[..., 1::2])


def from_the_end(cell, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Adjoints [T+1, B, S] of a loss whose gradient at the last state is g."""
    path = scan(cell, x)[2]
    direct = torch.zeros(path.shape, dtype=x.dtype)
    direct[-1] = g
    return adjoint_scan(cell, path, direct)


@pytest.mark.parametrize("make", [MinGRU, MinLSTM])
def test_constant_gates_keep_their_power_of_state_and_gradient(make):
    """h_t = (1 - f^t) n from 0, and dL/dh_{T-k} = f^k g; for the minimal LSTM f is the share f/(f + i)."""
    cell, (f, i, n) = make(2, 3), torch.randn(3, 3)
    with torch.no_grad():
        cell.b.copy_(torch.cat([f, n] if make is MinGRU else [f, i, n]))
    share = f.sigmoid() if make is MinGRU else f.sigmoid() / (f.sigmoid() + i.sigmoid())
    x, g, t = torch.randn(60, 2, 2), torch.randn(2, 3), torch.arange(61.0)[:, None, None]
    assert relative(scan(cell, x)[0], ((1 - share**t) * n)[1:].expand(-1, 2, -1)) < ROUNDING
    a = from_the_end(cell, x, g)
    assert torch.allclose(a, share ** (60 - t) * g, rtol=ROUNDING, atol=0)


@pytest.mark.parametrize("make", [MinGRU, MinLSTM])
def test_states_are_those_of_the_papers_equations(make):
    """With z = 1 - f for the minimal GRU, as the paper writes it."""
    cell = make(2, 3)
    for p in cell.parameters():
        nn.init.normal_(p)
    x, h, states = torch.randn(30, 2, 2), torch.zeros(2, 3), []
    for x_t in x:
        if make is MinGRU:
            f, n = (x_t @ cell.U.T + cell.b).chunk(2, -1)
            z = (-f).sigmoid()
            h = (1 - z) * h + z * n
        else:
            f, i, n = (x_t @ cell.U.T + cell.b).chunk(3, -1)
            f, i = f.sigmoid(), i.sigmoid()
            h = f / (f + i) * h + i / (f + i) * n
        states.append(h)
    assert relative(scan(cell, x)[0], torch.stack(states)) < ROUNDING


@pytest.mark.parametrize(("make", "share"), [(MinGRU, 1 / (1 + math.exp(-3))), (MinLSTM, 1 / (1.5 + math.exp(-3) / 2))])
def test_the_memory_bias_is_that_of_the_gate_that_retains(make, share):
    """gate_bias 3 without input: sigmoid(3)^k of the gradient is left, or (sigmoid(3) / (sigmoid(3) + 1/2))^k."""
    cell = make(2, 3)
    cell.initialise(glorot_, gate_bias=partial(constant_bias_, value=3.0))
    a = from_the_end(cell, torch.zeros(50, 1, 2), torch.ones(1, 3))
    assert torch.allclose(a[:, 0, 0], share ** torch.arange(50.0, -1, -1), rtol=ROUNDING, atol=0)


def test_gates_too_small_to_be_added_still_share():
    """sigmoid(-800) is 0 in float64, but f/(f + i) -> exp(z_f - z_i) / (1 + exp(z_f - z_i))."""
    cell = MinLSTM(1, 1)
    with torch.no_grad():
        cell.b.copy_(torch.tensor([-800.0, -801.0, 0.5]))
    a = from_the_end(cell, torch.zeros(5, 1, 1), torch.ones(1, 1))
    assert torch.allclose(a.flatten(), torch.tensor(1.0).sigmoid() ** torch.arange(5.0, -1, -1), rtol=ROUNDING, atol=0)


def test_an_lru_turns_and_shrinks_gradients_by_its_eigenvalues():
    """a_{T-k} = conj(lambda)^k a_T: the transpose of a rotation turns back."""
    cell, g = lru(), torch.randn(2, 6)
    a = complex_pairs(from_the_end(cell, torch.randn(100, 2, 2), g))
    k = torch.arange(100, -1, -1)[:, None, None]
    assert relative(a, cell.eigenvalues().detach().conj() ** k * complex_pairs(g)) < ROUNDING


def test_an_lru_is_the_recurrence_of_its_paper():
    """x_k = lambda x_{k-1} + gamma (B u_k), with B = Re + i Im, in complex numbers."""
    cell, u = lru(), torch.randn(30, 2, 2)
    nn.init.normal_(cell.gamma_log)
    B, x, states = complex_pairs(cell.U.T).T, torch.zeros(2, 3, dtype=torch.complex128), []
    for u_k in u:
        x = cell.eigenvalues() * x + cell.gamma_log.exp() * (u_k.to(B.dtype) @ B.T)
        states.append(x)
    assert relative(complex_pairs(scan(cell, u)[0]), torch.stack(states)) < ROUNDING


@pytest.mark.parametrize("normalised", [False, True])
def test_white_input_gives_an_lru_the_variance_of_its_ring(normalised):
    """E |x|^2 / E |B u|^2 = ln((1 - r_min^2) / (1 - r_max^2)) / (r_max^2 - r_min^2) for gamma = 1; with its gamma, 1.

    The variance under white input is the sum over time of the squared response to one pulse: exact, without sampling.
    1,500 steps at .99 leave 1e-13. Over the ring: 2,000,000 eigenvalues, 1/(1 - r^2) deviates by .7 of its mean, so
    .2 % is 4 standard errors.
    """
    cell = lru(size=40, inputs=1, r_max=0.99)
    if not normalised:
        nn.init.zeros_(cell.gamma_log)
    pulse = torch.zeros(1500, 1, 1)
    pulse[0] = 1
    variance = complex_pairs(scan(cell, pulse)[0].detach()).abs().square().sum((0, 1))
    ratio = variance / complex_pairs(cell.U[:, 0]).abs().square()
    expected = torch.ones(20) if normalised else 1 / (1 - cell.eigenvalues().abs().square())
    assert torch.allclose(ratio, expected, rtol=1e-10, atol=0)
    many = lru(size=4_000_000, inputs=1, r_max=0.99)
    square = many.eigenvalues().detach().abs().square()
    gain = (1 / (1 - square)).mean() if not normalised else (many.gamma_log.exp().square() / (1 - square)).mean()
    law = 1.0 if normalised else math.log((1 - 0.9**2) / (1 - 0.99**2)) / (0.99**2 - 0.9**2)
    assert gain.item() == pytest.approx(law, rel=0.002)


def test_eigenvalues_start_in_the_ring_up_to_the_phase():
    """200,000 of them: the mean of a uniform variable has a standard error of .00065 of its range; 4 are .0026."""
    cell = lru(size=400_000, inputs=1, r_min=0.5, r_max=0.8, max_phase=1.5)
    found = cell.eigenvalues().detach()
    assert ((found.abs() > 0.5) & (found.abs() <= 0.8)).all()
    assert ((found.angle() > 0) & (found.angle() <= 1.5)).all()
    assert found.abs().square().mean().item() == pytest.approx((0.25 + 0.64) / 2, abs=0.0026 * 0.39)
    assert found.angle().mean().item() == pytest.approx(0.75, abs=0.0026 * 1.5)
    cells = [lru(size=4, inputs=1) for _ in range(2)]
    for cell in cells:
        cell.initialise(glorot_, torch.Generator().manual_seed(3))
    assert torch.equal(cells[0].eigenvalues(), cells[1].eigenvalues())


def test_an_lru_stays_stable_whatever_its_parameters_are():
    cell = lru()
    for nu in (-30.0, 0.0, 5.0):
        nn.init.constant_(cell.nu, nu)
        assert (cell.eigenvalues().abs() < 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_over_ten_thousand_steps_an_lru_loses_what_its_slowest_unit_loses(dtype):
    """The others have died after the first half: slope log10(.9) per step, to 1e-458. In float32 lambda itself is
    known to 6e-8, and each step rounds once."""
    cell = lru()
    with torch.no_grad():
        cell.nu.copy_((-torch.tensor([0.9, 0.8, 0.5]).log()).log())
    cell, steps = cell.to(dtype), 10_000
    path = scan(cell, torch.zeros(steps, 2, 2, dtype=dtype))[2]
    direct = torch.zeros(path.shape, dtype=dtype)
    direct[-1].normal_()
    norm = adjoint_scan(cell, path, Scaled.of(direct)).log10_norm()
    assert norm[0].max() < -450
    slope = (norm[5000] - norm[0]) / 5000
    assert (slope - -math.log10(0.9)).abs().max() < (1e-6 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize("make", [MinGRU, MinLSTM, partial(LRU, **RING)], ids=["min_gru", "min_lstm", "lru"])
def test_there_is_no_recurrent_matrix_to_fill_or_to_constrain(make, as_a_user):
    def never(*_, **__):
        raise AssertionError("nothing to fill")

    cell = make(2, 4)
    cell.initialise(never)
    assert "W" not in dict(cell.named_parameters())
    with pytest.raises(ValueError, match=f"which {type(cell).__name__} lacks"):
        orthogonal(cell, map="cayley")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 5}, "lru needs an even size, two entries for each complex number, got 5"),
        ({"r_min": 0.99, "r_max": 0.9}, r"0 <= r_min < r_max < 1, got 0\.99 and 0\.9"),
        ({"r_max": 1.0}, r"0 <= r_min < r_max < 1, got 0\.9 and 1\.0"),
        ({"max_phase": 0.0}, r"max_phase > 0, got 0\.0"),
    ],
)
def test_impossible_settings_of_an_lru_are_refused(settings, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        lru(**settings)
