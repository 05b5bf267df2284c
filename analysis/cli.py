"""What the commands of this package share."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from analysis.folders import folder_of

__all__ = ["folder_of", "refuse", "write"]


def refuse(message: str) -> NoReturn:
    """Say in one line what is wrong and leave with 2; argparse would print the usage before it."""
    command = Path(sys.argv[0])
    name = command.parent.name if command.stem == "__main__" else command.stem
    print(f"{name}: {message}", file=sys.stderr)
    raise SystemExit(2)


def write(path: Path, contents: Mapping[str, str]) -> list[Path]:
    """Write path.SUFFIX for each suffix and its text: a reader sees the old file or the new one.

    Raises:
        ValueError: the folder cannot be made or written to.
    """
    paths = [path.with_name(f"{path.name}.{suffix}") for suffix in contents]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for target, text in zip(paths, contents.values(), strict=True):
            part = target.with_name(f"{target.name}.{os.getpid()}.part")
            try:
                part.write_text(text, encoding="utf-8", newline="\n")
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"{error.filename or path} cannot be written: {error.strerror}") from None
    return paths
