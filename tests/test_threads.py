"""Polling threads: their first and last calls, pauses; shown with a library that aborts when misused."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from programs import build, load_apart
from tasks import tasks
from waiting import until

import fastrec as fr
from fastrec.schema.gaps import Cause

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

STATUS = np.dtype([("gain", "<i4"), ("thread", "<i4"), ("count", "<u8")])


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("sdk"), "sdk.c", "-shared", "-fPIC")


@pytest.fixture
def sdk(library: Path, tmp_path: Path) -> ctypes.CDLL:
    """The library under a name of its own: nobody has opened it yet."""
    return load_apart(library, tmp_path)


def status(sdk: ctypes.CDLL) -> fr.Call:
    return fr.Call(sdk.sdk_status_get, fr.OUT, schema=STATUS)


def log(sdk: ctypes.CDLL) -> str:
    return ctypes.string_at(ctypes.addressof(ctypes.c_char.in_dll(sdk, "sdk_log"))).decode()


def put(sdk: ctypes.CDLL, **values: int) -> None:
    for name, value in values.items():
        ctypes.c_int.in_dll(sdk, f"sdk_{name}").value = value


def calls(sdk: ctypes.CDLL) -> int:
    return ctypes.c_uint64.in_dll(sdk, "sdk_calls").value


def bound(rec: fr.Recorder, sdk: ctypes.CDLL, name: str = "sdk") -> fr.threads.Thread:
    """The library, opened by the thread that will be the only one to enter it."""
    return rec.thread(
        name,
        start=[fr.Call(sdk.sdk_open, 1), fr.Call(sdk.sdk_configure, 42)],
        stop=[fr.Call(sdk.sdk_close)],
    )


def aborts(library: Path, program: str) -> bool:
    """Whether the library ends a process that does this with it."""
    script = f"""
import ctypes, sys, time, fastrec as fr, numpy as np
sdk = ctypes.CDLL({str(library)!r})
status = fr.Call(sdk.sdk_status_get, fr.OUT, schema=np.dtype({STATUS.descr!r}))
{program}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert done.returncode in (0, -signal.SIGABRT), done.stderr.decode()
    return done.returncode == -signal.SIGABRT


