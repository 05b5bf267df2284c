"""Each cell's own forward pass, pull-back and gradients against autograd through its `step`."""

import pytest
import torch

from rnnlab.cells import LSTM, Elman
from rnnlab.scaled import Scaled, log10_norm
from rnnlab.scan import adjoint_scan, scan
from tests.rnnlab.oracles import CELLS, Plain, every_cell, random_cell, relative, unrolled

pytestmark = pytest.mark.usefixtures("loops")
ROUNDING = 1e-12  # float64, a few dozen operations deep


def case(name):
    cell = random_cell(name)
    return cell, torch.randn(9, 3, 3), torch.randn(3, cell.state_size)


def test_every_cell_of_the_package_is_tested_here():
    tested = {type(random_cell(name)) for name in CELLS}
    outside = {cls for cls in tested if cls.__module__ == "mylab.antisymmetric"}  # which writes `step` alone
    assert tested - outside == every_cell()
    assert len(outside) == 1


@pytest.mark.parametrize("name", CELLS)
def test_scan_equals_the_loop_of_step(name):
    cell, x, s_0 = case(name)
    h, last, path = scan(cell, x, s_0)
    states = torch.stack(unrolled(cell, x, s_0))
    assert relative(path.states, states) < ROUNDING
    assert relative(h, cell.hidden(states[1:])) < ROUNDING
    assert torch.equal(last, path.states[-1])


@pytest.mark.parametrize("name", CELLS)
def test_adjoints_equal_autograd_on_the_unrolled_loop(name):
    cell, x, s_0 = case(name)
    direct = torch.randn(10, 3, cell.state_size)
    states = unrolled(cell, x, s_0)
    (torch.stack(states) * direct).sum().backward()
    expected = torch.stack([s.grad for s in states])
    for which in (cell, Plain(cell)):
        path = scan(which, x, s_0)[2]
        assert relative(adjoint_scan(which, path, direct), expected) < ROUNDING
        log_range = adjoint_scan(which, path, Scaled.of(direct))
        assert relative(log_range.at(torch.zeros(10, 3)), expected) < ROUNDING
        assert (log_range.log10_norm() - log10_norm(expected)).abs().max() < ROUNDING


@pytest.mark.parametrize("name", CELLS)
def test_parameter_and_input_gradients_equal_the_generic_ones(name):
    cell, x, s_0 = case(name)
    x.requires_grad_()
    s_0.requires_grad_()
    wanted = (x, s_0, *cell.parameters())
    dh, d_last = torch.randn(9, 3, cell.size), torch.randn(3, cell.state_size)
    own, generic = (torch.autograd.grad(scan(which, x, s_0)[:2], wanted, (dh, d_last)) for which in (cell, Plain(cell)))
    assert max(relative(a, b) for a, b in zip(own, generic, strict=True)) < ROUNDING


@pytest.mark.parametrize("name", CELLS)
def test_scan_passes_gradcheck_and_gradgradcheck(name):
    cell = random_cell(name, 2, 2)  # even, as some cells need it
    x, s_0 = torch.randn(4, 2, 2, requires_grad=True), torch.randn(2, cell.state_size, requires_grad=True)
    inputs = (x, s_0, *cell.parameters())
    # Along random directions: a wrong entry shows in almost any, and all entries would take ten times as long.
    assert torch.autograd.gradcheck(lambda x, s, *_: scan(cell, x, s)[:2], inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x, s, *_: scan(cell, x, s)[:2], inputs, fast_mode=True)


@pytest.mark.parametrize("name", CELLS)
def test_weight_gradient_is_the_sum_over_time(name):
    cell, x, s_0 = case(name)
    h, *_ = scan(cell, x, s_0)
    h.square().sum().backward()
    expected = {key: torch.zeros_like(p) for key, p in cell.named_parameters()}
    direct = torch.zeros(10, 3, cell.state_size)
    direct[1:, :, : cell.size] = 2 * h.detach()
    path = scan(cell, x, s_0)[2]
    a = adjoint_scan(cell, path, direct)
    for t in range(9):  # each step alone, by autograd
        after = cell.step(cell.project(x[t]), path.states[t])
        found = torch.autograd.grad(after, tuple(cell.parameters()), a[t + 1])
        for total, g in zip(expected.values(), found, strict=True):
            total += g
    for key, p in cell.named_parameters():
        assert relative(p.grad, expected[key]) < ROUNDING


def test_lstm_reports_the_conventional_adjoint_of_c():
    """What autograd gives on a loop of torch.nn.LSTMCell, where h_t is made from c_t in the same step."""
    cell, x, s_0 = case("lstm")
    twin = torch.nn.LSTMCell(3, 4)
    twin.load_state_dict({"weight_ih": cell.U, "weight_hh": cell.W, "bias_ih": cell.b, "bias_hh": 0 * cell.b})
    state, kept = s_0.chunk(2, -1), []
    for x_t in x:
        state = twin(x_t, state)
        for v in state:
            v.retain_grad()
        kept.append(state)
    w = torch.randn(3, 4)
    (kept[-1][0] * w).sum().backward()
    path = scan(cell, x, s_0)[2]
    direct = torch.zeros(10, 3, 8)
    direct[-1, :, :4] = w
    a = adjoint_scan(cell, path, direct)
    rows = (v.flatten(0, 1) for v in (torch.cat(path.tape), path.states[:-1], path.states[1:], a[1:]))
    parts = cell.parts(*rows)
    for k, name in enumerate("hc"):
        expected = torch.stack([s[k].grad for s in kept]).flatten(0, 1)
        assert relative(parts[name], expected) < ROUNDING
    assert relative(a[1:-1, :, 4:].flatten(0, 1), parts["c"][:-3]) > 0.01  # the flat state's is another quantity


def test_unknown_activation_is_refused_with_the_known_ones(as_a_user):
    with pytest.raises(ValueError, match="out of tanh, relu, sigmoid, identity, modrelu, got 'elu'"):
        Elman(2, 3, activation="elu")


@pytest.mark.parametrize(("inputs", "size", "name"), [(0, 3, "inputs"), (2, 0, "size")])
def test_sizes_below_one_are_refused(inputs, size, name):
    with pytest.raises(ValueError, match=f"lstm needs {name} >= 1, got 0"):
        LSTM(inputs, size)
