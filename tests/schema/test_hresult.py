"""HRESULTs: every name of the table, bits by the test's own arithmetic, facts from Microsoft's pages."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from common import select
from hypothesis import given
from hypothesis import strategies as st

import fastrec.schema.hresult as module
from fastrec.errors import SchemaError
from fastrec.schema import HRESULT, HResult, labels_from_json

CODES = st.integers(0, 2**32 - 1)

# name, value, facility, severity: typed in from the SDK's documentation, not from the table.
FACTS = [
    ("S_OK", 0x00000000, "NULL", "success"),
    ("S_FALSE", 0x00000001, "NULL", "success"),
    ("E_PENDING", 0x8000000A, "NULL", "error"),
    ("E_NOTIMPL", 0x80004001, "NULL", "error"),
    ("E_NOINTERFACE", 0x80004002, "NULL", "error"),
    ("E_POINTER", 0x80004003, "NULL", "error"),
    ("E_ABORT", 0x80004004, "NULL", "error"),
    ("E_FAIL", 0x80004005, "NULL", "error"),
    ("E_UNEXPECTED", 0x8000FFFF, "NULL", "error"),
    ("E_ACCESSDENIED", 0x80070005, "WIN32", "error"),
    ("E_HANDLE", 0x80070006, "WIN32", "error"),
    ("E_OUTOFMEMORY", 0x8007000E, "WIN32", "error"),
    ("E_INVALIDARG", 0x80070057, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(ERROR_CANCELLED)", 0x800704C7, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(ERROR_OPERATION_ABORTED)", 0x800703E3, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(WSAECONNRESET)", 0x80072746, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(WSAETIMEDOUT)", 0x8007274C, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(WSAECONNREFUSED)", 0x8007274D, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(WSAHOST_NOT_FOUND)", 0x80072AF9, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(ERROR_INTERNET_TIMEOUT)", 0x80072EE2, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(ERROR_INTERNET_INVALID_URL)", 0x80072EE5, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(ERROR_INTERNET_NAME_NOT_RESOLVED)", 0x80072EE7, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(ERROR_INTERNET_CANNOT_CONNECT)", 0x80072EFD, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(ERROR_INTERNET_CONNECTION_ABORTED)", 0x80072EFE, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(ERROR_INTERNET_CONNECTION_RESET)", 0x80072EFF, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(ERROR_HTTP_INVALID_SERVER_RESPONSE)", 0x80072F78, "WIN32", "error"),
    ("HRESULT_FROM_WIN32(ERROR_INTERNET_DISCONNECTED)", 0x80072F83, "WIN32", "error"),
    ("NS_S_CALLPENDING", 0x000D0000, "MEDIASERVER", "success"),
    ("NS_S_DRM_LICENSE_ACQUIRED", 0x000D2726, "MEDIASERVER", "success"),
    ("NS_S_DRM_INDIVIDUALIZED", 0x000D2727, "MEDIASERVER", "success"),
    ("NS_S_DRM_NEEDS_INDIVIDUALIZATION", 0x000D27DE, "MEDIASERVER", "success"),
    ("NS_E_DRM_NEEDS_INDIVIDUALIZATION", 0xC00D2728, "MEDIASERVER", "error"),
    ("NS_E_DRM_ALREADY_INDIVIDUALIZED", 0xC00D2729, "MEDIASERVER", "error"),
    ("NS_E_DRM_INDIVIDUALIZING", 0xC00D272C, "MEDIASERVER", "error"),
    ("NS_E_DRM_INDIVIDUALIZE_ERROR", 0xC00D2736, "MEDIASERVER", "error"),
    ("NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE", 0xC00D274C, "MEDIASERVER", "error"),
    ("NS_E_DRM_NEED_UPGRADE_MSSAP", 0xC00D274E, "MEDIASERVER", "error"),
    ("NS_E_DRM_ERROR_BAD_NET_RESP", 0xC00D275E, "MEDIASERVER", "error"),
    ("NS_E_DRM_INDIV_FRAUD", 0xC00D2843, "MEDIASERVER", "error"),
    ("NS_E_DRM_INDIV_NO_CABS", 0xC00D2844, "MEDIASERVER", "error"),
    ("NS_E_DRM_INDIV_SERVICE_UNAVAILABLE", 0xC00D2845, "MEDIASERVER", "error"),
    ("NS_E_INTERNAL_SERVER_ERROR", 0xC00D2EE2, "MEDIASERVER", "error"),
    ("NS_W_SERVER_BANDWIDTH_LIMIT", 0x800D0003, "MEDIASERVER", "warning"),
    ("NS_I_TIGER_START", 0x400D004F, "MEDIASERVER", "informational"),
    ("MF_E_NO_EVENTS_AVAILABLE", 0xC00D3E80, "MEDIASERVER", "error"),
    ("MF_E_SHUTDOWN", 0xC00D3E85, "MEDIASERVER", "error"),
    ("INET_E_INVALID_URL", 0x800C0002, "INTERNET", "error"),
    ("INET_E_REDIRECT_FAILED", 0x800C0014, "INTERNET", "error"),
    ("TRUST_E_BAD_DIGEST", 0x80096010, "SECURITY", "error"),
    ("NAP_E_INVALID_PACKET", 0x80270001, "NAP", "error"),
    ("DXGI_STATUS_OCCLUDED", 0x087A0001, "DXGI", "success"),
]


def rows() -> list[tuple[str, int, str]]:
    """Section, value and name of every line of the table, read by the test itself."""
    found, section = [], ""
    for line in Path(module.__file__).with_name("hresult.csv").read_text("ascii").splitlines():
        if line.startswith("# "):
            section = line[2:]
        else:
            digits, name = line.split(",")
            found.append((section, int(digits, 16), name))
    return found


class TestTable:
    def test_is_whole(self) -> None:
        sections = [section for section, _, _ in rows()]
        assert {section: sections.count(section) for section in dict.fromkeys(sections)} == {
            "winerror.h": 1383,
            "nserror.h": 1207,
            "mferror.h": 348,
            "urlmon.h": 40,
            "win32": 1987,
            "older": 3,
        }

    def test_every_name_resolves(self) -> None:
        for section, value, name in rows():
            full = f"HRESULT_FROM_WIN32({name})" if section == "win32" else name
            code = HResult(value)
            assert full in (code.name, *code.aliases)
            assert HResult.named(name) == HResult.named(full) == code

    def test_no_code_has_a_name_it_should_not_have(self) -> None:
        expected: dict[int, set[str]] = {}
        for section, value, name in rows():
            full = f"HRESULT_FROM_WIN32({name})" if section == "win32" else name
            expected.setdefault(value, set()).add(full)
        for value, names in expected.items():
            code = HResult(value)
            assert {code.name, *code.aliases} == names
            assert len(code.aliases) == len(names) - 1

    def test_win32_values_are_what_the_macro_makes(self) -> None:
        values = [value for section, value, _ in rows() if section == "win32"]
        assert values[0] == 0
        assert all(value >> 16 == 0x8007 for value in values[1:])

    @pytest.mark.parametrize(("name", "value", "facility", "severity"), FACTS)
    def test_fact(self, name: str, value: int, facility: str, severity: str) -> None:
        code = HResult(value)
        assert (code.name, code.facility, code.severity) == (name, facility, severity)
        assert HResult.named(name).value == value

    @pytest.mark.parametrize(
        ("value", "name", "aliases"),
        [
            (0x00000000, "S_OK", {"SEC_E_OK"}),
            (0x80040000, "OLE_E_OLEVERB", {"OLE_E_FIRST"}),
            (0x800C0002, "INET_E_INVALID_URL", {"INET_E_ERROR_FIRST"}),
            (0x80070005, "E_ACCESSDENIED", {"HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED)"}),
            (
                0xC00D2729,
                "NS_E_DRM_ALREADY_INDIVIDUALIZED",
                {"NS_E_DRM_ALREADY_INITIALIZED", "NS_E_DRM_INDIVIDUALIZATION_FAILED"},
            ),
            (0xC00D274E, "NS_E_DRM_NEED_UPGRADE_MSSAP", {"NS_E_DRM_NEED_UPGRADE"}),
            (
                0x80072EE2,
                "HRESULT_FROM_WIN32(ERROR_INTERNET_TIMEOUT)",
                {"HRESULT_FROM_WIN32(ERROR_WINHTTP_TIMEOUT)"},
            ),
        ],
    )
    def test_primary_names(self, value: int, name: str, aliases: set[str]) -> None:
        assert HResult(value).name == name
        assert aliases <= set(HResult(value).aliases)

    def test_read_on_first_use_only(self) -> None:
        script = (
            "import fastrec.schema.hresult as m; assert m.table.cache_info().currsize == 0;"
            "code = m.HResult(5); assert m.table.cache_info().currsize == 0;"
            "code.name; assert m.table.cache_info().currsize == 1"
        )
        subprocess.run([sys.executable, "-c", script], check=True)


class TestBits:
    @given(CODES)
    def test_parts_put_together(self, value: int) -> None:
        code = HResult(value)
        parts = [
            code.failed << 31,
            code.r << 30,
            code.c << 29,
            code.n << 28,
            code.x << 27,
            code.facility_number << 16,
            code.code,
        ]
        assert sum(parts) == value == code.value

    @pytest.mark.parametrize("bit", range(32))
    def test_every_bit_is_in_one_part(self, bit: int) -> None:
        code = HResult(1 << bit)
        assert (code.failed, code.r, code.c, code.n, code.x) == tuple(bit == k for k in (31, 30, 29, 28, 27))
        assert code.facility_number == (1 << bit >> 16 if 16 <= bit < 27 else 0)
        assert code.code == (1 << bit if bit < 16 else 0)

    @given(CODES)
    def test_signed_and_unsigned_are_one_code(self, value: int) -> None:
        code = HResult(value)
        signed = int.from_bytes(value.to_bytes(4, "little"), "little", signed=True)
        assert code.signed == int(code) == signed
        assert code == HResult(signed) == value == np.uint32(value).item()
        assert code == signed
        assert hash(code) == hash(HResult(signed))
        assert code.succeeded is (signed >= 0) is not code.failed

    @given(CODES, CODES)
    def test_different_codes_differ(self, one: int, other: int) -> None:
        assert (HResult(one) == HResult(other)) is (one == other)
        assert (HResult(one) != other) is (one != other)

    @given(CODES)
    def test_name_leads_back(self, value: int) -> None:
        assert HResult.named(HResult(value).name).value == value
        assert HRESULT.value(HRESULT.name(value)) == HResult(value).signed

    def test_equal_low_words_are_not_confused(self) -> None:
        assert HResult(0x8007274C).name == "HRESULT_FROM_WIN32(WSAETIMEDOUT)"
        assert HResult(0xC00D274C).name == "NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE"
        assert HResult(0x8004274C).name == "0x8004274C"
        assert HResult(0x0007274C).name == "0x0007274C"
        assert HResult(0x00002EFD).name == "0x00002EFD"

    @pytest.mark.parametrize(
        ("value", "facility", "severity", "code"),
        [
            (0x80041234, "ITF", "error", 0x1234),
            (0x00041234, "ITF", "success", 0x1234),
            (0x8FFF0001, "4095", "error", 1),
            (0xC0091234, "SECURITY", "error", 0x1234),
            (0x800DFFF1, "MEDIASERVER", "warning", 0xFFF1),
            (0xD0000022, "NTSTATUS", "error", 0x22),
            (0x90000005, "NTSTATUS", "warning", 5),
            (0xE0434352, "CUSTOMER", "error", 0x4352),
            (0x8007FFFF, "WIN32", "error", 0xFFFF),
        ],
    )
    def test_unknown_codes_have_parts(self, value: int, facility: str, severity: str, code: int) -> None:
        unknown = HResult(value)
        assert unknown.name == f"0x{value:08X}"
        assert unknown.aliases == ()
        assert (unknown.facility, unknown.severity, unknown.code) == (facility, severity, code)


class TestObject:
    @pytest.mark.parametrize("code", [2**32, -(2**31) - 1, 1.0, "E_FAIL", None])
    def test_refused(self, code: object) -> None:
        with pytest.raises(SchemaError, match="is no HRESULT"):
            HResult(code)

    def test_unknown_name_offers_near_ones(self) -> None:
        with pytest.raises(SchemaError, match="'E_ACCESSDENIED'"):
            HResult.named("E_ACCESDENIED")

    def test_text(self) -> None:
        code = HResult(-1072879796)
        assert str(code) == f"{code}" == "NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE"
        assert f"{code:>40}" == "   NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE"
        assert (f"{code:08X}", f"{code:d}") == ("C00D274C", "-1072879796")
        assert repr(code) == "<HResult 0xC00D274C NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE>"
        assert repr(HResult(0x80041234)) == "<HResult 0x80041234>"

    def test_takes_numpy_integers_and_compares_with_columns(self) -> None:
        column = np.array([0, -2147467259, -1072879796], dtype="<i4")
        names = [HResult(raw).name for raw in column]
        assert names == ["S_OK", "E_FAIL", "NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE"]
        assert (column == HResult(0x80004005)).tolist() == [False, True, False]
        assert HResult(0x80004005) == column[1]

    def test_is_nothing_else(self) -> None:
        assert HResult(0) != "S_OK"
        assert {HResult(-1): 1}[HResult(0xFFFFFFFF)] == 1
        copy = pickle.loads(pickle.dumps(HResult(0x80004005)))
        assert type(copy) is HResult
        assert copy == HResult(0x80004005)


class TestLabels:
    def test_names_of_a_column(self) -> None:
        for dtype, failure in (("<i4", -2147467259), ("<u4", 0x80004005), (">i4", -2147467259)):
            column = np.array([[0, failure], [1, 0]], dtype=dtype)
            assert HRESULT.names(column).tolist() == [["S_OK", "E_FAIL"], ["S_FALSE", "S_OK"]]
            assert select(HRESULT, column, "E_FAIL").tolist() == [[False, True], [False, False]]
            assert select(HRESULT, column, "SEC_E_OK").tolist() == [[True, False], [False, True]]

    def test_wins_over_no_width(self) -> None:
        column = np.array([0x80004005, -2147467259, 2**40], dtype="<i8")
        assert select(HRESULT, column, "E_FAIL").tolist() == [True, True, False]
        assert HRESULT.names(column).tolist() == ["E_FAIL", "E_FAIL", "1099511627776?"]

    def test_spellings(self) -> None:
        for label in ("E_FAIL", "0x80004005", "-2147467259", "2147500037"):
            assert HRESULT.value(label) == -2147467259
        assert HRESULT.value("ERROR_DISK_FULL") == HRESULT.value("HRESULT_FROM_WIN32(ERROR_DISK_FULL)")

    @pytest.mark.parametrize("label", ["E_FAI", "", "99999999999", "0x123456789"])
    def test_refused(self, label: str) -> None:
        with pytest.raises(SchemaError):
            HRESULT.value(label)

    def test_json(self) -> None:
        assert HRESULT.kind == "hresult"
        assert HRESULT.to_json() == {"kind": "hresult"}
        assert labels_from_json({"kind": "hresult"}) == HRESULT
        assert HRESULT.enumerators == ()
