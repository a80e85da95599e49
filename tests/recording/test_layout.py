"""Headers, rows, seeds and JSON: against the oracle, against numpy.load, and against format.h."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording import samples, writer

import fastrec
from fastrec.errors import CorruptionError, FormatError
from fastrec.recording import layout
from fastrec.schema import Schema

UUID = writer.UUID


def load(header: bytes, rows: bytes = b"") -> np.ndarray:
    return np.load(io.BytesIO(header + rows), allow_pickle=False)


@pytest.mark.parametrize(
    ("dtype", "descr"),
    [
        (layout.INDEX_DTYPE, writer.DESCR["index"]),
        (layout.GAP_ROW_DTYPE, writer.DESCR["gaps"]),
        (layout.CLOCK_DTYPE, writer.DESCR["clocks"]),
        (layout.zone_dtype(3), writer.DESCR["zones"].format(k=3)),
        (layout.zone_dtype(0), writer.DESCR["zones"].format(k=0)),
        (samples.STATUS.storage("every"), samples.STATUS_DESCR),
        (samples.HELD.storage("changes"), samples.HELD_DESCR),
    ],
)
@pytest.mark.parametrize("rows", [0, 7, 99_999_999])
def test_header_is_what_the_oracle_writes(dtype: np.dtype, descr: str, rows: int) -> None:
    assert layout.npy_header(dtype, rows) == writer.header(descr, rows)


@pytest.mark.parametrize("rows", [0, 1, 12, 1024])
def test_numpy_load_accepts_the_header(rows: int) -> None:
    dtype = samples.STATUS.storage("every")
    header = layout.npy_header(dtype, rows)
    assert header[:8] == b"\x93NUMPY\x01\x00"
    assert len(header) % 64 == 0
    assert header[24:32] == b"%8d" % rows
    array = load(header, bytes(rows * dtype.itemsize))
    assert array.shape == (rows,)
    assert array.dtype.itemsize == dtype.itemsize
    assert {name: array.dtype.fields[name][:2] for name in array.dtype.names} == {
        name: dtype.fields[name][:2] for name in dtype.names
    }


@pytest.mark.parametrize("rows", [-1, 100_000_000])
def test_header_refuses_counts_that_do_not_fit(rows: int) -> None:
    with pytest.raises(FormatError, match="99,999,999"):
        layout.npy_header(layout.INDEX_DTYPE, rows)


def test_descr_says_what_numpy_says() -> None:
    inner = np.dtype({"names": ["a", "b"], "formats": ["<u2", "|V3"], "offsets": [2, 8], "itemsize": 12})
    dtype = np.dtype(
        {
            "names": ["mono_ns", "many", "one", "flag", "text", "big"],
            "formats": ["<i8", (inner, (2, 3)), inner, "?", "S5", (">f4", (2,))],
            "offsets": [0, 8, 80, 92, 93, 100],
            "itemsize": 112,
        }
    )
    assert layout.descr(dtype) == np.lib.format.dtype_to_descr(dtype)
    assert load(layout.npy_header(dtype, 1), bytes(112)).dtype.itemsize == 112


def test_descr_refuses_a_union() -> None:
    union = np.dtype({"names": ["a", "b"], "formats": ["<u4", "<u2"], "offsets": [0, 2], "itemsize": 4})
    with pytest.raises(FormatError, match="'b' at 2 overlaps"):
        layout.npy_header(union)


def test_a_name_outside_ascii_survives() -> None:
    dtype = np.dtype([("\u00fcber", "<u4")])
    assert load(layout.npy_header(dtype, 2), bytes(8)).dtype.names == ("\u00fcber",)
    with pytest.raises(FormatError, match="cannot spell"):
        layout.npy_header(np.dtype([("\u4e2d", "<u4")]))


@pytest.mark.parametrize("store", ["every", "changes"])
@pytest.mark.parametrize("fields", [100, 480, 500, 1000])
def test_a_schema_of_any_length_has_a_header_that_numpy_accepts(fields: int, store: str) -> None:
    schema = Schema.from_dtype(np.dtype([(f"f{n:04d}", "<u4") for n in range(fields)]), name="wide")
    dtype = schema.storage(store)
    header = layout.npy_header(dtype, 1)
    assert load(header, bytes(dtype.itemsize)).dtype.itemsize == dtype.itemsize
    spelled = len(writer.header(repr(np.lib.format.dtype_to_descr(schema.record(store))), 1)) - 10
    if spelled > 10_000:
        assert dtype.names[-1] == "payload"
        assert dtype["payload"] == np.dtype(f"V{schema.size}")
        assert dtype.fields["payload"][1] == schema.payload_offset(store)
    else:
        assert dtype == schema.record(store)


def test_a_header_too_long_for_numpy_is_refused() -> None:
    with pytest.raises(FormatError, match=r"numpy\.load refuses"):
        layout.npy_header(np.dtype([(f"f{n:04d}", "<u4") for n in range(600)]))


def test_check_header_compares_every_byte_but_the_count() -> None:
    header = layout.npy_header(layout.INDEX_DTYPE, 1234)
    expected = layout.npy_header(layout.INDEX_DTYPE)
    assert layout.check_header(header + b"rows", expected, "x") == 1234
    for place in range(len(header)):
        bent = bytearray(header)
        bent[place] ^= 0x40
        with pytest.raises(CorruptionError, match="x: the header"):
            layout.check_header(bytes(bent), expected, "x")
        with pytest.raises(CorruptionError, match="shorter than its header"):
            layout.check_header(header[:place], expected, "x")


@pytest.mark.parametrize(
    "count", [b"        ", b"12      ", b"  1 2   ", b"      -1", b"00000012", b"     1_0"]
)
def test_check_header_refuses_what_is_no_count(count: bytes) -> None:
    expected = layout.npy_header(layout.INDEX_DTYPE)
    with pytest.raises(CorruptionError, match="no number"):
        layout.check_header(expected[:24] + count + expected[32:], expected, "x")


STRUCTS = {
    "fr_index_row": layout.INDEX_DTYPE,
    "fr_gap_row": layout.GAP_ROW_DTYPE,
    "fr_clock_row": layout.CLOCK_DTYPE,
}
C_TYPES = {"uint64_t": "<u8", "int64_t": "<i8", "uint32_t": "<u4", "int32_t": "<i4"}


@pytest.mark.parametrize("name", STRUCTS)
def test_rows_are_the_structs_of_format_h(name: str) -> None:
    text = (Path(fastrec.__file__).parent / "include/fastrec/format.h").read_text()

    def members(struct_name: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for kind, member in re.findall(
            r"^\s+(\w+) (\w+);",
            re.search(rf"typedef struct {struct_name} {{(.*?)}} {struct_name};", text, re.DOTALL)[1],
            re.MULTILINE,
        ):
            found += members(kind) if kind not in C_TYPES else [(member, C_TYPES[kind])]
        return found

    # All members are naturally aligned and the sizes are asserted in C, so order and types decide the
    # offsets.
    assert members(name) == [(field, STRUCTS[name][field].str) for field in STRUCTS[name].names]


def test_constants_are_those_of_format_h() -> None:
    text = (Path(fastrec.__file__).parent / "include/fastrec/format.h").read_text()
    defined = dict(re.findall(r"#define (\w+) (\d+)", text))
    assert int(defined["FR_FORMAT_VERSION"]) == layout.FORMAT_VERSION
    assert int(defined["FR_BLOCK_ROWS"]) == layout.BLOCK_ROWS
    assert int(defined["FR_NPY_COUNT_OFFSET"]) == layout.COUNT_OFFSET
    assert int(defined["FR_NPY_COUNT_DIGITS"]) == layout.COUNT_DIGITS
    assert int(defined["FR_MAX_SEGMENT_ROWS"]) == layout.MAX_ROWS
    assert int(defined["FR_INDEX_DECREASING"]) == layout.INDEX_DECREASING
    assert int(defined["FR_INDEX_UNPROVEN"]) == layout.INDEX_UNPROVEN
    assert int(defined["FR_INDEX_AGAIN"]) == layout.INDEX_AGAIN
    assert int(defined["FR_INDEX_STEADY"]) == layout.INDEX_STEADY


@pytest.mark.parametrize("k", [0, 1, 300])
def test_zone_rows_have_the_size_of_the_format(k: int) -> None:
    assert layout.zone_dtype(k).itemsize == 16 + 32 * k


@given(st.integers(0, 999_999), st.integers(0, 2**40), st.sampled_from(["", "cpu", "A-1.x"]))
def test_seeds_are_those_of_the_oracle(segment: int, row: int, channel: str) -> None:
    assert layout.row_seed(UUID, channel, segment, row) == writer.seed(UUID, channel, segment, row)
    assert layout.seed_at(layout.place(UUID, channel, segment), row) == writer.seed(
        UUID, channel, segment, row
    )


def test_sealed_rows_hold_only_in_their_own_place() -> None:
    rows = np.zeros(40, layout.GAP_ROW_DTYPE)
    rows["seq"] = np.arange(40)
    base = layout.place(UUID, "cpu", 3)
    layout.seal_rows(rows, base, 10)
    body = rows[7].tobytes()
    assert struct.unpack_from("<I", body, 44)[0] == writer.crc(writer.seed(UUID, "cpu", 3, 17), body[:44])
    assert layout.whole_rows(rows, base, 10).all()
    assert not layout.whole_rows(rows, base, 11).any()
    assert not layout.whole_rows(rows, layout.place(UUID, "cpu", 4), 10).any()
    assert not layout.whole_rows(rows, layout.place(UUID, "cpv", 3), 10).any()
    assert layout.whole_rows(rows[:0], base).shape == (0,)


@given(
    st.dictionaries(st.text(max_size=5).filter(lambda key: key != "crc"), st.text(max_size=9), min_size=1),
    st.integers(0, 2**32 - 1),
)
def test_json_is_what_the_oracle_writes_and_reads_back(members: dict[str, str], seed: int) -> None:
    line = layout.seal_json(members, seed)
    assert line == writer.sealed(members, seed)
    assert line.isascii()
    assert layout.check_json(line, seed) == members
    assert layout.check_json(line[:-1], seed) == members


def test_every_bit_of_a_json_line_counts() -> None:
    line = layout.seal_json({"id": 1, "text": 'a","crc":"00000000"} \udc80'}, 5)
    assert layout.check_json(line, 5) == {"id": 1, "text": 'a","crc":"00000000"} \udc80'}
    for bit in range(8 * (len(line) - 1)):
        bent = bytearray(line)
        bent[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CorruptionError, FormatError)):
            layout.check_json(bytes(bent), 5)
    for stop in range(len(line) - 1):
        with pytest.raises(CorruptionError):
            layout.check_json(line[:stop], 5)
    with pytest.raises(CorruptionError, match="here: does not match"):
        layout.check_json(line, 6, "here")


def seal(body: bytes) -> bytes:
    return body + b',"crc":"%08x"}' % writer.crc(0, body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":NaN',
        b'{"a":Infinity',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' + b"9" * 5000,
        b'{"a"',
        b'{"a":"\xff"',
    ],
)
def test_sealed_nonsense_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError, match="is no JSON"):
        layout.check_json(seal(body), 0)


@pytest.mark.parametrize("members", [{}, {"crc": 1}, {"a": float("nan")}, {"a": object()}])
def test_seal_json_refuses_what_could_not_be_read_back(members: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        layout.seal_json(members, 0)


def test_segment_files() -> None:
    for kind, suffix in layout.KINDS.items():
        name = layout.segment_file(kind, 42)
        assert name == f"{kind}.000042.{suffix}"
        assert layout.segment_number(name) == 42
    for name in (
        ".records.000001.npy.new",
        "records.1.npy",
        "records.0000001.npy",
        "strings.000001.npy",
        "x",
    ):
        assert layout.segment_number(name) is None
    assert layout.segment_number("records.\u0660\u0660\u0660\u0660\u0660\u0661.npy") is None
    with pytest.raises(FormatError, match="another recording"):
        layout.segment_file("records", 1 << 32)
    assert layout.segment_number(layout.segment_file("records", 1_000_000)) == 1_000_000
    assert layout.segment_number("records.0000042.npy") is None
    assert layout.segment_number("records.4294967295.npy") is None


@pytest.mark.parametrize("name", ["", "a" * 65, "..", ".x", "-x", "a/b", "a\n", "\u00e4"])
def test_names_that_no_channel_has(name: str) -> None:
    assert not layout.CHANNEL_NAME.fullmatch(name)
