"""Servers that misbehave, over TCP and TLS, and a way to wait for a client's end."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from waiting import PATIENCE

from fastrec.wmdrm import Individualization, Status

CERTIFICATE = Path(__file__).with_name("localhost.pem")  # self-signed, for localhost, used nowhere else

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


def told(body: bytes, *, raw_url: bytes | None = None, **members: object) -> Script:
    """The first answer for this upgrade; `raw_url` comes as it is."""
    obj = {"url": "/upgrade", "sha256": hashlib.sha256(body).hexdigest(), **members}
    text = json.dumps(obj).encode()
    return say(answer(text if raw_url is None else text.replace(b"/upgrade", raw_url)))


class Contexts(NamedTuple):
    """Of both ends; None: no TLS."""

    server: ssl.SSLContext | None
    client: ssl.SSLContext | None


class Scripted:
    """A server that plays one script per connection."""

    say = staticmethod(say)
    answer = staticmethod(answer)
    told = staticmethod(told)

    def __init__(self, contexts: Contexts) -> None:
        self.contexts = contexts
        self.listener = socket.create_server(("127.0.0.1", 0))
        place = "http://127.0.0.1" if contexts.server is None else "https://localhost"
        self.url = f"{place}:{self.listener.getsockname()[1]}/start"
        self.release = threading.Event()
        self.thread: threading.Thread | None = None

    def play(self, *scripts: Script) -> str:
        def run() -> None:
            for script in scripts:
                connection, _ = self.listener.accept()
                with connection, suppress(ssl.SSLError):
                    if self.contexts.server is None:
                        script(connection)
                    else:
                        with self.contexts.server.wrap_socket(connection, server_side=True) as secure:
                            script(secure)

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


PLAIN = Contexts(None, None)


@pytest.fixture(params=["http", "https"])
def contexts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Contexts:
    """Over TLS the client's default context trusts the certificate, too."""
    if request.param == "http":
        return PLAIN
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_server.load_cert_chain(CERTIFICATE)
    return Contexts(of_server, ssl.create_default_context(cafile=CERTIFICATE))


@pytest.fixture
def server(contexts: Contexts) -> Iterator[Scripted]:
    scripted = Scripted(contexts)
    yield scripted
    scripted.close()


@pytest.fixture
def plain_server() -> Iterator[Scripted]:
    """Without TLS, or with one that its scripts make."""
    scripted = Scripted(PLAIN)
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
