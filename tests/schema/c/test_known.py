"""Names that need no declaration, against the headers of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from schema.c.gcc import compiled

from fastrec.schema import HRESULT, Schema
from fastrec.schema.abi import ABIS
from fastrec.schema.c.declarations import Declarations
from fastrec.schema.c.types import Array, Record, Scalar

STANDARD = """
int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t int_least8_t uint_least16_t
int_least32_t int_least64_t int_fast8_t int_fast16_t int_fast32_t int_fast64_t uint_fast16_t
uint_fast32_t intmax_t uintmax_t intptr_t uintptr_t size_t ssize_t ptrdiff_t wchar_t wint_t char16_t
char32_t bool max_align_t time_t suseconds_t clock_t off_t pid_t uid_t gid_t dev_t ino_t mode_t
nlink_t blksize_t blkcnt_t id_t clockid_t timer_t useconds_t socklen_t sa_family_t in_addr_t
in_port_t pthread_t key_t __u8 __s16 __be32 __le64 __u64 __aligned_u64
"""
TAGS = ("timeval", "timespec", "itimerval", "itimerspec", "in_addr", "in6_addr", "sockaddr", "iovec")
HEADERS = ("stddef.h", "stdint.h", "stdbool.h", "wchar.h", "uchar.h", "time.h", "sys/types.h", "sys/time.h",
           "sys/socket.h", "netinet/in.h", "linux/types.h", "pthread.h", "unistd.h")  # fmt: skip
WIDTHS = {
    1: "BOOLEAN BYTE CHAR UCHAR INT8 UINT8",
    2: "WORD SHORT USHORT WCHAR ATOM VARIANT_BOOL INT16",
    4: "BOOL DWORD INT UINT LONG ULONG FLOAT COLORREF LCID HRESULT NTSTATUS LONG32 UINT32",
    8: "DOUBLE LONGLONG ULONGLONG QWORD DWORDLONG INT64 UINT64",
}
"""Microsoft, "Windows Data Types"."""
COMPOUND = {
    "FILETIME": 8,
    "GUID": 16,
    "SYSTEMTIME": 16,
    "POINT": 8,
    "RECT": 16,
    "SIZE": 8,
    "LARGE_INTEGER": 8,
}


@pytest.mark.parametrize("tags", [False, True])
def test_standard_names_are_as_gcc_has_them(tags: bool, tmp_path: Path) -> None:
    names = [f"struct {tag}" for tag in TAGS] if tags else STANDARD.split()
    text = "".join(f"struct check{i} {{ char at; {name} x[2]; }};\n" for i, name in enumerate(names))
    read = Declarations(text, abi=ABIS["sysv-x64"])
    records = {f"struct {name}": read.record(name) for name in read.names}
    assert len(records) == len(names)
    said = compiled("".join(f"#include <{one}>\n" for one in HEADERS) + text, records, tmp_path)
    assert not isinstance(said, str), said
    for name, (one, record) in zip(names, records.items(), strict=True):
        at = record.members[1].at
        assert (name, said[one][0], said[one][1]["x"]) == (name, record.size, (at, None))


@pytest.mark.parametrize("abi", ABIS)
def test_windows_names_have_their_widths_everywhere(abi: str) -> None:
    for size, names in WIDTHS.items():
        for name in names.split():
            assert Schema.from_c(f"struct s {{ {name} x; }};", abi=abi).size == size
    for name in ("HANDLE", "SIZE_T", "LPARAM", "LPSTR", "BSTR", "UINT_PTR"):
        assert Schema.from_c(f"struct s {{ {name} x; }};", abi=abi).size == ABIS[abi].pointer
    for name, size in COMPOUND.items():
        assert Schema.from_c(f"struct s {{ {name} x; }};", abi=abi).size == size


def test_texts_and_codes_are_told_by_their_names() -> None:
    text = "struct s { LPSTR a; LPCWSTR b; wchar_t *c; char32_t *d; HRESULT e; BSTR f; HANDLE g; };"
    fields = {field.name: field for field in Schema.from_c(text, abi="msvc-x64").fields}
    assert [fields[name].pointer for name in "abcdfg"] == [True, "utf-16", "utf-16", "utf-32", "utf-16", True]
    assert fields["e"].labels is HRESULT
    linux = Schema.from_c(text, abi="sysv-x64").fields
    assert [field.pointer for field in linux[:3]] == [True, "utf-16", "utf-32"]


def test_the_text_comes_before_what_is_known() -> None:
    text = "typedef long HRESULT; typedef HRESULT code; typedef short DWORD; struct s { code a; DWORD b; };"
    a, b = Schema.from_c(text, abi="sysv-x64").fields
    assert (a.labels, a.dtype.str) == (HRESULT, "<i8")
    assert b.dtype.str == "<i2"
    big = Schema.from_c("typedef unsigned int __be32; typedef __be32 addr; struct s { addr a; };").fields[0]
    assert big.dtype.str == ">u4"


def test_every_known_name_is_a_type_under_every_abi() -> None:
    for abi in ABIS.values():
        known = Declarations("", abi=abi).known
        assert len(known.typedefs) > 200
        read = Declarations("", abi=abi)
        for name, type_ in known.typedefs.items():
            if name != "VOID":
                assert isinstance(read.resolved(type_, read.peek()), Scalar | Array | Record)
