"""A loopback server for `Individualization`: it answers both round trips, and counts what it really sent."""

from __future__ import annotations

import hashlib
import http.server
import json
import random
import threading
import time
from dataclasses import dataclass
from types import TracebackType

__all__ = ["Request", "UpgradeServer"]

CHUNK = 1 << 15
TICK = 0.02


@dataclass(slots=True)
class Request:
    """One request that was answered.

    Attributes
    ----------
    path : str
    status : int
        Of HTTP.
    length : int or None
        Content-Length as it was told.
    sent : int
        Bytes of the body that were handed to the kernel; final once `ended`.
    ended : bool
    """

    path: str
    status: int
    length: int | None
    sent: int = 0
    ended: bool = False


class UpgradeServer:
    """An HTTP server on 127.0.0.1, on a port that is free, in threads of its own.

    Parameters
    ----------
    size : int
        Bytes of the upgrade: always the same ones for one size.
    rate : int or None
        Bytes a second at most, in steps of 20 ms; None: as fast as it goes.
    with_length : bool
        Whether the upgrade is sent with a Content-Length. Without, the end of the connection is its end.
    with_size : bool
        Whether the first answer tells the size.

    Attributes
    ----------
    url : str
        Of the first round trip; the port is taken when the ``with`` block begins.
    upgrade_url : str
        Of the second, as the first answers it.
    payload : bytes
        The upgrade.
    requests : list of Request
        In the order in which they came.

    Examples
    --------
    >>> with UpgradeServer(1 << 20) as server, Individualization(server.url, "upgrade.bin") as client:
    ...     client.start()
    ...     client.wait()
    """

    def __init__(
        self, size: int, *, rate: int | None = None, with_length: bool = True, with_size: bool = True
    ) -> None:
        self.payload = random.Random(size).randbytes(size)
        self.requests: list[Request] = []
        self._rate = rate
        self._with_length = with_length
        self._stopping = threading.Event()
        self._with_size = with_size

    def __enter__(self) -> UpgradeServer:
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        place = f"http://127.0.0.1:{self._http.server_port}"
        self.url = f"{place}/individualize"
        self.upgrade_url = f"{place}/upgrade.bin"
        digest = hashlib.sha256(self.payload).hexdigest()
        answer: dict[str, object] = {"url": self.upgrade_url, "sha256": digest}
        if self._with_size:
            answer["size"] = len(self.payload)
        self._answer = json.dumps(answer).encode("ascii")
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(TICK,), name="upgrade server", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening; what is being sent ends at once."""
        self._stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.close_connection = True
                try:
                    server._serve(self)
                except OSError:
                    return  # the client went away; `sent` says when

            def log_message(self, *_: object) -> None:
                """Nothing: a library does not print."""

        return Handler

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.path == "/individualize":
            body, status, told, rate = self._answer, 200, True, None
        elif handler.path == "/upgrade.bin":
            body, status, told, rate = self.payload, 200, self._with_length, self._rate
        else:
            body, status, told, rate = b"", 404, True, None
        request = Request(handler.path, status, len(body) if told else None)
        self.requests.append(request)
        try:
            handler.send_response(status)
            if told:
                handler.send_header("Content-Length", str(len(body)))
            handler.send_header("Connection", "close")
            handler.end_headers()
            self._send(handler, body, request, rate)
        finally:
            request.ended = True

    def _send(
        self, handler: http.server.BaseHTTPRequestHandler, body: bytes, request: Request, rate: int | None
    ) -> None:
        chunk = CHUNK if rate is None else max(1, int(rate * TICK))
        start = time.monotonic()
        while request.sent < len(body) and not self._stopping.is_set():
            rest = memoryview(body)[request.sent : request.sent + chunk]
            request.sent += handler.connection.send(rest)
            if rate is not None and request.sent < len(body):
                self._stopping.wait(max(0.0, start + request.sent / rate - time.monotonic()))
