"""Norms of states against the loop of `step`, a sample at a time, and a closed form."""

import math

import pytest
import torch

from rnnlab.probes import Moment, States
from rnnlab.statistics import STATISTICS
from rnnlab.tasks.base import Batch, shifted
from tests.rnnlab.networks.test_depth import network_of
from tests.rnnlab.oracles import CELLS, stack_of, unrolled
from tests.rnnlab.probes.test_several import linear, moment_of


def measured(network, x, lengths=None):
    """(layer, direction, measure) -> statistic -> log10 over time."""
    outputs, trajectory = network(x, lengths)
    losses = outputs.sum(-1)
    return named(States()(Moment(0, network, trajectory, losses, losses.sum(0), range(len(x)))))


def named(reading):
    labels = zip(*(reading.axes[f"state_{name}"] for name in ("layer", "direction", "measure")), strict=True)
    return {
        label: dict(zip(reading.axes["state_statistic"], rows, strict=True))
        for label, rows in zip(labels, reading.arrays["state_log10"], strict=True)
    }


@pytest.mark.parametrize("every", [None, 7])
@pytest.mark.parametrize("name", ["tanh", "lstm"])
def test_norms_and_distances_are_those_of_the_loop_without_padding(name, every):
    """Each direction of each layer has an end of its own, which is the first step of the backward one."""
    network = stack_of(name, checkpoint_every=every)
    lengths, x = torch.tensor([30, 7, 19]), 2 * torch.randn(30, 3, 3)
    found = measured(network, x, lengths)
    below = [x[: int(n), b : b + 1] for b, n in enumerate(lengths)]
    for depth, layer in enumerate(network.layers):
        hidden = [[], [], []]
        for way, cell in zip(network.directions, layer, strict=True):
            wanted = torch.full((2, 30, 3), math.nan)
            for b, u in enumerate(below):
                s = unrolled(cell, u if way == "forward" else u.flip(0), torch.zeros(1, cell.state_size))
                h = torch.stack(s[1:]).detach()[..., : cell.size]
                both = torch.cat([h.norm(dim=-1), (h - h[-1]).norm(dim=-1)], 1).t().log10()
                wanted[:, : len(u), b] = both if way == "forward" else both.flip(1)
                hidden[b].append(h if way == "forward" else h.flip(0))
            for measure, of_samples in zip(("norm", "distance"), wanted, strict=True):
                got = found[depth, way, measure]
                rising = of_samples.sort(1).values  # NaN last
                middle = [row[round((int((row == row).sum()) - 1) / 2)] for row in rising]
                torch.testing.assert_close(got["q50"], torch.stack(middle), atol=1e-12, rtol=0)
                mean = of_samples.nanmean(1)
                torch.testing.assert_close(got["mean_log10"], mean, atol=1e-12, rtol=0)
        below = [torch.cat(of_ways, -1) for of_ways in hidden]


@pytest.mark.parametrize("name", [name for name in CELLS if "relu" not in name])  # units that are off are at 0
def test_every_cell_is_at_no_distance_from_its_end_and_only_there(name):
    found = measured(stack_of(name), torch.randn(9, 3, 3))
    for (_, way, measure), rows in found.items():
        end = 0 if way == "backward" else 8
        assert rows["q50"].isneginf().tolist() == [measure == "distance" and t == end for t in range(9)]


def test_a_state_that_only_forgets_shrinks_by_its_gain():
    """h_t = 0.8 Q h_{t-1} after one input, log10 0.8 decades a step; in float32 the squares would be 0."""
    network = linear("each", depth=1, direction="forward").float()
    (cell,) = network.cells()
    cell.b.data.zero_()
    x = torch.zeros(100, 2, 3, dtype=torch.float32)
    x[0] = 1e-20
    norm = measured(network, x)[0, "forward", "norm"]["q10"]
    assert norm[0] < -19
    torch.testing.assert_close(norm - norm[0], math.log10(0.8) * torch.arange(100.0).double(), atol=1e-4, rtol=0)


def test_the_states_of_a_decoder_stand_behind_those_of_its_encoder():
    network = network_of("tanh", "decoder", depth=2, direction="bidirectional")
    y = torch.tensor([[1, 2, 3], [2, 1, 1], [0, 0, 0]])
    batch = Batch(torch.randn(5, 3, 3), y, torch.tensor([5, 3, 4]), shifted(y))
    found = named(States()(moment_of(network, batch, range(5, 8))))
    assert len(found) == 2 * 6
    for (layer, way, measure), rows in found.items():
        assert rows["q50"].isnan().tolist() == [(t < 5) != (layer < 2) for t in range(8)]
        if measure == "distance":
            ends = {"forward": 4 if layer < 2 else 7, "backward": 0}
            assert rows["q10"][ends[way]] == -math.inf
    assert set(STATISTICS) == set(rows)
