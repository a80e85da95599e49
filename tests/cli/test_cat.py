from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from recording.samples import PERIOD, status, status_channel
from recording.writer import START_NS, Folder

from fastrec.cli import main

Run = Callable[..., str]

NUMBERS = [*range(5), *range(8, 20)]  # of small.fastrec: 5 to 7 are lost


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_records_as_json_lines(bench: Path, command: Run) -> None:
    found = lines(command("cat", "small.fastrec", "--json"))
    assert [one["seq"] for one in found] == NUMBERS
    assert found[1] == {
        "seq": 1,
        "time": "2026-09-21T16:13:20.001000+02:00",
        "mono_ns": START_NS + PERIOD,
        "tick": 7,
        "mode": "IDLE",
        "temp": 0.25,
        "url": "http://a",
    }
    assert [one["url"] for one in found[4:7]] == [None, "\\udcff€", "\\udcff€"]
    assert {one["mode"] for one in found} == {"IDLE", "RUN", "FAULT"}


def test_raw_records_are_what_c_stored(bench: Path, command: Run) -> None:
    found = lines(command("cat", "small.fastrec", "--raw", "--json"))
    assert [(one["mono_ns"], one["tick"], one["mode"]) for one in found] == [
        (START_NS + seq * PERIOD, seq * 7, seq % 3 - 1) for seq in NUMBERS
    ]
    assert [one["url"] for one in found[:7]] == [0, 1, 0, 1, 0, 2, 2]
    assert list(found[0]) == ["seq", "mono_ns", "tick", "mode", "temp", "url"]


def test_the_table(bench: Path, command: Run) -> None:
    assert command("cat", "small.fastrec").splitlines()[:9] == [
        "seq  time                        tick  mode   temp  url",
        "  0  2026-09-21T16:13:20.000000     0  FAULT   0.0  NULL",
        "  1  2026-09-21T16:13:20.001000     7  IDLE   0.25  http://a",
        "  2  2026-09-21T16:13:20.002000    14  RUN     0.5  NULL",
        "  3  2026-09-21T16:13:20.003000    21  FAULT  0.75  http://a",
        "  4  2026-09-21T16:13:20.004000    28  IDLE    1.0  NULL",
        "-- 3 overwritten at 2026-09-21T16:13:20.005000 within 2 ms",
        "  8  2026-09-21T16:13:20.008000    56  RUN     2.0  \\udcff€",
        "  9  2026-09-21T16:13:20.009000    63  FAULT  2.25  \\udcff€",
    ]


def test_losses_stand_where_they_happened(bench: Path, command: Run) -> None:
    text = command("cat", "small.fastrec", "--fields", "tick").splitlines()
    failed = text.index("-- 1 failed, code -5 at 2026-09-21T16:13:20.012000")
    assert text[failed - 1].split()[0] == "11" and text[failed + 1].split()[0] == "12"
    assert sum(line.startswith("--") for line in text) == 2
    assert "--" not in command("cat", "small.fastrec", "--limit", 5)
    assert "--" not in command("cat", "small.fastrec", "--where", "mode=RUN")


def test_a_loss_at_the_end_is_told(tmp_path: Path, command: Run) -> None:
    folder = Folder(tmp_path / "end.fastrec")
    folder.session()
    folder.clock(START_NS, 0)
    segment = status_channel(folder).segment()
    segment.commit(0, [status(0)], gaps=[(1, 4, 3, 0, START_NS + 5, START_NS + 5)])
    segment.commit(1, [status(1)])
    segment.commit(2, [], gaps=[(2, 6, 2, 0, START_NS + 9, START_NS + 9)])
    text = command("cat", tmp_path / "end.fastrec", "--fields", "tick").splitlines()
    assert [line.split()[:3] for line in text if line.startswith("--")] == [
        ["--", "4", "missed"],
        ["--", "6", "dropped"],
    ]
    assert text[-1].startswith("-- 6")


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (("--between", "+2ms", "+9ms"), [2, 3, 4, 8]),
        (("--between", "-2ms", "end"), [17, 18, 19]),
        (("--between", "start", "2026-09-21T16:13:20.003"), [0, 1, 2]),
        (("--between", str(START_NS + 18 * PERIOD), "end"), [18, 19]),
        (("--last", "3"), [17, 18, 19]),
        (("--last", "2ms"), [17, 18, 19]),
        (("--limit", "2"), [0, 1]),
        (("--limit", "0"), []),
        (("--where", "mode=RUN"), [2, 8, 11, 14, 17]),
        (("--where", "mode=RUN", "--last", "2"), [14, 17]),
        (("--where", "mode=RUN", "--limit", "1"), [2]),
        (("--where", "mode=RUN", "--where", "url=NULL"), [2, 14, 17]),
        (("--where", "mode=1"), [2, 8, 11, 14, 17]),
        (("--where", "tick=0x38"), [8]),
        (("--where", "temp=0.75"), [3]),
        (("--where", "url=http://a"), [1, 3]),
        (("--where", f"mono_ns={START_NS + PERIOD}"), [1]),
        (("--where", "temp=1e6"), []),
    ],
)
def test_a_selection(bench: Path, command: Run, arguments: tuple[str, ...], numbers: list[int]) -> None:
    found = lines(command("cat", "small.fastrec", *arguments, "--json"))
    assert [one["seq"] for one in found] == numbers


def test_fields_and_structs_of_fields(bench: Path, command: Run) -> None:
    found = lines(command("cat", "small.fastrec", "--fields", "temp, tick,temp", "--limit", "1", "--json"))
    assert list(found[0]) == ["seq", "time", "temp", "tick"]


def test_many_blocks_are_all_there(two_channels: Path, command: Run) -> None:
    found = lines(command("cat", "large.fastrec", "status", "--fields", "tick", "--json"))
    assert [one["seq"] for one in found] == [*range(2500), *range(2600, 6000)]
    assert all(one["tick"] == one["seq"] * 7 for one in found)
    assert len(command("cat", "large.fastrec", "status", "--limit", "3000").splitlines()) == 3002


def test_holds_show_their_columns(two_channels: Path, command: Run) -> None:
    text = command("cat", "large.fastrec", "held", "--limit", "1").splitlines()
    assert text[0].split() == ["seq", "time", "until_ns", "polls", "max_gap_ns", "level"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name one of its 2 channels: held, status"),
        (("statsu",), "no channel 'statsu'; did you mean 'status'"),
        (("status", "--fields", "tik"), "did you mean 'tick'"),
        (("status", "--where", "tik=1"), "did you mean 'tick'"),
        (("status", "--where", "mode=RNU"), "did you mean 'RUN'"),
        (("status", "--where", "tick=much"), "never 'much'"),
        (("status", "--between", "+0s", "+0s", "--where", "mode=RNU"), "did you mean 'RUN'"),
        (("status", "--between", "noon", "end"), "'noon' is no time"),
        (("status", "--last", "2 parsecs"), "not a duration"),
    ],
)
def test_what_is_not_there(two_channels: Path, refused: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(1, "cat", "large.fastrec", *arguments)


def test_damage_ends_the_listing_with_one_line(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = bench / "small.fastrec/channels/status/records.000000.npy"
    data = bytearray(records.read_bytes())
    data[-40] ^= 1
    records.write_bytes(data)
    assert main(["cat", "small.fastrec", "--fields", "tick"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
