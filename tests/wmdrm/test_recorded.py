"""The flagship whole: what the client lived, the server sent and the recorder saw must be one story."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import fastrec as fr
from fastrec import wmdrm
from fastrec.schema.gaps import Cause
from fastrec.wmdrm.server import UpgradeServer
from fastrec.wmdrm.status import GET_STATUS_SLOT

RATE = 10_000
PERIOD = 1_000_000_000 // RATE


def live(
    path: Path, client: wmdrm.Individualization, meanwhile: Callable[[fr.channel.Channel], None]
) -> tuple[fr.Records, int]:
    """Record a client's life at 10 kHz, from before its start until its end has been seen.

    Returns the records, and how long the longest call was, in ns.
    """
    source = fr.ComMethod(client.pointer, GET_STATUS_SLOT, schema=wmdrm.schema(64), keep=client.cell)
    with fr.Recorder(path) as rec:
        channel = rec.add("status", source, rate=RATE)
        client.start()
        meanwhile(channel)
        assert client.wait(60)
        end, wait = channel.stats.recorded + 100, time.monotonic() + 60
        while channel.stats.recorded < end:
            assert time.monotonic() < wait
            time.sleep(0.005)
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


def last(records: fr.Records) -> dict[str, object]:
    return {name: values[0] for name, values in records[-1:].decode().items()}


def test_success(tmp_path: Path) -> None:
    with UpgradeServer(2 << 20, rate=4 << 20) as server:
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


def test_length_unknown(tmp_path: Path) -> None:
    with (
        UpgradeServer(1 << 20, rate=4 << 20, with_length=False, with_size=False) as server,
        wmdrm.Individualization(server.url, tmp_path / "upgrade.bin") as client,
    ):
        records, longest = live(tmp_path / "run.fastrec", client, lambda channel: None)
    tell(client, records, longest)
    download = records.where(dwHTTPRequest=1, enHTTPStatus="HTTP_RECEIVING")
    assert len(download) > 100 and not download["dwHTTPReadTotal"].any()
    assert np.isnan(wmdrm.progress(download).fraction).all()
    assert last(records)["dwHTTPReadProgress"] == 1 << 20


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


def test_cancel(tmp_path: Path) -> None:
    with UpgradeServer(8 << 20, rate=2 << 20) as server:
        with wmdrm.Individualization(server.url, tmp_path / "upgrade.bin") as client:

            def cancel(channel: fr.channel.Channel) -> None:
                while not (row := channel.current()) or row["dwHTTPReadProgress"] < 1 << 18:
                    time.sleep(0.005)
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


@pytest.fixture
def refused_url() -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/individualize"