class TestOneThread:
    def test_opens_polls_and_closes(self, tmp_path: Path, sdk: ctypes.CDLL) -> None:
        """Two channels, their first calls, one between polls: all by the thread that opened the library."""
        with fr.Recorder(tmp_path / "run.fastrec") as rec:
            thread = bound(rec, sdk)
            assert log(sdk) == "oc"
            fast = rec.add("fast", status(sdk), rate="max", thread="sdk")
            slow = rec.add("slow", status(sdk), rate=500, thread="sdk")
            until(lambda: slow.stats.recorded > 50 and fast.stats.recorded > 1000)
            thread.run(fr.Call(sdk.sdk_configure, 7))
            until(lambda: fast.current()["gain"] == 7)
            assert thread.run(status(sdk))["gain"] == 7
            assert rec.thread("sdk") is thread
        assert log(sdk) == "ocscsx"
        run = fr.open(tmp_path / "run.fastrec")
        assert run.verify().ok
        threads = {int(one) for name in run for one in np.unique(run[name]["thread"])}
        assert len(threads) == 1 and threads.isdisjoint({os.getpid(), threading.get_native_id()})
        assert set(np.unique(run["fast"]["gain"])) == {42, 7}
        assert fast.stats.failed == slow.stats.failed == 0

    def test_a_second_thread_is_an_abort(self, library: Path) -> None:
        """What the test before is worth: the same without `thread=` ends the process."""
        same = "rec.add('a', status, rate='max', thread='sdk')"
        other = "rec.add('b', status, rate='max', thread='other')"
        opening = "rec = fr.Recorder(); rec.thread('sdk', start=[fr.Call(sdk.sdk_open, {0})])"
        end = "rec.start(); time.sleep(0.3); rec.stop()"
        assert not aborts(library, f"{opening.format(1)}\n{same}\n{end}")
        assert aborts(library, f"{opening.format(1)}\n{other}\n{end}")
        assert aborts(library, f"{opening.format(0)}\n{same}\n{other}\n{end}")

    def test_first_calls_come_after_those_that_start(self, sdk: ctypes.CDLL) -> None:
        rec = fr.Recorder()
        bound(rec, sdk)
        rec.add("a", status(sdk), rate=100, thread="sdk")
        assert log(sdk) == "ocs"
        rec.stop()
        assert log(sdk) == "ocsx"

    def test_while_running(self, sdk: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            bound(rec, sdk)
            channel = rec.add("a", status(sdk), rate=1000, thread="sdk")
            until(lambda: channel.stats.recorded > 20)
        assert log(sdk) == "ocsx"

    def test_a_recorder_that_nobody_starts_closes_the_library(self, sdk: ctypes.CDLL) -> None:
        rec = fr.Recorder()
        bound(rec, sdk)
        del rec
        assert log(sdk) == "ocx"

    def test_many_times(self, sdk: ctypes.CDLL) -> None:
        before = len(tasks())
        for _ in range(10):
            with fr.Recorder() as rec:
                bound(rec, sdk)
                rec.add("a", status(sdk), rate="max", thread="sdk", capacity=64)
        assert log(sdk) == "ocsx" * 10
        until(lambda: len(tasks()) <= before)


class TestFailures:
    def test_opening(self, sdk: ctypes.CDLL, tmp_path: Path) -> None:
        """What has been opened is closed, and the thread is gone."""
        before = len(tasks())
        put(sdk, fail_configure=1)
        with fr.Recorder(tmp_path / "run.fastrec") as rec:
            with pytest.raises(fr.SourceError, match="sdk_configure failed, with code -7"):
                bound(rec, sdk)
            with pytest.raises(fr.SourceError, match="there is no thread 'sdk'"):
                rec.thread("sdk")
        until(lambda: len(tasks()) <= before)
        assert log(sdk) == "ox"

    def test_the_first_of_opening(self, sdk: ctypes.CDLL) -> None:
        """What could not be opened is not closed."""
        put(sdk, fail_configure=1)
        with fr.Recorder() as rec, pytest.raises(fr.SourceError, match="code -7"):
            rec.thread("sdk", start=[fr.Call(sdk.sdk_configure, 1)], stop=[fr.Call(sdk.sdk_close)])
        assert log(sdk) == ""

    def test_closing_loses_nothing(self, sdk: ctypes.CDLL, tmp_path: Path) -> None:
        put(sdk, fail_close=1)
        rec = fr.Recorder(tmp_path / "run.fastrec")
        bound(rec, sdk)
        channel = rec.add("a", status(sdk), rate=1000, thread="sdk")
        rec.start()
        until(lambda: channel.stats.recorded > 20)
        with pytest.warns(RuntimeWarning, match="sdk_close failed, with code -9"):
            rec.stop()
        run = fr.open(tmp_path / "run.fastrec")
        assert run.state == "closed" and len(run["a"]) == channel.stats.recorded

    def test_last_calls_take_no_deadline_with_them(self, sdk: ctypes.CDLL) -> None:
        """The polling is over when the library is closed, however long that takes."""
        rec = fr.Recorder()
        rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 1)], stop=[status(sdk), fr.Call(sdk.sdk_close)])
        channel = rec.add("a", status(sdk), rate=1000, thread="sdk")
        rec.start()
        until(lambda: channel.stats.recorded > 20)
        put(sdk, busy_us=300_000)
        rec.stop()
        assert channel.stats.missed < 310 and log(sdk).endswith("sx")

    def test_a_last_call_that_never_returns(self, library: Path, tmp_path: Path) -> None:
        script = f"""
import ctypes, warnings, fastrec as fr, fastrec.threads, fastrec.recorder, numpy as np, time
fastrec.threads._OPENING = fastrec.recorder._STUCK = 0.3
sdk = ctypes.CDLL({str(library)!r})
rec = fr.Recorder({str(tmp_path / "run.fastrec")!r})
rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 1)], stop=[fr.Call(sdk.sdk_stuck), fr.Call(sdk.sdk_close)])
rec.add("a", fr.Call(sdk.sdk_status_get, fr.OUT, schema=np.dtype({STATUS.descr!r})), rate=1000, thread="sdk")
rec.start()
time.sleep(0.1)
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    rec.stop()
print([str(one.message) for one in seen])
"""
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("has not returned") == 1
        run = fr.open(tmp_path / "run.fastrec")
        assert run.state == "closed" and run.verify().ok and len(run["a"]) > 20

    @pytest.mark.parametrize(
        ("wanted", "complaint"),
        [
            ({"start": [len]}, "is no call; wrap the function in fr.Call"),
            ({"stop": ["linux:rusage"]}, "is no call"),
        ],
    )
    def test_what_is_no_call(self, wanted: dict, complaint: str) -> None:
        with pytest.raises(fr.SourceError, match=complaint):
            fr.Recorder().thread("sdk", **wanted)

    def test_what_is_no_call_either(self, sdk: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            thread = rec.thread("sdk", start=fr.Call(sdk.sdk_open, 0))  # one needs no list
            for wrong in (sdk.sdk_close, lambda: 1, None):
                with pytest.raises(fr.SourceError, match="is no call"):
                    thread.run(wrong)
            with pytest.raises(fr.SourceError, match=r"fr\.PyCall"):
                rec.add("a", lambda: bytes(16), rate=10)
        assert log(sdk) == "o"

    def test_names(self, sdk: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            bound(rec, sdk)
            with pytest.raises(fr.SourceError, match="runs already"):
                bound(rec, sdk)
            with pytest.raises(fr.SourceError, match="did you mean 'sdk'"):
                rec.thread("sdkk")
        with pytest.raises(fr.RecordingError, match="stopped"):
            bound(rec, sdk)

    def test_calls_without_a_struct_are_no_channels(self, sdk: ctypes.CDLL) -> None:
        with pytest.raises(fr.SourceError, match="fills no struct"):
            fr.Recorder().add("a", fr.Call(sdk.sdk_open, 0), rate=10)
        with pytest.raises(fr.SourceError, match="say schema="):
            fr.Call(sdk.sdk_status_get, fr.OUT)


class TestPaused:
    def test_the_caller_has_the_library_alone(self, sdk: ctypes.CDLL) -> None:
        """Flat out it is entered all the time; within a pause only by the caller, or it would abort."""
        with fr.Recorder() as rec:
            rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)])
            channel = rec.add("a", status(sdk), rate="max", thread="sdk")
            for gain in range(200):
                with rec.thread("sdk").paused():
                    before, recorded = calls(sdk), channel.stats.recorded
                    assert sdk.sdk_configure(gain) == 0
                    time.sleep(0.0005)
                    assert calls(sdk) == before + 1 and channel.stats.recorded == recorded
                until(lambda recorded=recorded: channel.stats.recorded > recorded)
            until(lambda: channel.current()["gain"] == 199)
        assert channel.stats.missed == 0

    def test_without_a_pause_it_aborts(self, library: Path) -> None:
        program = (
            "rec = fr.Recorder(); rec.thread('sdk', start=[fr.Call(sdk.sdk_open, 0)])\n"
            "rec.add('a', status, rate='max', thread='sdk'); rec.start()\n"
            "ctypes.c_int.in_dll(sdk, 'sdk_busy_us').value = 1000\n"
            "for gain in range(200):\n    {}\n    time.sleep(0.0003)\nrec.stop()"
        )
        assert aborts(library, program.format("sdk.sdk_configure(gain)"))
        paused = "with rec.thread('sdk').paused(): sdk.sdk_configure(gain)"
        assert not aborts(library, program.format(paused))

    def test_costs_deadlines_and_says_so(self, sdk: ctypes.CDLL, tmp_path: Path) -> None:
        path = tmp_path / "run.fastrec"
        with fr.Recorder(path) as rec:
            rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)])
            channel = rec.add("a", status(sdk), rate=1000, thread="sdk")
            until(lambda: channel.stats.recorded > 20)
            asked = time.monotonic_ns()
            with rec.thread("sdk").paused():
                begin = time.monotonic_ns()
                time.sleep(0.3)
                within = channel.stats
                end = time.monotonic_ns()
            back = time.monotonic_ns()
            until(lambda seen=channel.stats.recorded: channel.stats.recorded > seen + 20)
        assert within.slots == within.recorded + within.missed and within.in_call == 0
        stats, gaps = channel.stats, fr.open(path)["a"].gaps
        (gap,) = gaps[(gaps["cause"] == Cause.MISSED) & (gaps["code"] == errno.EBUSY)]
        assert (end - begin) // 1_000_000 - 2 <= gap["count"] <= (back - asked) // 1_000_000 + 2
        assert asked - 2_000_000 <= gap["t_first"] and gap["t_last"] <= back
        assert stats.slots == stats.recorded + stats.missed and gaps["count"].sum() == stats.missed

    def test_waits_for_the_call_under_way(self, sdk: ctypes.CDLL) -> None:
        put(sdk, busy_us=100_000)
        with fr.Recorder() as rec:
            rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)])
            channel = rec.add("a", status(sdk), rate="max", thread="sdk")
            until(lambda: channel.stats.in_call)
            with rec.thread("sdk").paused():
                assert channel.stats.in_call == 0

    def test_nested_and_by_many(self, sdk: ctypes.CDLL) -> None:
        """Whoever comes second waits; so does a channel that is added."""
        inside: list[int] = []
        most: list[int] = []
        with fr.Recorder() as rec:
            rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)])
            channel = rec.add("a", status(sdk), rate="max", thread="sdk")

            def take(number: int) -> None:
                for _ in range(20):
                    with rec.thread("sdk").paused(), rec.thread("sdk").paused():
                        inside.append(number)
                        sdk.sdk_configure(number)
                        most.append(len(inside))
                        inside.pop()
                rec.add(f"b{number}", status(sdk), rate=100, thread="sdk")

            threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
            assert set(most) == {1} and len(rec.channels) == 5
            until(lambda: rec["b3"].stats.recorded > 3 and channel.stats.recorded > 3)

    def test_add_within(self, sdk: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)])
            with rec.thread("sdk").paused():
                channel = rec.add("a", status(sdk), rate=1000, thread="sdk")
                assert channel.stats.slots == 0
            until(lambda: channel.stats.recorded > 3)

    def test_stop_within(self, sdk: ctypes.CDLL) -> None:
        rec = fr.Recorder()
        bound(rec, sdk)
        rec.add("a", status(sdk), rate=1000, thread="sdk")
        rec.start()
        with rec.thread("sdk").paused():
            rec.stop()
        assert log(sdk) == "ocsx"

    def test_stop_while_another_has_it(self, sdk: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
        """The last calls are not made: they would enter a library that is somebody else's."""
        monkeypatch.setattr(fr.recorder, "_STUCK", 0.2)
        rec = fr.Recorder()
        thread = bound(rec, sdk)
        rec.add("a", status(sdk), rate=1000, thread="sdk")
        rec.start()
        has, give_back = threading.Event(), threading.Event()

        def take() -> None:
            with thread.paused():
                has.set()
                give_back.wait(30)

        other = threading.Thread(target=take)
        other.start()
        has.wait(30)
        with pytest.warns(RuntimeWarning, match="is still paused: its last calls were not made"):
            rec.stop()
        give_back.set()
        other.join()
        assert log(sdk) == "ocs"
        with pytest.raises(fr.SourceError, match="has ended"), thread.paused():
            pass
        with pytest.raises(fr.SourceError, match="has ended"):
            thread.run(status(sdk))

    def test_a_call_that_does_not_return(self, sdk: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fr.threads, "_OPENING", 0.1)
        put(sdk, busy_us=1_000_000)
        with fr.Recorder() as rec, warnings.catch_warnings():
            thread = rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)])
            with pytest.raises(fr.SourceError, match=r"thread 'sdk': .* has not returned for 0\.1 s"):
                thread.run(status(sdk))


