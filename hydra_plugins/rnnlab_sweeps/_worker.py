"""A worker process: the parent's handle on it, and what it does.

It is forked from a server that has imported what takes long and done nothing else, so it is there at once. It never
hears the terminal's Ctrl-C: the parent does, and sends SIGTERM to those at work. It ends with its parent, however that
ended.
"""

import faulthandler
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from typing import Any

from hydra.core.utils import env_override

PATIENCE = 10.0  # seconds for a worker to write down that it was interrupted
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # until a run sets its own number

Answer = Callable[[Any], Any]


class Died(RuntimeError):
    """A process ended under what it was at."""


class Worker:
    """A process, the pipes to it, and what it is at: `place` of a unit, None while it has none.

    Args:
        make: is called in the process, and returns what is then called with each unit.
        preload: modules to import before the fork, once for all workers.
    """

    def __init__(self, make: Callable[[], Answer], preload: Sequence[str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(preload))
        self.pipe, theirs = context.Pipe()
        (out, their_out), (err, their_err) = context.Pipe(duplex=False), context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(make, theirs, their_out, their_err))
        with _deaf_to_ctrl_c(), env_override(ONE_THREAD):
            self.process.start()
        for end in (theirs, their_out, their_err):
            end.close()
        self.lines = [Lines(out, "stdout"), Lines(err, "stderr")]
        self.ready = False
        self.place: int | None = None
        self.job: int | None = None  # of the last unit

    def give(self, place: int, unit: Any) -> None:
        self.place, self.job = place, unit.job
        with suppress(OSError):  # it is dead, and its unit is with it: `receive` will tell
            self.pipe.send(unit)

    def receive(self) -> Any:
        """Its answer.

        Raises:
            Died: it will not answer any more.
        """
        with suppress(EOFError, OSError):
            if self.pipe.poll() or self.process.exitcode is None:
                return self.pipe.recv()
        self.end()
        code = self.process.exitcode
        if code >= 0:
            raise Died(f"its process ended with exit code {code}")
        raise Died(
            f"its process was killed by signal {-code} ({signal.Signals(-code).name})"
            + (": out of memory?" if -code == signal.SIGKILL else "")
        )

    def ask_to_end(self) -> None:
        """By the end of the pipe, where it waits when it has nothing to do; else by the signal."""
        if self.ready and self.place is None:
            self.pipe.close()
        else:
            self.process.terminate()

    def end(self, patience: float = 1.0) -> None:
        """Make sure that it is gone, and pass its last words on."""
        self.process.join(patience)
        self.process.kill()
        self.process.join()
        self.pipe.close()
        for lines in self.lines:
            lines.close()


class Lines:
    """What a process writes, passed on in whole lines to a stream of `sys`."""

    def __init__(self, reader: connection.Connection, stream: str) -> None:
        self._reader, self._stream, self._rest = reader, stream, b""
        self.open = True
        os.set_blocking(reader.fileno(), False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def pass_on(self, last: bool = False) -> None:
        with suppress(BlockingIOError):
            data = os.read(self.fileno(), 1 << 20)  # more than a pipe holds
            self.open = bool(data)
            self._rest += data
        whole, newline, self._rest = self._rest.rpartition(b"\n")
        if last and self._rest:
            whole, newline, self._rest = whole + newline + self._rest, b"\n", b""
        if newline:
            print(whole.decode(errors="replace"), file=getattr(sys, self._stream), flush=True)

    def close(self) -> None:
        self.pass_on(last=True)
        self._reader.close()
        self.open = False


def _work(
    make: Callable[[], Answer], pipe: connection.Connection, out: connection.Connection, err: connection.Connection
) -> None:
    """The life of the process: says that it is ready, then answers one unit after another until the pipe ends."""
    for end, target in ((out, 1), (err, 2)):
        os.dup2(end.fileno(), target)
        end.close()
    sys.stdout.reconfigure(line_buffering=True)
    faulthandler.enable()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()  # a signal that it gets would not wake us
    signal.pthread_sigmask(signal.SIG_SETMASK, {*before, signal.SIGINT})
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        answer = make()
        pipe.send(None)
        pipe.send(answer(pipe.recv()))
        gc.collect()
        gc.freeze()  # all that was imported by now: each collection below would take .1 s to go through it
        while True:
            pipe.send(answer(pipe.recv()))
            gc.collect()
    except (EOFError, BrokenPipeError):  # no more work
        pass
    except KeyboardInterrupt:
        sys.exit(130)


def _interrupt(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: a second one would break into what the first one leads to
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    connection.wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A process that is started in here, and all that it starts, never gets SIGINT."""
    resource_tracker.ensure_running()  # which multiprocessing starts with the first process, and takes the mask away
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
