"""Schemas and fields, against numpy's own reading of the same bytes."""

from __future__ import annotations

import enum
import io
import pickle
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.schema import HRESULT, Enumeration, Field, Schema

NUMBERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "b1")
CODES = [order + code for code in NUMBERS for order in "<>"]
NAMES = st.one_of(
    st.sampled_from(["hr", "mono_ns", "polls", "polls_", "a|b", "'\\\"", "max_gap_ns"]),
    st.text("abcxyz0_ µλ漢'", min_size=1, max_size=6),
)


@st.composite
def dtypes(draw: st.DrawFn, level: int = 1) -> np.dtype:
    """Payload dtypes: nested, padded, shuffled, with arrays and unions, in both byte orders."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    formats, offsets, end = [], [], 0
    for _ in names:
        if level < 4 and draw(st.integers(0, 3)) == 0:
            element = draw(dtypes(level + 1))
        else:
            element = np.dtype(draw(st.sampled_from([*CODES, "S1", "S7", "V3"])))
        shape = tuple(draw(st.lists(st.integers(1, 2), max_size=2)))
        nbytes = element.itemsize * int(np.prod(shape))
        union = offsets and draw(st.integers(0, 4)) == 0
        place = offsets[-1] if union else end + draw(st.integers(0, 3))
        formats.append((element, shape))
        offsets.append(place)
        end = max(end, place + nbytes)
    order = draw(st.permutations(range(len(names))))
    return np.dtype(
        {
            "names": names,
            "formats": [formats[i] for i in order],
            "offsets": [offsets[i] for i in order],
            "itemsize": end + draw(st.integers(0, 5)),
        }
    )


def rows_of(schema: Schema, dtype: np.dtype, count: int = 3) -> np.ndarray:
    """Rows of a form of the schema, every byte different from its neighbours."""
    raw = np.random.default_rng(7).integers(0, 256, count * dtype.itemsize, dtype="u1")
    rows = raw.view(dtype)
    assert rows.shape == (count,)
    return rows


def payloads_of(schema: Schema, rows: np.ndarray, start: int) -> np.ndarray:
    """The payloads inside rows, copied out as bytes and read with the schema's dtype."""
    raw = rows.view("u1").reshape(len(rows), rows.dtype.itemsize)[:, start : start + schema.size]
    return np.frombuffer(raw.tobytes(), schema.dtype)


def by_numpy(payload: np.ndarray, path: str) -> np.ndarray:
    """A leaf read by numpy's own indexing, one step at a time."""
    for step in path.split("."):
        name, *indices = re.split(r"[\[\]]+", step.rstrip("]"))
        payload = payload[name]
        for index in indices:
            payload = payload[:, int(index)]
    return payload


@given(dtype=dtypes())
def test_every_leaf_is_what_numpy_reads_in_every_form(dtype: np.dtype) -> None:
    schema = Schema.from_dtype(dtype)
    forms = [(0, schema.dtype)]
    for store in ("every", "changes"):
        start = schema.payload_offset(store)
        forms += [(start, schema.record(store)), (start, schema.storage(store))]
    for start, form in forms:
        rows = rows_of(schema, form)
        payload = payloads_of(schema, rows, start)
        for field in schema.fields:
            seen, expected = field.of(rows), by_numpy(payload, field.name)
            assert seen.dtype == field.dtype == expected.dtype
            assert seen.shape == expected.shape == (3, *field.shape)
            assert seen.tobytes() == expected.tobytes()
            assert np.shares_memory(seen, rows)
            assert schema.column(rows, field.name).tobytes() == expected.tobytes()


@given(dtype=dtypes())
def test_dtype_is_the_one_it_came_from_but_for_clashing_names(dtype: np.dtype) -> None:
    schema = Schema.from_dtype(dtype)
    assert schema.size == dtype.itemsize == schema.dtype.itemsize
    assert [field.offset for field in schema.fields] == sorted(field.offset for field in schema.fields)
    clashing = {"mono_ns", "until_ns", "polls", "max_gap_ns"}
    for old, new in zip(dtype.names, schema.dtype.names, strict=True):
        assert schema.dtype.fields[new][:2] == dtype.fields[old][:2]
        assert new == old or (old in clashing and new.rstrip("_") == old)
    assert not clashing & set(schema.dtype.names)
    assert len(set(schema.record("changes").names)) == 4 + len(dtype.names)


