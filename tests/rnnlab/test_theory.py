"""Mean field and laws of single inits: against other quadratures, Monte Carlo, and networks that are run."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from rnnlab import inits
from rnnlab.cells import Elman
from rnnlab.scaled import Scaled
from rnnlab.scan import adjoint_scan, scan
from rnnlab.theory import (
    MeanField,
    chrono_retention,
    critical_gain,
    gated_gain,
    linear_gain,
    mean_field,
    power_norm,
    step_bound,
    uniform_gate_retention,
)
from tests.rnnlab.oracles import CELLS

ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")

# E[phi^2] and E[phi'^2] over N(0, q), by mpmath with 30 digits, from tanh, sech and 1 / (1 + exp(-u)) themselves.
MOMENTS = {
    ("tanh", 0.01): (0.00980546875553240564, 0.980670243464981518),
    ("tanh", 1.0): (0.394294490397841174, 0.464402902448268242),
    ("tanh", 10.0): (0.757266276921318368, 0.16557242076970866),
    ("tanh", 1000.0): (0.974779041797450736, 0.0168181721753731615),
    ("sigmoid", 0.01): (0.250621896935813914, 0.0621902041783777638),
    ("sigmoid", 1.0): (0.293379035858092963, 0.0448362413501943718),
    ("sigmoid", 10.0): (0.389705357572659577, 0.0198067502119370623),
    ("sigmoid", 1000.0): (0.487405018008808126, 0.00210125595897304163),
}


@pytest.mark.parametrize(("activation", "q"), MOMENTS)
def test_the_fixed_point_is_exact_to_1e_10_at_small_and_large_variance(activation, q):
    """Gain and input variance are chosen so that q is the answer."""
    square, slope = MOMENTS[activation, q]
    gain_squared = q / 2
    found = mean_field(activation, gain=math.sqrt(gain_squared), input_variance=q - gain_squared * square)
    assert found.q == pytest.approx(q, rel=1e-10)
    assert found.chi == pytest.approx(gain_squared * slope, rel=1e-10)
    assert found.decades_per_step == pytest.approx(math.log10(gain_squared * slope) / 2, rel=1e-9)


@pytest.mark.parametrize("gain", [0.5, 1.05, 1.5])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_gauss_hermite_of_order_200_agrees_where_it_holds(activation, gain):
    """That is for q up to 1.5; its nodes are 1/14 apart, and at q = 10 it is off by 1e-4."""
    z, weight = np.polynomial.hermite_e.hermegauss(200)
    weight = weight / weight.sum()
    q, chi = mean_field(activation, gain=gain, input_variance=0.3)
    assert q < 1.5
    h = np.tanh(np.sqrt(q) * z) if activation == "tanh" else 1 / (1 + np.exp(-np.sqrt(q) * z))
    slope = 1 - h**2 if activation == "tanh" else h * (1 - h)
    assert gain**2 * weight @ h**2 + 0.3 == pytest.approx(q, rel=1e-10)
    assert gain**2 * weight @ slope**2 == pytest.approx(chi, rel=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("gain", [0.6, 0.95])
def test_monte_carlo_agrees_within_four_standard_errors(activation, gain):
    """A million draws see an error of .4 %."""
    q, chi = mean_field(activation, gain=gain, input_variance=0.4)
    u = (math.sqrt(q) * torch.randn(1_000_000)).requires_grad_()
    h = Elman(1, 1, activation=activation).g(u)
    (slope,) = torch.autograd.grad(h.sum(), u)
    for expected, sample in ((q - 0.4, gain**2 * h.detach() ** 2), (chi, gain**2 * slope**2)):
        assert abs(sample.mean().item() - expected) < 4 * sample.std().item() / 1000 + 1e-12


@pytest.mark.parametrize(("activation", "share"), [("relu", 0.5), ("identity", 1.0)])
def test_linear_and_half_linear_cells_have_a_closed_form_and_none_when_they_explode(activation, share):
    for gain, variance in ((0.3, 0.7), (0.99, 1e-3)):
        found = mean_field(activation, gain=gain, input_variance=variance)
        assert found.chi == pytest.approx(share * gain**2, rel=1e-14)
        assert found.q == pytest.approx(variance / (1 - share * gain**2), rel=1e-12)
    critical = share**-0.5
    assert mean_field(activation, gain=critical, input_variance=0.0).q == 0
    assert mean_field(activation, gain=critical, input_variance=0.1) == pytest.approx((math.inf, 1.0))
    assert mean_field(activation, gain=2.0, input_variance=0.0) == (math.inf, 4 * share)
    assert mean_field(activation, gain=2.0, input_variance=0.1) == (math.inf, 4 * share)


def test_tanh_without_input_is_quiet_up_to_gain_one_and_chaotic_above():
    for gain in (0.2, 3**-0.5, 1.0):
        assert mean_field("tanh", gain=gain, input_variance=0.0) == (0.0, gain**2)
    q, chi = mean_field("tanh", gain=1.001, input_variance=0.0)
    assert q == pytest.approx(0.001, rel=0.01)  # q = (1 - 1/sw^2) / 2 to first order, since E tanh^2 = q - 2 q^2 + ...
    assert 1 < chi < 1 + 1e-5


def test_critical_gains_of_the_literature():
    assert critical_gain("tanh", input_variance=0.0) == 1
    assert critical_gain("relu", input_variance=0.5) == pytest.approx(math.sqrt(2), rel=1e-15)
    assert critical_gain("identity", input_variance=0.5) == 1


@pytest.mark.parametrize("variance", [0.0, 1e-6, 0.01, 0.5, 30.0])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_chi_is_one_at_the_critical_gain_and_there_alone(activation, variance):
    gain = critical_gain(activation, input_variance=variance)
    assert mean_field(activation, gain=gain, input_variance=variance).chi == pytest.approx(1, abs=1e-12)
    chi = [mean_field(activation, gain=gain * f, input_variance=variance).chi for f in (0.3, 0.9, 0.99, 1.01, 1.1, 3)]
    assert chi == sorted(chi)
    assert chi[2] < 1 < chi[3]


@pytest.mark.parametrize("variance", [1e-8, 1e-10, 1e-12])
def test_weak_input_moves_the_critical_gain_of_tanh_by_a_cube_root(variance):
    """q S - T = 4/3 q^3 + ... and sw = 1 + q + ...: a series that shares nothing with the quadrature."""
    q = (0.75 * variance) ** (1 / 3)
    assert critical_gain("tanh", input_variance=variance) - 1 == pytest.approx(q, rel=5 * q)


def measured(activation: str, fill: Callable[..., torch.Tensor], variance: float, lags: int = 40) -> MeanField:
    """What the engine sees in networks of 1000 units driven by white noise, from the last step back: the mean of
    log chi over two draws of W and 8 samples each, and the mean square of the pre-activations."""
    found = []
    for _ in range(2):
        cell = Elman(1000, 1000, activation=activation)
        fill(cell.W)
        torch.nn.init.eye_(cell.U)
        x = math.sqrt(variance) * torch.randn(40 + lags, 8, 1000)
        h, _, path = scan(cell, x)
        direct = torch.zeros(path.shape)
        direct[-1].normal_()
        norm = adjoint_scan(cell, path, Scaled.of(direct)).log10_norm()
        q = (x[40:] + h[39:-1] @ cell.W.t()).square().mean()
        found.append(torch.stack([q, (norm[-1 - lags] - norm[-1]).mean() / lags]))
    q, decades = torch.stack(found).mean(0).tolist()
    return MeanField(q, 100**decades)


NETWORKS = [
    ("tanh", 0.8, 0.1, 0.01),
    ("tanh", 1.5, 0.1, 0.01),
    ("tanh", 2.0, 1.0, 0.01),
    ("identity", 0.8, 1.0, 0.01),
    ("relu", 1.0, 0.5, 0.025),
    ("sigmoid", 10.0, 25.0, 0.025),
]


@pytest.mark.parametrize(("activation", "gain", "variance", "tolerance"), NETWORKS)
def test_theory_is_what_a_random_network_does(activation, gain, variance, tolerance):
    """The factor of the gradient norm per step. The mean of two networks scatters by .1 %, and lies .1 to .3 % low, for
    a mean of logarithms is below the logarithm of a mean; where h has a mean, which W turns into a frozen input, it
    scatters by .7 %. So 1 and 2.5 % are more than 3 standard errors from there."""
    found = measured(activation, partial(inits.gaussian_, gain=gain), variance)
    expected = mean_field(activation, gain=gain, input_variance=variance)
    assert math.sqrt(found.chi / expected.chi) == pytest.approx(1, abs=tolerance)
    assert found.q == pytest.approx(expected.q, rel=4 * tolerance)  # scatters by .6 %, by 2.5 % with a frozen input


def test_the_default_of_torch_loses_a_factor_of_577_per_step():
    """U(+-1/sqrt(H)) has the variance of sw = 1/sqrt(3); weak input keeps tanh linear."""
    assert math.sqrt(mean_field("tanh", gain=3**-0.5, input_variance=0.0).chi) == pytest.approx(0.57735, abs=1e-5)
    assert math.sqrt(measured("tanh", inits.torch_default_, 1e-6).chi) == pytest.approx(0.57735, rel=0.01)


@pytest.mark.parametrize("variance", [0.01, 1.0])
def test_the_critical_filler_keeps_the_gradient_of_a_wide_tanh_network(variance):
    """The factor is 1 within more than 4 standard errors; 10 % more gain makes it 1.02 and 1.06."""
    fill = partial(inits.critical_, activation="tanh", input_variance=variance)
    assert math.sqrt(measured("tanh", fill, variance).chi) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_bound_of_a_step_has_the_largest_slope_of_the_cell(activation):
    u = torch.linspace(-5, 5, 1001).requires_grad_()
    (slope,) = torch.autograd.grad(CELLS[activation](1, 1).g(u).sum(), u)
    assert step_bound(activation, largest_singular_value=1.7) == pytest.approx(1.7 * slope.max().item(), rel=1e-12)


def test_the_largest_singular_value_of_a_power_is_the_fuss_catalan_edge():
    """The edge is reached from below as H grows; three matrices of H = 500 come within 1.5 % in the mean."""
    matrices = torch.randn(3, 500, 500) / math.sqrt(500)
    for lag in (0, 1, 2, 4):
        measured = torch.linalg.matrix_norm(torch.linalg.matrix_power(matrices, lag), 2).mean().item()
        assert measured == pytest.approx(power_norm(lag), rel=0.03)
    assert power_norm(3) == pytest.approx(math.sqrt(4**4 / 3**3), rel=1e-14)
    assert power_norm(10_000) == pytest.approx(math.sqrt(math.e * 10_000.5), rel=1e-4)


@pytest.mark.parametrize("longest", [3, 50, 10_000])
@pytest.mark.parametrize("lag", [0, 1, 7, 300])
def test_the_retention_laws_are_the_integrals_of_their_docstrings(lag, longest):
    """Midpoint sums over a million cells, whose error is the width of a cell squared, 1e-12 of the range squared."""
    share = (torch.arange(1_000_000) + 0.5) / 1_000_000
    u = 1 + (longest - 2) * share
    assert chrono_retention(lag, longest=longest) == pytest.approx(
        (u / (1 + u)).pow(2 * lag).mean().sqrt().item(), rel=1e-6
    )
    f = 1 / longest + (1 - 2 / longest) * share
    assert uniform_gate_retention(lag, size=float(longest)) == pytest.approx(
        f.pow(2 * lag).mean().sqrt().item(), rel=1e-6, abs=1e-30
    )


def test_the_retention_laws_have_their_closed_forms():
    for lag in (0, 1, 20, 5000):
        assert uniform_gate_retention(lag, size=math.inf) == pytest.approx((2 * lag + 1) ** -0.5, rel=1e-13)
    assert chrono_retention(0, longest=77) == pytest.approx(1, rel=1e-13)
    for longest in (3, 1_000):  # int (u / (1 + u))^2 du = u - 2 log(1 + u) - 1 / (1 + u)
        integral = longest - 2 - 2 * math.log(longest / 2) - 1 / longest + 1 / 2
        assert chrono_retention(1, longest=longest) ** 2 == pytest.approx(integral / (longest - 2), rel=1e-10)


@pytest.mark.parametrize("lag", [0, 1, 2, 9, 200])
def test_the_gain_of_a_gated_cell_is_the_sum_of_its_docstring(lag):
    terms = [math.comb(lag, j) * 0.7 ** (lag - j) * 0.2**j for j in range(lag + 1)]
    found = gated_gain(lag, keep=0.7, through=0.2)
    assert found == pytest.approx(math.log10(sum(term**2 for term in terms)) / 2, rel=1e-11, abs=1e-14)


def test_the_gain_of_a_gated_cell_has_its_limits():
    """Without W it is f^k; after long it loses f + s per step; and 1e-3000 is a number."""
    assert gated_gain(50, keep=0.9, through=0.0) == pytest.approx(50 * math.log10(0.9), rel=1e-12)
    far = [gated_gain(k, keep=0.6, through=0.3) for k in (60_000, 60_001)]
    assert far[1] - far[0] == pytest.approx(math.log10(0.9), rel=1e-4)
    assert far[0] < -2700


@pytest.mark.parametrize("fill", [partial(inits.gaussian_, gain=1.0), partial(inits.orthogonal_, gain=1.0)])
def test_the_gain_of_a_gated_cell_is_that_of_the_powers_of_its_jacobian(fill):
    """Of one H = 500 up to lag 12, far below sqrt(H), where a Gaussian one begins to show its width; it scatters by
    half a per cent. With a fresh matrix at each step it would be sqrt(.5^2 + .25^2)^12: a quarter as much."""
    J = 0.5 * torch.eye(500) + 0.25 * fill(torch.empty(500, 500))
    for lag in (1, 4, 12):
        rms = J.matrix_power(lag).norm().item() / math.sqrt(500)
        assert 10 ** gated_gain(lag, keep=0.5, through=0.25) == pytest.approx(rms, rel=0.03)


def gradients(lag: int, W: list[torch.Tensor], U: list[torch.Tensor]) -> torch.Tensor:
    """dh^D_T/dh^1_{T-k} transposed, a column for each unit of h^D_T, step by step and layer by layer."""
    states = [torch.zeros_like(W[0]) for _ in W]
    for step in range(lag + 1):
        above = torch.eye(len(W[0])) if step == 0 else torch.zeros_like(W[0])
        for layer in reversed(range(len(W))):
            above = states[layer] = W[layer].T @ states[layer] + above
            above = U[layer].T @ above
    return states[0]


@pytest.mark.parametrize("lag", [0, 1, 3, 12])
@pytest.mark.parametrize(("depth", "maps"), [(1, 1), (2, 1), (3, 1), (5, 1), (1, 3), (2, 2)])
def test_the_gain_of_linear_layers_counts_the_ways_through_them(depth, maps, lag):
    """Exact where W is a multiple of 1. Rotations of their own: the root mean square over all 100 outputs scatters by
    a per cent; with a factor of C instead of its root it would be twice as much in two layers at lag 3."""
    U = [torch.randn(100, 100) / 10 for _ in range(depth)]
    start = gradients(0, [torch.eye(100)] * depth, U).norm()
    aligned = gradients(lag, [0.9**maps * torch.eye(100)] * depth, U).norm() / start
    rotated = [inits.orthogonal_(torch.empty(100, 100), gain=0.9**maps) for _ in range(depth)]
    apart = gradients(lag, rotated, U).norm() / start
    law = partial(linear_gain, lag, gain=0.9, depth=depth, maps=maps)
    assert aligned.log10().item() == pytest.approx(law(aligned=True), abs=1e-12)
    assert apart.log10().item() == pytest.approx(law(aligned=False), abs=0.02)


REFUSED = [
    (lambda: mean_field("softsign", gain=1.0, input_variance=0.0), "an activation out of .*, got 'softsign'"),
    (lambda: critical_gain("softsign", input_variance=0.0), "an activation out of .*, got 'softsign'"),
    (lambda: step_bound("softsign", largest_singular_value=1.0), "an activation out of .*, got 'softsign'"),
    (lambda: mean_field("tanh", gain=0.0, input_variance=0.0), "gain positive and finite, got 0.0"),
    (lambda: mean_field("tanh", gain=math.nan, input_variance=0.0), "gain positive and finite, got nan"),
    (lambda: mean_field("tanh", gain=1.0, input_variance=-1.0), "input_variance finite and >= 0, got -1.0"),
    (lambda: critical_gain("tanh", input_variance=math.inf), "input_variance finite and >= 0, got inf"),
    (lambda: linear_gain(-1, gain=0.9, depth=1, maps=1, aligned=True), "lag >= 0, got -1"),
    (lambda: linear_gain(1, gain=0.0, depth=1, maps=1, aligned=True), "gain positive and finite, got 0.0"),
    (lambda: linear_gain(1, gain=0.9, depth=0, maps=1, aligned=True), "depth >= 1, got 0"),
    (lambda: linear_gain(1, gain=0.9, depth=1, maps=0, aligned=True), "maps >= 1, got 0"),
    (lambda: power_norm(-1), "lag >= 0, got -1"),
    (lambda: chrono_retention(1, longest=2), "longest above 2, got 2"),
    (lambda: gated_gain(-1, keep=0.5, through=0.1), "lag >= 0, got -1"),
    (lambda: gated_gain(1, keep=0.0, through=0.1), "keep positive and finite, got 0.0"),
    (lambda: gated_gain(1, keep=0.5, through=math.inf), "through finite and >= 0, got inf"),
    (lambda: uniform_gate_retention(1, size=2.0), "size above 2, got 2.0"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_has_no_theory_is_refused_by_name_rule_and_value(call, message, as_a_user):
    with pytest.raises(ValueError, match=f"theory needs {message}"):
        call()
