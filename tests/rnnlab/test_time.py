"""Several lengths in one batch, truncation, checkpoints: each against what it must equal."""

from itertools import product

import pytest
import torch

from rnnlab.networks import adjoints
from rnnlab.networks.measures import norms
from rnnlab.scaled import Scaled, log10_norm
from rnnlab.scan import adjoint_scan, scan, way_back
from rnnlab.scan.forward import ROWS
from tests.rnnlab.oracles import CELLS, Plain, random_cell, relative, stack_of, unrolled

pytestmark = pytest.mark.usefixtures("loops")
ROUNDING = 1e-12  # float64; products over other numbers of rows round differently
LENGTHS = torch.tensor([5, 11, 1, 8])
DIRECTIONS = ("forward", "backward", "bidirectional")


def padded(steps: int = 11, inputs: int = 3) -> torch.Tensor:
    """A batch whose padding would show: NaN."""
    x = torch.randn(steps, len(LENGTHS), inputs)
    for sample, length in enumerate(LENGTHS.tolist()):
        x[length:, sample] = torch.nan
    return x


# Of every cell both directions side by side; one alone is a matter of the network.
@pytest.mark.parametrize(
    ("name", "direction"),
    [*product(CELLS, DIRECTIONS[2:]), *product(["tanh", "lstm", "lru"], DIRECTIONS[:2])],
)
@pytest.mark.parametrize("readout", ["each", "last"])
def test_each_sample_of_a_padded_batch_comes_out_as_if_it_were_alone(name, direction, readout):
    """Outputs, gradients of input and parameters, and all adjoints, in both ranges."""
    network, x = stack_of(name, direction=direction, readout=readout), padded()
    w = torch.randn(11, 4, 2) if readout == "each" else torch.randn(4, 2)
    x.requires_grad_()
    outputs, together = network(x, LENGTHS)
    if readout == "each":
        mask = torch.arange(11)[:, None] < LENGTHS
        loss = (outputs * w)[mask].sum()
    else:
        loss = (outputs * w).sum()
    (d_out,) = torch.autograd.grad(loss, together.out, retain_graph=True)
    loss.backward()
    found = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    d_out = torch.where(together.valid[..., None], d_out, torch.randn_like(d_out))  # what stands in padding is ignored
    plain, scaled = (adjoints(together, d, input_too=True) for d in (d_out, Scaled.of(d_out)))
    for sample, length in enumerate(LENGTHS.tolist()):
        one = slice(sample, sample + 1)
        x_alone = x[:length, one].detach().requires_grad_()
        y, alone = network(x_alone)
        of_one = (y * (w[:length, one] if readout == "each" else w[one])).sum()
        (d_alone,) = torch.autograd.grad(of_one, alone.out, retain_graph=True)
        of_one.backward()
        y_together = outputs[:length, one] if readout == "each" else outputs[one]
        assert relative(y_together, y) < ROUNDING
        assert relative(x.grad[:length, one], x_alone.grad) < ROUNDING
        assert (x.grad[length:, one] == 0).all()
        expected = adjoints(alone, d_alone, input_too=True)
        for key, a in expected.parts.items():
            assert relative(plain.parts[key][:length, one], a) < ROUNDING
            assert (plain.parts[key][length:, one] == 0).all()
            log10 = log10_norm(scaled.parts[key])[:, one]
            assert torch.allclose(log10[:length], log10_norm(a), rtol=0, atol=ROUNDING)  # a relu's may be -inf
            assert log10[length:].isneginf().all()
        assert relative(plain.x[:length, one], expected.x) < ROUNDING
    for key, p in network.named_parameters():
        assert relative(found[key], p.grad) < ROUNDING  # the samples alone have added theirs up


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
@pytest.mark.parametrize("late", [False, True])
def test_padding_with_initial_states_and_across_blocks_and_checkpoints(name, late):
    """Padding before (`late`) or behind; starts and ends within blocks, at their edges, and in later ones."""
    steps, cell = 3 * ROWS // 4, random_cell(name)
    edge = ROWS // 4
    lengths = torch.tensor([steps, edge, 2 * edge + 1, 40])
    spans = torch.stack([steps - lengths, torch.full((4,), steps)] if late else [0 * lengths, lengths])
    x, s_0 = torch.randn(steps, 4, 3), torch.randn(4, cell.state_size)
    dh, d_last = torch.randn(steps, 4, 4), torch.randn(4, cell.state_size)
    for every in (None, 100):
        inputs = (x.clone().requires_grad_(), s_0.clone().requires_grad_(), *cell.parameters())
        h, last, path = scan(cell, *inputs[:2], spans=spans, checkpoint_every=every)
        outside = path.padding(slice(0, steps)).expand(steps, 4, 1)
        for blank, tape in zip(outside.split([len(tape) for tape in path.tape] or [steps]), path.tape, strict=False):
            assert (tape.masked_select(blank) == 0).all()  # whatever a cell may record there
        found = torch.autograd.grad((h, last), inputs, (dh, d_last))
        sums = [torch.zeros_like(p) for p in cell.parameters()]
        for b in range(4):
            one, own = slice(b, b + 1), slice(*spans[:, b].tolist())
            alone = (x[own, one].clone().requires_grad_(), s_0[one].clone().requires_grad_())
            h_1, last_1, _ = scan(cell, *alone)
            dx, ds, *dp = torch.autograd.grad((h_1, last_1), (*alone, *cell.parameters()), (dh[own, one], d_last[one]))
            sums = [total + g for total, g in zip(sums, dp, strict=True)]
            assert relative(h[own, one], h_1) < ROUNDING
            assert relative(last[one], last_1) < ROUNDING
            assert relative(found[0][own, one], dx) < ROUNDING
            assert relative(found[1][one], ds) < ROUNDING
        assert max(relative(a, b) for a, b in zip(found[2:], sums, strict=True)) < 1e-11  # sums over 700 steps
        assert h.count_nonzero() == lengths.sum() * 4


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("window", [1, 3, 4, 9, 20])
def test_truncation_equals_detaching_the_state(name, window):
    """Gradients of everything, adjoints in both ranges; windows that divide 9 steps, do not, and exceed them."""
    cell, x, s_0 = random_cell(name), torch.randn(9, 3, 3), torch.randn(3, CELLS[name](3, 4).state_size)
    dh, d_last = torch.randn(9, 3, 4), torch.randn(3, cell.state_size)
    x.requires_grad_()
    s_0.requires_grad_()
    wanted = (x, s_0, *cell.parameters())
    s, before, after, hs = s_0, [], [], []
    for t, z in enumerate(cell.project(x).unbind(0)):
        s = s.detach().requires_grad_() if t and t % window == 0 else s
        before.append(s)
        s = cell.step(z, s)
        s.retain_grad()
        after.append(s)
        hs.append(cell.hidden(s))
    (torch.stack(hs) * dh).sum().add((s * d_last).sum()).backward()
    expected = [torch.zeros_like(v) if v.grad is None else v.grad.clone() for v in wanted]
    states = torch.stack([s.grad for s in after])
    for which in (cell, Plain(cell)):
        h, last, path = scan(which, x, s_0, truncate=window)
        for twice in (False, True):
            found = torch.autograd.grad((h, last), wanted, (dh, d_last), retain_graph=True, create_graph=twice)
            assert max(relative(a, b) for a, b in zip(found, expected, strict=True)) < ROUNDING
        direct = torch.zeros(path.shape)
        direct[1:, :, :4] = dh
        direct[-1] += d_last
        assert relative(adjoint_scan(which, path, direct)[1:], states) < ROUNDING
        scaled = adjoint_scan(which, path, Scaled.of(direct))
        assert relative(scaled.at(torch.zeros(10, 3))[1:], states) < ROUNDING


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_adjoints_are_exactly_zero_across_a_cut(direction):
    """One loss in the middle: what it reaches is its own window, in each direction's order of time."""
    network = stack_of("lstm", direction=direction, depth=1, truncate=5)
    x = torch.randn(17, 2, 3)
    outputs, trajectory = network(x)
    (d_out,) = torch.autograd.grad(outputs[8].sum(), trajectory.out)
    for found in (adjoints(trajectory, d_out), adjoints(trajectory, Scaled.of(d_out))):
        for (_, way, _), a in found.parts.items():
            reached = log10_norm(a).isfinite().all(1).nonzero().flatten().tolist()
            # state t is row t-1: forward windows of rows 0-4, 5-9, 10-14; backward they are counted from the end
            assert reached == ([5, 6, 7, 8] if way == "forward" else [8, 9, 10, 11])
    full = adjoints(trajectory.truncated(None), d_out).parts
    assert all((a != 0).any(-1).any(-1).sum() > 5 for a in full.values())


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
@pytest.mark.parametrize(("steps", "every"), [(12, 1), (60, 7), (60, 35), (60, 500)])
def test_checkpoints_change_no_number(name, steps, every):
    """The same operations in the same order but for the edges of blocks, at which products are split."""
    network = stack_of(name, depth=2)
    x = torch.randn(steps, 5, 3, requires_grad=True)
    results = []
    for k in (None, every):
        network.checkpoint_every = k
        outputs, trajectory = network(x)
        loss = outputs.square().sum()
        (d_out,) = torch.autograd.grad(loss, trajectory.out, retain_graph=True)
        grads = torch.autograd.grad(loss, (x, *network.parameters()))
        measured = adjoints(trajectory, Scaled.of(d_out), take=norms).parts
        results.append([outputs, *grads, *measured.values()])
    assert max(relative(a, b) for a, b in zip(*results, strict=True)) < ROUNDING
    assert all(sum(x.numel() for x in run.path.tape) == 0 for run in trajectory.passes.values())


