"""Deep transition: its closed forms, and loops written out by hand."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from rnnlab import constraints, inits
from rnnlab.cells import LSTM, Cell, Elman
from rnnlab.cells.deep_transition import DeepTransition
from rnnlab.networks.measures import parts
from rnnlab.scaled import Scaled
from rnnlab.scan import adjoint_scan, scan, way_back
from tests.rnnlab.oracles import CELLS, relative

ROUNDING = 1e-12  # float64, a few dozen operations deep


class Odd(Cell):
    """A user's cell: a drive, a state and an output of its own, each with parameters, and nothing else written."""

    blocks = 2

    def __init__(self, inputs, size):
        super().__init__(inputs, size)
        self.P = nn.Parameter(torch.zeros(size, inputs))
        self.C = nn.Parameter(torch.zeros(size, 2 * size))

    def project(self, x):
        return torch.tanh(x @ self.P.t() + self.b)

    def step(self, z, s):
        h, m = s.chunk(2, -1)
        return torch.cat([torch.sin(z + m @ self.W.t()), 0.5 * m + torch.tanh(z * h)], -1)

    def hidden(self, s):
        return torch.tanh(s @ self.C.t())

    def parts(self, tape, before, after, a):
        return {"h": a[:, : self.size]}


def deep(cell, maps: int, shortcut: bool, inputs: int = 3, size: int = 4) -> DeepTransition:
    """With random parameters, biases too."""
    found = DeepTransition(inputs, size, cell=cell, maps=maps, shortcut=shortcut)
    for p in found.parameters():
        nn.init.normal_(p, std=0.7)
    return found


def by_hand(cell: DeepTransition, x: torch.Tensor) -> tuple[torch.Tensor, list[list[torch.Tensor]]]:
    """h of every step, and the states [T][m] between and after the maps, each of which retains its gradient."""
    s, hs, kept = torch.zeros(x.shape[1], cell.state_size), [], []
    for x_t in x:
        h, states = cell.maps[-1].hidden(s), []
        for j, f in enumerate(cell.maps):
            if j == 0:
                drive = f.project(x_t)
            elif cell.shortcut and j == len(cell.maps) - 1:
                drive = f.project(h)
            else:
                drive = f.project(torch.zeros(len(s), 1))
            s = f.step(drive, s)
            s.retain_grad()
            states.append(s)
        kept.append(states)
        hs.append(cell.maps[-1].hidden(s))
    return torch.stack(hs), kept


CASES = [("tanh", 3, False), ("lstm", 3, False), ("lstm", 3, True), ("gru", 2, True), ("cornn", 2, False)]
CASES += [("indrnn", 3, True), ("projected", 2, True), ("odd", 3, False), ("odd", 2, True), ("modrelu", 4, True)]
CASES += [("lru", 3, True), ("min_lstm", 2, False)]


@pytest.mark.parametrize(("name", "maps", "shortcut"), CASES)
def test_outputs_gradients_and_parts_equal_a_loop_of_the_maps(name, maps, shortcut):
    cell = deep((CELLS | {"odd": Odd})[name], maps, shortcut)
    x, w = torch.randn(7, 3, 3, requires_grad=True), torch.randn(7, 3, 4)
    named = dict(cell.named_parameters())
    expected_h, kept = by_hand(cell, x)
    (expected_h * w).sum().backward()
    expected = [torch.zeros_like(p) if p.grad is None else p.grad for p in (x, *named.values())]
    h, _, path = scan(cell, x)
    found = torch.autograd.grad((h * w).sum(), (x, *named.values()), allow_unused=True)
    assert relative(h, expected_h) < ROUNDING
    for a, b in zip(found, expected, strict=True):
        assert relative(torch.zeros_like(b) if a is None else a, b) < ROUNDING
    direct = torch.zeros(path.shape)
    direct[1:] = cell.hidden_gradients(path.states[1:].flatten(0, 1), w.flatten(0, 1))[0].unflatten(0, (7, 3))
    for d in (direct, Scaled.of(direct)):
        (block,) = way_back(cell, path, lambda steps, _, d=d: d[1:][steps])
        reported = parts((0, ""), cell, block)
        reported = {key: v.at(torch.zeros(7, 3)) if isinstance(v, Scaled) else v for key, v in reported.items()}
        for j in range(1, maps + 1):
            a = torch.stack([states[j - 1].grad for states in kept])
            assert relative(reported.pop("h" if j == maps else f"h{j}"), a[..., :4]) < ROUNDING
        if name == "lstm":  # with the path through h_t = o tanh(c_t) of the same step
            h_t, c_t = torch.stack([states[-1].detach() for states in kept]).chunk(2, -1)
            through = h_t / c_t.tanh() * (1 - c_t.tanh() ** 2)
            assert relative(reported.pop("c"), a[..., 4:] + a[..., :4] * through) < ROUNDING
        assert set(reported) == {"cornn": {"z"}, "projected": {"c"}}.get(name, set())


def test_the_shortcut_is_that_of_the_paper():
    """DT(S)-RNN: h_t = tanh(V tanh(W h_{t-1} + U x_t + b) + U_2 h_{t-1} + b_2)."""
    cell, x = deep(CELLS["tanh"], 2, True), torch.randn(6, 2, 3)
    first, second = cell.maps
    h = torch.zeros(2, 4)
    for x_t in x:
        middle = torch.tanh(h @ first.W.t() + x_t @ first.U.t() + first.b)
        h = torch.tanh(middle @ second.W.t() + h @ second.U.t() + second.b)
    assert relative(scan(cell, x)[0][-1], h) < ROUNDING


