"""Run folders in, tidy tables out: the only reader of the record, outputs/EXPERIMENT/RUN_ID/.

Three tables, which share the column `run` (the folder's name): `runs` has one row per run, `scalars` one per logged
number, `profiles` one per point of a gradient profile. What a run has not written is absent, never guessed; what cannot
be read is left out with a warning that names it. Nothing is computed here.
"""

from analysis.folders import run_folders
from analysis.tables.final import UNREADABLE
from analysis.tables.rows import FINISHED, RECORD, SCALES, configuration, flatten, row, runs
from analysis.tables.series import COLUMNS, DIRECTIONS, PARTS, STATISTICS, Loss, logged, profile, profiles, scalars

__all__ = [
    "COLUMNS",
    "DIRECTIONS",
    "FINISHED",
    "PARTS",
    "RECORD",
    "SCALES",
    "STATISTICS",
    "UNREADABLE",
    "Loss",
    "configuration",
    "flatten",
    "logged",
    "profile",
    "profiles",
    "row",
    "run_folders",
    "runs",
    "scalars",
]
