import ast
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from common import SCHEMA, check_records, gaps, passes, raw, sample

import fastrec
import fastrec.records.records
from fastrec.errors import FormatError, SchemaError
from fastrec.records import ArrayChunk, Chunk, Records, chunks, columns, rows
from fastrec.schema import Schema
from fastrec.schema.gaps import Cause
from fastrec.times import CLOCK_PAIR_DTYPE, Clock


def cut(array, places, *, first=0):
    """Chunks of an array, cut at places."""
    bounds = [0, *places, len(array)]
    return [ArrayChunk(array[a:b], first + a) for a, b in pairwise(bounds)]


def build(array, places=(), *, lost=None, store="every", schema=SCHEMA, period_ns=None, first=0):
    clock = Clock(np.array([(0, 1_790_000_000 * 10**9)], dtype=CLOCK_PAIR_DTYPE))
    return Records(
        "plant",
        schema,
        cut(array, places, first=first),
        gaps=gaps() if lost is None else lost,
        clock=clock,
        period_ns=period_ns,
        store=store,
    )


block = passes(rows, chunks, sizes=(65_536, 1, 7))


@pytest.mark.parametrize("store", ["every", "changes"])
@pytest.mark.parametrize("places", [(), (1, 2, 100, 100, 299)])
def test_contract(block, store, places):
    check_records(lambda array, store: build(array, places, store=store), store=store)


def test_contract_of_rows_that_run_backwards():
    array = sample(50)
    array["mono_ns"] = np.random.default_rng(1).permutation(array["mono_ns"])
    records = build(array, (20,))
    low, high = sorted(int(array["mono_ns"][place]) for place in (7, 33))
    expected = np.flatnonzero((array["mono_ns"] >= low) & (array["mono_ns"] < high))
    assert records.between(low, high).seq.tolist() == expected.tolist()
    assert not ArrayChunk(array).ordered


def test_order_is_seen_across_blocks(monkeypatch):
    monkeypatch.setattr(chunks, "BLOCK", 2)
    array = sample(4)
    array["mono_ns"] = [1, 5, 4, 6]
    assert not ArrayChunk(array).ordered
    array["mono_ns"] = [1, 5, 5, 6]
    assert ArrayChunk(array).ordered


def test_empty_records_keep_their_schema():
    records = build(sample(0))
    full = build(sample(20, seed=3), (4,))
    assert len(records) == 0 and records.start is None and records.end is None
    assert "none" in repr(records)
    for empty in (records, full[5:5], full.between(0, 1), full.where(mode=77), records.between("+1s", "+2s")):
        assert len(empty) == 0 and empty.seq.dtype == np.uint64
        for name in ("mono_ns", "level", "axis", "axis.pos", "trace"):
            assert empty[name].dtype == full[name].dtype
            assert empty[name].shape == (0, *full[name].shape[1:])
        assert empty.to_numpy().dtype == SCHEMA.record_dtype
        assert empty.intervals("mode").dtype == full.intervals("mode").dtype
        assert empty.durations("trace").dtype == full.durations("trace").dtype
        assert empty.transitions("level").dtype == full.transitions("level").dtype
        assert {name: values.dtype for name, values in empty.decode().items()} == {
            name: values.dtype for name, values in full.decode().items()
        }
        with pytest.raises(SchemaError):
            empty.where(mode="NONE_OF_THEM")


def test_chunks_are_all_of_it_piece_by_piece():
    records = build(
        sample(1000, seed=2), (300, 301, 900), lost=gaps((0, 1, Cause.MISSED), (500, 3, Cause.FAILED))
    )
    parts = list(records.chunks(256))
    assert [len(part) for part in parts] == [256, 256, 256, 232]
    assert b"".join(part.to_numpy().tobytes() for part in parts) == records.to_numpy().tobytes()
    assert sum(len(part.gaps) for part in parts) == 2 and list(records[:0].chunks()) == []
    assert [len(part) for part in records.chunks()] == [1000]
    for size in (0, -1, "3", 1.5):
        with pytest.raises(SchemaError, match="chunks"):
            records.chunks(size)


