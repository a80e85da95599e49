"""Triggers of a recorder, in simulated time."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from triggers.simulated import MS, ROW, Bench, bench
from waiting import until

import fastrec as fr
from fastrec.schema.gaps import Cause
from fastrec.triggers import engine, jobs, storing
from fastrec.triggers.feeds import settled


def numbers(window) -> dict[str, list[int]]:
    return {name: window[name].seq.tolist() for name in window}


# What is asked for


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 5}, r"channels=5; it is a list of names, such as \['c'\]"),
        ({"channels": {"c": 1}.items}, r"channels=<built-in.*; it is a list of names"),
        ({"channels": [["c"]]}, r"channels: there is no \['c'\]"),
        ({"channels": ["d"]}, r"channels: there is no 'd'"),
        ({"store": np.array([1, 2])}, r"store=array\(\[1, 2\]\); it is True or False"),
        ({"store": 1}, r"store=1; it is True or False"),
        ({"edge": np.array(["each", "both"])}, r"edge=array.*; it is 'rising', "),
        ({"on": ["c"]}, r"on=\['c'\]: there is no such channel"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, object], message: str) -> None:
    with bench() as at:
        options = {"store": False, **options}
        with pytest.raises(fr.SchemaError, match=f"^{message}"):
            at.rec.trigger("hr < 0", **options)
        if not options.keys() & {"edge", "on"}:
            with pytest.raises(fr.SchemaError, match=f"^{message}"):
                at.rec.fire("why", **options)
        assert at.rec.triggers == () and at.rec.marks == ()


# What fires


def test_it_fires_where_a_condition_comes_to_hold() -> None:
    with bench() as at:
        trigger = at.rec.trigger("hr < 0", store=False, holdoff=None)
        at.push(-1)  # unknown before: no edge
        for hr in (-1, 0, -1, -1, 3):
            stamp = at.push(hr)
        at.look()
        assert (trigger.fired, trigger.armed) == (1, True)
        assert [mark[:2] for mark in at.rec.marks] == [(stamp - 2 * MS, "hr < 0")]
        assert at.rec.marks[0].kind == "trigger"


def test_what_holds_when_it_is_armed_is_no_edge() -> None:
    with bench() as at:
        at.push(-1)
        waits = at.rec.trigger("hr < 0", store=False)
        at_once = at.rec.trigger("hr < 0", store=False, at_once=True)
        lasts = at.rec.trigger("hr < 0", store=False, dwell="10ms")
        armed = at.now
        at.push(-1)
        at.look()
        assert (waits.fired, at_once.fired, lasts.fired) == (0, 1, 0)
        assert at.rec.marks[0].mono_ns == armed
        at.look(10 * MS)
        assert [mark.mono_ns for mark in at.rec.marks] == [armed, armed + 10 * MS]
        at.push(0)
        at.push(-1, after=200 * MS)
        at.look()
        assert (waits.fired, at_once.fired, lasts.fired) == (1, 2, 1)


def test_the_first_record_of_all_is_no_edge_either() -> None:
    with bench() as at:
        waits = at.rec.trigger("hr < 0", store=False)
        at_once = at.rec.trigger("hr < 0", store=False, at_once=True)
        at.push(-1)
        at.look()
        assert (waits.fired, at_once.fired) == (0, 1)


def test_what_came_before_it_was_armed_is_none_of_its() -> None:
    """Though another trigger has not looked at it by then."""
    with bench() as at:
        first = at.rec.trigger("hr < 0", store=False)
        at.push(), at.push(-1)
        second = at.rec.trigger("hr < 0", store=False)
        at.push(-1)
        at.look()
        assert (first.fired, second.fired) == (1, 0)


def test_edges_of_a_state() -> None:
    with bench() as at:
        options = {"store": False, "holdoff": None}
        triggers = {
            edge: at.rec.trigger("mode == FAULT", edge=edge, **options)
            for edge in ("rising", "falling", "both", "each")
        }
        changed = at.rec.trigger("changed(mode)", edge="each", **options)
        for mode in (0, 1, 1, 0, 0, 1, 1, 1, 7):
            at.push(mode=mode)
            at.look()  # whatever the division into looks
        assert {edge: one.fired for edge, one in triggers.items()} == {
            "rising": 2,
            "falling": 2,
            "both": 4,
            "each": 5,
        }
        assert changed.fired == 4


def test_dwell_and_silence_need_no_record_to_fire() -> None:
    with bench() as at:
        stuck = at.rec.trigger("mode == FAULT", dwell="20ms", store=False)
        silent = at.rec.trigger(silence="50ms", store=False, holdoff=None)
        armed = at.now
        at.look(51 * MS)  # not one record: silence, from when it was armed on
        began = at.push(mode=1)
        at.look(19 * MS)
        assert (stuck.fired, silent.fired) == (0, 1)
        at.look(2 * MS)
        assert (stuck.fired, silent.fired) == (1, 1)
        at.look(200 * MS)
        assert (stuck.fired, silent.fired) == (1, 2)
        expected = [armed + 50 * MS, began + 20 * MS, began + 50 * MS]
        assert [mark.mono_ns for mark in at.rec.marks] == expected


def test_holdoff_and_rearm() -> None:
    with bench() as at:
        usual = at.rec.trigger("hr > 8", store=False)
        none = at.rec.trigger("hr > 8", store=False, holdoff=None)
        once = at.rec.trigger("hr > 8", store=False, rearm="once")
        below = at.rec.trigger("hr > 8", store=False, holdoff=None, rearm="hr < 2")
        for hr in (0, 9, 5, 9, 5, 9, 1, 9):
            at.push(hr)
        at.look()
        assert [one.fired for one in (usual, none, once, below)] == [1, 4, 1, 2]
        assert [one.stats.held_off for one in (usual, none, once, below)] == [3, 0, 3, 2]
        assert not once.armed
        once.arm()
        none.disarm()
        for hr in (0, 9):
            at.push(hr, after=100 * MS)
        at.look()
        assert [one.fired for one in (usual, none, once, below)] == [2, 4, 2, 3]


def test_two_channels_have_times_of_their_own() -> None:
    with bench(None, "a", "b") as at:
        of_a = at.rec.trigger("hr < 0", on="a", store=False)
        of_b = at.rec.trigger("hr < 0", on="b", store=False)
        at.push(on="a"), at.push(on="b")
        at.push(-1, on="b")
        at.look()
        assert (of_a.fired, of_b.fired) == (0, 1)


# Every record once


def test_each_record_is_looked_at_once_and_lost_ones_are_counted() -> None:
    rec = fr.Recorder()
    rec.add("c", schema=ROW, capacity=64)
    at = Bench(rec)
    with rec:
        trigger = rec.trigger("hr == 7", store=False, edge="each", holdoff=None)
        for _ in range(3):
            for _ in range(60):
                at.push(7)
            at.look()
        assert (trigger.fired, trigger.stats.missed) == (180, 0)
        for _ in range(100):
            at.push(7)
        at.look()
        assert trigger.stats.missed == 36 and trigger.fired == 180 + 64


def test_the_ring_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastrec.triggers.feeds._PIECE", 7 * 16)
    with bench() as at:
        rises = at.rec.trigger("hr > 0 and changed(hr)", edge="each", store=False, holdoff=None)
        for hr in range(100):
            at.push(hr // 3)
        at.look()
        assert (rises.fired, rises.stats.missed) == (33, 0)


# Windows


def test_a_window_has_every_channel_and_what_was_before(tmp_path: Path) -> None:
    with bench(tmp_path / "run.fastrec", "a", "b", "never") as at:
        trigger = at.rec.trigger("hr < 0", on="a", pre="5ms", post="3ms", callback=at.caught)
        at.push(1, on="b")
        for _ in range(9):
            at.push(on="a")
        fired = at.push(-1, on="a")
        for _ in range(6):
            at.push(on="a")
        at.settle(1, 10 * MS)
        window = at.windows[0]
        assert (window.mono_ns, window.firings, window.cut) == (fired, (fired,), False)
        assert (window.start, window.end) == (fired - 5 * MS, fired + 3 * MS + 1)
        # Of each channel the record before: b's lies long before.
        assert numbers(window) == {"a": list(range(3, 13)), "b": [0], "never": []}
        assert trigger.stats.windows == 1
    run = fr.open(tmp_path / "run.fastrec")
    assert [*run.windows] == ["000001-hr-lt-0.fastrec"]
    stored = run.windows["000001-hr-lt-0.fastrec"]
    assert (stored.path, stored.verify().problems) == (window.path, [])
    assert run.verify().ok and [*stored] == ["a", "b", "never"]
    assert [tuple(mark) for mark in stored.marks] == [(fired, "hr < 0", "trigger")]
    assert stored.marks == run.marks
    about = stored.info["metadata"]["window"]
    assert (about["of"], about["channel"], about["mono_ns"]) == (run.uuid, "a", fired)
    for name in run:
        span = run[name].window(window.start, window.end)
        assert stored[name].to_numpy().tobytes() == span.to_numpy().tobytes()
        assert stored[name].seq.tolist() == span.seq.tolist()
        assert stored[name].schema == run[name].schema and stored[name].clock.wall(fired) == run[
            name
        ].clock.wall(fired)
    assert stored["a"].decode("mode")["mode"].tolist()[:1] == ["IDLE"]
    path = stored.path / "channels/a/records.000001.npy"
    assert np.load(path)["hr"].tolist() == stored["a"]["hr"].tolist()


def test_windows_that_overlap_are_one() -> None:
    with bench() as at:
        at.rec.trigger("hr < 0", pre="5ms", post="10ms", holdoff=None, store=False, callback=at.caught)
        at.push()
        stamps = [at.push(-1)]
        at.push()
        at.look(12 * MS)  # behind the end of the first, but one that comes now may still overlap
        stamps += [at.push(-1, after=2 * MS)]  # 15 ms after the first: they touch
        at.look(15 * MS)
        at.push()
        last = at.push(-1, after=2 * MS)  # 17 ms after the second
        at.look(100 * MS)
        assert [window.firings for window in at.windows] == [tuple(stamps), (last,)]
        assert (at.windows[0].start, at.windows[0].end) == (stamps[0] - 5 * MS, stamps[1] + 10 * MS + 1)


def test_a_window_that_fires_on_and_on_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastrec.triggers.windows.MOST_FIRINGS", 3)
    with bench() as at:
        at.rec.trigger("hr < 0", edge="each", holdoff=None, store=False, callback=at.caught)
        for _ in range(7):
            at.push(-1)
        at.look(5000 * MS)
        assert [len(window.firings) for window in at.windows] == [3, 3, 1]


def test_windows_by_records() -> None:
    with bench() as at:
        at.rec.trigger("hr < 0", pre=3, post=2, store=False, callback=at.caught)
        for _ in range(10):
            at.push()
        at.push(-1, after=77 * MS)
        at.look(500 * MS)
        assert not at.windows  # the records behind it have not come
        for _ in range(5):
            at.push(after=99 * MS)
        at.look(MS)
        (window,) = at.windows
        assert numbers(window) == {
            "c": [6, 7, 8, 9, 10, 11, 12]
        }  # 3 before, 2 behind, and the one before all
        assert not window.cut


def test_by_no_records_it_is_the_one_that_fired() -> None:
    with bench() as at:
        at.rec.trigger("hr < 0", pre=0, post=0, store=False, callback=at.caught)
        for hr in (0, 0, -1, 0):
            at.push(hr)
        at.look(MS)
        assert numbers(at.windows[0]) == {"c": [1, 2]}


def test_by_no_records_it_waits_for_none() -> None:
    with bench() as at:
        at.rec.trigger(silence="5ms", pre="5ms", post=0, store=False, callback=at.caught)
        last = at.push()
        at.look(100 * MS)
        (window,) = at.windows
        assert (window.mono_ns, window.end) == (last + 5 * MS, last + 5 * MS + 1)
        assert numbers(window) == {"c": [0]}


def test_a_window_waits_for_its_records_to_be_written(tmp_path: Path) -> None:
    rec = fr.Recorder(tmp_path / "run.fastrec", flush="1h", durability=None)
    rec.add("c", schema=ROW)
    at = Bench(rec)
    at.push()  # before it starts: what is there at first is written at once
    with rec:
        rec.trigger("hr < 0", pre="1ms", post="1ms", callback=at.caught)
        until(lambda: rec["c"].stats.written == 1)
        at.push(-1), at.push()
        for _ in range(9):
            at.look(5000 * MS)
        assert at.done == 0 and at.rec["c"].stats.written == 1
    assert numbers(at.windows[0]) == {"c": [0, 1, 2]} and at.done == 1


@pytest.mark.parametrize("pre", ["10s", 50])
def test_history_may_be_shorter_than_the_window(pre: str | int) -> None:
    with bench() as at:
        at.rec.trigger("hr < 0", pre=pre, post="1ms", store=False, callback=at.caught)
        for hr in (0, 0, -1):
            at.push(hr)
        at.look(11_000 * MS)
        assert numbers(at.windows[0]) == {"c": [0, 1, 2]} and not at.windows[0].cut


@pytest.mark.parametrize("post", ["10s", 50])
def test_a_stop_cuts_a_window_short(tmp_path: Path, post: str | int) -> None:
    with bench(tmp_path / "run.fastrec") as at:
        trigger = at.rec.trigger("hr < 0", pre="1s", post=post, callback=at.caught)
        for hr in (0, -1, 0):
            at.push(hr)
        at.now += MS
    (window,) = at.windows
    assert window.cut and numbers(window) == {"c": [0, 1, 2]}
    stored = fr.open(tmp_path / "run.fastrec").windows
    assert [one.info["metadata"]["window"]["cut"] for one in stored.values()] == [True]
    assert trigger.stats.windows == 1


def test_only_the_channels_that_are_asked_for(tmp_path: Path) -> None:
    with bench(tmp_path / "run.fastrec", "a", "b", "c") as at:
        at.rec.trigger("hr < 0", on="a", channels=["b", "c"], post="1ms", callback=at.caught)
        at.push(on="a"), at.push(on="b"), at.push(-1, on="a")
        at.settle(1, 2000 * MS)
        assert numbers(at.windows[0]) == {"b": [0], "c": []}


def test_losses_are_in_the_window(tmp_path: Path) -> None:
    """What the user marked, too."""
    with bench(tmp_path / "run.fastrec") as at:
        at.rec.trigger("hr < 0", pre="1s", post="1ms", callback=at.caught)
        channel = at.rec["c"]
        for hr in (0, 0, -1):
            at.push(hr)
        at.settle(1, 2000 * MS)
        at.rec._destination.mark("valve", "mark", at.windows[0].mono_ns - MS)
        assert channel.stats.recorded == 3
        for hr in (0, 0, -1):
            at.push(hr)
        at.rec._destination.mark("valve", "mark", at.now - MS)
        at.settle(2, 2000 * MS)
    run = fr.open(tmp_path / "run.fastrec")
    first, second = run.windows.values()
    assert [mark.text for mark in first.marks] == ["hr < 0"]
    assert [mark.text for mark in second.marks] == ["valve", "hr < 0"]


def test_a_gap_within(tmp_path: Path) -> None:
    """A getter that fails now and then, and is late; what was lost last may be told behind the window."""
    calls = []

    def getter() -> bytes | None:
        calls.append(1)
        if len(calls) % 4 == 3:
            raise OSError(5, "now and then")
        return bytes(ROW.size)

    with fr.Recorder(tmp_path / "run.fastrec", flush="1ms") as rec:
        polled = rec.add("p", fr.PyCall(getter, schema=ROW), rate=2000)
        at = Bench(rec)
        at.engine.clock = lambda: polled.ring.core.account()["last"] + MS
        until(lambda: polled.stats.recorded > 50)
        rec.fire("now", pre="20ms", post="1ms", callback=at.caught)
        until(lambda: polled.stats.recorded > 120)
    (window,) = at.windows
    run = fr.open(tmp_path / "run.fastrec")
    for records in (window["p"], *[one["p"] for one in run.windows.values()]):
        span = run["p"].window(window.start, window.end)
        told = records.gaps[records.gaps["cause"] != Cause.RETIRED]
        assert Cause.FAILED in told["cause"]
        before = [gaps[gaps["seq"] <= records.seq[-1]].tolist() for gaps in (told, span.gaps)]
        assert before[0] == before[1] != []
        assert records.seq.tolist() == span.seq.tolist()


# What goes wrong


def test_a_callback_that_raises_is_told_and_others_go_on(tmp_path: Path) -> None:
    def raises(_: object) -> None:
        raise ZeroDivisionError("no")

    with bench(tmp_path / "run.fastrec") as at:
        bad = at.rec.trigger("hr < 0", post="1ms", pre="1ms", callback=raises)
        good = at.rec.trigger("hr < 0", post="1ms", pre="1ms", store=False, callback=at.caught)
        at.push(), at.push(-1)
        with pytest.warns(
            RuntimeWarning, match="the callback of 'hr < 0' raised ZeroDivisionError: no; triggers go on"
        ):
            at.settle(2, 100 * MS)
        assert (bad.stats.failed, bad.stats.windows, good.stats.windows, len(at.windows)) == (1, 0, 1, 1)
    assert len(fr.open(tmp_path / "run.fastrec").windows) == 1


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
def test_a_callback_that_exits_ends_itself_alone(tmp_path: Path, error: type[BaseException]) -> None:
    """While it records, and at the stop, of which it is a part."""

    def exits(_: object) -> None:
        raise error(3)

    with bench(tmp_path / "run.fastrec") as at:
        trigger = at.rec.trigger("hr < 0", post="1ms", pre="1ms", callback=exits)
        message = f"the callback of 'hr < 0' raised {error.__name__}: 3; triggers go on"
        at.push(), at.push(-1)
        with pytest.warns(RuntimeWarning, match=message):
            at.settle(1, 100 * MS)
        at.push(), at.push(-1, after=100 * MS)
        with pytest.warns(RuntimeWarning, match=message):
            at.rec.stop()
        assert (trigger.stats.failed, trigger.stats.windows) == (2, 0)
    run = fr.open(tmp_path / "run.fastrec")
    assert (run.state, len(run.windows)) == ("closed", 2)


def test_a_full_disk_fails_windows_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once, until one is stored again."""

    def full(*_: object) -> None:
        raise fr.RecordingError("No space left on device")

    path = tmp_path / "run.fastrec"
    with bench(path) as at:
        trigger = at.rec.trigger("hr < 0", pre="1ms", post="1ms", holdoff=None)
        writes = storing.write_excerpt
        for attempt, write in enumerate((full, full, writes, full)):
            monkeypatch.setattr(storing, "write_excerpt", write)
            at.push(), at.push(-1)
            if attempt in (0, 3):
                message = f"^{re.escape(str(path))}: a window around 'hr < 0' is not stored: No space left"
                message += " on device; recording goes on$"
                with pytest.warns(RuntimeWarning, match=message):
                    at.settle(attempt + 1, 100 * MS)
            else:
                at.settle(attempt + 1, 100 * MS)
        assert (trigger.stats.windows, trigger.stats.failed) == (1, 3)
    run = fr.open(path)
    assert len(run["c"]) == 8 and [*run.windows] == ["000001-hr-lt-0.fastrec"] and run.verify().ok


