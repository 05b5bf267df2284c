"""Mistakes that are easy to make with gradients through time, each kept from coming back. Numbers as in ORACLES."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from rnnlab.cells import LSTM
from rnnlab.inits import constant_bias_
from rnnlab.networks import adjoints
from rnnlab.probes.gradients import counts, global_norm
from rnnlab.scaled import Scaled, log10_norm
from rnnlab.scan import adjoint_scan, scan
from rnnlab.statistics import STATISTICS, reduce_samples
from rnnlab.train import clip_norm, clip_value
from tests.rnnlab.oracles import copy_into_torch, random_cell, relative, stack_of


@pytest.mark.parametrize("kind", ["tanh", "lstm", "gru"])
def test_retain_grad_on_a_fused_layer_sees_the_direct_part_alone(kind):
    """Trap 1: with a loss at the last step it is zero at all earlier ones; the total derivative is not."""
    network = stack_of(kind, depth=1, direction="forward", readout="last")
    x = torch.randn(10, 2, 3)
    out, _ = copy_into_torch(network, kind)(x)
    out.retain_grad()
    network.readout(out[-1]).sum().backward()
    assert (out.grad[:-1] == 0).all()
    outputs, trajectory = network(x)
    (d_out,) = torch.autograd.grad(outputs.sum(), trajectory.out)
    total = adjoints(trajectory, d_out).parts[0, "forward", "h"]
    assert (total.norm(dim=-1) > 0).all()
    assert relative(total[-1], out.grad[-1]) < 1e-12


def test_raising_the_forget_bias_moves_the_slope_of_c_towards_zero():
    """Trap 2: with c frozen (dh/dh alone) the slope would not move at all with the forget bias."""
    slopes = []
    for bias in (0.0, 2.0, 4.0):
        torch.manual_seed(0)
        network = stack_of("lstm", depth=1, direction="forward", readout="last", hidden=24)
        (cell,) = network.layers[0]
        with torch.no_grad():
            for p in cell.parameters():
                nn.init.normal_(p, std=0.1)
            cell.b[24:48] = bias
        outputs, trajectory = network(torch.randn(120, 4, 3))
        (d_out,) = torch.autograd.grad(outputs.sum(), trajectory.out)
        c = log10_norm(adjoints(trajectory, Scaled.of(d_out)).parts[0, "forward", "c"]).mean(1)
        slopes.append(((c[-1] - c[0]) / 119 * math.log(10)).item())
    assert slopes[0] > slopes[1] > slopes[2]  # nats lost per step
    assert slopes[0] > 0.4  # sigmoid(0) alone would lose 0.69, sigmoid(4) alone 0.018
    assert slopes[2] < 0.05


def test_float32_without_a_scale_is_exactly_zero_beyond_291_lags():
    """Trap 5, by plain autograd; the profile in log-range goes on (test_scan)."""
    W = (0.7 * nn.init.orthogonal_(torch.empty(64, 64))).float()
    h = h_0 = torch.zeros(1, 64, dtype=torch.float32, requires_grad=True)
    kept = []
    for _ in range(400):
        h = h @ W.t()
        h.retain_grad()
        kept.append(h)
    (h * torch.randn(64, dtype=torch.float32)).sum().backward()
    alive = sum(bool((h.grad != 0).any()) for h in kept)
    assert h_0.grad.eq(0).all()
    assert abs(alive - 291) <= 4  # seen +- 3 over draws of W; one more for the last step, which has lag 0


def test_a_profile_is_the_mean_of_norms_not_the_norm_of_the_mean():
    """Trap 6: gradients of samples point in all directions, so their mean is far smaller, and falls at another rate."""
    network = stack_of("tanh", depth=1, direction="forward", readout="last", hidden=32)
    (cell,) = network.layers[0]
    with torch.no_grad():
        cell.W.normal_(std=1.5 / 32**0.5)  # chaotic: samples decorrelate backwards in time
    outputs, trajectory = network(torch.randn(60, 256, 3))
    (d_out,) = torch.autograd.grad((outputs * torch.randn(256, 1)).sum(), trajectory.out)
    a = adjoints(trajectory, d_out).parts[0, "forward", "h"]
    rms = reduce_samples(log10_norm(a))[0][STATISTICS.index("log10_rms")]
    of_the_mean = a.mean(1).norm(dim=-1).log10()
    assert torch.allclose(rms, a.square().sum(-1).mean(1).sqrt().log10(), atol=1e-12)
    assert (rms - of_the_mean).min() > math.log10(5)


def test_reading_the_norm_leaves_every_gradient_as_it_is():
    """Trap 7: clip_grad_norm_(p, inf) multiplies all of them by inf/inf once one is infinite."""
    grads = [torch.tensor([1.0, math.inf]), torch.tensor([3.0, 4.0])]
    assert global_norm(grads) == math.inf
    assert counts(grads) == {"grad/zeros": 0.0, "grad/nonfinite": 1.0}
    assert grads[1].tolist() == [3.0, 4.0]
    assert global_norm([torch.full((2,), 3e30, dtype=torch.float32)]) == pytest.approx(3e30 * 2**0.5, rel=1e-6)
    assert global_norm([torch.full((2,), 3e-30, dtype=torch.float32)]) == pytest.approx(3e-30 * 2**0.5, rel=1e-6)


def test_clipping_acts_on_gradients_and_says_whether_it_fired():
    """Trap 8: the norm is measured before; a clip before `backward` would find nothing to clip."""
    grads = [torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])]
    assert not clip_norm(grads, global_norm(grads), threshold=5.0)
    assert clip_norm(grads, global_norm(grads), threshold=1.0)
    assert global_norm(grads) == pytest.approx(1.0)
    assert grads[1].tolist() == [0.0, pytest.approx(0.8)]
    grads = [torch.tensor([3.0, -0.5, -7.0])]
    assert not clip_value(grads, 0.0, threshold=7.0)
    assert clip_value(grads, 0.0, threshold=1.0)
    assert grads[0].tolist() == [1.0, -0.5, -1.0]


def test_the_lstm_has_the_gate_order_of_torch_and_one_forget_bias():
    """Trap 11: i, f, g, o; a bias of 1 set on both of torch's vectors would act as 2."""
    cell = LSTM(2, 3)
    cell.initialise(lambda W, generator: W, gate_bias=partial(constant_bias_, value=1.5))
    assert cell.b.tolist() == [0.0] * 3 + [1.5] * 3 + [0.0] * 6
    state = scan(cell, torch.zeros(1, 1, 2), torch.tensor([[0.0] * 3 + [1.0] * 3]))[1]
    assert torch.allclose(state[0, 3:], torch.tensor(1.5).sigmoid().expand(3))


def test_the_update_gate_of_the_gru_multiplies_the_old_state():
    cell = random_cell("gru")
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.b[4:8] = 50.0
    s = torch.randn(1, 4)
    assert torch.allclose(scan(cell, torch.randn(3, 1, 3), s)[1], s)


class Allocated(TorchDispatchMode):
    """Adds up the entries of every tensor that an operation returns."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        new = result if isinstance(result, list | tuple) else [result]
        if "view" not in func.__name__ and not func.is_view:
            self.total += sum(x.numel() for x in new if isinstance(x, torch.Tensor))
        return result


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_work_grows_with_the_length_and_not_with_its_square(name):
    """Trap 16: z[t] under autograd makes a full-size zero tensor per step. Counted in tensor entries, not seconds."""
    cell, entries = random_cell(name), {}
    for steps in (2000, 8000):
        with Allocated() as allocated:
            h, _, path = scan(cell, torch.randn(steps, 1, 3, requires_grad=True))
            h.square().sum().backward()
            adjoint_scan(cell, path, torch.ones_like(path.states))
        entries[steps] = allocated.total
    assert entries[8000] / entries[2000] == pytest.approx(4, rel=0.1)
