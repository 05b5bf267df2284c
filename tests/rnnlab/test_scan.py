"""The engine's range, edges and refusals."""

import math

import pytest
import torch
from torch import nn

from rnnlab.cells import Elman
from rnnlab.scaled import Scaled, log10_norm
from rnnlab.scan import Path, adjoint_scan, backward, scan
from rnnlab.scan.forward import ROWS
from tests.rnnlab.oracles import random_cell, relative, unrolled

pytestmark = pytest.mark.usefixtures("loops")


def linear(W: torch.Tensor) -> Elman:
    cell = Elman(1, len(W), activation="identity").to(W.dtype)
    cell.W.data = W
    return cell


def at_rest(cell: Elman, steps: int, batch: int = 2) -> Path:
    """States 0: only adjoints have the extended range."""
    return scan(cell, torch.zeros(steps, batch, 1, dtype=cell.W.dtype))[2]


def last_only(path: Path) -> torch.Tensor:
    direct = torch.zeros_like(path.states)
    direct[-1].normal_()
    return direct


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_ten_thousand_steps_keep_the_slope_at_every_lag(dtype, gain):
    """Norms from 1e-3010 to 1e+3010, in float32 too. Each step rounds once: 1e-6 decades is 20 float32 roundings."""
    W = (gain * nn.init.orthogonal_(torch.empty(64, 64))).to(dtype)
    cell, steps = linear(W), 10_000
    path = at_rest(cell, steps)
    norm = adjoint_scan(cell, path, Scaled.of(last_only(path))).log10_norm()
    lag = torch.arange(steps, 0, -1)[:, None]
    slope = (norm[:-1] - norm[-1]) / lag
    assert (slope - math.log10(gain)).abs().max() < 1e-6
    assert (norm[:-1] - norm[1:] - math.log10(gain)).abs().max() < 1e-6
    assert abs(norm[0, 0]) > 3000


@pytest.mark.parametrize("gain", [1e-8, 1e8])
def test_steps_so_steep_that_one_scale_holds_only_a_few_of_them(gain):
    """Thirty-two steps at 1e-8 leave float32's range: the block is halved until it does not."""
    W = (gain * nn.init.orthogonal_(torch.empty(16, 16))).float()
    path = at_rest(linear(W), 64)
    norm = adjoint_scan(linear(W), path, Scaled.of(last_only(path))).log10_norm()
    assert (norm[:-1] - norm[1:] - math.log10(gain)).abs().max() < 1e-6


def test_longer_stretches_at_one_scale_change_no_bit(monkeypatch):
    """Scales are powers of two. A calm network needs few renormalisations, a steep one as many as ever."""
    calls = []
    monkeypatch.setattr(backward, "_few_steps", lambda *a, of=backward._few_steps: calls.append(a[2]) or of(*a))
    for gain, renormalisations in ((0.97, 5), (0.5, 16)):
        cell = linear(gain * nn.init.orthogonal_(torch.empty(4, 4)))
        path = scan(cell, torch.zeros(512, 2, 1))[2]
        direct, found = last_only(path), []
        for most in (256, 32):
            monkeypatch.setattr(backward, "MOST", most)
            calls.clear()
            found.append(adjoint_scan(cell, path, Scaled.of(direct)))
            assert len(calls) == (renormalisations if most == 256 else 16)
        assert torch.equal(found[0].at(torch.zeros(513, 2)), found[1].at(torch.zeros(513, 2)))


