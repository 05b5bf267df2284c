"""Which folders hold a run."""

import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

FILES = ("config.json", "done.json", "failed.json", "running.json", "scalars.jsonl", "profiles.npz")


def run_folders(folder: str | Path, only: Collection[str] | None = None) -> Iterator[Path]:
    """The folders in which a run has left anything, by name."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(no_runs(folder))
    for path in sorted(folder.iterdir()):
        if (only is None or path.name in only) and any((path / name).is_file() for name in FILES):
            yield path


def no_runs(folder: str | Path) -> str:
    name = Path(folder).resolve().name
    return f"{folder} holds no runs that can be read; make them with: python -m experiments.train -m experiment={name}"


def left_out(path: Path, error: BaseException, where: str = "") -> None:
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    warnings.warn(f"{path}{where} cannot be read and is left out ({reason})", stacklevel=3)
