"""The compiled loops against `step` and autograd, alone and in a batch."""

import pytest
import torch
from torch import nn

from rnnlab import kernels
from rnnlab.kernels import build, calls
from rnnlab.kernels.check import by_definition, compiled
from rnnlab.scan import adjoint_scan, scan
from tests.rnnlab.oracles import random_cell

SHAPES = [(1, 1, 1), (3, 2, 5), (4, 7, 16), (2, 13, 37), (3, 6, 40), (33, 1, 64), (2, 32, 72), (5, 3, 130)]  # K, B, H
needs_compiler = pytest.mark.skipif(not build.compiler(), reason="no C++ compiler on this machine")
kinds = pytest.mark.parametrize("kind", kernels.KINDS)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def cell_of(kind: str, H: int):
    """A random cell with a recurrence of gain 0.7, so that K steps neither explode nor vanish."""
    cell = random_cell(kind.removeprefix("elman_"), inputs=2, size=H)
    nn.init.normal_(cell.W, std=0.7 / H**0.5)
    return cell


def block_of(cell, K: int, B: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Drive, first state and direct part of the adjoint."""
    S = cell.state_size
    return [torch.randn(*shape).to(dtype) for shape in ((K, B, len(cell.gates) * cell.size), (B, S), (K + 1, B, S))]


@needs_compiler
def test_the_loops_are_there_where_a_compiler_is():
    assert kernels.available()
    assert kernels.fits(torch.ones(1))
    assert kernels.fits(torch.ones(1, dtype=torch.float32))
    assert not kernels.fits(torch.ones(1, dtype=torch.float16))
    assert not kernels.fits(torch.ones(1, device="meta"))


@needs_compiler
@kinds
@dtypes
@pytest.mark.parametrize(("K", "B", "H"), SHAPES, ids=str)
def test_states_adjoints_and_drive_gradients_are_those_of_step_and_autograd(kind, dtype, K, B, H):
    """Tolerance: sums of up to 4 H = 520 products, whose rounding errors add up at random like sqrt(520) = 23, and
    K = 33 steps with gains around 1: 200 roundings of the largest entry. The twin works in float64 on the same numbers.
    """
    cell = cell_of(kind, H).to(dtype)
    block = block_of(cell, K, B, dtype)
    found = compiled(kind, cell, *block)
    expected = by_definition(cell.double(), *(x.double() for x in block))
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x.double(), y, rtol=0, atol=200 * torch.finfo(dtype).eps * y.abs().max().item())


@needs_compiler
@kinds
@dtypes
def test_the_tape_is_what_advance_and_pull_leave(kind, dtype):
    """Both ways interoperate: same tape, same coefficients. Tolerance as above, H = 20 and few steps: 50 roundings."""
    K, B, H = 4, 3, 20
    cell = cell_of(kind, H).to(dtype).requires_grad_(False)
    z, s_0, _ = block_of(cell, K, B, dtype)
    records, blocks, _ = calls.columns(kind)
    ours, theirs = (torch.zeros(K, B, records * H, dtype=dtype) for _ in range(2))
    states = torch.zeros(K + 1, B, blocks * H, dtype=dtype)
    states[0] = s_0
    twin = states.clone()
    for tape, s in ((ours, states), (theirs, twin)):
        cell.room(tape, s[1:]).copy_(z)
    kernels.forward(kind, cell.weights(), ours, states)
    for k in range(K):
        slot = tuple(x[k] for x in cell.slots(theirs))
        cell.advance(cell.weights(), slot, cell.split(twin[k]), cell.split(twin[k + 1]))
    tolerance = {"rtol": 0, "atol": 50 * torch.finfo(dtype).eps}
    torch.testing.assert_close(ours, theirs, **tolerance)
    torch.testing.assert_close(states, twin, **tolerance)


@needs_compiler
@kinds
def test_the_gradients_of_weights_follow_from_delta(kind):
    """dL/dW = sum_k delta_k^T h_k, and for the gru's b_q the sum of its third column."""
    K, B, H = 3, 2, 5
    cell = cell_of(kind, H)
    z, s_0, direct = block_of(cell, K, B)
    states = [s_0]
    for z_k in z:
        states.append(cell.step(z_k, states[-1]))
    loss = sum((s * d).sum() for s, d in zip(states, direct, strict=True))
    expected = torch.autograd.grad(loss, [cell.W, *([cell.q] if kind == "gru" else [])])
    delta = delta_of(kind, cell, z, s_0, direct)
    h = cell.hidden(torch.stack(states[:-1])).detach().flatten(0, 1)
    torch.testing.assert_close(delta[..., : len(cell.gates) * H].flatten(0, 1).t() @ h, expected[0])
    if kind == "gru":
        torch.testing.assert_close(delta[..., 2 * H : 3 * H].sum((0, 1)), expected[1])


def delta_of(kind, cell, z, s_0, direct):
    records, _, gates = calls.columns(kind)
    K, B, H = *z.shape[:2], cell.size
    tape, delta, states = torch.zeros(K, B, records * H), torch.zeros(K, B, gates * H), torch.zeros_like(direct)
    states[0] = s_0
    with torch.no_grad():
        cell.room(tape, states[1:]).copy_(z)
        kernels.forward(kind, cell.weights(), tape, states)
        kernels.backward(kind, cell.weights(), tape, states, direct.clone(), delta)
    return delta


@needs_compiler
@kinds
@dtypes
@pytest.mark.parametrize("H", [5, 16, 37, 128])
def test_a_row_has_the_same_bits_in_every_batch(kind, dtype, H):
    K, B = 3, 13
    cell = cell_of(kind, H).to(dtype)
    z, s_0, a = block_of(cell, K, B, dtype)
    whole = compiled(kind, cell, z, s_0, a)
    for first, stop in ((0, 1), (12, 13), (5, 7), (1, 12)):
        part = compiled(kind, cell, *(x[..., first:stop, :].contiguous() for x in (z, s_0, a)))
        for x, y in zip(part, whole, strict=True):
            assert torch.equal(x, y[:, first:stop])


@needs_compiler
@kinds
@dtypes
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinity_stay_in_their_row_and_are_ieee_there(kind, dtype, bad):
    """The same entries are NaN, +inf and -inf as in the unrolled loop; the other rows do not change by a bit."""
    K, B, H = 4, 8, 21
    cell = cell_of(kind, H).to(dtype)
    block = block_of(cell, K, B, dtype)
    clean = compiled(kind, cell, *block)
    z, s_0, a = (x.clone() for x in block)
    z[1, 2, 3] = s_0[5, 0] = a[2, 7, 1] = bad
    found = compiled(kind, cell, z, s_0, a)
    others = [0, 1, 3, 4, 6]
    for x, y in zip(found, clean, strict=True):
        assert torch.equal(x[:, others], y[:, others])
    expected = by_definition(cell.double(), z.double(), s_0.double(), a.double())[0]
    torch.testing.assert_close(found[0].double(), expected, rtol=0, atol=1e3 * torch.finfo(dtype).eps, equal_nan=True)
    assert not found[1][2, 7].isfinite().all()


@needs_compiler
@dtypes
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_tanh_and_sigmoid_are_right_to_3_units_in_the_last_place(activation, dtype):
    """Over the whole range, from the smallest subnormal number to infinity, and NaN is NaN.

    The oracle is float64, whose own error (1 to 2.4 units of torch's) is added for float64 itself. Below the smallest
    normal number (sigmoid at -88 in float32) exp overflows, and 0 is right to within that number.
    """
    limits = torch.finfo(dtype)
    small = torch.logspace(-44 if dtype == torch.float32 else -320, -1, 500)
    x = torch.cat([small, torch.linspace(0.1, 20, 5001), torch.linspace(20, 800, 501), torch.tensor([torch.inf])])
    x = torch.cat([x, -x, torch.tensor([torch.nan, 0.0])]).to(dtype)
    states = torch.stack([torch.zeros_like(x), x]).unsqueeze(-1)
    W = torch.zeros(1, 1, dtype=dtype)
    kernels.forward(f"elman_{activation}", (W, W), states.new_empty(1, len(x), 0), states)
    expected = getattr(torch, activation)(x.double())
    error, units = (states[1, :, 0].double() - expected).abs(), 3 if dtype == torch.float32 else 5
    assert (error <= units * limits.eps * expected.abs() + limits.tiny)[:-2].all()
    assert states[1, -2, 0].isnan()
    assert states[1, -1, 0] == (0.5 if activation == "sigmoid" else 0)


@needs_compiler
def test_relu_has_slope_0_at_0():
    W, states, a = torch.ones(1, 1), torch.zeros(2, 1, 1), torch.ones(2, 1, 1)
    delta = torch.ones(1, 1, 1)
    kernels.backward("elman_relu", (W, W), torch.empty(1, 1, 0), states, a, delta)
    assert delta.item() == 0
    assert a[0].item() == 1


@needs_compiler
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tape", lambda x: x[:, :, :-1].contiguous()),
        ("states", lambda x: x[:-1]),
        ("a", lambda x: x.transpose(0, 1).contiguous().transpose(0, 1)),
        ("delta", lambda x: x.float()),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(name, change):
    cell = cell_of("lstm", 3)
    tensors = {"tape": torch.zeros(4, 2, 15), "states": torch.zeros(5, 2, 6)}
    tensors |= {"a": torch.zeros(5, 2, 6), "delta": torch.zeros(4, 2, 12)}
    weights = tuple(w.detach() for w in cell.weights())
    kernels.backward("lstm", weights, **tensors)
    with pytest.raises(ValueError, match=f"loop of lstm needs {name} of torch.float64, contiguous, of shape"):
        kernels.backward("lstm", weights, **{**tensors, name: change(tensors[name])})


@needs_compiler
def test_adjoints_never_become_subnormal_and_everything_else_still_may():
    """Arithmetic on subnormal numbers is 5 to 10 times slower; the caller's own is as it was before the call."""
    cell = random_cell("identity", size=4).float()
    cell.W.data = 0.5 * torch.eye(4, dtype=torch.float32)
    path = scan(cell, torch.zeros(200, 1, 3, dtype=torch.float32))[2]
    direct = torch.zeros(path.shape, dtype=torch.float32)
    direct[-1] = 1.0
    a = adjoint_scan(cell, path, direct)[:, 0, 0].flip(0)
    smallest = torch.finfo(torch.float32).tiny
    assert a[:127].tolist() == [0.5**k for k in range(127)]  # 2^-126 is the smallest normal number
    assert (a[127:] == 0).all()
    tiny = torch.tensor(smallest, dtype=torch.float32)
    assert tiny / 2 > 0
