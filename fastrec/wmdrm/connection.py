"""The way to a server: TCP or TLS, one connection at a time, which can be interrupted from any thread."""

from __future__ import annotations

import errno
import http.client
import os
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from fastrec.wmdrm import failures
from fastrec.wmdrm.failures import Cancelled
from fastrec.wmdrm.tls import SecureSocket
from fastrec.wmdrm.upgrade import Place

__all__ = ["Connections"]


class Connections:
    """Makes connections, one at a time; one thread does, any thread may `cancel`.

    Parameters
    ----------
    timeout : float
        Longest wait for one connection, one write or one read, in seconds.
    context : ssl.SSLContext or None
        What https trusts; None: what the system trusts, looked up when it is needed.
    """

    def __init__(self, timeout: float, context: ssl.SSLContext | None) -> None:
        self._timeout = timeout
        self._context = context
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End connecting, reading and writing at once, now and later."""
        self._cancelled.set()
        with self._lock:
            if self._handle is not None:
                with suppress(OSError):  # not connected yet: whoever connects looks at the event afterwards
                    self._handle.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise Cancelled after `cancel`."""
        if self._cancelled.is_set():
            raise Cancelled

    @contextmanager
    def network(self) -> Iterator[None]:
        """Name what sockets, TLS and HTTP raise."""
        try:
            yield
        except failures.OF_NETWORK as error:
            raise failures.of_network(error) from error
        self.check()

    @contextmanager
    def answered(self, place: Place, connected: Callable[[], None]) -> Iterator[http.client.HTTPResponse]:
        """Connect, say so, ask, and wait for the head of the answer."""
        with ExitStack() as opened:
            opened.callback(self._unwatch)
            with self.network():
                connection = self._connect(place.host, place.port)
                opened.callback(connection.close)
                asking = http.client.HTTPConnection(place.host, place.port)
                asking.sock = connection
                if place.secure:
                    asking.default_port = http.client.HTTPS_PORT
                    self._context = self._context or ssl.create_default_context()
                    asking.sock = SecureSocket(connection, self._context, place.host)
                connected()
                asking.request("GET", place.path, headers={"Connection": "close"})
                response = opened.enter_context(asking.getresponse())
            yield response

    def _connect(self, host: str, port: int) -> socket.socket:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for attempt, (family, kind, protocol, _, address) in enumerate(addresses, 1):
            connection = socket.socket(family, kind, protocol)
            try:
                self._watch(connection)
                self._reach(connection, address)
                connection.settimeout(self._timeout)
                return connection
            except BaseException as error:
                connection.close()
                if attempt == len(addresses) or not isinstance(error, OSError):
                    raise
        raise OSError(f"{host} has no address")

    def _reach(self, connection: socket.socket, address: Any) -> None:
        connection.setblocking(False)
        code = connection.connect_ex(address)
        self.check()  # from here on, but not before, shutting the socket down ends the wait
        if code == errno.EINPROGRESS:
            with selectors.DefaultSelector() as ready:
                ready.register(connection, selectors.EVENT_WRITE)
                if not ready.select(self._timeout):
                    raise TimeoutError(f"no connection within {self._timeout} s")
            self.check()
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    def _watch(self, connection: socket.socket) -> None:
        """Let `cancel` reach this socket: by a handle of its own, that nobody else closes under its hands."""
        with self._lock:
            if self._handle is not None:
                self._handle.close()
            self._handle = connection.dup()

    def _unwatch(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._handle.close()
            self._handle = None
