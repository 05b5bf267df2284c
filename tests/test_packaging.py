"""What another machine needs to get the same numbers, and what must not leave this one."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = (ROOT / "constraints.txt").read_text().splitlines()

# Taken apart, so that this file does not find itself.
PLACES = ["/" + place for place in ("work/", "tmp/w/", "opt/wheels", "opt/pypi", "root/")]
HOSTS = ["pypi" + ".org", "python" + "hosted.org", "download." + "pytorch.org", "registry." + "npmjs.org"]
LEAK = re.compile("|".join(rf"(?<![\w.)}}~-]){place}" for place in PLACES) + "|" + "|".join(map(re.escape, HOSTS)))


def tracked() -> list[Path]:
    """The files of the repository, with those that git would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_constraints_pin_each_dependency_once_by_name_and_version_alone():
    assert "torch==2.13.0" in PINS  # a pin that both a CPU and a CUDA build meet
    for line in PINS:
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [^/@]+)?", line), line
    pinned = {line.partition("==")[0] for line in PINS}
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    assert {re.match(r"[\w-]+", requirement)[0] for requirement in wanted} <= pinned


def test_one_version_everywhere():
    assert f"version: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()


def test_no_file_names_a_place_on_this_machine_or_a_registry():
    files = tracked()
    assert ROOT / "pyproject.toml" in files
    texts = {path.relative_to(ROOT): path.read_bytes().decode("utf-8", "replace") for path in files}
    assert {str(path): LEAK.findall(text) for path, text in texts.items() if LEAK.search(text)} == {}


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        ("see /" + "work/main/README.md", True),
        ('"/' + 'tmp/w/v/bin/python"', True),
        ("--find-links=/" + "opt/wheels", True),
        ("https://pypi" + ".org/simple", True),
        ("the net/" + "work/ folder, ~/" + "root/", False),
        ("/tmp/outputs", False),
    ],
)
def test_the_leak_check_sees_a_leak(text, leaks):
    assert bool(LEAK.search(text)) == leaks


@pytest.fixture
def clone(tmp_path) -> Path:
    """A folder that looks set up to make."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
        os.utime(tmp_path / name, (1000, 1000))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".done").touch()
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # `make test` runs us
    return subprocess.run(["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "scores"])
def test_make_sets_nothing_up_twice(clone, target):
    assert "pip install" not in make(clone, "-n", target).stdout


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_make_sets_up_again_when_the_dependencies_change(clone, changed):
    os.utime(clone / ".venv" / ".done", (2000, 2000))
    (clone / changed).touch()
    assert "pip install" in make(clone, "-n", "test").stdout


def test_make_says_that_python_is_too_old(clone):
    (clone / ".venv" / ".done").unlink()
    old = clone / "python3.10"
    pretend = "import sys; sys.version_info = (3, 10, 4); exec(sys.argv[1])"
    old.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{pretend}' \"$2\"\n")
    old.chmod(0o755)
    result = make(clone, f"PYTHON={old}", ".venv/.done")
    assert result.returncode != 0
    assert "rnnlab needs python 3.11 or newer, got 3.10: name another with make PYTHON=" in result.stderr