class TestInherited:
    def test_a_forked_child_cannot_reach_the_thread(self, library: Path) -> None:
        """Whoever had it paused, or was adding to it, is in the parent: nothing of it is waited for."""
        script = f"""
import ctypes, os, sys, threading, time, fastrec as fr, numpy as np
sdk = ctypes.CDLL({str(library)!r})
rec = fr.Recorder()
thread = rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)], stop=[fr.Call(sdk.sdk_close)])
status = fr.Call(sdk.sdk_status_get, fr.OUT, schema=np.dtype({STATUS.descr!r}))
rec.add("a", status, rate=1000, thread="sdk")
rec.start()
has = threading.Event()
def take():
    with thread.paused():
        has.set()
        time.sleep(1)
other = threading.Thread(target=take)
other.start()
has.wait()
child = os.fork()
if not child:
    begun, refused = time.monotonic(), 0
    for reach in (
        lambda: thread.run(status),
        lambda: thread.paused().__enter__(),
        lambda: rec.thread("sdk"),
        lambda: rec.thread("new", start=[status]),
        lambda: rec.add("b", status, rate=1000, thread="sdk"),
    ):
        try:
            reach()
        except fr.FastrecError:
            refused += 1
    rec.stop()
    os._exit(refused if time.monotonic() - begun < 5 else 99)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
other.join()
rec.stop()
assert rec["a"].stats.recorded > 0 and rec["a"].stats.failed == 0
"""
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def test_a_stop_waits_for_a_channel_that_is_being_added(self, sdk: ctypes.CDLL) -> None:
        """Either it is recorded, or it is refused; it never waits for a thread that has gone."""
        for _ in range(20):
            rec = fr.Recorder()
            rec.add("a", status(sdk), rate=1000, thread="sdk")
            rec.start()
            refusals: list[str] = []

            def add(rec: fr.Recorder = rec, refusals: list[str] = refusals) -> None:
                for number in range(5):
                    try:
                        rec.add(f"b{number}", status(sdk), rate=1000, thread="sdk", capacity=64)
                    except fr.FastrecError as error:
                        refusals.append(str(error))

            thread = threading.Thread(target=add)
            thread.start()
            rec.stop()
            thread.join(8)
            assert not thread.is_alive()
            assert all("stopped" in text or "stopping" in text for text in refusals), refusals

    @pytest.mark.parametrize("name", ["", 5, None, "a\nb", "x" * 65])
    def test_names_that_cannot_be(self, sdk: ctypes.CDLL, name: object) -> None:
        with pytest.raises(fr.SourceError, match="printable letters"):
            fr.Recorder().thread(name, start=[fr.Call(sdk.sdk_open, 0)])

    def test_a_thread_that_cannot_be_started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        source = fr.PyCall(lambda: bytes(16), schema=STATUS)
        with fr.Recorder() as rec, pytest.raises(fr.SourceError, match="cannot be started: can't start"):
            rec.add("py", source, rate=10)