def test_the_block_says_what_the_state_and_the_drive_receive():
    """delta of both ranges against autograd with respect to the drive."""
    for name in CELLS:
        cell, x = random_cell(name), torch.randn(60, 3, 3)
        z = cell.project(x).detach().requires_grad_()
        s, hs = torch.zeros(3, cell.state_size), []
        for z_t in z.unbind(0):
            s = cell.step(z_t, s)
            hs.append(cell.hidden(s))
        w = torch.randn(60, 3, 4)
        (torch.stack(hs) * w).sum().backward()
        path = scan(cell, x)[2]
        direct = torch.zeros(path.shape)
        direct[1:, :, :4] = w
        (block,) = way_back(cell, path, lambda steps, _, d=direct: d[1:][steps])
        assert relative(cell.drive(block.delta.flatten(0, 1)), z.grad.flatten(0, 1)) < ROUNDING
        (block,) = way_back(cell, path, lambda steps, _, d=direct: Scaled.of(d[1:][steps]))
        delta = block.delta.at(torch.zeros(60, 3))
        assert relative(cell.drive(delta.flatten(0, 1)), z.grad.flatten(0, 1)) < ROUNDING


def test_second_derivatives_know_lengths():
    cell, x = random_cell("gru", 2, 3), torch.randn(5, 3, 2, requires_grad=True)
    spans = torch.tensor([[0, 1, 0], [3, 5, 5]])
    s_0 = torch.randn(3, 3, requires_grad=True)
    inputs = (x, s_0, *cell.parameters())

    def run(x, s, *_):
        h, last, _ = scan(cell, x, s, spans=spans, truncate=2)
        return h, last

    first = torch.autograd.grad(sum(y.square().sum() for y in run(*inputs)), inputs)
    again = torch.autograd.grad(sum(y.square().sum() for y in run(*inputs)), inputs, create_graph=True)
    assert max(relative(a, b) for a, b in zip(again, first, strict=True)) < ROUNDING
    full = torch.autograd.grad(unrolled(cell, x, s_0)[-1].sum(), x)
    assert relative(first[0], full[0]) > 0.1


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.tensor([3, 2]), r"B = 4 lengths from 1 to T = 11, got \[3, 2\]"),
        (torch.tensor([3, 2, 0, 1]), r"lengths from 1 to T = 11, got \[3, 2, 0, 1\]"),
        (torch.tensor([3, 2, 12, 1]), r"lengths from 1 to T = 11, got \[3, 2, 12, 1\]"),
    ],
)
def test_wrong_lengths_are_refused(lengths, message, as_a_user):
    with pytest.raises(ValueError, match=message):
        stack_of("tanh")(padded(), lengths)


