"""`checkpoint.pt`: where a run that was killed goes on, and what of its record stays.

A checkpoint belongs to a configuration, a version of torch and the sources that ran. One that fits in all of them makes
the numbers of an uninterrupted run; any other is dropped, for that run would hold the numbers of two codes.
"""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Kept:
    """What earlier attempts at a run left to go on from: nothing, unless there was a checkpoint.

    Attributes:
        state: for `train(resume=...)`; None: begin at step 0.
        seconds: of training so far.
        lines: of `scalars.jsonl` before the step of the state.
        arrays: those of `profiles.npz` before that step.
        axes: the names of those arrays that do not begin with an axis `step`.
    """

    state: Mapping[str, Any] | None = None
    seconds: float = 0.0
    lines: bytes = b""
    arrays: Arrays = field(default_factory=dict)
    axes: Collection[str] = ()


def read(folder: Path, identity: Mapping[str, Any]) -> Kept:
    """What there is to go on from; nothing, after a warning, if the checkpoint is torn or of another identity."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        return Kept()
    import torch  # here, so that whoever only asks which runs are done does not wait for it

    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
        for name, ours in identity.items():
            if (theirs := found["identity"].get(name)) != ours:
                raise ValueError(f"its {name} is {theirs}, now it is {ours}")
        lines = (folder / "scalars.jsonl").read_bytes()[: found["size"]]
        arrays = until(load(folder / "profiles.npz"), found["axes"], found["state"]["step"])
        if len(lines) < found["size"] or len(arrays.get("step", ())) < found["probed"]:
            raise ValueError("the record beside it is shorter than it was")
        for line in lines.splitlines():
            json.loads(line)
    except Exception as error:  # for a torn file torch alone has five kinds, whose texts are of no help
        if isinstance(error, OSError | MemoryError) and not isinstance(error, FileNotFoundError):
            raise  # it may be whole: another start can read it
        reason = error if type(error) is ValueError else f"it cannot be read: {type(error).__name__}"
        logger.warning("%s is of no use, the run starts anew: %s", path, reason)
        return Kept()
    return Kept(found["state"], found["seconds"], lines, arrays, found["axes"])


def load(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a `profiles.npz`; none if it was not written."""
    if not file.exists():
        return {}
    with np.load(file, allow_pickle=False) as data:
        return dict(data)


def until(arrays: Arrays, axes: Collection[str], step: int) -> Arrays:
    """The arrays as they were before that step was probed."""
    count = int((arrays["step"] < step).sum()) if arrays else 0
    return {name: v if name in axes else v[:count] for name, v in arrays.items()} if count else {}
