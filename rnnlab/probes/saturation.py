"""How many units are shut: their nonlinearity lets almost nothing of a gradient through."""

import math
from dataclasses import dataclass

import torch

from rnnlab.networks import Pass
from rnnlab.probes.base import Moment, Reading

SHUT = 0.1  # of the largest slope


@dataclass(frozen=True)
class Saturation:
    """Share in [0, 1] of the units, over samples, steps and units, whose slope is below a tenth of its largest.

        tanh       1 - h^2 < .1         abs(h) > .949
        sigmoid    4 h (1 - h) < .1     h < .026 or > .974
        ReLU, modReLU                   off: slope 0

    Scalars `state/L0/forward/saturated`, one for each recurrent layer and direction. Steps of padding are left out, and
    so are NaN. Absent, not 0, where the recurrence has no such nonlinearity (the identity, a linear diagonal cell), or
    where the cell does not say: see `Cell.slopes`.

    Of a cell with gates it is the nonlinearity that is none of its gates: a gate wide open or shut is how it remembers.
    In an LSTM tanh(c) in h = o tanh(c), through which all of a gradient enters the memory: where c drifts away its
    slope goes to 0. In a GRU, a leaky cell and the oscillators the tanh of what they add. In a deep transition the
    units of all its maps.

    It reads the states that the trajectory holds; where those are kept at checkpoints alone, they are computed again.

    Reference:
        Bengio, Simard, Frasconi, Learning long-term dependencies with gradient descent is difficult, 1994; Hochreiter &
        Schmidhuber, Long short-term memory, 1997, section 4, on the drift of the internal state.
    """

    def __call__(self, moment: Moment) -> Reading:
        passes = {key: run for part in moment.trajectory.both for key, run in part.passes.items()}
        shares = {f"state/L{layer}/{way}/saturated": share(run) for (layer, way), run in passes.items()}
        return Reading(scalars={name: value for name, value in shares.items() if value is not None})


@torch.no_grad()
def share(run: Pass) -> float | None:
    """Of one pass; NaN where no slope is a number, None where the cell has none."""
    shut = known = 0
    for section in run.path.sections(run.cell):
        for steps, states, tape in section.blocks():
            slopes = run.cell.slopes(tape.flatten(0, 1), states[1:].flatten(0, 1))
            if slopes is None:
                return None
            if run.path.spans is not None:
                slopes.masked_fill_(run.path.padding(steps).flatten(0, 1), math.nan)
            shut += (slopes < SHUT).count_nonzero()
            known += (slopes == slopes).count_nonzero()  # NaN equals nothing
    return (shut.double() / known).item()
