"""The run folder: what is written, in which order, so that a kill at any moment loses at most the last line.

    running.json  config.json  scalars.jsonl  profiles.npz  weights.pt  done.json | failed.json

`done.json` comes last and is the mark of completion. A run that failed, was killed or interrupted is tried again from
its beginning by the next start.
"""

import functools
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import shutil
import subprocess
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

import numpy as np

from experiments.claims import Busy, Claim

__all__ = ["Busy", "Record", "finished", "read_done", "replace_json", "run_id", "strict", "write_failure"]

Outcome = Literal["solved", "stuck", "diverged"]
NO_NUMBER = ("hydra", "tracker", "paths", "name", "scale", "pack")  # parts of a configuration that change no number


def strict(value: Any) -> Any:
    """The value in strict JSON: a non-finite number becomes the string "nan", "inf" or "-inf"."""
    if isinstance(value, Mapping):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    if hasattr(value, "item"):  # a number of numpy, a tensor of one element
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def numbers(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that changes a number; it names neither a host nor a path of the shell."""
    return {key: value for key, value in strict(config).items() if key not in NO_NUMBER}


def run_id(config: Mapping[str, Any]) -> str:
    """12 hex characters of the SHA-256 of the resolved configuration, without the parts that change no number.

    Neither the order of the keys nor the spelling of a number counts: a gain of 1 is a gain of 1.0.
    """

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: whole(item) for key, item in value.items()}
        if isinstance(value, list):
            return [whole(item) for item in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    text = json.dumps(whole(numbers(config)), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def finished(folder: Path) -> bool:
    """Whether the run is done, so that nothing is to be trained."""
    return (folder / "done.json").exists()


def read_done(folder: Path) -> dict[str, Any]:
    """What `done.json` of a finished run says; non-finite numbers stay strings."""
    return json.loads((folder / "done.json").read_text())


@functools.cache
def versions() -> dict[str, str]:
    """Versions of what makes the numbers."""
    found = {"python": platform.python_version()}
    for package in ("rnnlab", "torch", "numpy"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@functools.cache
def commit() -> str | None:
    """The git commit of this code, with `-dirty` if tracked files differ from it; None outside a clone."""
    here = Path(__file__).resolve()
    git = functools.partial(subprocess.run, cwd=here.parent, capture_output=True, text=True, check=True)
    try:
        git(["git", "ls-files", "--error-unmatch", here.name])  # not the repository of someone who installed us
        return git(["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


class Record:
    """One attempt at a run: a context manager that holds the folder and writes into it.

        with Record.open(folder, config, name=..., scale=...) as record:
            record.scalars({"step": 1, "train/loss": 0.2})
            record.done("solved", steps=1, metrics={...}, wall_seconds=2.0)

    An exception that leaves the context is written to `failed.json` and goes on, unless the run was done by then.
    """

    def __init__(self, folder: Path, claim: Claim, lines: IO[bytes], overrides: Sequence[str]) -> None:
        self.folder = folder
        self._claim = claim
        self._lines = lines
        self._overrides = list(overrides)

    @classmethod
    def open(
        cls,
        folder: Path,
        config: Mapping[str, Any],
        *,
        name: str,
        scale: str,
        device: str = "cpu",
        loops: str = "python",
        overrides: Sequence[str] = (),
    ) -> Self:
        """Claim the folder, drop what a failed or killed attempt left in it, and write `config.json`.

        Args:
            config: resolved, as plain Python.
            device: the one found where the configuration says `auto`.
            loops: of the engine, `compiled` or `python`: their sums differ in the last bits.

        Raises:
            Busy: someone alive works on the run, or it is done.
        """
        folder.mkdir(parents=True, exist_ok=True)
        claim = Claim(folder)
        try:
            if finished(folder):  # by another process, between the caller's look and our claim
                raise Busy(f"{folder} is done: nothing is trained again")
            for name_of_old in ("scalars.jsonl", "profiles.npz", "weights.pt", "failed.json"):
                (folder / name_of_old).unlink(missing_ok=True)
            for part in folder.glob("*.part"):
                part.unlink()
            shutil.rmtree(folder / "wandb", ignore_errors=True)
            about = {"run": run_id(config), "name": name, "scale": scale, "config": numbers(config)}
            replace_json(
                folder / "config.json",
                {**about, "versions": versions(), "device": device, "loops": loops, "code": commit()},
            )
            lines = (folder / "scalars.jsonl").open("ab", buffering=0)
        except BaseException:
            claim.release()
            raise
        return cls(folder, claim, lines, overrides)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        try:
            if error is not None and not self._claim.lost and not finished(self.folder):
                write_failure(self.folder, error, self._overrides)
        finally:
            self._claim.release()

    def scalars(self, row: Mapping[str, Any]) -> None:
        """Append one line, in one unbuffered write: after a kill at most the last line of the file is torn."""
        self._check()
        line = json.dumps(strict(row), allow_nan=False).encode() + b"\n"
        if self._lines.write(line) != len(line):
            raise OSError(f"{self.folder / 'scalars.jsonl'} took only a part of a line: is the disk full?")

    def profiles(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace `profiles.npz`: a reader sees the old arrays or the new ones."""
        self._check()
        for key, array in arrays.items():
            if np.asarray(array).dtype.hasobject:
                raise ValueError(f"profiles needs arrays of numbers or text, got objects in {key}")
        _replace(self.folder / "profiles.npz", lambda file: np.savez(file, **arrays))

    def weights(self, state_dict: Mapping[str, Any]) -> None:
        """Replace `weights.pt`."""
        import torch  # here, so that whoever only asks which runs are done does not wait for it

        self._check()
        _replace(self.folder / "weights.pt", lambda file: torch.save(dict(state_dict), file))

    def done(
        self,
        outcome: Outcome,
        *,
        steps: int,
        metrics: Mapping[str, float],
        predicted: Mapping[str, float] | None = None,
        wall_seconds: float,
        probe_seconds: float = 0.0,
    ) -> dict[str, Any]:
        """Write the mark of completion, the last file of a run, and return what it says."""
        self._check()
        summary = strict(
            {
                "outcome": outcome,
                "steps": steps,
                "metrics": metrics,
                "predicted": predicted or {},
                "wall_seconds": wall_seconds,
                "probe_seconds": probe_seconds,
            }
        )
        replace_json(self.folder / "done.json", summary)
        return summary

    def _check(self) -> None:
        if self._claim.lost:
            raise Busy(f"{self.folder} was taken over by another process while this one stood still")


def write_failure(folder: Path, error: BaseException, overrides: Sequence[str]) -> None:
    """Write `failed.json`: the error in a line, its traceback, and the overrides of the run."""
    interrupted = isinstance(error, KeyboardInterrupt | SystemExit)  # the latter by a cluster: time is up
    line = "interrupted" if interrupted else f"{type(error).__name__}: {error}".splitlines()[0]
    trace = "".join(traceback.format_exception(error))
    folder.mkdir(parents=True, exist_ok=True)
    replace_json(folder / "failed.json", {"error": line, "traceback": trace, "overrides": list(overrides)})


def replace_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write strict JSON: a reader sees the old file or the new one, whole."""
    text = json.dumps(strict(value), indent=1, allow_nan=False) + "\n"
    _replace(path, lambda file: file.write(text.encode()))


def _replace(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
