"""The recorder as a whole: real getters, real threads, real files; every loss accounted for."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import itertools
import json
import os
import resource
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import cffi
import numpy as np
import pytest
from common import SCHEMA, check_records, raw, rows_of, sample
from moments import Known, check_matched, check_rates, check_resampled
from programs import build, load_apart
from tasks import tasks
from waiting import taken_away, until

import fastrec as fr
from fastrec.schema.gaps import Cause

STATUS = np.dtype([("mode", "<i4"), ("count", "<u4"), ("level", "<f8")])


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("getters"), "getters.c", "-shared", "-fPIC")


@pytest.fixture
def getters(library: Path, tmp_path: Path) -> ctypes.CDLL:
    """The library under a name of its own, so that its counters begin at zero."""
    loaded = load_apart(library, tmp_path)
    loaded.get_void.restype = None
    loaded.get_wide.restype = ctypes.c_longlong
    loaded.get_narrow.restype = ctypes.c_int8
    return loaded


def put(library: ctypes.CDLL, **values: int) -> None:
    for name, value in values.items():
        ctypes.c_int.in_dll(library, name).value = value


def balanced(stats: fr.Recorder) -> bool:
    return stats.slots == stats.recorded + stats.held + stats.missed + stats.failed + stats.dropped


def recorded(path: Path | None, rows: np.ndarray, **options: object) -> fr.Records:
    """Rows of `common.SCHEMA` as a recorder keeps them: live without a path, else read back."""
    begin = SCHEMA.payload_offset("every")
    payload = b"".join(bytes(row)[begin : begin + SCHEMA.size] for row in raw(rows))
    with fr.Recorder(path, **options) as rec:
        channel = rec.add("plant", schema=SCHEMA, capacity=max(64, len(rows)))
        channel.extend(payload, rows["mono_ns"])
        if path is None:
            return channel.snapshot()
    return fr.open(path)["plant"]


def test_live_records_keep_the_contract() -> None:
    check_records(lambda rows, store: recorded(None, rows))


@pytest.mark.parametrize("segment_bytes", [1 << 20, 1 << 10])
def test_stored_records_keep_the_contract(tmp_path: Path, segment_bytes: int) -> None:
    number = itertools.count()
    check_records(
        lambda rows, store: recorded(tmp_path / f"{next(number)}.fastrec", rows, segment_bytes=segment_bytes),
        count=2500,
    )


@pytest.mark.parametrize("stored", [False, True])
def test_questions_about_time(tmp_path: Path, stored: bool) -> None:
    """The same of a live ring and of a recording."""
    rows = sample(900)
    records = recorded(
        tmp_path / "r.fastrec" if stored else None, rows, **({"segment_bytes": 1 << 10} if stored else {})
    )
    names = {name: rows[name] for name in ("mode", "level", "total", "trace", "tag")}
    known = Known(records, {name: rows_of(rows, states, range(900)) for name, states in names.items()})
    check_resampled(known, ["mode", "level", "total", "tag"], 90_001, None, "2us")
    check_rates(known, ["total", "mode"], 200_000, None, "2us")
    other = known.part(2, 900, 7)
    for direction in ("backward", "forward", "nearest"):
        found = records.asof(other.records, direction=direction, tolerance="3us", max_gap="10us")
        check_matched(found, other, rows["mono_ns"].tolist(), direction, 3_000, "10us")


class TestRusage:
    def test_agrees_with_resource(self, tmp_path: Path) -> None:
        """At 10 kHz, the kernel's numbers as Python's own module has them."""
        path = tmp_path / "run.fastrec"
        before = resource.getrusage(resource.RUSAGE_SELF)
        with fr.Recorder(path) as rec:
            cpu = rec.add("cpu", "linux:rusage", rate=10_000)
            until(lambda: cpu.stats.slots > 3000)
        after = resource.getrusage(resource.RUSAGE_SELF)
        records = fr.open(path)["cpu"]
        for name in (
            "ru_maxrss",
            "ru_minflt",
            "ru_majflt",
            "ru_inblock",
            "ru_oublock",
            "ru_nvcsw",
            "ru_nivcsw",
        ):
            column = records[name]
            assert (np.diff(column) >= 0).all(), name
            assert getattr(before, name) <= column[0] <= column[-1] <= getattr(after, name), name
        for name in ("ru_utime", "ru_stime"):
            seconds = records[f"{name}.tv_sec"] + records[f"{name}.tv_usec"] / 1e6
            assert getattr(before, name) - 1e-5 <= seconds[0] <= seconds[-1] <= getattr(after, name) + 1e-5
        assert (np.diff(records["mono_ns"]) > 0).all()
        assert balanced(cpu.stats) and cpu.stats.failed == cpu.stats.dropped == 0
        assert len(records) == cpu.stats.recorded

    def test_values_at_a_moment(self) -> None:
        """One call between two of Python's: each field in between."""
        before = resource.getrusage(resource.RUSAGE_SELF)
        read = fr.Call(ctypes.CDLL(None).getrusage, 0, fr.OUT, schema="linux:rusage").read()
        after = resource.getrusage(resource.RUSAGE_SELF)
        assert before.ru_minflt <= read["ru_minflt"] <= after.ru_minflt
        assert before.ru_nvcsw <= read["ru_nvcsw"] <= after.ru_nvcsw


def test_two_rates_in_one_recorder(tmp_path: Path, getters: ctypes.CDLL) -> None:
    path = tmp_path / "two.fastrec"
    rec = fr.Recorder(path)
    fast = rec.add("fast", fr.Call(getters.get_status, fr.OUT, schema=STATUS), rate=2000)
    slow = rec.add("slow", "linux:rusage", rate=10)
    with rec:  # both begin at one moment
        until(lambda: slow.stats.slots >= 11)
    run = fr.open(path)
    assert list(run) == ["fast", "slow"] and run.state == "closed"
    assert fast.stats.slots / slow.stats.slots == pytest.approx(200, rel=0.15)
    for channel in (fast, slow):
        assert balanced(channel.stats)
        assert (
            channel.stats.published
            == channel.stats.written
            == channel.stats.durable
            == len(run[channel.name])
        )
    assert run.verify().ok


