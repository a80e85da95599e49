"""``fastrec record wmdrm:individualization``: a life recorded from its begin to its end."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from children import PIPES, child
from waiting import until

import fastrec as fr
from fastrec.wmdrm.certificate import contexts
from fastrec.wmdrm.server import UpgradeServer

Run = Callable[..., str]

SOURCE = "wmdrm:individualization"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def states(run: str) -> list[str]:
    """What the recording tells of the life, each state once."""
    records = fr.open(run)["individualization"]
    assert fr.open(run).state == "closed" and fr.open(run).verify().ok
    told = records.decode("enIndiStatus")["enIndiStatus"]
    return [told[0], *(after for before, after in pairwise(told) if after != before)]


@pytest.mark.parametrize("rate", ["2000", "max"])
def test_from_begin_to_end(command: Run, rate: str) -> None:
    """It ends by itself, when the client has, and the end is recorded."""
    with UpgradeServer(300_000, rate=1_000_000) as server:
        options = ("--url", server.url, "--target", "upgrade.bin", "--rate", rate, "-o", "run.fastrec")
        about = json.loads(command("record", SOURCE, *options, "--json"))
    assert about["ended_by"] == "source" and about["closed"]
    channel = about["channels"]["individualization"]
    assert channel["outcome"] == "NS_S_DRM_INDIVIDUALIZED (0x000d2727)"
    told = states("run.fastrec")
    assert told[0] == "INDI_UNDEFINED" and told[-1] == "INDI_SUCCEED" and "INDI_DOWNLOAD" in told
    last = {
        name: values[0] for name, values in fr.open("run.fastrec")["individualization"][-1:].decode().items()
    }
    assert last["hr"] == "NS_S_DRM_INDIVIDUALIZED" and last["dwHTTPReadProgress"] == 300_000
    assert last["pszIndiRespUrl"] == server.upgrade_url
    assert Path("upgrade.bin").read_bytes() == server.payload


def test_over_https(here: Path, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    of_server, _ = contexts(here)
    monkeypatch.setenv("SSL_CERT_FILE", str(here / "localhost.pem"))
    with UpgradeServer(10_000, context=of_server) as server:
        options = ("--url", server.url, "--target", "upgrade.bin", "--rate", "1000", "-o", "run.fastrec")
        text = command("record", SOURCE, *options)
    assert "  outcome   NS_S_DRM_INDIVIDUALIZED (0x000d2727)\n" in text
    assert states("run.fastrec")[-1] == "INDI_SUCCEED"


def test_a_failure_is_recorded_and_told(command: Run) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/"
        text = command(
            "record", SOURCE, "--url", url, "--target", "upgrade.bin", "--rate", "1000", "-o", "run.fastrec"
        )
    (outcome,) = (line for line in text.splitlines() if line.startswith("  outcome   "))
    assert "ERROR_INTERNET_CANNOT_CONNECT" in outcome and "(0x80072efd): " in outcome
    records = fr.open("run.fastrec")["individualization"]
    assert states("run.fastrec")[-1] == "INDI_FAIL" and int(records["hr"][-1]) & 0xFFFFFFFF == 0x80072EFD
    assert not Path("upgrade.bin").exists()


def test_silence_ends_after_the_time_that_was_said(command: Run) -> None:
    with UpgradeServer(100_000, fault="timeout") as server:
        options = ("--url", server.url, "--target", "upgrade.bin", "--timeout", "0.2")
        about = json.loads(
            command("record", SOURCE, *options, "--rate", "1000", "-o", "run.fastrec", "--json")
        )
    assert "(0x80072ee2)" in about["channels"]["individualization"]["outcome"]


def test_a_time_that_is_said_counts(command: Run) -> None:
    """The recording goes on after the end where --duration says so, and ends before it too."""
    with UpgradeServer(1_000) as server:
        options = ("--url", server.url, "--target", "upgrade.bin", "--rate", "1000", "--duration", "0.5")
        about = json.loads(command("record", SOURCE, *options, "-o", "long.fastrec", "--json"))
    assert about["ended_by"] == "duration" and states("long.fastrec")[-1] == "INDI_SUCCEED"
    with UpgradeServer(10_000_000, rate=100_000) as server:
        options = ("--url", server.url, "--target", "upgrade2.bin", "--rate", "1000", "--duration", "0.3")
        about = json.loads(command("record", SOURCE, *options, "-o", "short.fastrec", "--json"))
    assert about["ended_by"] == "duration" and states("short.fastrec")[-1] == "INDI_CANCEL"
    assert not Path("upgrade2.bin").exists()


def test_an_interrupt_cancels_and_records_that(here: Path) -> None:
    with UpgradeServer(10_000_000, rate=500_000) as server:
        options = [
            "--url",
            server.url,
            "--target",
            "upgrade.bin",
            "--rate",
            "1000",
            "-o",
            "run.fastrec",
            "--json",
        ]
        with child([sys.executable, "-m", "fastrec", "record", SOURCE, *options], **PIPES) as process:
            until(lambda: len(list(here.glob("run.fastrec/channels/*/records.000000.npy"))))
            until(lambda: len(server.requests) > 1 and server.requests[1].sent > 50_000)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    about = json.loads(out)
    assert about["ended_by"] == "SIGINT"
    assert "(0xc00d274c)" in about["channels"]["individualization"]["outcome"]
    assert states("run.fastrec")[-1] == "INDI_CANCEL" and sorted(path.name for path in here.iterdir()) == [
        "run.fastrec"
    ]


def test_beside_other_sources(command: Run) -> None:
    with UpgradeServer(200_000, rate=500_000) as server:
        options = ("--url", server.url, "--target", "upgrade.bin", "--rate", "1000", "-o", "run.fastrec")
        command("record", SOURCE, "linux:rusage@100", "size=linux:fstat:.@50", *options, "--quiet")
    run = fr.open("run.fastrec")
    assert list(run) == ["individualization", "rusage", "size"] and all(
        len(records) for records in run.values()
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--url"),
        (("--url", "http://127.0.0.1/"), "--target"),
        (("--target", "x"), "--url"),
        (("--url", "http://127.0.0.1/", "--target", "x", "--timeout", "-1"), "is no time"),
    ],
)
def test_what_is_missing(here: Path, refused: Run, options: tuple[str, ...], said: str) -> None:
    assert said in refused(1, "record", SOURCE, "--rate", "9", *options)
    assert list(here.iterdir()) == []


def test_a_target_that_cannot_be(command: Run) -> None:
    """The life fails with the disk's own reason; the recording is whole."""
    with UpgradeServer(1_000) as server:
        options = ("--url", server.url, "--target", "no/where.bin", "--rate", "1000", "-o", "run.fastrec")
        text = command("record", SOURCE, *options)
    assert "(0x80070003)" in text and states("run.fastrec")[-1] == "INDI_FAIL"
