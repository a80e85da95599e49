"""The flagship whole: what the client lived, the server sent and the recorder saw must be one story."""

from __future__ import annotations

import hashlib
import json
import mmap
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waiting import until

import fastrec as fr
from fastrec import wmdrm
from fastrec.schema.gaps import Cause
from fastrec.wmdrm.server import UpgradeServer
from fastrec.wmdrm.source import IndividualizationSource

Contexts = Any  # of conftest.py
Scripted = Any

RATE = 10_000
COUNTERS = ("dwHTTPRequest", "dwHTTPReadProgress", "dwHTTPReadTotal")
PERIOD = 1_000_000_000 // RATE


def live(
    path: Path, client: wmdrm.Individualization, meanwhile: Callable[[fr.channel.Channel], None]
) -> tuple[fr.Records, int]:
    """Record a client's life at 10 kHz, from before its start until its end has been seen.

    Returns the records, and how long the longest call was, in ns.
    """
    source = IndividualizationSource(client)
    with fr.Recorder(path) as rec:
        channel = rec.add("status", source, rate=RATE)
        source.begin()
        meanwhile(channel)
        assert client.wait(60)
        end = channel.stats.recorded + 100
        until(lambda: channel.stats.recorded >= end)
    return fr.open(path)["status"], channel.stats.duration.max


def seen(records: fr.Records) -> list[wmdrm.Status]:
    """The states of the records, each run of equal ones once."""
    columns = records.decode()
    raw = {name: records[name] for name in wmdrm.Status._fields}
    raw["pszIndiRespUrl"] = columns["pszIndiRespUrl"]
    rows = zip(*(column.tolist() for column in raw.values()), strict=True)
    states: list[wmdrm.Status] = []
    for row in rows:
        if not states or tuple(states[-1]) != row:
            states.append(wmdrm.Status(*row))
    return states