@given(dtype=dtypes())
def test_json_round_trip_keeps_everything(dtype: np.dtype) -> None:
    schema = Schema.from_dtype(dtype, name="drive", abi="msvc-x86")
    for source in (schema.to_json(), schema.to_dict()):
        again = Schema.from_json(source)
        assert again == schema
        assert hash(again) == hash(schema)
        assert (again.name, again.abi, again.size) == ("drive", "msvc-x86", schema.size)
        assert again.dtype == schema.dtype
        assert again.fields == schema.fields
        assert again.to_json() == schema.to_json()
        assert again.storage("changes") == schema.storage("changes")
    assert schema.to_json().isascii()
    assert pickle.loads(pickle.dumps(schema)) == schema


@given(dtype=dtypes(), store=st.sampled_from(["every", "changes"]))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_storage_survives_a_header_of_numpy(dtype: np.dtype, store: str) -> None:
    schema = Schema.from_dtype(dtype)
    storage = schema.storage(store)
    file = io.BytesIO()
    np.lib.format.write_array(file, np.zeros(2, storage), version=(1, 0), allow_pickle=False)
    file.seek(0)
    assert np.load(file).dtype == storage
    assert storage.itemsize == schema.record(store).itemsize
    assert storage.itemsize % 8 == 0
    spans = [
        (offset, offset + field.itemsize) for field, offset in (storage.fields[n][:2] for n in storage.names)
    ]
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def npy_header(dtype: np.dtype) -> io.BytesIO:
    """A header as FORMAT.md section 2 spells it."""
    descr = np.lib.format.dtype_to_descr(dtype)
    text = f"{{'shape': (   {5:8},), 'fortran_order': False, 'descr': {descr!r}}}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return io.BytesIO(len(text).to_bytes(2, "little") + text.encode("latin1"))


def test_payload_is_raw_bytes_exactly_when_numpy_would_refuse_the_header() -> None:
    def wide(count: int) -> Schema:
        return Schema.from_dtype([(f"member{i:03}", "<f8") for i in range(count)])

    counts = range(400, 520)
    raw = next(count for count in counts if wide(count).storage_dtype.names == ("mono_ns", "payload"))
    last = wide(raw - 1)
    assert np.lib.format.read_array_header_1_0(npy_header(last.storage_dtype)) == (
        (5,),
        False,
        last.storage_dtype,
    )
    with pytest.raises(ValueError, match="Header info length"):
        np.lib.format.read_array_header_1_0(npy_header(wide(raw).record_dtype))
    assert wide(raw).storage_dtype["payload"] == np.dtype(f"V{8 * raw}")
    rows = rows_of(wide(raw), wide(raw).storage("changes"))
    assert wide(raw).column(rows, "member002")[1].tobytes() == rows["payload"][1].tobytes()[16:24]


def test_names_that_version_one_cannot_spell_make_the_payload_raw() -> None:
    assert Schema.from_dtype([("µ", "<i4")]).storage_dtype.names == ("mono_ns", "µ")
    assert Schema.from_dtype([("λ", "<i4")]).storage_dtype.names == ("mono_ns", "payload")


def test_union_is_stored_as_its_widest_member_and_the_first_on_a_tie() -> None:
    union = {
        "names": ["i", "d", "u", "tail"],
        "formats": ["<i4", "<f8", "<u8", "<i2"],
        "offsets": [0, 0, 0, 8],
    }
    schema = Schema.from_dtype(np.dtype(union))
    assert schema.storage_dtype.names == ("mono_ns", "d", "tail")
    assert schema.record_dtype.names == ("mono_ns", "i", "d", "u", "tail")
    assert [field.name for field in schema.numeric] == ["i", "d", "u", "tail"]
    nested = Schema.from_dtype(np.dtype([("head", "<i4"), ("value", union, (2,))]))
    assert nested.storage_dtype["value"].base.names == ("d", "tail")