class TestAccounts:
    def test_failures(self, tmp_path: Path, getters: ctypes.CDLL) -> None:
        """Of calls 1 to n (the first is the probe) every seventh and other third failed, with their codes."""
        path = tmp_path / "run.fastrec"
        with fr.Recorder(path) as rec:
            channel = rec.add("s", fr.Call(getters.get_sometimes, fr.OUT, schema=STATUS), rate=5000)
            until(lambda: channel.stats.slots > 2000)
        stats, records = channel.stats, fr.open(path)["s"]
        calls = range(2, stats.slots - stats.missed + 2)
        timeouts = sum(n % 7 == 0 for n in calls)
        fives = sum(n % 3 == 0 and n % 7 != 0 for n in calls)
        assert balanced(stats) and stats.failed == timeouts + fives
        failed = records.gaps[records.gaps["cause"] == Cause.FAILED]
        assert failed["count"][failed["code"] == errno.ETIMEDOUT].sum() == timeouts
        assert failed["count"][failed["code"] == -5].sum() == fives
        assert records["count"].tolist() == [n for n in calls if n % 7 and n % 3]
        place = {int(gap["seq"]) for gap in failed}
        assert place <= set(range(len(records) + 1)) and len(place) > len(records) / 4

    def test_blocking_call(self, tmp_path: Path, getters: ctypes.CDLL) -> None:
        """A call that blocks for 2 s at 1 kHz costs the deadlines it overran, in one gap of that length."""
        path = tmp_path / "run.fastrec"
        put(getters, block_at=200, block_ms=2000)
        with fr.Recorder(path) as rec:
            channel = rec.add("s", fr.Call(getters.get_status, fr.OUT, schema=STATUS), rate=1000)
            until(lambda: channel.stats.in_call > 500_000_000)
            assert balanced(channel.stats)
            until(lambda: channel.stats.slots > 2300)
        records = fr.open(path)["s"]
        missed = records.gaps[records.gaps["cause"] == Cause.MISSED]
        longest = missed[np.argmax(missed["count"])]
        assert balanced(channel.stats) and missed["count"].sum() == channel.stats.missed
        assert 1990 <= longest["count"] <= 2010 + channel.stats.missed - longest["count"]
        assert longest["t_last"] - longest["t_first"] == (longest["count"] - 1) * 1_000_000
        assert records["count"][longest["seq"] - 1] == 200
        assert channel.stats.duration.max > 1_900_000_000 and channel.stats.lateness.max > 1_900_000_000

    def test_overrun_while_recording(self, getters: ctypes.CDLL) -> None:
        put(getters, overrun_at=50)
        with fr.Recorder() as rec:
            channel = rec.add("s", fr.Call(getters.get_status, fr.OUT, schema=STATUS), rate="max")
            until(lambda: channel.stats.slots > 1000)
        (gap,) = [g for g in channel.snapshot().gaps if g["cause"] == Cause.FAILED]
        assert (gap["count"], gap["code"], gap["seq"]) == (1, errno.EOVERFLOW, 48)
        assert channel.stats.failed == 1 and balanced(channel.stats)

    def test_every_sample_adds_up(self, getters: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            channel = rec.add("s", fr.Call(getters.get_sometimes, fr.OUT, schema=STATUS), rate="max")
            samples = {}
            until(lambda: samples.setdefault((now := channel.stats).slots, now) and len(samples) > 300)
        assert all(balanced(stats) for stats in samples.values())

    def test_dropped(self, tmp_path: Path) -> None:
        """A full ring drops the newest; numbers go on without a hole, the file tells how many and when."""
        path = tmp_path / "run.fastrec"
        rec = fr.Recorder(path)
        channel = rec.add("s", schema=STATUS, capacity=100, when_full="drop")
        put = [channel.push(np.array((i, i, i), STATUS)) for i in range(150)]
        assert put == [True] * 100 + [False] * 50
        rec.start()
        rec.stop()
        records = fr.open(path)["s"]
        assert channel.stats.dropped == 50 and len(records) == 100
        assert [(g["seq"], g["count"], g["cause"]) for g in records.gaps] == [(100, 50, Cause.DROPPED)]

    def test_overwritten(self, tmp_path: Path) -> None:
        """A ring that went round before the disk came: the numbers lost are named, the rest keep theirs."""
        path = tmp_path / "run.fastrec"
        rec = fr.Recorder(path)
        channel = rec.add("s", schema=STATUS, capacity=100)
        rows = np.zeros(1000, STATUS)
        rows["count"] = np.arange(1000)
        channel.extend(rows)
        rec.start()
        rec.stop()
        run = fr.open(path)
        records = run["s"]
        lost = records.gaps[records.gaps["cause"] == Cause.OVERWRITTEN]
        assert lost["count"].sum() == channel.stats.overwritten == 1000 - len(records) > 0
        np.testing.assert_array_equal(records["count"], records.seq)
        assert run.verify().ok


class TestFirstCall:
    @pytest.mark.parametrize(
        ("name", "returns", "complaint"),
        [
            ("get_big", "zero", "wrote 64 bytes into 16"),
            ("get_error", "zero", "with code -5"),
            ("get_void", "zero", "returns nothing"),
            ("get_bool", "zero", "with code 1"),
            ("get_wide", "zero", "get_wide failed, with code"),
            ("get_status", "maybe", "returns='maybe'"),
        ],
    )
    def test_refused(
        self, getters: ctypes.CDLL, tmp_path: Path, name: str, returns: str, complaint: str
    ) -> None:
        path = tmp_path / "run.fastrec"
        with pytest.raises(fr.SourceError, match=complaint), fr.Recorder(path) as rec:
            rec.add("s", fr.Call(getattr(getters, name), fr.OUT, schema=STATUS, returns=returns), rate=10)
        assert not path.exists()

    @pytest.mark.parametrize(
        ("name", "returns"),
        [
            ("get_void", "void"),
            ("get_bool", "nonzero"),
            ("get_bool", "nonnegative"),
            ("get_narrow", "zero"),
            ("get_bool", "hresult"),
        ],
    )
    def test_success(self, getters: ctypes.CDLL, name: str, returns: str) -> None:
        call = fr.Call(getattr(getters, name), fr.OUT, schema=STATUS, returns=returns)
        assert call.read() == {"mode": 0, "count": 0, "level": 0.0}

    def test_cffi(self, library: Path) -> None:
        """Functions of cffi are taken as those of ctypes, their return types with them."""
        ffi = cffi.FFI()
        ffi.cdef(
            "int get_bool(void *); void get_void(void *); signed char get_narrow(void *);"
            "double get_wide(void *);"
        )
        loaded = ffi.dlopen(str(library))
        for name, returns in (("get_bool", "nonzero"), ("get_void", "void"), ("get_narrow", "zero")):
            call = fr.Call(getattr(loaded, name), fr.OUT, schema=STATUS, returns=returns)
            assert set(call.read()) == {"mode", "count", "level"}
        with pytest.raises(fr.SourceError, match="returns nothing"):
            fr.Call(loaded.get_void, fr.OUT, schema=STATUS)
        with pytest.raises(fr.SourceError, match="floating-point"):
            fr.Call(loaded.get_wide, fr.OUT, schema=STATUS)
        with pytest.raises(fr.SourceError, match="no function"):
            fr.Call(ffi.new("int *"), fr.OUT, schema=STATUS)

    def test_takes_no_slot(self, getters: ctypes.CDLL) -> None:
        rec = fr.Recorder()
        channel = rec.add("s", fr.Call(getters.get_status, fr.OUT, schema=STATUS), rate=1000)
        assert ctypes.c_int.in_dll(getters, "calls").value == 1
        assert channel.stats.slots == 0 and channel.current() is None
        rec.stop()

    def test_prepared_arguments(self, getters: ctypes.CDLL) -> None:
        args = (7, b"motor", fr.OUT(init={"mode": 42}), fr.INOUT(16), -3, None)
        source = fr.Call(getters.get_sized, *args, schema=STATUS)
        assert source.read() == {"mode": 1, "count": 0, "level": 0.0}
        with fr.Recorder() as rec:
            channel = rec.add("s", source, rate="max")
            until(lambda: channel.stats.recorded > 1000)
        assert channel.stats.failed == 0
        with pytest.raises(fr.SourceError, match="code -2"):
            fr.Call(getters.get_sized, 7, b"motor", fr.OUT, fr.INOUT(16), -3, None, schema=STATUS).read()


class TestRefused:
    """One clear error each, and nothing left behind."""

    def test_functions(self, getters: ctypes.CDLL) -> None:
        null = ctypes.CFUNCTYPE(ctypes.c_int)()
        with pytest.raises(fr.SourceError, match="NULL"):
            fr.Call(null, fr.OUT, schema=STATUS)
        with pytest.raises(fr.SourceError, match="no loaded library"):
            fr.Call(ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda out: 0), fr.OUT, schema=STATUS)
        with pytest.raises(fr.SourceError, match="needs the GIL"):
            fr.Call(ctypes.pythonapi.PyErr_Occurred, fr.OUT, schema=STATUS)
        with pytest.raises(fr.SourceError, match="bare address"):
            fr.Call(12345, fr.OUT, schema=STATUS)
        with pytest.raises(fr.SourceError, match="no C function"):
            fr.Call(print, fr.OUT, schema=STATUS)
        with pytest.raises(fr.SourceError, match="floating-point"):
            fr.Call(getters.get_status, fr.OUT, 1.5, schema=STATUS)
        with pytest.raises(fr.SourceError, match="exactly one"):
            fr.Call(getters.get_status, 1, schema=STATUS)
        with pytest.raises(fr.SourceError, match="at most 6"):
            fr.Call(getters.get_status, *[1] * 6, fr.OUT, schema=STATUS)
        for wide in (1 << 64, -(1 << 63) - 1):
            with pytest.raises(fr.SourceError, match="does not fit 64 bits"):
                fr.Call(getters.get_status, wide, fr.OUT, schema=STATUS)

    @pytest.mark.parametrize("value", ["x", None, 1.0, True, -1, 1 << 32, [1]])
    def test_cells(self, value: object) -> None:
        with pytest.raises(fr.SourceError, match="whole number from 0"):
            fr.INOUT(value)

    @pytest.mark.parametrize(
        ("init", "complaint"),
        [
            (5, "bytes, or values by field name"),
            ("text", "bytes, or values"),
            ([1, 2], "bytes, or values"),
            (bytes(15), "15 bytes"),
            ({"mode": "x"}, "'mode' cannot be 'x'"),
            ({"mode": 1 << 40}, "'mode' cannot be 1099511627776"),
            ({"modes": 1}, "did you mean 'mode'"),
        ],
    )
    def test_prepared(self, getters: ctypes.CDLL, init: object, complaint: str) -> None:
        with pytest.raises(fr.FastrecError, match=complaint):
            fr.Call(getters.get_status, fr.OUT(init=init), schema=STATUS)

    @pytest.mark.parametrize(
        "dtype", [np.dtype("O"), np.dtype([("a", "O")]), np.dtype([("a", "U4")]), np.dtype("T")]
    )
    def test_dtypes(self, dtype: np.dtype) -> None:
        with pytest.raises(fr.SchemaError):
            fr.Recorder().add("s", schema=dtype)

    def test_schema_mismatch(self, getters: ctypes.CDLL) -> None:
        other = np.dtype([("mode", "<i4"), ("count", "<i4"), ("level", "<f8")])
        rec = fr.Recorder()
        with pytest.raises(fr.SchemaError, match="'count' differs"):
            rec.add("s", fr.Call(getters.get_status, fr.OUT, schema=STATUS), schema=other, rate=10)
        assert not rec.channels

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({}, "no rate"),
            ({"rate": 0}, "number of Hz"),
            ({"rate": -1}, "number of Hz"),
            ({"rate": "fast"}, "number of Hz"),
            ({"rate": float("nan")}, "number of Hz"),
            ({"rate": 1e9}, "number of Hz"),
            ({"rate": "1e999999999"}, "number of Hz"),
            ({"rate": "1/0"}, "number of Hz"),
            ({"rate": 10, "when_full": "wait"}, "'overwrite' or 'drop'"),
            ({"rate": 10, "when_full": "drop"}, "needs a path"),
            ({"rate": 10, "capacity": 5}, "at least 64"),
            ({"rate": "max", "capacity": "5s"}, "needs a rate"),
        ],
    )
    def test_options(self, options: dict, complaint: str) -> None:
        with pytest.raises(fr.FastrecError, match=complaint):
            fr.Recorder().add("s", "linux:rusage", **options)

    @pytest.mark.parametrize("name", ["", ".a", "a b", "a/b", "..", "x" * 65, "ä", None, "CPU"])
    def test_names(self, name: str) -> None:
        rec = fr.Recorder()
        rec.add("cpu", schema=STATUS)
        with pytest.raises(fr.SchemaError, match="channel"):
            rec.add(name, schema=STATUS)

    def test_push_on_a_polled_channel(self) -> None:
        rec = fr.Recorder()
        channel = rec.add("cpu", "linux:rusage", rate=1)
        with pytest.raises(fr.SourceError, match="without a source"):
            channel.push(bytes(144))
        rec.stop()

    def test_existing_recording(self, tmp_path: Path) -> None:
        path = tmp_path / "run.fastrec"
        with fr.Recorder(path) as rec:
            rec.add("s", schema=STATUS).push(bytes(16))
        before = sorted(os.listdir(path))
        with pytest.raises(fr.RecordingError, match="exists"):
            fr.Recorder(path)
        assert sorted(os.listdir(path)) == before and fr.open(path).verify().ok

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"path": ""}, "names no folder"),
            ({"path": "a\0b"}, "names no folder"),
            ({"path": 5}, "no path"),
            ({"segment_bytes": 0}, "segment_bytes=0"),
            ({"metadata": {"a": object()}}, "metadata cannot be written"),
            ({"metadata": 5}, "metadata=5"),
            ({"flush": 5}, "flush=5; it is a duration"),
            ({"durability": "often"}, "durability='often'; it is a duration"),
            ({"durability": 5}, "durability=5; it is"),
            ({"segment_bytes": True}, "segment_bytes=True"),
        ],
    )
    def test_recorders(self, tmp_path: Path, options: dict, complaint: str) -> None:
        with pytest.raises(fr.FastrecError, match=complaint):
            fr.Recorder(**{"path": tmp_path / "run.fastrec", **options})
        assert os.listdir(tmp_path) == []

    def test_unwritable_path(self, tmp_path: Path) -> None:
        for path in (tmp_path / "missing" / "run", Path("/proc/run.fastrec")):
            rec = fr.Recorder(path)
            rec.add("s", schema=STATUS)
            with pytest.raises(fr.RecordingError, match="cannot be created"):
                rec.start()
            assert not path.exists()

    def test_error_before_any_channel_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError), fr.Recorder(tmp_path / "run.fastrec"):
            raise ZeroDivisionError
        assert os.listdir(tmp_path) == []