def test_a_really_full_disk(small_disk: Path) -> None:
    path, ballast = small_disk / "run.fastrec", small_disk / "ballast"
    with bench(path) as at:
        trigger = at.rec.trigger("hr < 0", pre="1s", post="1ms", holdoff=None)
        at.push(), at.push(-1)
        at.look()
        until(lambda: at.rec["c"].stats.written == 2)
        free = os.statvfs(small_disk)
        ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 16384))
        with pytest.warns(RuntimeWarning, match="is not stored: .*No space left on device"):
            at.settle(1, 1500 * MS)
        ballast.unlink()
        at.push(), at.push(-1)
        at.settle(2, 1500 * MS)
        assert (trigger.stats.windows, trigger.stats.failed) == (1, 1)
    assert [one.verify().ok for one in fr.open(path).windows.values()] == [True]
    assert not [*(path / "windows").glob(".*")]


def test_windows_wait_for_the_disk_but_not_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_MOST_WAITING", 2)
    with bench(tmp_path / "run.fastrec") as at:
        trigger = at.rec.trigger("hr < 0", pre="1ms", post="1ms", holdoff=None)
        monkeypatch.setattr(jobs.Jobs, "_is_written", lambda *_: False)
        with pytest.warns(RuntimeWarning, match="is not stored: the disk has not taken its records"):
            for _ in range(3):
                at.push(), at.push(-1)
                at.look(100 * MS)
        assert (trigger.stats.failed, trigger.stats.windows) == (1, 0)
    assert (trigger.stats.failed, trigger.stats.windows) == (1, 2)


