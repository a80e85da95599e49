"""``fastrec demo``: it ends as it says, and the recording says the same."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import pytest
from children import PIPES, child

import fastrec as fr
from fastrec.cli import demo as verb
from fastrec.cli import main

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies


def demo(capsys: pytest.CaptureFixture[str], path: Path, *arguments: str) -> dict:
    assert main(["demo", "--json", "-o", str(path), *arguments]) == 0
    return json.loads(capsys.readouterr().out)


ENDS = {
    None: (0x000D2727, "INDI_SUCCEED"),
    "no-length": (0x000D2727, "INDI_SUCCEED"),
    "cancel": (0xC00D274C, "INDI_CANCEL"),
    "refused": (0x80072EFD, "INDI_FAIL"),
    "reset": (0x80072EFF, "INDI_FAIL"),
    "unavailable": (0xC00D2845, "INDI_FAIL"),
    "digest": (0x80096010, "INDI_FAIL"),
    "timeout": (0x80072EE2, "INDI_FAIL"),
    "disk": (0x80070070, "INDI_FAIL"),
}


@pytest.fixture
def hurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A faster server, except where the user must be faster."""
    if request.node.callspec.params["fail"] != "cancel":
        monkeypatch.setattr(verb, "SPEED", verb.SIZE * 3)


def test_every_failure_is_tried() -> None:
    assert set(ENDS) - {None} == set(verb.FAILS)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("over", [[], ["--https"]], ids=["http", "https"])
@pytest.mark.parametrize("fail", ENDS)
def test_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str], fail: str | None, over: list[str]) -> None:
    hr, state = ENDS[fail]
    path = tmp_path / "demo.fastrec"
    told = demo(capsys, path, *over, *(["--fail", fail] if fail else []))
    run = fr.open(path)
    records = run["status"]
    assert run.state == "closed" and run.verify().ok
    assert int(records["hr"][-1]) & 0xFFFFFFFF == hr
    assert told["lanes"]["enIndiStatus"][-1]["state"] == told["last"]["enIndiStatus"] == state
    assert told["last"]["hr"] == told["result"] == fr.HResult(hr).name
    assert (
        sum(row["records"] for row in told["lanes"]["enIndiStatus"])
        == len(records)
        == told["stats"]["recorded"]
    )
    assert told["last"]["dwHTTPReadProgress"] == int(records["dwHTTPReadProgress"][-1])
    assert told["outcome"].startswith(f"{fr.HResult(hr).name} ({hr:#010x})")
    url = told["last"]["pszIndiRespUrl"]
    if fail in ("refused", "unavailable"):
        assert url is None
    elif fail != "cancel" or url:
        assert url.startswith("https://localhost:" if over else "http://127.0.0.1:")
    total = records.where(dwHTTPRequest=1, enHTTPStatus="HTTP_RECEIVING")["dwHTTPReadTotal"]
    if fail == "disk":
        assert set(total) == {2**32 - 1} and told["last"]["dwHTTPReadProgress"] == 0
    elif fail not in ("refused", "unavailable"):
        # What is cancelled early, on a busy machine, has received nothing.
        assert len(total) or fail == "cancel"
        assert set(total) <= {0 if fail == "no-length" else verb.SIZE}
    if fail == "timeout":  # a client that is as patient as otherwise would have taken longer
        assert records.end - records.start < verb._PATIENCE * 1e9
    if fail in ("reset", "timeout"):
        assert 0 < told["last"]["dwHTTPReadProgress"] <= verb.SIZE // 2


def test_tells_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("demo.fastrec", "demo-2.fastrec"):
        assert main(["demo", "--fail", "refused"]) == 0
        out = capsys.readouterr().out
        assert (tmp_path / name).is_dir() and name in out
        for part in (
            "INDI_FAIL",
            "0x80072efd",
            "ERROR_INTERNET_CANNOT_CONNECT",
            "lateness",
            "numpy.load",
            "fastrec cat",
        ):
            assert part in out, part


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("fail", "said"),
    [
        ("reset", ["HRESULT_FROM_WIN32(ERROR_INTERNET_CONNECTION_RESET), 0x80072eff", "reset by peer"]),
        ("unavailable", ["NS_E_DRM_INDIV_SERVICE_UNAVAILABLE, 0xc00d2845", "503 Service Unavailable"]),
        ("digest", ["TRUST_E_BAD_DIGEST, 0x80096010", "SHA-256"]),
        ("timeout", ["HRESULT_FROM_WIN32(ERROR_INTERNET_TIMEOUT), 0x80072ee2", "timed out"]),
        ("disk", ["HRESULT_FROM_WIN32(ERROR_DISK_FULL), 0x80070070", "bytes are to come"]),
        ("no-length", ["NS_S_DRM_INDIVIDUALIZED, 0x000d2727", "of an unknown size"]),
    ],
)
def test_says_what_went_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fail: str, said: list[str]
) -> None:
    assert main(["demo", "--fail", fail, "-o", str(tmp_path / "demo.fastrec")]) == 0
    out = capsys.readouterr().out
    assert [part for part in said if part not in out] == []


def test_help_says_what_each_failure_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert [how for how, what in verb.FAILS.items() if f"{how}: {what}" not in words] == []


def test_unknown_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--fail", "rest"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "'rest'" in error and "no-length" in error


def test_https_without_openssl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["demo", "--https", "-o", str(tmp_path / "demo.fastrec")]) == 1
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and "openssl" in error
    assert list(tmp_path.iterdir()) == []


def test_existing_recording_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    assert main(["demo", "--fail", "refused", "-o", str(tmp_path / "mine")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "exists" in error
    assert list((tmp_path / "mine").iterdir()) == []


def test_interrupt_leaves_a_closed_recording(tmp_path: Path) -> None:
    path = tmp_path / "demo.fastrec"
    command = [sys.executable, "-m", "fastrec", "demo", "-o", str(path)]
    with child(command, **PIPES) as process:
        while not list(path.glob("channels/status/records.*.npy")):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert process.returncode == 0 and error == "", error
    run = fr.open(path)
    assert run.state == "closed" and run.verify().ok
    assert run["status"].decode()["enIndiStatus"][-1] == "INDI_CANCEL" and "INDI_CANCEL" in out
