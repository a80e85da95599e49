"""``fastrec diff``: two recordings whose differences are known, in every form, and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from recording.samples import PERIOD, STATUS, held_channel, small, status, status_channel
from recording.writer import CREATED_NS, START_NS, Folder

import fastrec as fr
from fastrec.cli import answers, main

Run = Callable[..., str]
Codes = Callable[..., tuple[int, str, str]]

MS = PERIOD
FAULT, IDLE, RUN = range(3)  # the mode of `status` is that of a number modulo 3


def made(
    path: str, modes: Sequence[int], *, times: Sequence[int] | None = None, lost: Sequence[tuple] = ()
) -> None:
    """A recording of ``status``; losses before the last record by (count, cause, code)."""
    folder = Folder(Path(path))
    folder.session()
    folder.clock(START_NS, CREATED_NS)
    channel = status_channel(folder)
    last = len(modes) - 1
    gaps = [(last, count, cause, code, START_NS, START_NS) for count, cause, code in lost]
    rows = [
        status(mode, stamp=START_NS + at * MS)
        for mode, at in zip(modes, range(len(modes)) if times is None else times, strict=True)
    ]
    channel.segment().commit(0, rows, gaps=gaps)
    folder.close({"status": channel})


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``a.fastrec`` and ``b.fastrec``: a state more, a silence, another loss."""
    monkeypatch.chdir(tmp_path)
    made("a.fastrec", [IDLE, IDLE, IDLE, RUN, RUN, IDLE], lost=[(3, 4, -5)])
    made("b.fastrec", [IDLE, RUN, RUN, RUN, IDLE, FAULT], times=[0, 1, 2, 17, 18, 21], lost=[(1, 3, 0)])
    return tmp_path


