"""A sweep: the runs that one `-m` command is to do, where that is written down, and how they are packed into jobs.

    outputs/NAME/sweeps/ID.json     sweep (the ID), name, scale, started, launcher, command, runs {id: [overrides]}

The id is a hash of the ids of the runs, so the same sweep started again writes the same file. A packed job is a
composed configuration with one more key, whose members are value overrides of the rest:

    pack: {sweep: ID, fail_fast: false, members: [[task.length=50, seed=0], [task.length=50, seed=1], ...]}
"""

import copy
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Self

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig, OmegaConf, open_dict

from analysis.folders import SWEEPS
from experiments.files import replace_json
from experiments.records import run_id


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is to be done.

    Attributes:
        started: seconds since the epoch, of the last start.
        command: the overrides as they were typed.
        runs: id of each run, and its overrides.
        folder: outputs/NAME, with the run folders in it.
    """

    name: str
    scale: str
    started: float
    launcher: str
    command: list[str]
    runs: dict[str, list[str]]
    folder: Path

    @property
    def id(self) -> str:
        return hashlib.sha256("\n".join(sorted(self.runs)).encode()).hexdigest()[:12]

    @property
    def file(self) -> Path:
        return self.folder / SWEEPS / f"{self.id}.json"

    @property
    def stop(self) -> Path:
        """A mark: with `fail_fast`, no member starts once it is there."""
        return stop_mark(self.folder, self.id)

    def write(self) -> None:
        """Replace the file, and take the mark of an earlier failure away."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.stop.unlink(missing_ok=True)
        about = asdict(self)
        del about["folder"]
        replace_json(self.file, {"sweep": self.id, **about})

    @classmethod
    def read(cls, file: Path) -> Self:
        about = json.loads(file.read_text())
        del about["sweep"]
        return cls(**about, folder=file.parents[1])


def stop_mark(folder: Path, sweep: str) -> Path:
    return folder / SWEEPS / f"{sweep}.stop"


def sweeps(folder: Path) -> list[Sweep]:
    """All sweeps of an experiment, from the one started last."""
    found = [Sweep.read(file) for file in sorted((folder / SWEEPS).glob("*.json"))]
    return sorted(found, key=lambda sweep: sweep.started, reverse=True)


class Member(NamedTuple):
    """One run of a job, with the overrides that make it what it is."""

    config: DictConfig
    overrides: list[str]

    @property
    def id(self) -> str:
        return run_id(OmegaConf.to_container(self.config, resolve=True))


def member(base: DictConfig, static: Sequence[str], values: Sequence[str]) -> Member:
    """The configuration with value overrides applied, in the way of Hydra and with its errors."""
    config = copy.deepcopy(base)
    ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides(list(values)), config)
    return Member(config, [*static, *values])


def members(job: DictConfig, overrides: Iterable[str]) -> list[Member]:
    """The members of a job; a job without `pack` is its own only member.

    Args:
        overrides: those of the job, `hydra.overrides.task`.
    """
    if "pack" not in job:
        return [Member(job, list(overrides))]
    base = copy.copy(job)
    with open_dict(base):
        pack = base.pop("pack")
    static = [line for line in overrides if not line.startswith("+pack=")]
    return [member(base, static, values) for values in pack.members]


def pack_override(sweep: str, fail_fast: bool, packed: Iterable[Sequence[str]]) -> str:
    """The override that makes a job of its members."""
    quoted = (",".join(QuotedString(line, Quote.single).with_quotes() for line in values) for values in packed)
    lists = ",".join(f"[{values}]" for values in quoted)
    return f"+pack={{sweep: '{sweep}', fail_fast: {str(fail_fast).lower()}, members: [{lists}]}}"
