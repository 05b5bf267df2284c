"""Every number of a trace against naive loops under autograd: all kinds of modules, layouts and losses."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import rnnlab
from rnnlab.networks.foreign import Layout, masks_of
from rnnlab.statistics import STATISTICS, reduce_samples
from tests.rnnlab.oracles import copy_into_torch, stack_of
from tests.rnnlab.torch_twin import Twin, keys, unrolled
from tests.rnnlab.tracing.checks import INPUTS, MODULES, B, H, T, assert_same, close, inputs, loss_of, of, random_module

WAYS = {  # (settings of the module, lengths, whether they fall, whether there are initial states)
    "one layer": ({}, None, True, False),
    "three layers": ({"num_layers": 3}, None, True, True),
    "both directions": ({"num_layers": 2, "bidirectional": True}, None, True, False),
    "batch first, no bias": ({"batch_first": True, "bias": False, "bidirectional": True}, None, True, True),
    "dropout": ({"num_layers": 3, "dropout": 0.4, "bidirectional": True, "batch_first": True}, None, True, True),
    "packed": ({"num_layers": 2, "bidirectional": True}, [7, 5, 2], True, True),
    "packed, not sorted": ({"num_layers": 2, "bidirectional": True, "batch_first": True}, [2, 7, 4], False, True),
    "packed, dropout": ({"num_layers": 2, "dropout": 0.4, "bidirectional": True}, [4, 6, 7], False, True),
}
LOSSES = {
    "everything": lambda out, *last: out.square().sum() + sum((k + 2) * v.square().sum() for k, v in enumerate(last)),
    "only out": lambda out, *last: out.square().sum(),
    "only h_n": lambda out, h, *last: h.square().sum(),
    "only the last state": lambda out, *last: last[-1].square().sum(),
    "out of one sample and step": lambda out, *last: out[1, 1].square().sum(),
}


def initial(module: nn.RNNBase) -> tuple[torch.Tensor, ...]:
    rows, widths = module.num_layers * (1 + module.bidirectional), [module.proj_size or H]
    widths += [H] if isinstance(module, nn.LSTM) else []
    return tuple(torch.randn(rows, B, width) for width in widths)


def flat(output) -> tuple[torch.Tensor, ...]:
    """(out, h_n, c_n if there is one) of what a module returned."""
    out, last = output
    return (out, *last) if isinstance(last, tuple) else (out, last)


def called(module: nn.RNNBase, x: torch.Tensor, hx, lengths: list[int] | None, ordered: bool):
    """(out [T, B, D], h_n, c_n if there is one) of a call as users make it, from x [T, B, I]."""
    x = x.transpose(0, 1) if module.batch_first else x
    if lengths:
        x = pack_padded_sequence(x, torch.tensor(lengths), module.batch_first, enforce_sorted=ordered)
    args = () if hx is None else (hx if isinstance(module, nn.LSTM) else hx[0],)
    out, *last = flat(module(x, *args))
    if isinstance(out, PackedSequence):
        return pad_packed_sequence(out)[0], *last
    return out.transpose(0, 1) if module.batch_first else out, *last


def masks_by_hand(module, lengths, ordered, out, state) -> list[torch.Tensor] | None:
    """The masks of the dropout between layers; that they are the right ones shows in the outputs of the twin."""
    if not module.dropout:
        return None
    layout, N = Layout(False, True, None), (T, B)
    back = torch.arange(B)
    if lengths:
        packing = pack_padded_sequence(torch.zeros(T, B, 1), torch.tensor(lengths), enforce_sorted=ordered)
        layout, N = Layout(False, True, packing), (sum(lengths),)
        back = packing.unsorted_indices if packing.unsorted_indices is not None else back
    found = masks_of(module, layout, out.new_ones(*N, out.shape[-1]), state)
    return [found[layer][:, back] for layer in sorted(found)]


def run_both(module, x, hx, lengths, ordered, loss) -> tuple[rnnlab.trace, Twin]:
    state = torch.get_rng_state()
    with rnnlab.trace(module, every=1) as trace:
        outputs = called(module, x, hx, lengths, ordered)
        loss(*outputs).backward()
    module.zero_grad()
    masks = masks_by_hand(module, lengths, ordered, outputs[0].detach(), state)
    twin = unrolled(module, x, hx, lengths, masks)
    for ours, theirs in zip(outputs, (twin.out, *twin.last), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-12)
    loss(twin.out, *twin.last).backward()
    return trace, twin


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("way", WAYS)
def test_every_number_equals_autograd_on_a_naive_loop(name, way):
    settings, lengths, ordered, states = WAYS[way]
    module = random_module(name, **settings)
    hx = initial(module) if states else None
    trace, twin = run_both(module, torch.randn(T, B, INPUTS), hx, lengths, ordered, LOSSES["everything"])
    assert_same(trace, twin, module, lengths)


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru", "projected"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_loss_may_read_any_of_the_outputs(name, loss, layers):
    module = random_module(name, num_layers=layers, bidirectional=layers == 2)
    lengths, ordered = ([2, 7, 4], False) if layers == 2 else (None, True)
    trace, twin = run_both(module, torch.randn(T, B, INPUTS), initial(module), lengths, ordered, LOSSES[loss])
    assert_same(trace, twin, module, lengths)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("batch_first", [False, True])
def test_input_without_a_batch(name, batch_first):
    module = random_module(name, num_layers=2, bidirectional=True, batch_first=batch_first)
    x, hx = torch.randn(T, 1, INPUTS), tuple(v[:, :1] for v in initial(module))
    first = tuple(v[:, 0] for v in hx)
    with rnnlab.trace(module, every=1) as trace:
        outputs = flat(module(x[:, 0], hx=first if isinstance(module, nn.LSTM) else first[0]))
        LOSSES["everything"](*outputs).backward()
    twin = unrolled(module, x, hx)
    LOSSES["everything"](twin.out, *twin.last).backward()
    assert_same(trace, twin, module)


def test_gradients_far_below_every_float_are_numbers():
    """A linear-like regime: 3,000 steps of tanh at gain .1 lose a decade and more each; float64 ends at 1e-308."""
    module = nn.RNN(1, 2, bias=False)
    with torch.no_grad():
        module.weight_hh_l0.copy_(0.1 * torch.eye(2))
    with rnnlab.trace(module) as trace:
        module(torch.zeros(3000, 1, 1))[0][-1, 0, 0].backward()
    median = of(trace.profiles(), part="h", statistic="q50").log10
    assert torch.allclose(torch.tensor(median.to_numpy()), torch.arange(-2999.0, 1), atol=1e-9, rtol=0)


def test_scale_divides_every_number():
    module, x = random_module("lstm"), torch.randn(T, B, INPUTS)
    factor, traces = [8.0], []
    for scale, times in ((1.0, 1.0), (8.0, 8.0), (lambda: factor[0], 8.0)):
        with rnnlab.trace(module, scale=scale) as trace:
            (times * module(x)[0].sum()).backward()
        traces.append(trace)
    for trace in traces[1:]:
        for table in ("profiles", "weights"):
            ours, plain = (torch.tensor(getattr(t, table)().log10.to_numpy()) for t in (trace, traces[0]))
            close(ours, plain)
    with pytest.raises(ValueError, match="positive, finite scale, got 0"):
        rnnlab.trace(module, scale=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_half_and_single_precision_are_measured_in_float32(name, dtype, autocast):
    """Against float64 on the same weights and masks: here the gradient that arrives is rounded nowhere, so that only
    the rounding of float32 is left, 1e-7 over some 20 operations, even where the module itself rounds to 8 bits."""
    module = random_module(name, num_layers=2, dropout=0.3).to(dtype)
    x, state = torch.randn(T, B, INPUTS, dtype=dtype), torch.get_rng_state()
    with rnnlab.trace(module) as trace:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = module(x)[0]
        out.float().sum().backward()
    masks = masks_by_hand(module, None, True, out.detach(), state)
    twin = unrolled(module.double(), x.double(), None, None, [m.double() for m in masks])
    twin.out.sum().backward()
    for key in keys(module):
        ours = of(trace.profiles(), layer=key.layer, direction=key.direction, part="h", statistic="q50").log10
        expected = reduce_samples(twin.log10_norms(key, "h"))[0][STATISTICS.index("q50")]
        error = (torch.tensor(ours.to_numpy()) - expected).abs().max()
        assert error < 1e-5


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
def test_a_stack_of_ours_is_traced_as_its_twin_of_torch_is(name):
    network = stack_of(name, readout="each")
    module = copy_into_torch(network, name)
    with rnnlab.trace(nn.ModuleDict({"ours": network, "theirs": module})) as trace:
        loss_of(network(inputs())[0]).backward()
        loss_of(network.readout(module(inputs())[0])).backward()
    for table in (trace.profiles(), trace.weights()):
        order = [c for c in table.columns if c not in ("module", "log10", "cancellation")]
        ours, theirs = (of(table, module=m).sort_values(order) for m in ("ours", "theirs"))
        assert len(ours) == len(theirs) > 0
        np.testing.assert_allclose(ours.log10, theirs.log10, rtol=0, atol=1e-10)


def test_a_sample_that_is_dead_does_not_hide_one_that_fades():
    """ReLU: sample 0 has a gradient at every step and passes none of it on; in sample 1 it falls by 10 a step, beyond
    what float64 holds, and its hidden state is 1.11: G_t is the product of the two."""
    module = nn.RNN(1, 1, nonlinearity="relu", bias=False, dtype=torch.float32)
    with torch.no_grad():
        module.weight_ih_l0.fill_(1.0)
        module.weight_hh_l0.fill_(0.1)
    x = torch.tensor([-1.0, 1.0], dtype=torch.float32).expand(400, 2)[..., None]
    with rnnlab.trace(module) as trace:
        out = module(x)[0]
        (out[:, 0].sum() + out[-1, 1].sum()).backward()
    found = torch.tensor(of(trace.weights(), gate="all").sort_values("time").log10.to_numpy())
    h = (1 - 0.1 ** torch.arange(400.0)) / 0.9  # h_{t-1}, a geometric series
    close(found, torch.arange(-399.0, 1) + h.log10(), 1e-4)  # 400 factors of float32's 0.1, which is 1.5e-8 too large
