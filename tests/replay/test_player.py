"""The player on real recordings, in real time."""

from __future__ import annotations

import itertools
import signal
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from common import SCHEMA, raw, sample
from waiting import PATIENCE, until

import fastrec as fr
from fastrec.recording import Recording
from fastrec.records import ArrayChunk, Records
from fastrec.schema.gaps import GAP_DTYPE

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

S = 1_000_000_000
FAST = np.dtype([("count", "<u4"), ("mode", "<i4")])
SLOW = np.dtype([("angle", "<f8")])
MODES = {"IDLE": 0, "RUN": 1}


def stamps(rate: int, seconds: float, seed: int) -> np.ndarray:
    """A grid with jitter, from some time after the boot on."""
    period = S // rate
    grid = np.arange(round(rate * seconds)) * period
    return 4_321 * S + grid + np.random.default_rng(seed).integers(0, period // 2, len(grid))


def record(path: Path | None, seconds: float) -> dict[str, np.ndarray]:
    """Record the channels ``fast`` (1 kHz) and ``slow`` (100 Hz); their stamps."""
    times = {"fast": stamps(1_000, seconds, 1), "slow": stamps(100, seconds, 2)}
    with fr.Recorder(path, durability=None) as rec:
        fast = rec.add("fast", schema=fr.Schema.from_dtype(FAST, name="fast", labels={"mode": MODES}))
        slow = rec.add("slow", schema=SLOW)
        payloads = np.zeros(len(times["fast"]), FAST)
        payloads["count"] = np.arange(len(payloads))
        payloads["mode"] = payloads["count"] % 2
        fast.extend(payloads, times["fast"])
        slow.extend(np.arange(len(times["slow"])).astype(SLOW), times["slow"])
    return times


@pytest.fixture(scope="module")
def five_seconds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("five") / "five.fastrec"
    record(path, 5.0)
    return path


@pytest.fixture
def short(tmp_path: Path) -> Recording:
    """A recording of 0.2 s."""
    record(tmp_path / "short.fastrec", 0.2)
    return fr.open(tmp_path / "short.fastrec")


def nothing(t: int, channel: str, record: Any) -> None:
    pass


def simple(count: int, name: str = "plant", period: int = 1_000) -> Records:
    rows = sample(count)
    rows["mono_ns"] = np.arange(count) * period
    return Records(name, SCHEMA, [ArrayChunk(rows)], gaps=np.empty(0, GAP_DTYPE), clock=None)


@pytest.mark.parametrize(("speed", "part"), [(0.5, "5s"), (1, "5s"), (10, "5s"), (0.1, "0.1s"), (100, "5s")])
def test_it_takes_as_long_as_it_took(five_seconds: Path, speed: float, part: str) -> None:
    run = {name: records.last(part) for name, records in fr.open(five_seconds).items()}
    times = np.concatenate([records["mono_ns"] for records in run.values()])
    intended = round(int(np.ptp(times)) / speed)
    errors = []
    give_up = time.monotonic() + PATIENCE
    # Other programs may take the machine for a while; the bound stays.
    while len(errors) < 3 or time.monotonic() < give_up:
        began = time.monotonic_ns()
        report = fr.Player(run, speed=speed).run(nothing)
        took = time.monotonic_ns() - began
        assert report.records == len(times) and abs(report.intended_ns - intended) <= 1
        assert 0 <= report.lateness.p50 <= report.lateness.p99 <= report.lateness.max
        assert report.intended_ns <= report.duration_ns <= took
        errors.append(took - intended)
        if abs(errors[-1]) <= max(intended // 1000, 2_000_000):
            return
    raise AssertionError(f"off by {errors[-9:]} ns of {intended}")


def test_iterating(short: Recording) -> None:
    player = fr.Player(short)
    found = list(player)
    assert [t for t, _, _ in found] == sorted(np.concatenate([short[name]["mono_ns"] for name in short]))
    for name in short:
        mine = [record for _, channel, record in found if channel == name]
        assert all(isinstance(record, np.void) for record in mine)
        assert b"".join(map(bytes, mine)) == short[name].to_numpy().tobytes()
    assert all(type(t) is int and t == record["mono_ns"] for t, _, record in found)
    # None keeps the block alive that it was in.
    assert all(record.base.nbytes == record.nbytes for _, _, record in found)
    found[0][2]["mono_ns"] = 0  # a copy, and the reader's own
    assert [t for t, _, _ in player] == [t for t, _, _ in found] and player.report is None


def test_running_is_iterating_with_waits(short: Recording) -> None:
    player = fr.Player(short, 20)
    got: list[tuple[int, str, bytes]] = []
    report = player.run(lambda t, channel, record: got.append((t, channel, bytes(record))))
    assert got == [(t, channel, bytes(record)) for t, channel, record in player]
    assert report.records == len(got) == 220 and player.report is report
    again = player.run(nothing)
    assert again.records == 220 and player.report is again


def test_no_call_comes_early(short: Recording) -> None:
    got: list[tuple[int, int]] = []
    began = time.monotonic_ns()
    fr.Player(short, 2).run(lambda t, channel, record: got.append((t, time.monotonic_ns())))
    assert all(called >= began + (t - got[0][0]) // 2 for t, called in got)


def test_a_slow_callback_catches_up(short: Recording) -> None:
    """Ten calls each take two periods of the fast channel; counted from each wake-up that would add up."""
    slept = 0

    def callback(t: int, channel: str, record: np.void) -> None:
        nonlocal slept
        if channel == "fast" and record["count"] % 20 == 10:
            began = time.monotonic_ns()
            time.sleep(0.005)
            slept += time.monotonic_ns() - began

    overshoot = []
    while len(overshoot) < 3:
        report = fr.Player(short).run(callback)
        overshoot.append(report.duration_ns - report.intended_ns)
        if overshoot[-1] < slept // 10:
            break
    assert min(overshoot) < slept // 10
    assert report.lateness.max > 2_000_000


def test_as_fast_as_taken(five_seconds: Path) -> None:
    report = fr.Player(fr.open(five_seconds), None).run(nothing)
    assert report.records == 5_500 and report.intended_ns == 0 < report.duration_ns < 5 * S
    assert report.lateness == fr.Player({}).run(nothing).lateness and report.lateness.max == -1


def test_decoded(short: Recording) -> None:
    found = {name: [] for name in short}
    for t, channel, record in fr.Player(short, decoded=True):
        assert record["mono_ns"] == t
        found[channel].append(record)
    assert found["fast"][7] == {"mono_ns": int(short["fast"]["mono_ns"][7]), "count": 7, "mode": "RUN"}
    assert found["slow"][3] == {"mono_ns": int(short["slow"]["mono_ns"][3]), "angle": 3.0}
    values = [value for records in found.values() for record in records for value in record.values()]
    assert {type(value) for value in values} == {int, float, str}


def test_records_alone_and_any_mapping() -> None:
    one, two = simple(70), simple(70)
    assert {channel for _, channel, _ in fr.Player(one)} == {"plant"}
    merged = list(fr.Player({"b": one, "a": two}))
    assert [channel for _, channel, _ in merged] == ["b", "a"] * 70
    assert list(fr.Player({})) == [] and repr(fr.Player({})) == "<Player of nothing, at 1x>"
    assert repr(fr.Player(one, None)) == "<Player plant, as fast as they are taken>"
    assert repr(fr.Player(one, 0.1)) == "<Player plant, at 0.1x>"


def test_a_live_recording(tmp_path: Path) -> None:
    """What is committed when the run begins; a run after it sees more."""
    with fr.Recorder(tmp_path / "live.fastrec", flush="1ms") as rec:
        channel = rec.add("plant", schema=SCHEMA)
        begin = SCHEMA.payload_offset("every")
        payload = b"".join(bytes(row)[begin : begin + SCHEMA.size] for row in raw(sample(100)))

        def push(first: int) -> None:
            channel.extend(payload, first + np.arange(100))
            until(lambda: channel.stats.written == channel.stats.published)

        push(0)
        player = fr.Player(fr.open(tmp_path / "live.fastrec"), None)
        seen = iter(player)
        first = next(seen)
        push(1000)
        assert first[0] == 0 and [t for t, _, _ in seen] == list(range(1, 100))
        assert player.run(nothing).records == 200


def test_what_the_callback_raises_passes_through() -> None:
    player = fr.Player(simple(500), 1000)

    def callback(t: int, channel: str, record: np.void) -> None:
        if t == 300_000:
            raise LookupError(t)

    with pytest.raises(LookupError, match="300000"):
        player.run(callback)
    assert player.report.records == 301 and player.report.intended_ns == 300


@pytest.mark.parametrize("speed", [1, 1e-300])
def test_an_interrupt_passes_through(speed: float) -> None:
    """In the middle of a wait that would be hours, or end after all that the core can count."""
    player = fr.Player(simple(2, period=10_000 * S), speed)
    main = threading.get_ident()
    timer = threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        player.run(nothing)
    timer.join()
    assert player.report.records == 1 and player.report.intended_ns == 0


def test_other_threads_go_on() -> None:
    """While it waits, a thread of pure Python does about what it does alone."""
    player = fr.Player(simple(2, period=300_000_000))
    done, counts = threading.Event(), itertools.count()

    def work() -> None:
        for _ in counts:
            if done.is_set():
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        before = next(counts)
        report = player.run(nothing)
        played = next(counts) - before
        before = next(counts)
        time.sleep(report.duration_ns / 1e9)
        alone = next(counts) - before
    finally:
        done.set()
        thread.join()
    assert played > alone / 10


@pytest.mark.parametrize("decoded", [False, True])
def test_memory_does_not_grow_with_the_recording(decoded: bool) -> None:
    def peak(count: int) -> int:
        player = fr.Player({"a": simple(count), "b": simple(count, period=700)}, decoded=decoded)
        tracemalloc.start()
        try:
            assert sum(1 for _ in player) == 2 * count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # 25 times as many records; what waits for the garbage collector varies.
    assert peak(50_000) < 4 * peak(2_000)


def test_what_cannot_be_played(tmp_path: Path) -> None:
    record(tmp_path / "x.fastrec", 0.01)
    for wrong in (str(tmp_path / "x.fastrec"), tmp_path, None, 3, [simple(1)]):
        with pytest.raises(fr.SchemaError, match="open"):
            fr.Player(wrong)
    with pytest.raises(fr.SchemaError, match="snapshot"):
        iter(fr.Player({"a": 3}))
    with pytest.raises(fr.SchemaError, match=r"takes a function of \(t, channel, record\)"):
        fr.Player(simple(1)).run(3)
    for speed in (0, -1, float("nan"), float("inf"), True, "2"):
        with pytest.raises(fr.SchemaError, match="speed="):
            fr.Player(simple(1), speed)


def test_damage_is_an_error_where_it_is(tmp_path: Path) -> None:
    record(tmp_path / "x.fastrec", 3.0)
    path = tmp_path / "x.fastrec/channels/fast/records.000000.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    player = fr.Player(fr.open(tmp_path / "x.fastrec"), None)
    with pytest.raises(fr.CorruptionError):
        player.run(nothing)
    assert player.report.records > 2_000


def test_it_says_what_it_plays() -> None:
    assert repr(fr.Player({"a": simple(1), 1: simple(1)}, 2)) == "<Player a, 1, at 2x>"
