"""The range of the adjoints through a whole network, where every one of them has a closed form."""

import math

import pytest
import torch
from torch import nn

from rnnlab.networks import adjoints
from rnnlab.networks.measures import norms
from rnnlab.scaled import Scaled
from tests.rnnlab.oracles import stack_of

STEPS, SIZE = 20_000, 4


@pytest.mark.parametrize("gain", [0.25, 4.0])
def test_twenty_thousand_steps_through_layers_directions_and_a_deep_readout(gain):
    """Two bidirectional layers of gain times the identity, at rest, in float32, under a readout of three maps that
    sees the forward half alone. With v what it sends to h_{T-1}, k = T - 1 - t the lag, and a the gain:

        top forward |v| a^k        top backward 0        bottom forward |v| (k + 1) a^k: lattice paths
        bottom backward |v| a^k (a^{2(t+1)} - 1) / (a^2 - 1): in at s <= t with a^{T-1-s}, and on to t with a^{t-s}

    so norms of 1e-12041 and 1e+12041, whose exponents of 2 are beyond 16 bits. A float32 sum rounds by 1e-7, 3e-8
    decades, a step; 1e-5 is asked for.
    """
    network = stack_of("identity", hidden=SIZE, readout="last").float()
    for p in network.parameters():
        nn.init.zeros_(p)
    for layer in network.layers:
        for cell in layer:
            cell.W.data = gain * torch.eye(SIZE, dtype=torch.float32)
            cell.U.data[:, :SIZE] = torch.eye(SIZE, cell.inputs)[:, :SIZE]
            cell.U.data[:, SIZE:] = torch.eye(SIZE)[:, : max(0, cell.inputs - SIZE)]
    network.readout = nn.Sequential(nn.Linear(2 * SIZE, 6), nn.Tanh(), nn.Linear(6, 1)).float()
    network.readout[0].weight.data[:, SIZE:] = 0
    outputs, trajectory = network(torch.zeros(STEPS, 1, 3, dtype=torch.float32))
    (d_out,) = torch.autograd.grad(outputs.square().sum(), trajectory.out)
    found = adjoints(trajectory, Scaled.of(d_out), take=norms).parts
    t = torch.arange(STEPS)
    lag, a = STEPS - 1 - t, math.log10(gain)
    falling = -2 * (t + 1) * abs(a) * math.log(10)  # ln of a^{2(t+1)} or of its inverse: expm1 of it is exact
    mixed = (-torch.expm1(falling)).log10() + (2 * (t + 1) * a if gain > 1 else 0)
    v = d_out[-1].double().norm().log10()
    expected = {
        (1, "forward", "h"): v + lag * a,
        (0, "forward", "h"): v + lag * a + (lag + 1).double().log10(),
        (0, "backward", "h"): v + lag * a + mixed - math.log10(abs(gain**2 - 1)),
    }
    assert found[1, "backward", "h"].isneginf().all()
    for key, law in expected.items():
        error = found[key][:, 0] - law
        assert (error / lag.clamp_min(1)).abs().max() < 1e-5
        assert error.diff().abs().max() < 1e-5  # the slope at every single step
    assert abs(found[1, "forward", "h"][0, 0] - found[1, "forward", "h"][-1, 0]) > 12_000