def test_a_look_that_fails_is_told_and_the_next_one_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench() as at:
        trigger = at.rec.trigger("hr < 0", store=False)
        at.push(), at.push(-1)
        monkeypatch.setattr(engine.Engine, "_look_at", lambda *_: 1 / 0)
        with pytest.warns(RuntimeWarning, match="a look at triggers failed: ZeroDivisionError: "):
            at.engine._try_to_look()
        at.engine._try_to_look()
        monkeypatch.undo()
        at.engine._try_to_look()
        assert trigger.fired == 1


# Memory alone


def test_without_a_path_nothing_can_be_stored() -> None:
    with bench() as at:
        with pytest.raises(fr.RecordingError, match=r"^without a path no window is stored: say store=False"):
            at.rec.trigger("hr < 0")
        with pytest.raises(fr.RecordingError, match=r"^without a path no window is stored: say store=False"):
            at.rec.fire("why")
        assert at.rec.triggers == () and at.rec.marks == ()


def test_what_has_left_the_ring_is_a_gap_of_the_window() -> None:
    rec = fr.Recorder()
    rec.add("c", schema=ROW, capacity=64)
    at = Bench(rec)
    with rec:
        rec.trigger("hr < 0", pre="1s", post="90ms", store=False, callback=at.caught)
        at.push(), at.push(-1)
        at.look()
        for _ in range(89):
            at.push()
            at.look()
        at.look(1100 * MS)
        (window,) = at.windows
        assert window["c"].seq.tolist() == list(range(27, 91))
        assert [(int(gap["seq"]), int(gap["count"]), int(gap["cause"])) for gap in window["c"].gaps] == [
            (0, 27, Cause.OVERWRITTEN)
        ]
        assert window.path is None and not window.cut


