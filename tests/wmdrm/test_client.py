"""The reference client on real sockets: its life, its status, and how it is cancelled."""

from __future__ import annotations

import bisect
import ctypes
import gc
import itertools
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waiting import PATIENCE, until

from fastrec.errors import SourceError
from fastrec.wmdrm import DRM_HTTP_STATUS, DRM_INDIVIDUALIZATION_STATUS, Individualization, Status, schema
from fastrec.wmdrm.server import UpgradeServer

STATE, HTTP = DRM_INDIVIDUALIZATION_STATUS, DRM_HTTP_STATUS
SUCCESS, INCOMPLETE = 0x000D2727, 0xC00D274C

Finish = Callable[[Individualization], list[Status]]
Script = Callable[[socket.socket], None]
Scripted = Any  # of conftest.py


def cell_of(client: Individualization) -> np.void:
    return np.frombuffer(client.cell.read(), dtype=schema().dtype)[0]


class TestSuccess:
    def test_life(self, tmp_path: Path, finish: Finish) -> None:
        with UpgradeServer(300_000) as server, Individualization(server.url, tmp_path / "upgrade") as client:
            assert client.result is None
            assert client.log == []
            statuses = finish(client)
            url = server.upgrade_url
        assert client.result == SUCCESS
        assert client.error is None
        assert all(one != other for one, other in itertools.pairwise(statuses))
        connecting = [s for s in statuses if s.enHTTPStatus == HTTP.HTTP_CONNECTING]
        assert [(s.dwHTTPReadProgress, s.dwHTTPReadTotal) for s in connecting] == [(0, 0), (0, 0)]
        assert (tmp_path / "upgrade").read_bytes() == server.payload
        assert [path.name for path in tmp_path.iterdir()] == ["upgrade"]
        walk = [(s.enIndiStatus, s.enHTTPStatus, s.dwHTTPRequest, s.pszIndiRespUrl) for s in statuses]
        assert [one for k, one in enumerate(walk) if one not in walk[:k]] == [
            (STATE.INDI_BEGIN, HTTP.HTTP_NOTINITIATED, 0, None),
            (STATE.INDI_DOWNLOAD, HTTP.HTTP_CONNECTING, 0, None),
            (STATE.INDI_DOWNLOAD, HTTP.HTTP_REQUESTING, 0, None),
            (STATE.INDI_DOWNLOAD, HTTP.HTTP_RECEIVING, 0, None),
            (STATE.INDI_DOWNLOAD, HTTP.HTTP_COMPLETED, 1, None),
            (STATE.INDI_DOWNLOAD, HTTP.HTTP_COMPLETED, 1, url),
            (STATE.INDI_DOWNLOAD, HTTP.HTTP_CONNECTING, 1, url),
            (STATE.INDI_DOWNLOAD, HTTP.HTTP_REQUESTING, 1, url),
            (STATE.INDI_DOWNLOAD, HTTP.HTTP_RECEIVING, 1, url),
            (STATE.INDI_DOWNLOAD, HTTP.HTTP_COMPLETED, 2, url),
            (STATE.INDI_INSTALL, HTTP.HTTP_COMPLETED, 2, url),
            (STATE.INDI_SUCCEED, HTTP.HTTP_COMPLETED, 2, url),
        ]

    def test_counts_are_what_the_server_sent(self, tmp_path: Path, finish: Finish) -> None:
        with UpgradeServer(300_000) as server, Individualization(server.url, tmp_path / "upgrade") as client:
            statuses = finish(client)
            for request in server.requests:
                until(lambda request=request: request.ended)
        assert [request.path for request in server.requests] == ["/individualize", "/upgrade.bin"]
        for number, request in enumerate(server.requests, 1):
            done = next(s for s in statuses if s.dwHTTPRequest == number)
            assert done.dwHTTPReadProgress == done.dwHTTPReadTotal == request.sent == request.length

    def test_progress_only_rises_within_a_round_trip(self, tmp_path: Path, finish: Finish) -> None:
        server = UpgradeServer(300_000, rate=2_000_000)
        with server, Individualization(server.url, tmp_path / "upgrade") as client:
            statuses = finish(client)
        receiving = [s for s in statuses if s.enHTTPStatus == HTTP.HTTP_RECEIVING]
        for trip in (0, 1):
            steps = [s.dwHTTPReadProgress for s in receiving if s.dwHTTPRequest == trip]
            assert steps == sorted(set(steps))
        assert len(steps) > 4

    @pytest.mark.parametrize("with_length", [True, False])
    def test_total_is_0_when_no_length_is_given(
        self, tmp_path: Path, finish: Finish, with_length: bool
    ) -> None:
        server = UpgradeServer(100_000, with_length=with_length)
        with server, Individualization(server.url, tmp_path / "upgrade") as client:
            statuses = finish(client)
        receiving = [s for s in statuses if s.dwHTTPRequest == 1 and s.enHTTPStatus == HTTP.HTTP_RECEIVING]
        assert {s.dwHTTPReadTotal for s in receiving} == {100_000 if with_length else 0}
        assert receiving[-1].dwHTTPReadProgress == 100_000
        assert client.result == SUCCESS

    def test_chunked_body_and_relative_url(self, tmp_path: Path, finish: Finish, server: Scripted) -> None:
        chunked = server.answer(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "Transfer-Encoding: chunked")
        asked: list[bytes] = []

        def listen(connection: socket.socket) -> None:
            asked.append(connection.recv(65536))
            connection.sendall(chunked)

        url = server.play(server.told(b"abcde", url="../files/up?v=1"), listen)
        with Individualization(url, tmp_path / "upgrade") as client:
            statuses = finish(client)
        assert client.result == SUCCESS
        assert (tmp_path / "upgrade").read_bytes() == b"abcde"
        assert asked[0].startswith(b"GET /files/up?v=1 HTTP/1.1\r\n")
        assert statuses[-1].pszIndiRespUrl == "../files/up?v=1"

    def test_end_of_the_connection_is_the_end_of_the_body(
        self, tmp_path: Path, finish: Finish, server: Scripted
    ) -> None:
        """Over TLS even where nobody says good-bye, as many servers do not."""
        scripts = server.told(b"abc"), server.say(server.answer(b"abc", "A: b"))
        with Individualization(server.play(*scripts), tmp_path / "upgrade") as client:
            finish(client)
        assert client.result == SUCCESS
        assert (tmp_path / "upgrade").read_bytes() == b"abc"

    def test_host_as_the_server_knows_it(
        self, tmp_path: Path, finish: Finish, server: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the port, except for the one that goes without saying."""
        requests: list[bytes] = []

        def listen(connection: socket.socket) -> None:
            requests.append(connection.recv(65536))

        parts = urllib.parse.urlsplit(server.url)
        usual = "HTTPConnection.default_port" if parts.scheme == "http" else "HTTPS_PORT"
        url = server.play(listen, listen)
        with Individualization(url, tmp_path / "upgrade") as client:
            finish(client)
        monkeypatch.setattr(f"http.client.{usual}", parts.port)
        with Individualization(url, tmp_path / "upgrade") as client:
            finish(client)
        assert f"\r\nHost: {parts.netloc}\r\n".encode() in requests[0]
        assert f"\r\nHost: {parts.hostname}\r\n".encode() in requests[1]

    @pytest.mark.parametrize(
        ("said", "unescaped", "asked"),
        [
            (b"/" + b"x" * 4095, b"/" + b"x" * 4095, b"/" + b"x" * 4095),
            (b"/gr\xc3\xbcn?\xe2\x82\xac", b"/gr\xc3\xbcn?\xe2\x82\xac", b"/gr%C3%BCn?%E2%82%AC"),
            (b"/\xff\xfe%41~", b"/\xff\xfe%41~", b"/%FF%FE%41~"),
            (b"/" + b"\xff" * 4095, b"/" + b"\xff" * 4095, b"/" + b"%FF" * 4095),
            (b"/\\u00fc", b"/\xc3\xbc", b"/%C3%BC"),
            (b"/\\udcff", b"/\xff", b"/%FF"),
        ],
        ids=["4096 bytes", "UTF-8", "not UTF-8", "4096 not UTF-8", "escaped", "escaped byte"],
    )
    def test_url_of_the_server(
        self, tmp_path: Path, finish: Finish, server: Scripted, said: bytes, unescaped: bytes, asked: bytes
    ) -> None:
        requests: list[bytes] = []

        def listen(connection: socket.socket) -> None:
            requests.append(connection.recv(65536))
            connection.sendall(server.answer(b"abc"))

        url = server.play(server.told(b"abc", raw_url=said), listen)
        with Individualization(url, tmp_path / "upgrade") as client:
            status = finish(client)[-1]
        assert client.result == SUCCESS
        assert requests[0].startswith(b"GET " + asked + b" HTTP/1.1\r\n")
        held = ctypes.string_at(int(cell_of(client)["pszIndiRespUrl"]))
        assert held == unescaped
        assert held == status.pszIndiRespUrl.encode("utf-8", "surrogateescape")

    def test_empty_upgrade_replaces_an_old_file(
        self, tmp_path: Path, finish: Finish, server: Scripted
    ) -> None:
        (tmp_path / "upgrade").write_bytes(b"old")
        with Individualization(
            server.play(server.told(b""), server.say(server.answer(b""))), tmp_path / "upgrade"
        ) as client:
            finish(client)
        assert client.result == SUCCESS
        assert (tmp_path / "upgrade").read_bytes() == b""

    def test_counters_stop_at_the_largest_dword(self, tmp_path: Path) -> None:
        client = Individualization("http://127.0.0.1/", tmp_path / "upgrade")
        client._change(dwHTTPReadProgress=2**32 + 5, dwHTTPReadTotal=2**40)
        client._change(dwHTTPReadProgress=2**33)
        assert len(client.log) == 1
        assert cell_of(client)["dwHTTPReadProgress"] == cell_of(client)["dwHTTPReadTotal"] == 2**32 - 1


class TestStatus:
    def test_cell_holds_the_last_status(self, tmp_path: Path, finish: Finish) -> None:
        with UpgradeServer(1000) as server, Individualization(server.url, tmp_path / "upgrade") as client:
            assert client.cell.read() == bytes(32)
            last = finish(client)[-1]
        row = cell_of(client)
        assert [row[name] for name in last._fields if name != "pszIndiRespUrl"] == [
            *last[:2],
            *last[3:],
        ]
        assert ctypes.string_at(int(row["pszIndiRespUrl"])).decode() == last.pszIndiRespUrl

    def test_every_change_is_in_the_cell_between_its_two_stamps(self, tmp_path: Path) -> None:
        polls: list[tuple[int, bytes, int]] = []
        server = UpgradeServer(200_000, rate=1_000_000)
        with server, Individualization(server.url, tmp_path / "upgrade") as client:
            client.start()
            while not client.wait(0):
                before = time.monotonic_ns()
                polls.append((before, client.cell.read(), time.monotonic_ns()))
        begun = [stamp for stamp, _ in client.log]
        pairs = list(zip(begun, client.written_ns, strict=True))
        assert [stamp for pair in pairs for stamp in pair] == sorted(begun + client.written_ns)
        numbers = [name for name in Status._fields if name != "pszIndiRespUrl"]
        states = [
            tuple(getattr(status, name) for name in numbers) for _, status in [(0, Status()), *client.log]
        ]
        rows = np.frombuffer(b"".join(payload for _, payload, _ in polls), dtype=schema().dtype)
        for (before, _, after), row in zip(polls, rows[numbers].tolist(), strict=True):
            earliest = bisect.bisect_left(client.written_ns, before)
            latest = bisect.bisect_right(begun, after)
            assert row in states[earliest : latest + 1]

    def test_com_object_outlives_the_client(self, tmp_path: Path, finish: Finish) -> None:
        with UpgradeServer(1000) as server, Individualization(server.url, tmp_path / "upgrade") as client:
            finish(client)
            pointer, url = client.pointer, server.upgrade_url
        table = (ctypes.c_void_p * 4).from_address(ctypes.c_void_p.from_address(pointer).value)
        count = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)
        get_status = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)(table[3])
        count(table[1])(pointer)
        del client
        gc.collect()
        out = np.zeros(1, dtype=schema().dtype)
        assert get_status(pointer, out.ctypes.data) == 0
        assert out["hr"][0] == SUCCESS
        assert ctypes.string_at(int(out["pszIndiRespUrl"][0])).decode() == url
        assert count(table[2])(pointer) == 0

    def test_starts_once(self, tmp_path: Path) -> None:
        with UpgradeServer(10) as server, Individualization(server.url, tmp_path / "upgrade") as client:
            client.start()
            with pytest.raises(SourceError, match="started before"):
                client.start()
            assert client.wait(PATIENCE)


class TestCancel:
    def test_blocked_read(self, tmp_path: Path, server: Scripted) -> None:
        half = server.answer(b"x" * 500, "Content-Length: 1000")
        url = server.play(server.told(b"x" * 1000), server.say_and_stall(half))
        with Individualization(url, tmp_path / "upgrade", timeout=3600) as client:
            client.start()
            until(lambda: client.log[-1:] and client.log[-1][1].dwHTTPReadProgress == 500)
            client.cancel()
            assert client.wait(PATIENCE)
        last = client.log[-1][1]
        assert client.result == INCOMPLETE
        assert last.enIndiStatus is STATE.INDI_CANCEL
        assert (last.hr, last.dwHTTPRequest, last.dwHTTPReadProgress) == (INCOMPLETE, 1, 500)
        assert client.error is None
        assert list(tmp_path.iterdir()) == []

    def test_blocked_wait_for_an_answer(self, tmp_path: Path, server: Scripted) -> None:
        url = server.play(server.say_and_stall(b""))
        with Individualization(url, tmp_path / "upgrade", timeout=3600) as client:
            client.start()
            until(lambda: client.log[-1:] and client.log[-1][1].enHTTPStatus == HTTP.HTTP_REQUESTING)
            client.cancel()
            assert client.wait(PATIENCE)
        assert client.result == INCOMPLETE

    def test_blocked_connect(self, tmp_path: Path, deaf: str) -> None:
        with Individualization(deaf, tmp_path / "upgrade", timeout=3600) as client:
            client.start()
            until(lambda: client.log[-1:] and client.log[-1][1].enHTTPStatus == HTTP.HTTP_CONNECTING)
            client.cancel()
            assert client.wait(PATIENCE)
        assert client.result == INCOMPLETE
        assert [s.enIndiStatus for _, s in client.log][-1] is STATE.INDI_CANCEL

    def test_blocked_handshake(self, tmp_path: Path, plain_server: Scripted) -> None:
        accepted = threading.Event()

        def stall(connection: socket.socket) -> None:
            accepted.set()
            plain_server.release.wait(PATIENCE)

        url = plain_server.play(stall).replace("http:", "https:")
        with Individualization(url, tmp_path / "upgrade", timeout=3600) as client:
            client.start()
            assert accepted.wait(PATIENCE)
            client.cancel()
            assert client.wait(PATIENCE)
        assert client.result == INCOMPLETE

    def test_slow_download_by_leaving_the_block(self, tmp_path: Path) -> None:
        with UpgradeServer(10_000_000, rate=500_000) as server:
            with Individualization(server.url, tmp_path / "upgrade") as client:
                client.start()
                until(lambda: client.log[-1:] and client.log[-1][1].dwHTTPReadProgress > 10_000)
            assert client.result == INCOMPLETE
            assert server.requests[1].sent < 10_000_000
        assert list(tmp_path.iterdir()) == []

    def test_before_the_start(self, tmp_path: Path, finish: Finish) -> None:
        client = Individualization("http://127.0.0.1:1/", tmp_path / "upgrade")
        client.cancel()
        assert [s.enIndiStatus for s in finish(client)] == [STATE.INDI_BEGIN, STATE.INDI_CANCEL]

    def test_after_the_end_changes_nothing(self, tmp_path: Path, finish: Finish) -> None:
        with UpgradeServer(10) as server, Individualization(server.url, tmp_path / "upgrade") as client:
            statuses = finish(client)
            client.cancel()
            assert client.result == SUCCESS
            assert [s for _, s in client.log] == statuses
