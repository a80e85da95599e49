import csv as reference

import numpy as np
import pytest
from common import SCHEMA, gaps, sample
from hypothesis import given
from hypothesis import strategies as st

from fastrec.errors import FormatError
from fastrec.formats import csv
from fastrec.records import ArrayChunk, Records
from fastrec.schema import LOST, Schema


def build(array, schema=SCHEMA, store="every", text=None):
    pieces = [ArrayChunk(array[:3], 0, text), ArrayChunk(array[3:], 3, text)]
    return Records("plant", schema, pieces, gaps=gaps(), clock=None, store=store)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(reference.reader(file, strict=True))


@pytest.fixture(params=[16_384, 2])
def block(request, monkeypatch):
    monkeypatch.setattr(csv, "_BLOCK", request.param)


def test_decoded(block, tmp_path):
    array = sample(5, store="changes")
    array["mono_ns"], array["until_ns"], array["polls"] = range(5), range(10, 15), 2
    array["mode"], array["level"] = [0, 1, 7, 1, 0], [0.1, np.nan, -np.inf, 1e300, -0.0]
    array["total"] = 2**64 - 1
    array["axis"]["pos"], array["axis"]["on"] = np.float32(0.1), 200
    array["trace"], array["tag"] = [[1, -2, 3]] * 5, [b"", b"a\0b", b'"', b"x,y", b"\xff"]
    csv.write(build(array, store="changes"), tmp_path / "a.csv")
    header, *lines = read(tmp_path / "a.csv")
    assert header == [
        "mono_ns", "until_ns", "polls", "max_gap_ns", "mode", "level", "total", "axis.pos", "axis.on",
        "trace[0]", "trace[1]", "trace[2]", "tag",
    ]  # fmt: skip
    columns = dict(zip(header, zip(*lines, strict=True), strict=True))
    assert columns["mono_ns"] == ("0", "1", "2", "3", "4") and columns["until_ns"][4] == "14"
    assert columns["mode"] == ("IDLE", "RUN", "7?", "RUN", "IDLE")
    assert columns["level"] == ("0.1", "nan", "-inf", "1e+300", "-0.0")
    assert set(columns["total"]) == {str(2**64 - 1)}
    assert set(columns["axis.pos"]) == {"0.1"} and set(columns["axis.on"]) == {"200"}
    assert set(columns["trace[1]"]) == {"-2"}
    assert columns["tag"] == ("", "a", '"', "x,y", "\\udcff")
    assert b"\r" not in (tmp_path / "a.csv").read_bytes()


def test_raw_is_numbers(block, tmp_path):
    payload = np.dtype(
        [("mode", "<i4"), ("ok", "?"), ("t", ">i2"), ("url", "<u8"), ("z", "<c8"), ("opaque", "V2")]
    )
    schema = (
        Schema.from_dtype(payload, labels={"mode": {"RUN": -1}})
        .with_field("t", scale=0.5)
        .with_field("url", text=True)
    )
    array = np.zeros(4, dtype=schema.record_dtype)
    array["mode"], array["ok"], array["t"], array["url"] = -1, True, 3, [1, 0, 2, 2**64 - 1]
    array["z"], array["opaque"] = 1 + 2j, b"\x01\xff"
    records = build(array, schema, text={1: "one", 2: "", 2**64 - 1: LOST}.get)
    csv.write(records, tmp_path / "raw.csv", raw=True)
    csv.write(records, tmp_path / "text.csv")
    assert read(tmp_path / "raw.csv")[1:3] == [
        ["0", "-1", "1", "3", "1", "1+2j", "01ff"],
        ["0", "-1", "1", "3", "0", "1+2j", "01ff"],
    ]
    assert read(tmp_path / "text.csv")[1] == ["0", "RUN", "true", "1.5", "one", "1+2j", "01ff"]
    lines = (tmp_path / "text.csv").read_text().splitlines()
    assert [line.split(",")[4] for line in lines[1:]] == ["one", "", '""', ""]


def test_arrays_of_arrays(tmp_path):
    schema = Schema.from_dtype(np.dtype([("m", "<i2", (2, 2))]))
    array = np.zeros(1, dtype=schema.record_dtype)
    array["m"] = [[[1, 2], [3, 4]]]
    csv.write(build(array, schema), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"mono_ns,m[0][0],m[0][1],m[1][0],m[1][1]\n0,1,2,3,4\n"


TEXT = Schema.from_dtype(np.dtype([("url", "<u8"), ("n", "<i4")])).with_field("url", text=True)


def texts(values, tmp_path, **options):
    array = np.zeros(len(values), dtype=TEXT.record_dtype)
    array["url"], array["n"] = np.arange(1, len(values) + 1), -1
    path = tmp_path / "texts.csv"
    csv.write(build(array, TEXT, text=dict(enumerate(values, 1)).get), path, overwrite=True, **options)
    lines = read(path)
    assert all(line[2] == "-1" for line in lines[1:])
    return [line[1] for line in lines[1:]]


def test_a_cell_of_text_never_runs_as_a_formula(tmp_path):
    evil = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", '=HYPERLINK("a,b")']
    harmless = ["a=1", " =1", "'=1", "", "1"]
    assert texts(evil + harmless, tmp_path) == ["'" + text for text in evil] + harmless
    assert texts(evil + harmless, tmp_path, exact=True) == evil + harmless


def test_names_are_text_too(tmp_path):
    schema = Schema.from_dtype(np.dtype([("=cmd", "<i4"), ('a"b', "<i4")]))
    csv.write(build(np.zeros(1, dtype=schema.record_dtype), schema), tmp_path / "a.csv")
    assert read(tmp_path / "a.csv")[0] == ["mono_ns", "'=cmd", 'a"b']


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6), max_size=6
    )
)
def test_any_text_is_read_back(tmp_path_factory, values):
    assert texts(values, tmp_path_factory.mktemp("csv"), exact=True) == values


def test_text_that_is_not_utf8_is_still_a_file_of_utf8(tmp_path):
    assert texts(["a\udc80", "\ud800"], tmp_path) == ["a\\udc80", "\\ud800"]


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f8"])
def test_floats_are_read_back_exactly(tmp_path, kind):
    schema = Schema.from_dtype(np.dtype([("x", kind)]))
    array = np.zeros(500, dtype=schema.record_dtype)
    size = np.dtype(kind).itemsize
    bits = np.random.default_rng(0).integers(0, 256, 500 * size, dtype=np.uint8).tobytes()
    array["x"] = np.frombuffer(bits, dtype=kind)
    csv.write(build(array, schema), tmp_path / "a.csv")
    again = np.array([line[1] for line in read(tmp_path / "a.csv")[1:]], dtype="f8").astype(kind)
    np.testing.assert_array_equal(again, array["x"])


def test_no_records_are_a_header(tmp_path):
    csv.write(build(sample(0)), tmp_path / "a.csv")
    assert len(read(tmp_path / "a.csv")) == 1


def test_progress(block, tmp_path):
    seen = []
    csv.write(build(sample(5)), tmp_path / "a.csv", progress=lambda done, total: seen.append((done, total)))
    step = csv._BLOCK
    assert seen == [(0, 5), *((min(done, 5), 5) for done in range(step, 5 + step, step))]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        csv.write(build(sample(5)), tmp_path / "b.csv", progress=stop)
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]


def test_an_existing_file_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(FormatError, match="overwrite=True"):
        csv.write(build(sample(5)), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "mine"