class TestFullDisk:
    @pytest.mark.parametrize("left", [True, False])
    @pytest.mark.filterwarnings("ignore:.*the disk takes no records")
    def test_what_was_written_is_whole(self, small_disk: Path, left: bool) -> None:
        path = small_disk / "run.fastrec"
        rec = fr.Recorder(path, flush="10ms")
        channel = rec.add("s", schema=STATUS, capacity=20_000)
        rec.start()
        rows = np.zeros(1000, STATUS)
        for i in range(400):  # 9.6 MB of records
            rows["count"] = np.arange(1000) + i * 1000
            channel.extend(rows)
            if i % 10 == 9:
                time.sleep(0.01)
        prefix = json.loads((path / "sessions.jsonl").read_text())["rings"]
        if not left:
            Path("/dev/shm", f"{prefix}.s").unlink()
        with pytest.raises(fr.RecordingError, match="No space left on device; what was written") as caught:
            rec.stop()
        waits = "and 20,000 records wait in shared memory until the machine is started anew: free space, then"
        assert (waits in str(caught.value)) == left and str(caught.value).endswith("is whole") != left
        run = fr.open(path)
        assert run.state == "unclean"
        records = run["s"]
        assert len(records) == channel.stats.written > 100_000
        np.testing.assert_array_equal(records["count"], np.arange(len(records)))
        assert len(np.load(path / "channels/s/records.000000.npy")) == len(records)

    def test_room_again(self, small_disk: Path) -> None:
        """While the disk is full the ring goes on; what it lost meanwhile is the disk's, by number."""
        path = small_disk / "run.fastrec"
        (small_disk / "ballast").write_bytes(bytes(2 << 20))
        rec = fr.Recorder(path, flush="10ms")
        channel = rec.add("s", schema=STATUS, capacity=20_000)
        rec.start()
        rows = np.zeros(1000, STATUS)

        def push(count: int) -> None:
            for _ in range(count):
                rows["count"] = np.arange(1000) + channel.stats.published
                channel.extend(rows)

        while not channel.spooling.marks()["error"]:
            push(5)
            time.sleep(0.02)
        push(30)
        (small_disk / "ballast").unlink()
        until(lambda: not channel.spooling.marks()["error"])
        push(5)
        rec.stop()
        run = fr.open(path)
        records = run["s"]
        lost = records.gaps[records.gaps["cause"] == Cause.DISK]
        assert lost["count"].sum() == channel.stats.disk > 0 and set(lost["code"]) == {errno.ENOSPC}
        np.testing.assert_array_equal(records["count"], records.seq)
        assert len(records) + channel.stats.disk == channel.stats.published
        assert run.verify().ok and run.state == "closed"


