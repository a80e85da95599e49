"""Names of system headers are as wide, and as signed, as the headers make them."""

from __future__ import annotations

import ctypes
import re
import struct
import subprocess
from ctypes import wintypes

import pytest
from compilers import COMPILERS

from fastrec.schema.abi import ABIS, abi_named
from fastrec.schema.c.declarations import Declarations
from fastrec.schema.c.names import Unusable
from fastrec.schema.c.types import Record, Scalar

HEADERS = ("stdint.h", "stddef.h", "stdbool.h", "uchar.h", "wchar.h", "sys/types.h", "sys/socket.h",
           "sys/uio.h",
           "sys/time.h", "sys/resource.h", "time.h", "signal.h", "netinet/in.h", "pthread.h",
           "linux/types.h")  # fmt: skip
STANDARD = re.compile(
    r"u?int(_least|_fast)?\d+_t|u?intmax_t|u?intptr_t|size_t|ptrdiff_t|wchar_t|bool|wint_t|max_align_t"
)
OURS = re.compile(r"[A-Z_0-9]+|[su](8|16|32|64)|char8_t|__kernel_u?long_t")
"""Names of Windows, and of the kernel's own code: no header here has them."""


def names(abi: str) -> dict[str, Scalar | Record]:
    """The known names of an ABI; ``struct`` tags as C says them."""
    read = Declarations("", abi=abi_named(abi))
    known = read.known
    found = {
        name: read.resolved(type_, read.peek())
        for name, type_ in known.typedefs.items()
        if not isinstance(type_, Unusable)
    }
    for name, tag in known.tags.items():
        if isinstance(tag.meaning, Record) and not name.startswith(("_", "tag")):
            found[f"struct {name}"] = tag.meaning
    return found


def theirs(flags: list[str], head: str, asked: list[str]) -> dict[str, tuple[int, int, bool]]:
    """Size, alignment and whether -1 is below 0, of every name."""
    rows = []
    for name in asked:
        sign = (
            "0"
            if name.startswith("struct")
            else f"__builtin_choose_expr(__builtin_classify_type(({name})0) == 1, (({name})-1) < 0, 0)"
        )
        if name == "max_align_t":
            sign = "0"
        rows.append(f"sizeof({name}), sizeof(struct {{ char c; {name} x; }}), {sign}")
    source = f"{head}\nconst unsigned table[] = {{ {', '.join(rows)} }};\n"
    done = subprocess.run(
        [*flags, "-w", "-S", "-x", "c", "-o", "-", "-"], input=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:3000]
    raw = b""
    for kind, value in re.findall(r"^\s+\.(long|word|zero)\s+(\d+)", done.stdout, re.MULTILINE):
        raw += bytes(int(value)) if kind == "zero" else struct.pack("<I", int(value))
    values = [one for (one,) in struct.iter_unpack("<I", raw)]
    assert len(values) == 3 * len(asked)
    return {
        name: (values[3 * n], values[3 * n + 1] - values[3 * n], bool(values[3 * n + 2]))
        for n, name in enumerate(asked)
    }


def mine(type_: Scalar | Record) -> tuple[int, int, bool]:
    signed = isinstance(type_, Scalar) and type_.dtype.kind == "i"
    return type_.size, type_.align, signed


def test_names_of_posix_are_those_of_the_headers() -> None:
    known = {name: one for name, one in names("sysv-x64").items() if not OURS.fullmatch(name)}
    head = "#define _GNU_SOURCE\n" + "".join(f"#include <{header}>\n" for header in HEADERS)
    asked = [name for name in known if name not in ("LARGE_INTEGER",)]
    measured = theirs(["gcc", "-m64"], head, asked)
    wrong = {
        name: (mine(known[name]), measured[name]) for name in asked if mine(known[name]) != measured[name]
    }
    assert not wrong
    assert len(asked) > 90


