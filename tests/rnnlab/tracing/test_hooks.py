"""A trace changes nothing, counts backward passes, forgets what no backward pass needs, and refuses what it cannot."""

import copy
import gc
import io

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import rnnlab
from rnnlab.tracing.calls import ForeignCall
from tests.rnnlab.torch_twin import unrolled
from tests.rnnlab.tracing.checks import MODULES, T, assert_same, inputs, loss_of, random_module, twin_of


class Model(nn.Module):
    def __init__(self, name: str, **settings):
        super().__init__()
        self.inner = nn.ModuleDict({"rnn": random_module(name, **settings)})
        self.head = nn.Sequential(nn.Dropout(0.3), nn.LazyLinear(2))

    def forward(self, x):
        out, _ = self.inner["rnn"](x)
        return self.head(out[-1])


def train(name: str, dtype: torch.dtype, trace: bool):
    """Five steps of a user's loop: everything that could differ."""
    torch.manual_seed(3)
    model = Model(name, num_layers=2, bidirectional=True, dropout=0.3).to(dtype)
    model(torch.zeros(1, 1, 3, dtype=dtype))  # the lazy layer
    optimizer, seen = torch.optim.SGD(model.parameters(), 0.1), []
    tracer = rnnlab.trace(model, every=2)
    if trace:
        tracer.__enter__()
    for _ in range(5):
        y = model(torch.randn(T, 5, 3, dtype=dtype))
        optimizer.zero_grad()
        y.square().mean().backward()
        optimizer.step()
        seen += [y.detach(), *(p.grad.clone() for p in model.parameters()), *(p.clone() for p in model.parameters())]
        seen.append(torch.get_rng_state())
    tracer.__exit__()
    return seen, tracer


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_training_is_bit_for_bit_the_same(name, dtype):
    plain, _ = train(name, dtype, trace=False)
    traced, tracer = train(name, dtype, trace=True)
    assert all(torch.equal(a, b) for a, b in zip(plain, traced, strict=True))
    assert tracer.profiles().step.unique().tolist() == [0, 2, 4]
    assert tracer.profiles().module.unique().tolist() == ["inner.rnn"]


def test_each_backward_pass_counts_and_nothing_else_does():
    module = random_module("gru")
    with rnnlab.trace(module, every=3) as trace:
        for k in range(7):
            with torch.no_grad():
                module(inputs())
            module(inputs())  # with a graph that nobody uses
            for _ in range(2):  # accumulation
                module(inputs(k))[0].sum().backward()
    assert trace.profiles().step.unique().tolist() == [0, 3, 6, 9, 12]
    assert trace.profiles().module.unique().tolist() == ["GRU"]


def test_forward_passes_may_all_come_before_their_backward_passes():
    module = random_module("lstm")
    with rnnlab.trace(module, every=2) as trace:
        losses = [loss_of(module(inputs(seed))[0]) for seed in (1, 2, 3)]
        for loss in losses:
            loss.backward()
    assert trace.profiles().step.unique().tolist() == [0, 2]
    for step, seed in ((0, 1), (2, 3)):
        assert_same(trace, twin_of(module, seed)[0], module, step=step)


def test_calls_of_one_backward_pass_are_told_apart_in_forward_order():
    """The second call goes on from the state of the first, whose last state carries its gradient back."""
    module = random_module("lstm", num_layers=2)
    with rnnlab.trace(module) as trace:
        first, state = module(inputs(1))
        second, _ = module(inputs(2), state)
        (loss_of(first) + loss_of(second)).backward()
    early = unrolled(module, inputs(1))
    late = unrolled(module, inputs(2), early.last)
    (loss_of(early.out) + loss_of(late.out)).backward()
    for call, twin in enumerate((early, late)):
        assert_same(trace, twin, module, call=call)


