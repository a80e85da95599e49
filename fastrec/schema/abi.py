"""The C ABI that laid a payload out, by name."""

from __future__ import annotations

import platform
import re
import sys

from fastrec.errors import SchemaError

__all__ = ["check_abi", "native_abi"]

_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,31}", re.ASCII)
_ABIS = {
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
    return _ABIS.get((sys.platform, machine)) or machine or "unknown"


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
