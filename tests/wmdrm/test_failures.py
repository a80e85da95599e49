"""Every way the reference client fails on real sockets, by its HRESULT, and that nothing is left behind."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fastrec.schema import HResult
from fastrec.wmdrm import DRM_HTTP_STATUS, DRM_INDIVIDUALIZATION_STATUS, Individualization, Status
from fastrec.wmdrm.server import UpgradeServer

STATE, HTTP = DRM_INDIVIDUALIZATION_STATUS, DRM_HTTP_STATUS
BAD_ANSWER, UNAVAILABLE, BAD_DIGEST = 0xC00D275E, 0xC00D2845, 0x80096010
DISK_FULL = 0x80070070
TIMEOUT, CANNOT_CONNECT, ABORTED, RESET = 0x80072EE2, 0x80072EFD, 0x80072EFE, 0x80072EFF
CERTIFICATE = Path(__file__).with_name("localhost.pem")  # self-signed, for localhost, used nowhere else

Finish = Callable[[Individualization], list[Status]]
Script = Callable[[socket.socket], None]
Contexts = Any  # of conftest.py
Scripted = Any


def failed(statuses: list[Status], client: Individualization, code: int) -> None:
    """The end of a failure: the code everywhere, no file, no temporary file."""
    assert client.result == HResult(code)
    assert statuses[-1].enIndiStatus is STATE.INDI_FAIL
    assert statuses[-1].hr == client.result
    assert client.error is not None
    assert all(status.hr == 0 for status in statuses[:-1])
    assert list(client.target.parent.iterdir()) == []


def test_refused(tmp_path: Path, finish: Finish) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with Individualization(f"http://127.0.0.1:{port}/", tmp_path / "upgrade") as client:
        statuses = finish(client)
    failed(statuses, client, CANNOT_CONNECT)
    assert [(s.enIndiStatus, s.enHTTPStatus) for s in statuses] == [
        (STATE.INDI_BEGIN, HTTP.HTTP_NOTINITIATED),
        (STATE.INDI_DOWNLOAD, HTTP.HTTP_CONNECTING),
        (STATE.INDI_FAIL, HTTP.HTTP_CONNECTING),
    ]


def test_time_out_while_connecting(tmp_path: Path, finish: Finish, deaf: str) -> None:
    with Individualization(deaf, tmp_path / "upgrade", timeout=0.05) as client:
        failed(finish(client), client, TIMEOUT)


def test_time_out_while_reading(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    url = server.play(server.say_and_stall(server.answer(b"{", "Content-Length: 9")))
    with Individualization(url, tmp_path / "upgrade", timeout=0.05) as client:
        failed(finish(client), client, TIMEOUT)
    assert client.log[-1][1].dwHTTPReadProgress == 1


@pytest.mark.parametrize("head", [("Content-Length: 1000",), ("A: b",), ("Transfer-Encoding: chunked",)])
def test_reset(tmp_path: Path, finish: Finish, server: Scripted, head: tuple[str, ...]) -> None:
    """However the end of the body would have been told."""

    def reset(connection: socket.socket) -> None:
        server.say(server.answer(b"5\r\nhello\r\n", *head))(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with Individualization(server.play(server.told(b"x" * 1000), reset), tmp_path / "upgrade") as client:
        failed(finish(client), client, RESET)


def test_reset_instead_of_an_answer(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with Individualization(server.play(reset), tmp_path / "upgrade") as client:
        failed(finish(client), client, RESET)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("reset", RESET),
        ("unavailable", UNAVAILABLE),
        ("digest", BAD_DIGEST),
        ("timeout", TIMEOUT),
        ("disk", DISK_FULL),
    ],
)
def test_faults_of_the_server(
    tmp_path: Path, finish: Finish, contexts: Contexts, fault: Any, code: int
) -> None:
    patience = 0.2 if fault == "timeout" else 30
    with (
        UpgradeServer(300_000, fault=fault, context=contexts.server) as server,
        Individualization(
            server.url, tmp_path / "upgrade", timeout=patience, context=contexts.client
        ) as client,
    ):
        failed(finish(client), client, code)


def test_context_is_what_https_trusts(tmp_path: Path, finish: Finish, contexts: Contexts) -> None:
    """And not what the system does."""
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with (
        UpgradeServer(10, context=contexts.server) as server,
        Individualization(server.url, tmp_path / "upgrade", context=nobody) as client,
    ):
        statuses = finish(client)
    if contexts.server is None:
        assert client.result == 0x000D2727
    else:
        failed(statuses, client, 0x80072F0D)


def test_time_out_in_the_handshake(tmp_path: Path, finish: Finish, plain_server: Scripted) -> None:
    url = plain_server.play(plain_server.say_and_stall(b"")).replace("http:", "https:")
    with Individualization(url, tmp_path / "upgrade", timeout=0.05) as client:
        failed(finish(client), client, TIMEOUT)


def test_reset_in_the_handshake(tmp_path: Path, finish: Finish, plain_server: Scripted) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with Individualization(
        plain_server.play(reset).replace("http:", "https:"), tmp_path / "upgrade"
    ) as client:
        failed(finish(client), client, RESET)


def test_tls_that_ends_in_the_handshake(tmp_path: Path, finish: Finish, plain_server: Scripted) -> None:
    url = plain_server.play(plain_server.say(b"")).replace("http:", "https:")
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, 0x80072F7D)


def test_ends_too_early(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    url = server.play(server.told(b"x" * 1000), server.say(server.answer(b"x" * 999, "Content-Length: 1000")))
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, ABORTED)
    assert client.log[-1][1].dwHTTPRequest == 1


@pytest.mark.parametrize("old", [None, b"the file before"])
def test_bad_digest(tmp_path: Path, finish: Finish, server: Scripted, old: bytes | None) -> None:
    target = tmp_path / "upgrade"
    if old is not None:
        target.write_bytes(old)
    with Individualization(
        server.play(server.told(b"abc"), server.say(server.answer(b"abd"))), target
    ) as client:
        statuses = finish(client)
    assert [s.enIndiStatus for s in statuses[-2:]] == [STATE.INDI_INSTALL, STATE.INDI_FAIL]
    if old is not None:
        assert target.read_bytes() == old
        target.unlink()
    failed(statuses, client, BAD_DIGEST)


def test_size_that_does_not_come(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    url = server.play(server.told(b"abc", size=4), server.say(server.answer(b"abc")))
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, BAD_ANSWER)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("503 Service Unavailable", UNAVAILABLE),
        ("500 Oops", UNAVAILABLE),
        ("404 Not Found", 0x80190194),
        ("302 Found", 0x8019012E),
    ],
)
def test_status(tmp_path: Path, finish: Finish, server: Scripted, status: str, code: int) -> None:
    with Individualization(
        server.play(server.say(server.answer(b"", status=status))), tmp_path / "upgrade"
    ) as client:
        failed(finish(client), client, code)


def test_503_of_the_second_round_trip(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    url = server.play(server.told(b"abc"), server.say(server.answer(b"", status="503 No")))
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, UNAVAILABLE)
    assert client.log[-1][1].dwHTTPRequest == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b'"text"',
        b"{}",
        b'{"url": "/x"}',
        b'{"url": "/x", "sha256": "12"}',
        b'{"url": 7, "sha256": "' + b"0" * 64 + b'"}',
        b'{"url": "/x y", "sha256": "' + b"0" * 64 + b'"}',
        b'{"url": "", "sha256": "' + b"0" * 64 + b'"}',
        b'{"url": "/\\u007f", "sha256": "' + b"0" * 64 + b'"}',
        b'{"url": "/' + b"x" * 4096 + b'", "sha256": "' + b"0" * 64 + b'"}',
        b'{"url": "/' + b"\xc3\xa9" * 2048 + b'", "sha256": "' + b"0" * 64 + b'"}',
        b'{"url": "/\\udcc3\\udca9", "sha256": "' + b"0" * 64 + b'"}',
        b'{"url": "/\\ud800", "sha256": "' + b"0" * 64 + b'"}',
        b'{"url": "/x", "sha256": "' + b"0" * 64 + b'", "size": -1}',
        b'{"url": "/x", "sha256": "' + b"0" * 64 + b'", "size": true}',
        b"[" * 60_000,
        b'{"url": "/x", "sha256": "' + b"0" * 64 + b'", "more": "' + b"x" * 70_000 + b'"}',
    ],
)
def test_bad_answer(tmp_path: Path, finish: Finish, server: Scripted, body: bytes) -> None:
    with Individualization(server.play(server.say(server.answer(body))), tmp_path / "upgrade") as client:
        failed(finish(client), client, BAD_ANSWER)


def test_tls_with_a_certificate_of_nobody(tmp_path: Path, finish: Finish, plain_server: Scripted) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    def shake(connection: socket.socket) -> None:
        with suppress(ssl.SSLError):
            context.wrap_socket(connection, server_side=True).close()

    url = plain_server.play(shake).replace("http://127.0.0.1", "https://localhost")
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, 0x80072F0D)


def test_not_http(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    with Individualization(server.play(server.say(b"SSH-2.0-x\r\n\r\n")), tmp_path / "upgrade") as client:
        failed(finish(client), client, 0x80072F78)


def test_tls_with_a_server_that_has_none(tmp_path: Path, finish: Finish, plain_server: Scripted) -> None:
    url = plain_server.play(plain_server.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")).replace("http:", "https:")
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, 0x80072F7D)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://127.0.0.1/", 0x80072EE6),
        ("file:///etc/passwd", 0x80072EE6),
        ("http:///x", 0x80072EE5),
        ("http://127.0.0.1:99999/", 0x80072EE5),
        ("http://[::1/", 0x80072EE5),
        ("http://127.0.0.1/\u00e9", 0x80072EE5),
        ("http://a..b/", 0x80072EE5),
        ("http://name.invalid/", 0x80072EE7),
    ],
)
def test_url(tmp_path: Path, finish: Finish, url: str, code: int) -> None:
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, code)


def test_upgrade_from_a_file_url(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    url = server.play(server.told(b"", url="file:///etc/passwd"))
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, 0x80072EE6)


def test_folder_is_missing(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    with Individualization(server.play(server.told(b"")), tmp_path / "no" / "upgrade") as client:
        finish(client)
    assert client.result == HResult.named("HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND)")
    assert list(tmp_path.iterdir()) == []


def test_target_is_a_folder(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    (tmp_path / "upgrade").mkdir()
    url = server.play(server.told(b"abc"), server.say(server.answer(b"abc")))
    with Individualization(url, tmp_path / "upgrade") as client:
        finish(client)
    assert client.result == HResult.named("E_ACCESSDENIED")
    assert list(tmp_path.iterdir()) == [tmp_path / "upgrade"]


class TestFullDisk:
    """The client asks before the first byte, and is told in the middle."""

    def test_no_room_for_the_length(self, small_disk: Path, finish: Finish, contexts: Contexts) -> None:
        with (
            UpgradeServer(8 << 20, with_size=False, context=contexts.server) as server,
            Individualization(server.url, small_disk / "upgrade") as client,
        ):
            statuses = finish(client)
            failed(statuses, client, DISK_FULL)
        assert statuses[-1].dwHTTPReadTotal == 8 << 20
        assert statuses[-1].enHTTPStatus is HTTP.HTTP_RECEIVING and statuses[-1].dwHTTPReadProgress == 0
        assert "8,388,608 bytes are to come" in str(client.error)

    def test_no_room_for_the_size(self, small_disk: Path, finish: Finish, server: Scripted) -> None:
        url = server.play(server.told(b"", size=(4 << 20) + 1), server.say(server.answer(b"x", "A: b")))
        with Individualization(url, small_disk / "upgrade") as client:
            failed(finish(client), client, DISK_FULL)
        assert client.log[-1][1].dwHTTPReadProgress == 0

    def test_room_enough(self, small_disk: Path, finish: Finish, contexts: Contexts) -> None:
        with (
            UpgradeServer(3 << 20, context=contexts.server) as server,
            Individualization(server.url, small_disk / "upgrade") as client,
        ):
            finish(client)
        assert client.result == 0x000D2727

    def test_in_the_middle(self, small_disk: Path, finish: Finish, contexts: Contexts) -> None:
        server = UpgradeServer(8 << 20, with_length=False, with_size=False, context=contexts.server)
        with server, Individualization(server.url, small_disk / "upgrade") as client:
            failed(finish(client), client, DISK_FULL)
        assert 3 << 20 < client.log[-1][1].dwHTTPReadProgress < 5 << 20

    def test_a_file_system_that_does_not_know(
        self, tmp_path: Path, finish: Finish, contexts: Contexts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some say that they have 0 blocks in all."""
        real = os.statvfs
        monkeypatch.setattr("os.statvfs", lambda path: os.statvfs_result([*real(path)[:2], *[0] * 9]))
        with (
            UpgradeServer(5000, context=contexts.server) as server,
            Individualization(server.url, tmp_path / "upgrade") as client,
        ):
            finish(client)
        assert client.result == 0x000D2727


