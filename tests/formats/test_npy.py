import numpy as np
import pytest
from common import SCHEMA, gaps, raw, sample

from fastrec.errors import CorruptionError, FormatError
from fastrec.formats import npy
from fastrec.records import ArrayChunk, Records
from fastrec.schema import LOST, Schema


def build(array, schema=SCHEMA, store="every", text=None):
    pieces = [ArrayChunk(array[:5], 0, text), ArrayChunk(array[5:], 5, text)]
    return Records("plant", schema, pieces, gaps=gaps(), clock=None, store=store)


@pytest.fixture(params=[65_536, 3])
def block(request, monkeypatch):
    monkeypatch.setattr("fastrec.formats.blocks.BLOCK", request.param)


@pytest.mark.parametrize("store", ["every", "changes"])
def test_the_bytes_as_they_were_recorded(block, tmp_path, store):
    array = sample(20, store=store)
    npy.write(build(array, store=store), tmp_path / "a.npy")
    loaded = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert loaded.dtype == SCHEMA.storage(store)
    assert loaded.tobytes() == array.tobytes()
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    np.testing.assert_array_equal(mapped["trace"], array["trace"])


def test_a_union_is_written_whole(tmp_path):
    union = Schema.from_dtype(
        np.dtype({"names": ["f", "i"], "formats": ["<f4", "<u8"], "offsets": [0, 0], "itemsize": 8})
    )
    array = np.zeros(9, dtype=union.record_dtype)
    array["i"] = np.arange(9, dtype=np.uint64) * 0x0101010101010101
    npy.write(build(array, union)[1::2], tmp_path / "a.npy")
    assert np.load(tmp_path / "a.npy").tobytes() == raw(array)[1::2].tobytes()


def test_no_records_are_a_file_too(tmp_path):
    records = build(sample(20))[:0]
    npy.write(records, tmp_path / "a.npy")
    npy.write(records, tmp_path / "b.npy", decoded=True)
    assert np.load(tmp_path / "a.npy").dtype == SCHEMA.storage_dtype
    assert np.load(tmp_path / "b.npy").dtype["mode"] == np.dtype("U1")
    assert len(np.load(tmp_path / "a.npy")) == len(np.load(tmp_path / "b.npy")) == 0


def test_decoded(block, tmp_path):
    payload = np.dtype([("mode", "u1", (2,)), ("in", [("t", ">i2")]), ("url", "<u8"), ("tag", "S2")])
    schema = (
        Schema.from_dtype(payload, labels={"mode": {"IDLE": 0, "RUNNING": 1}})
        .with_field("in.t", scale=0.5)
        .with_field("url", text=True)
    )
    array = np.zeros(7, dtype=schema.record_dtype)
    array["mode"][6] = [1, 9]
    array["in"]["t"] = range(7)
    array["url"] = [1, 0, 2, 2**64 - 1, 0, 0, 3]
    array["tag"] = b"ab"
    texts = {1: "a", 2: "\udcff long", 3: "", 2**64 - 1: LOST}
    npy.write(build(array, schema, text=texts.get), tmp_path / "a.npy", decoded=True)
    loaded = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert loaded.dtype.names == ("mono_ns", "mode", "in.t", "url", "tag")
    assert loaded["mode"].tolist() == [["IDLE", "IDLE"]] * 6 + [["RUNNING", "9?"]]
    assert loaded["in.t"].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert loaded["url"].tolist() == ["a", "", "\udcff long", "", "", "", ""]
    assert loaded["tag"].tolist() == [b"ab"] * 7
    assert loaded.dtype["mode"].base == np.dtype("U7") and loaded.dtype["url"] == np.dtype("U6")


def test_names_that_are_not_ascii(tmp_path):
    schema = Schema.from_dtype(np.dtype([("größe", "<i4"), ("温度", "<i4")]))
    array = np.zeros(3, dtype=schema.record_dtype)
    array["mono_ns"] = [1, 2, 3]
    for decoded in (False, True):
        npy.write(build(array, schema), tmp_path / f"{decoded}.npy", decoded=decoded)
        assert np.load(tmp_path / f"{decoded}.npy")["mono_ns"].tolist() == [1, 2, 3]
    assert "温度" in np.load(tmp_path / "True.npy").dtype.names


def test_more_columns_than_numpy_reads(tmp_path):
    wide = Schema.from_dtype(np.dtype([(f"a_rather_long_name_{i}", "u1") for i in range(500)]))
    records = build(np.zeros(2, dtype=wide.record_dtype), wide)
    npy.write(records, tmp_path / "a.npy")
    assert np.load(tmp_path / "a.npy").dtype == wide.storage_dtype
    with pytest.raises(FormatError, match="501 columns"):
        npy.write(records, tmp_path / "b.npy", decoded=True)
    assert [one.name for one in tmp_path.iterdir()] == ["a.npy"]


def test_the_header_is_aligned(tmp_path):
    npy.write(build(sample(20)), tmp_path / "a.npy")
    content = (tmp_path / "a.npy").read_bytes()
    length = 10 + int.from_bytes(content[8:10], "little")
    assert length % 64 == 0 and content[length - 1 : length] == b"\n"
    assert len(content) == length + 20 * SCHEMA.storage_dtype.itemsize


class Damaged(ArrayChunk):
    def rows(self, start, stop):
        if stop > 15:
            raise CorruptionError("records 15 to 20 do not match their checksum")
        return super().rows(start, stop)


def test_damage_leaves_no_file(monkeypatch, tmp_path):
    monkeypatch.setattr("fastrec.formats.blocks.BLOCK", 4)
    records = Records("plant", SCHEMA, [Damaged(sample(20))], gaps=gaps(), clock=None)
    (tmp_path / "old.npy").write_bytes(b"old")
    for name, overwrite in (("new.npy", False), ("old.npy", True)):
        with pytest.raises(CorruptionError, match="15 to 20"):
            npy.write(records, tmp_path / name, overwrite=overwrite)
    assert [one.name for one in tmp_path.iterdir()] == ["old.npy"]
    assert (tmp_path / "old.npy").read_bytes() == b"old"
