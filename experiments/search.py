"""What a search beyond grids looks for: the number that one trial returns to the sweeper, `hydra/sweeper=optuna`.

An objective gets `train`, which trains the trial's configuration with some values replaced and returns the result.
Its runs are ordinary ones: each has its record, and one that is done is not trained again.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from analysis.tables.final import final
from experiments.build import BadInput, make_objective
from experiments.run import run
from experiments.sweeps import member

Train = Callable[[Sequence[str]], dict[str, Any]]


def trial(config: DictConfig, overrides: Sequence[str]) -> float:
    """The value of the objective for one configuration."""

    def train(values: Sequence[str]) -> dict[str, Any]:
        return run(*member(config, overrides, values))

    return make_objective(config)(train)


def longest_solved(train: Train, *, lengths: Sequence[int]) -> float:
    """The longest T of `lengths` whose task is solved, trying them from the shortest until one is not; 0 if none is.

    Each length is trained from the initialisation, so this is the memory that a setting can learn, not a curriculum.
    """
    if not lengths or list(lengths) != sorted(set(lengths)):
        raise BadInput(f"objective.lengths: needs lengths in increasing order, got {list(lengths)}")
    longest = 0
    for length in lengths:
        if train([f"task.length={length}"])["outcome"] != "solved":
            break
        longest = length
    return float(longest)


def horizon(train: Train) -> float:
    """The longest effective horizon of the trained network, in steps: over layers, directions and parts of the state.

    A horizon that is censored at T counts as T; a network that has diverged has none, 0.
    """
    result = train([])
    if result["outcome"] == "diverged":
        return 0.0
    _, scalars = final(Path(result["folder"]) / "scalars.jsonl")
    found = [value for name, value in scalars.items() if name.startswith("adjoint/") and name.endswith("/horizon")]
    if not found:
        raise BadInput("objective: horizon needs the probe `profile`, which measures it")
    return max((value for value in found if math.isfinite(value)), default=0.0)