def test_rows_keep_their_numbers_through_selections(block):
    array = sample(200, seed=4)
    raw(array).view(np.uint8).reshape(200, -1)[:, 12:16] = 0xAB  # padding
    records = build(array, (50, 120), first=1_000)
    picked = records.where(mode=1)[1:-1][::2].between(array["mono_ns"][10], array["mono_ns"][180])
    inside = np.flatnonzero(array["mode"] == 1)[1:-1][::2]
    inside = inside[(inside >= 10) & (inside < 180)]
    assert picked.seq.tolist() == (inside + 1_000).tolist()
    np.testing.assert_array_equal(picked["total"], array["total"][inside])
    assert picked["axis"].tobytes() == raw(array["axis"])[inside].tobytes()
    assert picked.to_numpy().tobytes() == raw(array)[inside].tobytes()
    assert picked[3].tobytes() == raw(array)[inside[3]].tobytes()


def test_numbers_reach_the_end_of_64_bits():
    array = sample(6)
    array["mode"] = [0, 0, 1, 1, 2, 2]
    records = build(array, (3,), first=2**64 - 6)
    assert records.seq.tolist() == list(range(2**64 - 6, 2**64))
    assert records[::2].seq.tolist() == [2**64 - 6, 2**64 - 4, 2**64 - 2]
    assert records.transitions("mode")["seq"].tolist() == [2**64 - 4, 2**64 - 2]
    assert records.intervals("mode")["closed_by"].tolist() == ["change", "change", "end"]


def test_states_are_those_that_labels_tell_apart(block):
    """Bits outside of every mask come and go; a drive that stays operational has had no transition."""
    labels = fastrec.Masked({"READY": (0x6F, 0x21), "OPERATIONAL": (0x6F, 0x27), "FAULT": (0x4F, 0x08)})
    array = sample(8)
    array["mono_ns"] = np.arange(8) * 10
    array["mode"] = [0x221, 0x237, 0x627, 0x27, 0x10, 0x211, 0x10, 0x237]
    records = build(array, (2, 5), schema=SCHEMA.with_field("mode", labels=labels))
    found = records.transitions("mode")
    assert found["seq"].tolist() == [1, 4, 5, 6, 7]
    assert [(hex(one["from"]), hex(one["to"])) for one in found[:2]] == [
        ("0x221", "0x237"),
        ("0x237", "0x10"),
    ]
    stretches = records.intervals("mode")
    assert [hex(one) for one in stretches["state"]] == ["0x221", "0x237", "0x10", "0x211", "0x10", "0x237"]
    total = {hex(one["state"]): int(one["duration"]) for one in records.durations("mode")}
    assert total == {"0x221": 10, "0x237": 30, "0x10": 20, "0x211": 10}
    # Values themselves stay what they are, and are asked for as they are.
    assert records["mode"].tolist() == array["mode"].tolist()
    assert records.where(mode=0x627).seq.tolist() == [2]
    assert records.where(mode="OPERATIONAL").seq.tolist() == [1, 2, 3, 7]


class Watched(ArrayChunk):
    """Remembers which rows were read."""

    def __init__(self, array, first_seq=0):
        self.read = []
        super().__init__(array, first_seq)

    at = Chunk.at  # as where rows are in a file

    def rows(self, start, stop):
        self.read.append((start, stop))
        return super().rows(start, stop)


def test_slices_and_windows_read_next_to_nothing():
    array = sample(100_000)
    chunk = Watched(array)
    assert chunk.ordered
    records = Records("plant", SCHEMA, [chunk], gaps=gaps(), clock=None)
    chunk.read.clear()
    window = records[10:90_000].between(int(array["mono_ns"][500]), int(array["mono_ns"][700]))
    assert window.seq.tolist() == list(range(500, 700))
    assert sum(stop - start for start, stop in chunk.read) < 100


