"""Servers that misbehave, and a way to wait for a client's end."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from fastrec.wmdrm import Individualization, Status

PATIENCE = 30.0

Script = Callable[[socket.socket], None]


def say(data: bytes) -> Script:
    """Read the request, answer these bytes, close."""

    def run(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(data)

    return run


def answer(body: bytes, *head: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *(head or (f"Content-Length: {len(body)}",))]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def told(body: bytes, **members: object) -> Script:
    """The first answer for this upgrade."""
    obj = {"url": "/upgrade", "sha256": hashlib.sha256(body).hexdigest(), **members}
    return say(answer(json.dumps(obj).encode()))


class Scripted:
    """A server that plays one script per connection."""

    say = staticmethod(say)
    answer = staticmethod(answer)
    told = staticmethod(told)

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/start"
        self.release = threading.Event()
        self.thread: threading.Thread | None = None

    def play(self, *scripts: Script) -> str:
        def run() -> None:
            for script in scripts:
                connection, _ = self.listener.accept()
                with connection:
                    script(connection)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        return self.url

    def say_and_stall(self, data: bytes) -> Script:
        def run(connection: socket.socket) -> None:
            say(data)(connection)
            self.release.wait(PATIENCE)

        return run

    def close(self) -> None:
        self.release.set()
        if self.thread is not None:
            self.thread.join(PATIENCE)
        self.listener.close()


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


@pytest.fixture
def deaf() -> Iterator[str]:
    """URL of a port that neither accepts nor refuses: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}/"
        for caller in callers:
            caller.close()


@pytest.fixture
def finish() -> Callable[[Individualization], list[Status]]:
    """Run a client to its end; the statuses it went through."""

    def run(client: Individualization) -> list[Status]:
        client.start()
        assert client.wait(PATIENCE)
        return [status for _, status in client.log]

    return run
