"""What a measured gradient must equal: closed forms and laws, one test each."""

import math

import pytest
import torch
from torch import nn

from rnnlab import inits
from rnnlab.cells import GRU, LSTM, Elman
from rnnlab.networks import adjoints
from rnnlab.scaled import Scaled, log10_norm
from rnnlab.scan import adjoint_scan, scan
from tests.rnnlab.oracles import random_cell, stack_of


def backward_from_the_end(cell, x, g_T) -> torch.Tensor:
    """The adjoints [T+1, B, S] of a loss whose gradient at h_T is g_T."""
    path = scan(cell, x)[2]
    direct = torch.zeros_like(path.states)
    direct[-1, :, : cell.size] = g_T
    return adjoint_scan(cell, path, direct)


def linear(W: torch.Tensor) -> Elman:
    cell = Elman(1, len(W), activation="identity")
    cell.W.data = W
    return cell


def test_linear_tied_weights_give_powers_of_W_transposed():
    W, g = torch.randn(8, 8) / 8**0.5, torch.randn(2, 8)
    a = backward_from_the_end(linear(W), torch.randn(60, 2, 1), g)
    smallest, largest = torch.linalg.svdvals(W)[[-1, 0]]
    for k in (1, 2, 7, 30, 60):
        expected = g @ torch.linalg.matrix_power(W, k)  # rows: g^T W^k is ((W^T)^k g)^T
        assert torch.allclose(a[60 - k], expected, rtol=1e-10, atol=1e-12 * float(expected.norm()))
        ratio = a[60 - k].norm(dim=-1) / g.norm(dim=-1)
        assert ((smallest**k <= ratio) & (ratio <= largest**k)).all()


def test_the_slope_of_the_log_norm_is_the_spectral_radius():
    """Linear, 2,000 steps: what is not the leading eigenvector has died after the first 500."""
    W = torch.randn(12, 12)
    W = 0.98 * W / torch.linalg.eigvals(W).abs().max()
    norm = log10_norm(backward_from_the_end(linear(W), torch.zeros(2000, 1, 1), torch.randn(1, 12)))[:, 0]
    slope = (norm[500] - norm[0]) / 500  # a complex pair turns, so the norm wobbles around the line
    assert abs(slope - -math.log10(0.98)) < 1e-3


@pytest.mark.parametrize("alpha", [1.0, 0.97, 1.03])
def test_alpha_times_orthogonal_keeps_alpha_to_the_k_over_a_thousand_steps(alpha):
    W = alpha * nn.init.orthogonal_(torch.empty(32, 32))
    a = backward_from_the_end(linear(W), torch.randn(1000, 2, 1), torch.randn(2, 32))
    log = log10_norm(a) - log10_norm(a[-1])
    k = torch.arange(1000, -1, -1.0)[:, None]
    assert (log - k * math.log10(alpha)).abs().max() < 1e-12


@pytest.mark.parametrize(("activation", "gamma"), [("tanh", 1.0), ("sigmoid", 0.25)])
@pytest.mark.parametrize("gain", [0.5, 1.5, 5.0])
def test_the_bound_of_pascanu_holds_at_every_lag(activation, gamma, gain):
    cell = random_cell(activation, 3, 16)
    inits.gaussian_(cell.W, gain=gain)
    a = backward_from_the_end(cell, torch.randn(40, 3, 3), torch.randn(3, 16))
    ratio = log10_norm(a) - log10_norm(a[-1])
    k = torch.arange(40, -1, -1.0)[:, None]
    bound = k * (gamma * torch.linalg.matrix_norm(cell.W, 2)).log10()
    assert (ratio <= bound + 1e-12).all()
    assert (ratio[-2] > -5).all()  # and there is a gradient to bound


def test_relu_with_orthogonal_weights_never_grows():
    cell = random_cell("relu", 3, 16)
    inits.orthogonal_(cell.W, gain=1.0)
    a = backward_from_the_end(cell, torch.randn(40, 3, 3), torch.randn(3, 16))
    norm = a.norm(dim=-1)
    assert (norm[:-1] <= norm[1:] * (1 + 1e-12)).all()
    assert (norm[0] < norm[-1]).all()


@pytest.mark.parametrize("forget_bias", [-1.0, 0.0, 2.0])
def test_lstm_without_weights_passes_sigmoid_of_the_forget_bias(forget_bias):
    """dc_T/dc_t = sigmoid(b_f)^k, exactly, on the conventional adjoint of c."""
    network = stack_of("lstm", depth=1, direction="forward", readout="last")
    (cell,) = network.layers[0]
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.b[4:8] = forget_bias
        cell.b[12:] = 0.3
        cell.b[8:12] = 0.5  # c is not zero, so the path through h_T is not at its symmetric point
    outputs, trajectory = network(torch.zeros(30, 2, 3))
    (d_out,) = torch.autograd.grad(outputs.sum(), trajectory.out)
    c = adjoints(trajectory, d_out).parts[0, "forward", "c"]
    law = torch.tensor(forget_bias).sigmoid() ** torch.arange(29, -1, -1.0)
    assert torch.allclose(c / c[-1], law[:, None, None].expand_as(c), rtol=1e-12)


