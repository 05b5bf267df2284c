"""The dashboard over HTTP on this machine alone, read again while the sweep runs."""

import errno
import gzip
import hashlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from analysis.dashboard.collect import Collector

HOST = "127.0.0.1"
PORT = 8765
TRIES = 20  # ports from `PORT` on
PAUSE = 2.0  # seconds between two looks at the folder, at least
SHARE = 5  # and so many times as long as the last look took


class Source:
    """The payload as it stands, gzipped, and its tag, which changes with what is drawn.

    A look that another request has begun is not waited for: the last payload is given instead.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._looking = threading.Lock()
        self._next = 0.0
        self._error = ""
        self._now = self._packed()

    def latest(self) -> tuple[bytes, str]:
        """Looks into the folder first, if the last look was long enough ago."""
        if time.monotonic() >= self._next and self._looking.acquire(blocking=False):
            started = time.monotonic()
            try:
                if self._collector.refresh():
                    self._now = self._packed()
                self._error = ""
            except (OSError, ValueError) as error:  # the folder is being moved, or is not ours any more
                self._say(str(error))
            finally:
                took = time.monotonic() - started
                self._next = time.monotonic() + max(PAUSE, SHARE * took)
                self._looking.release()
        return self._now

    def _packed(self) -> tuple[bytes, str]:
        payload = self._collector.payload(live=True)
        text = json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        return gzip.compress(text, compresslevel=5, mtime=0), hashlib.sha256(text).hexdigest()[:16]

    def _say(self, error: str) -> None:
        if error != self._error:
            print(f"not read: {error}", file=sys.stderr)
        self._error = error


class Server(ThreadingHTTPServer):
    """Answers `/` with the page and `/payload.json` with what the source has."""

    daemon_threads = True

    def __init__(self, port: int, page: str, source: Source) -> None:
        super().__init__((HOST, port), Handler)
        self.page = gzip.compress(page.encode(), mtime=0)
        self.source = source

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(200, self.server.page, "text/html; charset=utf-8")
        elif path == "/payload.json":
            body, tag = self.server.source.latest()
            if self.headers.get("If-None-Match", "").strip('"') == tag:
                self._answer(304, None, tag=tag)
            else:
                self._answer(200, body, "application/json", tag)
        else:
            self._answer(404, gzip.compress(b"there is / and /payload.json\n"), "text/plain; charset=utf-8")

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: int, body: bytes | None, kind: str | None = None, tag: str | None = None) -> None:
        zipped = "gzip" in self.headers.get("Accept-Encoding", "")
        self.send_response(status)
        self.send_header("Cache-Control", "no-cache")
        if tag is not None:
            self.send_header("ETag", f'"{tag}"')
        if body is not None:
            body = body if zipped else gzip.decompress(body)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if zipped:
                self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if body is not None and self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Says nothing: a page asks every few seconds."""


def server(port: int | None, page: str, source: Source) -> Server:
    """A server that listens; the caller closes it.

    Args:
        port: 0 takes a free one, None the first free one from `PORT` on.

    Raises:
        ValueError: the port is taken, may not be used, or is none.
    """
    if port is not None and not 0 <= port < 2**16:
        raise ValueError(f"--port needs one from 0 to {2**16 - 1}, got {port}")
    tried = range(PORT, PORT + TRIES) if port is None else [port]
    for one in tried:
        try:
            return Server(one, page, source)
        except OSError as error:
            reason = error.strerror
            if error.errno != errno.EADDRINUSE:
                break
    wanted = f"{tried[0]}" if len(tried) == 1 else f"{tried[0]} to {tried[-1]}"
    raise ValueError(f"--port needs one that is free, got {wanted} ({reason}); 0 takes any")
