"""Other processes that hold a run folder, alive or dead."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from experiments import claims


def start(program: str, *args: object) -> subprocess.Popen:
    """The program in a process of its own, its output in a pipe."""
    command = [sys.executable, "-c", program, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def plant(folder: Path, age: float = 0.0, **changes: object) -> None:
    """A claim as a process of this host would leave it, except for the changes, last refreshed `age` seconds ago."""
    folder.mkdir(parents=True, exist_ok=True)
    with_holder = {**claims._where(), "pid": os.getpid(), "born": claims._born(os.getpid()), "started": 0.0}
    path = folder / "running.json"
    path.write_text(json.dumps({**with_holder, **changes}))
    os.utime(path, (time.time() - age,) * 2)


def dead_pid() -> int:
    """The pid of a process that has just ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid
