"""``fastrec query``: every question in every form, against numbers that are known."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recording.samples import PERIOD, status, status_channel
from recording.writer import CREATED_NS, START_NS, Folder

import fastrec as fr
from fastrec.cli import answers, main, query

Run = Callable[..., str]

MOMENT = "2026-09-21T16:13:20"
MS = PERIOD


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``broken.fastrec``: ``status``, IDLE, RUN from 3 to 5 ms, nothing until 100 ms, RUN, FAULT."""
    monkeypatch.chdir(tmp_path)
    folder = Folder(tmp_path / "broken.fastrec")
    folder.session()
    folder.clock(START_NS, CREATED_NS)
    # The mode is IDLE, RUN, FAULT where the number modulo 3 is 1, 2, 0.
    stamps = [(1, 0), (4, 1), (7, 2), (8, 3), (11, 5), (14, 100), (17, 101), (18, 102)]
    segment = status_channel(folder).segment()
    for number, (seed, at) in enumerate(stamps):
        segment.commit(number, [status(seed, stamp=START_NS + at * MS)])
    return tmp_path


def test_transitions(broken: Path, command: Run) -> None:
    def told(seq: int, at: int, before: str, after: str) -> dict:
        date = f"{MOMENT}.{at:03}000+02:00"
        return {"seq": seq, "time": date, "time_ns": START_NS + at * MS, "from": before, "to": after}

    asked = ("query", "broken.fastrec", "status", "--transitions", "mode")
    assert command(*asked).splitlines() == [
        "seq  time                        from  to",
        f"  3  {MOMENT}.003000  IDLE  RUN",
        f"  7  {MOMENT}.102000  RUN   FAULT",
    ]
    assert json.loads(command(*asked, "--json")) == {
        "channel": "status",
        "field": "mode",
        "unit": "",
        "transitions": [
            told(3, 3, "IDLE", "RUN"),
            told(7, 102, "RUN", "FAULT"),
        ],
    }
    assert rows_of(command(*asked, "--csv")) == [
        ["seq", "time_ns", "from", "to"],
        ["3", str(START_NS + 3 * MS), "IDLE", "RUN"],
        ["7", str(START_NS + 102 * MS), "RUN", "FAULT"],
    ]
    assert [line[-2:] for line in table(command(*asked, "--raw"))[1:]] == [["0", "1"], ["1", "-1"]]
    assert json.loads(command(*asked, "--raw", "--json"))["transitions"][1]["to"] == -1


def test_intervals(broken: Path, command: Run) -> None:
    asked = ("query", "broken.fastrec", "status", "--intervals", "mode")
    heading, *lines = command(*asked).splitlines()
    assert " ".join(heading.split()) == "state start end duration records lost opened by closed by"
    assert lines == [
        f"IDLE   {MOMENT}.000000  {MOMENT}.003000      3 ms        3     0  start      change",
        f"RUN    {MOMENT}.003000  {MOMENT}.005000      2 ms        2     0  change     gap",
        f"RUN    {MOMENT}.100000  {MOMENT}.102000      2 ms        2     0  gap        change",
        f"FAULT  {MOMENT}.102000  {MOMENT}.102000      0 ns        1     0  change     end",
    ]  # fmt: skip
    second = json.loads(command(*asked, "--json"))["intervals"][1]
    assert second == {
        "state": "RUN",
        "start": f"{MOMENT}.003000+02:00",
        "start_ns": START_NS + 3 * MS,
        "end": f"{MOMENT}.005000+02:00",
        "end_ns": START_NS + 5 * MS,
        "duration_ns": 2 * MS,
        "records": 2,
        "polls": 2,
        "lost": 0,
        "opened_by": "change",
        "closed_by": "gap",
    }
    found = rows_of(command(*asked, "--csv", "--limit", 2))
    assert found[0] == [
        "state", "start_ns", "end_ns", "duration_ns", "records", "polls", "lost", "opened_by", "closed_by",
    ]  # fmt: skip
    times = [str(START_NS + 3 * MS), str(START_NS + 5 * MS), str(2 * MS)]
    assert found[2] == ["RUN", *times, "2", "2", "0", "change", "gap"]
    assert len(found) == 3
    assert len(table(command(*asked, "--max-gap", "95ms"))) == 4
    assert len(table(command(*asked, "--max-gap", "1500us"))) == 1 + 5
    assert len(table(command(*asked, "--limit", 0))) == 1