def test_column_takes_structs_arrays_and_elements() -> None:
    motor = np.dtype(
        {"names": ["pos", "mode"], "formats": ["<f8", ("<u1", (3,))], "offsets": [0, 8], "itemsize": 16}
    )
    schema = Schema.from_dtype([("id", "<u4"), ("motors", motor, (2, 3)), ("raw", "<i2", (4,))])
    rows = rows_of(schema, schema.record_dtype)
    assert schema.column(rows, "motors").shape == (3, 2, 3)
    assert schema.column(rows, "motors[1]").shape == (3, 3)
    assert schema.column(rows, "motors[1][2]").dtype == motor
    assert schema.column(rows, "motors.pos").tobytes() == rows["motors"]["pos"].tobytes()
    assert schema.column(rows, "motors[1].pos").tobytes() == rows["motors"]["pos"][:, 1].tobytes()
    assert schema.column(rows, "motors[1][2].pos").tobytes() == rows["motors"]["pos"][:, 1, 2].tobytes()
    assert schema.column(rows, "motors[1].mode[2]").tobytes() == rows["motors"]["mode"][:, 1, :, 2].tobytes()
    assert schema.column(rows, "raw[3]").tobytes() == rows["raw"][:, 3].tobytes()
    assert np.shares_memory(schema.column(rows, "motors[1][2]"), rows)
    for wrong in (
        "motor",
        "motors[2]",
        "motors[0][0][0]",
        "raw[4]",
        "raw.x",
        "",
        "motors[-1]",
        "motors..pos",
        "id[0]",
    ):
        with pytest.raises(SchemaError):
            schema.column(rows, wrong)


def test_of_takes_strided_read_only_and_mapped_rows_and_refuses_short_ones() -> None:
    schema = Schema.from_dtype([("a", "<i4"), ("b", ">u2")])
    rows = rows_of(schema, schema.record_dtype, 9)
    rows.flags.writeable = False
    seen = schema.field("b").of(rows[8:0:-3])
    assert not seen.flags.writeable
    assert seen.tolist() == rows["b"][8:0:-3].tolist()
    assert schema.field("b").of(rows[4]) == rows["b"][4]
    with pytest.raises(SchemaError, match=r"'b' ends at byte 6, but the rows have 4"):
        schema.field("b").of(np.zeros(3, "<u4"))


def test_kinds_are_those_of_zones() -> None:
    types = {"i": ">i2", "u": "<u8", "bool": "?", "half": "<f2", "text": "S4", "raw": "V4", "c": "<c8"}
    schema = Schema.from_dtype([*types.items(), ("array", "<i4", (2,)), ("url", "<u8")]).with_field(
        "url", text=True
    )
    assert {field.name: field.kind for field in schema.fields} == {
        "i": "i8",
        "u": "u8",
        "bool": "u8",
        "half": "f8",
        "text": None,
        "raw": None,
        "c": None,
        "array": None,
        "url": None,
    }
    assert [field.name for field in schema.numeric] == ["i", "u", "bool", "half"]
    assert [field.name for field in schema.texts] == ["url"]


def test_recorders_names_get_a_trailing_underscore_also_in_what_the_user_says_of_them() -> None:
    inner = np.dtype([("x", "<i4")])
    schema = Schema.from_dtype(
        [("mono_ns", "<i8"), ("polls", inner, (2,)), ("polls_", "<i4"), ("max_gap_ns", "<i4")],
        units={"mono_ns": "ns", "polls[1].x": "m", "polls_": "s"},
    )
    names = ["mono_ns_", "polls__[0].x", "polls__[1].x", "polls_", "max_gap_ns_"]
    assert [field.name for field in schema.fields] == names
    assert [field.unit for field in schema.fields] == ["ns", "", "m", "s", ""]
    columns = ("mono_ns", "until_ns", "polls", "max_gap_ns")
    assert schema.record("changes").names == (*columns, "mono_ns_", "polls__", "polls_", "max_gap_ns_")
    assert Schema.from_json(schema.to_json()).to_json() == schema.to_json()
    rows = rows_of(schema, schema.dtype)
    assert schema.column(rows, "mono_ns_").tobytes() == rows["mono_ns_"].tobytes()


BASE = [("hr", "<i4"), ("mode", "<u4"), ("url", "<u8"), ("level", "<f4", (2,))]


def test_digest_is_the_same_for_ever() -> None:
    schema = Schema.from_dtype(BASE, labels={"hr": HRESULT, "mode": {"IDLE": 0, "RUN": 1}}, abi="sysv-x64")
    assert schema.digest == "1803b7331f4494f52e51e75967e40188"


@pytest.mark.parametrize(
    "change",
    [{"unit": "V"}, {"doc": "what it is"}, {"scale": 0.5}, {"bias": 1}],
)
def test_digest_ignores_what_does_not_change_the_bytes(change: dict[str, object]) -> None:
    schema = Schema.from_dtype(BASE)
    assert schema.with_field("hr", **change) == schema
    assert schema == Schema.from_dtype(BASE, name="other")


