"""What the commands of this package share."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from analysis.folders import folder_of

__all__ = ["folder_of", "refuse", "refusing", "whole", "write"]


def refuse(message: str) -> NoReturn:
    """Say in one line what is wrong and leave with 2; argparse would print the usage before it."""
    command = Path(sys.argv[0])
    name = command.parent.name if command.stem == "__main__" else command.stem
    print(f"{name}: {message}", file=sys.stderr)
    raise SystemExit(2)


@contextmanager
def refusing(parser: argparse.ArgumentParser) -> Iterator[None]:
    """What a command does after its arguments were read: a ValueError is its one line, Ctrl-C ends it without a word.

    The codes are 2, and 130 as of a shell.
    """
    try:
        yield
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside this one to be written to, which then takes its name: a reader sees the old file or the new one.

    Raises:
        ValueError: the folder cannot be made or written to.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from None


def write(path: Path, contents: Mapping[str, str]) -> list[Path]:
    """Write path.SUFFIX for each suffix and its text, each `whole`.

    Raises:
        ValueError: the folder cannot be made or written to.
    """
    paths = [path.with_name(f"{path.name}.{suffix}") for suffix in contents]
    for target, text in zip(paths, contents.values(), strict=True):
        with whole(target) as part:
            part.write_text(text, encoding="utf-8", newline="\n")
    return paths