@pytest.fixture
def coded(capsys: pytest.CaptureFixture[str]) -> Codes:
    """Runs ``fastrec diff``; its exit code, and what it printed to stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["diff", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


AB = ("a.fastrec", "b.fastrec")

TABLE = """\
channel  kind         field  of                a      b  a relative  b relative     change
status   length                             5 ms  21 ms                          +320.00 %
status   rate                                  6      6    1,000 /s  238.095 /s   -76.19 %
status   unknown                            0 ns  15 ms      0.00 %     71.43 %        new
status   durations    mode   IDLE           3 ms   4 ms     60.00 %     66.67 %   +11.11 %
status   durations    mode   RUN            2 ms   2 ms     40.00 %     33.33 %   -16.67 %
status   durations    mode   FAULT             -   0 ns                  0.00 %        new
status   transitions  mode   IDLE -> RUN       1      1      200 /s  166.667 /s   -16.67 %
status   transitions  mode   RUN -> IDLE       1      1      200 /s  166.667 /s   -16.67 %
status   transitions  mode   IDLE -> FAULT     0      1        0 /s  166.667 /s        new
status   failures            -5                3      0     33.33 %      0.00 %  -100.00 %
status   losses              failed            3      0     33.33 %      0.00 %  -100.00 %
status   losses              missed            0      1      0.00 %     14.29 %        new
"""


def test_table(pair: Path, command: Run) -> None:
    assert command("diff", *AB) == TABLE


def test_what_is_beyond_is_told(pair: Path, coded: Codes) -> None:
    code, out, err = coded(*AB, "--tolerance", "durations=11.2%", "--tolerance", "losses=1")
    assert (code, err) == (1, "")
    heading, *lines = out.splitlines()
    assert heading.endswith("     change  beyond")
    assert [" ".join(line.split()[1:4]) for line in lines if line.endswith("  beyond")] == [
        "durations mode RUN",
        "durations mode FAULT",
        "losses failed 3",
    ]
    assert [line.removesuffix("  beyond").rstrip() for line in out.splitlines()] == TABLE.splitlines()


def test_exit_codes(pair: Path, coded: Codes) -> None:
    assert coded(*AB)[0] == 0  # without a tolerance anything may differ
    assert coded("a.fastrec", "a.fastrec", "--tolerance", "0", "--tolerance", "length=0")[0] == 0
    assert coded(*AB, "--tolerance", "0")[0] == 1
    assert coded(*AB, "--tolerance", "500%")[0] == 1
    # A limit that is reached is not exceeded.
    for kind, at, below in (
        ("losses", "3", "2"),
        ("failures", "3", "2.9"),
        ("failures", "100%", "99.9%"),
        ("unknown", "15ms", "14999999ns"),
        ("length", "320%", "319.99%"),
        ("length", "16ms", "15.9ms"),
        ("transitions", "1", "0"),
        ("durations", "1ms", "999us"),
        ("rate", "76.2%", "76.19%"),
        ("rate", "761.91", "761.9"),
    ):
        assert coded(*AB, "--tolerance", f"{kind}={at}")[0] == 0, (kind, at)
        assert coded(*AB, "--tolerance", f"{kind}={below}")[0] == 1, (kind, below)
    both = [
        f"--tolerance={one}" for one in ("1000%", "durations=5ms", "unknown=5s", "losses=5", "transitions=5")
    ]
    assert coded(*AB, *both)[0] == 0
    assert coded(*AB, *both, "--tolerance", "length=1%")[0] == 1


def test_equal_runs_are_a_heading(pair: Path, command: Run) -> None:
    shutil.copytree("a.fastrec", "c.fastrec")
    assert command("diff", "a.fastrec", "c.fastrec") == (
        "channel  kind  field  of  a  b  a relative  b relative  change\n"
    )
    assert json.loads(command("diff", "a.fastrec", "c.fastrec", "--json"))["differences"] == []
    assert command("diff", "a.fastrec", "c.fastrec", "--csv").count("\n") == 1
    every = command("diff", "a.fastrec", "c.fastrec", "--all", "--tolerance", "0").splitlines()
    assert [line.split()[1] for line in every[1:]] == [
        "store", "length", "rate", "unknown", *["durations"] * 2, *["transitions"] * 2, "failures", "losses",
    ]  # fmt: skip
    assert every[4].split() == [
        "status",
        "unknown",
        "0",
        "ns",
        "0",
        "ns",
        "0.00",
        "%",
        "0.00",
        "%",
        "+0.00",
        "%",
    ]


def test_json(pair: Path, command: Run, coded: Codes) -> None:
    found = json.loads(command("diff", *AB, "--json"))
    rows = found.pop("differences")
    paths = {one: str(pair / f"{one}.fastrec") for one in "ab"}
    assert found == {**paths, "tolerance": [], "beyond": 0}
    expected = fr.diff(*map(fr.open, AB))
    assert [tuple(row) for row in rows] == [expected.dtype.names] * len(expected)
    assert rows[3] == {
        "channel": "status",
        "kind": "durations",
        "field": "mode",
        "of": "IDLE",
        "to": None,
        "a": 3 * MS,
        "b": 4 * MS,
        "a_relative": 3 / 5,
        "b_relative": 4 / 6,
        "change": float(expected["change"][3]),
        "beyond": False,
    }
    alone = rows[5]
    assert (alone["of"], alone["a"], alone["b"]) == ("FAULT", None, 0)
    assert (alone["a_relative"], alone["b_relative"], alone["change"]) == (None, 0.0, None)
    assert (rows[6]["of"], rows[6]["to"], rows[9]["of"]) == ("IDLE", "RUN", -5)
    code, out, _ = coded(*AB, "--json", "--tolerance", "losses=1")
    assert (code, json.loads(out)["beyond"], json.loads(out)["tolerance"]) == (1, 1, ["losses=1"])


def test_csv(pair: Path, command: Run) -> None:
    rows = list(csv.reader(io.StringIO(command("diff", *AB, "--csv"), newline="")))
    assert rows[0] == [
        "channel", "kind", "field", "of", "to", "a", "b", "a_relative", "b_relative", "change", "beyond",
    ]  # fmt: skip
    assert rows[1] == ["status", "length", "", "", "", str(5 * MS), str(21 * MS), "", "", "3.2", "false"]
    assert rows[6] == ["status", "durations", "mode", "FAULT", "", "", "0", "", "0.0", "", "false"]
    assert rows[7][:7] == ["status", "transitions", "mode", "IDLE", "RUN", "1", "1"]
    assert rows[10][:7] == ["status", "failures", "", "-5", "", "3", "0"]


def test_between_is_of_each_run_by_itself(pair: Path, command: Run, coded: Codes) -> None:
    folder = Folder(Path("late.fastrec"))
    folder.session(start=START_NS + 5_000 * MS)
    channel = status_channel(folder)
    stamps = [START_NS + (5_000 + at) * MS for at in range(6)]
    modes = [RUN, IDLE, IDLE, RUN, RUN, FAULT]
    channel.segment().commit(0, [status(mode, stamp=at) for mode, at in zip(modes, stamps, strict=True)])
    folder.close({"status": channel})
    asked = ("a.fastrec", "late.fastrec", "--tolerance", "0", "--tolerance", "length=0")
    assert coded(*asked)[0] == 1
    window = ("--between", "+1ms", "-0ms")
    assert coded(*asked, *window)[0] == 0
    assert "length" in (out := command("diff", *asked, *window, "--all", "--csv"))
    assert f"status,length,,,,{3 * MS},{3 * MS}," in out
    # Of what one run alone has, the other knows no times.
    schema = fr.Schema.from_dtype([("mode", "<i2")], labels={"mode": STATUS.field("mode").labels})
    with fr.Recorder("more.fastrec") as rec:
        for name, start in (("other", 1), ("status", 9)):
            channel = rec.add(name, schema=schema)
            rows = np.zeros(6, schema.dtype)
            rows["mode"] = [1, 0, 0, 1, 1, -1]
            channel.extend(rows, mono_ns=start * 10**9 + np.arange(6) * MS)
    out = command("diff", "a.fastrec", "more.fastrec", *window, "--all", "--csv")
    assert f"status,length,,,,{3 * MS},{3 * MS}," in out
    assert coded(*asked, "--between", "+1ms", "end")[0] == 1
    assert "no time" in coded(*asked, "--between", "+1ms", "soon")[2]


def test_channels_and_fields(pair: Path, command: Run, coded: Codes) -> None:
    folder = Folder(Path("c.fastrec"))
    folder.session()
    folder.clock(START_NS, CREATED_NS)
    channels = {"status": status_channel(folder), "held": held_channel(folder)}
    channels["status"].segment().commit(
        0, [status(mode, stamp=START_NS + n * MS) for n, mode in enumerate([IDLE, RUN])]
    )
    channels["held"].segment()
    folder.close(channels)
    for runs in (("a.fastrec", "c.fastrec"), ("c.fastrec", "a.fastrec")):
        out = command("diff", *runs)
        (line,) = (line.split() for line in out.splitlines() if line.startswith("held"))
        assert line == ["held", "channel", *("missing", "there")[:: -1 if runs[0] == "c.fastrec" else 1]]
        assert coded(*runs, "--tolerance", "losses=9")[0] == 1
        assert coded(*runs, "--tolerance", "losses=9", "--channel", "status")[0] == 0
        only = command("diff", *runs, "--channel", "held", "--csv")
        assert only.count("\n") == 2 and ("true,false" in only) == (runs[0] == "c.fastrec")
    out = command(
        "diff", "a.fastrec", "c.fastrec", "--channel", "status", "--field", "temp", "--field", "url", "--csv"
    )
    fields = {tuple(row[1:3]) for row in csv.reader(io.StringIO(out)) if row[2]}
    assert fields == {
        ("kind", "field"), ("durations", "temp"), ("transitions", "temp"), ("durations", "url"),
    }  # fmt: skip


def test_states_of_every_kind_are_told(tmp_path: Path, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that a terminal would obey, arrays, NaN, NULL; names that a table computes with."""
    monkeypatch.chdir(tmp_path)
    schema = fr.Schema.from_dtype([("gain", "<f4"), ("pos", "<i4", 2), ("tag", "S8")], name="s")
    for name, row in (("a", (np.nan, (1, 2), b"=1+1")), ("b", (0.1, (1, -3), b"\x1b[31m"))):
        with fr.Recorder(f"{name}.fastrec") as rec:
            rows = np.array([row, row], schema.dtype)
            rec.add("c", schema=schema).extend(rows, mono_ns=np.array([1, 2]) * 10**9)
    rows = json.loads(command("diff", *AB, "--field", "pos", "--json"))["differences"]
    assert [row["of"] for row in rows] == [[1, 2], [1, -3]]
    fields = [option for name in ("gain", "pos", "tag") for option in ("--field", name)]
    text = command("diff", *AB, *fields)
    for told in (
        "durations  gain   nan ",
        "gain   0.1 ",
        "pos    [1 2] ",
        "pos    [1 -3] ",
        "tag    \\x1b[31m ",
    ):
        assert told in text
    rows = json.loads(command("diff", *AB, *fields, "--json"))["differences"]
    states = [row["of"] for row in rows if row["kind"] == "durations"]
    assert states == ["NaN", 0.1, [1, 2], [1, -3], "=1+1", "\x1b[31m"]
    found = list(csv.reader(io.StringIO(command("diff", *AB, *fields, "--csv"), newline="")))
    states = [row[3] for row in found if row[1] == "durations"]
    assert states == ["nan", "0.1", "[1 2]", "[1 -3]", "'=1+1", "\x1b[31m"]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "\x1b" not in command("diff", *AB, *fields, "--csv")
    small(Path("small.fastrec"), close=True)
    made("no.fastrec", [IDLE, RUN])
    text = command("diff", "small.fastrec", "no.fastrec", "--field", "url")
    assert "url    NULL -> http://a " in text and "url    NULL " in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("a.fastrec",), 2, "required: B"),
        ((*AB, "--json", "--csv"), 2, "not allowed with"),
        (
            (*AB, "--tolerance", "5"),
            2,
            "argument --tolerance: tolerance '5': without a kind it is a percentage",
        ),
        ((*AB, "--tolerance", "duration=5%"), 2, "no kind 'duration'; did you mean 'durations'"),
        ((*AB, "--tolerance", "losses=5ms"), 2, "'5ms' is neither a percentage, such as 5%, nor a number"),
        ((*AB, "--channel", "statsu"), 1, "neither run has a channel 'statsu'; did you mean 'status'?"),
        ((*AB, "--field", "mod"), 1, "no field 'mod' in status; did you mean 'mode'?"),
        (("a.fastrec", "none.fastrec"), 1, "none.fastrec: there is no such folder"),
        (("none.fastrec", "a.fastrec"), 1, "none.fastrec: there is no such folder"),
    ],
)
def test_what_makes_no_sense(
    pair: Path, refused: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert said in refused(code, "diff", *arguments)


def test_a_folder_may_look_like_a_time(pair: Path, command: Run) -> None:
    Path("b.fastrec").rename("-1")
    assert command("diff", "a.fastrec", "-1") == TABLE


def test_damage_is_told_whatever_the_tolerance(pair: Path, coded: Codes, refused: Run) -> None:
    folder = pair / "b.fastrec/channels/status"
    records, index = folder / "records.000000.npy", folder / "index.000000.npy"
    whole = records.read_bytes()
    records.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
    assert "fastrec recover saves" in refused(1, "diff", *AB)
    records.write_bytes(whole)
    index.write_bytes(index.read_bytes()[:-1])
    for runs in (AB, AB[::-1]):
        code, out, err = coded(*runs)
        assert code == 1 and out.startswith("channel") and "fastrec recover" in err


def test_units_that_a_terminal_would_obey(
    tmp_path: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, unit in (("a", "V"), ("b", "\x1b[31m")):
        schema = fr.Schema.from_dtype([("gain", "<f4")], name="s", units={"gain": unit})
        with fr.Recorder(f"{name}.fastrec") as rec:
            rec.add("c", schema=schema)
    (line,) = command("diff", *AB).splitlines()[1:]
    assert line.split() == ["c", "schema", "gain", "unit", "V", "\\x1b[31m"]


def test_many_blocks_are_one_answer(pair: Path, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_BLOCK", 3)
    found = [line.split() for line in command("diff", *AB).splitlines()]
    assert found[1:] == [line.split() for line in TABLE.splitlines()[1:]]


def test_numbers_of_any_size(pair: Path, command: Run) -> None:
    most = 2**62 - 1
    made("c.fastrec", [IDLE, RUN, IDLE], lost=[(most, 4, code) for code in range(-1, -6, -1)])
    rows = list(csv.reader(io.StringIO(command("diff", "a.fastrec", "c.fastrec", "--csv"), newline="")))
    assert [row[6] for row in rows if row[1:4] == ["losses", "", "failed"]] == [str(5 * most)]


def test_what_zones_and_index_answer_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    modes = [IDLE] * 5_000 + [RUN] * 5_000
    for name in "ab":
        folder = Folder(tmp_path / f"{name}.fastrec")
        folder.session()
        folder.clock(START_NS, CREATED_NS)
        channel = status_channel(folder)
        segment = channel.segment()
        for first in range(0, len(modes), 1024):
            block = range(first, min(first + 1024, len(modes)))
            segment.commit(first, [status(modes[n], stamp=START_NS + n * 1_000) for n in block])
        folder.close({"status": channel})
    path = tmp_path / "b.fastrec/channels/status/records.000000.npy"
    whole = bytearray(path.read_bytes())
    whole[-32 * (len(modes) - 2_500) + 4] ^= 1  # a byte in the middle of IDLE
    path.write_bytes(whole)
    with pytest.raises(fr.CorruptionError):
        fr.open("b.fastrec")["status"]["mode"]
    assert command("diff", *AB, "--tolerance", "0").count("\n") == 1


def test_a_live_recording_is_compared(tmp_path: Path, command: Run) -> None:
    schema = fr.Schema.from_dtype([("mode", "<i4")], labels={"mode": {"IDLE": 0, "RUN": 1}})
    rows = np.array([(0,), (1,), (1,)], schema.dtype)
    with fr.Recorder(tmp_path / "a.fastrec") as rec:
        rec.add("c", schema=schema).extend(rows, mono_ns=np.array([1, 2, 3]) * 10**9)
    with fr.Recorder(tmp_path / "b.fastrec", flush="5ms") as rec:
        channel = rec.add("c", schema=schema)
        channel.extend(rows[:2], mono_ns=np.array([1, 3]) * 10**9)
        while channel.stats.written < 2:
            pass
        text = command("diff", tmp_path / "a.fastrec", tmp_path / "b.fastrec")
        (line,) = (line.split() for line in text.splitlines() if " IDLE " in line and "durations" in line)
        assert " ".join(line) == "c durations mode IDLE 1 s 2 s 50.00 % 100.00 % +100.00 %"
    # One whose recorder died is compared as far as it was written.
    made(str(tmp_path / "x.fastrec"), [IDLE, RUN])
    made(str(tmp_path / "y.fastrec"), [IDLE, RUN])
    (tmp_path / "y.fastrec/closed.json").unlink()
    assert (
        command("diff", tmp_path / "x.fastrec", tmp_path / "y.fastrec", "--tolerance", "0").count("\n") == 1
    )
