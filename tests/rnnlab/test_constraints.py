"""Constrained recurrent matrices: where they start, what they keep in training, and the gradient of what is trained."""

import importlib
import math
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized

from rnnlab import inits
from rnnlab.cells import GRU, LSTM, Cell, Elman, ProjectedLSTM
from rnnlab.constraints import orthogonal, spectral_margin
from rnnlab.scaled import log10_norm
from rnnlab.scan import adjoint_scan, scan
from tests.rnnlab.oracles import Plain, relative, unrolled

CONF = Path(__file__).parents[2] / "conf" / "constraint"
ROUNDING = 1e-12  # float64: a product of a few matrices with entries up to 1, and their exponential
CELLS = {"tanh": partial(Elman, activation="tanh"), "lstm": LSTM, "gru": GRU}
MAPS = ("matrix_exp", "cayley")
each_cell = pytest.mark.parametrize("name", CELLS)
each_map = pytest.mark.parametrize("map", MAPS)


def cell_of(name: str, size: int = 5, gain: float = 1.3) -> Cell:
    cell = CELLS[name](2, size)
    cell.initialise(partial(inits.gaussian_, gain=gain))
    nn.init.normal_(cell.b)
    return cell


def gates(cell: Cell) -> torch.Tensor:
    return cell.W.detach().unflatten(0, (-1, cell.size))


def trained(cell: Cell, updates: int = 50, lr: float = 0.05) -> Cell:
    """Adam towards another cell's last state, by the engine: a problem that pulls W somewhere."""
    optimizer = torch.optim.Adam(cell.parameters(), lr=lr)
    x, y = torch.randn(8, 16, cell.inputs), torch.randn(16, cell.state_size)
    for _ in range(updates):
        optimizer.zero_grad()
        (scan(cell, x)[1] - y).square().mean().backward()
        optimizer.step()
    return cell


@each_cell
@each_map
def test_every_gate_starts_at_the_nearest_orthogonal_matrix_and_stays_orthogonal(name, map):
    """Nearest: W = Q P with P = Q^T W symmetric and positive, the polar decomposition."""
    cell = cell_of(name)
    W = gates(cell)
    orthogonal(cell, map=map)
    Q = gates(cell)
    P = Q.mT @ W
    assert relative(P, P.mT) < ROUNDING
    assert torch.linalg.eigvalsh(P).min() > 0
    after = gates(trained(cell))
    assert relative(after.mT @ after, torch.eye(5).expand_as(after)) < ROUNDING
    assert ((after - Q).flatten(1).norm(dim=1) > 0.1).all()


@each_cell
@each_map
def test_singular_values_start_clipped_into_the_margin_and_stay_in_it(name, map):
    cell, margin = cell_of(name), 0.3
    U, s, V_t = torch.linalg.svd(gates(cell))
    assert ((s < 0.7) | (s > 1.3)).any()
    spectral_margin(cell, margin=margin, map=map)
    expected = U * s.clamp(1 - 0.95 * margin, 1 + 0.95 * margin)[:, None, :] @ V_t
    assert relative(gates(cell), expected) < ROUNDING
    s, first = torch.linalg.svdvals(gates(trained(cell))), torch.linalg.svdvals(expected)
    assert ((s > 1 - margin - ROUNDING) & (s < 1 + margin + ROUNDING)).all()
    assert (s - first).abs().max() > 0.02
    assert relative(gates(cell), expected) > 0.1  # U and V have turned as well


@pytest.mark.parametrize("margin", [0.001, 0.1, 1.0])
def test_a_step_of_what_is_trained_moves_the_singular_values_alike_whatever_the_margin(margin):
    """s = 1 + 2 m (sigmoid(q / 2m) - 1/2): from an orthogonal W, at q = 0, by a quarter of the step."""
    cell = cell_of("tanh")
    inits.orthogonal_(cell.W, gain=1.0)
    spectral_margin(cell, margin=margin, map="cayley")
    q = cell.parametrizations.W.original1
    step = 1e-3 * margin * torch.linspace(-1, 1, 5)
    q.data += step
    assert relative(torch.linalg.svdvals(gates(cell)).flip(-1)[0], 1 + step / 4) < 1e-9 * margin
    q.data.fill_(margin)
    expected = torch.full((1, 5), 1 + 2 * margin * (1 / (1 + math.exp(-0.5)) - 0.5))
    assert relative(torch.linalg.svdvals(gates(cell)), expected) < ROUNDING


def test_a_matrix_inside_the_set_is_left_as_it_was():
    cell = cell_of("tanh")
    inits.orthogonal_(cell.W, gain=1.0)
    W = cell.W.detach().clone()
    for constraint in (partial(orthogonal, map="cayley"), partial(spectral_margin, margin=0.01, map="cayley")):
        twin = cell_of("tanh")
        twin.load_state_dict(cell.state_dict())
        constraint(twin)
        assert relative(twin.W, W) < ROUNDING


