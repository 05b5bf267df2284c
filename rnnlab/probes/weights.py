"""Which time steps make up the gradient of the recurrent weights."""

from dataclasses import dataclass

import torch

from rnnlab.networks import adjoints
from rnnlab.networks.measures import WeightShares
from rnnlab.probes.base import Moment, Reading, placed, upstream
from rnnlab.scaled import Scaled


@dataclass(frozen=True)
class Weights:
    """log10 ||sum_b delta_{b,t} (x) h_{b,t-1}||_F over time: the share of each step in dL/dW of the mean loss.

    Of each gate and of all of them ("all"); their sum over t is the W.grad that the optimiser sees. How much of it
    cancels is the scalar `weights/L0/forward/all/cancellation`, the norm of the sum over the sum of the norms, in
    [0, 1]; 1 if all steps pull one way.

    Array `weight_log10_norm` [S, T]: S series (layer, direction, gate), T steps of true time.

    Raises:
        NotImplementedError: a cell that does not say what its recurrent product receives, see `Cell.recurrent`.
    """

    def __call__(self, moment: Moment) -> Reading:
        shares = WeightShares()
        d_out = Scaled.of(upstream(moment, moment.sample_losses.mean()))
        found = adjoints(moment.trajectory, d_out, take=shares).parts
        require(moment, {key[:2] for key in found})
        labels = zip(("weight_layer", "weight_direction", "weight_gate"), zip(*found, strict=True), strict=True)
        cancellation, run = shares.cancellation(), moment.trajectory
        rows = [placed(log10.cpu(), run.of(key[0]).start, run.stop) for key, log10 in found.items()]
        return Reading(
            scalars={f"weights/L{of}/{way}/{gate}/cancellation": v for (of, way, gate), v in cancellation.items()},
            arrays={"weight_log10_norm": torch.stack(rows)},
            axes={name: list(values) for name, values in labels},
        )


def require(moment: Moment, found: set[tuple[int, str]]) -> None:
    """Refuse cells that have no recurrent product to speak of, rather than leave them out."""
    for key, run in (item for part in moment.trajectory.both for item in part.passes.items()):
        if key not in found:
            name = type(run.cell).__name__
            raise NotImplementedError(f"weight gradients over time need a cell with `recurrent`, which {name} lacks")