def test_durations_and_what_nobody_knows(broken: Path, command: Run) -> None:
    asked = ("query", "broken.fastrec", "status", "--durations", "mode")
    assert command(*asked).splitlines() == [
        "state      duration  intervals  records    share",
        "IDLE           3 ms          1        3   2.94 %",
        "RUN            4 ms          2        4   3.92 %",
        "FAULT          0 ns          1        1   0.00 %",
        "(unknown)     95 ms          1        0  93.14 %",
    ]
    found = json.loads(command(*asked, "--json"))["durations"]
    assert [(one["state"], one["known"], one["duration_ns"]) for one in found] == [
        ("IDLE", True, 3 * MS),
        ("RUN", True, 4 * MS),
        ("FAULT", True, 0),
        (None, False, 95 * MS),
    ]
    assert found[1]["share"] == 4 / 102
    assert rows_of(command(*asked, "--csv"))[::2] == [
        ["state", "known", "duration_ns", "intervals", "records", "share"],
        ["RUN", "true", str(4 * MS), "2", "4", str(4 / 102)],
        ["", "false", str(95 * MS), "1", "0", str(95 / 102)],
    ]
    assert "(unknown)" in command(*asked, "--raw", "--max-gap", "0")
    assert json.loads(command(*asked, "--raw", "--json"))["durations"][3]["state"] is None
    assert "(unknown)" not in command(*asked, "--max-gap", "1s")


def test_counts_of_records_and_polls(two_channels: Path, bench: Path, command: Run) -> None:
    found = fr.open("large.fastrec")["held"].counts("level")
    text = table(command("query", "large.fastrec", "held", "--counts", "level"))
    assert text == [["state", "records", "polls"], *([str(one) for one in row] for row in found.tolist())]
    assert table(command("query", "small.fastrec", "--counts", "url")) == [
        ["state", "records"],
        ["NULL", "11"],
        ["http://a", "2"],
        ["\\udcff€", "4"],
    ]
    listed = json.loads(command("query", "small.fastrec", "--counts", "url", "--json"))["counts"]
    assert [one["state"] for one in listed] == [None, "http://a", "\\udcff€"]


def test_stats(bench: Path, command: Run) -> None:
    assert table(command("query", "small.fastrec", "--stats")) == [
        ["field", "unit", "count", "nan", "min", "max", "mean"],
        ["tick", "17", "0", "0", "133", "70.82352941"],
        ["mode", "17", "0", "-1", "1", "-0.05882352941"],
        ["temp", "17", "0", "0", "4.75", "2.529411765"],
    ]
    found = json.loads(command("query", "small.fastrec", "--json", "--stats", "mono_ns", "temp"))
    assert found["stats"][0]["max"] == START_NS + 19 * MS
    last = {"field": "temp", "unit": "", "count": 17, "nan": 0, "min": 0.0, "max": 4.75, "mean": 43 / 17}
    assert found == {"channel": "status", "stats": [found["stats"][0], last]}
    nothing = ("query", "small.fastrec", "--where", "tick < 0", "--stats", "temp")
    assert table(command(*nothing))[1] == ["temp", "0", "0", "-", "-", "-"]
    assert rows_of(command(*nothing, "--csv"))[1] == ["temp", "", "0", "0", "", "", ""]
    (one,) = json.loads(command(*nothing, "--json"))["stats"]
    assert (one["count"], one["min"], one["max"], one["mean"]) == (0, None, None, None)


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fr.Schema:
    """``odd.fastrec``: units and scales, narrow floats, NaN, arrays, bytes that a terminal would obey."""
    monkeypatch.chdir(tmp_path)
    described = [("temp", ">i2"), ("gain", "<f4"), ("pos", "<i4", 2), ("tag", "S8"), ("most", "<u8")]
    schema = fr.Schema.from_dtype(described, name="s", units={"temp": "degC", "gain": "dB"})
    schema = schema.with_field("temp", scale=0.1)
    with fr.Recorder("odd.fastrec") as rec:
        rows = [(15, 0.1, (1, 2), b'=a,"b"', 2**64 - 1), (20, np.nan, (1, -3), b"\x1b[31m", 2**64 - 2)]
        rec.add("c", schema=schema).extend(np.array(rows, schema.dtype))
    return schema