def test_disk_that_is_full_at_the_end(
    tmp_path: Path, finish: Finish, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    url = server.play(server.told(b"abc"), server.say(server.answer(b"abc")))
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, DISK_FULL)


def test_surprise_is_shown(
    tmp_path: Path, finish: Finish, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.replace", lambda *_: 1 // 0)
    url = server.play(server.told(b"abc"), server.say(server.answer(b"abc")))
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, 0x8000FFFF)
    assert isinstance(client.error, ZeroDivisionError)


@pytest.mark.parametrize("head", [(), ("Content-Length: 1000000",)])
def test_more_than_was_announced_is_not_taken(
    tmp_path: Path, finish: Finish, server: Scripted, head: tuple[str, ...]
) -> None:
    body = b"x" * 1_000_000

    def flood(connection: socket.socket) -> None:
        with suppress(OSError):
            server.say(server.answer(body, *(head or ("Connection: close",))))(connection)

    url = server.play(server.told(b"x" * 10, size=10), flood)
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, BAD_ANSWER)
    assert client.log[-1][1].dwHTTPReadProgress < 200_000 and "announced" in str(client.error)


def test_an_end_within_the_head(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    url = server.play(server.told(b"abc"), server.say(b"HTTP/1.1 200 OK\r\nContent-Le"))
    with Individualization(url, tmp_path / "upgrade") as client:
        failed(finish(client), client, ABORTED)
    assert client.log[-1][1].dwHTTPRequest == 1


def test_byte_by_byte_costs_no_memory(
    tmp_path: Path, finish: Finish, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of mere progress the newest is kept; states all are."""
    monkeypatch.setattr("fastrec.wmdrm.client.MOST_LOGGED", 50)
    body = b"".join(b"1\r\nx\r\n" for _ in range(1000)) + b"0\r\n\r\n"
    url = server.play(server.told(b"x" * 1000), server.say(server.answer(body, "Transfer-Encoding: chunked")))
    with Individualization(url, tmp_path / "upgrade") as client:
        statuses = finish(client)
    assert client.error is None and len(statuses) == len(client.written_ns) < 60
    assert statuses[-1].dwHTTPReadProgress == 1000
    assert [s.enIndiStatus for s in statuses[-2:]] == [STATE.INDI_INSTALL, STATE.INDI_SUCCEED]


def test_a_long_name_in_any_script(tmp_path: Path, finish: Finish, server: Scripted) -> None:
    target = tmp_path / ("\U0001f642" * 62)
    url = server.play(server.told(b"abc"), server.say(server.answer(b"abc")))
    with Individualization(url, target) as client:
        finish(client)
    assert client.error is None and target.read_bytes() == b"abc"
