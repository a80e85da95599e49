"""Excerpts: what is read of one is what it was made of, numbers, losses, holds and texts."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastrec as fr
from fastrec.core.excerpt import Excerpt
from fastrec.recording import layout
from fastrec.recording.writing import excerpt, files
from fastrec.recording.writing.excerpt import About, Part, write_excerpt
from fastrec.recording.writing.spooling import open_channel, spool
from fastrec.records import ArrayChunk, Records
from fastrec.ring import Ring
from fastrec.schema.gaps import GAP_DTYPE, Cause, join
from fastrec.schema.texts import LOST

PLAIN = fr.Schema.from_dtype(np.dtype([("n", "<u4"), ("x", "<f8")]), name="plain")
NAMED = fr.Schema.from_dtype(np.dtype([("n", "<u4"), ("url", "<u8"), ("why", "<u4")]), name="named")
NAMED = NAMED.with_field("url", text=True).with_field("why", text=True)

NO_READINGS = np.empty(0, layout.CLOCK_DTYPE)
ABOUT = About({"host": "h", "timezone": "UTC"}, [{"session": 3, "start_ns": 0}], NO_READINGS, {"k": [1]}, [])

TEXTS = ["", "a", "http://host/" + "x" * 300, "\udcff odd", "b"]
UNNUMBERED = [(Cause.MISSED, 0), (Cause.FAILED, -5), (Cause.FAILED, 7), (Cause.PRODUCER, 0)]


def read_text(chunk: int):
    """Each chunk has ids of its own."""
    known = {0: None} | {one: TEXTS[(one + chunk) % len(TEXTS)] for one in range(1, 11)}
    return lambda one: known.get(one, LOST)


@st.composite
def recorded(draw, schema: fr.Schema = PLAIN, store: str = "every") -> Records:
    """Runs of consecutive numbers, and losses between and within them."""
    number, stamp, chunks, gaps = draw(st.integers(0, 5)), 1_000, [], []
    for place in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            lost = draw(st.integers(1, 1 << 40))
            cause = draw(st.sampled_from([Cause.OVERWRITTEN, Cause.DISK]))
            gaps.append((number, lost, cause, 0, stamp, stamp + 1))
            number += lost
        array = np.zeros(draw(st.sampled_from([1, 2, 70, 1023, 1025, 5000])), schema.record(store))
        array["mono_ns"] = stamp + np.cumsum(np.arange(len(array)) % 3 * 10)
        array["n"] = np.arange(len(array)) + number % 1000
        if store == "changes":
            array["until_ns"], array["polls"] = array["mono_ns"], 1
        for field in schema.texts:
            lost_id = np.iinfo(field.dtype).max
            array[field.name] = np.arange(len(array)) % 11
            array[field.name][array[field.name] == 9] = lost_id
        for inside in draw(st.lists(st.integers(0, len(array)), max_size=6)):
            cause, code = draw(st.sampled_from(UNNUMBERED))
            when = int(array["mono_ns"][min(inside, len(array) - 1)])
            gaps.append((number + inside, draw(st.integers(1, 9)), cause, code, when, when))
        chunks.append(ArrayChunk(array, number, read_text(place)))
        number, stamp = number + len(array), int(array["mono_ns"][-1]) + 5
    return Records("c", schema, chunks, gaps=np.array(gaps, GAP_DTYPE), clock=None, store=store)


def check(path: Path, records: Records, *, store: str = "every") -> None:
    write_excerpt(path, [Part(records, {"rate": None, "store": store}, 7)], ABOUT)
    made = fr.open(path)
    report = made.verify()
    assert (report.problems, report.notes, made.state) == ([], [], "closed")
    assert (made.info["metadata"], [*made]) == ({"k": [1]}, ["c"])
    found = made["c"]
    assert found.seq.tolist() == records.seq.tolist()
    texts = {field.name for field in records.schema.texts}
    for name in records.to_numpy().dtype.names:
        if name not in texts:
            assert found[name].tobytes() == records[name].tobytes()
    for name in texts:
        assert found.decode(name)[name].tolist() == records.decode(name)[name].tolist()
    told = found.gaps[found.gaps["cause"] != Cause.RETIRED]
    expected = records.gaps
    for one in (told, expected):  # the file has a time for each, which join may widen the same way
        assert one.dtype == GAP_DTYPE
    assert join(told).tolist() == join(expected).tolist()
    for segment in (path / "channels" / "c").glob("records.*.npy"):
        assert len(np.load(segment)) == len(records)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recorded())
def test_it_is_what_it_was_made_of(tmp_path_factory: pytest.TempPathFactory, records: Records) -> None:
    check(tmp_path_factory.mktemp("e") / "w.fastrec", records)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recorded(NAMED))
def test_texts_keep_their_characters(tmp_path_factory: pytest.TempPathFactory, records: Records) -> None:
    check(tmp_path_factory.mktemp("e") / "w.fastrec", records)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recorded(store="changes"))
def test_holds(tmp_path_factory: pytest.TempPathFactory, records: Records) -> None:
    check(tmp_path_factory.mktemp("e") / "w.fastrec", records, store="changes")


def test_more_losses_than_wait_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before one record, and among many."""
    monkeypatch.setattr(excerpt, "_MOST_GAPS", 4)
    array = np.zeros(40, PLAIN.record("every"))
    array["mono_ns"] = np.arange(40)
    gaps = [(3, 1, Cause.FAILED, code, 2, 3) for code in range(1, 30)]
    gaps += [(5 + place, 1, Cause.FAILED, code, place, place) for place in range(35) for code in (1, 2)]
    gaps += [(42, 1, Cause.FAILED, code, 39, 39) for code in range(1, 20)]
    records = Records("c", PLAIN, [ArrayChunk(array, 2)], gaps=np.array(gaps, GAP_DTYPE), clock=None)
    check(tmp_path / "w.fastrec", records)


