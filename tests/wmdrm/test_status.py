"""WM_INDIVIDUALIZE_STATUS: the layout a C compiler gives it, and the names of its values."""

from __future__ import annotations

import ctypes
import uuid

import numpy as np
import pytest

from fastrec.errors import SchemaError
from fastrec.schema import HRESULT, HResult, Schema
from fastrec.wmdrm import DRM_HTTP_STATUS, DRM_INDIVIDUALIZATION_STATUS, INDIVIDUALIZATION, Status, schema
from fastrec.wmdrm import status as module

NAMES = (
    "hr",
    "enIndiStatus",
    "pszIndiRespUrl",
    "dwHTTPRequest",
    "enHTTPStatus",
    "dwHTTPReadProgress",
    "dwHTTPReadTotal",
)


def compiled(pointer: type) -> type[ctypes.Structure]:
    """The struct as ctypes lays it out by the C rules."""
    types = (
        ctypes.c_int32,
        ctypes.c_int,
        pointer,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint32,
        ctypes.c_uint32,
    )
    return type("S", (ctypes.Structure,), {"_fields_": list(zip(NAMES, types, strict=True))})


class TestLayout:
    @pytest.mark.parametrize(
        ("bits", "size", "offsets", "abi", "pointer"),
        [
            (32, 28, (0, 4, 8, 12, 16, 20, 24), "msvc-x86", ctypes.c_uint32),
            (64, 32, (0, 4, 8, 16, 20, 24, 28), "msvc-x64", ctypes.c_void_p),
        ],
    )
    def test_is_that_of_c(
        self, bits: int, size: int, offsets: tuple[int, ...], abi: str, pointer: type
    ) -> None:
        made = schema(bits)
        struct = compiled(pointer)
        assert made.size == made.dtype.itemsize == ctypes.sizeof(struct) == size
        assert tuple(field.name for field in made.fields) == NAMES
        assert tuple(field.offset for field in made.fields) == offsets
        assert offsets == tuple(getattr(struct, name).offset for name in NAMES)
        assert (made.abi, made.byteorder, made.name) == (abi, "little", "WM_INDIVIDUALIZE_STATUS")

    def test_signs_and_widths(self) -> None:
        assert [schema(64).dtype[name].str for name in NAMES] == [
            "<i4",
            "<i4",
            "<u8",
            "<u4",
            "<i4",
            "<u4",
            "<u4",
        ]
        assert schema(32).dtype["pszIndiRespUrl"].str == "<u4"

    def test_one_text_of_c_makes_both_by_the_abi_alone(self) -> None:
        for bits, abi in ((32, "msvc-x86"), (64, "msvc-x64")):
            declared = Schema.from_c(module.DECLARATIONS, "WM_INDIVIDUALIZE_STATUS", abi)
            assert declared.dtype == schema(bits).dtype
            assert declared.field("hr").labels is HRESULT
            assert declared.field("enHTTPStatus") == schema(bits).field("enHTTPStatus")

    def test_the_declared_names_are_those_of_python(self) -> None:
        declared = Schema.from_c(module.DECLARATIONS, "WM_INDIVIDUALIZE_STATUS", "msvc-x86")
        for name, names in (
            ("enIndiStatus", DRM_INDIVIDUALIZATION_STATUS),
            ("enHTTPStatus", DRM_HTTP_STATUS),
        ):
            found = dict(declared.field(name).labels.enumerators)
            assert found == {one: int(value) for one, value in names.__members__.items()}

    def test_default_is_64_bits(self) -> None:
        assert schema() == schema(64) != schema(32)

    @pytest.mark.parametrize("bits", [16, 28, "64", None])
    def test_other_widths_refused(self, bits: object) -> None:
        with pytest.raises(SchemaError, match="32 or 64"):
            schema(bits)

    def test_url_is_a_text_and_no_number(self) -> None:
        for bits in (32, 64):
            field = schema(bits).field("pszIndiRespUrl")
            assert field.text
            assert field.kind is None
            assert [one.name for one in schema(bits).texts] == ["pszIndiRespUrl"]

    def test_survives_json(self) -> None:
        for bits in (32, 64):
            copy = Schema.from_json(schema(bits).to_json())
            assert copy == schema(bits)
            assert [field.labels for field in copy.fields] == [field.labels for field in schema(bits).fields]

    def test_every_member_is_explained(self) -> None:
        assert all(field.doc for field in schema().fields)
        assert {field.name for field in schema().fields if field.unit == "B"} == {
            "dwHTTPReadProgress",
            "dwHTTPReadTotal",
        }


class TestValues:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("INDI_UNDEFINED", 0),
            ("INDI_BEGIN", 1),
            ("INDI_SUCCEED", 2),
            ("INDI_FAIL", 4),
            ("INDI_CANCEL", 8),
            ("INDI_DOWNLOAD", 16),
            ("INDI_INSTALL", 32),
            ("INDI_BEGIN|INDI_DOWNLOAD", 0x11),
        ],
    )
    def test_individualization(self, name: str, value: int) -> None:
        labels = schema().field("enIndiStatus").labels
        assert labels.name(value) == name
        assert labels.value(name) == value

    def test_unknown_bits_stay_visible(self) -> None:
        labels = schema().field("enIndiStatus").labels
        assert labels.name(0x41) == "INDI_BEGIN|0x40"
        assert labels.names(np.array([0x10, 0x80, -1], dtype="<i4")).tolist()[:2] == ["INDI_DOWNLOAD", "0x80"]
        assert INDIVIDUALIZATION(0x41) & INDIVIDUALIZATION.INDI_BEGIN

    def test_http(self) -> None:
        labels = schema().field("enHTTPStatus").labels
        names = [
            "HTTP_NOTINITIATED",
            "HTTP_CONNECTING",
            "HTTP_REQUESTING",
            "HTTP_RECEIVING",
            "HTTP_COMPLETED",
            "5?",
        ]
        assert [labels.name(value) for value in range(6)] == names

    def test_hr(self) -> None:
        assert schema().field("hr").labels is HRESULT

    def test_flags_have_one_bit_each(self) -> None:
        members = DRM_INDIVIDUALIZATION_STATUS.__members__.values()
        assert sorted(int(member) for member in members) == [0, 1, 2, 4, 8, 16, 32]

    def test_status_has_the_members_of_the_struct(self) -> None:
        assert Status._fields == NAMES
        assert Status() == (0, 0, None, 0, 0, 0, 0)
        assert Status().enHTTPStatus is DRM_HTTP_STATUS.HTTP_NOTINITIATED
        assert type(Status().hr) is HResult

    def test_interface(self) -> None:
        guid = uuid.UUID("{7DB091BD-DB6A-4FA4-BCBF-0783E256C78C}")
        assert guid == module.IID_IWMDRMIndividualizationStatus
        assert module.GET_STATUS_SLOT == 3
