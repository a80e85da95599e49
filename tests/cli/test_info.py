from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from recording.samples import STATUS, small
from recording.writer import Folder

from fastrec.cli import main

Run = Callable[..., str]


def test_everything_there_is(two_channels: Path, command: Run) -> None:
    about = json.loads(command("info", "large.fastrec", "--json"))
    assert (about["state"], about["timezone"], about["problems"]) == ("closed", "+02:00", [])
    assert about["bytes"] == sum(
        path.stat().st_size for path in Path("large.fastrec").rglob("*") if path.is_file()
    )
    assert [(mark["text"], mark["kind"]) for mark in about["marks"]] == [("valve", "mark")]
    assert list(about["channels"]) == ["held", "status"]
    status = about["channels"]["status"]
    assert (status["rate"], status["store"], status["segments"], status["records"]) == (
        "1000",
        "every",
        3,
        5900,
    )
    assert status["gaps"] == {"disk": {"count": 100, "gaps": 1}}
    assert status["schema"]["digest"] == STATUS.digest
    mode = status["schema"]["fields"][1]
    assert (mode["name"], mode["type"], mode["enumerators"]) == (
        "mode",
        "<i2",
        {"IDLE": 0, "RUN": 1, "FAULT": -1},
    )
    held = about["channels"]["held"]
    assert (held["store"], held["records"], held["polls"]) == ("changes", 2048, 512 * (1 + 2 + 3 + 4))
    assert status["polls"] == 5900
    assert status["start"].endswith("+02:00") and about["start"] <= status["start"]
    assert about["duration_ns"] == about["channels"]["held"]["end_ns"] - status["start_ns"]


def test_for_people(two_channels: Path, command: Run) -> None:
    text = command("info", "large.fastrec")
    for said in (
        "large.fastrec: closed, ",
        "status: 5,900 records, at 1000 Hz",
        "held: 2,048 records of 5,120 polls, at 1000 Hz\n  store   changes\n",
        "lost    100: disk 100 (1 gap)",
        "valve",
        "IDLE, RUN, FAULT",
        "+02:00",
    ):
        assert said in text


def test_states(tmp_path: Path, command: Run) -> None:
    small(tmp_path / "unclean.fastrec")
    assert json.loads(command("info", tmp_path / "unclean.fastrec", "--json"))["state"] == "unclean"
    assert ": unclean, " in command("info", tmp_path / "unclean.fastrec")


def test_nothing_from_a_file_reaches_the_terminal(tmp_path: Path, command: Run) -> None:
    Folder(tmp_path / "evil.fastrec", metadata={"\x1b[2J": "\u202egnp.exe\n"})
    text = command("info", tmp_path / "evil.fastrec")
    assert "metadata  \\x1b[2J = \\u202egnp.exe\\n\n" in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_damage_is_told_and_is_1(
    two_channels: Path, capsys: pytest.CaptureFixture[str], command: Run
) -> None:
    channel = two_channels / "large.fastrec/channels/held/channel.json"
    channel.write_bytes(channel.read_bytes().replace(b"held", b"hold"))
    assert main(["info", "large.fastrec"]) == 1
    text = capsys.readouterr().out
    assert "status: 5,900 records" in text and "damaged: " in text and "channel.json" in text
    assert main(["info", "large.fastrec", "--json"]) == 1
    about = json.loads(capsys.readouterr().out)
    assert list(about["channels"]) == ["status"] and len(about["problems"]) == 1
