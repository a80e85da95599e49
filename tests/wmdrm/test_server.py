"""The loopback server: what it answers, and that its counts are true."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import mmap
import socket
import ssl
import threading
import time
import tracemalloc
import urllib.parse
from typing import Any

import pytest
from waiting import PATIENCE, until

from fastrec.errors import SourceError
from fastrec.wmdrm.server import FAULTS, UpgradeServer

Contexts = Any  # of conftest.py


def connected(url: str, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=PATIENCE, context=context)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)


def get(url: str, most: int = -1, context: ssl.SSLContext | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and at most so many bytes of the body."""
    parts = urllib.parse.urlsplit(url)
    connection = connected(url, context)
    try:
        connection.request("GET", parts.path)
        with connection.getresponse() as response:
            return response.status, dict(response.headers), response.read(most if most >= 0 else None)
    finally:
        connection.close()


@pytest.mark.parametrize("with_size", [True, False])
def test_first_answer_describes_the_second(with_size: bool, contexts: Contexts) -> None:
    with UpgradeServer(5000, with_size=with_size, context=contexts.server) as server:
        told = json.loads(get(server.url, context=contexts.client)[2])
        body = get(told["url"], context=contexts.client)[2]
    assert told["sha256"] == hashlib.sha256(body).hexdigest()
    assert told.get("size") == (5000 if with_size else None)
    assert body == server.payload == UpgradeServer(5000).payload != UpgradeServer(5001).payload[:5000]
    assert [(request.sent, request.length) for request in server.requests][1] == (5000, 5000)


def test_without_a_length(contexts: Contexts) -> None:
    """Over TLS its end is told, or the strict client would see a broken one."""
    with UpgradeServer(5000, with_length=False, context=contexts.server) as server:
        connection = connected(server.upgrade_url, contexts.client)
        connection.connect()
        if contexts.client is not None:
            connection.sock.suppress_ragged_eofs = False
        connection.request("GET", "/upgrade.bin")
        with contextlib.closing(connection), connection.getresponse() as response:
            headers, body = dict(response.headers), response.read()
    assert "Content-Length" not in headers
    assert len(body) == 5000
    assert server.requests[0].length is None


def test_unknown_path() -> None:
    with UpgradeServer(10) as server:
        assert get(server.url + "x")[0] == 404
    assert (server.requests[0].status, server.requests[0].sent) == (404, 0)


def test_rate_is_a_limit() -> None:
    with UpgradeServer(20_000, rate=100_000) as server:
        start = time.monotonic()
        get(server.upgrade_url)
        # The last step is sent without waiting for its time to pass.
        assert time.monotonic() - start >= (20_000 - 2000) / 100_000


def test_stopping_ends_a_slow_answer() -> None:
    with UpgradeServer(1_000_000, rate=1000) as server:
        connection = connected(server.upgrade_url)
        connection.request("GET", "/upgrade.bin")
        response = connection.getresponse()
        assert response.read(10) == server.payload[:10]
    with contextlib.closing(connection), response, pytest.raises(http.client.IncompleteRead):
        response.read()
    assert server.requests[0].ended
    assert server.requests[0].sent < 1_000_000


def test_payload_of_another(tmp_path) -> None:
    """Sent from where it lies: no copy, and free again afterwards."""
    size = 44 << 20
    with (tmp_path / "sparse").open("wb+") as file:
        file.truncate(size)
        with mmap.mmap(file.fileno(), size) as payload:
            payload[size - 3 :] = b"end"
            tracemalloc.start()
            try:
                with UpgradeServer(payload=payload) as server:
                    assert server.payload is payload
                    connection = connected(server.upgrade_url)
                    connection.request("GET", "/upgrade.bin")
                    with contextlib.closing(connection), connection.getresponse() as response:
                        received = hashlib.sha256()
                        while block := response.read1(1 << 16):
                            received.update(block)
                    told = json.loads(get(server.url)[2])
                assert tracemalloc.get_traced_memory()[1] < size / 10
            finally:
                tracemalloc.stop()
    assert (told["sha256"], told["size"]) == (received.hexdigest(), size)


def test_faults(contexts: Contexts) -> None:
    def told(server: UpgradeServer) -> dict[str, Any]:
        return json.loads(get(server.url, context=contexts.client)[2])

    with UpgradeServer(5000, fault="unavailable", context=contexts.server) as server:
        assert get(server.url, context=contexts.client)[0] == 503
    with UpgradeServer(5000, fault="digest", context=contexts.server) as server:
        assert told(server)["sha256"] != hashlib.sha256(server.payload).hexdigest()
        assert get(server.upgrade_url, context=contexts.client)[2] == server.payload
    with UpgradeServer(5000, fault="disk", context=contexts.server) as server:
        assert told(server)["size"] == 2**62
        assert get(server.upgrade_url, 10, context=contexts.client)[1]["Content-Length"] == str(2**62)
    with UpgradeServer(5000, fault="timeout", context=contexts.server) as server:
        assert get(server.upgrade_url, 2500, context=contexts.client)[2] == server.payload[:2500]
        until(lambda: server.requests[0].sent)
        assert (server.requests[0].sent, server.requests[0].ended) == (2500, False)
    assert server.requests[0].ended
    assert set(FAULTS) == {"unavailable", "digest", "disk", "timeout", "reset"}


def test_stopping_ends_what_says_nothing(contexts: Contexts) -> None:
    """Neither a silent client nor one that does not read holds it up; no thread stays."""
    with contextlib.ExitStack() as clients:
        with UpgradeServer(50_000_000, context=contexts.server) as server:
            address = ("127.0.0.1", urllib.parse.urlsplit(server.url).port)
            clients.enter_context(socket.create_connection(address))
            lazy = clients.enter_context(contextlib.closing(connected(server.upgrade_url, contexts.client)))
            lazy.request("GET", "/upgrade.bin")
            until(lambda: server.requests and server.requests[0].sent)
        assert server.requests[0].ended and server.requests[0].sent < 50_000_000
        assert not [one for one in threading.enumerate() if "process_request" in one.name]


def test_a_client_without_sense_is_no_news(contexts: Contexts, capfd: pytest.CaptureFixture[str]) -> None:
    with UpgradeServer(10, context=contexts.server) as server:
        with socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(server.url).port)) as rude:
            rude.sendall(b"\x00\xff" * 20 + b"\r\n\r\n")
            rude.settimeout(PATIENCE)
            with contextlib.suppress(OSError):
                while rude.recv(4096):
                    pass
        assert get(server.url, context=contexts.client)[0] == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "a size, or is a payload"),
        ({"size": 1, "payload": b"x"}, "a size, or is a payload"),
        ({"size": 1, "fault": "rest"}, "did you mean 'reset'"),
    ],
)
def test_what_makes_no_server(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        UpgradeServer(**options)
