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
from fastrec.cli import main


def demo(capsys: pytest.CaptureFixture[str], path: Path, *arguments: str) -> dict:
    assert main(["demo", "--json", "-o", str(path), *arguments]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("fail", "hr", "state"),
    [
        (None, 0x000D2727, "INDI_SUCCEED"),
        ("refused", 0x80072EFD, "INDI_FAIL"),
        ("cancel", 0xC00D274C, "INDI_CANCEL"),
    ],
)
def test_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fail: str | None, hr: int, state: str
) -> None:
    path = tmp_path / "demo.fastrec"
    told = demo(capsys, path, *(["--fail", fail] if fail else []))
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
