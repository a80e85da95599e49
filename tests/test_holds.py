"""``store="changes"`` as a whole: real getters, real threads, real files."""

from __future__ import annotations

import ctypes
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from children import child
from programs import build, load_apart
from waiting import until

import fastrec as fr
from fastrec.core.poller import PollChannel, Poller
from fastrec.errors import SchemaError, SourceError
from fastrec.ring import Ring
from fastrec.schema import Schema
from fastrec.schema.gaps import Cause
from fastrec.schema.states import mask

STATUS = np.dtype([("mode", "<i4"), ("count", "<u4"), ("level", "<f8")])
NEVER = "1000h"  # a heartbeat that no test lives to see


class Loose(ctypes.Structure):
    _fields_ = [
        ("mode", ctypes.c_int8),
        ("level", ctypes.c_double),
        ("low", ctypes.c_uint32, 3),
        ("high", ctypes.c_uint32, 5),
        ("rest", ctypes.c_uint32, 24),
    ]


class Texts(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("n", ctypes.c_uint64)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("getters"), "getters.c", "-shared", "-fPIC")


@pytest.fixture
def getters(library: Path, tmp_path: Path) -> ctypes.CDLL:
    """The library under a name of its own, so that its counters begin at zero."""
    return load_apart(library, tmp_path)


def put(library: ctypes.CDLL, **values: int) -> None:
    for name, value in values.items():
        ctypes.c_int.in_dll(library, name).value = value


def balanced(stats: fr.Recorder) -> bool:
    return stats.slots == stats.recorded + stats.held + stats.missed + stats.failed + stats.dropped