def tell(client: wmdrm.Individualization, records: fr.Records, longest_call: int) -> None:
    """Every state of the log that lasted two periods is recorded, in order, and none is invented.

    A state may be missing only where the recording itself says that it was not polled meanwhile: deadlines
    were missed, or no call was certainly within it (a record is stamped with the middle of a call, which a
    system that takes the processor away makes long).
    """
    states = seen(records)
    log = [wmdrm.Status(), *(status for _, status in client.log)]
    place = -1
    for state in states:
        place = log.index(
            state, place + 1
        )  # in the log, after the one before: ValueError says it was invented
    recorded = {tuple(state) for state in states}
    missed = records.gaps[records.gaps["cause"] == Cause.MISSED]
    stamps = records["mono_ns"]
    lasting = 0
    begins = client.written_ns
    ends = [began for began, _ in client.log[1:]] + [records.end]
    for (_, status), begin, end in zip(client.log, begins, ends, strict=True):
        if end - begin < 2 * PERIOD:
            continue
        lasting += 1
        excused = ((missed["t_last"] >= begin - PERIOD) & (missed["t_first"] <= end + PERIOD)).any()
        within = (stamps - longest_call // 2 >= begin) & (stamps + longest_call // 2 <= end)
        assert tuple(status) in recorded or excused or not within.any(), status
    assert lasting > 3


def seen_last(channel: fr.channel.Channel, field: str) -> int:
    """What the newest record says."""
    row = channel.current()
    return 0 if row is None else int(row[field])


def last(records: fr.Records) -> dict[str, object]:
    return {name: values[0] for name, values in records[-1:].decode().items()}


def test_success(tmp_path: Path, contexts: Contexts) -> None:
    with UpgradeServer(2 << 20, rate=4 << 20, context=contexts.server) as server:
        with wmdrm.Individualization(server.url, tmp_path / "upgrade.bin") as client:
            records, longest = live(tmp_path / "run.fastrec", client, lambda channel: None)
        tell(client, records, longest)
        requests = list(server.requests)
    assert (tmp_path / "upgrade.bin").read_bytes() == server.payload
    final = last(records)
    assert final["hr"] == "NS_S_DRM_INDIVIDUALIZED" and final["enIndiStatus"] == "INDI_SUCCEED"
    assert final["pszIndiRespUrl"] == server.upgrade_url
    assert final["dwHTTPRequest"] == len(requests) == 2
    assert final["dwHTTPReadProgress"] == final["dwHTTPReadTotal"] == requests[1].sent == 2 << 20
    trip = wmdrm.progress(records).round_trips[-1]
    assert (trip.number, trip.progress, trip.fraction) == (2, requests[1].sent, 1.0)
    assert fr.open(tmp_path / "run.fastrec").verify().ok


def test_length_unknown(tmp_path: Path, contexts: Contexts) -> None:
    server = UpgradeServer(1 << 20, rate=4 << 20, with_length=False, with_size=False, context=contexts.server)
    with (
        server,
        wmdrm.Individualization(server.url, tmp_path / "upgrade.bin") as client,
    ):
        records, longest = live(tmp_path / "run.fastrec", client, lambda channel: None)
    tell(client, records, longest)
    download = records.where(dwHTTPRequest=1, enHTTPStatus="HTTP_RECEIVING")
    assert len(download) > 100 and not download["dwHTTPReadTotal"].any()
    assert np.isnan(wmdrm.progress(download).fraction).all()
    assert last(records)["dwHTTPReadProgress"] == 1 << 20


@pytest.mark.parametrize(
    ("fault", "hr", "state", "progress"),
    [
        ("reset", "HRESULT_FROM_WIN32(ERROR_INTERNET_CONNECTION_RESET)", "HTTP_RECEIVING", True),
        ("unavailable", "NS_E_DRM_INDIV_SERVICE_UNAVAILABLE", "HTTP_REQUESTING", False),
        ("digest", "TRUST_E_BAD_DIGEST", "HTTP_COMPLETED", True),
        ("timeout", "HRESULT_FROM_WIN32(ERROR_INTERNET_TIMEOUT)", "HTTP_RECEIVING", True),
        ("disk", "HRESULT_FROM_WIN32(ERROR_DISK_FULL)", "HTTP_RECEIVING", False),
    ],
)
def test_failures(
    tmp_path: Path, contexts: Contexts, fault: Any, hr: str, state: str, progress: bool
) -> None:
    patience = 2.0 if fault == "timeout" else 30.0
    server = UpgradeServer(1 << 19, rate=4 << 20, context=contexts.server, fault=fault)
    with (
        server,
        wmdrm.Individualization(server.url, tmp_path / "upgrade.bin", timeout=patience) as client,
    ):
        records, _ = live(tmp_path / "run.fastrec", client, lambda channel: None)
    final = last(records)
    assert (final["hr"], final["enIndiStatus"], final["enHTTPStatus"]) == (hr, "INDI_FAIL", state)
    assert bool(final["dwHTTPReadProgress"]) == progress
    assert final["pszIndiRespUrl"] == (None if fault == "unavailable" else server.upgrade_url)
    assert len(records.where(hr=hr, enIndiStatus="INDI_FAIL")) >= 100
    assert [path.name for path in tmp_path.iterdir()] == ["run.fastrec"]
    assert client.log[-1][1] in seen(records)


def test_refused(tmp_path: Path, refused_url: str) -> None:
    with wmdrm.Individualization(refused_url, tmp_path / "upgrade.bin") as client:
        records, _ = live(tmp_path / "run.fastrec", client, lambda channel: None)
    final = last(records)
    assert int(records["hr"][-1]) & 0xFFFFFFFF == 0x80072EFD
    assert (
        final["enIndiStatus"] == "INDI_FAIL"
        and final["dwHTTPRequest"] == 0
        and final["pszIndiRespUrl"] is None
    )
    assert [path.name for path in tmp_path.iterdir()] == ["run.fastrec"]


def test_cancel(tmp_path: Path, contexts: Contexts) -> None:
    with UpgradeServer(8 << 20, rate=2 << 20, context=contexts.server) as server:
        with wmdrm.Individualization(server.url, tmp_path / "upgrade.bin") as client:

            def cancel(channel: fr.channel.Channel) -> None:
                until(lambda: seen_last(channel, "dwHTTPReadProgress") >= 1 << 18)
                client.cancel()

            records, longest = live(tmp_path / "run.fastrec", client, cancel)
        tell(client, records, longest)
    final = last(records)
    assert final["enIndiStatus"] == "INDI_CANCEL" and final["hr"] == "NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE"
    assert 1 << 18 <= final["dwHTTPReadProgress"] < 8 << 20
    assert [path.name for path in tmp_path.iterdir()] == ["run.fastrec"]


def test_the_check_sees_an_invented_state(tmp_path: Path) -> None:
    with (
        UpgradeServer(1 << 20, rate=4 << 20) as server,
        wmdrm.Individualization(server.url, tmp_path / "upgrade.bin") as client,
    ):
        records, longest = live(tmp_path / "run.fastrec", client, lambda channel: None)
    tell(client, records, longest)
    recorded = seen(records)[len(seen(records)) // 2]
    place = [status for _, status in client.log].index(recorded)
    del client.log[place], client.written_ns[place]
    with pytest.raises(ValueError, match="not in list"):
        tell(client, records, longest)


def test_progress_falls_between_round_trips(tmp_path: Path, server: Scripted) -> None:
    """A large first answer, a small second one, each held back in its middle until that has been recorded."""
    body = b"s" * 40
    events = [threading.Event() for _ in range(4)]

    def halves(
        data: bytes, begin: threading.Event, go_on: threading.Event
    ) -> Callable[[socket.socket], None]:
        def run(connection: socket.socket) -> None:
            connection.recv(65536)
            for event, part in ((begin, data[:-20]), (go_on, data[-20:])):
                assert event.wait(30)
                connection.sendall(part)

        return run

    filler = json.dumps({"url": "/u", "sha256": hashlib.sha256(body).hexdigest(), "more": "m" * 60_000})
    scripts = [halves(server.answer(filler.encode()), *events[:2]), halves(server.answer(body), *events[2:])]
    steps = [(0, 0, 0), (0, len(filler) - 20, len(filler)), (1, 0, 0), (1, 20, 40)]

    def watch(channel: fr.channel.Channel) -> None:
        """Each step is recorded before the server goes on."""
        for event, step in zip(events, steps, strict=True):
            until(lambda step=step: tuple(seen_last(channel, name) for name in COUNTERS) == step)
            event.set()

    url = server.play(*scripts)
    with wmdrm.Individualization(url, tmp_path / "upgrade.bin") as client:
        records, longest = live(tmp_path / "run.fastrec", client, watch)
    tell(client, records, longest)
    done = records["dwHTTPReadProgress"].astype(np.int64)
    assert set(steps) <= set(zip(*(records[name].tolist() for name in COUNTERS), strict=True))
    assert (np.diff(done) < 0).sum() == 1 and done[-1] == 40
    trips = wmdrm.progress(records).round_trips
    assert [(trip.number, trip.total, trip.fraction) for trip in trips[-1:]] == [(2, 40, 1.0)]
    assert trips[0].number == 1 and trips[0].total == len(filler)
    assert np.nanmax(wmdrm.progress(records).fraction) == 1.0


def test_sparse_payload_beyond_32_bits(tmp_path: Path) -> None:
    """``progress * 100`` of this one does not fit a DWORD."""
    size = 44 << 20
    assert size * 100 > 2**32
    with (tmp_path / "sparse").open("wb+") as file:
        file.truncate(size)
        with (
            mmap.mmap(file.fileno(), size) as payload,
            UpgradeServer(payload=payload, rate=size) as server,
            wmdrm.Individualization(server.url, tmp_path / "upgrade.bin") as client,
        ):
            records, longest = live(tmp_path / "run.fastrec", client, lambda channel: None)
    tell(client, records, longest)
    assert int(records["dwHTTPReadProgress"][-1]) == size == (tmp_path / "upgrade.bin").stat().st_size
    large = records["dwHTTPReadProgress"].astype(np.float64) * 100 > 2**32
    assert large.sum() > 100
    fraction = wmdrm.progress(records).fraction[large]
    assert (fraction > 2**32 / 100 / size).all() and fraction[-1] == 1.0


@pytest.mark.parametrize(
    "said",
    [b"/" + b"x" * 4095, b"/" + b"\xff" * 4095, "/gr\u00fcn".encode(), b"/\xfe\xff"],
    ids=["4096 bytes", "4096 bytes that are not UTF-8", "UTF-8", "not UTF-8"],
)
def test_url(tmp_path: Path, server: Scripted, said: bytes) -> None:
    """NULL until it is known; then as the server said it, in the ring and in the file."""
    go_on = threading.Event()

    def late(connection: socket.socket) -> None:
        assert go_on.wait(30)
        server.told(b"abc", raw_url=said)(connection)

    live_texts: list[str | None] = []

    def watch(channel: fr.channel.Channel) -> None:
        until(lambda: seen_last(channel, "enHTTPStatus"))
        live_texts.append(channel.last(1).decode()["pszIndiRespUrl"][0])
        go_on.set()
        until(lambda: seen_last(channel, "enIndiStatus") == 2)
        live_texts.append(channel.last(1).decode()["pszIndiRespUrl"][0])

    url = server.play(late, server.say(server.answer(b"abc")))
    with wmdrm.Individualization(url, tmp_path / "upgrade.bin") as client:
        records, _ = live(tmp_path / "run.fastrec", client, watch)
    text = said.decode("utf-8", "surrogateescape")
    assert live_texts == [None, text]
    urls = records.decode()["pszIndiRespUrl"]
    assert set(urls) == {None, text}
    assert urls[0] is None and urls[-1].encode("utf-8", "surrogateescape") == said
    assert len(records.where(pszIndiRespUrl=text)) + len(records.where(pszIndiRespUrl=None)) == len(records)
    assert fr.open(tmp_path / "run.fastrec").verify().ok


@pytest.fixture(params=["http", "https"])
def refused_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"{request.param}://127.0.0.1:{held.getsockname()[1]}/individualize"
