"""What is said of a disk while a recorder runs: once that it fails, once that it is well again."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from waiting import PATIENCE, until

import fastrec as fr
from fastrec.recording.writing import watching
from fastrec.recording.writing.watching import Watch

ROW = np.dtype([("count", "<u8"), ("state", "<i4"), ("level", "<i4")])


class Disk:
    """A channel of a ring of 1,000 whose spooler says what it is told to."""

    def __init__(self) -> None:
        self.marks = dict.fromkeys(("error", "sync_error", "disk", "overwritten"), 0) | {"written": 1}
        self.dropped = 0
        self.core = SimpleNamespace(head=0, account=lambda: {"dropped": self.dropped})
        self.watch = Watch(Path("/run"), 2_000_000_000, lambda name, error: os.strerror(error))
        self.watch.add(
            "c", SimpleNamespace(core=self.core, capacity=1000), SimpleNamespace(marks=lambda: self.marks)
        )
        self.now = self.watch._channels["c"].at

    def look(self, seconds: float, *, rate: int = 100, **marks: int) -> list[str]:
        """What is said that much later, after `rate` records a second."""
        self.now += seconds
        self.core.head += round(seconds * rate)
        self.marks |= marks
        return self.watch.look(self.now)


def test_what_lasts_is_told_once() -> None:
    disk = Disk()
    assert disk.look(1) == []
    assert disk.look(1, error=28, written=200) == [] == disk.look(0.5)
    assert disk.look(0.5) == [
        "/run: channel 'c': the disk takes no records: No space left on device; recording goes on in memory,"
        " which has room for 9 s more at this rate"
    ]
    assert disk.look(10) == [] == disk.look(100)
    assert disk.look(2, error=0, disk=1500) == [
        "/run: channel 'c': the disk takes records again, after 1 min 53 s; 1,500 records were lost meanwhile"
    ]
    assert disk.look(1) == [] == disk.look(1, error=5)
    assert disk.look(10)[0].endswith(
        "Input/output error; recording goes on in memory, whose room is used up: records are being lost"
    )


def test_a_ring_that_is_nearly_full() -> None:
    disk = Disk()
    assert disk.look(1, error=28) == []
    disk.core.head += 796
    assert "memory, which has room for less than 100 ms more at this rate" in disk.look(1)[0]


def test_what_heals_is_not_told() -> None:
    disk = Disk()
    for error in (28, 0, 28, 0, 5):
        assert disk.look(0.9, error=error) == []


def test_a_flush_that_failed_is_told_when_the_next_one_has() -> None:
    disk = Disk()
    assert disk.look(1, sync_error=5) == [] == disk.look(2.5)
    assert disk.look(0.5, written=400) == [
        "/run: channel 'c': a flush failed, and none after it succeeded: Input/output error; recording goes"
        " on, but what is written may not survive a loss of power"
    ]
    assert disk.look(1, sync_error=0) == [
        "/run: channel 'c': a flush succeeded again, after 4 s; 0 records were lost meanwhile"
    ]


def test_that_records_are_not_taken_either_is_told_too() -> None:
    """Each of the two for itself: with its own patience, and its own end."""
    disk = Disk()
    assert disk.look(1, sync_error=5) == [] != disk.look(4)
    assert disk.look(1, error=28) == [] == disk.look(0.5, error=0)
    assert disk.look(1, error=28) == []
    assert "'c': the disk takes no records: No space left on device; " in disk.look(1)[0]
    assert disk.look(1, error=0, disk=7) == [
        "/run: channel 'c': the disk takes records again, after 2 s; 7 records were lost meanwhile"
    ]
    assert disk.look(9) == []
    assert disk.look(1, sync_error=0, disk=8) == [
        "/run: channel 'c': a flush succeeded again, after 18.5 s; 8 records were lost meanwhile"
    ]


def test_a_flush_that_fails_when_records_are_taken_again_is_told() -> None:
    """Once it had its turn; not while none are taken, since then all that there is was told."""
    disk = Disk()
    assert disk.look(1, error=28) == [] != disk.look(1)
    assert disk.look(10, sync_error=5) == [] == disk.look(10)
    assert "'c': the disk takes records again, after 31 s; " in disk.look(10, error=0)[0]
    assert disk.look(2.5) == []
    assert "'c': a flush failed, and none after it succeeded: " in disk.look(0.5)[0]
    assert "'c': a flush succeeded again, after 33 s; " in disk.look(10, sync_error=0)[0]


def test_losses_of_every_kind_count_and_of_that_time_alone() -> None:
    disk = Disk()
    assert disk.look(1, disk=5, overwritten=7) == [] == disk.look(1, error=28)
    assert disk.look(2) != []
    disk.dropped = 3
    assert disk.look(1, error=0, disk=6, overwritten=9)[0].endswith("; 6 records were lost meanwhile")
    assert disk.look(1, error=28) == [] != disk.look(2)
    assert disk.look(1, error=0, disk=7)[0].endswith("; 1 record was lost meanwhile")


def test_where_nothing_comes_the_room_is_told_in_records() -> None:
    disk = Disk()
    assert disk.look(1) == [] == disk.look(1, error=28, rate=0)
    assert disk.look(1, rate=0)[0].endswith("in memory, which has room for 901 records more")


def test_channels_come_and_go_while_it_looks() -> None:
    disk = Disk()
    ring, marks = SimpleNamespace(core=disk.core, capacity=1000), disk.marks | {"error": 28}

    def other_comes() -> dict[str, int]:
        disk.watch.add("b", ring, SimpleNamespace(marks=lambda: marks))
        return marks

    disk.watch.add("a", ring, SimpleNamespace(marks=other_comes))
    assert disk.look(1) == []
    disk.watch.drop("a")
    disk.watch.drop("a")  # it may have gone before
    assert disk.look(1) == []
    (said,) = disk.look(1)
    assert said.startswith("/run: channel 'b': ")
    disk.watch.drop("b")
    marks["error"] = 0
    assert disk.look(1) == []


def test_a_disk_that_fills_up_and_has_room_again(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(3 << 20))
    rec = fr.Recorder(small_disk / "run.fastrec", flush="10ms")
    channel = rec.add("c", schema=ROW, capacity=20_000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rec.start()
        while not channel.spooling.marks()["error"]:
            channel.extend(np.zeros(1000, ROW))
            time.sleep(0.002)
        channel.extend(np.zeros(30_000, ROW))
        until(lambda: caught)
        (small_disk / "ballast").unlink()
        until(lambda: len(caught) == 2)
        rec.stop()
    begun, over = (str(one.message) for one in caught)
    assert {one.category for one in caught} == {RuntimeWarning}
    assert "run.fastrec: channel 'c': the disk takes no records: No space left on device; " in begun
    assert f"; {channel.stats.disk + channel.stats.overwritten:,} records were lost meanwhile" in over


def test_a_warning_whose_reader_stops_holds_up_no_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LINGER", 0.01)
    monkeypatch.setattr(Watch, "look", lambda watch, now: ["full"])
    rec = fr.Recorder(tmp_path / "run.fastrec")
    rec.add("c", schema=ROW)
    shown = threading.Event()

    def show(*_: object) -> None:
        shown.set()
        until(rec._last_turn.locked)  # somebody else stops it
        rec.stop()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        rec.start()
        assert shown.wait(PATIENCE)
        stopping = threading.Thread(target=rec.stop, daemon=True)
        stopping.start()
        stopping.join(PATIENCE)
    assert not stopping.is_alive()


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """One that has two things to say at once."""
    monkeypatch.setattr(watching, "_EVERY", 0.001)
    monkeypatch.setattr(watching, "_LINGER", PATIENCE)
    monkeypatch.setattr(Watch, "look", lambda watch, now: ["full", "more"])
    return Watch(Path("/run"), 1, lambda *_: "")


def test_who_is_told_may_stop_it(telling: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for itself as little as it says more."""
    said, after = [], []

    def say(message: str) -> None:
        said.append(message)
        telling.stop()
        after.append(message)

    monkeypatch.setattr(watching, "tell", say)
    telling.start()
    until(lambda: said and not telling._thread.is_alive())
    assert said == after == ["full"]