def test_gil_held_costs_nothing(tmp_path: Path) -> None:
    """Another thread holds the GIL for 2 s: the threads that record do not notice."""
    hold = ctypes.PyDLL(None).usleep
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path) as rec:
        channel = rec.add("cpu", "linux:rusage", rate=10_000)
        thread = threading.Thread(target=lambda: [hold(500_000) for _ in range(4)])
        before = channel.stats
        thread.start()
        thread.join()
        after = channel.stats
    stats = channel.stats
    assert after.slots - before.slots > 19_000
    assert stats.overwritten == stats.dropped == stats.disk == 0 and balanced(stats)
    assert len(fr.open(path)["cpu"]) == stats.recorded


def test_segments(tmp_path: Path) -> None:
    """Rotation loses nothing: numpy opens every file, and together they are the run."""
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path, segment_bytes=100_000, flush="1ms") as rec:
        channel = rec.add("s", schema=STATUS)
        rows = np.zeros(1000, STATUS)
        for i in range(50):
            rows["count"] = np.arange(1000) + i * 1000
            channel.extend(rows)
            time.sleep(0.002)
    files = sorted(path.glob("channels/s/records.*.npy"))
    assert len(files) == 13  # 4 * 1024 rows of 24 bytes each
    together = np.concatenate([np.load(file) for file in files])
    np.testing.assert_array_equal(together["count"], np.arange(50_000))
    run = fr.open(path)
    np.testing.assert_array_equal(run["s"]["count"], np.arange(50_000))
    assert run.verify().ok


