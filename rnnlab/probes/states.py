"""How large the states are over time, and how far they still are from the last one."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rnnlab.networks import Pass, Trajectory
from rnnlab.networks.trajectory import Key, turn
from rnnlab.probes.base import Moment, Reading, placed
from rnnlab.statistics import STATISTICS, reduce_samples

MEASURES = ("norm", "distance")


@dataclass(frozen=True)
class States:
    """log10 of two norms over time, reduced over the samples b of the batch: see `reduce_samples`.

        norm        ||h_{b,t}||_2
        distance    ||h_{b,t} - h_{b,end}||_2       end: the last step of the sample in the direction's own order

    A distance that is small long before the end is a state that no longer takes up what it is shown; at the end itself
    it is 0, so -inf. Of the hidden state alone: an LSTM's memory c is not in it. Steps of padding are left out.

    Array `state_log10` [S, K, T]: S series (layer, direction, measure), K statistics, T steps of true time.

    Reference:
        Arjovsky, Shah, Bengio, Unitary evolution recurrent neural networks, 2016, figure 4, panels iii and iv.
    """

    def __call__(self, moment: Moment) -> Reading:
        run, labels, rows = moment.trajectory, [], []
        for part in run.both:
            for (layer, way), one in part.passes.items():
                for measure, log10 in zip(MEASURES, norms(one, part, (layer, way)), strict=True):
                    reduced = reduce_samples(log10.cpu(), part.valid)[0]
                    rows.append(placed(reduced, part.start, run.stop))
                    labels.append((layer, way, measure))
        names = ("state_layer", "state_direction", "state_measure")
        axes = {name: list(values) for name, values in zip(names, zip(*labels, strict=True), strict=True)}
        axes |= {"state_statistic": list(STATISTICS), "state_time": list(range(run.stop))}
        return Reading(arrays={"state_log10": torch.stack(rows)}, axes=axes)


@torch.no_grad()
def norms(run: Pass, part: Trajectory, key: Key) -> tuple[Float[Tensor, "T B"], Float[Tensor, "T B"]]:
    """log10 of norm and distance of one pass, in true time; in float64, where no square leaves the range."""
    last = run.cell.hidden(part.last[key])
    found = []
    for section in run.path.sections(run.cell):  # last section first
        h = run.cell.hidden(section.states[1:])
        found.append([torch.linalg.vector_norm(v, dim=-1, dtype=torch.float64).log10() for v in (h, h - last)])
    norm, distance = (turn(torch.cat(several[::-1]), run.reversed) for several in zip(*found, strict=True))
    return norm, distance