def test_a_thin_selection_does_not_read_what_is_far_from_it():
    array = sample(100_000)
    chunk = Watched(array)
    thin = Records("plant", SCHEMA, [chunk], gaps=gaps(), clock=None)[::20_000]
    chunk.read.clear()
    assert thin.to_numpy().tobytes() == raw(array)[::20_000].tobytes()
    assert sum(stop - start for start, stop in chunk.read) == 5


def test_a_union_keeps_all_its_bytes():
    union = Schema.from_dtype(
        np.dtype({"names": ["f", "i"], "formats": ["<f4", "<u8"], "offsets": [0, 0], "itemsize": 8})
    )
    array = np.zeros(6, dtype=union.record_dtype)
    array["mono_ns"] = range(6)
    array["i"] = 0x0123456789ABCDEF + np.arange(6, dtype=np.uint64)
    records = build(array, (2,), schema=union)
    assert records.to_numpy().tobytes() == array.tobytes()
    assert records[::2].to_numpy().tobytes() == raw(array)[::2].tobytes()
    assert records[3].tobytes() == raw(array)[3].tobytes()


def test_columns_are_kept_up_to_a_budget(monkeypatch):
    records = build(sample(1_000), (500,))
    assert records["total"] is records["total"]
    monkeypatch.setattr(columns, "_CACHE_BYTES", 12_000)
    mode, total = records["mode"], records["total"]
    assert records["mode"] is mode
    records["level"]
    assert records["total"] is not total


def test_what_was_handed_out_cannot_be_changed():
    records = build(sample(10), (5,))
    for array in (records["mode"], records["axis"], records.gaps, records.where(mode=1)["mode"]):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
    records.to_numpy()["mode"] = 7
    records[0]["mode"] = 7
    assert 7 not in records["mode"]


def test_gaps_are_those_of_the_range():
    array = sample(10)
    array["mono_ns"] = range(0, 1_000, 100)
    lost = gaps(
        (0, 1, Cause.FAILED), (4, 1, Cause.MISSED), (4, 2, Cause.MISSED), (7, 3, Cause.DROPPED), (10, 9, 4)
    )
    lost["t_first"] = [-50, 310, 320, 650, 950]
    lost["t_last"] = [-50, 310, 380, 690, 2_000]
    records = build(array, (3,), lost=lost[::-1])

    def seen(part):
        return list(zip(part.gaps["seq"].tolist(), part.gaps["count"].tolist(), strict=True))

    whole = [(0, 1), (4, 3), (7, 3), (10, 9)]
    assert seen(records) == seen(records[:]) == seen(records.between(None, None)) == whole
    assert seen(records.where(mode=1)) == whole
    assert seen(records[1:4]) == []
    assert seen(records[3:5]) == [(4, 3)]
    assert seen(records[:5]) == [(0, 1), (4, 3)]
    assert seen(records[4:]) == [(7, 3), (10, 9)]
    assert seen(records[5:5]) == []
    assert seen(records.between(660, 670)) == [(7, 3)]
    assert seen(records.between(1_500, 3_000)) == [(10, 9)]
    assert seen(records.between(300, 401)) == [(4, 3)]
    assert "16 lost" in repr(records)


def test_times_that_users_write():
    array = sample(5)
    array["mono_ns"] = [10**9 * second for second in (3, 4, 5, 6, 7)]
    records = build(array)
    assert records.between("+1s", "+3s").seq.tolist() == [1, 2]
    assert records.between("-2s", None).seq.tolist() == [2, 3, 4]
    assert records.between("2026-09-21T14:13:24Z", "14:13:26").seq.tolist() == [1, 2]
    assert records.last("2s").seq.tolist() == [2, 3, 4]
    assert records.last(2).seq.tolist() == [3, 4]
    assert records.last(0).seq.tolist() == []
    assert records.last(99).seq.tolist() == [0, 1, 2, 3, 4]
    for amount in (-1, 1.5, "2"):
        with pytest.raises(SchemaError):
            records.last(amount)


