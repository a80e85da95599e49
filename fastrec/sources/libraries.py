"""Functions by name: a library as the loader finds it, a symbol in it, and what was meant instead."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from itertools import islice
from typing import Any

from fastrec.errors import SourceError, suggest
from fastrec.sources import elf, loaded

__all__ = ["RETURN_TYPES", "function_of"]

RETURN_TYPES: dict[str, Any] = {
    "int": ctypes.c_int,
    "uint": ctypes.c_uint,
    "long": ctypes.c_long,
    "ulong": ctypes.c_ulong,
    "bool": ctypes.c_bool,
    "size": ctypes.c_size_t,
    "ssize": ctypes.c_ssize_t,
    "pointer": ctypes.c_void_p,
    "void": None,
} | {
    f"{sign}int{bits}": getattr(ctypes, f"c_{sign}int{bits}")
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
"""Names of what a C function may return, and their ctypes; None: nothing."""

_MOST_FILES = 10_000  # of a folder that are looked through for a name
_MOST_NEAR = 20_000  # symbols that are compared with a wrong one: some 0.3 s


def function_of(library: str, symbol: str, return_type: str = "int") -> Any:
    """A C function of a shared library, as `Call` takes it.

    Parameters
    ----------
    library : str
        A path with a slash in it, or a name as the loader knows it: ``"libm.so.6"``.
    symbol : str
    return_type : str
        Of `RETURN_TYPES`.

    Raises
    ------
    SourceError
        There is no such library, it cannot be loaded, it has no such symbol, or what it has is data.
    """
    if return_type not in RETURN_TYPES:
        raise SourceError(f"no return type is called {return_type!r}{suggest(return_type, RETURN_TYPES)}")
    opened = _opened(library)
    path = loaded.file_of_library(opened)
    try:
        found = opened[symbol]
    except (AttributeError, ValueError):
        raise SourceError(f"{library} has no function {symbol!r}{_near_symbols(path, symbol)}") from None
    # What a library takes from another one is found through it, too.
    if _is_data(path, symbol) or _is_data(loaded.file_of(_address(found)), symbol):
        raise SourceError(f"{symbol!r} of {library} is data; name a function that fills a struct")
    found.restype = RETURN_TYPES[return_type]
    return found


def _opened(library: str) -> ctypes.CDLL:
    if not library or "\0" in library:
        raise SourceError("a library without a name; write a path such as ./libmotor.so, or libm.so.6")
    is_path = os.sep in library
    if is_path:
        _check_file(library)
    # The loader goes by the text: ./x.so of another folder would be the one that it has already.
    name = os.path.abspath(library) if is_path else library
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        why = str(error)
    if not is_path and why.startswith(f"{library}: cannot open"):
        if os.path.exists(library):
            raise SourceError(
                f"the loader finds no library {library}; for the file in this folder write ./{library}"
            )
        raise SourceError(f"the loader finds no library {library}{_near_libraries(library)}")
    raise SourceError(f"{library} cannot be loaded: {why.removeprefix(f'{name}: ')}")


def _check_file(path: str) -> None:
    folder, name = os.path.split(path)
    try:
        elf.check_loadable(path)
    except FileNotFoundError:
        near = _did_you_mean(name, _libraries(folder or os.sep))
        raise SourceError(f"{path}: there is no such library{near}") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from None


def _near_libraries(name: str) -> str:
    here = [f".{os.sep}{one}" for one in _libraries(os.curdir)]
    libc = loaded.file_of(_address(ctypes.CDLL(None).getpid))
    return _did_you_mean(name, [*here, *_libraries(os.path.dirname(libc or os.sep))])


def _libraries(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, _MOST_FILES) if ".so" in entry.name]
    except OSError:
        return []


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = suggest(name, known)
    return near if near.startswith("; did") else ""  # a list of libraries would say nothing


def _near_symbols(path: str | None, symbol: str) -> str:
    functions = [name for name, is_data in _exported(path).items() if not is_data]
    # The Itanium C++ ABI writes a name behind its length.
    mangled = [name for name in functions if name.startswith("_Z") and f"{len(symbol)}{symbol}" in name]
    if symbol and mangled:
        return f'; it has it in C++ only: declare it extern "C", or name {mangled[0]!r}'
    if symbol in _exported(path):
        return ""
    return suggest(symbol, functions[:_MOST_NEAR])


def _is_data(path: str | None, symbol: str) -> bool:
    return _exported(path).get(symbol, False)


def _exported(path: str | None) -> dict[str, bool]:
    try:
        return elf.exported(path) if path else {}
    except (OSError, SourceError):
        return {}  # moved away since: nothing is known of it


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
