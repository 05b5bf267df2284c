"""The published figures: the one list of the experiments that have some, ours first, then the papers by name."""

from analysis import horizon, trainability
from analysis.drawing import Experiment

OURS: tuple[Experiment, ...] = (horizon.EXPERIMENT, trainability.EXPERIMENT)
PAPERS: tuple[Experiment, ...] = ()
EXPERIMENTS = (*OURS, *PAPERS)


def named(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        ValueError: there is none.
    """
    for experiment in EXPERIMENTS:
        if experiment.name == name:
            return experiment
    known = ", ".join(experiment.name for experiment in EXPERIMENTS)
    raise ValueError(f"no experiment {name} has a published figure, only {known}")
