"""A user of W&B without an account, and what W&B's own reader finds in an offline run."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

KEY = "0" * 40


@contextmanager
def nobody(home: Path) -> Iterator[pytest.MonkeyPatch]:
    """No key, no settings, and a W&B that has not been used yet."""
    import wandb

    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_ENTITY", "WANDB_PROJECT", "WANDB_BASE_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("NETRC", str(home / "netrc"))
        patch.setenv("WANDB_DATA_DIR", "restored at the end")
        yield patch
        if wandb.run:  # a broken one
            wandb.run.finish()
        wandb.teardown()


def wandb_command(*arguments: object) -> str:
    """The output of W&B's own command."""
    command = [Path(sys.executable).with_name("wandb"), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def offline_run(folder: Path) -> Path:
    (path,) = folder.glob("wandb/offline-run-*")
    return path


@dataclass(frozen=True)
class Offline:
    """What an offline run holds."""

    records: list[tuple[str, dict[str, Any]]]  # (type, content), in their order
    run: dict[str, Any]  # run_id, project, run_group, tags, display_name, ...
    config: dict[str, Any]
    history: list[dict[str, Any]]  # the rows as they were logged
    summary: dict[str, Any]
    exit_code: int | None  # None if the run has not ended


def leet(folder: Path) -> Offline:
    """The offline run of the folder, read by W&B's own reader."""
    lines = wandb_command("leet", "inspect", "--json", offline_run(folder)).splitlines()
    records = [(record["type"], record[record["type"]]) for record in map(json.loads, lines)]

    def of(kind: str) -> list[dict[str, Any]]:
        return [content for name, content in records if name == kind]

    (run,) = of("run")
    config = {key: value for key, value in run["config"]["update"].items() if key != "_wandb"}
    summary: dict[str, Any] = {}
    for content in of("summary"):
        summary |= content["update"]
    codes = [content["exit_code"] for content in of("exit")]
    return Offline(records, run, config, [row["item"] for row in of("history")], summary, codes[-1] if codes else None)