class TestTooLate:
    """What was asked and has not come in time never comes."""

    @pytest.fixture
    def slow(self, sdk: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[fr.Recorder]:
        """A recorder whose one call takes longer than anybody waits for it."""
        monkeypatch.setattr(fr.threads, "_RETURNING", 0.1)
        monkeypatch.setattr(fr.threads, "_OPENING", 0.1)
        with fr.Recorder() as rec:
            rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)])
            channel = rec.add("a", status(sdk), rate=1000, thread="sdk")
            put(sdk, busy_us=500_000)
            until(lambda: channel.stats.in_call > 1_000_000)
            put(sdk, busy_us=0)
            yield rec

    def test_a_pause(self, slow: fr.Recorder) -> None:
        with pytest.raises(fr.SourceError, match="has not returned for"), slow.thread("sdk").paused():
            pass
        until(lambda seen=slow["a"].stats.recorded: slow["a"].stats.recorded > seen + 100)

    def test_a_pause_that_a_signal_ends(self, sdk: ctypes.CDLL) -> None:
        def ring(number: int, frame: object) -> None:
            raise ZeroDivisionError

        before = signal.signal(signal.SIGALRM, ring)
        try:
            with fr.Recorder() as rec:
                rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)])
                channel = rec.add("a", status(sdk), rate=1000, thread="sdk")
                put(sdk, busy_us=300_000)
                until(lambda: channel.stats.in_call > 1_000_000)
                put(sdk, busy_us=0)
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with pytest.raises(ZeroDivisionError), rec.thread("sdk").paused():
                    time.sleep(1)
                until(lambda seen=channel.stats.recorded: channel.stats.recorded > seen + 100)
        finally:
            signal.signal(signal.SIGALRM, before)

    def test_a_channel(self, slow: fr.Recorder, sdk: ctypes.CDLL) -> None:
        with pytest.raises(fr.SourceError, match="has not returned for"):
            slow.add("b", status(sdk), rate=1000, thread="sdk")
        assert list(slow.channels) == ["a"]
        until(lambda seen=slow["a"].stats.recorded: slow["a"].stats.recorded > seen + 100)
        slow.add("b", status(sdk), rate=1000, thread="sdk")

    def test_somebody_elses_pause(self, sdk: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fr.threads, "_OPENING", 0.1)
        with fr.Recorder() as rec:
            thread = rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)])
            has, give_back = threading.Event(), threading.Event()

            def take() -> None:
                with thread.paused():
                    has.set()
                    give_back.wait(30)

            other = threading.Thread(target=take)
            other.start()
            has.wait(30)
            for wanted in (
                lambda: thread.run(status(sdk)),
                lambda: thread.paused().__enter__(),
                lambda: rec.add("a", status(sdk), rate=10, thread="sdk"),
            ):
                with pytest.raises(fr.SourceError, match="paused by somebody else for"):
                    wanted()
            assert calls(sdk) == 1
            give_back.set()
            other.join()

    def test_what_a_call_under_way_uses_stays(self, slow: fr.Recorder, sdk: ctypes.CDLL) -> None:
        class Argument(ctypes.c_int):
            """One that can be watched."""

        argument = Argument(1)
        alive = weakref.ref(argument)
        call = fr.Call(sdk.sdk_configure, argument)
        with pytest.raises(fr.SourceError, match="has not returned"):
            slow.thread("sdk").run(call)
        del argument, call
        gc.collect()
        assert alive() is not None

    @pytest.mark.parametrize("polls", [True, False], ids=["a poll", "a command"])
    def test_a_thread_left_behind_ends_when_its_call_returns(
        self, sdk: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, polls: bool
    ) -> None:
        monkeypatch.setattr(fr.threads, "_OPENING", 0.1)
        monkeypatch.setattr(fr.recorder, "_STUCK", 0.1)
        rec = fr.Recorder()
        thread = rec.thread("behind", start=[fr.Call(sdk.sdk_open, 0)])
        if polls:
            channel = rec.add("a", status(sdk), rate=1000, thread="behind")
            rec.start()
        put(sdk, busy_us=1_000_000)
        if polls:
            until(lambda: channel.stats.in_call > 1_000_000)
        with pytest.raises(fr.SourceError, match="has not returned"):
            thread.run(status(sdk))
        with pytest.warns(RuntimeWarning, match="the thread stays"):
            rec.stop()
        put(sdk, busy_us=0)
        assert tasks("fr-behind")
        until(lambda: not tasks("fr-behind"))
        if polls:
            assert channel.stats.in_call  # of the call that its last word came before

    def test_a_name_cut_within_a_letter(self, sdk: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fr.recorder, "_STUCK", 0.1)
        rec = fr.Recorder()
        name = "aaaaaaaaaaaé"
        channel = rec.add("a", status(sdk), rate=1000, thread=name)
        rec.start()
        put(sdk, busy_us=500_000)
        until(lambda: channel.stats.in_call > 1_000_000)
        with pytest.warns(RuntimeWarning, match="the thread stays"):
            rec.stop()
        assert "stopped" in repr(rec)