class TestText:
    DTYPE = np.dtype([("name", "<u8"), ("n", "<u8")])

    def schema(self) -> fr.Schema:
        return fr.Schema.from_dtype(self.DTYPE, name="texts").with_field("name", text=True)

    @pytest.mark.parametrize("segment_bytes", [1 << 20, 24_576])
    def test_followed_at_capture(self, getters: ctypes.CDLL, tmp_path: Path, segment_bytes: int) -> None:
        path = tmp_path / "run.fastrec"
        with fr.Recorder(path, segment_bytes=segment_bytes, flush="5ms") as rec:
            channel = rec.add("t", fr.Call(getters.get_text, fr.OUT, schema=self.schema()), rate=10_000)
            until(lambda: channel.stats.recorded > 3000)
            assert set(channel.last(500).decode()["name"]) == set(self.texts())
        records = fr.open(path)["t"]
        expected = np.array(self.texts(), dtype=object)[records["n"] % 5]
        assert records.decode()["name"].tolist() == expected.tolist()
        assert channel.stats.texts_lost == 0 and fr.open(path).verify().ok

    @staticmethod
    def texts() -> list[str | None]:
        return ["one", "zwei", None, "\udcff\udcfe raw", "x" * 4096]

    def test_dangling(self, getters: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            channel = rec.add("t", fr.Call(getters.get_dangling, fr.OUT, schema=self.schema()), rate="max")
            until(lambda: channel.stats.recorded > 1000)
        records = channel.snapshot()
        odd = records["n"] % 2 == 1
        names = records.decode()["name"]
        assert set(names[~odd]) == {"good"} and set(names[odd]) == {fr.LOST}
        assert (records["name"][odd] == np.uint64(2**64 - 1)).all()
        assert channel.stats.texts_lost == pytest.approx(channel.stats.recorded / 2, abs=1)

    def test_push_refused(self) -> None:
        with pytest.raises(fr.SchemaError, match="only a polled source"):
            fr.Recorder().add("t", schema=self.schema())


class TestStop:
    def test_never_started(self) -> None:
        """A recorder that never ran has missed nothing."""
        rec = fr.Recorder()
        channel = rec.add("cpu", "linux:rusage", rate=10_000)
        rec.stop()
        assert channel.stats.slots == channel.stats.missed == 0

    def test_final_counters_are_those_of_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "run.fastrec"
        with fr.Recorder(path, flush="5s") as rec:
            time.sleep(0.05)
            rec.add("s", schema=STATUS).extend(np.zeros(1000, STATUS))
        stats = fr.open(path).stats["s"]
        assert stats["published"] == stats["written"] == stats["durable"] == 1000

    @pytest.mark.parametrize("durability", [None, "commit", "10s"])
    def test_many_segments_at_once(self, tmp_path: Path, durability: str | None) -> None:
        """More full segments than may wait to be made durable: a stop waits for the disk, loses nothing."""
        path = tmp_path / "run.fastrec"
        rec = fr.Recorder(path, segment_bytes=1, durability=durability)
        channel = rec.add("s", schema=STATUS, capacity=200_000)
        rows = np.zeros(200_000, STATUS)
        rows["count"] = np.arange(len(rows))
        channel.extend(rows)
        rec.start()
        rec.stop()
        assert channel.stats.written == 200_000 and channel.stats.overwritten == channel.stats.disk == 0
        records = fr.open(path)["s"]
        np.testing.assert_array_equal(records["count"], rows["count"])
        assert len(list(path.glob("channels/s/records.*.npy"))) == 196

    def test_a_ring_that_fills_before_the_flush(self, tmp_path: Path) -> None:
        with fr.Recorder(tmp_path / "run.fastrec", flush="60s") as rec:
            channel = rec.add("s", schema=STATUS, capacity=10_000)
            for _ in range(20):
                channel.extend(np.zeros(2_000, STATUS))
                time.sleep(0.11)
        assert channel.stats.overwritten == 0 and channel.stats.written == 40_000

    def test_pushes_that_race_a_stop(self, tmp_path: Path) -> None:
        """A push that said it was taken is in the file."""
        for number in range(20):
            path = tmp_path / f"{number}.fastrec"
            rec = fr.Recorder(path)
            channel = rec.add("s", schema=STATUS)
            rec.start()
            taken = []

            def push(channel: fr.channel.Channel = channel, taken: list[bool] = taken) -> None:
                with contextlib.suppress(fr.RecordingError):
                    while True:
                        taken.append(channel.push(bytes(16)))

            thread = threading.Thread(target=push)
            thread.start()
            until(lambda taken=taken: taken)
            rec.stop()
            thread.join()
            assert len(fr.open(path)["s"]) == len(taken) > 0
            assert fr.open(path).verify().ok

    def test_many_at_once(self, tmp_path: Path) -> None:
        """All of them return when it has stopped, none complains."""
        rec = fr.Recorder(tmp_path / "run.fastrec")
        for number in range(4):
            rec.add(f"c{number}", "linux:rusage", rate=1000, thread=f"t{number}")
        rec.start()
        errors = []

        def stop() -> None:
            try:
                rec.stop()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=stop) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == [] and fr.open(rec.path).state == "closed"

    def test_by_a_handler_within_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rec = fr.Recorder(tmp_path / "run.fastrec")
        rec.add("cpu", "linux:rusage", rate=1000)
        rec.start()
        create = fr.recording.writing.writer.files.create_closed

        def handled(*args: object, **options: object) -> None:
            rec.stop()
            create(*args, **options)

        monkeypatch.setattr(fr.recording.writing.writer.files, "create_closed", handled)
        rec.stop()
        assert fr.open(rec.path).state == "closed"

    def test_start_while_a_channel_is_added(self, tmp_path: Path, getters: ctypes.CDLL) -> None:
        """Either way it is stored from its first record on."""
        put(getters, block_at=1, block_ms=300)
        rec = fr.Recorder(tmp_path / "run.fastrec")
        source = fr.Call(getters.get_status, fr.OUT, schema=STATUS)
        adding = threading.Thread(target=lambda: rec.add("s", source, rate=1000))
        adding.start()
        time.sleep(0.1)
        rec.start()
        adding.join()
        until(lambda: rec["s"].stats.recorded > 20)
        rec.stop()
        assert len(fr.open(rec.path)["s"]) == rec["s"].stats.recorded

    def test_interrupted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C in the middle of a stop: the next one goes on where it was."""
        rec = fr.Recorder(tmp_path / "run.fastrec")
        rec.add("cpu", "linux:rusage", rate=1000)
        rec.start()
        with monkeypatch.context() as patch:
            patch.setattr(fr.recording.writing.writer.files, "create_closed", interrupt)
            with pytest.raises(KeyboardInterrupt):
                rec.stop()
        rec.stop()
        run = fr.open(tmp_path / "run.fastrec")
        assert run.state == "closed" and run.verify().ok


@pytest.mark.parametrize("resume", [False, True])
def test_a_channel_that_is_refused_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    """Its place on the disk was made, and then the thread would not take it: it can be added again."""
    path = tmp_path / "run.fastrec"
    if resume:
        with fr.Recorder(path) as rec:
            rec.add("cpu", "linux:rusage", rate=1000)
    kept = {file: file.read_bytes() for file in (path / "channels").rglob("*.*")}
    with fr.Recorder(path, resume=resume) as rec:
        rec.add("other", schema=STATUS)
        gc.collect()
        descriptors, rings = len(os.listdir("/proc/self/fd")), set(os.listdir("/dev/shm"))

        def refuse(*given: object) -> None:
            assert len(os.listdir("/proc/self/fd")) > descriptors
            raise fr.SourceError("its time was up")

        with monkeypatch.context() as patch:
            patch.setattr(fr.threads.Thread, "add", refuse)
            with pytest.raises(fr.SourceError, match="its time was up"):
                rec.add("cpu", "linux:rusage", rate=1000)
        gc.collect()
        assert list(rec.channels) == ["other"]
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert not [name for name in set(os.listdir("/dev/shm")) - rings if name.endswith(".cpu")]
        assert (path / "channels" / "cpu").exists() == resume
        assert all(file.read_bytes() == data for file, data in kept.items())
        again = rec.add("cpu", "linux:rusage", rate=1000)
        until(lambda: again.stats.recorded > 20)
    run = fr.open(path)
    assert run.verify().ok and len(run["cpu"]) >= again.stats.recorded
    assert set(run) == {"cpu", "other"}


class Living(fr.Call):
    """A source with a life of its own: it writes down when what was asked of it."""

    def __init__(self, library: ctypes.CDLL) -> None:
        super().__init__(library.get_status, fr.OUT, schema=STATUS)
        self.library, self.life, self.ended, self.outcome = library, [], False, "well"

    def calls(self) -> int:
        return ctypes.c_int.in_dll(self.library, "calls").value

    def begin(self) -> None:
        self.life.append(("begin", self.calls()))

    def finish(self) -> None:
        self.ended = True
        self.life.append(("finish", self.calls()))


class TestLiving:
    @pytest.mark.parametrize("early", [True, False])
    def test_begins_and_ends_while_it_is_polled(
        self, getters: ctypes.CDLL, tmp_path: Path, early: bool
    ) -> None:
        """From before its begin until after its end, so that both are recorded."""
        rec = fr.Recorder(tmp_path / "run.fastrec")
        source = Living(getters)
        add = [lambda: rec.add("s", source, rate=2000), rec.start]
        for step in add if early else reversed(add):
            step()
        until(lambda: rec["s"].stats.recorded > 20)
        rec.stop()
        assert [what for what, _ in source.life] == ["begin", "finish"]
        begun, finished = (calls for _, calls in source.life)
        run = fr.open(tmp_path / "run.fastrec")
        counts = run["s"]["count"]
        (mark,) = run.marks
        assert (mark.kind, mark.text) == ("outcome", "s: well") and mark.mono_ns > run["s"].start
        assert counts[0] <= begun + 1 and counts[-1] >= finished + 1

    def test_is_not_begun_by_a_start_that_fails(self, getters: ctypes.CDLL, tmp_path: Path) -> None:
        source = Living(getters)
        rec = fr.Recorder(tmp_path / "missing" / "run.fastrec")
        rec.add("s", source, rate=2000)
        with pytest.raises(fr.RecordingError):
            rec.start()
        assert source.life == []

    def test_that_cannot_finish_is_closed_all_the_same(self, getters: ctypes.CDLL, tmp_path: Path) -> None:
        source = Living(getters)
        source.finish = lambda: 1 // 0
        rec = fr.Recorder(tmp_path / "run.fastrec")
        rec.add("s", source, rate=2000)
        rec.start()
        with pytest.warns(RuntimeWarning, match="'s': integer division"):
            rec.stop()
        assert fr.open(tmp_path / "run.fastrec").state == "closed"

    def test_that_cannot_begin_leaves_nothing_running(self, getters: ctypes.CDLL, tmp_path: Path) -> None:
        source, before = Living(getters), len(tasks())
        source.begin = lambda: 1 // 0
        rec = fr.Recorder(tmp_path / "run.fastrec")
        rec.add("s", source, rate=2000)
        with pytest.raises(ZeroDivisionError):
            rec.start()
        until(lambda: len(tasks()) <= before)
        assert fr.open(tmp_path / "run.fastrec").state == "closed"


def interrupt(*args: object, **options: object) -> None:
    raise KeyboardInterrupt


class TestMarks:
    @pytest.mark.parametrize("stored", [True, False])
    def test_are_kept_with_their_times(self, tmp_path: Path, stored: bool) -> None:
        texts = ["valve opened", "", "a\nb\0\x1b[31m", "\udcff\ud800", "Grüße", 7]
        before = time.monotonic_ns()
        with fr.Recorder(tmp_path / "run.fastrec" if stored else None) as rec:
            rec.add("s", schema=STATUS)
            times = [rec.mark(text) for text in texts]
            marks = rec.marks
        assert times == sorted(times) and before <= times[0] and times[-1] <= time.monotonic_ns()
        assert [(mark.mono_ns, mark.text) for mark in marks] == list(zip(times, map(str, texts), strict=True))
        if stored:
            assert fr.open(tmp_path / "run.fastrec").marks == marks

    def test_from_many_threads(self, tmp_path: Path) -> None:
        with fr.Recorder(tmp_path / "run.fastrec") as rec:
            rec.add("s", schema=STATUS)
            threads = [
                threading.Thread(target=lambda n=n: [rec.mark(f"{n} {i}") for i in range(100)])
                for n in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        run = fr.open(tmp_path / "run.fastrec")
        assert sorted(mark.text for mark in run.marks) == sorted(
            f"{n} {i}" for n in range(4) for i in range(100)
        )
        assert run.verify().ok

    def test_without_a_channel(self, tmp_path: Path) -> None:
        with fr.Recorder(tmp_path / "run.fastrec") as rec:
            rec.mark("alone")
        run = fr.open(rec.path)
        assert [mark.text for mark in run.marks] == ["alone"] and run.state == "closed" and run.verify().ok

    def test_only_while_it_runs(self, tmp_path: Path) -> None:
        rec = fr.Recorder(tmp_path / "run.fastrec")
        rec.add("s", schema=STATUS)
        with pytest.raises(fr.RecordingError, match="the recorder is new; marks are set while it runs"):
            rec.mark("early")
        rec.start()
        with pytest.raises(fr.RecordingError, match="at most"):
            rec.mark("x" * (2 << 20))
        rec.mark("in time")
        rec.stop()
        with pytest.raises(fr.RecordingError, match="stopped"):
            rec.mark("late")
        run = fr.open(rec.path)
        assert [mark.text for mark in run.marks] == ["in time"] and run.verify().ok


def test_channels_added_by_many_threads(tmp_path: Path) -> None:
    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        threads = [
            threading.Thread(target=rec.add, args=(f"c{n}", "linux:rusage"), kwargs={"rate": 100})
            for n in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: all(stats.recorded > 5 for stats in rec.stats.values()))
    run = fr.open(tmp_path / "run.fastrec")
    assert len(run) == 16 and run.verify().ok


def test_too_many(tmp_path: Path) -> None:
    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        for n in range(64):
            rec.add(f"c{n}", schema=STATUS, capacity=64)
        with pytest.raises(fr.SourceError, match="at most 64 channels; give this one to a second Recorder"):
            rec.add("c64", schema=STATUS)
    assert fr.open(tmp_path / "run.fastrec").verify().ok


def test_too_many_texts(getters: ctypes.CDLL) -> None:
    names = [f"t{n}" for n in range(17)]
    schema = fr.Schema.from_dtype(np.dtype([(name, "<u8") for name in names]))
    for name in names:
        schema = schema.with_field(name, text=True)
    with pytest.raises(fr.SourceError, match="17 text members"):
        fr.Call(getters.get_status, fr.OUT, schema=schema)


def test_stuck_call_is_left_behind(tmp_path: Path, library: Path) -> None:
    """A getter that never comes back: stop ends in time, says so, and what was recorded is whole."""
    script = f"""
