"""Who works on a run folder: one claim at a time, over processes, hosts and kills."""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REFRESH = 30.0  # seconds between two signs of life
STALE = 300.0  # seconds without one, after which a claim of another host is free


class Busy(RuntimeError):
    """The run is not ours to train: someone alive works on it, or it is finished."""


def _born(pid: int) -> str | None:
    """Start time of a live process in clock ticks since boot; None if it is dead (a zombie is), "" if nobody tells."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it lives, as another user
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return None if fields[0] in "ZX" else fields[19]


def _where() -> dict[str, str]:
    """The space in which a pid means something: the host, this boot of it, this container."""
    boot = ""
    with contextlib.suppress(OSError):
        boot = f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    return {"host": socket.gethostname(), "boot": boot}


def _alive(holder: dict[str, Any], age: float) -> bool:
    """Whether the holder of a claim that was refreshed `age` seconds ago may still be at work."""
    if {key: holder.get(key) for key in ("host", "boot")} != _where() or "pid" not in holder:
        return age < STALE
    return _born(holder["pid"]) in ("", holder.get("born", ""))  # a pid is used again, a pid with its start time is not


def held(folder: Path) -> bool:
    """Whether someone alive works on the folder, by this host's clock; for who only wants to know."""
    try:
        with (folder / "running.json").open("rb") as claim:
            return _alive(_parse(claim.read(4096)), time.time() - os.fstat(claim.fileno()).st_mtime)
    except OSError:
        return False


class Claim:
    """`running.json` of a folder, held from the moment of construction until `release`.

    It appears whole and exclusively (a hard link to a file written before). The claim of a dead holder is replaced
    under a lock on that very file: of two that want it, the second finds another file at the path and looks again.
    The kernel drops the lock with its process, so a kill at any point leaves a claim that can be taken at once. On a
    file system without `flock` two that take over a dead claim within the same instant could both win.

    Raises:
        Busy: someone alive holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "running.json"
        self.lost = False
        mine = folder / f"running.{uuid.uuid4().hex}.tmp"
        holder = {**_where(), "pid": os.getpid(), "born": _born(os.getpid()), "started": time.time()}
        mine.write_text(json.dumps(holder))
        try:
            while not self._take(mine):
                pass
            self._file = self.path.open("rb")  # refreshed through this, so never the claim of someone else
            self._inode = os.fstat(self._file.fileno()).st_ino
        finally:
            mine.unlink(missing_ok=True)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="claim", daemon=True)
        self._thread.start()

    def _take(self, mine: Path) -> bool:
        """One attempt; False means that the claim changed hands meanwhile."""
        with contextlib.suppress(FileExistsError):
            os.link(mine, self.path)
            return True
        with self._locked() as claim:
            if claim is None:
                return False
            os.utime(mine)  # both times from the clock of the file system
            age = mine.stat().st_mtime - os.fstat(claim).st_mtime
            holder = _parse(os.pread(claim, 4096, 0))
            if _alive(holder, age):
                who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
                raise Busy(f"{self.path.parent} is being worked on by {who}, last seen {max(age, 0):.0f} s ago")
            os.replace(mine, self.path)
            return True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int | None]:
        """A descriptor of the claim at the path with the lock on it; None if it is gone or was just replaced."""
        try:
            file = self.path.open("r+b")
        except FileNotFoundError:
            yield None
            return
        with file:
            with contextlib.suppress(OSError):  # no locks on this file system
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file.fileno() if _inode(self.path) == os.fstat(file.fileno()).st_ino else None

    def _refresh(self) -> None:
        while not self._stop.wait(REFRESH):
            self.lost = _inode(self.path) != self._inode
            with contextlib.suppress(OSError):
                os.utime(self._file.fileno())

    def release(self) -> None:
        """Free the folder, unless someone else took it over in the meantime."""
        self._stop.set()
        self._thread.join()
        with self._locked() as claim:
            if claim is not None and os.fstat(claim).st_ino == self._inode:
                self.path.unlink()
        self._file.close()


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _parse(data: bytes) -> dict[str, Any]:
    """The holder; nobody known if the file is not one of ours (then it is free after STALE, as on another host)."""
    try:
        holder = json.loads(data)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}
