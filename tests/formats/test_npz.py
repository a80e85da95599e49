import subprocess
import sys
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pytest
from common import SCHEMA, gaps, sample

from fastrec.formats import npz
from fastrec.records import ArrayChunk, Records
from fastrec.schema import HRESULT, Schema


def build(array, schema=SCHEMA, store="every", text=None, lost=None):
    lost = gaps() if lost is None else lost
    return Records("plant", schema, [ArrayChunk(array, 0, text)], gaps=lost, clock=None, store=store)


def of(*paths, **values):
    """Records of a schema of these i4 fields, dotted names being structs; the values are 0, 1, ..."""
    members = {}
    for path in paths:
        head, dot, leaf = path.partition(".")
        members.setdefault(head, []).extend([leaf] if dot else [])
    dtype = [
        (head, [(leaf, "<i4") for leaf in leaves] if leaves else "<i4") for head, leaves in members.items()
    ]
    schema = Schema.from_dtype(np.dtype(dtype))
    array = np.zeros(1, dtype=schema.record_dtype)
    for value, field in enumerate(schema.fields):
        field.of(array)[:] = value
    return build(array, schema, **values)


def test_an_array_a_column_as_c_stored_it(tmp_path):
    array = sample(20, store="changes")
    lost = gaps((3, 2, 1), (7, 1, 4))
    npz.write(build(array, store="changes", lost=lost), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as loaded:
        assert loaded.files == [
            "seq", "mono_ns", "until_ns", "polls", "max_gap_ns", "mode", "level", "total", "axis.pos",
            "axis.on", "trace", "tag", "gaps",
        ]  # fmt: skip
        for name in ("mono_ns", "until_ns", "mode", "level", "total", "trace", "tag"):
            assert loaded[name].dtype == array.dtype[name].base
            assert loaded[name].tobytes() == np.ascontiguousarray(array[name]).tobytes()
        assert loaded["axis.pos"].tolist() == array["axis"]["pos"].tolist()
        assert loaded["seq"].tolist() == list(range(20)) and loaded["seq"].dtype == np.uint64
        assert loaded["gaps"].tolist() == lost.tolist() and loaded["gaps"].dtype == lost.dtype


def test_bits_bytes_orders_and_texts(tmp_path):
    layout = np.dtype([("w", ">u2"), ("raw", "V3"), ("hr", "<i4"), ("url", "<u8"), ("t", ">i2"), ("ok", "?")])
    schema = Schema.from_dtype(layout, labels={"hr": HRESULT}).with_field("url", text=True)
    schema = schema.with_field("t", scale=0.5)
    array = np.zeros(4, dtype=schema.record_dtype)
    array["w"], array["raw"], array["hr"] = 258, b"\0\1\xff", -2147467259
    array["url"], array["t"], array["ok"] = [0, 1, 2, 1], 3, True
    records = build(array, schema, text={1: "http://a", 2: "\udcff"}.get)
    npz.write(records, tmp_path / "raw.npz")
    npz.write(records, tmp_path / "decoded.npz", decoded=True)
    with np.load(tmp_path / "raw.npz") as raw, np.load(tmp_path / "decoded.npz") as decoded:
        assert raw["w"].dtype == np.dtype(">u2") and raw["w"].tolist() == [258] * 4
        assert raw["raw"].tolist() == decoded["raw"].tolist() == [b"\0\1\xff"] * 4
        assert raw["hr"].tolist() == [-2147467259] * 4 and raw["url"].tolist() == [0, 1, 2, 1]
        assert decoded["hr"].tolist() == ["E_FAIL"] * 4 and decoded["hr"].dtype == np.dtype("U6")
        assert decoded["url"].tolist() == ["", "http://a", "\udcff", "http://a"]
        assert decoded["w"].dtype == np.dtype("=u2") and decoded["t"].tolist() == [1.5] * 4
        assert raw["ok"].tolist() == decoded["ok"].tolist() == [True] * 4


def test_numbers_say_where_the_gaps_are(monkeypatch, tmp_path):
    monkeypatch.setattr("fastrec.formats.blocks.BLOCK", 4)
    records = build(sample(20), lost=gaps((6, 2, 3)))
    npz.write(records.where(mode=1), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as loaded:
        assert loaded["seq"].tolist() == records.where(mode=1).seq.tolist()
        assert set(loaded["mode"].tolist()) == {1} and loaded["gaps"]["seq"].tolist() == [6]


@pytest.mark.parametrize(
    ("paths", "ours"),
    [
        (["a"], ["seq", "gaps"]),
        (["seq", "gaps", "gaps_"], ["seq_", "gaps__"]),
        (["gaps.npy", "seq.x"], ["seq", "gaps_"]),
        (["seq.npy", "a.npy"], ["seq_", "gaps"]),
        (["mono_ns.npy", "mono_ns_"], ["seq", "gaps"]),
    ],
)
def test_names_of_ours_give_way(tmp_path, paths, ours):
    records = of(*paths, lost=gaps((0, 5, 3)))
    npz.write(records, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as loaded:
        assert loaded.files == [ours[0], "mono_ns", *(field.name for field in records.schema.fields), ours[1]]
        for value, field in enumerate(records.schema.fields):
            assert loaded[field.name].tolist() == [value]
        assert loaded[ours[1]]["count"].tolist() == [5] and loaded[ours[0]].tolist() == [0]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("/etc/passwd", "%2Fetc/passwd"),
        ("//x", "%2F/x"),
        ("/", "%2F"),
        ("\\\\server\\x", "%5C\\server\\x"),
        ("C:\\x", "%43:\\x"),
        ("c:x", "%63:x"),
        ("%2Fetc/passwd", "%252Fetc/passwd"),
        ("%2f", "%2f"),
        ("100%", "100%"),
        ("a/b", "a/b"),
        ("a:b", "%61:b"),
        ("ab:c", "ab:c"),
        ("x/./y", "x/./y"),
        ("~root", "~root"),
    ],
)
def test_no_name_leads_out_of_where_it_is_unpacked(tmp_path, name, key):
    npz.write(of(name, "%2Fe"), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as loaded:
        assert key in loaded.files and loaded[key].tolist() == [0] and loaded["%252Fe"].tolist() == [1]
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        for member in map(str, archive.namelist()):
            for path in (PurePosixPath(member), PureWindowsPath(member)):
                assert not path.anchor and ".." not in path.parts
        archive.extractall(tmp_path / "out")
        # zipfile is careful by itself; joined as careless tools join, they stay inside too.
        for member in archive.namelist():
            assert (tmp_path / "out" / member).resolve().is_relative_to(tmp_path / "out")
            assert (tmp_path / "out" / member).is_file() or "\\" in member
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.npz", "out"]


def test_members_past_the_limit_of_32_bits(monkeypatch, tmp_path):
    """4 GiB by another measure: where zipfile says that they begin."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 200)
    array = sample(100)
    for compress in (False, True):
        npz.write(build(array), tmp_path / "a.npz", compress=compress, overwrite=True)
        with np.load(tmp_path / "a.npz") as loaded:
            assert all(loaded[name].tobytes() == array[name].tobytes() for name in ("mono_ns", "total"))


def test_sizes_do_not_wrap(monkeypatch, tmp_path):
    seen = []

    class Sized(zipfile.ZipFile):
        def open(self, member, mode="r", **options):
            seen.append(member.file_size)
            raise KeyboardInterrupt

    monkeypatch.setattr(npz.zipfile, "ZipFile", Sized)
    with pytest.raises(KeyboardInterrupt), Sized(tmp_path / "a.zip", "w") as archive:
        npz._add(archive, "a", np.dtype("V65536"), (2**40, 2**15), [])
    assert seen == [128 + 2**71]


def test_compressed(tmp_path):
    records = build(np.repeat(sample(1), 5_000))
    npz.write(records, tmp_path / "plain.npz")
    npz.write(records, tmp_path / "small.npz", compress=True)
    assert (tmp_path / "small.npz").stat().st_size * 10 < (tmp_path / "plain.npz").stat().st_size
    with np.load(tmp_path / "small.npz") as small, np.load(tmp_path / "plain.npz") as whole:
        assert small.files == whole.files
        assert all(small[name].tobytes() == whole[name].tobytes() for name in small.files)


def test_the_same_records_make_the_same_bytes(tmp_path):
    for name in "ab":
        npz.write(build(sample(5)), tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_memory_is_bounded(tmp_path):
    """A process that may hold a third of what it writes."""
    program = """
import resource, sys
import numpy as np
from fastrec.formats import npz
from fastrec.records import Chunk, Records
from fastrec.schema import Schema
from fastrec.schema.gaps import GAP_DTYPE

schema = Schema.from_dtype(np.dtype([("x", "<f8", (4,)), ("n", "<i8")]), labels={"n": {"ONE": 1}})

class Made(Chunk):
    first_seq = 0
    def __len__(self):
        return 4_000_000
    def rows(self, start, stop):
        return np.ones(stop - start, dtype=schema.record_dtype)

records = Records("big", schema, [Made()], gaps=np.zeros(0, GAP_DTYPE), clock=None)
npz.write(records[:100_000], "warm.npz", decoded=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
npz.write(records, "big.npz", decoded=sys.argv[1] == "decoded")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    for form in ("raw", "decoded"):
        done = subprocess.run(
            [sys.executable, "-c", program, form], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        written = (tmp_path / "big.npz").stat().st_size // 1024
        assert int(done.stdout) * 3 < written and written > 150_000
        (tmp_path / "big.npz").unlink()
        (tmp_path / "warm.npz").unlink()
