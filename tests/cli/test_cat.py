from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recording.samples import PERIOD, held, held_channel, status, status_channel
from recording.writer import CREATED_NS, START_NS, Folder

import fastrec as fr
from fastrec.cli import main
from fastrec.recording.chunk import SegmentChunk

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
    text = command("cat", "large.fastrec", "status", "--limit", "3000").splitlines()
    assert len(text) == 3003 and sum(line.startswith("-- ") for line in text) == 2  # a mark and a loss


def test_holds_show_their_columns(two_channels: Path, command: Run) -> None:
    text = command("cat", "large.fastrec", "held", "--limit", "2").splitlines()
    assert text[0].split() == ["seq", "time", "until_ns", "polls", "max_gap_ns", "level"]
    row = fr.open("large.fastrec")["held"][1]
    began, ended = text[-1].split()[1:3]
    lasted = dt.datetime.fromisoformat(ended) - dt.datetime.fromisoformat(began)
    assert lasted == dt.timedelta(microseconds=int(row["until_ns"] - row["mono_ns"]) // 1000)
    assert text[-1].split()[3:6] == [str(row["polls"]), "1", "ms"]
    text = command("cat", "large.fastrec", "held", "--limit", "2", "--raw").splitlines()
    assert text[-1].split()[1:5] == [
        str(row[name]) for name in ("mono_ns", "until_ns", "polls", "max_gap_ns")
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("statsu",), "no channel 'statsu'; did you mean 'status'"),
        (("status", "--fields", "tik"), "did you mean 'tick'"),
        (("status", "--where", "tik=1"), "did you mean 'tick'"),
        (("status", "--where", "mode=RNU"), "did you mean 'RUN'"),
        (("status", "--where", "tick=much"), "never 'much'"),
        (("status", "--between", "+0s", "+0s", "--where", "mode=RNU"), "did you mean 'RUN'"),
        (("status", "--between", "noon", "end"), "'noon' is no time"),
        (("status", "--last", "2 parsecs"), "not a duration"),
        (("status", "--last", "²"), "not a duration"),
        (("status", "--last", "9" * 5000), "not a duration"),
        (("--fields", "tik"), "no field 'tik' in held, status; did you mean 'tick'"),
        (("--where", "tik=1"), "no field 'tik' in held, status; did you mean 'tick'"),
        (("--where", "mode=RNU"), "did you mean 'RUN'"),
        (("--where", "level=1", "--where", "tick=1"), "none of held, status has all the fields level, tick"),
        (("held", "statsu"), "no channel 'statsu'; did you mean 'status'"),
    ],
)
def test_what_is_not_there(two_channels: Path, refused: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(1, "cat", "large.fastrec", *arguments)


MOMENT = "2026-09-21T16:13:20"


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``plant.fastrec``: ``status`` every ms from 0 on, 5 to 7 lost; ``held`` every 10 ms; two marks."""
    monkeypatch.chdir(tmp_path)
    folder = Folder(tmp_path / "plant.fastrec")
    folder.session()
    folder.clock(START_NS, CREATED_NS)
    segment = status_channel(folder).segment()
    segment.commit(0, [status(n) for n in range(5)], texts=[])
    lost = (5, 3, 1, 0, START_NS + 5 * PERIOD, START_NS + 7 * PERIOD)
    segment.commit(8, [status(n) for n in range(8, 20)], gaps=[lost])
    segment.commit(20, [], gaps=[(20, 4, 4, -5, START_NS + 25 * PERIOD, START_NS + 29 * PERIOD)])
    other = held_channel(folder).segment()
    other.commit(0, [held(n) for n in range(4)])
    folder.line("marks.jsonl", mono_ns=START_NS + 22 * PERIOD, text="later", kind="mark")
    folder.line("marks.jsonl", mono_ns=START_NS + 3 * PERIOD, text="valve\n\x1b[31m", kind="mark")
    return tmp_path


def test_several_channels_are_merged(plant: Path, command: Run) -> None:
    assert command("cat", "plant.fastrec", "--fields", "tick,level,mode").splitlines() == [
        f"{MOMENT}.000000  held    level=0.0",
        f"{MOMENT}.000000  status  tick=0  mode=FAULT",
        f"{MOMENT}.001000  status  tick=7  mode=IDLE",
        f"{MOMENT}.002000  status  tick=14  mode=RUN",
        f'-- mark "valve\\n\\x1b[31m" at {MOMENT}.003000',
        f"{MOMENT}.003000  status  tick=21  mode=FAULT",
        f"{MOMENT}.004000  status  tick=28  mode=IDLE",
        f"-- status: 3 overwritten at {MOMENT}.005000 within 2 ms",
        f"{MOMENT}.008000  status  tick=56  mode=RUN",
        f"{MOMENT}.009000  status  tick=63  mode=FAULT",
        f"{MOMENT}.010000  held    level=1.0",
        *(f"{MOMENT}.0{n}000  status  tick={n * 7}  mode={('IDLE', 'RUN', 'FAULT')[n % 3 - 1]}"
          for n in range(10, 20)),
        f"{MOMENT}.020000  held    level=2.0",
        f'-- mark "later" at {MOMENT}.022000',
        f"-- status: 4 failed, code -5 at {MOMENT}.025000 within 4 ms",
        f"{MOMENT}.030000  held    level=3.0",
    ]  # fmt: skip


def test_merged_json_names_the_channel(plant: Path, command: Run) -> None:
    found = lines(command("cat", "plant.fastrec", "--json"))
    assert [one["mono_ns"] for one in found] == sorted(one["mono_ns"] for one in found)
    assert len(found) == 21 and {next(iter(one)) for one in found} == {"channel"}
    for channel in ("held", "status"):
        mine = [
            {key: one[key] for key in one if key != "channel"} for one in found if one["channel"] == channel
        ]
        assert mine == lines(command("cat", "plant.fastrec", channel, "--json"))


def test_channels_that_are_named(plant: Path, command: Run) -> None:
    """Equal stamps come in the order in which they are named; one alone looks as it does by itself."""
    found = lines(command("cat", "plant.fastrec", "status", "held", "status", "--json", "--limit", "2"))
    assert [(one["channel"], one["seq"]) for one in found] == [("status", 0), ("held", 0)]
    assert command("cat", "plant.fastrec", "held").startswith("seq  time")
    assert "channel" not in lines(command("cat", "plant.fastrec", "held", "--json"))[0]


def test_marks_and_losses_in_a_table(plant: Path, command: Run) -> None:
    text = command("cat", "plant.fastrec", "status", "--fields", "tick").splitlines()
    notes = [(place, line.split()[1]) for place, line in enumerate(text) if line.startswith("-- ")]
    # Below the heading and records 0 to 2; behind 4; behind the last.
    assert notes == [(4, "mark"), (7, "3"), (20, "mark"), (21, "4")]


@pytest.mark.parametrize(
    ("arguments", "numbers", "marks"),
    [
        (("--last", "3"), [("status", 19), ("held", 2), ("held", 3)], 1),
        (("--last", "0"), [], 0),
        (("--last", "99"), None, 2),
        (("--last", "13ms"), [("status", 19), ("held", 2), ("held", 3)], 1),  # the last hold ends at 32 ms
        (("--between", "+1ms", "+4ms"), [("status", n) for n in (1, 2, 3)], 1),
        (("--between", "+9ms", "+11ms"), [("status", 9), ("held", 1), ("status", 10)], 0),
        (("--between", "-3ms", "end"), [("held", 3)], 0),
        (("--between", "start", "+20ms", "--last", "1"), [("status", 19)], 0),
        (("--between", "start", "+11ms", "--last", "2ms"), [("held", 1), ("status", 10)], 0),
        (("--between", "start", f"{MOMENT}.001"), [("held", 0), ("status", 0)], 0),
        (("--where", "mode=RUN", "--limit", "2"), [("status", 2), ("status", 8)], 0),
        (("--where", "level=2"), [("held", 2)], 0),
        (("--where", "mode=RUN", "--last", "2"), [("status", 14), ("status", 17)], 0),
        (("--where", f"mono_ns={START_NS}"), [("held", 0), ("status", 0)], 0),
        (("--fields", "level"), [("held", n) for n in range(4)], 2),
        (("--limit", "3"), [("held", 0), ("status", 0), ("status", 1)], 0),
        (("--limit", "0"), [], 0),
    ],
)
def test_a_selection_of_the_merge(
    plant: Path, command: Run, arguments: tuple[str, ...], numbers: list[tuple[str, int]] | None, marks: int
) -> None:
    everything = [(one["channel"], one["seq"]) for one in lines(command("cat", "plant.fastrec", "--json"))]
    found = lines(command("cat", "plant.fastrec", *arguments, "--json"))
    assert [(one["channel"], one["seq"]) for one in found] == (everything if numbers is None else numbers)
    text = command("cat", "plant.fastrec", *arguments).splitlines()
    assert sum(line.startswith("-- mark") for line in text) == marks
    assert sum(not line.startswith("-- ") for line in text) == len(found)


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (("--between", "+6ms", "+16ms"), [10, 15]),
        (("--between", "-6ms", "end"), [20, 25]),
        (("--last", "6ms"), [20, 25]),
    ],
)
def test_times_are_relative_to_all_channels(
    tmp_path: Path, command: Run, arguments: tuple[str, ...], values: list[int]
) -> None:
    """To the start of the first, and to the end of the last."""
    schema = fr.Schema.from_dtype([("n", "<u4")], name="s")
    with fr.Recorder(tmp_path / "x.fastrec") as rec:
        for name, milliseconds in (("a", [5, 15, 25]), ("b", [0, 10, 20])):
            stamps = np.array(milliseconds) * PERIOD + START_NS
            rec.add(name, schema=schema).extend(np.array(milliseconds, "<u4").view(schema.dtype), stamps)
    found = lines(command("cat", tmp_path / "x.fastrec", *arguments, "--json"))
    assert [one["n"] for one in found] == values


def test_channels_of_different_clocks_and_of_no_records(tmp_path: Path, command: Run) -> None:
    schema = fr.Schema.from_dtype([("n", "<u4")], name="s")
    with fr.Recorder(tmp_path / "x.fastrec") as rec:
        for name, start in (("boot", START_NS), ("epoch", CREATED_NS)):
            rows = np.arange(100, dtype="<u4").view(schema.dtype)
            rec.add(name, schema=schema).extend(rows, start + np.arange(100) * PERIOD)
        rec.add("empty", schema=schema)
    for arguments, expected in (
        (("--last", "2ms"), [("epoch", n) for n in (97, 98, 99)]),
        (("--between", "+98ms", "-98ms"), [("boot", 98), ("boot", 99), ("epoch", 0)]),
        (("--between", str(START_NS + PERIOD), "+3ms"), [("boot", 1), ("boot", 2)]),
    ):
        found = lines(command("cat", tmp_path / "x.fastrec", *arguments, "--json"))
        assert [(one["channel"], one["n"]) for one in found] == expected


def test_a_loss_stands_at_its_time_among_others(tmp_path: Path, command: Run) -> None:
    """Long before the next record of its channel."""
    folder = Folder(tmp_path / "x.fastrec")
    folder.session()
    folder.clock(START_NS, CREATED_NS)
    held_channel(folder).segment().commit(0, [held(n) for n in range(3)])
    segment = status_channel(folder).segment()
    segment.commit(0, [status(0)])
    lost = (1, 3, 4, -5, START_NS + 5 * PERIOD, START_NS + 5 * PERIOD)
    segment.commit(1, [status(1, stamp=START_NS + 15 * PERIOD)], gaps=[lost])
    found = command("cat", tmp_path / "x.fastrec").splitlines()
    assert [line.split()[1] for line in found] == ["held", "status", "status:", "held", "status", "held"]


def test_units_and_raw_values(tmp_path: Path, command: Run) -> None:
    schema = fr.Schema.from_dtype(
        np.dtype([("temp", "<i4"), ("seq", "<u2"), ("channel", "S4")]), name="s", units={"temp": "degC"}
    ).with_field("temp", scale=0.5)
    with fr.Recorder(tmp_path / "u.fastrec") as rec:
        for name in ("a", "b"):
            rec.add(name, schema=schema).push(np.array((5, 7, b"in"), schema.dtype))
    text = command("cat", tmp_path / "u.fastrec").splitlines()
    assert [line.split("  ")[1:] for line in text] == [
        [name, "temp=2.5 degC", "seq=7", "channel=in"] for name in ("a", "b")
    ]
    stamp, *rest = command("cat", tmp_path / "u.fastrec", "--raw").splitlines()[0].split("  ")
    assert stamp.isdigit() and rest == ["a", "temp=5", "seq=7", "channel=in"]
    assert "temp (degC)" in command("cat", tmp_path / "u.fastrec", "a")
    assert "degC" not in command("cat", tmp_path / "u.fastrec", "a", "--raw")
    # A field keeps its name, as in every file that is exported; ours gives way.
    (one, _) = lines(command("cat", tmp_path / "u.fastrec", "--json"))
    assert (one["channel"], one["seq"], one["seq_"], one["channel_"]) == ("in", 7, 0, "a")


def test_nothing_but_losses(tmp_path: Path, command: Run) -> None:
    folder = Folder(tmp_path / "x.fastrec")
    folder.session()
    folder.clock(START_NS, CREATED_NS)
    for name in ("a", "b"):
        segment = status_channel(folder, name).segment()
        segment.commit(0, [], gaps=[(0, 6, 4, -1, START_NS + 9, START_NS + 9)])
    assert [line[:14] for line in command("cat", tmp_path / "x.fastrec").splitlines()] == [
        "-- a: 6 failed",
        "-- b: 6 failed",
    ]
    assert command("cat", tmp_path / "x.fastrec", "a").startswith("-- 6 failed, code -1 at")
    assert command("cat", tmp_path / "x.fastrec", "--json") == ""


def test_a_merge_is_printed_as_it_is_read(two_channels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8,000 records no more than the parts at hand are read for the first lines."""
    read = []
    rows = SegmentChunk.rows

    def count(chunk: SegmentChunk, start: int, stop: int) -> np.ndarray:
        read.append(stop - start)
        return rows(chunk, start, stop)

    monkeypatch.setattr(SegmentChunk, "rows", count)
    assert main(["cat", "large.fastrec", "--limit", "10"]) == 0
    assert 10 <= max(read) <= 64


def test_damage_ends_the_listing_with_one_line(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = bench / "small.fastrec/channels/status/records.000000.npy"
    data = bytearray(records.read_bytes())
    data[-40] ^= 1
    records.write_bytes(data)
    assert main(["cat", "small.fastrec", "--fields", "tick"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_damage_in_a_merge_is_told_as_well(two_channels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = two_channels / "large.fastrec/channels/status/records.000002.npy"
    data = bytearray(records.read_bytes())
    data[-40] ^= 1
    records.write_bytes(data)
    assert main(["cat", "large.fastrec", "--json"]) == 1
    out, error = capsys.readouterr()
    assert len(lines(out)) > 5000 and error.count("\n") == 1
    index = two_channels / "large.fastrec/channels/held/index.000000.npy"
    index.write_bytes(index.read_bytes()[:-1])
    assert main(["cat", "large.fastrec", "--limit", "1"]) == 1
    out, error = capsys.readouterr()
    assert out and "channels/held" in error


def test_a_pause_is_told_in_words(tmp_path: Path, command: Run) -> None:
    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        rec.add("cpu", "linux:rusage", rate=1000)
        with rec.thread("main").paused():
            time.sleep(0.02)
    assert " missed while paused at " in command("cat", tmp_path / "run.fastrec")


def recorded(
    root: Path, channels: dict[str, list[int]], zone: str = "+02:00", real: int = CREATED_NS
) -> None:
    """A recording with these stamps, in ms, as a producer may have made them."""
    folder = Folder(root, timezone=zone)
    folder.session()
    folder.clock(START_NS, real)
    written = {}
    for name, stamps in channels.items():
        written[name] = status_channel(folder, name)
        rows = [status(seq, stamp=START_NS + stamp * 1_000_000) for seq, stamp in enumerate(stamps)]
        written[name].segment().commit(0, rows)
    folder.close(written)


@pytest.mark.parametrize("count", range(1, 9))
def test_the_newest_of_a_merge_are_its_last(tmp_path: Path, command: Run, count: int) -> None:
    """Also where a producer's stamps run backwards: what is late has its place behind what was before it."""
    recorded(tmp_path / "x.fastrec", {"a": [0, 100, 400, 10, 20], "b": [5, 200, 300]})
    whole = lines(command("cat", tmp_path / "x.fastrec", "--json"))
    assert lines(command("cat", tmp_path / "x.fastrec", "--json", "--last", count)) == whole[-count:]


@pytest.mark.parametrize(
    ("begin", "end", "wanted"),
    [
        ("0001-01-01", "9999-12-30", 4),
        ("start", "9999-12-30", 4),
        ("2026-09-21T16:13:20.110", "end", 3),
        ("2026-09-21T16:13:20.110", "2026-09-21T16:13:20.350", 2),
    ],
)
def test_windows_of_odd_channels(tmp_path: Path, command: Run, begin: str, end: str, wanted: int) -> None:
    """Windows of a thousand years, and a channel that ends before it began."""
    recorded(tmp_path / "x.fastrec", {"a": [300, 400, 100, 120]})
    assert len(lines(command("cat", tmp_path / "x.fastrec", "--json", "--between", begin, end))) == wanted


def test_the_hour_that_comes_twice(tmp_path: Path, command: Run) -> None:
    """The dates that are printed lead back to their records."""
    second = int(dt.datetime(2025, 10, 26, 1, 10, tzinfo=dt.UTC).timestamp()) * 1_000_000_000
    run = tmp_path / "x.fastrec"
    recorded(run, {"a": [0, 1000, 2000]}, "Europe/Berlin", second)
    (printed,) = [line.split()[1] for line in command("cat", run).splitlines() if "02:10:01" in line]
    assert printed == "2025-10-26T02:10:01.000000+01:00"
    for begin in (printed, "02:10:01"):
        found = lines(command("cat", run, "--json", "--between", begin, "end"))
        assert [one["seq"] for one in found] == [1, 2]


def test_units_are_shown_and_not_obeyed(tmp_path: Path, command: Run) -> None:
    schema = fr.Schema.from_dtype([("x", "<i4")], name="s", units={"x": "\x1b[31mred\u202e"})
    with fr.Recorder(tmp_path / "u.fastrec") as rec:
        for name in ("a", "b"):
            rec.add(name, schema=schema).push(bytes(4))
    for text in (command("cat", tmp_path / "u.fastrec"), command("cat", tmp_path / "u.fastrec", "a")):
        assert "\\x1b[31mred\\u202e" in text and text.replace("\n", "").isprintable()
