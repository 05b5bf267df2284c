"""A probe."""

from dataclasses import dataclass

from rnnlab.probes import Moment, Reading


@dataclass(frozen=True)
class Saturation:
    """Fraction of the units of the top layer with abs(h_t) > `threshold`, over the batch, at each of its steps.

    A tanh unit that is saturated passes at most 1 - threshold^2 of the gradient that reaches it.

    Array `saturation` [T], axis `saturation_time`; scalar `saturation`, the mean over time.
    """

    threshold: float

    def __call__(self, moment: Moment) -> Reading:
        run = moment.trajectory
        share = (run.out.detach().abs() > self.threshold).double().mean((1, 2)).cpu()
        return Reading(
            scalars={"saturation": share.mean().item()},
            arrays={"saturation": share},
            axes={"saturation_time": list(range(run.start, run.stop))},
        )