import ctypes, sys, warnings, fastrec as fr, fastrec.recorder, numpy as np, time
fastrec.recorder._STUCK = 0.3
lib = ctypes.CDLL({str(library)!r})
ctypes.c_int.in_dll(lib, "block_at").value = 50
ctypes.c_int.in_dll(lib, "block_ms").value = 3_600_000
rec = fr.Recorder({str(tmp_path / "run.fastrec")!r})
ch = rec.add("s", fr.Call(lib.get_status, fr.OUT, schema=np.dtype({STATUS.descr!r})), rate=1000)
rec.start()
while not ch.stats.in_call > 100_000_000: time.sleep(0.01)
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    rec.stop()
print([str(w.message) for w in seen])
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "has not returned" in result.stdout
    records = fr.open(tmp_path / "run.fastrec")["s"]
    assert records["count"].tolist() == list(range(2, 50))
    missed = records.gaps[-1]
    stats = fr.open(tmp_path / "run.fastrec").stats["s"]
    assert (missed["cause"], missed["seq"]) == (Cause.MISSED, 48) and 400 <= missed["count"] < 5000
    assert stats["slots"] == stats["recorded"] + stats["missed"] and stats["in_call"] > 400_000_000
    assert fr.open(tmp_path / "run.fastrec").verify().ok


