"""Requests from other processes to whoever records: a socket without a file.

It is a Unix socket of packets with an abstract name, that of the file on which the recorder's lock is: it is
gone with its recorder, however that ends, and who copies the folder meets files alone. Everybody may connect;
who asks and who answers look at each other's user. One packet of JSON is asked, one is answered.
"""

from __future__ import annotations

import json
import os
import pwd
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastrec.errors import FastrecError, RecordingError
from fastrec.recording.opening import is_live, open_file, refusal
from fastrec.recording.writing.watching import deaf, tell

__all__ = ["Requests", "address", "ask"]

_LOCKED = "recording.json"
_MOST = 65_536  # bytes of a packet
_PATIENCE = 1.0  # s for who has connected to ask
_PAUSE = 1.0  # s before another attempt where there was no descriptor
_ANSWERED = 10.0  # s for an answer
_LINGER = 1.0  # s that a stop waits for an answer that is under way
_CREDENTIALS = "3i"  # pid, uid, gid
_WAITING = 128  # who connect while another is answered
_SILENT = 16  # who have connected and not asked yet; of more, the first has to go


class Requests:
    """Answers what other processes of the same user ask. Its thread runs from `begin` to `end`.

    Parameters
    ----------
    root : Path
        Of the recording, whose lock is ours.
    answers : mapping of str to callable
        By what is asked: what is called with the text and the options of a request, and returns a time.
    """

    def __init__(self, root: Path, answers: Mapping[str, Callable[..., int]]) -> None:
        self._root = root
        self._answers = answers
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._asking: dict[socket.socket, float] = {}  # who have connected: time.monotonic of their end
        self._over = False

    def begin(self) -> None:
        """Answer from now on; where there can be no socket, nobody is answered, and recording goes on."""
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._socket.bind(address(os.stat(self._root / _LOCKED)))
            self._socket.listen(_WAITING)
            self._socket.setblocking(False)
            self._thread = threading.Thread(target=self._run, name="fastrec-requests", daemon=True)
            with deaf():
                self._thread.start()
        except (OSError, RuntimeError):
            self._thread = None
            self.end()

    def _run(self) -> None:
        with selectors.PollSelector() as waits:  # has no descriptor that a forked child would inherit
            waits.register(self._socket, selectors.EVENT_READ)
            while not self._over:
                ends = min(self._asking.values(), default=None)
                ready = waits.select(None if ends is None else max(0.0, ends - time.monotonic()))
                for key, _ in ready:
                    if key.fileobj in self._asking:
                        self._hear(key.fileobj)
                        self._leave(key.fileobj, waits)
                now = time.monotonic()
                for silent in [one for one, end in self._asking.items() if end <= now]:
                    self._leave(silent, waits)
                if any(key.fileobj is self._socket for key, _ in ready):
                    self._meet(waits)
            for one in list(self._asking):
                self._leave(one, waits)

    def _meet(self, waits: selectors.BaseSelector) -> None:
        """Take who has connected."""
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:  # who has connected is gone again
            return
        except OSError:  # it is over, or we have no descriptor: who asks is not answered
            if not self._over:
                threading.Event().wait(_PAUSE)
            return
        connection.setblocking(False)
        if _uid(connection) not in (os.geteuid(), 0):
            connection.close()
            return
        if len(self._asking) == _SILENT:
            self._leave(next(iter(self._asking)), waits)
        self._asking[connection] = time.monotonic() + _PATIENCE
        waits.register(connection, selectors.EVENT_READ)

    def _leave(self, connection: socket.socket, waits: selectors.BaseSelector) -> None:
        waits.unregister(connection)
        del self._asking[connection]
        connection.close()

    def _hear(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.send(json.dumps(self._answer(connection.recv(_MOST))).encode("ascii"))

    def _answer(self, packet: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(packet)
            call = self._answers[asked.pop("ask")]
            return {"mono_ns": call(asked.pop("text"), **asked)}
        except FastrecError as error:
            return {"error": str(error)}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {"error": "this recorder does not know what is asked; use the fastrec that records"}
        except Exception as error:  # whatever it is, others may ask
            tell(f"{self._root}: a request failed: {error or type(error).__name__}")
            return {"error": str(error) or type(error).__name__}

    def end(self) -> None:
        """Answer no more; from any thread."""
        self._over = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_LINGER)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def forget(self) -> None:
        """Let go of it in a forked child: it is the parent's."""
        self._over, self._thread = True, None
        for one in self._asking:
            one.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def address(locked: os.stat_result) -> str:
    """Name of the socket of whoever has the lock of a file."""
    return f"\0fastrec/{locked.st_dev:x}.{locked.st_ino:x}"


def _uid(connection: socket.socket) -> int:
    """Of who is at the other end."""
    size = struct.calcsize(_CREDENTIALS)
    return struct.unpack(_CREDENTIALS, connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1]


def ask(root: Path, what: str, text: str, **options: Any) -> int:
    """Ask whoever records to a recording; the time at which it was done, ns.

    Parameters
    ----------
    root : Path
    what : {"mark", "fire"}
    text : str
    options
        Of `Recorder.fire`.

    Raises
    ------
    RecordingError
        Nobody records to it, or who does is not to be asked by us, or refused.
    """
    packet = json.dumps({"ask": what, "text": text, **options}).encode("ascii")
    if len(packet) > _MOST:
        raise RecordingError(
            f"a text of {len(text):,} letters is too long to be sent; at most {_MOST:,} bytes"
        )
    if not is_live(root):
        raise RecordingError(f"{root}: nobody records to it")
    try:
        with open(open_file(root, _LOCKED), "rb") as file:
            about = os.fstat(file.fileno())
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
            end.settimeout(_ANSWERED)
            end.connect(address(about))
            if _uid(end) not in (os.geteuid(), about.st_uid):
                raise RecordingError(f"{root}: its name is the socket of somebody else; it is not asked")
            end.send(packet)
            answer = json.loads(end.recv(_MOST) or b"null")
    except ConnectionRefusedError as error:
        raise RecordingError(
            f"{root}: its recorder takes no requests: it is of an older version, or in another container"
        ) from error
    except TimeoutError as error:
        raise RecordingError(f"{root}: its recorder has not answered in {_ANSWERED:g} s") from error
    except (ConnectionError, FileNotFoundError, ValueError) as error:
        only = f"nobody records to it any more, or it is not user {_owner(root)} who asks"
        raise RecordingError(f"{root}: {only}") from error
    except OSError as error:
        raise refusal(root, (), error) from error
    if not isinstance(answer, dict) or type(answer.get("mono_ns")) is not int:
        why = answer.get("error") if isinstance(answer, dict) else "it has ended meanwhile"
        raise RecordingError(f"{root}: its recorder refused: {why}")
    return answer["mono_ns"]


def _owner(root: Path) -> str:
    uid = os.stat(root).st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
