"""A client that lives the life WM_INDIVIDUALIZE_STATUS describes, over real sockets.

It is no DRM client: it asks a server of your own for a file, checks its digest and puts it in place. It
exists so that the struct can be recorded where there is no Windows, from an object that looks and behaves as
Windows' own does.
"""

from __future__ import annotations

import http.client
import os
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from fastrec.core.cell import StatusCell
from fastrec.errors import SourceError
from fastrec.schema import HResult
from fastrec.wmdrm import failures
from fastrec.wmdrm.connection import Connections
from fastrec.wmdrm.download import download
from fastrec.wmdrm.failures import IndividualizationFailure
from fastrec.wmdrm.status import (
    DRM_HTTP_STATUS,
    DRM_INDIVIDUALIZATION_STATUS,
    IID_IWMDRMIndividualizationStatus,
    Status,
    schema,
)
from fastrec.wmdrm.upgrade import BAD_ANSWER, Place, as_bytes, parse, quoted, split

__all__ = ["Individualization"]

BLOCK = 1 << 16
LARGEST_ANSWER = 1 << 16
LARGEST_DWORD = (1 << 32) - 1
MOST_LOGGED = 1 << 18
CANCELLED = "NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE"


class Individualization:
    """One individualization, in a thread of its own.

    Round trip 1 gets `url`, which answers a JSON object ``{"url": ..., "sha256": ...}``, optionally with
    ``"size"``. Round trip 2 downloads from that URL, which may be relative. Install verifies the digest and
    moves the file to `target`, which is replaced in one step or left as it was; nothing else stays behind,
    unless the program ends before `finish`.

    Parameters
    ----------
    url : str
        ``http`` or ``https``; ASCII.
    target : path
        In an existing folder; the download lies next to it until it is installed.
    timeout : float
        Longest wait for one connection, one write or one read, in seconds.
    context : ssl.SSLContext or None
        What ``https`` trusts; None: ``ssl.create_default_context()``.

    Attributes
    ----------
    cell : StatusCell
        The status; starts as all zeros.
    pointer : int
        Address of an object with ``GetStatus`` at slot 3, for ``fr.ComMethod(client.pointer, 3)``.
    log : list of (mono_ns, Status)
        Every change of the status, with `time.monotonic_ns` from right before the cell was written; beyond
        262,144 changes of mere progress the newest. Read it when the client has ended, or copy it.
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
    stays at its largest value. Where it is known how much will come, the file system of `target` is asked for
    room before the first byte. ``pszIndiRespUrl`` holds the URL's bytes as the server said them, 1 to 4,096
    without blanks and controls; the request percent-encodes those that are not ASCII, and in a `Status` those
    that are not UTF-8 are surrogate escapes. Cancelling interrupts connecting, reading and writing at once;
    the resolver of host names cannot be interrupted, and once the file is in place it is too late.
    """

    def __init__(
        self,
        url: str,
        target: str | os.PathLike[str],
        *,
        timeout: float = 30.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        self.target = Path(target)
        layout = schema(64).dtype
        self.cell = StatusCell(layout.itemsize, iid=IID_IWMDRMIndividualizationStatus.bytes_le)
        self.pointer = self.cell.pointer
        self.log: list[tuple[int, Status]] = []
        self.written_ns: list[int] = []
        self.result: HResult | None = None
        self.error: Exception | None = None
        self._status = Status()
        self._row = np.zeros((), dtype=layout)
        self._connections = Connections(timeout, context)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="individualization", daemon=True)

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin. Once only: a second start is a SourceError."""
        if self.started:
            raise SourceError("this individualization was started before; make a new one")
        self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; returns whether it came. Needs a `start`."""
        return self._ended.wait(timeout)

    def cancel(self) -> None:
        """Ask for an end, from any thread; `wait` tells when it is there. After the end this does nothing."""
        self._connections.cancel()

    def finish(self) -> None:
        """Cancel what still runs, and wait for its end; leaving a ``with`` block does the same."""
        self.cancel()
        if self.started:
            self._thread.join()

    def __enter__(self) -> Individualization:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def _change(self, **members: Any) -> None:
        for name in {"dwHTTPReadProgress", "dwHTTPReadTotal"} & members.keys():
            members[name] = min(members[name], LARGEST_DWORD)
        status = self._status._replace(**members)
        if status == self._status:
            return
        self._status = status
        url = status.pszIndiRespUrl
        address = 0 if url is None else self.cell.text(as_bytes(url))
        self._row[()] = (*status[:2], address, *status[3:])
        payload = self._row.tobytes()
        before = time.monotonic_ns()
        self.cell.write(payload)
        if members.keys() == {"dwHTTPReadProgress"} and len(self.log) >= MOST_LOGGED:
            self.written_ns.pop(), self.log.pop()  # a server that sends byte by byte costs no more memory
        self.written_ns.append(time.monotonic_ns())
        self.log.append((before, status))

    def _run(self) -> None:
        end, hr = DRM_INDIVIDUALIZATION_STATUS.INDI_SUCCEED, HResult.named("NS_S_DRM_INDIVIDUALIZED")
        try:
            self._individualize()
        except Exception as error:
            if self._connections.cancelled:
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
        self._connections.check()
        answer = bytearray()

        def keep(block: bytes) -> None:
            answer.extend(block)
            if len(answer) > LARGEST_ANSWER:
                raise IndividualizationFailure(BAD_ANSWER, f"the answer passes {LARGEST_ANSWER} bytes")

        self._round_trip(split("", self.url), keep)
        upgrade = parse(bytes(answer))
        self._change(pszIndiRespUrl=upgrade.url)
        with download(self.target) as file:
            place = split(self.url, quoted(upgrade.url))
            received = self._round_trip(
                place, file.write, lambda total: file.expect(total or upgrade.size or 0), upgrade.size
            )
            if upgrade.size not in (None, received):
                raise IndividualizationFailure(BAD_ANSWER, f"{received} bytes came, not {upgrade.size}")
            self._change(enIndiStatus=DRM_INDIVIDUALIZATION_STATUS.INDI_INSTALL)
            file.install(upgrade.sha256, self._connections.check)

    def _round_trip(
        self,
        place: Place,
        take: Callable[[bytes], None],
        expect: Callable[[int], None] = lambda total: None,
        most: int | None = None,
    ) -> int:
        """One request, its body handed over as it comes; returns its bytes. Completed when all were taken.

        `expect` is told the total, 0 while unknown, before the first byte.
        """
        received = 0
        self._change(
            enIndiStatus=DRM_INDIVIDUALIZATION_STATUS.INDI_DOWNLOAD,
            enHTTPStatus=DRM_HTTP_STATUS.HTTP_CONNECTING,
            dwHTTPReadProgress=0,
            dwHTTPReadTotal=0,
        )
        requesting = partial(self._change, enHTTPStatus=DRM_HTTP_STATUS.HTTP_REQUESTING)
        with self._connections.answered(place, requesting) as response:
            if response.status != http.client.OK:
                raise failures.of_answer(response.status, response.reason)
            told = 0 if response.chunked else response.length
            total = response.length or 0
            self._change(enHTTPStatus=DRM_HTTP_STATUS.HTTP_RECEIVING, dwHTTPReadTotal=total)
            expect(total)
            while block := self._read(response):
                received += len(block)
                self._change(dwHTTPReadProgress=received)
                if most is not None and received > most:
                    raise IndividualizationFailure(BAD_ANSWER, f"more than the {most} bytes announced came")
                take(block)
        if not received and told is None:  # http.client takes an end within the head for the end of the head
            reason = "the connection ended before anything came"
            raise IndividualizationFailure("ERROR_INTERNET_CONNECTION_ABORTED", reason)
        if received < total:
            reason = f"the connection ended after {received} of {total} bytes"
            raise IndividualizationFailure("ERROR_INTERNET_CONNECTION_ABORTED", reason)
        self._change(
            enHTTPStatus=DRM_HTTP_STATUS.HTTP_COMPLETED, dwHTTPRequest=self._status.dwHTTPRequest + 1
        )
        return received

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        with self._connections.network():
            return response.read1(BLOCK)
