"""A loopback server for `Individualization`: it answers both round trips, and counts what it really sent."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import random
import socket
import ssl
import struct
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from fastrec.errors import SourceError, suggest

__all__ = ["FAULTS", "Request", "UpgradeServer"]

CHUNK = 1 << 15
TICK = 0.02
TOO_MUCH = 1 << 62

Fault = Literal["reset", "unavailable", "digest", "timeout", "disk"]
FAULTS = {
    "reset": "the server resets the connection in the middle of the upgrade",
    "unavailable": "the server answers 503",
    "digest": "the upgrade is not the one that was announced",
    "timeout": "the server falls silent in the middle of the upgrade",
    "disk": "more is announced than any disk has room for",
}
"""What an `UpgradeServer` can do wrong."""


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
    """An HTTP or HTTPS server on 127.0.0.1, on a port that is free, in threads of its own.

    Parameters
    ----------
    size : int, optional
        Bytes of the upgrade: always the same ones for one size.
    payload : bytes or another C-contiguous buffer, optional
        The upgrade itself, instead of `size`: an mmap of a file, say. It is never copied, and free to be
        closed after the ``with`` block.
    rate : int or None
        Bytes a second at most, in steps of 20 ms; None: as fast as it goes.
    with_length : bool
        Whether the upgrade is sent with a Content-Length. Without, the end of the connection is its end.
    with_size : bool
        Whether the first answer tells the size.
    context : ssl.SSLContext or None
        With the certificate and key of ``localhost``: HTTPS. None: HTTP.
    fault : {"reset", "unavailable", "digest", "timeout", "disk"} or None
        What it does wrong; see `FAULTS`.

    Attributes
    ----------
    url : str
        Of the first round trip; the port is taken when the ``with`` block begins.
    upgrade_url : str
        Of the second, as the first answers it.
    payload : bytes or buffer
        The upgrade.
    requests : list of Request
        In the order in which they came.

    Raises
    ------
    SourceError
        Neither or both of `size` and `payload`, or an unknown fault.

    Examples
    --------
    >>> with UpgradeServer(1 << 20) as server, Individualization(server.url, "upgrade.bin") as client:
    ...     client.start()
    ...     client.wait()
    """

    def __init__(
        self,
        size: int | None = None,
        *,
        payload: Any = None,
        rate: int | None = None,
        with_length: bool = True,
        with_size: bool = True,
        context: ssl.SSLContext | None = None,
        fault: Fault | None = None,
    ) -> None:
        if (size is None) == (payload is None):
            raise SourceError("an upgrade has a size, or is a payload: pass one of the two")
        if fault is not None and fault not in FAULTS:
            raise SourceError(f"fault={fault!r}{suggest(str(fault), FAULTS)}")
        self.payload = random.Random(size).randbytes(size) if payload is None else payload
        self.requests: list[Request] = []
        self._rate = rate
        self._with_length = with_length
        self._with_size = with_size
        self._context = context
        self._fault = fault
        self._stopping = threading.Event()

    def __enter__(self) -> UpgradeServer:
        self._body = memoryview(self.payload).cast("B")
        self._http = _Listener(("127.0.0.1", 0), self._handler())
        # The name in the certificate; an address needs no look-up.
        place = "http://127.0.0.1" if self._context is None else "https://localhost"
        self.url = f"{place}:{self._http.server_port}/individualize"
        self.upgrade_url = f"{place}:{self._http.server_port}/upgrade.bin"
        digest = hashlib.sha256(self._body)
        if self._fault == "digest":
            digest.update(b"and more")
        answer: dict[str, object] = {"url": self.upgrade_url, "sha256": digest.hexdigest()}
        if self._with_size:
            answer["size"] = TOO_MUCH if self._fault == "disk" else len(self._body)
        self._answer = memoryview(json.dumps(answer).encode("ascii"))
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
        self._http.interrupt()
        self._http.server_close()
        self._body.release()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        server, context = self, self._context

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                if context is not None:  # here, and not where it is accepted: others need not wait for it
                    self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def do_GET(self) -> None:
                self.close_connection = True
                try:
                    server._serve(self)
                except OSError:
                    return  # the client went away; `sent` says when

            def finish(self) -> None:
                super().finish()
                if isinstance(self.connection, ssl.SSLSocket):
                    with suppress(OSError, ValueError):  # gone already
                        self.connection.unwrap()
                    self.connection.close()

            def log_message(self, *_: object) -> None:
                """Nothing: a library does not print."""

        return Handler

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        body, status, rate = memoryview(b""), 404, None
        if handler.path == "/individualize" and self._fault == "unavailable":
            status = 503
        elif handler.path == "/individualize":
            body, status = self._answer, 200
        elif handler.path == "/upgrade.bin":
            body, status, rate = self._body, 200, self._rate
        upgrade = body is self._body
        length: int | None = len(body)
        if upgrade and self._fault == "disk":
            length = TOO_MUCH
        elif upgrade and not self._with_length:
            length = None
        request = Request(handler.path, status, length)
        self.requests.append(request)
        try:
            handler.send_response(status)
            if length is not None:
                handler.send_header("Content-Length", str(length))
            handler.send_header("Connection", "close")
            handler.end_headers()
            if upgrade and self._fault in ("reset", "timeout"):
                self._send(handler, body[: len(body) // 2], request, rate)
                self._break_off(handler.connection)
            else:
                self._send(handler, body, request, rate)
        finally:
            request.ended = True

    def _send(
        self,
        handler: http.server.BaseHTTPRequestHandler,
        body: memoryview,
        request: Request,
        rate: int | None,
    ) -> None:
        chunk = CHUNK if rate is None else max(1, int(rate * TICK))
        start = time.monotonic()
        while request.sent < len(body) and not self._stopping.is_set():
            request.sent += handler.connection.send(body[request.sent : request.sent + chunk])
            if rate is not None and request.sent < len(body):
                self._stopping.wait(max(0.0, start + request.sent / rate - time.monotonic()))

    def _break_off(self, connection: socket.socket) -> None:
        if self._fault == "timeout":
            self._stopping.wait()
        else:  # closed without lingering is reset, once the listener's handle has gone as well
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(connection.detach())


class _Listener(http.server.ThreadingHTTPServer):
    """Its threads end when it is closed: each connection can be interrupted, by a handle of its own."""

    daemon_threads = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lock = threading.Lock()
        self._handles: set[socket.socket] = set()
        self._interrupted = False

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        handle = request.dup()
        with self._lock:
            self._handles.add(handle)
            if self._interrupted:
                _shut(handle)
        super().process_request_thread(request, client_address)
        with self._lock:
            self._handles.remove(handle)
            handle.close()

    def interrupt(self) -> None:
        """End every connection, those that are just being accepted as well."""
        with self._lock:
            self._interrupted = True
            for handle in self._handles:
                _shut(handle)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or does not understand TLS, is no error of the server."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _shut(handle: socket.socket) -> None:
    with suppress(OSError):  # the client was faster
        handle.shutdown(socket.SHUT_RDWR)
