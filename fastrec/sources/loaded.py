"""Functions in memory: which address, which library, how wide the return value; and keeping them there."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from fastrec.errors import SourceError

__all__ = ["file_of", "file_of_library", "function", "pin"]

_NEEDS_GIL = 4  # FUNCFLAG_PYTHONAPI of ctypes

_LINK_MAP = 2  # RTLD_DI_LINKMAP of dlinfo(3)

_FLOATING = " returns a floating-point number, which tells no success; declare it void, with returns='void'"
_SIGNED = "bhilq"  # codes of ctypes, which subclasses share


class _Info(ctypes.Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = [
        ("dli_fname", ctypes.c_char_p),
        ("dli_fbase", ctypes.c_void_p),
        ("dli_sname", ctypes.c_char_p),
        ("dli_saddr", ctypes.c_void_p),
    ]


class _LinkMap(ctypes.Structure):
    """The beginning of struct link_map in <link.h>."""

    _fields_ = [("l_addr", ctypes.c_void_p), ("l_name", ctypes.c_char_p)]


def file_of(address: int) -> str | None:
    """The path of the library or program in memory that an address lies in; None: in none."""
    info = _Info()
    found = ctypes.CDLL(None).dladdr(ctypes.c_void_p(address), ctypes.byref(info))
    return os.fsdecode(info.dli_fname) if address and found and info.dli_fname else None


def file_of_library(library: ctypes.CDLL) -> str | None:
    """The path under which the loader has found it; None: it is the program itself."""
    entry = ctypes.POINTER(_LinkMap)()
    failed = ctypes.CDLL(None).dlinfo(ctypes.c_void_p(library._handle), _LINK_MAP, ctypes.byref(entry))
    return os.fsdecode(entry.contents.l_name) if not failed and entry.contents.l_name else None


def function(function: Any, name: str, *, unsafe: bool) -> tuple[int, int, bool, list]:
    """Address, width of the return value in bytes (0: none), its sign, and what to keep alive.

    Raises
    ------
    SourceError
        It is no function, NULL, needs the GIL, or lies in no loaded library.
    """
    width, is_signed = 4, True
    if isinstance(function, int) and not isinstance(function, bool):
        if not unsafe:
            raise SourceError(
                f"{function:#x} is a bare address; pass a ctypes or cffi function, or unsafe=True to trust it"
            )
        address = function
    elif isinstance(function, ctypes._CFuncPtr):
        if function._flags_ & _NEEDS_GIL:
            raise SourceError(
                f"{name} is from ctypes.PyDLL and needs the GIL; load the library with ctypes.CDLL"
            )
        address = ctypes.cast(function, ctypes.c_void_p).value or 0
        width, is_signed = _result(function.restype, name)
    elif type(function).__module__ == "_cffi_backend":
        address, width, is_signed = _from_cffi(function, name)
    else:
        raise SourceError(f"{name} is a {type(function).__name__}, no C function; pass one of ctypes or cffi")
    if not address:
        raise SourceError(f"{name} is NULL; load the library and look the function up first")
    return address, width, is_signed, [function, *([] if unsafe else pin(address, name))]


def check_arguments(function: Any, count: int, name: str) -> None:
    """Refuse arguments that ``argtypes`` of a ctypes function forbids, if it has some.

    Raises
    ------
    SourceError
        One is declared a float or a struct, or there are too few.
    """
    declared = getattr(function, "argtypes", None) if isinstance(function, ctypes._CFuncPtr) else None
    for number, one in enumerate(declared or (), 1):
        if getattr(one, "_type_", None) in tuple("fdg") or (
            isinstance(one, type) and issubclass(one, ctypes.Structure | ctypes.Union)
        ):
            raise SourceError(
                f"{name}, argument {number} is declared a {one.__name__}; only integers and pointers can be"
                " passed, so wrap the function in C"
            )
    if count < len(declared or ()):
        raise SourceError(f"{name} takes {len(declared)} arguments by its argtypes, not {count}")


def pin(address: int, name: str) -> list:
    """Keep the library of `address` loaded, even when everybody else closes it.

    Raises
    ------
    SourceError
        The address lies in no loaded library: a Python callback, say, which would need the GIL.
    """
    path = file_of(address)
    if path is None:
        raise SourceError(
            f"{name} at {address:#x} lies in no loaded library (a Python callback?); unsafe=True trusts it"
        )
    try:
        return [ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NODELETE | os.RTLD_NOW)]
    except OSError:
        return []  # the program itself, which nobody unloads


def _result(restype: Any, name: str) -> tuple[int, bool]:
    if restype is None:
        return 0, False
    if isinstance(restype, type) and issubclass(restype, ctypes._SimpleCData):
        if restype._type_ in "fdg":
            raise SourceError(f"{name}{_FLOATING}")
        return ctypes.sizeof(restype), restype._type_ in _SIGNED
    if isinstance(restype, type) and issubclass(restype, ctypes._Pointer):
        return ctypes.sizeof(restype), False
    raise SourceError(f"{name} returns {restype!r}; only integers, pointers and nothing are understood")


def _from_cffi(function: Any, name: str) -> tuple[int, int, bool]:
    import _cffi_backend

    kind = _cffi_backend.typeof(function)
    if kind.kind != "function":
        raise SourceError(f"{name} is a cffi {kind.cname!r}, no function")
    result = kind.result
    address = int(_cffi_backend.cast(_cffi_backend.new_primitive_type("uintptr_t"), function))
    if result.kind == "void":
        return address, 0, False
    if result.kind == "primitive" and result.cname in ("float", "double", "long double"):
        raise SourceError(f"{name}{_FLOATING}")
    width = _cffi_backend.sizeof(result)
    return address, width, result.kind != "pointer" and int(_cffi_backend.cast(result, -1)) < 0
