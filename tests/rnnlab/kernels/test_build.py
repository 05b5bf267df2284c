"""Where the library of the loops comes from, and what becomes of a broken compiler."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from rnnlab import kernels
from rnnlab.kernels import build, calls

needs_compiler = pytest.mark.skipif(not build.compiler(), reason="no C++ compiler on this machine")
ASK = "import warnings; warnings.simplefilter('always'); from rnnlab import kernels; print(kernels.available())"


def start(tmp_path, **variables: str) -> subprocess.Popen:
    """A fresh process that asks for the loops, with a cache of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CXX", "RNNLAB_KERNELS")}
    environment = {**kept, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", ASK], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def quick(tmp_path) -> str:
    """A compiler that does not optimise: these tests are about files, and optimising takes most of the seconds."""
    return script(tmp_path, f'exec {build.compiler()[0]} "$@" -O0')


def script(folder: Path, text: str) -> str:
    path = folder / "c++"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def answer(process: subprocess.Popen) -> tuple[bool, str]:
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return {"True": True, "False": False}[out.strip()], err


@needs_compiler
def test_processes_that_build_at_once_both_succeed_and_the_next_one_builds_nothing(tmp_path, quick):
    for found, err in [answer(p) for p in [start(tmp_path, CXX=quick), start(tmp_path, CXX=quick)]]:
        assert found
        assert "Warning" not in err
    built = list((tmp_path / "cache" / "rnnlab").iterdir())
    assert [path.suffix for path in built] == [".so"]  # one library, and nothing left lying about
    assert answer(start(tmp_path, CXX=quick)) == (True, "")


@needs_compiler
def test_a_cache_that_cannot_be_written_is_replaced_by_a_folder_of_this_user(tmp_path, quick):
    (tmp_path / "cache").touch()  # a file: not even root can make a folder in it
    assert answer(start(tmp_path, CXX=quick))[0]
    assert len(list(tmp_path.glob("rnnlab-*/loops-*.so"))) == 1


@needs_compiler
def test_a_library_is_not_taken_out_of_a_folder_that_others_may_write(tmp_path, quick):
    shared = tmp_path / "cache" / "rnnlab"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    assert answer(start(tmp_path, CXX=quick))[0]
    assert list(shared.iterdir()) == []


def test_no_compiler_is_no_warning(tmp_path):
    assert answer(start(tmp_path, PATH=str(tmp_path))) == (False, "")


def test_the_switch_is_off(tmp_path):
    assert answer(start(tmp_path, RNNLAB_KERNELS="off")) == (False, "")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("command", ["false", "no-such-compiler"])
def test_a_broken_compiler_is_one_warning(tmp_path, command):
    found, err = answer(start(tmp_path, CXX=command))
    assert not found
    assert err.count("UserWarning: rnnlab runs its loops in Python") == 1
    assert command in err


@needs_compiler
def test_a_compiler_that_fails_is_one_warning_with_its_last_lines(tmp_path):
    command = script(tmp_path, 'case "$*" in *-dM*) echo 1;; *) echo no room left >&2; exit 3;; esac')
    found, err = answer(start(tmp_path, CXX=command))
    assert not found
    assert err.count("UserWarning") == 1
    assert "ended with 3\nno room left" in err


@needs_compiler
@pytest.mark.parametrize(
    "bug",
    [
        ("f * load<T>(before + H + j, lanes) + i * g", "f * load<T>(before + H + j, lanes) - i * g"),
        ("d_n * r, lanes", "d_n, lanes"),
        ("slope = h - h * h", "slope = h"),
        ("degree = 13", "degree = 5"),
    ],
)
def test_a_library_that_computes_something_else_is_refused(tmp_path, monkeypatch, quick, bug):
    sources, hit = tmp_path / "sources", 0
    sources.mkdir()
    for path in (*build.SOURCES.glob("*.cpp"), *build.SOURCES.glob("*.h")):
        hit += bug[0] in path.read_text()
        (sources / path.name).write_text(path.read_text().replace(*bug))
    assert hit == 1
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", quick)
    with pytest.warns(UserWarning, match="computes something else than the cell"):
        assert not fresh(monkeypatch)


def fresh(monkeypatch) -> bool:
    """`available()` as a new process would answer."""
    monkeypatch.setattr(calls, "loaded", cache(calls.loaded.__wrapped__))
    return kernels.available.__wrapped__()
