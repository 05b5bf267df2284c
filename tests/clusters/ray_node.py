"""A Ray cluster of one node on loopback, in a folder of its own; all of it ends with the context."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.clusters.slurm_node import free_ports


@contextlib.contextmanager
def ray_node() -> Iterator[tuple[str, dict[str, str]]]:
    """Its address, and the environment that is let in: the port of a Ray cluster runs whatever it is sent."""
    state = Path(tempfile.mkdtemp(prefix="ray-"))  # not pytest's: the path of a socket has at most 107 characters
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    (port,) = free_ports(1, below=10000)  # from there on, Ray takes ports for its workers
    address = f"127.0.0.1:{port}"
    node = ["--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2", f"--temp-dir={state}"]
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--disable-usage-stats", *node]
    log = (state / "log").open("wb")
    command += ["--include-dashboard=false"]
    (state / "elsewhere").mkdir()  # not where the sweep is typed
    head = subprocess.Popen(command, cwd=state / "elsewhere", env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 90
        while b"Ray runtime started" not in (state / "log").read_bytes():
            if head.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"Ray was not ready: {(state / 'log').read_text(errors='replace')[-3000:]}")
            time.sleep(0.2)
        yield address, environment
    finally:
        head.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(40)
        head.kill()
        head.wait()
        log.close()
        for pid in left_over(str(state)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(state, ignore_errors=True)


def left_over(state: str) -> list[int]:
    """Processes of this cluster that outlived it: those with its folder in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if state.encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found