def test_the_working_directory_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with fr.Recorder("run.fastrec", segment_bytes=24_576) as rec:
        rec.add("a", schema=STATUS).extend(np.zeros(3000, STATUS))
        monkeypatch.chdir("elsewhere")
        rec.add("b", schema=STATUS).push(bytes(16))
    monkeypatch.chdir(tmp_path)
    run = fr.open("run.fastrec")
    monkeypatch.chdir("elsewhere")
    assert run.state == "closed" and [len(records) for records in run.values()] == [3000, 1]
    assert run.verify().ok and os.listdir() == []


class TestMoved:
    def test_goes_on_where_it_is_now(self, tmp_path: Path) -> None:
        old, new = tmp_path / "old", tmp_path / "new"
        with fr.Recorder(old) as rec:
            rec.add("a", schema=STATUS).push(bytes(16))
            old.rename(new)
            rec.add("b", schema=STATUS).push(bytes(16))
        assert os.listdir(tmp_path) == ["new"]
        assert (fr.open(new).state, list(fr.open(new))) == ("closed", ["a", "b"])
        assert fr.open(new).verify().ok

    @pytest.mark.parametrize("holds_something", [False, True])
    def test_leaves_alone_what_is_in_its_old_place(self, tmp_path: Path, holds_something: bool) -> None:
        path = tmp_path / "r"
        rec = fr.Recorder(path)
        rec.start()
        if holds_something:
            rec.add("a", schema=STATUS).push(bytes(16))
        path.rename(tmp_path / "old")
        with fr.Recorder(path) as other:
            other.add("c", schema=STATUS).push(bytes(16))
            if holds_something:
                rec.add("b", schema=STATUS).push(bytes(16))
            rec.stop()
            assert not (path / "closed.json").exists()
            assert (tmp_path / "old").exists() == holds_something
        assert list(fr.open(path)) == ["c"]
        assert fr.open(path).verify().ok

    def test_removed(self, tmp_path: Path) -> None:
        with pytest.raises(fr.RecordingError, match="was removed while"), fr.Recorder(tmp_path / "r") as rec:
            rec.add("a", schema=STATUS)
            until(lambda: taken_away(tmp_path / "r"))
        with fr.Recorder(tmp_path / "r"):
            until(lambda: taken_away(tmp_path / "r"))
        assert os.listdir(tmp_path) == []

    def test_what_went_with_the_folder_is_not_durable(self, tmp_path: Path) -> None:
        rec = fr.Recorder(tmp_path / "r", flush="10ms", durability="20ms")
        channel = rec.add("a", schema=STATUS)
        rec.start()
        channel.extend(np.zeros(3000, STATUS))
        until(lambda: channel.stats.durable == 3000)
        ring = json.loads((tmp_path / "r/sessions.jsonl").read_text())["rings"] + ".a"
        assert ring in os.listdir("/dev/shm")
        until(lambda: taken_away(tmp_path / "r"))
        until(lambda: channel.spooling.marks()["error"] == errno.ENOENT)
        channel.extend(np.zeros(500, STATUS))
        assert (channel.stats.written, channel.stats.durable, len(channel.last(3500))) == (0, 0, 3500)
        with pytest.raises(
            fr.RecordingError, match=r"r: was removed .*; 3,500 records of channel 'a' are not"
        ):
            rec.stop()
        assert os.listdir(tmp_path) == [] and ring not in os.listdir("/dev/shm")

    @pytest.mark.parametrize("file", ["index", "records", "gaps"])
    @pytest.mark.parametrize("idle", [False, True])
    def test_a_file_that_was_removed_is_written_again(self, tmp_path: Path, file: str, idle: bool) -> None:
        path = tmp_path / "r"
        rec = fr.Recorder(path, flush="10ms", durability="20ms" if not idle else "1h")
        channel = rec.add("a", schema=STATUS, capacity=2000)
        rec.start()
        rows = np.zeros(1000, STATUS)
        for count in range(5):
            rows["count"] = np.arange(1000) + count * 1000
            channel.extend(rows)
            until(lambda: channel.stats.written == channel.stats.published)
        (path / "channels/a" / f"{file}.000000.npy").unlink()
        rec.stop()
        run = fr.open(path)
        assert run.state == "closed" and run.verify().ok
        assert run["a"]["count"].tolist() == list(range(5000)) and not len(run["a"].gaps)
        assert sorted(path.glob("channels/a/*.000000.*")) == []


