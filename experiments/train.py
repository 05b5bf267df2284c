"""Train one configuration, or with -m a sweep of them: `python -m experiments.train --help`.

A run that is done is not trained again; one that failed or was killed is tried again by the same command.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from experiments import progress
from experiments.records import Busy, mark_failed
from experiments.sweeps import Member, members, stop_mark


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(cfg: DictConfig) -> dict[str, Any] | list[dict[str, Any]] | float:
    """The task of a job: one run, or each member of a pack, where a failure stops none of the others."""
    overrides = list(HydraConfig.get().overrides.task)
    with terminated_is_interrupted():
        if "pack" in cfg:
            stop = stop_mark(Path(cfg.paths.outputs) / cfg.name, cfg.pack.sweep)
            return [attempt(member, stop, cfg.pack.fail_fast) for member in members(cfg, overrides)]
        return single(cfg, overrides)


def single(cfg: DictConfig, overrides: list[str]) -> dict[str, Any] | float:
    """What became of the only run of a job, or a search's objective; what is wrong ends the command in one line."""
    from experiments.run import BadInput, run  # here: who has nothing to train need not wait for torch

    try:
        if "objective" in cfg and HydraConfig.get().mode is RunMode.MULTIRUN:
            from experiments.search import trial  # here: nor need who does not search wait for pandas

            return trial(cfg, overrides)
        result = run(cfg, overrides)
    except (BadInput, Busy) as error:
        if HydraConfig.get().mode is RunMode.MULTIRUN:  # of another sweeper
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, BadInput) else 1)
    progress.ended(result)
    return result


def attempt(member: Member, stop: Path, fail_fast: bool) -> dict[str, Any]:
    """What became of a member; its failure is in its folder, and with `fail_fast` stops those that have not begun."""
    from experiments.run import folder_of, run

    folder = folder_of(member.config)
    about = {"run": folder.name, "folder": str(folder), "metrics": {}, "wall_seconds": 0.0, "skipped": False}
    if stop.exists():
        return {**about, "outcome": "stopped"}
    try:
        return run(member.config, member.overrides)
    except Busy as error:  # another sweep works on it: not ours to wait for
        return {**about, "outcome": "busy", "error": str(error)}
    except Exception as error:
        mark_failed(folder, error, member.overrides)
        if fail_fast:
            stop.touch()
        return {**about, "outcome": "failed", "error": f"{type(error).__name__}: {error}".splitlines()[0]}


@contextmanager
def terminated_is_interrupted() -> Iterator[None]:
    """Turn SIGTERM, with which clusters end a job, into what Ctrl-C is: the run says so and frees its folder."""

    def interrupt(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: a second one would break into what the first one leads to
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    try:
        with terminated_is_interrupted():
            main()
    except SystemExit as stop:  # raised by Hydra while it reports what the command line has wrong
        if line := progress.suggestion(stop.__context__):
            print(line, file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print("interrupted: the same command goes on with what is missing", file=sys.stderr)
        sys.exit(130)
