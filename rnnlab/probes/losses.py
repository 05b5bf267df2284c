"""The loss at each time step."""

from dataclasses import dataclass

from rnnlab.probes.base import Moment, Reading


@dataclass(frozen=True)
class StepLosses:
    """L_t, mean over samples, for every scored step t: where in the sequence the network fails."""

    def __call__(self, moment: Moment) -> Reading:
        mean = moment.losses.detach().double().mean(1).cpu()
        return Reading(arrays={"step_loss": mean}, axes={"step_loss_time": list(moment.scored)})
