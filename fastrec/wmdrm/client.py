"""A client that lives the life WM_INDIVIDUALIZE_STATUS describes, over real sockets.

It is no DRM client: it asks a server of your own for a file, checks its digest and puts it in place. It
exists so that the struct can be recorded where there is no Windows, from an object that looks and behaves as
Windows' own does.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import selectors
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from fastrec.core.cell import StatusCell
from fastrec.errors import SourceError
from fastrec.schema import HResult
from fastrec.wmdrm import failures
from fastrec.wmdrm.failures import Cancelled, IndividualizationFailure
from fastrec.wmdrm.status import (
    DRM_HTTP_STATUS,
    DRM_INDIVIDUALIZATION_STATUS,
    IID_IWMDRMIndividualizationStatus,
    Status,
    schema,
)
from fastrec.wmdrm.upgrade import BAD_ANSWER, Place, parse, split

__all__ = ["Individualization"]

BLOCK = 1 << 16
LARGEST_ANSWER = 1 << 16
LARGEST_DWORD = (1 << 32) - 1
CANCELLED = "NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE"


class Individualization:
    """One individualization, in a thread of its own.

    Round trip 1 gets `url`, which answers a JSON object ``{"url": ..., "sha256": ...}``, optionally with
    ``"size"``. Round trip 2 downloads from that URL, which may be relative. Install verifies the digest and
    moves the file to `target`, which is replaced in one step or left as it was; nothing else stays behind.

    Parameters
    ----------
    url : str
        ``http`` or ``https``.
    target : path
        In an existing folder; the download lies next to it until it is installed.
    timeout : float
        Longest wait for one connection, one write or one read, in seconds.

    Attributes
    ----------
    cell : StatusCell
        The status; starts as all zeros.
    pointer : int
        Address of an object with ``GetStatus`` at slot 3, for ``fr.ComMethod(client.pointer, 3)``.
    log : list of (mono_ns, Status)
        Every change of the status, with `time.monotonic_ns` from right before the cell was written. Read it
        when the client has ended, or copy it.
    written_ns : list of int
        For each change, the same clock from right after the cell was written: a poll after it cannot have
        seen the status before.
    result : HResult or None
        How it ended; None until then. Failures are HRESULTs, and never raised.
    error : Exception or None
        What is behind a failing `result`, for a human.

    Notes
    -----
    States come and go as fast as they do: nothing waits so that one can be seen. A DWORD that would overflow
    stays at its largest value. Cancelling interrupts connecting, reading and writing at once; the resolver of
    host names cannot be interrupted, and once the file is in place it is too late.
    """

    def __init__(self, url: str, target: str | os.PathLike[str], *, timeout: float = 30.0) -> None:
        self.url = url
        self.target = Path(target)
        self.timeout = timeout
        layout = schema(64).dtype
        self.cell = StatusCell(layout.itemsize, iid=IID_IWMDRMIndividualizationStatus.bytes_le)
        self.pointer = self.cell.pointer
        self.log: list[tuple[int, Status]] = []
        self.written_ns: list[int] = []
        self.result: HResult | None = None
        self.error: Exception | None = None
        self._status = Status()
        self._row = np.zeros((), dtype=layout)
        self._cancelled = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="individualization", daemon=True)

    def start(self) -> None:
        """Begin. Once only: a second start is a SourceError."""
        if self._thread.ident is not None:
            raise SourceError("this individualization was started before; make a new one")
        self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; returns whether it came. Needs a `start`."""
        return self._ended.wait(timeout)

    def cancel(self) -> None:
        """Ask for an end, from any thread; `wait` tells when it is there. After the end this does nothing."""
        self._cancelled.set()
        with self._lock:
            if self._handle is not None:
                with suppress(OSError):  # not connected yet: whoever connects looks at the event afterwards
                    self._handle.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Individualization:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what still runs, and wait for the thread."""
        self.cancel()
        if self._thread.ident is not None:
            self._thread.join()

    def _change(self, **members: Any) -> None:
        for name in {"dwHTTPReadProgress", "dwHTTPReadTotal"} & members.keys():
            members[name] = min(members[name], LARGEST_DWORD)
        status = self._status._replace(**members)
        if status == self._status:
            return
        self._status = status
        url = status.pszIndiRespUrl
        address = 0 if url is None else self.cell.text(url.encode("ascii"))
        self._row[()] = (*status[:2], address, *status[3:])
        payload = self._row.tobytes()
        before = time.monotonic_ns()
        self.cell.write(payload)
        self.written_ns.append(time.monotonic_ns())
        self.log.append((before, status))

    def _run(self) -> None:
        end, hr = DRM_INDIVIDUALIZATION_STATUS.INDI_SUCCEED, HResult.named("NS_S_DRM_INDIVIDUALIZED")
        try:
            self._individualize()
        except Exception as error:
            if self._cancelled.is_set():
                end, hr = DRM_INDIVIDUALIZATION_STATUS.INDI_CANCEL, HResult.named(CANCELLED)
            else:
                self.error = error
                known = error.hr if isinstance(error, IndividualizationFailure) else None
                end, hr = DRM_INDIVIDUALIZATION_STATUS.INDI_FAIL, known or HResult.named("E_UNEXPECTED")
        try:
            self._change(enIndiStatus=end, hr=hr)
        finally:
            self.result = hr
            self._ended.set()

    def _individualize(self) -> None:
        self._change(enIndiStatus=DRM_INDIVIDUALIZATION_STATUS.INDI_BEGIN)
        self._check()
        answer = bytearray()

        def keep(block: bytes) -> None:
            answer.extend(block)
            if len(answer) > LARGEST_ANSWER:
                raise IndividualizationFailure(BAD_ANSWER, f"the answer passes {LARGEST_ANSWER} bytes")

        self._round_trip(split("", self.url), keep)
        upgrade = parse(bytes(answer))
        self._change(pszIndiRespUrl=upgrade.url)
        with self._download_file() as (file, name):

            def store(block: bytes) -> None:
                rest = memoryview(block)
                with disk():
                    while rest:
                        rest = rest[file.write(rest) :]

            received = self._round_trip(split(self.url, upgrade.url), store)
            if upgrade.size not in (None, received):
                raise IndividualizationFailure(BAD_ANSWER, f"{received} bytes came, not {upgrade.size}")
            self._change(enIndiStatus=DRM_INDIVIDUALIZATION_STATUS.INDI_INSTALL)
            self._install(file, name, upgrade.sha256)

    def _round_trip(self, place: Place, take: Callable[[bytes], None]) -> int:
        """One request, its body handed over as it comes; returns its bytes. Completed when all were taken."""
        received = 0
        self._change(
            enIndiStatus=DRM_INDIVIDUALIZATION_STATUS.INDI_DOWNLOAD,
            enHTTPStatus=DRM_HTTP_STATUS.HTTP_CONNECTING,
            dwHTTPReadProgress=0,
            dwHTTPReadTotal=0,
        )
        with self._answered(place) as response:
            if response.status != http.client.OK:
                raise failures.of_answer(response.status, response.reason)
            total = response.length or 0
            self._change(enHTTPStatus=DRM_HTTP_STATUS.HTTP_RECEIVING, dwHTTPReadTotal=total)
            while True:
                with self._network():
                    block = response.read1(BLOCK)
                if not block:
                    break
                received += len(block)
                self._change(dwHTTPReadProgress=received)
                take(block)
        if received < total:
            reason = f"the connection ended after {received} of {total} bytes"
            raise IndividualizationFailure("ERROR_INTERNET_CONNECTION_ABORTED", reason)
        self._change(
            enHTTPStatus=DRM_HTTP_STATUS.HTTP_COMPLETED, dwHTTPRequest=self._status.dwHTTPRequest + 1
        )
        return received

    @contextmanager
    def _answered(self, place: Place) -> Iterator[http.client.HTTPResponse]:
        """Connect, ask, and wait for the head of the answer."""
        with ExitStack() as opened:
            opened.callback(self._unwatch)
            with self._network():
                connection = self._connect(place.host, place.port)
                opened.callback(connection.close)
                kind: type[http.client.HTTPConnection] = http.client.HTTPConnection
                if place.secure:
                    kind = http.client.HTTPSConnection
                    context = ssl.create_default_context()
                    connection = context.wrap_socket(connection, server_hostname=place.host)
                    opened.callback(connection.close)
                asking = kind(place.host, place.port, timeout=self.timeout)
                asking.sock = connection
                self._change(enHTTPStatus=DRM_HTTP_STATUS.HTTP_REQUESTING)
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
                connection.settimeout(self.timeout)
                return connection
            except BaseException as error:
                connection.close()
                if attempt == len(addresses) or not isinstance(error, OSError):
                    raise
        raise OSError(f"{host} has no address")

    def _reach(self, connection: socket.socket, address: Any) -> None:
        connection.setblocking(False)
        code = connection.connect_ex(address)
        self._check()  # from here on, but not before, shutting the socket down ends the wait
        if code == errno.EINPROGRESS:
            with selectors.DefaultSelector() as ready:
                ready.register(connection, selectors.EVENT_WRITE)
                if not ready.select(self.timeout):
                    raise TimeoutError(f"no connection within {self.timeout} s")
            self._check()
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

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    @contextmanager
    def _network(self) -> Iterator[None]:
        try:
            yield
        except failures.OF_NETWORK as error:
            raise failures.of_network(error) from error
        self._check()

    @contextmanager
    def _download_file(self) -> Iterator[tuple[FileIO, str]]:
        with disk():
            handle, name = tempfile.mkstemp(prefix=f".{self.target.name[:64]}.", dir=self.target.parent)
        try:
            with FileIO(handle, "r+") as file:
                yield file, name
        finally:
            with suppress(FileNotFoundError):  # installed
                os.unlink(name)

    def _install(self, file: FileIO, name: str, sha256: str) -> None:
        """Verify what the disk holds, make it durable, move it into place."""
        found = hashlib.sha256()
        with disk():
            file.seek(0)
            while block := file.read(BLOCK):
                found.update(block)
                self._check()
            if found.hexdigest() != sha256.lower():
                reason = f"the download's SHA-256 is {found.hexdigest()}, not {sha256}"
                raise IndividualizationFailure("TRUST_E_BAD_DIGEST", reason)
            os.fsync(file.fileno())
            self._check()
            os.replace(name, self.target)


@contextmanager
def disk() -> Iterator[None]:
    """Name what a file system raises."""
    try:
        yield
    except OSError as error:
        raise failures.of_disk(error) from error