def test_exit_without_stop(tmp_path: Path) -> None:
    """The interpreter's end closes the recording."""
    script = f"""
import fastrec as fr, time
rec = fr.Recorder({str(tmp_path / "run.fastrec")!r})
rec.add("cpu", "linux:rusage", rate=1000)
rec.start()
time.sleep(0.2)
"""
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
    run = fr.open(tmp_path / "run.fastrec")
    assert run.state == "closed" and len(run["cpu"]) > 50 and run.verify().ok


def test_forked_child_is_inert(tmp_path: Path) -> None:
    """What a child does with its copy of a recorder changes nothing in the parent's."""
    script = f"""
import fastrec as fr, os, sys, time
rec = fr.Recorder({str(tmp_path / "run.fastrec")!r})
rec.add("cpu", "linux:rusage", rate=1000)
pushed = rec.add("s", schema=[("a", "<i8")])
rec.start()
pushed.push(bytes(8))
child = os.fork()
if not child:
    try:
        pushed.push(bytes(8))
    except fr.RecordingError:
        rec.stop()
        sys.exit(7)
    sys.exit(8)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert fr.open(rec.path).state == "live"
pushed.push(bytes(8))
time.sleep(0.1)
rec.stop()
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    subprocess.run(command, timeout=60, check=True)
    run = fr.open(tmp_path / "run.fastrec")
    assert run.state == "closed" and len(run["s"]) == 2 and run.verify().ok


def test_one_call_on_two_threads(getters: ctypes.CDLL) -> None:
    """A source may be polled by several threads: each has its own scratch and its own in-out cells."""
    call = fr.Call(
        getters.get_sized, 7, b"motor", fr.OUT(init={"mode": 42}), fr.INOUT(16), -3, None, schema=STATUS
    )
    with fr.Recorder() as rec:
        channels = [rec.add(name, call, rate="max", thread=name) for name in ("a", "b")]
        until(lambda: all(channel.stats.recorded > 100_000 for channel in channels))
    assert [channel.stats.failed for channel in channels] == [0, 0]


def test_dropped_recorders_end_their_threads() -> None:
    until(lambda: not tasks("fr-"))
    rec = fr.Recorder()
    rec.add("cpu", "linux:rusage", rate=10)
    assert len(tasks("fr-")) == 1
    del rec
    until(lambda: not tasks("fr-"))


def test_stop_twice_and_start_twice() -> None:
    rec = fr.Recorder()
    rec.start()
    with pytest.raises(fr.RecordingError, match="running"):
        rec.start()
    rec.stop()
    rec.stop()
    with pytest.raises(fr.RecordingError, match="stopped"):
        rec.add("s", schema=STATUS)


class Own(fr.Recorder):
    """A recorder of a user who begins it himself."""

    def __enter__(self) -> Own:
        self.start()
        return self


def test_what_enters_may_start() -> None:
    with Own() as rec:
        assert "running" in repr(rec)
    assert "stopped" in repr(rec)


def test_many_start_stop_cycles_leak_nothing(getters: ctypes.CDLL) -> None:
    call = fr.Call(getters.get_status, fr.OUT, schema=STATUS)

    def cycle() -> None:
        with fr.Recorder() as rec, warnings.catch_warnings():
            rec.add("s", call, rate=1000, capacity=64)

    def used() -> tuple[int, int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count(), len(tasks())

    cycle()
    before = used()
    for _ in range(200):
        cycle()
    until(lambda: all(now <= then for now, then in zip(used(), before, strict=True)))