# Time


def test_up_to_when_all_is_published() -> None:
    """A call that is under way will be stamped with its middle; whose stamps are its own, its time is."""
    release, entered = threading.Event(), threading.Event()

    def getter() -> bytes:
        if not first:
            entered.set()
            release.wait(30)
        first.clear()
        return bytes(ROW.size)

    first = [1]
    with fr.Recorder() as rec:
        pushed = rec.add("c", schema=ROW)
        polled = rec.add("p", fr.PyCall(getter, schema=ROW), rate=100)
        assert entered.wait(30)
        since = polled.ring.core.in_call
        assert settled(polled, since + 1000 * MS, 0) == since + 499 * MS
        now = rec._engine.clock()
        assert settled(pushed, now, now) == now
        pushed.push(np.zeros((), ROW.dtype))
        assert settled(pushed, now, now) == now
        release.set()
    with fr.Recorder() as rec:
        pushed = rec.add("c", schema=ROW)
        pushed.push(np.zeros((), ROW.dtype), 5000)
        now = rec._engine.clock()
        assert settled(pushed, now, now) == 5000


def test_stamps_of_another_time_fire_and_have_windows() -> None:
    """The engine's own threads look, and the clock of the machine says nothing of such stamps."""
    caught = []
    with fr.Recorder() as rec:
        channel = rec.add("c", schema=ROW)
        trigger = rec.trigger("hr < 0", pre="2ms", post="2ms", store=False, callback=caught.append)
        for place in range(14):
            channel.push(np.array((-(place == 5), 0), ROW.dtype), place * MS)
            if place == 6:
                until(lambda: trigger.fired)
        until(lambda: caught)
    assert numbers(caught[0]) == {"c": [2, 3, 4, 5, 6, 7]}
    assert (trigger.fired, caught[0].mono_ns) == (1, 5 * MS)


