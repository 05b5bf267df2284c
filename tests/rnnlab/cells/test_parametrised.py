"""Weights under torch.nn.utils.parametrize: the gradient reaches the originals, through every way of the engine."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from rnnlab import kernels
from rnnlab.cells import Cell
from rnnlab.inits import identity_
from rnnlab.networks import adjoints
from rnnlab.scaled import Scaled
from rnnlab.scan import adjoint_scan, scan
from rnnlab.tracing.calls import StackCall
from tests.rnnlab.oracles import CELLS, Plain, random_cell, relative, stack_of, unrolled

pytestmark = pytest.mark.usefixtures("loops")
ROUNDING = 1e-12  # float64, a few dozen operations deep
DENSE = [name for name in CELLS if hasattr(CELLS[name](2, 4), "W")]


class Bent(nn.Module):
    """W = tanh(X) + X turned by one row: entries depend on several originals. It counts how often it is asked."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, X):
        self.calls += 1
        return X.tanh() + X.roll(1, 0)


def bent(cell: Cell, *names: str) -> list[Bent]:
    """Parametrise the weights of these names, dotted ones in a cell within the cell."""
    found = []
    for path, _, name in (full.rpartition(".") for full in names):
        found.append(Bent())
        register_parametrization(cell.get_submodule(path), name, found[-1])
    return found


def case(name: str, *names: str) -> tuple[Cell, torch.Tensor, torch.Tensor]:
    cell = random_cell(name)
    bent(cell, *(names or ("W",)))
    return cell, torch.randn(9, 3, 3), torch.randn(3, cell.state_size)


def parameters_and_gradients(cell, outputs, cotangents, *inputs):
    wanted = dict(cell.named_parameters()) | dict(enumerate(inputs))
    return dict(zip(wanted, torch.autograd.grad(outputs, tuple(wanted.values()), cotangents), strict=True))


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("nested", [False, True], ids=["itself", "nested"])
def test_gradients_of_the_originals_equal_autograd_on_the_unrolled_loop(name, nested):
    """Each step of the twin computes the weights anew, as torch does wherever one is read."""
    cell, x, s_0 = case(name, "W", "U", "b")
    cell = Plain(cell) if nested else cell
    x.requires_grad_()
    dh, d_last = torch.randn(9, 3, cell.size), torch.randn(3, cell.state_size)
    states = unrolled(cell, x, s_0)
    expected = parameters_and_gradients(cell, (cell.hidden(torch.stack(states[1:])), states[-1]), (dh, d_last), x)
    for settings in ({}, {"checkpoint_every": 4}):
        found = parameters_and_gradients(cell, scan(cell, x, s_0, **settings)[:2], (dh, d_last), x)
        assert max(relative(found[key], expected[key]) for key in expected) < ROUNDING
    assert any("parametrizations.W.original" in key for key in expected)


@pytest.mark.parametrize(("name", "nested"), [("lstm", False), ("gru", True)])
def test_gradcheck_and_gradgradcheck_pass(name, nested):
    cell = random_cell(name, 1, 2)
    cell = Plain(cell) if nested else cell
    bent(cell, "inner.W" if nested else "W")
    inputs = (torch.randn(3, 1, 1, requires_grad=True), torch.randn(1, cell.state_size), *cell.parameters())
    assert torch.autograd.gradcheck(lambda x, s, *_: scan(cell, x, s)[:2], inputs)
    assert torch.autograd.gradgradcheck(lambda x, s, *_: scan(cell, x, s)[:2], inputs)


@pytest.mark.parametrize("settings", [{}, {"checkpoint_every": 20}, {"truncate": 7}])
def test_a_parametrised_weight_is_computed_once_per_scan(settings):
    cell = random_cell("lstm")
    (counter,) = bent(cell, "W")
    counter.calls = 0
    h, _, path = scan(cell, torch.randn(100, 40, 3), **settings)
    h.sum().backward()
    assert counter.calls == 1
    adjoint_scan(cell, path, torch.randn(path.shape))
    assert counter.calls == 2


def test_a_network_hands_out_a_cell_that_computes_nothing_anew():
    """What `Pass.cell` is to be; a trace copies it, which torch refuses for a tensor with a graph."""
    network = stack_of("gru", depth=1, direction="forward")
    (cell,) = network.layers[0]
    (counter,) = bent(cell, "W")
    ours = cell.materialised()
    x = torch.randn(5, 2, 3)
    _, trajectory = network(x)
    trajectory.passes[0, "forward"] = trajectory.passes[0, "forward"]._replace(cell=ours)
    counter.calls = 0
    direct = torch.randn(5, 2, 4)
    found = adjoints(trajectory, direct).parts[0, "forward", "h"]
    call = StackCall(trajectory)
    call.freeze()
    assert counter.calls == 0
    with torch.no_grad():
        cell.parametrizations.W.original.zero_()
    assert torch.equal(adjoints(call.trajectory(), direct).parts[0, "forward", "h"], found)


@pytest.mark.parametrize("name", DENSE)
def test_adjoints_equal_those_of_a_plain_cell_with_the_same_numbers(name):
    cell, x, s_0 = case(name)
    plain = random_cell(name)
    plain.load_state_dict({key: getattr(cell, key) for key in plain.state_dict()})
    direct = torch.randn(10, 3, cell.state_size)
    path = scan(cell, x, s_0)[2]
    assert torch.equal(path.states, scan(plain, x, s_0)[2].states)
    assert torch.equal(adjoint_scan(cell, path, direct), adjoint_scan(plain, path, direct))
    ours, theirs = (adjoint_scan(c, path, Scaled.of(direct)) for c in (cell, plain))
    assert torch.equal(ours.value, theirs.value)


def test_a_parametrised_cell_keeps_its_compiled_loops(monkeypatch):
    if not kernels.fits(torch.ones(1)):
        pytest.skip("the loops of this test run are Python's")
    used = []
    monkeypatch.setattr(kernels, "forward", lambda *a, of=kernels.forward: used.append("forward") or of(*a))
    monkeypatch.setattr(kernels, "backward", lambda *a, of=kernels.backward: used.append("backward") or of(*a))
    cell, x, s_0 = case("lstm")
    scan(cell, x, s_0)[0].sum().backward()
    assert used == ["forward", "backward"]


def test_a_cell_without_parametrisations_is_its_own_materialised_cell():
    for cell in (random_cell("lstm"), Plain(random_cell("gru"))):
        assert cell.materialised() is cell


def test_a_layer_that_occurs_twice_stays_one():
    """Two names for one inner cell: one computed weight, and a gradient from both."""
    cell = Plain(random_cell("tanh"))
    cell.again = cell.inner
    bent(cell, "inner.W")
    ours = cell.materialised()
    assert ours.again is ours.inner
    assert type(ours.inner) is type(random_cell("tanh"))


def test_filling_a_computed_weight_is_refused(as_a_user):
    cell, *_ = case("tanh")
    with pytest.raises(ValueError, match="before its weights are parametrised"):
        cell.initialise(identity_)
