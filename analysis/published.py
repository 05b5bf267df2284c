"""The published figures: of which experiment each is, and what draws it from its table. One name per figure."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from analysis import horizon_figures as horizon
from analysis import trainability_figures as trainability


@dataclass(frozen=True)
class Published:
    """A figure.

    Attributes:
        name: of its files, NAME.pdf and NAME.png, and of its table, results/NAME.csv.
        experiment: its configuration is conf/experiment/EXPERIMENT.yaml, its command python -m analysis.EXPERIMENT.
        draw: table -> Figure.
        shows: one line for the gallery.
    """

    name: str
    experiment: str
    draw: Callable[[pd.DataFrame], Figure]
    shows: str


FIGURES = (
    Published(
        "horizon_profiles",
        "horizon",
        horizon.profiles_figure,
        "Norm of the gradient against lag, for each task, cell, initialisation and T, before and after training.",
    ),
    Published(
        "horizon_networks", "horizon", horizon.networks_figure, "The same for depths and directions, at the largest T."
    ),
    Published(
        "horizon_map",
        "horizon",
        horizon.map_figure,
        "From how many steps back the gradient still arrives, before and after training, against T.",
    ),
    Published(
        "trainability_map",
        "trainability",
        trainability.map_figure,
        "Which runs were solved over gain and T, and how far the gradient reached at initialisation.",
    ),
    Published(
        "trainability_success",
        "trainability",
        trainability.success_figure,
        "Share of solved runs against T, for some of the gains.",
    ),
    Published(
        "trainability_learning", "trainability", trainability.learning_figure, "Training loss, for some gains and T."
    ),
    Published(
        "trainability_profiles",
        "trainability",
        trainability.profiles_figure,
        "Norm of the gradient against lag with the fitted decay, before and after training, at the largest T.",
    ),
    Published(
        "trainability_heatmap",
        "trainability",
        trainability.heatmap_figure,
        "Norm of the gradient over time steps and training steps, of single runs at the largest T.",
    ),
)


def of(experiment: str) -> list[Published]:
    return [figure for figure in FIGURES if figure.experiment == experiment]