def test_digest_tells_everything_else_apart() -> None:
    schema = Schema.from_dtype(BASE, abi="sysv-x64")
    json = schema.to_json()
    hr = '"name":"hr","offset":0,"type":'
    variants = {
        "itself": schema,
        "abi": Schema.from_dtype(BASE, abi="msvc-x64"),
        "byteorder": Schema.from_json(json.replace('"little"', '"big"')),
        "size": Schema.from_json(json.replace('"size":24', '"size":32')),
        "name": Schema.from_json(json.replace('"hr"', '"result"')),
        "type": Schema.from_json(json.replace(hr + '"<i4"', hr + '"<f4"')),
        "order": Schema.from_json(json.replace(hr + '"<i4"', hr + '">i4"')),
        "offset": Schema.from_dtype({"names": ["hr"], "formats": ["<i4"], "offsets": [4], "itemsize": 24}),
        "shape": Schema.from_json(json.replace('"shape":[2]', '"shape":[2,1]')),
        "labels": schema.with_field("mode", labels={"IDLE": 0}),
        "value": schema.with_field("mode", labels={"IDLE": 1}),
        "kind": schema.with_field("mode", labels=enum.IntFlag("Mode", {"IDLE": 1})),
        "hresult": schema.with_field("hr", labels=HRESULT),
        "pointer": schema.with_field("url", pointer=True),
        "text": schema.with_field("url", text=True),
    }
    digests = {name: one.digest for name, one in variants.items()}
    assert len(set(digests.values())) == len(variants), digests
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in digests.values())


def test_with_field_changes_meaning_only_and_leaves_the_original() -> None:
    schema = Schema.from_dtype(BASE)
    changed = schema.with_field("mode", labels={"RUN": 1}, unit="u", scale=2, bias=-1.5, doc="d")
    assert changed.field("mode") == Field(
        "mode", np.dtype("<u4"), 4, labels=Enumeration({"RUN": 1}), unit="u", scale=2.0, bias=-1.5, doc="d"
    )
    assert schema.field("mode").labels is None
    assert Schema.from_json(changed.to_json()).field("mode") == changed.field("mode")
    text = schema.with_field("url", text=True)
    assert text.field("url").pointer
    assert text.with_field("url", text=False).field("url").pointer
    for wrong in (
        {"dtype": "<f4"},
        {"offset": 0},
        {"unit": 3},
        {"scale": 0},
        {"scale": float("nan")},
        {"bias": "1"},
        {"scale": True},
        {"bias": 10**400},
        {"text": 1},
        {"labels": 7},
        {"doc": "x" * 70_000},
    ):
        with pytest.raises(SchemaError):
            schema.with_field("mode", **wrong)
    with pytest.raises(SchemaError, match="pointers are u4 or u8"):
        schema.with_field("hr", text=True)
    with pytest.raises(SchemaError, match="stays one"):
        text.with_field("url", pointer=False)
    with pytest.raises(SchemaError, match="only integers"):
        schema.with_field("level", labels={"A": 1})


def test_unknown_names_are_answered_with_near_ones() -> None:
    schema = Schema.from_dtype(BASE)
    for ask in (
        lambda: schema.field("mod"),
        lambda: schema.with_field("mod", unit="V"),
        lambda: schema.column(np.zeros(1, schema.dtype), "mod"),
        lambda: Schema.from_dtype(BASE, units={"mod": "V"}),
    ):
        with pytest.raises(SchemaError, match=r"did you mean 'mode'\?"):
            ask()
    for wrong in (None, 3, ["hr"]):
        with pytest.raises(SchemaError):
            schema.field(wrong)
    with pytest.raises(SchemaError, match="must be a mapping"):
        Schema.from_dtype(BASE, units=["V"])
    with pytest.raises(SchemaError, match="'every' or 'changes'"):
        schema.record("change")


def test_a_schema_cannot_be_changed() -> None:
    schema = Schema.from_dtype(BASE)
    with pytest.raises(AttributeError, match="cannot be changed"):
        schema.size = 3
    with pytest.raises(AttributeError):
        schema.field("hr").unit = "V"
    assert schema != "schema"
    assert schema.digest in repr(schema)
