"""The engine on a CUDA device gives the CPU's numbers; skipped where there is none."""

import pytest
import torch

import rnnlab
from rnnlab.networks import adjoints
from rnnlab.probes import Drive, Moment, Profile, States, Truncation, Weights
from rnnlab.scaled import Scaled, log10_norm
from tests.rnnlab.oracles import CELLS, relative, stack_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
LENGTHS = torch.tensor([30, 7, 19])


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("settings", [{}, {"truncate": 4}, {"checkpoint_every": 9}], ids=str)
def test_outputs_gradients_and_adjoints_equal_those_of_the_cpu(name, lengths, settings):
    network, x, found = stack_of(name, **settings), torch.randn(30, 3, 3), []
    for device in ("cpu", "cuda"):
        network, x = network.to(device), x.to(device)
        outputs, trajectory = network(x, None if lengths is None else lengths.to(device))
        (d_out,) = torch.autograd.grad(outputs.sum(), trajectory.out, retain_graph=True)
        grads = torch.autograd.grad(outputs.sum(), tuple(network.parameters()))
        measured = adjoints(trajectory, Scaled.of(d_out)).parts.values()
        assert all(v.device.type == device for v in (outputs, *grads))
        found.append([v.cpu() for v in (outputs, *grads, *(log10_norm(a).exp() for a in measured))])
    assert max(relative(a, b) for a, b in zip(*found, strict=True)) < 1e-9


def test_every_probe_and_a_trace_run_there():
    network, x = stack_of("lstm").cuda(), torch.randn(30, 3, 3, device="cuda")
    with rnnlab.trace(network, every=1) as trace:
        outputs, trajectory = network(x, LENGTHS)
        losses = outputs.square().sum(-1)
        losses.sum().backward(retain_graph=True)
    moment = Moment(0, network, trajectory, losses, losses.sum(0), range(30))
    for probe in (Profile(), Drive(), States(), Weights(), Truncation(windows=[3])):
        assert all(v.device.type == "cpu" for v in probe(moment).arrays.values())
    assert len(trace.profiles())
    module = torch.nn.LSTM(3, 4, bidirectional=True).cuda()
    with rnnlab.trace(module, every=1) as trace:
        module(x)[0].sum().backward()
    assert trace.profiles().log10.notna().all()
