"""What a trace cannot follow it refuses by name, or tells."""

import pytest
import torch
from torch import nn

import rnnlab
from tests.rnnlab.networks.test_depth import network_of
from tests.rnnlab.tracing.checks import inputs, random_module


def test_a_call_that_cannot_be_repeated_is_told():
    """float32 at gain 3 forgets its start within 100 steps: any other order of sums ends elsewhere."""
    module = nn.RNN(3, 64, dtype=torch.float32)
    nn.init.normal_(module.weight_hh_l0, std=3 / 8)
    with rnnlab.trace(module), pytest.warns(RuntimeWarning, match="repeats 'RNN' with outputs that differ"):
        module(torch.randn(300, 2, 3, dtype=torch.float32))[0].sum().backward()


class OwnForward(nn.LSTM):
    def forward(self, x, hx=None):
        return super().forward(2 * x, hx)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: nn.Linear(2, 2), ValueError, "in the model, got Linear"),
        (lambda: [nn.LSTM(2, 2)], ValueError, "needs a torch.nn.Module, got list"),
        (lambda: nn.DataParallel(nn.LSTM(2, 2)), NotImplementedError, "DataParallel runs copies"),
        (lambda: nn.Sequential(OwnForward(2, 2)), NotImplementedError, r"'0' \(OwnForward\): it has a forward of its"),
        (lambda: network_of("tanh", "decoder"), NotImplementedError, "its encoder hands states to its decoder"),
        (lambda: torch.compile(nn.LSTM(2, 2), backend="eager"), NotImplementedError, "compiled"),
    ],
)
def test_models_that_cannot_be_followed_are_refused_by_name(build, error, message, as_a_user):
    with pytest.raises(error, match=message):
        rnnlab.trace(build())


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_module_is_refused():
    with pytest.raises(NotImplementedError, match="scripted"):
        rnnlab.trace(nn.Sequential(torch.jit.script(nn.GRU(2, 2))))


def test_calls_that_cannot_be_followed_are_refused():
    module = random_module("gru")
    with rnnlab.trace(module, every=5):
        module(inputs())[0].sum().backward()
        with pytest.raises(NotImplementedError, match="create_graph"):
            module(inputs())[0].sum().backward(create_graph=True)
        with pytest.raises(NotImplementedError, match=r"torch\.func"):
            torch.func.grad(lambda x: module(x)[0].sum())(inputs())
    frozen = random_module("gru").requires_grad_(False)
    with rnnlab.trace(frozen, every=1) as trace:
        x = inputs().requires_grad_()
        module_loss = frozen(x)[0].square().sum()
        with torch.no_grad():
            x.mul_(2)
        with pytest.raises(RuntimeError, match="input was changed in place after the forward call"):
            module_loss.backward()
    assert len(trace.profiles()) == 0


def test_every_below_one_is_refused():
    with pytest.raises(ValueError, match="trace needs every >= 1, got 0"):
        rnnlab.trace(nn.GRU(2, 2), every=0)
