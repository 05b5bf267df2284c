"""Which code makes the numbers of a run."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

VERSIONED = {"torch", "numpy"}  # packages whose version says which code it is


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


def sources(config: Mapping[str, Any]) -> str:
    """A hash of the code that makes the numbers: rnnlab, and the packages of the user that the configuration names.

    Unlike a commit it changes with every edit of theirs, committed or not, and with nothing else.
    """
    named = {target.partition(".")[0] for target in _targets(config)} - VERSIONED
    return hashlib.sha256("".join(_digest(name) for name in sorted({"rnnlab", *named})).encode()).hexdigest()[:12]


def _targets(config: Any) -> Iterator[str]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from [value] if key == "_target_" else _targets(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _targets(value)


@functools.cache  # for the code that this process imported, not for what is edited while it runs
def _digest(package: str) -> str:
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # __main__
        spec = None
    if spec is None:
        return ""
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = sorted(f for folder in folders for f in folder.rglob("*") if f.suffix in (".py", ".cpp", ".h"))
    if not folders and spec.has_location:
        files = [Path(spec.origin)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
