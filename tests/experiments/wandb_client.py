"""A user of W&B without an account, and what W&B's own reader finds in an offline run."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


def leet(folder: Path) -> dict[str, Any]:
    """What the offline run of the folder has in the end: state, exit code, name, config, summary, ..."""
    return json.loads(wandb_command("leet", "inspect", "--summary", "--json", offline_run(folder)))


def records(folder: Path) -> list[dict[str, Any]]:
    """All that it holds, in its order."""
    return [json.loads(line) for line in wandb_command("leet", "inspect", "--json", offline_run(folder)).splitlines()]


def history(folder: Path) -> list[dict[str, Any]]:
    """Its rows as they were logged."""
    return [record["history"]["item"] for record in records(folder) if record["type"] == "history"]
