"""TLS over a socket of our own, as far as `http.client` needs a socket.

OpenSSL works on memory here: reading a socket itself it would tell a reset as an end.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

__all__ = ["SecureSocket"]

BLOCK = 1 << 16

T = TypeVar("T")


class SecureSocket:
    """The client's end of TLS, from the handshake on. The connection stays its owner's, who closes it.

    Raises
    ------
    ssl.SSLError
        Of the handshake, of reading and of writing.
    OSError
        As the socket raises it.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._do(self._tls.do_handshake)

    def _do(self, step: Callable[[], T]) -> T:
        """One step of TLS, and what the network must do for it."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except ssl.SSLError:
                with suppress(OSError):  # an alert, for a server that still listens
                    self._flush()
                raise
            else:
                self._flush()
                return result

    def _fill(self) -> None:
        block = self._connection.recv(BLOCK)
        if block:
            self._incoming.write(block)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._connection.sendall(self._outgoing.read())

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._do(partial(self._tls.write, rest)) :]

    def read(self, buffer: memoryview) -> int:
        """Receive into `buffer`; 0 at the end, of TLS or of the connection: a digest tells what is whole."""
        try:
            return self._do(partial(self._tls.read, len(buffer), buffer))
        except ssl.SSLEOFError:
            return 0

    def makefile(self, *_: Any) -> io.BufferedReader:
        """To read from."""
        return io.BufferedReader(_Received(self))

    def close(self) -> None:
        """Nothing: `http.client` calls it before it has read the answer."""


class _Received(io.RawIOBase):
    """What comes, as a file."""

    def __init__(self, secure: SecureSocket) -> None:
        self._secure = secure

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._secure.read(memoryview(buffer))
