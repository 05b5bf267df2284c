"""hydra/sweeper=packed: a grid that leaves out what is done, and packs what differs only in values.

Every Hydra application of an environment imports this file: nothing heavy at the top, no postponed annotations.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import ConfigCompositionException
from omegaconf import open_dict

MOST = 64  # members of a job
HERE = ("basic", "joblib", "local")  # launchers of this machine


@dataclass
class PackedSweeperConf:
    """The settings of hydra.sweeper.

    pack: members of a job, 1 to 64; null is 64 on this machine, and 1 on a cluster: a job runs them one after another.
    fail_fast: start no further run once one has failed.
    params: the axes of the sweep, for experiment files.
    grids: axes that belong together, as a list of their own params: the sweep is all of them, each crossed with
        `params`. What the command line sets replaces it in every grid.
    """

    _target_: str = "hydra_plugins.rnnlab_sweeps.sweeper.PackedSweeper"
    pack: int | None = None
    fail_fast: bool = False
    params: dict[str, Any] | None = None
    grids: list[dict[str, Any]] | None = None


class PackedSweeper(BasicSweeper):
    """The runs of a grid, as jobs for whatever launcher was chosen.

    Runs with the same choices of groups (`cell=lstm`) are composed once. The values in which they differ
    (`task.length=50`) are applied to that composition, here and in the job by the same function. Finished runs are left
    out by their id. In the end the run folders are asked how each run came out, the same under every launcher.

    Raises:
        SystemExit: with 1, if a run has failed or is missing in the end.
    """

    def __init__(
        self,
        pack: int | None,
        fail_fast: bool,
        params: dict[str, Any] | None,
        grids: list[dict[str, Any]] | None,
    ) -> None:
        super().__init__(max_batch_size=None, params=params)
        if pack is not None and not 1 <= pack <= MOST:
            raise ConfigCompositionException(f"hydra.sweeper.pack: needs null or 1 to {MOST} members, got {pack}")
        self.pack, self.fail_fast = pack, fail_fast
        self.grids = grids or [{}]

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        from experiments import progress

        sweep, jobs = self.plan(arguments)
        sweep.write()
        returns: list[JobReturn] = []
        try:
            if jobs:
                with progress.watching(sweep):
                    returns = list(self.launcher.launch(jobs, initial_job_idx=0))
        except Exception as error:  # of the launcher: some tell of a dead job so, while the others still run
            print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            left = progress.total(sweep)
        for job in returns:
            if job.status is JobStatus.FAILED:  # as a whole, before its members
                print(f"error: {type(job._return_value).__name__}: {job._return_value}", file=sys.stderr)
        if left:
            raise SystemExit(1)
        return returns

    def plan(self, arguments: list[str]) -> tuple[Any, list[list[str]]]:
        """The sweep, and the overrides of each job with what of it is not done yet."""
        from experiments.records import finished
        from experiments.sweeps import Sweep, pack_override

        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        common = self._parse_config()
        grids = [
            parser.parse_overrides([*common, *(f"{key}={value}" for key, value in grid.items()), *arguments])
            for grid in self.grids
        ]
        folder = Path(self.config.paths.outputs) / self.config.name
        launcher = self.config.hydra.runtime.choices["hydra/launcher"]
        runs: dict[str, list[str]] = {}
        todo: dict[tuple[str, ...], list[list[str]]] = {}
        for static, values, member in chain.from_iterable(map(self.members, grids)):
            config, lines = member
            if Path(config.paths.outputs) / config.name != folder:
                raise ConfigCompositionException(f"name: a sweep has one, got {self.config.name} and {config.name}")
            run = member.id
            if run not in runs and not finished(folder / run):
                todo.setdefault(static, []).append(values)
            runs.setdefault(run, lines)
        sweep = Sweep(
            name=self.config.name,
            scale=self.config.scale,
            started=time.time(),
            launcher=launcher,
            command=arguments,
            runs=runs,
            folder=folder,
        )
        size = self.pack or (MOST if launcher in HERE else 1)
        jobs = [
            [*static, pack_override(sweep.id, self.fail_fast, values[first : first + size])]
            for static, values in todo.items()
            for first in range(0, len(values), size)
        ]
        return sweep, jobs

    def members(self, overrides: list[Override]) -> Iterator[tuple[tuple[str, ...], list[str], Any]]:
        """Each run: what it shares with the other members of its job, its own values, and its configuration."""
        from experiments.sweeps import member

        loader = self.hydra_context.config_loader
        own = {
            override.get_key_element()
            for override in overrides
            if override.is_sweep_override()
            and not override.key_or_group.startswith("hydra.")
            and not loader.repository.group_exists(override.key_or_group)
        }
        bases: dict[tuple[str, ...], Any] = {}
        for combination in self.combinations(overrides):
            values = [line for line in combination if line.partition("=")[0] in own]
            static = tuple(line for line in combination if line not in values)
            if static not in bases:
                bases[static] = loader.load_sweep_config(self.config, list(static))
                with open_dict(bases[static]):
                    del bases[static]["hydra"]
            yield static, values, member(bases[static], static, values)

    def combinations(self, overrides: list[Override]) -> list[list[str]]:
        """The overrides of each run."""
        return self.split_arguments(overrides, None)[0]


ConfigStore.instance().store(group="hydra/sweeper", name="packed", node=PackedSweeperConf, provider="rnnlab")