def test_two_backward_passes_through_one_graph_are_two_steps():
    module = random_module("gru")
    with rnnlab.trace(module, every=1) as trace:
        out, last = module(inputs())
        loss_of(out).backward(retain_graph=True)
        last.sum().backward()
    assert_same(trace, twin_of(module, 1)[0], module, step=0)
    twin = unrolled(module, inputs())
    twin.last[0].sum().backward()
    assert_same(trace, twin, module, step=1)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints_run_the_module_twice_and_count_once(reentrant):
    module = random_module("lstm", num_layers=2)
    with rnnlab.trace(module, every=1) as trace:
        for _ in range(2):
            outs = [
                checkpoint(lambda x: module(x)[0], inputs(seed).requires_grad_(), use_reentrant=reentrant)
                for seed in (1, 2)
            ]
            sum(loss_of(out) for out in outs).backward()
    assert trace.profiles().step.unique().tolist() == [0, 1]
    for step in (0, 1):
        for call, twin in enumerate(twin_of(module, 1, 2)):
            assert_same(trace, twin, module, step=step, call=call)


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_outputs_may_be_changed_in_place(name, batch_first, batched):
    """Some of them are views, whose own node in the graph such a change replaces by another."""
    module = random_module(name, num_layers=2, batch_first=batch_first)
    x, turned = inputs() if batched else inputs()[:, :1], batch_first and batched

    def changed(out: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        out.mul_(3)
        last.mul_(2)
        out[-1].mul_(0.5)
        return loss_of(out) + last.square().sum()

    with rnnlab.trace(module) as trace:
        out, last = module(x.transpose(0, 1) if turned else x if batched else x[:, 0])
        changed(out, last[0] if name == "lstm" else last).backward()
    twin = unrolled(module, x)
    out, last = 1 * twin.out, 1 * twin.last[0]
    changed(
        out.transpose(0, 1) if turned else out if batched else out[:, 0], last if batched else last[:, 0]
    ).backward()
    assert_same(trace, twin, module)


def test_hooks_of_the_user_on_the_output_act_first():
    module = random_module("lstm", num_layers=2, batch_first=True)
    with rnnlab.trace(module) as trace:
        out = module(inputs().transpose(0, 1))[0]
        out.register_hook(lambda g: g.clamp(-0.5, 0.5))
        loss_of(out.transpose(0, 1)).backward()
    twin = unrolled(module, inputs())
    out = twin.out * 1
    out.register_hook(lambda g: g.clamp(-0.5, 0.5))
    loss_of(out).backward()
    assert_same(trace, twin, module)


def test_a_hook_of_the_user_may_return_something_else():
    module = random_module("lstm")
    module.register_forward_hook(lambda module, args, output: output[0] * 2)
    with rnnlab.trace(module) as trace:
        loss_of(module(inputs())).backward()
    twin = unrolled(module, inputs())
    loss_of(twin.out * 2).backward()
    assert_same(trace, twin, module)


def test_a_backward_pass_that_fails_leaves_nothing_for_the_next():
    """Its gradient of c_n has arrived when the user's own code stops it; the next pass reads h_n alone."""
    module = random_module("lstm")

    def stop(gradient: torch.Tensor) -> None:
        raise KeyError

    with rnnlab.trace(module, every=1) as trace:
        out, (h, c) = module(inputs())
        handle = out.register_hook(stop)
        with pytest.raises(KeyError):
            (c.sum() + out.sum()).backward(retain_graph=True)
        handle.remove()
        h.square().sum().backward()
    twin = unrolled(module, inputs())
    twin.last[0].square().sum().backward()
    assert trace.profiles().step.unique().tolist() == [1]
    assert_same(trace, twin, module, step=1)


def test_an_empty_batch_is_no_backward_pass():
    module = random_module("gru")
    with rnnlab.trace(module, every=1) as trace:
        module(torch.zeros(T, 0, 3))[0].sum().backward()
    assert len(trace.profiles()) == 0


def test_weights_may_change_within_the_backward_pass():
    """An optimiser fused into it: the weights are those of the forward pass all the same."""
    module = random_module("lstm", num_layers=2)
    twin = twin_of(module, 1)[0]
    module.zero_grad()

    def descend(p: torch.Tensor) -> None:
        with torch.no_grad():
            p.sub_(p.grad)

    for p in module.parameters():
        p.register_post_accumulate_grad_hook(descend)
    with rnnlab.trace(module) as trace:
        loss_of(module(inputs())[0]).backward()
    assert_same(trace, twin, module)


def test_parametrised_weights_are_those_of_the_call():
    module = parametrizations.weight_norm(random_module("gru"), "weight_hh_l0")
    with torch.no_grad():
        module.parametrizations.weight_hh_l0.original0.mul_(1.7)
    with rnnlab.trace(module) as trace:
        loss_of(module(inputs())[0]).backward()
    plain = nn.GRU(3, 4)
    plain.load_state_dict({name: getattr(module, name) for name in plain.state_dict()})
    assert_same(trace, twin_of(plain, 1)[0], plain)


def alive() -> int:
    return sum(type(x) is ForeignCall for x in gc.get_objects())


def test_nothing_is_kept_that_no_backward_pass_needs():
    module, losses = random_module("lstm", num_layers=2), []
    gc.collect()
    gc.disable()  # what only the collector could free would stay
    try:
        with rnnlab.trace(module, every=2) as trace:
            for _ in range(3):
                module(inputs())
                with torch.no_grad():
                    module(inputs())
                assert alive() == 0
                losses.append(module(inputs())[0].sum())
                assert alive() == 1
                losses[-1].backward()
                assert alive() == 0
        late = module(inputs())[0].sum()
        assert alive() == 0
        late.backward()
    finally:
        gc.enable()
    assert trace.profiles().step.unique().tolist() == [0, 2]


def test_hooks_go_with_the_block_and_with_an_exception():
    module = random_module("gru")
    with pytest.raises(KeyError), rnnlab.trace(module) as trace:
        late = module(inputs())[0].sum()
        raise KeyError
    assert not module._forward_hooks
    assert not module._forward_pre_hooks
    late.backward()
    assert len(trace.profiles()) == len(trace.weights()) == 0
    with pytest.raises(ValueError, match="nothing to plot"):
        trace.plot()
    with trace:
        with pytest.raises(ValueError, match="entered already"), trace:
            pass
        module(inputs())[0].sum().backward()
    assert trace.profiles().step.unique().tolist() == [0]


def test_two_traces_see_the_same():
    module = random_module("lstm", num_layers=2, dropout=0.5)
    with rnnlab.trace(module) as outer, rnnlab.trace(module) as inner:
        module(inputs())[0].sum().backward()
    assert outer.profiles().equals(inner.profiles())


def test_copies_of_the_model_are_not_traced():
    module = random_module("gru")
    with rnnlab.trace(module, every=1) as trace:
        saved = io.BytesIO()
        torch.save(module, saved)
        saved.seek(0)
        for twin in (copy.deepcopy(module), torch.load(saved, weights_only=False)):
            twin(inputs())[0].sum().backward()
    assert len(trace.profiles()) == 0


def test_scale_is_asked_at_each_probe_alone():
    module, asked = random_module("gru"), []
    with rnnlab.trace(module, every=2, scale=lambda: asked.append(1) or 1.0):
        for _ in range(4):
            module(inputs())[0].sum().backward()
    assert len(asked) == 2
