"""Saturation: slopes against autograd through the definition of a cell, shares against a count by hand."""

import math

import pytest
import torch

from rnnlab.cells import Cell
from rnnlab.probes import Moment, Saturation
from rnnlab.scan import scan
from rnnlab.tasks.base import Batch, shifted
from tests.rnnlab.networks.test_depth import network_of
from tests.rnnlab.oracles import CELLS, random_cell, stack_of, unrolled
from tests.rnnlab.probes.test_several import moment_of

WITHOUT = ("identity", "lru", "min_gru", "min_lstm", "antisymmetric")
TILL = math.sqrt(0.9)  # 1 - h^2 = .1


def by_autograd(cell: Cell, z: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """The slope [N, H] from derivatives of one step alone, each unit's drive entering that unit alone."""
    z, s = z.requires_grad_(), s.requires_grad_()
    new = cell.step(z, s)
    gates = dict(zip(cell.gates, z.chunk(len(cell.gates), -1), strict=True))

    def of(y: torch.Tensor) -> dict[str, torch.Tensor]:
        found = torch.autograd.grad(y.sum(), z, retain_graph=True)[0]
        return dict(zip(gates, found.chunk(len(gates), -1), strict=True))

    name = type(cell).__name__
    if name == "GRU":  # dh'/dz_n = (1 - u) n', and h' = (1 - u) n + u h
        u = torch.sigmoid(gates["u"] + s @ cell.W[4:8].t())
        return of(new)["n"] / (1 - u)
    if "LSTM" in name:  # dh'/dz = o m' dc'/dz, h' = o m
        h, c = new.chunk(2, -1)
        return of(h)["f"] / of(c)["f"] * c.tanh() / h
    scale = {"Leaky": getattr(cell, "leak", 1), "CoRNN": getattr(cell, "dt", 1)}.get(name, 1)
    slope = of(new[:, -4:])["h"] / scale
    return slope * (4 if getattr(cell, "activation", "") == "sigmoid" else 1)


@pytest.mark.parametrize("name", [name for name in CELLS if name not in WITHOUT and not name.startswith("deep")])
def test_slopes_are_those_of_autograd(name):
    cell = random_cell(name) if name != "projected" else CELLS[name](3, 4, memory=4)
    if name == "projected":
        torch.nn.init.normal_(cell.W)
        cell.V.data = torch.eye(4)  # so that the units are those of h
    if name == "peephole_lstm":
        cell.P.data[8:] = 0  # of o, which would be a second way from c' to h'
    x, s_0 = torch.randn(40, 5, 3), torch.randn(5, cell.state_size)
    path = scan(cell, 3 * x, s_0)[2]
    found = cell.slopes(torch.cat(path.tape).flatten(0, 1), path.states[1:].flatten(0, 1))
    wanted = by_autograd(cell, cell.project(3 * x).flatten(0, 1).detach(), path.states[:-1].flatten(0, 1))
    assert (found - wanted).abs().max() < 1e-9  # a quotient of small derivatives
    assert found.min() < 0.2 or name == "coupled_lstm"  # whose c never leaves [-1, 1] for long
    assert found.max() > 0.8


@pytest.mark.parametrize("shortcut", [False, True])
def test_a_deep_transition_counts_the_units_of_all_its_maps(shortcut):
    network = stack_of("tanh", depth=1, direction="forward", transition=3, shortcut=shortcut)
    (cell,), x = network.cells(), 4 * torch.randn(1, 50, 3)
    states, s = [], torch.zeros(50, 4)
    for j, f in enumerate(cell.maps):
        h = torch.zeros(50, 4) if j == 2 else None  # h_{t-1}, what the shortcut sees
        z = f.project(x[0]) if j == 0 else f.project(h) if shortcut and j == 2 else f.b.expand(50, 4)
        states.append(s := f.step(z, s))
    wanted = (1 - torch.cat(states).square() < 0.1).double().mean().item()
    assert 0.1 < wanted < 0.9
    assert saturated(network, x) == {"state/L0/forward/saturated": pytest.approx(wanted, abs=1e-12)}


def saturated(network, x, lengths=None) -> dict[str, float]:
    outputs, trajectory = network(x, lengths)
    losses = outputs.sum(-1)
    return Saturation()(Moment(0, network, trajectory, losses, losses.sum(0), range(len(x)))).scalars


@pytest.mark.parametrize("name", WITHOUT)
def test_a_cell_without_such_a_nonlinearity_has_no_number(name):
    assert saturated(stack_of(name), torch.randn(9, 3, 3)) == {}


@pytest.mark.parametrize("every", [None, 7])
@pytest.mark.parametrize("padded", [False, True])
def test_the_share_is_a_count_over_steps_and_units_without_padding(every, padded):
    """Against the loop of `step`, a sample at a time; 90 steps are two blocks or more."""
    network = stack_of("tanh", checkpoint_every=every)
    lengths = torch.randint(1, 91, (30,)) if padded else None
    x = 3 * torch.randn(90, 30, 3)
    wanted = dict.fromkeys(["L0/forward", "L0/backward", "L1/forward", "L1/backward"], 0)
    for b in range(30):
        below = x[: int(lengths[b]) if padded else 90, b : b + 1]
        for depth, layer in enumerate(network.layers):
            both = []
            for way, cell in zip(network.directions, layer, strict=True):
                u = below if way == "forward" else below.flip(0)
                h = torch.stack(unrolled(cell, u, torch.zeros(1, 4))[1:]).detach()
                wanted[f"L{depth}/{way}"] += (h.abs() > TILL).sum().item()
                both.append(h if way == "forward" else h.flip(0))
            below = torch.cat(both, -1)
    steps = int(lengths.sum()) if padded else 90 * 30
    found = saturated(network, x, lengths)
    assert found == {f"state/{key}/saturated": pytest.approx(n / (4 * steps), abs=1e-12) for key, n in wanted.items()}
    assert all(0.02 < value < 0.9 for value in found.values())


def test_the_layers_of_a_decoder_are_counted_on_from_its_encoders():
    network = network_of("tanh", "decoder", depth=2, direction="bidirectional")
    y = torch.tensor([[1, 2, 3], [2, 1, 1], [0, 0, 0]])
    batch = Batch(torch.randn(5, 3, 3), y, torch.tensor([5, 3, 4]), shifted(y))
    found = Saturation()(moment_of(network, batch, range(5, 8))).scalars
    keys = ["L0/forward", "L0/backward", "L1/forward", "L1/backward", "L2/forward", "L3/forward"]
    assert list(found) == [f"state/{key}/saturated" for key in keys]


@pytest.mark.parametrize(("name", "shut"), [("tanh", 1.0), ("sigmoid", 1.0), ("relu", 0.5)])
def test_a_large_gain_shuts_every_unit_and_a_small_one_none(name, shut):
    """ReLU has no such thing as a gain: half of its units are off, the drive being symmetric around 0."""
    network = stack_of(name, depth=1, direction="forward", hidden=40)
    (cell,), x = network.cells(), torch.randn(60, 20, 3)
    cell.W.data.zero_()
    cell.b.data.zero_()
    for gain, wanted in ((1e-2, 0.0 if name != "relu" else 0.5), (1e3, shut)):
        cell.U.data.normal_(std=gain)
        (value,) = saturated(network, x).values()
        assert value == pytest.approx(wanted, abs=0.02 if name != "relu" else 0.05)  # 40 directions of U in R^3


def test_the_memory_of_an_lstm_that_drifts_away_is_shut():
    """With f = i = g = 1 it is c_t = t, and tanh(c) is shut above 1.82: at all steps but the first."""
    network = stack_of("lstm", depth=1, direction="forward")
    (cell,) = network.cells()
    for p in cell.parameters():
        p.data.zero_()
    cell.b.data[:12] = 100
    assert saturated(network, torch.randn(20, 3, 3)) == {"state/L0/forward/saturated": pytest.approx(19 / 20)}
    cell.b.data[4:8] = -100  # f = 0: c_t = 1
    assert saturated(network, torch.randn(20, 3, 3)) == {"state/L0/forward/saturated": 0}


def test_a_state_that_is_no_number_is_left_out():
    network = stack_of("tanh", depth=1, direction="forward")
    x = 3 * torch.randn(9, 3, 3)
    wanted = saturated(network, x[:, :2])
    assert 0 < wanted["state/L0/forward/saturated"] < 1
    outputs, trajectory = network(x)
    trajectory.passes[0, "forward"].path.states[:, 2] = math.nan
    moment = Moment(0, network, trajectory, outputs.sum(-1), outputs.sum((0, 2)), range(9))
    assert Saturation()(moment).scalars == pytest.approx(wanted)
    trajectory.passes[0, "forward"].path.states[:] = math.nan
    assert math.isnan(Saturation()(moment).scalars["state/L0/forward/saturated"])