def test_a_hold_belongs_to_the_window_in_which_it_began():
    array = sample(3, store="changes")
    array["mono_ns"], array["until_ns"] = [0, 100, 200], [90, 190, 290]
    records = build(array, store="changes")
    assert records.end == 290
    assert records.between(50, 150).seq.tolist() == [1]
    assert records.last("90ns").seq.tolist() == [2]
    assert records.last("110ns").seq.tolist() == [1, 2]  # the newest of what was seen in that time
    assert records.last("290ns").seq.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda records: records["no_such"],
        lambda records: records[1.5],
        lambda records: records[::-1],
        lambda records: records.where(),
        lambda records: records.where(no_such=1),
        lambda records: records.where(polls=1),
        lambda records: records.where(trace=1),
        lambda records: records.transitions("axis"),
        lambda records: records.intervals("mode", max_gap=5),
        lambda records: records.intervals("mode", max_gap="-5s"),
        lambda records: records.between("yesterday", None),
        lambda records: np.asarray(records, copy=False),
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(SchemaError):
        wrong(build(sample(5)))


def test_numpy_takes_records_as_an_array():
    array = sample(30)
    assert np.asarray(build(array, (7,))).tobytes() == array.tobytes()


def test_the_recorders_columns_are_fields_too():
    array = sample(20, store="changes", seed=9)
    records = build(array, store="changes")
    assert records.where(polls=3).seq.tolist() == np.flatnonzero(array["polls"] == 3).tolist()
    assert len(records.transitions("max_gap_ns")) == 0


def test_texts_are_the_same_text_under_any_id(block):
    schema = Schema.from_dtype(np.dtype([("url", "<u8"), ("n", "<i4")])).with_field("url", text=True)
    array = np.zeros(8, dtype=schema.record_dtype)
    array["mono_ns"] = np.arange(8) * 10
    array["url"] = [1, 1, 2, 0, 1, 2, 2**64 - 1, 1]
    tables = [{1: "http://a", 2: "http://b"}, {1: "http://b", 2: "http://a"}]
    pieces = [
        ArrayChunk(array[:4], 0, tables[0].get),
        ArrayChunk(array[4:], 4, tables[1].get),
    ]
    records = Records("web", schema, pieces, gaps=gaps(), clock=None)
    a, b = "http://a", "http://b"
    assert records.decode()["url"].tolist() == [a, a, b, None, b, a, None, b]
    assert records["url"].tolist() == array["url"].tolist()
    assert records.where(url=b).seq.tolist() == [2, 4, 7]
    assert records.where(url=None).seq.tolist() == [3, 6]
    assert records.where(url="http://c").seq.tolist() == []
    with pytest.raises(SchemaError, match="url is a text"):
        records.where(url=1)
    assert records.where(url=b).transitions("url").tolist() == []
    changes = records.transitions("url")
    assert list(zip(changes["from"], changes["to"], strict=True)) == [
        (a, b), (b, None), (None, b), (b, a), (a, None), (None, b),
    ]  # fmt: skip
    found = records.intervals("url", max_gap="1us")
    assert found["state"].tolist() == [a, b, None, b, a, None, b]
    total = records.durations("url", max_gap="1us")
    assert total["state"].tolist() == [a, b, None] and total["duration"].tolist() == [30, 20, 20]
    total = records.durations("url", max_gap="1ns")
    assert total["state"].tolist() == [a, b, None, None] and total["known"].tolist() == [
        True,
        True,
        True,
        False,
    ]


