"""Largest singular values: of which matrix, and that nothing is above what they bound."""

import math

import pytest
import torch

from rnnlab.constraints import orthogonal
from rnnlab.probes import Profile, Spectrum
from rnnlab.statistics import STATISTICS
from tests.rnnlab.networks.test_depth import network_of
from tests.rnnlab.oracles import stack_of
from tests.rnnlab.probes.test_weights import moment_of


def stretch(W: torch.Tensor) -> float:
    """The largest singular value by power iteration."""
    v = torch.ones(W.shape[1])
    for _ in range(300):
        v = W.T @ (W @ v)
        v = v / v.norm()
    return (W @ v).norm().item()


def test_each_gate_of_each_layer_and_direction_has_that_of_its_own_matrix():
    network = stack_of("lstm", depth=2, direction="bidirectional")
    moment = moment_of(network, torch.randn(4, 2, 3))
    found = Spectrum()(moment).scalars
    wanted = {
        f"weights/L{layer}/{direction}/{gate}/largest_singular_value": stretch(W)
        for (layer, direction), run in moment.trajectory.passes.items()
        for gate, W in zip(run.cell.gates, run.cell.W.detach().split(4), strict=True)
    }
    assert len(wanted) == 16
    assert found == {name: pytest.approx(value, rel=1e-6) for name, value in wanted.items()}


def test_maps_of_a_deep_transition_and_a_constrained_matrix_are_told_by_name():
    network = network_of("tanh", "each", transition=2)
    for cell in network.cells():
        orthogonal(cell, map="cayley")
    found = Spectrum()(moment_of(network, torch.randn(4, 2, 3))).scalars
    names = {f"weights/L0/forward/maps.{j}.h/largest_singular_value" for j in range(2)}
    assert names <= set(found)
    assert all(value == pytest.approx(1, abs=1e-12) for value in found.values())


@pytest.mark.parametrize(("name", "gamma"), [("tanh", 1), ("sigmoid", 0.25), ("relu", 1), ("identity", 1)])
def test_no_statistic_of_the_profile_is_above_the_bound_of_the_basic_cell(name, gamma):
    network, T = stack_of(name, depth=1, direction="forward"), 25
    moment = moment_of(network, torch.randn(T, 6, 3))
    found = Spectrum()(moment).scalars
    head = "weights/L0/forward/h"
    assert found[f"{head}/step_bound"] == pytest.approx(gamma * found[f"{head}/largest_singular_value"], rel=1e-15)
    reading = Profile()(moment)
    at = reading.axes["loss"].index("last")
    lags = torch.arange(T)
    for norms in reading.arrays["log10_norm"][at]:
        ratio = norms.flip(0) - norms[-1]
        assert (ratio <= lags * math.log10(found[f"{head}/step_bound"]) + 1e-9).all()
    assert len(reading.arrays["log10_norm"][at]) == len(STATISTICS)


def test_a_cell_without_such_a_matrix_is_refused():
    moment = moment_of(stack_of("lru", depth=1, direction="forward"), torch.randn(4, 2, 3))
    with pytest.raises(NotImplementedError, match="singular values need a square recurrent matrix, which LRU lacks"):
        Spectrum()(moment)
