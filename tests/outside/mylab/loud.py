"""A probe."""

from dataclasses import dataclass

from rnnlab.probes import Moment, Reading


@dataclass(frozen=True)
class Loud:
    """Fraction of the units of the top layer with abs(h_t) > `threshold`, over the batch, at each of its steps.

    Array `loud` [T], axis `loud_time`; scalar `loud`, the mean over time.
    """

    threshold: float

    def __call__(self, moment: Moment) -> Reading:
        run = moment.trajectory
        share = (run.out.detach().abs() > self.threshold).double().mean((1, 2)).cpu()
        return Reading(
            scalars={"loud": share.mean().item()},
            arrays={"loud": share},
            axes={"loud_time": list(range(run.start, run.stop))},
        )
