from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import child
from recording.samples import large, small
from recording.test_verify import flip

import fastrec as fr
from fastrec.cli import main

Run = Callable[..., str]

OWN = "; losses of the recording itself: overwritten 3, failed 1"


def damage(bench: Path) -> None:
    flip(bench / "small.fastrec/channels/status/records.000000.npy", 192 + 6 * 32)


def test_whole_is_0(bench: Path, command: Run) -> None:
    text = command("recover", "small.fastrec", "saved.fastrec").splitlines()
    assert text == [
        "status: 17 records, numbers 0 to 20, gone 0" + OWN,
        "saved.fastrec: everything was saved, 17 records",
    ]
    assert fr.open("saved.fastrec").verify().ok
    assert command("recover", "small.fastrec", "quiet.fastrec", "--quiet") == ""
    report = json.loads(command("recover", "small.fastrec", "json.fastrec", "--json"))
    assert report["ok"] is True and report["channels"]["status"]["records"] == 17
    assert report["path"] == str(bench / "json.fastrec")


def test_lossy_is_3(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(bench)
    assert main(["recover", "small.fastrec", "saved.fastrec"]) == 3
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "torn: channels/status/records.000000.npy: bytes 352 to 480, records 8 to 11:"
        " does not match its checksum",
        "gone: status: records 8 to 11: does not match its checksum",
        "status: 13 records, numbers 0 to 20, gone 4" + OWN,
        "saved.fastrec: 13 records saved, 4 records gone",
    ]
    assert main(["recover", "small.fastrec", "json.fastrec", "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["torn"] == [
        {
            "file": "channels/status/records.000000.npy",
            "start": 352,
            "stop": 480,
            "first": 8,
            "last": 11,
            "why": "does not match its checksum",
            "saved": False,
        }
    ]
    assert report["channels"]["status"]["losses"] == {"overwritten": 3, "failed": 1}
    assert report["channels"]["status"]["lost"] == [
        {"first": 8, "last": 11, "why": "does not match its checksum"}
    ]


def test_salvage(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bench / "small.fastrec/channels/status/index.000000.npy").unlink()
    assert main(["recover", "small.fastrec", "saved.fastrec", "--salvage"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert "unproven: status: records 0 to 4" in lines
    assert "status: 17 records, numbers 0 to 20, gone 0, unproven 17" + OWN in lines


def test_a_damaged_block_is_not_salvaged(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recover", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "beyond the last index row" in told
    assert "never those of a block that does not match its checksum" in told
    damage(bench)
    assert main(["recover", "small.fastrec", "saved.fastrec", "--salvage"]) == 3
    assert "status: 13 records, numbers 0 to 20, gone 4" + OWN in capsys.readouterr().out.splitlines()


def test_failed_is_1(bench: Path, refused: Callable[..., str]) -> None:
    assert "exists" in refused(1, "recover", "small.fastrec", "small.fastrec")
    assert "no such folder" in refused(1, "recover", "nothing", "saved.fastrec")
    assert not (bench / "saved.fastrec").exists()


def test_names_cannot_speak_to_the_terminal(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bench / "small.fastrec" / "windows" / "\x1b[31mred").mkdir(parents=True)
    (bench / "small.fastrec" / "\x1b[2J").touch()
    assert main(["recover", "small.fastrec", "saved.fastrec"]) == 3
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    large(tmp_path / "run")
    # Stopped in the middle of it, whatever the machine's speed.
    program = (
        "import sys, time\n"
        "from fastrec.cli import main\n"
        "from fastrec.recording.recovering import copying\n"
        "def slow(self, *piece):\n"
        "    print('copying', flush=True)\n"
        "    time.sleep(30)\n"
        "copying.Copier._blocks = slow\n"
        "sys.exit(main(['recover', 'run', 'saved']))\n"
    )
    command = [sys.executable, "-c", program]
    with child(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "copying\n"
        time.sleep(0.1)
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert os.listdir(tmp_path) == ["run"]


def test_of_a_window(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(bench / "small.fastrec" / "windows" / "fault", close=True)
    flip(bench / "small.fastrec/windows/fault/channels/status/records.000000.npy", 192)
    assert main(["recover", "small.fastrec", "saved.fastrec"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert "windows/fault/status: 12 records, numbers 8 to 20, gone 5" + OWN in lines
    assert "gone: windows/fault/status: records 0 to 4: does not match its checksum" in lines
    assert lines[-1] == "saved.fastrec: 29 records saved, 5 records gone"
