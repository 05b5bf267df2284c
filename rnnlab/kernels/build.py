"""Compile loops.cpp once per user, machine and compiler, and load it."""

import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from ctypes import CDLL
from pathlib import Path

SOURCES = Path(__file__).parent
FLAGS = ["-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC"]
PATIENCE = 300  # seconds


class BuildError(Exception):
    """A compiler was there, but no library that computes what the cells compute."""


def compiler() -> list[str]:
    """The command of the C++ compiler: $CXX, else g++ or clang++ from the path, else empty."""
    if os.name != "posix":
        return []
    if named := shlex.split(os.environ.get("CXX", "")):
        return named
    return next(([found] for name in ("g++", "clang++") if (found := shutil.which(name))), [])


def library() -> CDLL:
    """The library out of the cache, compiled if it is not there; in a temporary folder where there can be no cache."""
    command = compiler()
    compiler_and_cpu = _output([*command, *FLAGS, "-dM", "-E", "-x", "c++", os.devnull])  # in macros
    sources = [path.read_text() for path in sorted(SOURCES.iterdir()) if path.suffix in (".cpp", ".h")]
    key = hashlib.sha256("\n".join([*sources, *FLAGS, compiler_and_cpu]).encode()).hexdigest()[:20]
    reasons = []
    for place in (_cache, _temporary):
        try:
            path = _own(place()) / f"loops-{key}.so"
            if not path.exists():
                _compile(command, path)
            return CDLL(str(path))
        except (OSError, RuntimeError) as error:  # no home, or may not write there, or may not load from there
            reasons.append(str(error))
    raise BuildError("; ".join(reasons))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnnlab"


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"rnnlab-{os.getuid()}"


def _own(folder: Path) -> Path:
    """Make a folder into which nobody else can have put a library for us to load."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{folder} may be written by others")
    return folder


def _compile(command: list[str], path: Path) -> None:
    """Into a file of our own, then renamed: of processes that build at once each finds a whole library."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        print("rnnlab: compiling the CPU loops, once ...", file=sys.stderr, flush=True)
        built = Path(folder) / path.name
        _output([*command, *FLAGS, "-o", str(built), str(SOURCES / "loops.cpp")])
        os.replace(built, path)


def _output(command: list[str]) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(str(error)) from error
    if ended.returncode:
        last = "\n".join(ended.stderr.strip().splitlines()[-5:])
        raise BuildError(f"`{shlex.join(command)}` ended with {ended.returncode}\n{last}")
    return ended.stdout
