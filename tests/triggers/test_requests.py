"""Requests from other processes: who is answered, what is said, what is left behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from triggers.simulated import ROW
from waiting import until

import fastrec as fr
from fastrec.triggers import requests
from fastrec.triggers.requests import Requests, address, ask


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path, flush="1ms", durability=None) as rec:
        rec.add("c", schema=ROW)
        yield path


def connected(root: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    end.connect(address(os.stat(root / "recording.json")))  # no time limit: it waits where many connect
    end.settimeout(30)
    return end


def test_marks_and_firings_come_from_any_process(tmp_path: Path) -> None:
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path, flush="1ms") as rec:
        rec.add("c", schema=ROW)
        code = "import sys; from pathlib import Path; from fastrec.triggers.requests import ask\n"
        code += "path = Path(sys.argv[1]); print(ask(path, 'mark', 'valve \\udcff'))\n"
        code += "print(ask(path, 'fire', 'noise', pre='1ms', post='1ms'))"
        done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
        times = [int(line) for line in done.stdout.split()]
        assert [tuple(mark) for mark in rec.marks] == [
            (times[0], "valve \udcff", "mark"),
            (times[1], "noise", "fire"),
        ]
    assert [one.marks[-1].text for one in fr.open(path).windows.values()] == ["noise"]


def test_the_socket_is_no_file_and_goes_with_the_recorder(tmp_path: Path) -> None:
    """Who copies or packs the folder of a recorder meets files alone; nothing of it is left."""
    path = tmp_path / "run.fastrec"
    for resume in (False, True):
        with fr.Recorder(path, flush="1ms", resume=resume) as rec:
            rec.add("c", schema=ROW)
            assert ask(path, "mark", "m") == rec.marks[-1].mono_ns
            assert all(one.is_file() or one.is_dir() for one in path.rglob("*"))
            run = fr.open(path)
            assert (run.state, run.problems, run.verify().problems) == ("live", [], [])
        with pytest.raises(fr.RecordingError, match=r"run\.fastrec: nobody records to it$"):
            ask(path, "mark", "m")


def test_each_recorder_has_its_own(tmp_path: Path) -> None:
    paths = [tmp_path / "one.fastrec", tmp_path / "other.fastrec"]
    with fr.Recorder(paths[0]) as one, fr.Recorder(paths[1]) as other:
        for number, path in enumerate((*paths, *paths)):
            ask(path, "mark", str(number))
    assert [[mark.text for mark in rec.marks] for rec in (one, other)] == [["0", "2"], ["1", "3"]]


def test_what_cannot_be_asked(run: Path) -> None:
    with pytest.raises(fr.RecordingError, match="too long to be sent"):
        ask(run, "mark", "x" * 70_000)
    with pytest.raises(fr.RecordingError, match="its recorder refused: pre='soon'; it is a duration"):
        ask(run, "fire", "why", pre="soon")
    with pytest.raises(fr.RecordingError, match="refused: channels=5; it is a list of names"):
        ask(run, "fire", "why", channels=5)
    for what, options in (("dance", {}), ("mark", {"pre": "1s"})):
        with pytest.raises(fr.RecordingError, match="refused: this recorder does not know what is asked"):
            ask(run, what, "why", **options)


@pytest.mark.parametrize(
    "packet", [b"", b"\xff", b"[]", b"7", b'{"ask": []}', b"[" * 60_000, b'{"ask": "mark"}']
)
def test_what_is_no_request(run: Path, packet: bytes) -> None:
    """Whoever sends it is told, or not even that; the next one is answered."""
    with connected(run) as end:
        if packet:
            end.send(packet)
            assert "does not know" in json.loads(end.recv(65_536))["error"]
    assert ask(run, "mark", "m")


def test_who_asks_nothing_is_left(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_PATIENCE", 0.05)
    with connected(run) as silent:
        assert silent.recv(100) == b""


@pytest.mark.parametrize("count", [3, 40])
def test_who_asks_nothing_keeps_nobody_waiting(
    run: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """However many they are: of too many the first have to go."""
    monkeypatch.setattr(requests, "_PATIENCE", 60)
    with ExitStack() as silent:
        for _ in range(count):
            silent.enter_context(connected(run))
        assert ask(run, "mark", "m")


def test_a_name_that_somebody_has_taken(tmp_path: Path) -> None:
    """Nobody is answered then, and recording goes on; who asks learns whom they would have asked."""
    path = tmp_path / "run.fastrec"
    fr.Recorder(path, flush="1ms").stop()
    with fr.Recorder(path) as rec:
        rec.add("c", schema=ROW)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as taken:
        taken.bind(address(os.stat(path / "recording.json")))
        with fr.Recorder(path, resume=True) as rec:
            rec.add("c", schema=ROW).push(bytes(ROW.size))
            with pytest.raises(fr.RecordingError, match="its recorder takes no requests"):
                ask(path, "mark", "m")
            taken.listen(1)
            requests_uid = requests._uid
            requests._uid = lambda _: 12345
            try:
                with pytest.raises(
                    fr.RecordingError, match="is the socket of somebody else; it is not asked"
                ):
                    ask(path, "mark", "m")
            finally:
                requests._uid = requests_uid
    assert len(fr.open(path)["c"]) == 1


def test_another_user_is_not_answered(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_uid", lambda _: 12345)
    with pytest.raises(fr.RecordingError, match="is the socket of somebody else; it is not asked"):
        ask(run, "mark", "m")
    with connected(run) as end, suppress(BrokenPipeError, ConnectionResetError):
        end.send(b'{"ask": "mark", "text": "m"}')
        assert end.recv(100) == b""
    assert fr.open(run).marks == ()


def test_what_the_system_refuses(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refused)
    with pytest.raises(fr.RecordingError, match=r"run\.fastrec: Permission denied"):
        ask(run, "mark", "m")


def test_an_answer_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_ANSWERED", 0.05)
    monkeypatch.setattr(requests, "is_live", lambda _: True)
    release = threading.Event()

    def late(_: str) -> int:
        release.wait(30)
        return 5

    (tmp_path / "recording.json").touch()
    made = Requests(tmp_path, {"mark": late})
    made.begin()
    with pytest.raises(fr.RecordingError, match=r"its recorder has not answered in 0\.05 s"):
        ask(tmp_path, "mark", "m")
    release.set()
    made.end()


def test_where_there_can_be_no_socket_recording_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(socket.socket, "bind", refused)
    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        rec.add("c", schema=ROW)
        assert "fastrec-requests" not in {one.name for one in threading.enumerate()}
        assert rec._requests._socket is None
        with pytest.raises(fr.RecordingError, match="takes no requests"):
            ask(rec.path, "mark", "m")


def test_a_request_that_fails_is_told_on_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "is_live", lambda _: True)
    told = []
    monkeypatch.setattr(requests, "tell", told.append)
    (tmp_path / "recording.json").touch()
    made = Requests(tmp_path, {"mark": lambda _: 1 / 0})
    made.begin()
    with pytest.raises(fr.RecordingError, match="refused: division by zero"):
        ask(tmp_path, "mark", "m")
    made.end()
    assert told == [f"{tmp_path}: a request failed: division by zero"]


def test_a_forked_child_has_nothing_of_it(tmp_path: Path) -> None:
    """Neither threads nor descriptors; its end takes nothing from the parent."""
    path = tmp_path / "run.fastrec"
    code = """
import os, sys, fastrec as fr
from pathlib import Path
import numpy as np
path = Path(sys.argv[1])
rec = fr.Recorder(path, flush="1ms")
c = rec.add("c", schema=np.dtype([("hr", "<i4")]))
before = len(os.listdir("/proc/self/fd"))
rec.start()
trigger = rec.trigger("hr < 0", pre="1ms", post="1ms")
child = os.fork()
if not child:
    assert len(os.listdir("/proc/self/task")) == 1
    entries = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    names = [os.readlink(one) for one in entries if os.path.lexists(one)]
    assert not [one for one in names if "socket" in one or one == str(path)], names
    assert trigger.stats.fired == 0
    rec.stop()
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
from fastrec.triggers.requests import ask
assert ask(path, "mark", "m")
for hr in (0, -1):
    c.push(np.array([(hr,)], c.schema.dtype))
rec.stop()
assert trigger.stats.windows == 1
"""
    subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, path], check=True, timeout=60
    )
    until(lambda: fr.open(path).state == "closed")
