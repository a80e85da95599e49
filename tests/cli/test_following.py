from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import PIPES, child
from recording import samples, writer
from recording.samples import PERIOD, START_NS, held, status

import fastrec as fr
from fastrec.cli import following, main
from fastrec.recording.writing.remains import Remains

Run = Callable[..., str]

CAT = [sys.executable, "-m", "fastrec", "cat", "live.fastrec", "--follow"]


class Live:
    """A recording that grows whenever the command waits; the steps are what happens meanwhile."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.status = samples.small(root)
        self.held = samples.held_channel(self.folder)
        self.held.segment()
        self.lock = writer.hold(root)
        self.steps: list[Callable[[], object]] = []
        self.waited = 0
        self.clean = True
        monkeypatch.setattr(time, "sleep", self.step)

    def step(self, seconds: float) -> None:
        assert seconds == 0.1
        self.waited += 1
        if self.steps:
            self.steps.pop(0)()
        else:
            if self.clean:
                self.folder.close({"status": self.status, "held": self.held})
            os.close(self.lock)

    def rows(self, start: int, stop: int, **more: object) -> Callable[[], object]:
        commit = self.status.segments[-1].commit
        return lambda: commit(start, [status(n) for n in range(start, stop)], **more)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    monkeypatch.chdir(tmp_path)
    return Live(tmp_path / "live.fastrec", monkeypatch)


def test_what_is_there_and_what_comes(live: Live, command: Run) -> None:
    live.steps = [live.rows(20, 22), lambda: None, live.rows(22, 24)]
    text = command("cat", "live.fastrec", "status", "--follow", "--json")
    assert [json.loads(line)["seq"] for line in text.splitlines()] == [*range(5), *range(8, 24)]
    assert live.waited == 4


def test_only_what_comes(live: Live, command: Run) -> None:
    live.steps = [live.rows(20, 22, gaps=[(21, 3, 3, 0, START_NS + 21 * PERIOD, START_NS + 21 * PERIOD)])]
    live.steps += [lambda: live.folder.line("marks.jsonl", mono_ns=START_NS, text="valve", kind="mark")]
    live.steps += [live.rows(22, 23)]
    assert command("cat", "live.fastrec", "status", "--follow", "--last", "0").splitlines() == [
        "seq  time                        tick  mode   temp  url",
        " 20  2026-09-21T16:13:20.020000   140  RUN     5.0  NULL",
        "-- 3 missed at 2026-09-21T16:13:20.021000",
        " 21  2026-09-21T16:13:20.021000   147  FAULT  5.25  NULL",
        '-- mark "valve" at 2026-09-21T16:13:20.000000',
        " 22  2026-09-21T16:13:20.022000   154  IDLE    5.5  NULL",
    ]


def test_conditions_fields_and_a_limit(live: Live, command: Run) -> None:
    live.steps = [live.rows(20, 30), live.rows(30, 40), live.rows(40, 50)]
    wanted = ["--where", "mode=RUN", "--fields", "tick", "--json", "--limit", "6", "--last", "2"]
    text = command("cat", "live.fastrec", "status", "--follow", *wanted)
    assert [json.loads(line)["seq"] for line in text.splitlines()] == [14, 17, 20, 23, 26, 29]
    assert live.waited == 1
    for limit in (0, 3):
        text = command("cat", "live.fastrec", "status", "--follow", "--json", "--limit", limit)
        assert (len(text.splitlines()), live.waited) == (limit, 1)


def test_several_channels(live: Live, command: Run) -> None:
    def both() -> None:
        live.rows(20, 22)()
        live.held.segments[0].commit(0, [held(0), held(1)])

    live.steps = [both, live.rows(22, 23)]
    text = command("cat", "live.fastrec", "--follow", "--last", "0", "--json")
    found = [json.loads(line) for line in text.splitlines()]
    assert [(one["channel"], one["seq"]) for one in found] == [
        ("held", 0),
        ("held", 1),
        ("status", 20),
        ("status", 21),
        ("status", 22),
    ]


def test_a_window_has_a_beginning_only(live: Live, command: Run, refused: Run) -> None:
    live.steps = [live.rows(20, 22)]
    text = command("cat", "live.fastrec", "status", "--follow", "--json", "--between", "+18ms", "end")
    assert [json.loads(line)["seq"] for line in text.splitlines()] == [18, 19, 20, 21]
    wrong = refused(1, "cat", "live.fastrec", "--follow", "--between", "+1ms", "+2ms")
    assert "--follow has no end; write --between START end" in wrong


def test_damage_is_told(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    def damage() -> None:
        live.rows(20, 22)()
        with live.status.segments[0].path("records").open("r+b") as file:
            file.seek(-40, os.SEEK_END)
            file.write(b"\xaa")

    live.steps = [damage]
    assert main(["cat", "live.fastrec", "status", "--follow", "--last", "0"]) == 1
    assert "records 20 to 21 (rows 17 to 18) do not match" in capsys.readouterr().err


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fr.Recorder]:
    monkeypatch.chdir(tmp_path)
    with fr.Recorder("live.fastrec", flush="5ms") as rec:
        rec.add("c", schema=[("tick", "<u4")])
        rec["c"].push(bytes(4))
        yield rec


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_interrupt_ends_it_well(recorder: fr.Recorder, form: list[str]) -> None:
    with child([*CAT, *form], env=os.environ | {"PYTHONUNBUFFERED": ""}, **PIPES) as process:
        if not form:
            assert process.stdout.readline().split() == ["seq", "time", "tick"]
        process.stdout.readline()
        recorder["c"].push(bytes([7, 0, 0, 0]))
        line = process.stdout.readline()  # while it goes on: every part is flushed
        assert json.loads(line)["tick"] == 7 if form else line.split()[2] == "7"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_an_interrupt_of_what_has_an_end_is_told(
    live: Live, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fastrec.cli.cat.say", interrupt)
    assert main(["cat", "live.fastrec"]) == 130
    assert capsys.readouterr().err == "fastrec: interrupted\n"
    assert main(["cat", "live.fastrec", "--follow"]) == 0
    assert capsys.readouterr().err == ""


def test_a_reader_that_has_gone_ends_it_though_nothing_comes(recorder: fr.Recorder) -> None:
    with child([*CAT, "--json"], **PIPES) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_why_it_ends_is_told_where_the_recording_was_not_closed(
    live: Live, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    live.clean, live.steps = False, [live.rows(20, 22)]
    notes = ("7 records of channel 'status' wait in shared memory",)
    monkeypatch.setattr(following, "remains", lambda run: Remains({"status": 7}, {"status": 22}, notes))
    assert main(["cat", "live.fastrec", "status", "--follow", "--json", "--last", "0"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err.splitlines() == [
        f"fastrec: {Path.cwd() / 'live.fastrec'}: nothing more comes: it was not closed: killed, or its"
        " disk took no more; what was committed is whole",
        "fastrec: 7 records of channel 'status' wait in shared memory",
    ]


def test_a_stop_ends_it(recorder: fr.Recorder) -> None:
    with child([*CAT, "--json"], stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        for tick in range(100):
            recorder["c"].push(tick.to_bytes(4, "little"))
        recorder.stop()
        ticks = [json.loads(line)["tick"] for line in process.stdout]
        assert process.wait(60) == 0
    assert ticks == [*range(100)]
