"""Which folders hold a run, and which hold an experiment. Needs no pandas: a command may ask before it begins."""

import difflib
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

FILES = ("config.json", "done.json", "failed.json", "running.json", "scalars.jsonl", "profiles.npz")
SWEEPS = "sweeps"  # beside the run folders of an experiment: the manifests of the sweeps that were started


def run_folders(folder: str | Path, only: Collection[str] | None = None) -> Iterator[Path]:
    """The folders in which a run has left anything, by name."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(no_runs(folder))
    for path in sorted(folder.iterdir()):
        if (only is None or path.name in only) and any((path / name).is_file() for name in FILES):
            yield path


def is_experiment(folder: Path) -> bool:
    """Whether there are runs in it, or a sweep that was started and has no run yet."""
    return folder.is_dir() and (any(run_folders(folder)) or any((folder / SWEEPS).glob("*.json")))


def folder_of(outputs: Path, name: str) -> Path:
    """The folder of an experiment: outputs/NAME, or NAME itself if it is the path of one.

    Raises:
        ValueError: it holds neither runs nor sweeps; names those that do, the closest first.
    """
    folder = outputs / name
    for found in (folder, Path(name)):
        if is_experiment(found):
            return found
    if Path(name).is_dir():
        inside = [path.name for path in sorted(Path(name).iterdir()) if is_experiment(path)]
        raise ValueError(f"{Path(name)} holds no runs" + (f", but {', '.join(inside)}: name one" if inside else ""))
    if not outputs.is_dir():
        raise ValueError(f"there is no folder {outputs}: name the one with the runs with --outputs")
    others = sorted(path.name for path in outputs.iterdir() if is_experiment(path))
    close = difflib.get_close_matches(name, others, n=1)
    there = f"there is {', '.join(others)}" if others else "there is none"
    raise ValueError(f"there are no runs in {folder}: " + (f"did you mean {close[0]}?" if close else there))


def no_runs(folder: str | Path) -> str:
    name = Path(folder).resolve().name
    return f"{folder} holds no runs that can be read; make them with: python -m experiments.train -m experiment={name}"


def left_out(path: Path, error: BaseException, where: str = "") -> None:
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    warnings.warn(f"{path}{where} cannot be read and is left out ({reason})", stacklevel=3)
