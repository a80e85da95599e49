"""The C ABIs that lay payloads out: their names, and how wide and how aligned C's types are under them.

Sources: System V ABI, AMD64 supplement, 3.1.2, and Intel386 supplement; Procedure Call Standard for the Arm
64-bit Architecture, 5 to 8; Microsoft, "x64 ABI conventions" and "Storage and alignment of structures".
"""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import dataclass

from fastrec.errors import SchemaError, shown, suggest

__all__ = ["ABIS", "Abi", "abi_named", "check_abi", "native_abi"]

_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Abi:
    """How C's types lie in memory. Little endian; ``int`` has 4 bytes, ``long long`` 8.

    Attributes
    ----------
    name : str
    pointer, long : int
        Bytes.
    long_double : (int, int)
        Bytes and alignment; 8 bytes are a double, more have no NumPy type of their own everywhere.
    align_8 : int
        Alignment within structs of doubles and of integers of 8 bytes.
    wchar : str
        NumPy's code of wchar_t.
    signed_char : bool
        Whether plain char is signed.
    int128 : bool
        Whether there is an __int128.
    microsoft : bool
        Bit-fields, alignment and enumerations as Microsoft's compiler has them.
    clang : bool
        What gcc leaves open is as clang has it: an unnamed bit-field lends the struct its alignment.
    macros : tuple of str
        Names by which headers know where they are.
    """

    name: str
    pointer: int
    long: int
    long_double: tuple[int, int]
    align_8: int
    wchar: str
    signed_char: bool
    int128: bool
    microsoft: bool
    clang: bool
    macros: tuple[str, ...]


_UNIX = ("__linux__", "__linux", "linux", "__unix__", "__unix", "unix", "__gnu_linux__", "__ELF__")
ABIS = {
    abi.name: abi
    for abi in (
        Abi("sysv-x64", 8, 8, (16, 16), 8, "<i4", True, True, False, False,
            (*_UNIX, "__x86_64__", "__x86_64", "__amd64__", "__amd64", "__LP64__", "_LP64")),
        Abi("sysv-x86", 4, 4, (12, 4), 4, "<i4", True, False, False, False,
            (*_UNIX, "__i386__", "__i386", "i386", "__i686__", "__ILP32__", "_ILP32")),
        Abi("aarch64", 8, 8, (16, 16), 8, "<u4", False, True, False, True,
            (*_UNIX, "__aarch64__", "__LP64__", "_LP64")),
        Abi("msvc-x64", 8, 4, (8, 8), 8, "<u2", True, False, True, False,
            ("_WIN32", "_WIN64", "_M_X64", "_M_AMD64")),
        Abi("msvc-x86", 4, 4, (8, 8), 8, "<u2", True, False, True, False, ("_WIN32", "_M_IX86")),
    )
}  # fmt: skip
"""The ABIs whose layouts we compute, by name."""

_NATIVE = {
    ("linux", "x86_64"): "sysv-x64",
    ("linux", "i686"): "sysv-x86",
    ("darwin", "x86_64"): "sysv-x64",
    ("darwin", "arm64"): "aarch64",
    ("win32", "amd64"): "msvc-x64",
    ("win32", "x86"): "msvc-x86",
}


def native_abi() -> str:
    """Return the name of the ABI this process runs under, such as ``"sysv-x64"`` or ``"aarch64"``."""
    machine = platform.machine().lower()
    return _NATIVE.get((sys.platform, machine)) or machine or "unknown"


def abi_named(name: object) -> Abi:
    """Return the ABI of a name; ``"native"`` is that of this process.

    Raises
    ------
    SchemaError
        None whose layouts we know.
    """
    wanted = native_abi() if name == "native" else name
    if not isinstance(wanted, str) or wanted not in ABIS:
        near = suggest(wanted, ["native", *ABIS]) if isinstance(wanted, str) else ""
        raise SchemaError(f"abi={shown(wanted)}: how C lays structs out there is not known{near}")
    return ABIS[wanted]


def check_abi(abi: object) -> str:
    """Return an ABI's name if it can be one.

    Raises
    ------
    SchemaError
        It is no short lower-case word. Names we have never heard of are kept: layouts are exact without them.
    """
    if not isinstance(abi, str) or not _NAME.fullmatch(abi):
        raise SchemaError(f"abi {abi!r:.40} is no name of one; write one such as 'sysv-x64' or 'msvc-x86'")
    return abi