def test_default_max_gap():
    array = sample(4)
    array["mode"] = 1
    array["mono_ns"] = [0, 10**7, 2 * 10**7 + 1, 2 * 10**7 + 2]
    lost = gaps((3, 5, Cause.MISSED))
    # At least 10 ms; ten periods if that is more; every gap where there is no period.
    assert len(build(array, lost=lost, period_ns=1_000).intervals("mode")) == 2
    assert len(build(array, lost=lost, period_ns=1_000_001).intervals("mode")) == 1
    assert build(array, lost=lost, period_ns=1_000_001).intervals("mode")["lost"].tolist() == [5]
    assert build(array, lost=lost).intervals("mode")["records"].tolist() == [3, 1]
    assert build(array, lost=lost, period_ns=1_000).intervals("mode", 0)["records"].tolist() == [2, 1, 1]


def test_export_goes_to_who_writes_the_suffix(monkeypatch, tmp_path):
    calls = []

    class Entry:
        name, value = "dump", "somewhere:write"

        def load(self):
            return lambda records, path, **options: calls.append((records, path, options))

    monkeypatch.setattr(
        "fastrec.records.exits.entry_points", lambda group: [Entry()] if group == "fastrec.formats" else []
    )
    records = build(sample(3))
    records.export(tmp_path / "a.DUMP", overwrite=True)
    assert calls == [(records, tmp_path / "a.DUMP", {"overwrite": True})]
    with pytest.raises(FormatError, match=r"'a\.dmp' cannot be written.*\.dmp.*\.dump"):
        records.export(tmp_path / "a.dmp")


def test_chunks_of_others_need_only_rows():
    class Least(Chunk):
        first_seq = 7

        def __init__(self, array):
            self.array = array

        def __len__(self):
            return len(self.array)

        def rows(self, start, stop):
            return self.array[start:stop]

    array = sample(100)
    records = Records("plant", SCHEMA, [Least(array)], gaps=gaps(), clock=None)
    middle = int(array["mono_ns"][40])
    assert records.between(middle, None).seq.tolist() == list(range(47, 107))
    assert records.between(None, middle + 1)[-1]["mono_ns"] == middle
    with pytest.raises(TypeError):
        Chunk()


def test_records_know_nothing_to_their_right():
    room = Path(fastrec.records.records.__file__).parent
    for file in [*room.glob("*.py"), room.parent / "times.py"]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("fastrec"):
                assert node.module.split(".")[1] in {
                    "errors",
                    "core",
                    "schema",
                    "times",
                    "expressions",
                    "durations",
                    "records",
                }, (
                    file.name,
                    node.module,
                )


def test_a_column_survives_pickling():
    column = build(sample(5))["level"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(column)), column)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_window_has_the_record_before_and_all_losses_of_its_time(block, backwards):
    array = sample(60)
    if backwards:
        array["mono_ns"][30:33] = array["mono_ns"][32:29:-1]
    lost = np.array(
        [
            (seq, 1, Cause.FAILED, 7, *[int(array["mono_ns"][min(seq, 59)]) - 1] * 2)
            for seq in range(0, 61, 5)
        ],
        gaps().dtype,
    )
    records = build(array, (20,), lost=lost)
    stamps = array["mono_ns"].tolist()
    for begin, end in [(0, 60), (7, 9), (7, 7), (13, 41), (0, 0), (31, 33), (59, 60)]:
        low, high = stamps[begin], stamps[end] if end < 60 else stamps[-1] + 1
        inside = [place for place, stamp in enumerate(stamps) if low <= stamp < high]
        before = [place for place, stamp in enumerate(stamps) if stamp < low]
        first, stop = (inside[0], inside[-1] + 1) if inside else 2 * ((before[-1] + 1,) if before else (0,))
        window = records.window(low, high)
        start = max(first - 1, 0)
        assert window.seq.tolist() == list(range(start, stop))
        told = [
            gap
            for gap in lost.tolist()
            if ((gap[4] < high and gap[5] >= low) or gap[0] <= stop - 1)
            and (gap[0] > start or first == 0 or stop == start)
        ]
        if stop > start:
            assert window.gaps.tolist() == told