def check_lasting(records: fr.Records) -> None:
    """`get_lasting`, its counters ignored: each poll is in one record, which has the values of its first."""
    polls = records["polls"].astype(int)
    np.testing.assert_array_equal(np.diff(records["count"].astype(int)), polls[:-1])
    first, last = records["count"].astype(int), records["count"] + polls - 1
    np.testing.assert_array_equal(records["mode"], first // 50 % 3)
    np.testing.assert_array_equal(records["mode"], last // 50 % 3)
    np.testing.assert_array_equal(records["level"], first * 0.5)
    mono, ended = records["mono_ns"], records["until_ns"]
    assert (ended >= mono).all() and (mono[1:] >= ended[:-1]).all()
    single = polls == 1
    assert (mono[single] == ended[single]).all() and not records["max_gap_ns"][single].any()
    assert (records["max_gap_ns"] * (polls - 1) >= ended - mono).all()
    assert (records["max_gap_ns"] <= ended - mono).all()


class TestLive:
    def test_a_fault_is_there_at_once_and_on_the_disk_at_the_next_flush(
        self, getters: ctypes.CDLL, tmp_path: Path
    ) -> None:
        path = tmp_path / "run.fastrec"
        shown = Loose.in_dll(getters, "shown")
        source = fr.Call(getters.get_shown, fr.OUT, schema=Loose)
        with fr.Recorder(path, flush="10ms") as rec:
            channel = rec.add("s", source, rate=2000, store="changes", ignore="rest", heartbeat=NEVER)
            until(lambda: channel.stats.held > 20)
            shown.mode = 2
            until(lambda: channel.current()["mode"] == 2)
            opening = channel.snapshot().where(mode=2)[0]
            assert (opening["polls"], opening["until_ns"] - opening["mono_ns"], opening["max_gap_ns"]) == (
                1,
                0,
                0,
            )
            file = path / "channels" / "s" / "records.000000.npy"
            until(lambda: file.exists() and 2 in np.load(file, mmap_mode="r")["mode"])
            now = np.load(file)
            assert now["polls"][now["mode"] == 0].sum() >= 20
            assert fr.open(path)["s"]["mode"][-1] == 2
        records = fr.open(path)["s"]
        assert records.transitions("mode")[["from", "to"]].tolist() == [(0, 2)]
        assert records.polls == channel.stats.recorded + channel.stats.held

    def test_every_sample_adds_up(self, getters: ctypes.CDLL) -> None:
        source = fr.Call(getters.get_lasting, fr.OUT, schema=STATUS)
        with fr.Recorder() as rec:
            channel = rec.add(
                "s", source, rate="max", store="changes", ignore=["count", "level"], heartbeat="1ms"
            )
            until(lambda: channel.stats.slots)
            samples = [channel.stats for _ in range(2000)]
        assert all(map(balanced, samples))
        assert len({one.held for one in samples}) > 1
        stats, records = channel.stats, channel.snapshot()
        assert stats.published > stats.recorded and stats.rate > 0
        assert records.store == "changes" and len(records) == min(stats.published, channel.ring.capacity)

    def test_a_pause_and_a_stop_put_down_what_waits(self, getters: ctypes.CDLL) -> None:
        source = fr.Call(getters.get_shown, fr.OUT, schema=Loose)
        with fr.Recorder() as rec:
            channel = rec.add("s", source, rate=2000, store="changes", ignore="rest", heartbeat=NEVER)
            until(lambda: channel.stats.held > 10)
            with rec.thread("main").paused():
                stats, polls = channel.stats, channel.snapshot().polls
                assert polls == stats.recorded + stats.held > 10
            until(lambda: channel.stats.held > stats.held + 10)
        assert channel.snapshot().polls == channel.stats.recorded + channel.stats.held
        assert channel.stats.recorded == 1

    def test_a_call_that_never_returns_keeps_nothing_back(self, getters: ctypes.CDLL) -> None:
        put(getters, block_at=20, block_ms=1500)
        schema = Schema.from_dtype(STATUS)
        ring = Ring(schema, 64, store="changes")
        getter = fr.Call(getters.get_lasting, fr.OUT, schema=schema).getter
        channel = PollChannel(
            ring.core, getter, mask=mask(schema, ["count", "level"]), heartbeat=10**18, period=(1_000_000, 1)
        )
        poller = Poller("stuck")
        poller.begin()
        poller.add(channel)
        poller.run(time.monotonic_ns())
        until(lambda: ctypes.c_int.in_dll(getters, "calls").value == 20)
        shown = ring.snapshot().array["polls"].sum()
        assert not poller.stop(0.05)
        account = ring.core.account()
        assert shown < 19 or account["missed"]  # a miss ends the hold at once, and is told later
        assert ring.snapshot().array["polls"].sum() == account["recorded"] + account["held"] == 19
        until(lambda: poller.stop(0.1))

    def test_a_heartbeat_at_least(self, getters: ctypes.CDLL) -> None:
        """Flat out and at a rate: from the end of one record to that of the next it is one, and a poll."""
        loose = fr.Call(getters.get_shown, fr.OUT, schema=Loose)
        with fr.Recorder() as rec:
            channels = [
                rec.add(name, loose, rate=rate, store="changes", ignore="rest", heartbeat="5ms", thread=name)
                for name, rate in (("flat", "max"), ("paced", 2000), ("slow", 50))
            ]
            until(lambda: all(channel.stats.published > 10 for channel in channels))
        for channel in channels:
            records = channel.snapshot()
            ended = records["until_ns"]
            before = np.where(records["polls"] > 1, records["max_gap_ns"], records["mono_ns"] - ended)
            before[1:] = np.maximum(before[1:], records["mono_ns"][1:] - ended[:-1])
            assert (np.diff(ended) < 5_000_000 + before[1:]).all()
            assert (records["polls"] == 1).all() == (channel.name == "slow")
            assert channel.stats.recorded == 1


class TestWhatMakesAState:
    def test_padding_and_what_is_ignored_make_none(self, getters: ctypes.CDLL) -> None:
        shown = Loose.in_dll(getters, "shown")
        shown.level = float("nan")
        source = fr.Call(getters.get_shown, fr.OUT, schema=Loose)
        with fr.Recorder() as rec:
            channel = rec.add("s", source, rate=2000, store="changes", ignore=("rest", "high"))
            until(lambda: channel.stats.held > 20)
            shown.high = 9
            until(lambda: channel.stats.held > 40)
            assert channel.stats.recorded == 1
            shown.low = 5
            until(lambda: channel.stats.recorded == 2)
            shown.level = 0.0
            until(lambda: channel.stats.recorded == 3)
            shown.level = -0.0  # other bytes
            until(lambda: channel.stats.recorded == 4)
        records = channel.snapshot()
        assert [low for low, _ in itertools.groupby(records["low"])] == [0, 5]
        assert len(records.transitions("level")) == 1  # to a query the zeros are one state, as are NaNs

    def test_a_pointer_makes_a_state_by_its_text(self, getters: ctypes.CDLL, tmp_path: Path) -> None:
        schema = Schema.from_ctypes(Texts, text=["name"])
        path = tmp_path / "run.fastrec"
        source = fr.Call(getters.get_text, fr.OUT, schema=schema)
        with fr.Recorder(path) as rec:
            channel = rec.add("s", source, rate=1000, store="changes", ignore="n")
            until(lambda: channel.stats.recorded > 10)
        run = fr.open(path)
        found = [text for text, _ in itertools.groupby(run["s"].decode("name")["name"])]
        texts = ["zwei", None, "\udcff\udcfe raw", "x" * 4096, "one"]  # `add` made the first call
        assert found[:10] == 2 * texts and run.verify().ok

    def test_an_ignored_pointer_is_followed_where_a_record_begins(self, getters: ctypes.CDLL) -> None:
        """Every second text of this getter cannot be read."""
        schema = Schema.from_ctypes(Texts, text=["name"])
        source = fr.Call(getters.get_dangling, fr.OUT, schema=schema)
        with fr.Recorder() as rec:
            every = rec.add("every", source, rate=1000, store="changes", ignore="n", heartbeat=NEVER)
            until(lambda: every.stats.recorded > 10)
        assert every.stats.held == 0 and abs(2 * every.stats.texts_lost - every.stats.recorded) <= 1
        with fr.Recorder() as rec:
            channel = rec.add("s", source, rate=1000, store="changes", ignore="name", heartbeat=NEVER)
            until(lambda: channel.stats.recorded > 10)
        found = channel.snapshot().decode("name", "n")
        assert [name == "good" for name in found["name"]] == (found["n"] % 2 == 0).tolist()

    def test_texts_are_compared_by_what_they_say_and_not_at_all_if_ignored(
        self, getters: ctypes.CDLL
    ) -> None:
        class Named(ctypes.Structure):
            _fields_ = [("noted", ctypes.c_char_p), ("name", ctypes.c_char_p)]

        source = fr.Call(getters.get_named, fr.OUT, schema=Schema.from_ctypes(Named, text=["noted", "name"]))
        with fr.Recorder() as rec:
            channel = rec.add("s", source, rate=1000, store="changes", ignore="noted", heartbeat=NEVER)
            until(lambda: channel.stats.recorded > 5)
        records, first = channel.snapshot(), 1  # `add` made the first call
        found = records.decode("name", "noted")
        for name, noted, polls in zip(found["name"], found["noted"], records["polls"].tolist(), strict=True):
            assert (
                name
                == ("even" if first // 20 % 2 else "odd")
                == ("even" if (first + polls - 1) // 20 % 2 else "odd")
            )
            assert noted == (fr.LOST if first % 2 else "noted")
            first += polls
        assert channel.stats.held > 50
        # It was followed where a record has it, and for no other poll.
        assert channel.stats.texts_lost == found["noted"].tolist().count(fr.LOST)

    def test_nothing_new_is_held(self) -> None:
        numbers = itertools.count()

        def function() -> bytes | None:
            n = next(numbers)
            return None if n % 4 == 3 else (n // 4 % 2).to_bytes(4, "little")

        source = fr.PyCall(function, schema=np.dtype([("mode", "<u4")]))
        with fr.Recorder() as rec:
            channel = rec.add("s", source, rate=500, store="changes", heartbeat=NEVER)
            until(lambda: channel.stats.recorded > 10)
        records = channel.snapshot()
        assert set(records.intervals("mode", NEVER)["polls"][1:-1]) == {4}
        assert records.polls == channel.stats.recorded + channel.stats.held


class TestStored:
    def test_segments_zones_and_losses(self, getters: ctypes.CDLL, tmp_path: Path) -> None:
        """Flat out through many segments: nothing is lost, and every poll is in one record."""
        path = tmp_path / "run.fastrec"
        source = fr.Call(getters.get_lasting, fr.OUT, schema=STATUS)
        with fr.Recorder(path, segment_bytes=1 << 16, flush="5ms") as rec:
            channel = rec.add(
                "s", source, rate=20_000, store="changes", ignore=["count", "level"], heartbeat="1ms"
            )
            until(lambda: channel.stats.published > 5000)
        run, stats = fr.open(path), channel.stats
        records = run["s"]
        check_lasting(records)
        assert run.verify().ok, run.verify().problems
        assert len(list((path / "channels" / "s").glob("records.*.npy"))) > 3
        assert len(records) == stats.published == stats.written > stats.recorded
        assert records.polls == records["polls"].sum() == stats.recorded + stats.held
        assert records[100:-700].polls == records["polls"][100:-700].sum()
        closed = json.loads((path / "closed.json").read_text())["channels"]["s"]
        assert closed["records"] == len(records)
        assert closed["stats"]["recorded"] + closed["stats"]["held"] == records.polls

    def test_a_ring_that_fills_drops_whole_holds(self, getters: ctypes.CDLL, tmp_path: Path) -> None:
        path = tmp_path / "run.fastrec"
        source = fr.Call(getters.get_lasting, fr.OUT, schema=STATUS)
        with fr.Recorder(path) as rec:
            channel = rec.add(
                "s",
                source,
                rate="max",
                store="changes",
                ignore=["count", "level"],
                when_full="drop",
                capacity=64,
            )
            until(lambda: channel.stats.dropped > 1000 and channel.stats.written > 200)
            assert balanced(channel.stats)
        stats, records = channel.stats, fr.open(path)["s"]
        assert balanced(stats) and not stats.overwritten
        assert records.polls == stats.recorded + stats.held
        gaps = records.gaps
        assert gaps["count"][gaps["cause"] == Cause.DROPPED].sum() == stats.dropped
        count, polls, seq = records["count"].astype(int), records["polls"].astype(int), records.seq
        for gap in gaps[(gaps["seq"] > 0) & (gaps["seq"] < len(records))]:
            before, after = np.searchsorted(seq, [gap["seq"] - 1, gap["seq"]])
            assert count[after] - count[before] - polls[before] == gap["count"]

    def test_kill(self, library: Path, tmp_path: Path) -> None:
        """What was published is whole, and a heartbeat is the most that a record can wait."""
        path = tmp_path / "run.fastrec"
        with child([sys.executable, "-c", VICTIM, path, library], stdout=-1, text=True) as victim:
            written = 0
            while written < 150:
                written = int(victim.stdout.readline())
            victim.kill()
            written = int(([written, *victim.stdout.read().split("\n")[:-1]])[-1])
        run = fr.open(path)
        assert run.state == "unclean" and run.verify().ok, run.verify().problems
        records = run["s"]
        check_lasting(records)
        assert len(records) >= written
        assert len(np.load(path / "channels" / "s" / "records.000000.npy")) >= written
        ended = records["until_ns"]
        step = np.maximum(records["max_gap_ns"][1:], records["mono_ns"][1:] - ended[:-1])
        assert (np.diff(ended) < 2_000_000 + step).all()


VICTIM = """
import ctypes, sys, numpy as np, fastrec as fr
path, library = sys.argv[1:]
status = np.dtype([("mode", "<i4"), ("count", "<u4"), ("level", "<f8")])
getter = fr.Call(ctypes.CDLL(library).get_lasting, fr.OUT, schema=status)
with fr.Recorder(path, flush="5ms") as rec:
    channel = rec.add("s", getter, rate=10_000, store="changes", ignore=["count", "level"], heartbeat="2ms")
    while True:
        sys.stdout.write(f"{channel.stats.written}\\n")
        sys.stdout.flush()
"""

NESTED = np.dtype([("pose", [("x", "<f8"), ("y", "<f8")]), ("posed", "<i4"), ("axis", [("on", "u1")], (2,))])


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "error", "said"),
        [
            ({"store": "change"}, SourceError, "store='change'; it is 'every' or 'changes'"),
            ({"ignore": "posed"}, SourceError, "ignore='posed' without store='changes'"),
            ({"store": "changes", "ignore": "pos"}, SchemaError, "no field 'pos'"),
            ({"store": "changes", "ignore": ["axis[2].on"]}, SchemaError, "no field 'axis[2].on'"),
            ({"store": "changes", "ignore": 5}, SourceError, "ignore=5; it is the name of a field"),
            ({"store": "changes", "ignore": ["pose", "posed", "axis"]}, SourceError, "that is every field"),
            ({"store": "changes", "heartbeat": "1us"}, SourceError, "from 1ms to 8760h"),
            ({"store": "changes", "heartbeat": "8761h"}, SourceError, "from 1ms to 8760h"),
            ({"store": "changes", "heartbeat": 1}, SourceError, "heartbeat=1"),
        ],
    )
    def test_options(self, options: dict, error: type[Exception], said: str) -> None:
        source = fr.PyCall(lambda: bytes(NESTED.itemsize), schema=NESTED)
        rec = fr.Recorder()
        with pytest.raises(error) as caught:
            rec.add("s", source, rate=10, **options)
        assert said in str(caught.value)
        rec.stop()

    def test_what_is_pushed(self) -> None:
        """Nobody would put down in time how long a state lasted."""
        rec = fr.Recorder()
        with pytest.raises(SourceError, match="store='changes' needs a source"):
            rec.add("s", schema=STATUS, store="changes")
        rec.stop()
        ring = Ring(Schema.from_dtype(STATUS), 64, store="changes")
        with pytest.raises(SchemaError, match="filled by a poller alone"):
            ring.push(bytes(8), mono_ns=5)
        for way in (ring.push, ring.extend):
            with pytest.raises(SchemaError, match="filled by a poller alone"):
                way(bytes(16))

    def test_ignored_structs_are_kept_by_their_leaves(self, tmp_path: Path) -> None:
        source = fr.PyCall(lambda: bytes(NESTED.itemsize), schema=NESTED)
        path = tmp_path / "run.fastrec"
        with fr.Recorder(path) as rec:
            rec.add(
                "s", source, rate=10, store="changes", ignore=["pose", "axis[1]", "pose.x"], heartbeat="3s"
            )
        options = json.loads((path / "channels" / "s" / "channel.json").read_text())["options"]
        assert options["ignore"] == ["pose.x", "pose.y", "axis[1].on"]
        assert (options["store"], options["heartbeat_ns"]) == ("changes", 3_000_000_000)


def test_a_wrong_mask_is_no_crash() -> None:
    schema = Schema.from_dtype(STATUS)
    getter = fr.PyCall(lambda: bytes(16), schema=schema).getter
    with pytest.raises(ValueError, match="a mask of 8 bytes"):
        PollChannel(Ring(schema, 64, store="changes").core, getter, mask=bytes(8))
