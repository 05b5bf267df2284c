"""Modules to trace, and the comparison of a whole trace with the twin."""

from functools import partial

import torch
from torch import nn

import rnnlab
from rnnlab.statistics import STATISTICS, reduce_samples
from tests.rnnlab.torch_twin import Twin, gate_rows, keys, unrolled

T, B, INPUTS, H = 7, 3, 3, 4
ROUNDING = 1e-10  # float64: a few hundred operations deep, and log10 of norms that cancel two digits
MODULES = {
    "tanh": nn.RNN,
    "relu": partial(nn.RNN, nonlinearity="relu"),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "projected": partial(nn.LSTM, proj_size=2),
}


def random_module(name: str, **settings) -> nn.RNNBase:
    """A module with random weights and biases, all of one size: nothing for a bug to hide behind."""
    module = MODULES[name](INPUTS, H, **settings)
    for p in module.parameters():
        nn.init.normal_(p, std=0.6)
    return module


def inputs(seed: int = 1) -> torch.Tensor:
    return torch.randn(T, B, 3, generator=torch.Generator().manual_seed(seed))


def loss_of(out: torch.Tensor) -> torch.Tensor:
    return (out * torch.linspace(-1, 1, out.numel()).view_as(out)).square().sum()


def twin_of(module: nn.RNNBase, *seeds: int):
    """The twin after one backward pass of the sum of `loss_of` over separate calls."""
    twins = [unrolled(module, inputs(seed)) for seed in seeds]
    sum(loss_of(twin.out) for twin in twins).backward()
    return twins


def assert_same(trace: rnnlab.trace, twin: Twin, module: nn.RNNBase, lengths=None, step: int = 0, call: int = 0):
    """All rows of one call in one step against the twin, whose loss has been pulled back."""
    lengths = lengths or [len(twin.out)] * twin.out.shape[1]
    valid = torch.arange(len(twin.out))[:, None] < torch.tensor(lengths)
    profiles, weights = trace.profiles(), trace.weights()
    profiles = profiles[(profiles.step == step) & (profiles.call == call)]
    weights = weights[(weights.step == step) & (weights.call == call)]
    gates = gate_rows(module)
    series = [("h", "", slice(None)), *(("z", gate, rows) for gate, rows in gates.items())]
    series += [("c", "", slice(None))] if isinstance(module, nn.LSTM) else []
    assert len(profiles) == len(keys(module)) * len(series) * len(STATISTICS) * len(twin.out)
    for key in keys(module):
        for part, gate, rows in series:
            expected, zeros, _ = reduce_samples(twin.log10_norms(key, part, rows), valid)
            found = of(profiles, layer=key.layer, direction=key.direction, part=part, gate=gate)
            for statistic, row in zip(STATISTICS, expected, strict=True):
                ours = of(found, statistic=statistic).sort_values("time")
                close(torch.tensor(ours.log10.to_numpy()), row)
                assert ours.zeros.tolist() == zeros.tolist()
        for gate, rows in (*gates.items(), ("all", slice(None))):
            share = twin.weight_shares(key, rows)
            norms = share.flatten(1).norm(dim=1)
            found = of(weights, layer=key.layer, direction=key.direction, gate=gate).sort_values("time")
            close(torch.tensor(found.log10.to_numpy()), norms.log10())
            close(torch.tensor(found.cancellation.to_numpy()), (share.sum(0).norm() / norms.sum()).expand(len(norms)))


def of(table, **columns):
    for name, value in columns.items():
        table = table[table[name] == value]
    return table


def close(ours: torch.Tensor, expected: torch.Tensor, tolerance: float = ROUNDING) -> None:
    assert torch.allclose(ours, expected, rtol=0, atol=tolerance, equal_nan=True), (ours, expected)
