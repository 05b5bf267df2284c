"""W&B in a process of its own: to import it, to start it and to feed it takes seconds, which no run has to wait.

One such process serves a training process, run after run. It is told where a run folder is and how far that has been
written; it reads the rows from there, as a replay does. When the training process dies, its run is ended as failed.
"""

import functools
import json
import logging
import multiprocessing.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import replay
from experiments.schema import Arrays
from experiments.tracking import Draw, Mode, WandbTracker, line

logger = logging.getLogger(__name__)

PERIOD = 1.0  # seconds between two looks at a run that goes on
LIMIT = 120.0  # seconds that the end of the training process waits for what is still to be sent


class Mirror:
    """A tracker that passes on what it is told; see `WandbTracker` for the arguments and for what W&B shows."""

    def __init__(self, *, mode: Mode, project: str, entity: str | None) -> None:
        WandbTracker(mode=mode, project=project, entity=entity)  # refuses a wrong mode
        self._settings = {"mode": mode, "project": project, "entity": entity}
        self._told = 0.0

    def start(self, folder: Path, run_id: str, name: str, config: Mapping[str, Any], tags: Sequence[str] = ()) -> None:
        self._told = time.monotonic()
        helper(os.getpid()).tell(start=str(folder.resolve()), tracker=self._settings)

    def log(self, row: Mapping[str, Any], profiles: Arrays | None = None) -> None:
        if time.monotonic() - self._told > PERIOD:
            self._told = time.monotonic()
            helper(os.getpid()).tell(step=row["step"])

    def finish(self, done: Mapping[str, Any], table: Arrays | None = None, figure: Draw | None = None) -> None:
        helper(os.getpid()).tell(end="")

    def fail(self, error: str) -> None:
        helper(os.getpid()).tell(end=error)


@functools.cache
def helper(pid: int) -> "Helper":
    """The one of this process, which must not be that of the process it was forked from."""
    return Helper()


class Helper:
    """The other process, and the pipe to it. A fault of it is said once and costs nothing more."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process: subprocess.Popen | None = None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "experiments.mirror"],
                stdin=subprocess.PIPE,
                bufsize=0,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
                process_group=0,  # Ctrl-C is for the runs, which then tell their end
            )
        except OSError as error:
            self._lost(error)
            return
        os.set_blocking(self._process.stdin.fileno(), False)
        self._finalizer = multiprocessing.util.Finalize(self, self.close, exitpriority=1)  # in workers too

    def tell(self, **message: Any) -> None:
        """One line, whole or not at all: a run waits for nothing."""
        if self._process is None:
            return
        try:
            os.write(self._process.stdin.fileno(), json.dumps(message).encode() + b"\n")
        except OSError as error:
            self._lost(error)

    def close(self) -> None:
        """Let it send the rest; what takes too long is left to a replay."""
        process, self._process = self._process, None
        if process is None:
            return
        process.stdin.close()
        try:
            process.wait(LIMIT)
        except BaseException as error:  # Ctrl-C too
            process.kill()
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            logger.warning("W&B took too long: python -m experiments.replay sends what is missing")

    def _lost(self, error: OSError) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.stdin.close()
            process.wait()
        logger.warning("W&B is lost (%s): the runs go on without it", line(error))


def main() -> None:
    """Serve the process at the other end of stdin until it closes that, or dies."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to all of a job: stdin says when to end
    trackers: dict[str, WandbTracker] = {}
    tracker = reader = None
    for text in sys.stdin.buffer:
        try:
            match json.loads(text):
                case {"start": folder, "tracker": settings}:
                    reader, key = None, json.dumps(settings)
                    tracker = trackers[key] = trackers.get(key) or WandbTracker(**settings)
                    reader = replay.start(Path(folder), tracker)
                case {"step": step} if reader:
                    replay.feed(reader, tracker, step)
                case {"end": error} if reader:
                    ended, reader = reader, None
                    replay.end(ended, tracker, error)
        except Exception as error:  # of the run folder; those of W&B are its tracker's business
            reader = None
            logger.warning("W&B is not told more of this run (%s)", line(error))
    if reader:
        replay.end(reader, tracker)


if __name__ == "__main__":
    main()
