"""hydra/sweeper=random: settings drawn at random, packed and resumed as a grid is.

Every Hydra application of an environment imports this file: nothing heavy at the top, no postponed annotations.
"""

import math
import random
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import ConfigCompositionException

from hydra_plugins.rnnlab_sweeps.sweeper import PackedSweeper, PackedSweeperConf


@dataclass
class RandomSweeperConf(PackedSweeperConf):
    """The settings of hydra.sweeper, beside those of `packed`.

    samples: settings that are drawn.
    draw: the seed of the drawing; a larger `samples` adds to the settings of a smaller one.
    """

    _target_: str = "hydra_plugins.rnnlab_sweeps.random_search.RandomSweeper"
    samples: int = 20
    draw: int = 0


class RandomSweeper(PackedSweeper):
    """Each axis is drawn independently; an axis over seeds stays a grid, so every setting has all of them.

        optimizer.lr='tag(log, interval(1e-4, 1e-1))'    log-uniform, to 6 digits
        init.gain='interval(0.5, 1.5)'                   uniform, to 6 digits
        network.hidden='int(interval(8, 128))'           whole numbers, both ends included
        cell=elman,lstm   network.depth='range(1,4)'     one of them

    Reference:
        Bergstra & Bengio, Random search for hyper-parameter optimization, 2012.
    """

    def __init__(self, samples: int, draw: int, **packed: Any) -> None:
        super().__init__(**packed)
        if samples < 1:
            raise ConfigCompositionException(f"hydra.sweeper.samples: needs >= 1, got {samples}")
        self.samples, self.draw = samples, draw

    def combinations(self, overrides: list[Override]) -> list[list[str]]:
        last = {override.get_key_element(): override for override in overrides}  # the command replaces the experiment
        drawn = {key: o for key, o in last.items() if o.is_sweep_override() and not _is_seed(o)}
        if not drawn:
            raise ConfigCompositionException("hydra/sweeper=random needs a setting to draw, got none: see --help")
        grid = self.split_arguments([o for key, o in last.items() if key not in drawn], None)[0]
        return [
            [*fixed, *(f"{key}={pick(o, random.Random(f'{self.draw}/{key}/{n}'))}" for key, o in drawn.items())]
            for n in range(self.samples)
            for fixed in grid
        ]


def _is_seed(override: Override) -> bool:
    return override.key_or_group.partition(".")[0] in ("seed", "seeds")


def pick(override: Override, generator: random.Random) -> str:
    """One value of the axis, in the language of overrides."""
    sweep = override.value()
    if not isinstance(sweep, IntervalSweep):
        return generator.choice(list(override.sweep_string_iterator()))
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if not (low < high and (low > 0 or not log)):
        rule = "0 < low < high" if log else "low < high"
        raise ConfigCompositionException(f"{override.key_or_group}: needs an interval with {rule}, got {low}, {high}")
    whole = isinstance(low, int) and isinstance(high, int)
    if whole:  # each number has the room around it
        low, high = low - 0.5, high + 0.5
    value = math.exp(generator.uniform(math.log(low), math.log(high))) if log else generator.uniform(low, high)
    if whole:
        return str(min(max(round(value), sweep.start), sweep.end))
    return repr(min(max(float(f"{value:.6g}"), low), high))


ConfigStore.instance().store(group="hydra/sweeper", name="random", node=RandomSweeperConf, provider="rnnlab")
