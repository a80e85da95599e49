from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from recording.samples import PERIOD, STATUS, small
from recording.writer import CREATED_NS, START_NS, Folder

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


def test_where_an_unclean_recording_ends(tmp_path: Path, command: Run) -> None:
    _, channel = small(tmp_path / "r")
    text = command("info", tmp_path / "r")
    why = "it was not closed: killed, or its disk took no more; what was committed is whole"
    assert f"  ends    before record 20: {why}\n" in text
    with channel.segments[0].path("index").open("ab") as file:
        file.write(b"torn")
    assert "  ends    before record 20: index.000000.npy: row 3 is unfinished" in command(
        "info", tmp_path / "r"
    )
    ends = json.loads(command("info", tmp_path / "r", "--json"))["channels"]["status"]["ends"]
    assert (ends["record"], ends["time_ns"]) == (20, START_NS + 19 * PERIOD)
    assert ends["why"].startswith("index.000000.npy: row 3 is unfinished and not committed (byte ")


def test_a_closed_recording_says_nothing_of_its_ends(two_channels: Path, command: Run) -> None:
    assert "\n  ends " not in command("info", "large.fastrec")
    about = json.loads(command("info", "large.fastrec", "--json"))
    assert about["channels"]["status"]["ends"]["why"] == "closed"
    assert (about["sessions"], len(about["starts"]), about["clock_events"]) == (1, 1, [])


def test_sessions_and_what_became_of_the_clocks(tmp_path: Path, command: Run) -> None:
    second, hour = 10**9, 3600 * 10**9
    folder = Folder(tmp_path / "r")
    folder.session()
    folder.clock(START_NS, CREATED_NS)
    folder.clock(START_NS + 10 * second, CREATED_NS + 10 * second - hour)
    folder.clock(
        START_NS + 20 * second,
        CREATED_NS + 80 * second - hour,
        boottime=START_NS + 80 * second,
    )
    folder.session(1, boot="\x1bc", start=START_NS + 30 * second)
    folder.line("sessions.jsonl", session=2, start_ns="soon")
    text = command("info", tmp_path / "r")
    zone = ".000000+02:00"
    told = [" ".join(line.split()) for line in text.splitlines()]
    for said in (
        f"session 0 from 2026-09-21T16:13:20{zone}, boot b, monotonic clock",
        f"session 1 from 2026-09-21T15:14:50{zone}, boot \\x1bc, monotonic clock",
        f"clock set back by 1 h between 2026-09-21T16:13:20{zone} and 2026-09-21T15:13:30{zone}",
        f"slept for 1 min between 2026-09-21T15:13:30{zone} and 2026-09-21T15:14:40{zone}",
    ):
        assert said in told
    about = json.loads(command("info", tmp_path / "r", "--json"))
    assert [(one["session"], one["boot_id"], one["offset_ns"]) for one in about["starts"][:2]] == [
        (0, "b", 0),
        (1, "\x1bc", 0),
    ]
    assert [(one["kind"], one["by_ns"]) for one in about["clock_events"]] == [
        ("step", -hour),
        ("suspend", 60 * second),
    ]
    assert about["clock_events"][0]["after_ns"] == START_NS
