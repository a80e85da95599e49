"""The source ``wmdrm:individualization``: its life, its words, and what is said when something is missing."""

from __future__ import annotations

import threading
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE, until

import fastrec as fr
from fastrec.errors import SourceError
from fastrec.sources.registry import GROUP, as_schema, source
from fastrec.wmdrm import Individualization, schema
from fastrec.wmdrm.server import UpgradeServer
from fastrec.wmdrm.source import IndividualizationSource, build

Scripted = Any  # of conftest.py


def test_is_found_by_name() -> None:
    (entry,) = entry_points(group=GROUP, name="wmdrm")
    assert entry.load() is build
    assert as_schema("wmdrm:individualization") == schema(64)


def test_life(tmp_path: Path) -> None:
    target = tmp_path / "upgrade"
    with UpgradeServer(300_000) as server:
        one = build("individualization", url=server.url, target=str(target), timeout="20")
        assert isinstance(one, fr.ComMethod) and one.schema == schema(64)
        assert one.read()["enIndiStatus"] == "INDI_UNDEFINED" and one.read()["pszIndiRespUrl"] is None
        assert (one.ended, one.outcome, server.requests) == (False, "not begun", [])
        one.begin()
        one.begin()
        assert one.client.wait(PATIENCE) and one.ended
        assert one.outcome == "NS_S_DRM_INDIVIDUALIZED (0x000d2727)"
        assert one.read()["hr"] == "NS_S_DRM_INDIVIDUALIZED"
        one.finish()
        one.finish()
        one.begin()
        assert one.outcome == "NS_S_DRM_INDIVIDUALIZED (0x000d2727)"
        assert [request.path for request in server.requests] == ["/individualize", "/upgrade.bin"]
    assert target.read_bytes() == server.payload


def test_is_recorded(tmp_path: Path) -> None:
    with UpgradeServer(300_000) as server, fr.Recorder(tmp_path / "run.fastrec") as rec:
        one = build("individualization", url=server.url, target=tmp_path / "upgrade")
        channel = rec.add("status", one, rate=2000)
        one.begin()
        assert one.client.wait(PATIENCE)
        end = channel.stats.recorded + 50
        until(lambda: channel.stats.recorded >= end)
        one.finish()
    records = fr.open(tmp_path / "run.fastrec")["status"]
    assert records.decode()["enIndiStatus"][-1] == "INDI_SUCCEED"
    assert records.decode()["pszIndiRespUrl"][-1] == server.upgrade_url


def test_finish_cancels_what_runs(tmp_path: Path, server: Scripted) -> None:
    one = build("individualization", url=server.play(server.say_and_stall(b"")), target=tmp_path / "upgrade")
    one.begin()
    assert (one.ended, one.outcome) == (False, "running")
    one.finish()
    assert one.ended and one.outcome == "NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE (0xc00d274c)"
    assert "individualization" not in [thread.name for thread in threading.enumerate()]


def test_finish_before_the_begin(tmp_path: Path) -> None:
    with UpgradeServer(10) as server:
        one = build("individualization", url=server.url, target=tmp_path / "upgrade")
        one.finish()
        assert (one.ended, one.outcome) == (False, "not begun")
        one.begin()
        one.finish()
        assert one.ended and one.outcome.startswith("NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE")
        assert server.requests == []


def test_failure_says_its_reason(tmp_path: Path) -> None:
    with UpgradeServer(10, fault="unavailable") as server:
        one = build("individualization", url=server.url, target=tmp_path / "upgrade")
        one.begin()
        assert one.client.wait(PATIENCE)
        one.finish()
    assert (
        one.outcome
        == "NS_E_DRM_INDIV_SERVICE_UNAVAILABLE (0xc00d2845): the server answered 503 Service Unavailable"
    )


def test_reference_is_given_back(tmp_path: Path) -> None:
    client = Individualization("http://127.0.0.1/", tmp_path / "upgrade")
    assert client.cell.refcount == 1
    one = IndividualizationSource(client)
    assert client.cell.refcount == 2
    del one
    assert client.cell.refcount == 1


@pytest.mark.parametrize(
    ("options", "told", "untold"),
    [
        ({"url": "http://127.0.0.1/"}, ["--target", "target="], ["url"]),
        ({"target": "upgrade"}, ["--url", "url="], ["target"]),
        ({"url": "", "target": "upgrade"}, ["--url"], ["target"]),
        ({"url": "http://127.0.0.1/", "target": "u", "timeout": 0}, ["timeout=0", "seconds"], ["url"]),
        ({"url": "http://127.0.0.1/", "target": "u", "timeout": "soon"}, ["timeout='soon'"], ["url"]),
        ({"url": "http://127.0.0.1/", "target": "u", "timeout": float("nan")}, ["timeout=nan"], ["url"]),
    ],
)
def test_something_is_missing(options: dict[str, Any], told: list[str], untold: list[str]) -> None:
    with pytest.raises(SourceError) as caught:
        build("individualization", **options)
    message = str(caught.value)
    assert "\n" not in message
    assert (
        [part for part in told if part not in message] == [part for part in untold if part in message] == []
    )


def test_everything_is_missing_when_it_is_polled() -> None:
    with fr.Recorder() as rec, pytest.raises(SourceError, match=r"--url \(url=\).*--target \(target=\)"):
        rec.add("status", "wmdrm:individualization", rate=10)


def test_another_name() -> None:
    with pytest.raises(SourceError, match="did you mean 'individualization'"):
        source("wmdrm:individualisation")
