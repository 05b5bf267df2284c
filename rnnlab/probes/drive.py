"""What each gate receives: the gradient with respect to the drive, gate by gate and step by step."""

from dataclasses import dataclass

import torch

from rnnlab.networks import adjoints
from rnnlab.networks.measures import drive_norms
from rnnlab.probes.base import Moment, Reading, placed, upstream
from rnnlab.scaled import Scaled
from rnnlab.statistics import STATISTICS, reduce_samples


@dataclass(frozen=True)
class Drive:
    """log10 ||dL_b/dz_{b,t}||_2 of each gate over time, z_t = U x_t + b, reduced over the samples b of the batch.

    Per sample and in log-range, like `Profile`. A gate that saturates receives nothing at that step.

    Array `drive_log10_norm` [S, K, T]: S series (layer, direction, gate), K statistics, T steps of true time. Scalars
    `drive/L0/forward/i/median`: the median over time of the median over samples.
    """

    def __call__(self, moment: Moment) -> Reading:
        d_out = Scaled.of(upstream(moment, moment.sample_losses.sum()))
        run = moment.trajectory
        found = adjoints(run, d_out, take=drive_norms).parts
        where = [run.of(layer) for layer, _, _ in found]
        reduced = [
            placed(reduce_samples(log10.cpu(), part.valid)[0], part.start, run.stop)
            for part, log10 in zip(where, found.values(), strict=True)
        ]
        medians = [statistics[STATISTICS.index("q50")].nanmedian() for statistics in reduced]
        names = [f"drive/L{layer}/{direction}/{gate}/median" for layer, direction, gate in found]
        labels = zip(("drive_layer", "drive_direction", "drive_gate"), zip(*found, strict=True), strict=True)
        axes = {"drive_statistic": list(STATISTICS), **{name: list(values) for name, values in labels}}
        return Reading(
            scalars={name: value.item() for name, value in zip(names, medians, strict=True)},
            arrays={"drive_log10_norm": torch.stack(reduced)},
            axes=axes,
        )