@pytest.mark.parametrize("name", ["truncate", "checkpoint_every"])
def test_windows_below_one_are_refused(name, as_a_user):
    with pytest.raises(ValueError, match=f"scan needs {name} >= 1 steps, got 0"):
        scan(random_cell("tanh"), torch.zeros(4, 2, 3), **{name: 0})
    with pytest.raises(ValueError, match=f"stack needs {name} >= 1 steps, or none, got 0"):
        stack_of("tanh", **{name: 0})
    with pytest.raises(ValueError, match="scan needs spans"):
        scan(random_cell("tanh"), torch.zeros(4, 2, 3), spans=torch.tensor([[0, 3], [4, 3]]))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_cuts_count_from_each_samples_own_first_step_across_blocks(direction):
    """100 steps of 40 samples are four blocks; each sample alone is one, and the unrolled twin above holds that."""
    network = stack_of("lstm", direction=direction, truncate=7)
    lengths = torch.randint(1, 101, (40,))
    x = torch.randn(100, 40, 3)
    outputs, together = network(x, lengths)
    (d_out,) = torch.autograd.grad((outputs.square().sum(-1) * together.valid).sum(), together.out)
    plain, scaled = (adjoints(together, d).parts for d in (d_out, Scaled.of(d_out)))
    for sample in (0, 17, 39):
        one, length = slice(sample, sample + 1), int(lengths[sample])
        y, alone = network(x[:length, one])
        (d_alone,) = torch.autograd.grad(y.square().sum(), alone.out)
        for key, a in adjoints(alone, d_alone).parts.items():
            assert relative(plain[key][:length, one], a) < ROUNDING
            assert torch.allclose(log10_norm(scaled[key])[:length, one], log10_norm(a), rtol=0, atol=ROUNDING)