@pytest.mark.parametrize("maps", [1, 2, 5])
def test_m_maps_that_keep_alpha_keep_alpha_to_the_m_k(maps):
    """alpha times orthogonal, linear; m = 5 leaves the range of float64 after 600 of the 1,000 steps."""
    alpha, steps = 0.78, 1000
    cell = DeepTransition(1, 16, cell=partial(Elman, activation="identity"), maps=maps, shortcut=False)
    cell.initialise(partial(inits.orthogonal_, gain=alpha))
    path = scan(cell, torch.randn(steps, 2, 1))[2]
    direct = torch.zeros(path.shape)
    direct[-1].normal_()
    log = adjoint_scan(cell, path, Scaled.of(direct)).log10_norm()
    k = torch.arange(steps, -1, -1.0)[:, None]
    assert (log - log[-1] - maps * k * math.log10(alpha)).abs().max() < 1e-11  # 5,000 roundings of 1e-16


def test_lstm_maps_without_weights_pass_the_product_of_their_forget_gates():
    """dc_T/dc_t = (sigmoid(b_f1) sigmoid(b_f2))^k, exactly, on the conventional adjoint of c."""
    cell, steps = DeepTransition(2, 3, cell=LSTM, maps=2, shortcut=False), 40
    for f, forget in zip(cell.maps, (1.0, 3.0), strict=True):
        f.b.data.copy_(torch.tensor([0.4, forget, 0.5, 0.3]).repeat_interleave(3))
    path = scan(cell, torch.randn(steps, 2, 2))[2]
    direct = torch.zeros(path.shape)
    direct[-1, :, :3].normal_()
    (block,) = way_back(cell, path, lambda steps, _: direct[1:][steps])
    c = parts((0, ""), cell, block)["c"]
    law = torch.tensor([1.0, 3.0]).sigmoid().prod() ** torch.arange(steps - 1, -1, -1.0)
    assert torch.allclose(c / c[-1], law[:, None, None].expand_as(c), rtol=1e-12)


@pytest.mark.parametrize("name", ["tanh", "lstm", "cornn"])
def test_one_map_is_the_cell_itself(name):
    one, cell, x = deep(CELLS[name], 1, False), CELLS[name](3, 4), torch.randn(7, 3, 3)
    cell.load_state_dict(one.maps[0].state_dict())
    w = torch.randn(7, 3, 4)
    results = []
    for of in (one, cell):
        h = scan(of, x)[0]
        results.append([h, *torch.autograd.grad((h * w).sum(), tuple(of.parameters()))])
    assert max(relative(a, b) for a, b in zip(*results, strict=True)) < 1e-14


def test_every_map_is_filled_and_has_no_input_matrix_where_nothing_comes_in():
    cell = DeepTransition(2, 5, cell=LSTM, maps=4, shortcut=True)
    cell.initialise(partial(inits.orthogonal_, gain=1.3), gate_bias=partial(inits.constant_bias_, value=2.0))
    for f in cell.maps:
        for W in f.W.detach().split(5):
            assert relative(W @ W.t(), 1.69 * torch.eye(5)) < 1e-14
        assert f.b.tolist() == [0.0] * 5 + [2.0] * 5 + [0.0] * 10
    assert len({f.W[0, 0].item() for f in cell.maps}) == 4
    names = {name for name, _ in cell.named_parameters()}
    assert names == {f"maps.{j}.{name}" for j in range(4) for name in "UWb"} - {"maps.1.U", "maps.2.U"}
    assert cell.maps[3].U.shape == (20, 5)
    assert cell.state_dict().keys() == names
    assert cell.recurrents == ("maps.0.W", "maps.1.W", "maps.2.W", "maps.3.W")
    assert [len(pair) for pair in cell.memory_biases()] == [2] * 4


def test_constrained_maps_keep_the_gradient():
    """Orthogonal by the matrix exponential, in every map, after an update too; linear, so the norm is kept exactly."""
    cell = DeepTransition(2, 6, cell=partial(Elman, activation="identity"), maps=3, shortcut=False)
    cell.initialise(partial(inits.gaussian_, gain=1.0))
    constraints.orthogonal(cell, map="matrix_exp")
    x = torch.randn(50, 2, 2)
    scan(cell, x)[0].sum().backward()
    with torch.no_grad():
        for p in cell.parameters():
            p -= 0.1 * p.grad
    path = scan(cell, x)[2]
    direct = torch.zeros(path.shape)
    direct[-1].normal_()
    norm = adjoint_scan(cell, path, direct).norm(dim=-1)
    assert torch.allclose(norm, norm[-1].expand_as(norm), rtol=1e-12)
    assert all(p.grad.abs().max() > 0 for name, p in cell.named_parameters() if "original" in name)


@pytest.mark.parametrize(("maps", "shortcut", "needed"), [(0, False, 1), (1, True, 2)])
def test_too_few_maps_are_refused(maps, shortcut, needed, as_a_user):
    with pytest.raises(ValueError, match=rf"needs maps >= {needed} with shortcut={shortcut}, got {maps}"):
        DeepTransition(2, 3, cell=LSTM, maps=maps, shortcut=shortcut)
