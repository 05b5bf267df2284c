"""The published figures: the one list of the experiments that have some, ours first, then the papers by name."""

from analysis import (
    arjovsky2016_fig4,
    chen2018_chi,
    henaff2016_copying,
    horizon,
    horizon_atlas,
    li2018_fig2,
    pascanu2013_bound,
    pascanu2013_fig6,
    pascanu2013_fig7,
    pascanu2014_depth,
    schuster1997_direction,
    sutskever2014_reversal,
    trainability,
    vorontsov2017_fig3,
)
from analysis.drawing import Experiment

OURS = (horizon.EXPERIMENT, trainability.EXPERIMENT, horizon_atlas.EXPERIMENT)
PAPERS = (
    arjovsky2016_fig4.EXPERIMENT,
    chen2018_chi.EXPERIMENT,
    henaff2016_copying.EXPERIMENT,
    li2018_fig2.EXPERIMENT,
    pascanu2013_bound.EXPERIMENT,
    pascanu2013_fig6.EXPERIMENT,
    pascanu2013_fig7.EXPERIMENT,
    pascanu2014_depth.EXPERIMENT,
    schuster1997_direction.EXPERIMENT,
    sutskever2014_reversal.EXPERIMENT,
    vorontsov2017_fig3.EXPERIMENT,
)
EXPERIMENTS: tuple[Experiment, ...] = (*OURS, *PAPERS)


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
