"""Following what is published, and what is committed, by real recorders."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

import fastrec as fr
from fastrec.schema.gaps import OWN_NUMBERS, Cause

SCHEMA = np.dtype([("tick", "<u4")])


def ticks(start: int, stop: int) -> np.ndarray:
    rows = np.zeros(stop - start, SCHEMA)
    rows["tick"] = np.arange(start, stop)
    return rows


def told(parts: Iterable[fr.Records], begin: int = 0) -> tuple[int, dict[Cause, int]]:
    """The number behind all rows and losses, none of which comes twice or is missing; and what was lost."""
    reached, lost = begin, {}
    for part in parts:
        numbers = part.seq.tolist()
        np.testing.assert_array_equal(part["tick"], part.seq)
        spans = [(number, number + 1) for number in numbers]
        for gap in part.gaps:
            count, cause = int(gap["count"]), Cause(gap["cause"])
            lost[cause] = lost.get(cause, 0) + count
            assert 0 < gap["t_first"] <= gap["t_last"]
            if cause in OWN_NUMBERS:
                spans.append((int(gap["seq"]), int(gap["seq"]) + count))
        for start, stop in sorted(spans):
            assert start == reached
            reached = stop
    return reached, lost


# What is published


def test_a_ring_is_followed() -> None:
    with fr.Recorder() as rec:
        channel = rec.add("c", schema=SCHEMA, capacity=100)
        channel.extend(ticks(0, 10))
        first, last = channel.snapshot().follow(timeout="0s"), channel.last(3).follow(timeout="0s")
        early = channel.snapshot()[:4].follow(timeout="0s")
        assert list(first) == list(last) == []
        channel.extend(ticks(10, 15))
        for follow in (first, last):
            assert told(follow, 10) == (15, {})
        assert told(early, 4) == (15, {})
        channel.extend(ticks(15, 1015))
        reached, lost = told(first, 15)
        assert (reached, lost) == (1015, {Cause.OVERWRITTEN: 1000 - len(channel.snapshot())})
    # It ends with the recorder; what was published last is there.
    (part,) = last
    assert part.seq[-1] == 1014
    assert list(channel.snapshot().follow()) == []
    assert part.start in range(time.monotonic_ns() - 10**12, time.monotonic_ns())
    assert abs(part.clock.wall(part.end) - time.time_ns()) < 3600 * 10**9


def test_losses_of_a_ring_come_once(tmp_path: Path) -> None:
    with fr.Recorder(tmp_path / "r", flush="1h") as rec:
        channel = rec.add("c", schema=SCHEMA, capacity=64, when_full="drop")
        room = channel.extend(ticks(0, 200))
        snapshot = channel.snapshot()
        follow, early = snapshot.follow(timeout="0s"), snapshot[:5].follow(timeout="0s")
        assert snapshot.gaps["count"].sum() == 200 - room > 0
        assert list(follow) == []
        assert told(early, 5) == (room, {Cause.DROPPED: 200 - room})
        assert not channel.push(ticks(0, 1))
        assert not channel.push(ticks(0, 1))
        for one in (follow, early):
            assert told(one, room) == (room, {Cause.DROPPED: 2})
            assert list(one) == []


def test_a_reader_beside_a_writer() -> None:
    with fr.Recorder() as rec:
        channel = rec.add("c", schema=SCHEMA, capacity=4096)
        follow = channel.snapshot().follow(poll="1ms")

        def write() -> None:
            for start in range(0, 200_000, 500):
                channel.extend(ticks(start, start + 500))
            rec.stop()

        writer = threading.Thread(target=write)
        writer.start()
        reached, lost = told(follow)
        writer.join()
    assert reached == 200_000
    assert set(lost) <= {Cause.OVERWRITTEN}


# What is committed


@pytest.mark.parametrize("slow", [False, True])
def test_across_rotation_retention_and_resume(tmp_path: Path, *, slow: bool) -> None:
    path, count, sessions = tmp_path / "r", 60_000, 2
    begun, done = threading.Event(), threading.Event()

    def write() -> None:
        for session in range(sessions):
            options = {"segment_bytes": 1 << 14, "keep_bytes": 1 << 17, "flush": "2ms", "durability": "20ms"}
            with fr.Recorder(path, resume=session > 0, **options) as rec:
                channel = rec.add("c", schema=SCHEMA)
                begun.set()
                for start in range(session * count, (session + 1) * count, 100):
                    channel.extend(ticks(start, start + 100))
                    time.sleep(0.0002)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    follow = fr.open(path)["c"][:0].follow(poll="1ms")
    reached, lost = 0, {}
    while True:
        finished = done.is_set()
        for part in follow:  # ends between two sessions, and goes on
            reached, more = told([part], reached)
            lost = {cause: lost.get(cause, 0) + more.get(cause, 0) for cause in {*lost, *more}}
            time.sleep(0.1 if slow else 0)
        if finished:
            break
    writer.join()
    assert reached == sessions * count
    assert set(lost) <= {Cause.RETIRED}
    assert not slow or lost
    run = fr.open(path)
    assert run.problems == [] and run["c"].seq[-1] == reached - 1
    assert run["c"].gaps["cause"].tolist() == [Cause.RETIRED]


@pytest.mark.parametrize(
    "ask",
    [
        lambda one: one.to_numpy()["n"].tolist(),
        lambda one: one["n"].tolist(),
        lambda one: one.counts("mode").tolist(),
        lambda one: one.durations("mode").tolist(),
        lambda one: one.transitions("mode").tolist(),
        lambda one: one.where("mode == 1 and n > 9").seq.tolist(),
        lambda one: one.downsample(900, "n").tolist(),
        lambda one: one[5:].resample("1ms", {"n": ["min", "max"]}).tolist(),
        lambda one: one.rate("n").tolist(),
        lambda one: one[::7].asof(one, direction="forward")["n"].tolist(),
    ],
)
def test_the_last_part_outlives_its_segment(tmp_path: Path, ask: Callable[[fr.Records], list]) -> None:
    """More than is read in one go, and kept."""
    rows = np.zeros(100_000, [("n", "<u4"), ("mode", "<i4")])
    rows["n"], rows["mode"] = np.arange(100_000), np.arange(100_000) // 777 % 5
    with fr.Recorder(tmp_path / "r") as rec:
        rec.add("c", schema=rows.dtype, capacity=200_000).extend(rows, np.arange(100_000) * 1_000)
    wanted = ask(fr.open(tmp_path / "r")["c"])
    part = next(fr.open(tmp_path / "r")["c"][:0].follow())
    assert len(part) == 100_000
    for file in (tmp_path / "r/channels/c").glob("*.000000.*"):
        file.unlink()
    assert ask(part) == wanted