def test_units_arrays_and_texts(odd: fr.Schema, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("query", "odd.fastrec", "--counts", "temp").split("\n")[0].startswith("state (degC)")
    assert table(command("query", "odd.fastrec", "--counts", "temp"))[1:] == [["1.5", "1"], ["2.0", "1"]]
    found = json.loads(command("query", "odd.fastrec", "--counts", "temp", "--raw", "--json"))
    assert (found["unit"], [one["state"] for one in found["counts"]]) == ("", [15, 20])
    (first, second) = json.loads(command("query", "odd.fastrec", "--counts", "gain", "--json"))["counts"]
    assert (first["state"], second["state"]) == (0.1, "NaN")
    assert table(command("query", "odd.fastrec", "--counts", "pos"))[1][:2] == ["[1", "2]"]
    text = command("query", "odd.fastrec", "--transitions", "pos", "--csv").splitlines()
    assert text[0] == "seq,time_ns,from[0],from[1],to[0],to[1]" and text[1].endswith(",1,2,1,-3")
    found = json.loads(command("query", "odd.fastrec", "--transitions", "pos", "--json"))
    assert found["transitions"][0]["to"] == [1, -3]
    assert table(command("query", "odd.fastrec", "--counts", "pos[1]"))[1:] == [["2", "1"], ["-3", "1"]]
    assert "\\x1b[31m" in command("query", "odd.fastrec", "--counts", "tag")
    asked = ("query", "odd.fastrec", "--counts", "tag", "--csv")
    assert rows_of(command(*asked))[1:] == [['\'=a,"b"', "1", "1"], ["\x1b[31m", "1", "1"]]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert command(*asked).splitlines()[2] == "\\x1b[31m,1,1"


def test_ends_have_the_digits_that_they_need(odd: fr.Schema, command: Run) -> None:
    found = json.loads(command("query", "odd.fastrec", "--stats", "--json"))["stats"]
    ends = {one["field"]: (one["unit"], one["count"], one["nan"], one["min"], one["max"]) for one in found}
    assert ends == {
        "temp": ("degC", 2, 0, 1.5, 2.0),
        "gain": ("dB", 1, 1, 0.1, 0.1),
        "most": ("", 2, 0, 2**64 - 2, 2**64 - 1),
    }
    text = rows_of(command("query", "odd.fastrec", "--csv", "--stats", "most", "gain"))
    assert [row[4:6] for row in text[1:]] == [[str(2**64 - 2), str(2**64 - 1)], ["0.1", "0.1"]]
    assert str(2**64 - 1) in command("query", "odd.fastrec", "--stats", "most")


def test_how_many_there_are(bench: Path, two_channels: Path, command: Run) -> None:
    assert command("query", "small.fastrec", "--where", "tick > 7", "--where", "mode=RUN").splitlines() == [
        "records  5",
        f"start    {MOMENT}.002000",
        f"end      {MOMENT}.017000",
        "length   15 ms",
        "lost     4: overwritten 3 (1 gap), failed 1 (1 gap)",
    ]
    assert json.loads(command("query", "small.fastrec", "--between", "+6ms", "+9ms", "--json")) == {
        "channel": "status",
        "records": 1,
        "polls": 1,
        "start": f"{MOMENT}.008000+02:00",
        "end": f"{MOMENT}.008000+02:00",
        "start_ns": START_NS + 8 * MS,
        "end_ns": START_NS + 8 * MS,
        "duration_ns": 0,
        "lost": {"overwritten": {"count": 3, "gaps": 1}},
    }
    assert command("query", "small.fastrec", "--csv").splitlines() == [
        "records,polls,start_ns,end_ns,duration_ns,lost",
        f"17,17,{START_NS},{START_NS + 19 * MS},{19 * MS},4",
    ]
    assert "polls    5,120" in command("query", "large.fastrec", "held")
    assert command("query", "small.fastrec", "--where", "tick<0", "--csv").endswith("\n0,0,,,,4\n")
    assert command("query", "small.fastrec", "--where", "tick<0").startswith("records  0\nlost ")


@pytest.mark.parametrize(
    ("question", "heading"),
    [
        ("transitions", "seq  time  from  to"),
        ("intervals", "state  start  end  duration  records  lost  opened by  closed by"),
        ("durations", "state  duration  intervals  records  share"),
        ("counts", "state  records"),
    ],
)
def test_nothing_is_an_answer(bench: Path, command: Run, question: str, heading: str) -> None:
    for field in ("mode", "url", "mono_ns"):
        asked = ("query", "small.fastrec", f"--{question}", field, "--where", "tick < 0")
        assert command(*asked) == heading + "\n"
        assert json.loads(command(*asked, "--json"))[question] == []
        assert command(*asked, "--csv").count("\n") == 1


def test_many_blocks_are_one_answer(
    two_channels: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "_BLOCK", 7)
    asked = ("query", "large.fastrec", "status", "--transitions", "tick", "--limit", 30)
    found = fr.open("large.fastrec")["status"].transitions("tick")[:30]
    for read in (
        [int(row[0]) for row in table(command(*asked))[1:]],
        [one["seq"] for one in json.loads(command(*asked, "--json"))["transitions"]],
        [int(row[0]) for row in rows_of(command(*asked, "--csv"))[1:]],
    ):
        assert read == found["seq"].tolist()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("statsu", "--counts", "mode"), "no channel 'statsu'; did you mean 'status'?"),
        ((), "name one of its 2 channels: held, status"),
        (("status", "--counts", "mod"), "'status' has no field 'mod'; did you mean 'mode'?"),
        (("status", "--stats", "tick", "url"), "'url' is no number"),
        (("status", "--where", "mode == RNU", "--counts", "mode"), "at column 9: there is no label 'RNU'"),
        (("status", "--intervals", "mode", "--max-gap", "5 parsecs"), "not a duration"),
        (("status", "--counts", "mode", "--max-gap", "5ms"), "--max-gap is of --intervals and --durations"),
        (("status", "--raw", "--stats"), "--raw is of states; ask one of --transitions"),
    ],
)
def test_what_makes_no_sense(two_channels: Path, refused: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(1, "query", "large.fastrec", *arguments)


def test_one_question_and_one_form_at_a_time(refused: Run) -> None:
    assert "not allowed with" in refused(2, "query", "x", "--counts", "a", "--stats")
    assert "not allowed with" in refused(2, "query", "x", "--json", "--csv")


def test_damage_is_one_line(bench: Path, refused: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = bench / "small.fastrec/channels/status"
    whole = (folder / "records.000000.npy").read_bytes()
    (folder / "records.000000.npy").write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
    for asked in ("--transitions", "--intervals", "--durations", "--counts", "--stats"):
        assert "fastrec recover saves" in refused(1, "query", "small.fastrec", asked, "temp")
    (folder / "records.000000.npy").write_bytes(whole)
    index = folder / "index.000000.npy"
    index.write_bytes(index.read_bytes()[:-1])
    assert main(["query", "small.fastrec", "--counts", "mode"]) == 1
    out, error = capsys.readouterr()
    assert out.startswith("state") and "fastrec recover" in error


def test_a_live_recording_is_asked(tmp_path: Path, command: Run) -> None:
    schema = fr.Schema.from_dtype([("mode", "<i4")], labels={"mode": {"IDLE": 0, "RUN": 1}})
    with fr.Recorder(tmp_path / "x.fastrec", flush="5ms") as rec:
        channel = rec.add("c", schema=schema)
        channel.extend(np.array([(0,), (1,), (1,)], schema.dtype))
        while channel.stats.written < 3:
            pass
        text = table(command("query", tmp_path / "x.fastrec", "c", "--counts", "mode"))
        assert text[1:] == [["IDLE", "1"], ["RUN", "2"]]


def test_a_reader_that_leaves_and_an_interrupt(
    two_channels: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "fastrec", "query", "large.fastrec", "status", "--transitions", "tick"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout.readline().split() == ["seq", "time", "from", "to"]
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(60) == 0

    def interrupt(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(query, "show", interrupt)
    assert main(["query", "large.fastrec", "status", "--counts", "mode"]) == 130
    assert capsys.readouterr() == ("", "fastrec: interrupted\n")