def test_a_stop_waits_for_a_warning_that_is_being_shown(
    telling: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, said = threading.Event(), []

    def say(message: str) -> None:
        begun.set()
        time.sleep(0.05)
        said.append(message)

    monkeypatch.setattr(watching, "tell", say)
    telling.start()
    assert begun.wait(PATIENCE)
    telling.stop()
    assert said[:1] == ["full"] and not telling._thread.is_alive()


def test_no_thread_to_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no reason not to record, and signals come as before."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    watch, before = Watch(Path("/run"), 1, lambda *_: ""), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.warns(
        RuntimeWarning, match="^/run: nobody looks whether the disk takes all: can't start new"
    ):
        watch.start()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    watch.stop()


def test_it_takes_no_signals(tmp_path: Path) -> None:
    """Of those that the program blocks once it runs, to wait for them: taken here, they would end it."""
    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        rec.add("c", schema=ROW)
        (watch,) = [one for one in threading.enumerate() if one.name == "fastrec-watch"]
        status = Path(f"/proc/self/task/{watch.native_id}/status").read_text(encoding="ascii")
    blocked = int(re.search(r"SigBlk:\t(\w+)", status)[1], 16)
    assert all(blocked >> number - 1 & 1 for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def shown_of_two(monkeypatch: pytest.MonkeyPatch, action: str, *, broken: bool = False) -> list[str]:
    """What is seen of the same message twice, with such a filter; `broken`: what shows it fails."""
    seen: list[str] = []

    def show(message: Warning, category: type[Warning], file: str, line: int, *_: object) -> None:
        if broken:
            raise OSError("closed")
        seen.append(warnings.formatwarning(message, category, Path(file).name, line, "").replace("\n", ""))

    monkeypatch.setattr(watching, "_EVERY", 0.001)
    monkeypatch.setattr(Watch, "look", lambda watch, now: ["full"])
    monkeypatch.setattr(threading, "excepthook", lambda hooked: seen.append(repr(hooked.exc_value)))
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        monkeypatch.setattr(warnings, "showwarning", show)
        watch = Watch(Path("/run"), 1, lambda *_: "")
        watch.start()
        until(lambda: len(seen) > 1)
        watch.stop()
    return seen[:2]


SHOWN = f"watching.py:{watching.tell.__code__.co_firstlineno}: RuntimeWarning: full"


def test_the_same_again_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_of_two(monkeypatch, "default") == [SHOWN, SHOWN]


def test_warnings_that_are_errors_are_shown_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_of_two(monkeypatch, "error") == [SHOWN, SHOWN]


@pytest.mark.parametrize("action", ["always", "error"])
def test_a_warning_that_cannot_be_shown_ends_no_watch(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    assert shown_of_two(monkeypatch, action, broken=True) == ["OSError('closed')"] * 2


def test_no_thread_to_be_had_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.warns(RuntimeWarning, match="nobody looks whether the disk takes all: can't start"):
        Watch(Path("/run"), 1, lambda *_: "").start()