def test_torch_default_init_loses_a_factor_of_one_over_root_three_per_linear_step():
    """Tied W of size 1,000: norms fluctuate by about 1/sqrt(H) per step; over 10 steps 3 % sees a wrong variance."""
    W = inits.torch_default_(torch.empty(1000, 1000))
    a = backward_from_the_end(linear(W), torch.zeros(10, 4, 1), torch.randn(4, 1000))
    factor = (a[0].norm(dim=-1) / a[-1].norm(dim=-1)) ** 0.1
    assert (factor - 3**-0.5).abs().max() < 0.01


def test_bidirectional_linear_network_read_at_both_ends_is_a_u():
    """dL/dx_t: a^(T-1-t) from the forward pass and a^t from the backward one."""
    network = stack_of("identity", depth=1, readout="last", hidden=6)
    with torch.no_grad():
        for cell in network.layers[0]:
            inits.orthogonal_(cell.W, gain=0.9)
    steps = 50
    outputs, trajectory = network(torch.randn(steps, 2, 3))
    (d_out,) = torch.autograd.grad(outputs.sum(), trajectory.out)
    found = adjoints(trajectory, d_out).parts
    t = torch.arange(steps)[:, None]
    for direction, law in (("forward", 0.9 ** (steps - 1.0 - t)), ("backward", 0.9 ** (1.0 * t))):
        norm = found[0, direction, "h"].norm(dim=-1)
        assert torch.allclose(norm / norm.max(0).values, law.expand_as(norm), rtol=1e-12)
    norm = adjoints(trajectory, d_out, input_too=True).x.norm(dim=-1)
    middle = norm[steps // 2]
    assert (norm[0] > 5 * middle).all()
    assert (norm[-1] > 5 * middle).all()


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_the_backward_direction_is_the_forward_cell_on_the_reversed_input(name):
    """Trap 15: its profile is the forward one turned, not the forward one."""
    forward = stack_of(name, depth=1, direction="forward", readout="last")
    backward = stack_of(name, depth=1, direction="backward", readout="last")
    backward.load_state_dict(forward.state_dict())
    x = torch.randn(15, 2, 3)
    profiles = []
    for network, sequence, direction in ((forward, x.flip(0), "forward"), (backward, x, "backward")):
        outputs, trajectory = network(sequence)
        (d_out,) = torch.autograd.grad(outputs.sum(), trajectory.out)
        profiles.append(log10_norm(adjoints(trajectory, Scaled.of(d_out)).parts[0, direction, "h"]))
    assert torch.equal(profiles[0].flip(0), profiles[1])
    assert not torch.allclose(profiles[0], profiles[1], atol=0.1)


def jacobian(cell, z, s) -> torch.Tensor:
    """ds_1/ds_0 from the cell's own pull-back, row by row."""
    path = scan(cell, torch.zeros(1, cell.state_size, cell.inputs), s.expand(cell.state_size, -1))[2]
    direct = torch.zeros_like(path.states)
    direct[-1] = torch.eye(cell.state_size)
    return adjoint_scan(cell, path, direct)[0]


def test_gru_linearised_at_zero_is_half_the_identity_and_a_quarter_of_W():
    cell = GRU(2, 5)
    nn.init.normal_(cell.W)
    expected = torch.eye(5) / 2 + cell.W[10:] / 4
    assert torch.allclose(jacobian(cell, None, torch.zeros(1, 5)), expected, rtol=0, atol=1e-15)


def test_lstm_linearised_at_zero_passes_its_forget_gate_and_a_quarter_of_W():
    """At (h, c) = 0: dc'/dc = sigmoid(b_f), dc'/dh = W_g / 2, dh'/d. = 1/2 dc'/d.; on c over a step pair 1/4 W_g."""
    cell = LSTM(2, 5)
    nn.init.normal_(cell.W)
    with torch.no_grad():
        cell.b[5:10] = 0.7
    J = jacobian(cell, None, torch.zeros(1, 10))
    f, W_g = torch.tensor(0.7).sigmoid() * torch.eye(5), cell.W[10:15]
    expected = torch.cat([torch.cat([W_g / 4, f / 2], 1), torch.cat([W_g / 2, f], 1)])
    assert torch.allclose(J, expected, rtol=0, atol=1e-15)
    on_c = torch.linalg.eigvals(f + W_g / 4)  # h = c/2 near 0, so the state moves along (1/2, 1): J (v/2, v)
    v = torch.randn(5)
    moved = J @ torch.cat([v / 2, v])
    assert torch.allclose(moved[5:], (f + W_g / 4) @ v, atol=1e-14)
    found = torch.linalg.eigvals(J).abs().sort(descending=True).values[:5]
    assert torch.allclose(found, on_c.abs().sort(descending=True).values, atol=1e-12)


def test_products_of_jacobians_come_in_the_right_order():
    """Trap 3: a drive that is quiet and then saturates; random W, so that J2 J1 is not J1 J2."""
    cell, x = random_cell("tanh", 3, 6), torch.randn(12, 1, 3) * torch.linspace(0, 8, 12)[:, None, None]
    g = torch.randn(1, 6)
    a = backward_from_the_end(cell, x, g)
    h = scan(cell, x)[2].states
    product = torch.eye(6)
    for t in range(1, 13):
        product = (1 - h[t, 0] ** 2)[:, None] * cell.W @ product
    assert torch.allclose(a[0], g @ product, rtol=1e-10)