@each_map
def test_matrix_and_gradient_equal_those_of_torchs_own_parametrisation_gate_by_gate(map):
    """torch constrains one matrix [H, H]; its triangular original holds ours below the diagonal."""
    cell = cell_of("gru")
    orthogonal(cell, map=map)
    ours = cell.parametrizations.W
    L = torch.randn_like(ours.original)
    ours.original.data.copy_(L)
    d = torch.randn(3, 5, 5)
    (found,) = torch.autograd.grad((cell.W.unflatten(0, (3, 5)) * d).sum(), ours.original)
    for gate in range(3):
        twin = nn.Linear(5, 5, bias=False)
        twin.weight.data.copy_(ours[0].Q_0[gate])
        parametrizations.orthogonal(twin, orthogonal_map=map)
        X, (i, j) = twin.parametrizations.weight.original, torch.tril_indices(5, 5, -1)
        X.data[i, j] = L[gate]
        assert relative(gates(cell)[gate], twin.weight) < ROUNDING
        (expected,) = torch.autograd.grad((twin.weight * d[gate]).sum(), X)
        assert relative(found[gate], expected[i, j]) < ROUNDING


@each_cell
@pytest.mark.parametrize(
    "constraint",
    [partial(c, map=map) for c in (orthogonal, partial(spectral_margin, margin=0.2)) for map in MAPS],
    ids=["matrix_exp", "cayley", "spectral_margin", "spectral_margin-cayley"],
)
def test_gradients_of_the_originals_equal_autograd_on_the_loop(name, constraint):
    """The twin computes W anew at every step."""
    cell = cell_of(name)
    constraint(cell)
    trained(cell, updates=3)  # away from the start, where exp and Cayley agree
    x, s_0 = torch.randn(4, 2, 2), torch.randn(2, cell.state_size)
    expected, found = (
        torch.autograd.grad(last.square().sum(), tuple(cell.parameters()))
        for last in (unrolled(cell, x, s_0)[-1], scan(cell, x, s_0)[1])
    )
    assert max(relative(a, b) for a, b in zip(found, expected, strict=True)) < ROUNDING


@each_map
def test_a_linear_cell_passes_gradients_on_unchanged_after_training(map):
    """200 steps, each a product with rounding 1e-16 sqrt(H)."""
    cell = Elman(2, 16, activation="identity")
    cell.initialise(partial(inits.gaussian_, gain=1.0))
    orthogonal(cell, map=map)
    path = scan(trained(cell), torch.zeros(200, 2, 2))[2]
    direct = torch.zeros(path.shape)
    direct[-1].normal_()
    norm = log10_norm(adjoint_scan(cell, path, direct))
    assert (norm - norm[-1]).abs().max() < ROUNDING


def test_a_trained_cell_is_restored_from_its_state():
    for constraint in (partial(orthogonal, map="cayley"), partial(spectral_margin, margin=0.2, map="matrix_exp")):
        cells = [cell_of("lstm"), cell_of("lstm")]
        for cell in cells:
            constraint(cell)
        trained(cells[0])
        cells[1].load_state_dict(cells[0].state_dict())
        assert torch.equal(cells[1].W, cells[0].W)


def test_float32_starts_orthogonal_to_its_last_bit():
    """H = 64: Q^T Q sums 64 products of size 1/64, each with a rounding error of up to 6e-8 of itself: below 1e-7."""
    cell = cell_of("tanh", size=64).float()
    orthogonal(cell, map="matrix_exp")
    Q = gates(cell).double()
    assert (Q.mT @ Q - torch.eye(64)).abs().max() < 1e-7


def test_an_inner_cell_is_constrained_by_its_dotted_name():
    cell = Plain(cell_of("gru"))
    cell.recurrents = ("inner.W",)
    orthogonal(cell, map="cayley")
    assert is_parametrized(cell.inner, "W")
    assert relative(gates(cell.inner).mT @ gates(cell.inner), torch.eye(5).expand(3, 5, 5)) < ROUNDING


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_choice_of_the_configuration_acts_on_a_cell(path):
    values = yaml.safe_load(path.read_text())
    module, _, name = values.pop("_target_").rpartition(".")
    cell = cell_of("lstm")
    getattr(importlib.import_module(module), name)(cell, **values)
    assert is_parametrized(cell, "W") == (path.stem != "none")


@pytest.mark.parametrize(
    ("constraint", "cell", "message"),
    [
        (partial(orthogonal, map="cayley"), ProjectedLSTM(2, 3, memory=6), "orthogonal needs a dense square recurrent"),
        (
            partial(spectral_margin, margin=0.1, map="cayley"),
            ProjectedLSTM(2, 3, memory=3),
            "per gate, which ProjectedLSTM lacks",
        ),
        (partial(spectral_margin, margin=0, map="cayley"), GRU(2, 3), r"0 < margin <= 1 .*, got 0"),
        (partial(spectral_margin, margin=1.5, map="cayley"), GRU(2, 3), r"0 < margin <= 1 .*, got 1\.5"),
        (partial(spectral_margin, margin=0.1, map="qr"), GRU(2, 3), "spectral_margin needs a map .*, got 'qr'"),
        (partial(orthogonal, map="householder"), GRU(2, 3), "a map out of matrix_exp, cayley, got 'householder'"),
    ],
)
def test_what_cannot_be_constrained_is_refused_with_the_reason(constraint, cell, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        constraint(cell)
    assert not any(is_parametrized(m) for m in cell.modules())


def test_a_second_constraint_is_refused(as_a_user):
    cell = cell_of("tanh")
    orthogonal(cell, map="cayley")
    with pytest.raises(ValueError, match="W is parametrised already"):
        spectral_margin(cell, margin=0.1, map="cayley")
