import pickle

import numpy as np
import pytest
from common import gaps

from fastrec.records import ArrayChunk, Records
from fastrec.records.columns import Texts, recorder_columns
from fastrec.schema import HRESULT, LOST, Field, Flags, Schema
from fastrec.schema.readable import native, physical, readable

DTYPE = np.dtype(
    [
        ("hr", "<i4"),
        ("mode", "<u1"),
        ("word", ">u2", (2,)),
        ("t", ">i2"),
        ("f", "<f4"),
        ("tag", "S3"),
        ("url", "<u8"),
    ]
)
SCHEMA = (
    Schema.from_dtype(
        DTYPE,
        labels={"hr": HRESULT, "mode": {"IDLE": 0, "RUN": 1}, "word": Flags({"A": 1, "B": 2})},
        units={"t": "degC"},
    )
    .with_field("t", scale=0.1, bias=-40.0)
    .with_field("url", text=True)
)


def records():
    array = np.zeros(3, dtype=SCHEMA.record("changes"))
    array["mono_ns"] = [10, 20, 30]
    array["polls"] = 2
    array["hr"] = [0, -2147467259, 1]
    array["mode"] = [0, 1, 7]
    array["word"] = [[0, 1], [3, 2], [64, 65]]
    array["t"] = [400, 0, -1]
    array["f"] = [0.1, np.nan, -0.0]
    array["tag"] = [b"abc", b"", b"a\xff"]
    array["url"] = [1, 0, 2]
    chunk = ArrayChunk(array, 0, {1: "http://a", 2: "\udcff"}.get)
    return Records("x", SCHEMA, [chunk], gaps=gaps(), clock=None, store="changes")


def test_decode():
    columns = records().decode()
    assert list(columns) == [
        "mono_ns", "until_ns", "polls", "max_gap_ns", "hr", "mode", "word", "t", "f", "tag", "url",
    ]  # fmt: skip
    assert columns["hr"].tolist() == ["S_OK", "E_FAIL", "S_FALSE"]
    assert columns["mode"].tolist() == ["IDLE", "RUN", "7?"]
    assert columns["word"].tolist() == [["0", "A"], ["A|B", "B"], ["0x40", "A|0x40"]]
    assert columns["t"].tolist() == [400 * 0.1 - 40.0, -40.0, -1 * 0.1 - 40.0]
    np.testing.assert_array_equal(columns["f"], np.array([0.1, np.nan, -0.0], dtype="f4"))
    assert columns["tag"].tolist() == [b"abc", b"", b"a\xff"]
    assert columns["url"].tolist() == ["http://a", None, "\udcff"]
    assert columns["polls"].tolist() == [2, 2, 2]
    assert all(values.dtype.isnative for values in columns.values())
    assert all(isinstance(text, str) for text in columns["mode"])


def test_a_lost_text_is_not_a_null_pointer():
    array = np.zeros(4, dtype=SCHEMA.record("changes"))
    array["url"] = [1, 0, 2**64 - 1, 0]
    chunk = ArrayChunk(array, 0, {0: None, 1: "LOST", 2**64 - 1: LOST}.get)
    found = Records("x", SCHEMA, [chunk], gaps=gaps(), clock=None, store="changes")
    assert found.decode("url")["url"].tolist() == ["LOST", None, LOST, None]
    asked = [found.where(url=one).seq.tolist() for one in ("LOST", None, LOST)]
    assert asked == [[0], [1, 3], [2]] and len(found.transitions("url")) == 3
    assert not LOST and str(LOST) == repr(LOST) == "LOST" and pickle.loads(pickle.dumps(LOST)) is LOST
    assert [ArrayChunk(array).text(one) for one in (0, 7)] == [None, LOST]
    frame = found.to_pandas()["url"]
    assert frame.isna().tolist() == [False, True, True, True]
    assert frame.map(lambda one: one is None, na_action=None).tolist() == [False, True, False, True]


def test_raw_stays_raw():
    found = records()
    assert found["t"].tolist() == [400, 0, -1] and found["t"].dtype == np.dtype(">i2")
    assert found["url"].tolist() == [1, 0, 2]


def test_physical_values_beyond_all_numbers_are_infinite():
    raw = np.array([-3, 0, 7], "<i4")
    scaled = physical(Field("x", raw.dtype, 0, scale=1e308, bias=-1e308), raw)
    assert scaled.tolist() == [-np.inf, -1e308, np.inf]


def test_physical_is_wide_and_leaves_the_rest_alone():
    raw = np.array([2**64 - 1, 1], dtype="<u8")
    assert physical(Field("x", raw.dtype, 0), raw) is raw
    scaled = physical(Field("x", raw.dtype, 0, scale=0.5), raw)
    assert scaled.dtype == np.float64 and scaled.tolist() == [2.0**63, 0.5]
    single = np.array([1 + 1j], dtype="<c8")
    assert physical(Field("x", single.dtype, 0, bias=1.0), single).tolist() == [2 + 1j]
    assert readable(Field("x", raw.dtype, 0, labels={"ALL": 2**64 - 1}), raw).tolist() == ["ALL", "1?"]


@pytest.mark.parametrize("kind", [">i4", ">f8", "<u2", "S2", "?"])
def test_native(kind):
    values = np.zeros(2, dtype=kind)
    assert native(values).dtype.isnative
    assert (native(values) is values) == values.dtype.isnative


def test_recorder_columns():
    assert recorder_columns("every") == ("mono_ns",)
    assert recorder_columns("changes") == ("mono_ns", "until_ns", "polls", "max_gap_ns")


def test_texts_ask_a_chunk_once_per_id():
    asked = []

    def text(identifier):
        asked.append(identifier)
        return "t"

    chunk = ArrayChunk(np.zeros(0, dtype=SCHEMA.record_dtype), 0, text)
    texts = Texts()
    codes = texts.codes(chunk, np.array([5, 6, 5, 6, 5], dtype=np.uint64))
    assert sorted(asked) == [5, 6]
    assert texts.texts(codes).tolist() == ["t"] * 5
