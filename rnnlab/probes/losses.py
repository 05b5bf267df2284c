"""The loss at each time step."""

from dataclasses import dataclass

from rnnlab.probes.base import Moment, Reading


@dataclass(frozen=True)
class StepLosses:
    """L_t, mean over the samples that count at t, for every scored step t: where in the sequence the network fails.

    NaN where no sample of the batch counts.
    """

    def __call__(self, moment: Moment) -> Reading:
        losses, counted = moment.losses.detach().double().cpu(), moment.counted
        mean = losses.mean(1) if counted is None else losses.sum(1) / counted.cpu().sum(1)
        return Reading(arrays={"step_loss": mean}, axes={"step_loss_time": list(moment.scored)})