class TestLastCalls:
    def test_an_interrupt_leaves_them_to_the_next_stop(self, sdk: ctypes.CDLL) -> None:
        def ring(number: int, frame: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, ring)
        try:
            rec = fr.Recorder()
            first = fr.Call(sdk.sdk_close)
            rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)], stop=[first, fr.Call(sdk.sdk_configure, 7)])
            rec.start()
            put(sdk, busy_us=300_000)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt):
                rec.stop()
            assert log(sdk) == "ox"
            rec.stop()
            assert log(sdk) == "oxc"
        finally:
            signal.signal(signal.SIGALRM, before)

    def test_an_interrupted_opening_is_closed(self, sdk: ctypes.CDLL) -> None:
        def ring(number: int, frame: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, ring)
        try:
            put(sdk, busy_us=300_000)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with fr.Recorder() as rec, pytest.raises(KeyboardInterrupt):
                rec.thread("sdk", start=[status(sdk)], stop=[fr.Call(sdk.sdk_close)])
        finally:
            signal.signal(signal.SIGALRM, before)
        assert log(sdk) == "sx"

    def test_generators_are_taken_whole(self, sdk: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            opening = (fr.Call(sdk.sdk_open, 0) for _ in range(1))
            rec.thread("sdk", start=opening, stop=(fr.Call(sdk.sdk_close) for _ in range(1)))
        assert log(sdk) == "ox"

    def test_of_a_recorder_that_nobody_started(self, library: Path, tmp_path: Path) -> None:
        """At the interpreter's end, also where a circle of references keeps it."""
        script = f"""
import ctypes, fastrec as fr
sdk = ctypes.CDLL({str(library)!r})
rec = fr.Recorder()
rec.itself = rec
rec.thread("sdk", start=[fr.Call(sdk.sdk_open, 0)], stop=[fr.Call(sdk.sdk_close)])
rec.add("py", fr.PyCall(lambda: bytes(8), schema=[("a", "<i8")]), rate=10)
stop = rec.stop
def told():
    stop()
    print(ctypes.string_at(ctypes.addressof(ctypes.c_char.in_dll(sdk, "sdk_log"))).decode(), flush=True)
rec.stop = told
"""
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "ox\n", "")