@pytest.mark.parametrize("abi", COMPILERS)
def test_names_of_the_standard_are_those_of_each_compiler(abi: str) -> None:
    known = names(abi)
    asked = [name for name in known if STANDARD.fullmatch(name)]
    assert len(asked) > 30
    if abi != "sysv-x64":  # the headers that come with a compiler make the fast types as short as can be
        asked = [name for name in asked if "fast" not in name]
    head = "#include <stdint.h>\n#include <stddef.h>\n#include <stdbool.h>\ntypedef __WINT_TYPE__ wint_t;\n"
    freestanding = [*COMPILERS[abi], "-ffreestanding", "-std=gnu11"]
    if abi == "sysv-x64":
        freestanding.remove("-ffreestanding")
    measured = theirs(freestanding, head, asked)
    wrong = {
        name: (mine(known[name]), measured[name]) for name in asked if mine(known[name]) != measured[name]
    }
    assert not wrong


# Microsoft, "Windows Data Types" and "Fixed width types": bytes and sign.
WIDTHS = {
    "BOOL": -4, "BOOLEAN": 1, "BYTE": 1, "UCHAR": 1, "WORD": 2, "USHORT": 2, "SHORT": -2, "DWORD": 4,
    "UINT": 4,
    "INT": -4, "LONG": -4, "ULONG": 4, "LONGLONG": -8, "ULONGLONG": 8, "DWORDLONG": 8, "DWORD64": 8,
    "DWORD32": 4,
    "INT8": -1, "UINT8": 1, "INT16": -2, "UINT16": 2, "INT32": -4, "UINT32": 4, "INT64": -8, "UINT64": 8,
    "LONG32": -4, "LONG64": -8, "ULONG32": 4, "ULONG64": 8, "HRESULT": -4, "NTSTATUS": -4, "WCHAR": 2,
    "ATOM": 2,
    "COLORREF": 4, "LANGID": 2, "LCID": 4, "LGRPID": 4, "USN": -8, "HFILE": -4, "ACCESS_MASK": 4, "SCODE": -4,
    "VARIANT_BOOL": -2, "VARTYPE": 2, "LSTATUS": -4, "LCTYPE": 4, "QWORD": 8,
}  # fmt: skip
OF_A_POINTER = {"INT_PTR": -1, "LONG_PTR": -1, "SSIZE_T": -1, "LPARAM": -1, "LRESULT": -1, "UINT_PTR": 1,
                "ULONG_PTR": 1, "DWORD_PTR": 1, "SIZE_T": 1, "WPARAM": 1, "SOCKET": 1}  # fmt: skip


@pytest.mark.parametrize("abi", ABIS)
def test_names_of_windows_have_their_widths(abi: str) -> None:
    known = names(abi)
    pointer = ABIS[abi].pointer
    expected = WIDTHS | {name: sign * pointer for name, sign in OF_A_POINTER.items()}
    for name, width in expected.items():
        assert mine(known[name])[::2] == (abs(width), width < 0), name
    for name, code in {"FLOAT": "<f4", "DOUBLE": "<f8", "DATE": "<f8", "CHAR": "|S1"}.items():
        assert known[name].dtype.str == code
    sizes = {"GUID": 16, "FILETIME": 8, "SYSTEMTIME": 16, "LARGE_INTEGER": 8, "ULARGE_INTEGER": 8, "POINT": 8,
             "RECT": 16, "SIZE": 8, "COORD": 4, "SMALL_RECT": 8, "LUID": 8, "CY": 8,
             "OVERLAPPED": 3 * pointer + 8, "SECURITY_ATTRIBUTES": 24 if pointer == 8 else 12}  # fmt: skip
    for name, size in sizes.items():
        assert known[name].size == size, name
    assert known["LARGE_INTEGER"].align == 8
    assert known["GUID"].align == 4
    handles = [name for name in known if re.fullmatch(r"L?P[A-Z0-9_]+|H[A-Z]+|BSTR", name)]
    for name in set(handles) - {"HRESULT", "HFILE"} - set(OF_A_POINTER):
        type_ = known[name]
        if isinstance(type_, Record):
            continue  # a POINT is no pointer
        assert type_.size == pointer, name
        assert type_.pointer or name.startswith("HCRYPT"), name


def test_names_of_windows_are_those_of_ctypes() -> None:
    known = names("sysv-x64")
    shared = 0
    for name, type_ in vars(wintypes).items():
        # There, a LONG is a C long, and a WCHAR a wchar_t, of the machine at hand.
        if name in known and getattr(type_, "_type_", "l") not in ("l", "L", "u"):
            shared += 1
            assert ctypes.sizeof(type_) == known[name].size, name
    assert shared > 30