class Held:
    """A channel of 100 Hz whose state lasts, and no heartbeat comes; the clock of its recorder is told.

    Attributes
    ----------
    at : Bench
    began : int
        The only stamp there is.
    """

    def __init__(self, rec: fr.Recorder, heartbeat: str) -> None:
        rec.add(
            "p",
            fr.PyCall(lambda: bytes(ROW.size), schema=ROW),
            rate=100,
            store="changes",
            heartbeat=heartbeat,
        )
        self.at = Bench(rec)
        until(lambda: rec["p"].stats.recorded)
        self.began = self.at.now = int(rec["p"].snapshot(1)["mono_ns"][0])

    def look(self, when: int) -> None:
        """So many ns behind its beginning."""
        self.at.now = self.began + when
        self.at.engine.look()
        self.at.engine.work()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls take no time."""
    monkeypatch.setattr(engine, "settled", lambda channel, now, began: now)


@pytest.mark.usefixtures("known")
def test_a_state_that_lasts_is_no_silence_before_its_heartbeat() -> None:
    with fr.Recorder() as rec:
        held = Held(rec, "60s")
        trigger = rec.trigger(silence="500ms", store=False)
        held.look(60_510 * MS)
        assert trigger.fired == 0
        held.look(60_530 * MS)  # two polls more than a heartbeat and the silence
        assert [mark.mono_ns for mark in rec.marks] == [held.began + 500 * MS]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(("path", "waits"), [(True, 20_020), (False, 1000)])
def test_a_window_waits_for_what_is_told_at_a_heartbeat(tmp_path: Path, path: bool, waits: int) -> None:
    """In memory not for long: the ring goes round."""
    with fr.Recorder(tmp_path / "run.fastrec" if path else None, flush="1ms", durability=None) as rec:
        held = Held(rec, "20s")
        rec.fire("now", pre="1ms", post="5ms", store=False, callback=held.at.caught)
        held.look((5 + waits) * MS)
        assert held.at.engine._open
        held.look((5 + waits + 1) * MS)
        assert not held.at.engine._open
        until(lambda: held.look((5 + waits + 100) * MS) or held.at.windows)
        assert numbers(held.at.windows[0]) == {"p": [0]} and not held.at.windows[0].cut


# For real


def test_with_its_own_threads(tmp_path: Path) -> None:
    """Added before it runs, and while it does; fired by hand; the threads end with it."""
    path, caught = tmp_path / "run.fastrec", []
    rec = fr.Recorder(path, flush="1ms")
    channel = rec.add("c", schema=ROW)
    usage = rec.add("u", "linux:rusage", rate=1000)
    first = rec.trigger("hr < 0", pre="20ms", post="20ms")
    with rec:
        second = rec.trigger("hr > 5", pre="20ms", post="20ms", callback=caught.append)
        for hr in (0, -1, 9):
            channel.push(np.array((hr, 0), ROW.dtype))
        until(lambda: first.stats.windows and second.stats.windows)
        before = usage.stats.recorded
        until(lambda: usage.stats.recorded > before + 100)
        when = rec.fire("by hand", pre="50ms", post="10s")
        names = {one.name for one in threading.enumerate()}
        assert {"fastrec-trigger", "fastrec-window"} <= names
    assert not {one.name for one in threading.enumerate()} & {"fastrec-trigger", "fastrec-window"}
    run = fr.open(path)
    windows = [*run.windows.values()]
    assert [one.marks[0].text for one in windows] == ["hr < 0", "hr > 5", "by hand"] or len(windows) == 3
    assert {mark.text for mark in run.marks} == {"hr < 0", "hr > 5", "by hand"}
    assert run.verify().ok and all(one.verify().ok for one in windows)
    by_hand = next(one for one in windows if one.marks[0].kind == "fire")
    assert by_hand.marks[0].mono_ns == when and by_hand.info["metadata"]["window"]["cut"]
    span = run["u"].window(when - 50 * MS, when + 10_000 * MS + 1)
    assert by_hand["u"].seq.tolist() == span.seq.tolist()[: len(by_hand["u"])] and len(by_hand["u"]) > 10
    assert caught[0].path.name.endswith("-hr-gt-5.fastrec")


def test_a_callback_may_stop_the_recorder(tmp_path: Path) -> None:
    stopped = threading.Event()
    rec = fr.Recorder(tmp_path / "run.fastrec", flush="1ms")
    channel = rec.add("c", schema=ROW)
    rec.trigger("hr < 0", pre="1ms", post="1ms", callback=lambda _: (rec.stop(), stopped.set()))
    rec.start()
    for hr in (0, -1):
        channel.push(np.array((hr, 0), ROW.dtype))
    assert stopped.wait(30)
    assert fr.open(tmp_path / "run.fastrec").state == "closed"


def test_a_callback_may_stop_it_while_another_does(tmp_path: Path) -> None:
    """Who stops it waits for the callback, so that one does not wait for who stops it."""
    rec = fr.Recorder(tmp_path / "run.fastrec", flush="1ms")
    channel = rec.add("c", schema=ROW)
    inside, over = threading.Event(), []

    def stops(_: object) -> None:
        inside.set()
        until(lambda: rec._state == "stopping")
        rec.stop()
        over.append("callback")

    trigger = rec.trigger("hr < 0", pre="1ms", post="1ms", callback=stops)
    rec.start()
    for hr in (0, -1):
        channel.push(np.array((hr, 0), ROW.dtype))
    assert inside.wait(30)
    rec.stop()
    over.append("stop")
    until(lambda: len(over) == 2)
    assert over == ["callback", "stop"]
    assert (trigger.stats.windows, trigger.stats.failed) == (1, 0)
    assert fr.open(rec.path).closed["channels"]["c"]["records"] == 2


def test_a_disk_that_takes_no_mark_holds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither who asks a trigger for its counters nor a stop; what the disk takes is there."""
    for limit in ("_LINGER", "_LEAST"):
        monkeypatch.setattr(engine, limit, 0.1, raising=False)
    answers, stuck, told = threading.Event(), threading.Event(), []
    rec = fr.Recorder(tmp_path / "run.fastrec", flush="1ms")
    channel = rec.add("c", schema=ROW)
    trigger = rec.trigger("hr < 0", pre="1s", post="10s", callback=lambda _: None)
    rec.start()
    marks = rec._destination._writer.marks
    append = marks.append

    def hangs(line: dict[str, object]) -> None:
        if threading.current_thread().name == "fastrec-trigger":
            stuck.set()
            answers.wait(60)
        append(line)

    monkeypatch.setattr(marks, "append", hangs)
    monkeypatch.setattr(engine, "tell", told.append)
    for hr in (0, -1):
        channel.push(np.array((hr, 0), ROW.dtype))
    assert stuck.wait(30)
    seen = []
    user = threading.Thread(target=lambda: (seen.append(trigger.stats.fired), rec.stop()))
    user.start()
    user.join(10)
    try:
        assert not user.is_alive() and seen == [1]
    finally:
        answers.set()
    user.join(30)
    until(lambda: "fastrec-trigger" not in {one.name for one in threading.enumerate()})
    assert told == [f"{rec.path}: a firing may not be marked: the disk does not answer"]
    run = fr.open(rec.path)
    assert (run.state, len(run.windows), trigger.stats.windows) == ("closed", 1, 1)
