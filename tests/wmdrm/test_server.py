"""The loopback server: what it answers, and that its counts are true."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import time
import urllib.parse

import pytest

from fastrec.wmdrm.server import UpgradeServer


def get(url: str, most: int = -1) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and at most so many bytes of the body."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("GET", parts.path)
        with connection.getresponse() as response:
            return response.status, dict(response.headers), response.read(most if most >= 0 else None)
    finally:
        connection.close()


@pytest.mark.parametrize("with_size", [True, False])
def test_first_answer_describes_the_second(with_size: bool) -> None:
    with UpgradeServer(5000, with_size=with_size) as server:
        told = json.loads(get(server.url)[2])
        body = get(told["url"])[2]
    assert told["sha256"] == hashlib.sha256(body).hexdigest()
    assert told.get("size") == (5000 if with_size else None)
    assert body == server.payload == UpgradeServer(5000).payload != UpgradeServer(5001).payload[:5000]
    assert [(request.sent, request.length) for request in server.requests][1] == (5000, 5000)


def test_without_a_length() -> None:
    with UpgradeServer(5000, with_length=False) as server:
        _, headers, body = get(server.upgrade_url)
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
        parts = urllib.parse.urlsplit(server.upgrade_url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        connection.request("GET", parts.path)
        response = connection.getresponse()
        assert response.read(10) == server.payload[:10]
    with contextlib.closing(connection), response, pytest.raises(http.client.IncompleteRead):
        response.read()
    assert server.requests[0].ended
    assert server.requests[0].sent < 1_000_000
