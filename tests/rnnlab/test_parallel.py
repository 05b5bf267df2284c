"""The parallel scan in time against the loop: the same numbers, in every setting of the engine."""

import pytest
import torch

from rnnlab.cells.min_gru import MinGRU
from rnnlab.scaled import Scaled
from rnnlab.scan import adjoint_scan, parallel, scan
from rnnlab.scan.forward import ROWS
from tests.rnnlab.oracles import CELLS, random_cell, relative

ROUNDING = 1e-12  # float64; the parallel scan adds the same terms in another order
DIAGONAL = [name for name in CELLS if "diagonal" in vars(type(CELLS[name](2, 4)))]
each_cell = pytest.mark.parametrize("name", DIAGONAL)


def looped(decay: torch.Tensor, s: torch.Tensor, *, back: bool) -> torch.Tensor:
    s = s.clone()
    for k in reversed(range(len(decay))) if back else range(len(decay)):
        if back:
            s[k] += decay[k] * s[k + 1]
        else:
            s[k + 1] += decay[k] * s[k]
    return s


def at_once(decay: torch.Tensor, s: torch.Tensor, *, back: bool) -> torch.Tensor:
    s = s.clone()
    (parallel.backward if back else parallel.forward)(decay, s)
    return s


@pytest.mark.parametrize("back", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_every_number_of_steps_equals_the_loop(back, dtype):
    """0 to 40 steps: every remainder of every level. Decays per step, and one for all."""
    for K in range(41):
        s, decay = torch.randn(K + 1, 2, 3, dtype=dtype), torch.randn(K, 2, 3, dtype=dtype)
        for one in (False, True):
            decay = torch.randn(3, dtype=dtype) / 2 if one else decay
            expected = looped(decay.expand(K, 2, 3), s, back=back)
            assert ((at_once(decay, s, back=back) - expected).abs() / expected.abs().max()).max() < ROUNDING


@pytest.mark.parametrize("back", [False, True], ids=["forward", "backward"])
def test_products_of_decays_that_leave_the_range_cost_nothing(back):
    """300 steps at 1e-30, some at 0: a quotient of two such products would be NaN."""
    s, decay = torch.randn(301, 2, 3), torch.full((300, 2, 3), 1e-30)
    decay[::7] = 0
    assert torch.equal(at_once(decay, s, back=back), looped(decay, s, back=back))


def both_ways(cell, function):
    found = []
    for way in (True, False):
        cell.parallel = way
        found.append(function())
    return found


@each_cell
@pytest.mark.parametrize(
    ("lengths", "truncate", "checkpoint_every"),
    [(False, None, None), (True, None, None), (False, 37, None), (True, 37, 70)],
)
def test_training_and_both_ranges_equal_the_loop(name, lengths, truncate, checkpoint_every):
    """Several blocks of several lengths, begun at several times; small decays too, so that log-range is needed."""
    T, B = 200, ROWS // 50
    cell, x, s_0 = random_cell(name), torch.randn(T, B, 3, requires_grad=True), torch.randn(B, 4)
    first = torch.randint(0, T // 2, (B,)) if lengths else torch.zeros(B, dtype=torch.long)
    stop = torch.randint(T // 2 + 1, T, (B,)) if lengths else torch.full((B,), T)
    settings = {"spans": torch.stack([first, stop]), "truncate": truncate, "checkpoint_every": checkpoint_every}
    dh, d_last, direct = torch.randn(T, B, 4), torch.randn(B, 4), torch.zeros(T + 1, B, 4)
    direct[-1].normal_()
    direct[T // 2 + 1].normal_()

    def everything():
        h, last, path = scan(cell, x, s_0, **settings)
        gradients = torch.autograd.grad((h, last), (x, *cell.parameters()), (dh, d_last))
        scaled = adjoint_scan(cell, path, Scaled.of(direct))
        return h, last, *gradients, adjoint_scan(cell, path, direct), scaled

    ours, loop = both_ways(cell, everything)
    assert max(relative(a, b) for a, b in zip(ours[:-1], loop[:-1], strict=True)) < ROUNDING
    a, b = (found[-1].log10_norm() for found in (ours, loop))
    assert torch.equal(a.isneginf(), b.isneginf())
    assert torch.nan_to_num(a - b, nan=0).abs().max() < ROUNDING * 1000  # decades: up to 1e+3 of them


@each_cell
def test_log_range_goes_on_where_float32_ends(name):
    """The lag where float32 has lost everything; both ways round each step once, 1e-7 of itself."""
    cell, x = random_cell(name).float(), torch.randn(2000, 2, 3).float()
    path = scan(cell, x)[2]
    direct = torch.zeros(path.shape, dtype=torch.float32)
    direct[-1].normal_()
    ours, loop = both_ways(cell, lambda: adjoint_scan(cell, path, Scaled.of(direct)).log10_norm())
    assert ours[0].max() < -50
    assert (ours - loop).abs().max() < 2000 * 1e-7


@each_cell
def test_trouble_in_one_sample_stays_there_and_goes_one_way(name):
    cell, x = random_cell(name), torch.randn(50, 3, 3)
    clean = scan(cell, x)
    x[20, 1] = torch.nan
    h = scan(cell, x)[0]
    assert torch.equal(h[:20], clean[0][:20])
    assert torch.equal(h[:, [0, 2]], clean[0][:, [0, 2]])
    assert h[20:, 1].isnan().all()
    direct = torch.randn(clean[2].shape)
    before = adjoint_scan(cell, clean[2], direct)
    direct[30, 1] = torch.nan
    after = adjoint_scan(cell, clean[2], direct)
    assert torch.equal(after[31:], before[31:])
    assert torch.equal(after[:, [0, 2]], before[:, [0, 2]])
    assert after[:31, 1].isnan().all()


class Changed(MinGRU):
    """Another equation, h' = 2 (f h + (1 - f) n), that says nothing about `diagonal`."""

    def advance(self, weights, slot, before, after):
        super().advance(weights, slot, before, after)
        after[0].mul_(2)


def test_it_is_taken_where_it_is_right_and_pays():
    cell, narrow, wide = MinGRU(3, 4), torch.zeros(5, 2, 4), torch.zeros(5, parallel.WIDE, 4)
    assert parallel.fits(cell, narrow)
    assert not parallel.fits(cell, wide)
    assert parallel.fits(cell, wide.to("meta"))  # any device but the CPU
    cell.parallel = False
    assert not parallel.fits(cell, narrow)
    assert not parallel.fits(random_cell("tanh"), narrow)
    h = scan(Changed(3, 4), torch.zeros(6, 2, 3), torch.ones(2, 4))[0]  # f = 1/2: h stays what it is
    assert torch.equal(h, torch.ones(6, 2, 4))


def test_fewer_operations_are_called_than_there_are_steps(monkeypatch):
    """log2(1000) levels of two operations, forward."""
    calls = []
    monkeypatch.setattr(parallel, "_add", lambda *a, of=parallel._add: calls.append(1) or of(*a))
    scan(MinGRU(3, 4), torch.zeros(1000, 2, 3))
    assert 0 < len(calls) <= 2 * 10
