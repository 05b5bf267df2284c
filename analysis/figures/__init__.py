"""What experiments share: tidy tables in, figures out, a topic per file.

    profile        norm of the gradient against lag, with the fit of its decay and what theory says
    heatmap        the same over time steps and training steps
    horizon        effective horizon against a swept setting
    trainability   which runs were solved, over T and another setting, and how far the gradient reached
    success        share of solved runs, with its Wilson interval
    learning       a loss over updates or seconds

A figure reads no file and computes no result: the functions beside it that return tables do, and only with the columns
that they are given. Every table may have the columns `row` and `column` (of the panel), `hue` (of the line or marker)
and `dash` (the same, told apart by the dashes): text, numbers, or an ordered categorical, whose order is kept.
"""

from analysis.figures.decay import decays, student
from analysis.figures.heatmap import heatmap_figure, updates
from analysis.figures.horizon import horizon_figure
from analysis.figures.learning import aligned, by_length, learning_figure
from analysis.figures.profile import profile_figure
from analysis.figures.success import rates, success_figure
from analysis.figures.trainability import tiles, trainability_figure

__all__ = [
    "aligned",
    "by_length",
    "decays",
    "heatmap_figure",
    "horizon_figure",
    "learning_figure",
    "profile_figure",
    "rates",
    "student",
    "success_figure",
    "tiles",
    "trainability_figure",
    "updates",
]
