"""The run folder: what is written, in which order, so that a kill at any moment loses at most the last line.

    running.json  config.json  scalars.jsonl  profiles.npz  checkpoint.pt  weights.pt  done.json | failed.json

`done.json` comes last and is the mark of completion; `checkpoint.pt` goes when it is there. A run that failed, was
killed or interrupted is tried again by the next start: from its checkpoint, or if it has none from its beginning.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

import numpy as np

from experiments import checkpoints
from experiments.claims import Busy, Claim
from experiments.files import replace, replace_json, strict
from experiments.provenance import commit, sources, versions

__all__ = ["Busy", "Record", "finished", "mark_failed", "read_done", "run_id", "write_failure"]

logger = logging.getLogger(__name__)

Outcome = Literal["solved", "stuck", "diverged"]
# Parts of a configuration that change no number:
NO_NUMBER = ("hydra", "tracker", "paths", "name", "scale", "pack", "objective", "checkpoint_seconds")


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
    """Whether the run is done, so that nothing is to be trained; what a kill right after the mark left is dropped."""
    done = (folder / "done.json").exists()
    if done:
        with contextlib.suppress(OSError):  # not there, or not ours to remove
            (folder / "checkpoint.pt").unlink()
    return done


def read_done(folder: Path) -> dict[str, Any]:
    """What `done.json` of a finished run says; non-finite numbers stay strings."""
    return json.loads((folder / "done.json").read_text())


class Record:
    """One attempt at a run: a context manager that holds the folder and writes into it.

        with Record.open(folder, config, name=..., scale=...) as record:
            record.scalars({"step": 1, "train/loss": 0.2})
            record.done("solved", steps=1, metrics={...}, wall_seconds=2.0)

    An exception that leaves the context is written to `failed.json` and goes on, unless the run was done by then.

    Attributes:
        kept: what an earlier attempt left to go on from; the record has been cut back to it.
    """

    def __init__(
        self,
        folder: Path,
        claim: Claim,
        lines: IO[bytes],
        overrides: Sequence[str],
        kept: checkpoints.Kept,
        identity: Mapping[str, Any],
    ) -> None:
        self.folder = folder
        self.kept = kept
        self._identity = identity
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
        """Claim the folder, drop what a failed or killed attempt left beyond its checkpoint, and write `config.json`.

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
            made = {"run": run_id(config), "device": device, "loops": loops}
            about = {**made, "name": name, "scale": scale, "config": numbers(config)}
            identity = {**made, "torch": versions()["torch"], "code": sources(config)}
            kept = checkpoints.read(folder, identity)
            _cut(folder, kept)
            shutil.rmtree(folder / "wandb", ignore_errors=True)
            replace_json(folder / "config.json", {**about, "versions": versions(), "code": commit()})
            lines = (folder / "scalars.jsonl").open("ab", buffering=0)
        except BaseException:
            claim.release()
            raise
        return cls(folder, claim, lines, overrides, kept, identity)

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
        replace(self.folder / "profiles.npz", lambda file: np.savez(file, **arrays))

    def checkpoint(self, state: Mapping[str, Any], *, seconds: float, axes: Collection[str], probed: int) -> None:
        """Replace `checkpoint.pt`; to be called before the lines of the state's own step are written.

        A disk without room for it costs a warning: the run goes on, and the old checkpoint is still good.

        Args:
            state: of `Measurement.state`.
            seconds: of training so far, over all attempts.
            axes: names of the arrays in `profiles.npz` that do not begin with an axis `step`.
            probed: the length of that axis.
        """
        import torch

        self._check()
        os.fsync(self._lines.fileno())  # the lines that it counts on
        about = {"identity": self._identity, "size": os.fstat(self._lines.fileno()).st_size, "probed": probed}
        about |= {"seconds": seconds, "axes": list(axes), "state": state}
        path = self.folder / "checkpoint.pt"
        try:
            replace(path, lambda file: torch.save(about, file))
        except (OSError, RuntimeError) as error:  # torch puts a RuntimeError of its own over an OSError
            path.with_name(path.name + ".part").unlink(missing_ok=True)
            reason = error if isinstance(error, OSError) else error.__context__ or error
            logger.warning("%s was not written, the run goes on without it: %s", path, str(reason).splitlines()[0])

    def weights(self, state_dict: Mapping[str, Any]) -> None:
        """Replace `weights.pt`."""
        import torch  # here, so that whoever only asks which runs are done does not wait for it

        self._check()
        replace(self.folder / "weights.pt", lambda file: torch.save(dict(state_dict), file))

    def done(
        self,
        outcome: Outcome,
        *,
        steps: int,
        metrics: Mapping[str, float],
        predicted: Mapping[str, float] | None = None,
        wall_seconds: float,
        probe_seconds: float = 0.0,
        tracker_seconds: float = 0.0,
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
                "tracker_seconds": tracker_seconds,
            }
        )
        replace_json(self.folder / "done.json", summary)
        (self.folder / "checkpoint.pt").unlink(missing_ok=True)
        return summary

    def _check(self) -> None:
        if self._claim.lost:
            raise Busy(f"{self.folder} was taken over by another process while this one stood still")


def write_failure(folder: Path, error: BaseException, overrides: Sequence[str]) -> None:
    """Write `failed.json`: the error in a line, its traceback, and the overrides of the run."""
    time_is_up = isinstance(error, SystemExit) and error.code == -1  # submitit's: the job is in the queue again
    interrupted = time_is_up or isinstance(error, KeyboardInterrupt)
    line = "interrupted" if interrupted else f"{type(error).__name__}: {error}".splitlines()[0]
    trace = "".join(traceback.format_exception(error))
    folder.mkdir(parents=True, exist_ok=True)
    replace_json(folder / "failed.json", {"error": line, "traceback": trace, "overrides": list(overrides)})


def _cut(folder: Path, kept: checkpoints.Kept) -> None:
    """Drop what an attempt left, but for what is kept; after a kill within, the same is kept once more.

    The lines go into a new file: one who was taken over, and does not know it yet, writes into the old one.
    """
    dropped = ["weights.pt", "failed.json", *(part.name for part in folder.glob("*.part"))]
    if kept.state is None:
        dropped = ["checkpoint.pt", "scalars.jsonl", *dropped]
    else:
        replace(folder / "scalars.jsonl", lambda file: file.write(kept.lines))
    if kept.arrays:
        replace(folder / "profiles.npz", lambda file: np.savez(file, **kept.arrays))
    else:
        dropped.append("profiles.npz")
    for name in dropped:
        (folder / name).unlink(missing_ok=True)


def mark_failed(folder: Path, error: BaseException, overrides: Sequence[str]) -> None:
    """Write `failed.json` from outside of a record, unless the run is done or someone alive works on it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        claim = Claim(folder)
    except Busy:
        return
    try:
        if not finished(folder):
            write_failure(folder, error, overrides)
    finally:
        claim.release()