def test_plain_range_in_float32_is_exactly_zero_where_log_range_goes_on():
    W = (0.7 * nn.init.orthogonal_(torch.empty(32, 32))).float()
    path = at_rest(linear(W), 400)
    direct = last_only(path)
    plain = adjoint_scan(linear(W), path, direct)
    assert (plain[0] == 0).all()
    norm = adjoint_scan(linear(W), path, Scaled.of(direct)).log10_norm()
    assert (norm[0] - norm[-1] - 400 * math.log10(0.7)).abs().max() < 1e-3


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_log_range_equals_a_float64_scan_where_that_still_reaches(name):
    """Random, saturating cells in many blocks; float64 holds these norms, so both must agree."""
    cell, x = random_cell(name, 3, 6), torch.randn(2 * ROWS // 3, 3, 3)
    path = scan(cell, x)[2]
    direct = torch.zeros_like(path.states)
    direct[-1].normal_()
    direct[500].normal_().mul_(1e-150)  # a later, smaller loss must not be swallowed by a stale scale
    expected = log10_norm(adjoint_scan(cell, path, direct))
    assert expected.min() < -15
    usable = expected > -250
    error = adjoint_scan(cell, path, Scaled.of(direct)).log10_norm() - expected
    assert error[usable].abs().max() < 1e-9


def test_exact_zero_infinity_and_nan_stay_what_they_are():
    cell = Elman(1, 3, activation="relu")
    cell.W.data = torch.eye(3)
    path = scan(cell, torch.ones(6, 1, 1))[2]
    states = torch.ones_like(path.states)
    states[4] = 0  # every unit is off: the gradient is exactly zero before it
    path = path._replace(states=states)
    direct = torch.zeros_like(states)
    direct[-1] = 1
    norm = adjoint_scan(cell, path, Scaled.of(direct)).log10_norm().flatten()
    assert norm[:4].isneginf().all()
    assert torch.allclose(norm[4:], torch.tensor(3.0).sqrt().log10())
    direct[2] = 1e-300
    norm = adjoint_scan(cell, path, Scaled.of(direct)).log10_norm().flatten()
    assert torch.allclose(norm[:3], torch.tensor(3.0).sqrt().log10() - 300)
    for bad in (math.inf, math.nan):
        direct[2] = bad
        norm = adjoint_scan(cell, path, Scaled.of(direct)).log10_norm().flatten()
        assert not norm[2].isfinite()
        assert norm[4:].isfinite().all()


def test_one_sample_in_trouble_leaves_the_others_exact():
    cell, x = random_cell("tanh"), torch.randn(40, 3, 3)
    path = scan(cell, x)[2]
    direct = last_only(path)
    alone = adjoint_scan(cell, path, Scaled.of(direct)).log10_norm()
    direct[-1, 1] = math.nan
    together = adjoint_scan(cell, path, Scaled.of(direct)).log10_norm()
    assert together[:, 1].isnan().all()
    assert torch.equal(together[:, [0, 2]], alone[:, [0, 2]])


def test_scaled_numbers_add_and_measure_as_numbers_do():
    a, b = torch.randn(5, 3), torch.randn(5, 3) * torch.tensor([1e-200, 1, 1e200, 0, 1e-308])[:, None]
    total = Scaled.of(a) + Scaled.of(b)
    assert relative(total.at(torch.zeros(5)), a + b) < 1e-15
    expected = [math.log10(math.hypot(*row)) for row in b[:3].tolist()]  # hypot neither under- nor overflows
    assert torch.allclose(Scaled.of(b).log10_norm()[:3], torch.tensor(expected), rtol=0, atol=1e-12)
    assert Scaled.of(b).log10_norm()[3] == -math.inf
    assert Scaled(torch.full((1, 4), 1e-200), torch.zeros(1)).log10_norm().item() == pytest.approx(math.log10(2) - 200)
    subnormal = Scaled.of(torch.full((1, 2), 1e-42, dtype=torch.float32)).log10_norm()
    assert abs(subnormal.item() - math.log10(2) / 2 + 42) < 1e-3  # float32 holds 1e-42 to 3 digits


def test_training_equals_autograd_across_many_blocks():
    cell, x = random_cell("gru"), torch.randn(3 * ROWS, 1, 3, requires_grad=True)
    states = unrolled(cell, x, torch.zeros(1, 4))
    torch.stack(states[1:]).square().mean().backward()
    expected = [x.grad, *(p.grad for p in cell.parameters())]
    x.grad = None
    cell.zero_grad()
    scan(cell, x)[0].square().mean().backward()
    assert (
        max(relative(a, b) for a, b in zip([x.grad, *(p.grad for p in cell.parameters())], expected, strict=True))
        < 1e-12
    )


def test_watch_hands_over_the_adjoints_of_the_backward_pass():
    cell, x, seen = random_cell("lstm"), torch.randn(50, 2, 3), []
    h, last, path = scan(cell, x, watch=lambda block: seen.insert(0, block.a.clone()))
    (h.square().sum() + last.sum()).backward()
    direct = torch.zeros_like(path.states)
    direct[1:, :, :4] = 2 * h.detach()
    direct[-1] += 1
    assert relative(torch.cat(seen), adjoint_scan(cell, path, direct)[1:]) < 1e-12


def test_training_drops_what_no_weight_can_feel_and_nothing_more():
    """Below 5e-29 in float32 the carried adjoint becomes 0, for subnormal numbers are slow; above it is exact."""
    W, seen = (0.7 * nn.init.orthogonal_(torch.empty(16, 16))).float(), []
    cell = linear(W)
    watch = lambda block: seen.insert(0, block.a.clone())  # noqa: E731
    h, *_ = scan(cell, torch.zeros(400, 32, 1, dtype=torch.float32), watch=watch)
    h[-1].sum().backward()
    seen = torch.cat(seen)
    size = seen.double().norm(dim=-1)  # squares of 1e-27 leave float32
    law = 4 * 0.7 ** torch.arange(399, -1, -1.0)[:, None].expand_as(size)
    assert torch.allclose(size[law > 1e-27], law[law > 1e-27], rtol=1e-3, atol=0)
    assert (seen[0] == 0).all()
    assert not ((seen != 0) & (seen.abs() < 2.0**-126)).any()  # 0.7^32 over a block does not get there


def test_a_state_changed_in_place_before_backward_is_noticed():
    cell = random_cell("tanh")
    h, *_ = scan(cell, torch.randn(5, 2, 3))
    with torch.no_grad():
        cell.W.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        h.sum().backward()


@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (4, 2, 5), (4, 3)])
def test_wrong_shapes_are_refused_by_name(shape, as_a_user):
    with pytest.raises(ValueError, match=r"scan needs x of shape \[T >= 1, B >= 1, I = 3\], got"):
        scan(random_cell("tanh"), torch.zeros(shape))


def test_wrong_initial_state_and_direct_are_refused_by_name(as_a_user):
    cell, x = random_cell("tanh"), torch.zeros(4, 2, 3)
    with pytest.raises(ValueError, match=r"s_0 of shape \[B, S\] = \[2, 4\], got \[2, 5\]"):
        scan(cell, x, torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"direct of shape \[5, 2, 4\], got \[4, 2, 4\]"):
        adjoint_scan(cell, scan(cell, x)[2], torch.zeros(4, 2, 4))


def test_half_precision_has_no_log_range(as_a_user):
    for use in (Scaled.of, log10_norm):
        with pytest.raises(ValueError, match=r"needs float32 or float64, got torch\.bfloat16"):
            use(torch.ones(2, 3, dtype=torch.bfloat16))
