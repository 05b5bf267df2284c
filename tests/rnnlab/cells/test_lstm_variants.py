"""LSTMs with peepholes and with coupled gates, against the equations written out and against the LSTM."""

import pytest
import torch

from rnnlab import inits
from rnnlab.cells import LSTM, Cell
from rnnlab.cells.coupled_lstm import CoupledLSTM
from rnnlab.cells.peephole_lstm import PeepholeLSTM
from rnnlab.networks.measures import parts
from rnnlab.scan import scan, way_back
from tests.rnnlab.oracles import random_cell, relative

ROUNDING = 1e-12  # float64, a few dozen operations deep


def reported(cell: Cell, path, w: torch.Tensor) -> dict[str, torch.Tensor]:
    """The adjoints of h and c of every step, of a loss with gradient w at the last h."""
    direct = torch.zeros(path.shape)
    direct[-1, :, : cell.size] = w
    (block,) = way_back(cell, path, lambda steps, _: direct[1:][steps])
    with torch.no_grad():
        return parts((0, ""), cell, block)


def peephole(cell: PeepholeLSTM, x_t, h, c):
    """Greff 2017, section II, gate by gate."""
    (W_i, W_f, W_g, W_o), (U_i, U_f, U_g, U_o), (b_i, b_f, b_g, b_o) = (v.chunk(4) for v in (cell.W, cell.U, cell.b))
    p_i, p_f, p_o = cell.P.chunk(3)
    g = torch.tanh(U_g @ x_t + W_g @ h + b_g)
    i = torch.sigmoid(U_i @ x_t + W_i @ h + p_i * c + b_i)
    f = torch.sigmoid(U_f @ x_t + W_f @ h + p_f * c + b_f)
    c = g * i + c * f
    c.retain_grad()
    o = torch.sigmoid(U_o @ x_t + W_o @ h + p_o * c + b_o)
    return torch.tanh(c) * o, c


def coupled(cell: CoupledLSTM, x_t, h, c):
    """The same without peepholes and with i = 1 - f."""
    (W_f, W_g, W_o), (U_f, U_g, U_o), (b_f, b_g, b_o) = (v.chunk(3) for v in (cell.W, cell.U, cell.b))
    f = torch.sigmoid(U_f @ x_t + W_f @ h + b_f)
    c = f * c + (1 - f) * torch.tanh(U_g @ x_t + W_g @ h + b_g)
    c.retain_grad()
    return torch.sigmoid(U_o @ x_t + W_o @ h + b_o) * torch.tanh(c), c


@pytest.mark.parametrize(("name", "step"), [("peephole_lstm", peephole), ("coupled_lstm", coupled)])
def test_states_and_conventional_adjoints_equal_the_equations_gate_by_gate(name, step):
    cell, x, w = random_cell(name), torch.randn(9, 1, 3), torch.randn(1, 4)
    h, c, kept = torch.zeros(4), torch.zeros(4), []
    for x_t in x[:, 0]:
        h, c = step(cell, x_t, h, c)
        h.retain_grad()
        kept.append((h, c))
    (h * w[0]).sum().backward()
    path = scan(cell, x)[2]
    found = reported(cell, path, w)
    for k, part in enumerate("hc"):
        assert relative(path.states[1:, 0, 4 * k :][:, :4], torch.stack([v[k] for v in kept])) < ROUNDING
        assert relative(found[part][:, 0], torch.stack([v[k].grad for v in kept])) < ROUNDING


def test_peepholes_start_at_zero_and_then_it_is_the_lstm():
    cell, twin = PeepholeLSTM(3, 4), LSTM(3, 4)
    cell.initialise(lambda W, generator: inits.gaussian_(W, gain=1.0, generator=generator))
    twin.load_state_dict({name: v for name, v in cell.state_dict().items() if name != "P"})
    x = torch.randn(12, 2, 3)
    assert relative(scan(cell, x)[0], scan(twin, x)[0]) < ROUNDING


@pytest.mark.parametrize("forget_bias", [-1.0, 2.0])
def test_a_coupled_cell_without_weights_passes_sigmoid_of_the_forget_bias(forget_bias):
    """dc_T/dc_t = sigmoid(b_f)^k, exactly; and a memory from within [-1, 1] stays there, whatever the weights."""
    cell = CoupledLSTM(3, 4)
    cell.b.data.copy_(torch.tensor([forget_bias, 0.5, 0.3]).repeat_interleave(4))
    c = reported(cell, scan(cell, torch.randn(30, 2, 3))[2], torch.randn(2, 4))["c"]
    law = torch.tensor(forget_bias).sigmoid() ** torch.arange(29, -1, -1.0)
    assert torch.allclose(c / c[-1], law[:, None, None].expand_as(c), rtol=1e-12)
    wild = random_cell("coupled_lstm")
    memory = scan(wild, 5 * torch.randn(200, 2, 3))[2].states[..., 4:]
    assert 0.9 < memory.abs().max() <= 1


def test_the_memory_gradient_of_a_peephole_cell_can_grow():
    """c -> c through the forget gate alone: p_f f (1 - f) c on top of f, here 1.12 at c = 2, p_f = 1."""
    cell = PeepholeLSTM(1, 1)
    cell.P.data.copy_(torch.tensor([0.0, 1.0, 0.0]))
    cell.b.data.copy_(torch.tensor([0.0, -1.0, 0.0, -50.0]))  # the output gate is closed
    path = scan(cell, torch.zeros(1, 1, 1), torch.tensor([[0.0, 2.0]]))[2]
    direct = torch.zeros(path.shape)
    direct[-1, 0, 1] = 1
    (block,) = way_back(cell, path, lambda steps, _: direct[1:][steps])
    f = torch.tensor(1.0).sigmoid()
    assert torch.allclose(block.carried[0, 1], f + f * (1 - f) * 2, rtol=1e-14)
    assert block.carried[0, 1] > 1.1