def test_more_losses_than_the_core_holds(tmp_path: Path) -> None:
    gaps = np.zeros(20_000, GAP_DTYPE)
    gaps["seq"], gaps["count"], gaps["cause"], gaps["code"] = 3, 1, Cause.FAILED, np.arange(20_000)
    array = np.zeros(9, PLAIN.record("every"))
    check(tmp_path / "w.fastrec", Records("c", PLAIN, [ArrayChunk(array, 0)], gaps=gaps, clock=None))


def test_a_selection_leaves_numbers_out(tmp_path: Path) -> None:
    """Of numbers that nobody says anything of, it says so."""
    array = np.zeros(9, PLAIN.record("every"))
    array["mono_ns"] = np.arange(9)
    records = Records("c", PLAIN, [ArrayChunk(array, 0)], gaps=np.empty(0, GAP_DTYPE), clock=None)
    with pytest.raises(fr.RecordingError, match=os.strerror(errno.EINVAL)):
        write_excerpt(tmp_path / "w.fastrec", [Part(records[::3], {"store": "every"}, 0)], ABOUT)
    assert not any(tmp_path.iterdir())


def test_a_channel_without_records_has_its_schema(tmp_path: Path) -> None:
    records = Records("c", PLAIN, [], gaps=np.empty(0, GAP_DTYPE), clock=None)
    write_excerpt(tmp_path / "w.fastrec", [Part(records, {"store": "every"}, 0)], ABOUT)
    made = fr.open(tmp_path / "w.fastrec")
    assert (len(made["c"]), made["c"].schema, made.verify().ok) == (0, PLAIN, True)


@pytest.mark.parametrize("step", ["create_channel", "create_closed", "publish"])
def test_it_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fails(*_: object, **__: object) -> None:
        assert not (tmp_path / "w.fastrec").exists()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(excerpt, step, fails)
    array = np.zeros(9, PLAIN.record("every"))
    records = Records("c", PLAIN, [ArrayChunk(array, 0)], gaps=np.empty(0, GAP_DTYPE), clock=None)
    with pytest.raises(fr.RecordingError, match=r"w\.fastrec: No space left on device"):
        write_excerpt(tmp_path / "w.fastrec", [Part(records, {"store": "every"}, 0)], ABOUT)
    assert not any(tmp_path.iterdir())


def test_what_a_killed_one_left_is_removed_and_what_is_there_is_not(tmp_path: Path) -> None:
    (tmp_path / ".w.fastrec.new" / "channels").mkdir(parents=True)
    records = Records("c", PLAIN, [], gaps=np.empty(0, GAP_DTYPE), clock=None)
    write_excerpt(tmp_path / "w.fastrec", [Part(records, {"store": "every"}, 0)], ABOUT)
    with pytest.raises(fr.RecordingError, match="exists; use another path"):
        write_excerpt(tmp_path / "w.fastrec", [Part(records, {"store": "every"}, 0)], ABOUT)
    assert [one.name for one in tmp_path.iterdir()] == ["w.fastrec"]


def test_sizes_and_order_are_checked(tmp_path: Path) -> None:
    """By the core: a wrong one writes nothing that could be read."""
    files.create_recording(
        tmp_path / "r", uuid=bytes(16), host="", tool="", timezone="", created_ns=0, metadata={}
    )
    (tmp_path / "r/channels/c").mkdir()
    folder, ring = open_channel(tmp_path / "r", "c"), Ring(PLAIN, 64)
    made = Excerpt(ring.core, spool(ring.core, folder, bytes(16), "c", PLAIN, "every"))
    row = bytes(PLAIN.record("every").itemsize)
    for wrong in (row[:-1], row + b"x"):
        with pytest.raises(ValueError, match="no whole number of records"):
            made.put(0, wrong)
    with pytest.raises(ValueError, match="no whole number of losses"):
        made.tell(b"x")
    made.put(0, row)
    for number in (0, 2):
        with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
            made.put(number, row)
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        made.tell(np.zeros(1, GAP_DTYPE).tobytes())
    assert (made.text(b"a"), made.text(b"a")) == (2**64 - 1, 2**64 - 1)  # no text is of this schema
    assert made.end() == made.end() == 1
    os.close(folder)
