"""Shared libraries as files: whether this process can load one, and which symbols it offers.

Read by the ELF specification (gABI 4.1, chapters 4 and 5) from files nobody vouches for: whatever a file
says of itself is compared with its size before it is followed. A damaged library would end the process
inside the system's loader, with a signal instead of an error.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import BinaryIO, NamedTuple

import numpy as np

from fastrec.errors import SourceError

__all__ = ["check_loadable", "exported"]

_MOST_SYMBOLS = 1 << 18
_MOST_NAME = 1024
_MOST_STRINGS = 64 << 20
_MOST_ROW = 256  # bytes; rows of every ELF file there is have at most 64

_RELOCATABLE, _PROGRAM, _SHARED = 1, 2, 3  # ET_REL, ET_EXEC, ET_DYN
_KINDS = {
    _RELOCATABLE: "an object file; link it with gcc -shared",
    _PROGRAM: "a program, and no library",
}
_MACHINES = {3: "x86", 8: "MIPS", 20: "PowerPC", 21: "PowerPC", 22: "s390", 40: "ARM", 62: "x86-64"} | {
    183: "aarch64",
    243: "RISC-V",
    258: "LoongArch",
}
_FORMATS = {
    b"MZ": "is a library or program of Windows, which only Windows loads",
    b"!<arch>\n": "is a static archive; make a shared library of it: gcc -shared -Wl,--whole-archive",
    b"\xcf\xfa\xed\xfe": "is a library or program of macOS, which only macOS loads",
}

_LOADED = 1  # PT_LOAD
_DYNAMIC_SYMBOLS = 11  # SHT_DYNSYM
_DATA = (1, 5, 6)  # STT_OBJECT, STT_COMMON, STT_TLS


class _Header(NamedTuple):
    """What an ELF header says, and how the tables behind it are to be read."""

    bits: int
    order: str
    kind: int
    machine: int
    segments: tuple[int, int, int]  # offset, bytes of one, number
    sections: tuple[int, int, int]

    @property
    def process(self) -> str:
        """For which processes it is."""
        order = "" if self.order == "<" else ", big-endian"
        return f"{_MACHINES.get(self.machine, f'machine {self.machine}')} ({self.bits}-bit{order})"


def _header(data: bytes) -> _Header | None:
    """None: the bytes do not begin an ELF file."""
    if len(data) < 20 or data[:4] != b"\x7fELF" or data[4] not in (1, 2) or data[5] not in (1, 2):
        return None
    bits, order = 32 * data[4], "<>"[data[5] - 1]
    form = f"{order}HHI{'QQQ' if bits == 64 else 'III'}IHHHHHH"
    if len(data) < 16 + struct.calcsize(form):
        return None
    kind, machine, _, _, phoff, shoff, _, _, phsize, phnum, shsize, shnum, _ = struct.unpack_from(
        form, data, 16
    )
    return _Header(bits, order, kind, machine, (phoff, phsize, phnum), (shoff, shsize, shnum))


def _table(file: BinaryIO, size: int, place: tuple[int, int, int], names: list[str], form: str) -> np.ndarray:
    """Rows of a table, as far as the file has them."""
    offset, step, count = place
    dtype = np.dtype(list(zip(names, form.split(), strict=True)))
    if not dtype.itemsize <= step <= _MOST_ROW or offset >= size:
        return np.zeros(0, dtype)
    file.seek(offset)
    data = file.read(count * step)
    spaced = np.dtype({"names": names, "formats": form.split(), "offsets": _offsets(dtype), "itemsize": step})
    return np.frombuffer(data, spaced, len(data) // step)


def _offsets(dtype: np.dtype) -> list[int]:
    return [dtype.fields[name][1] for name in dtype.names]


def _segments(file: BinaryIO, size: int, header: _Header) -> np.ndarray:
    if header.bits == 64:
        names, form = ["type", "flags", "offset", "vaddr", "paddr", "filesz"], "u4 u4 u8 u8 u8 u8"
    else:
        names, form = ["type", "offset", "vaddr", "paddr", "filesz"], "u4 u4 u4 u4 u4"
    return _table(file, size, header.segments, names, _ordered(form, header))


def _sections(file: BinaryIO, size: int, header: _Header) -> np.ndarray:
    names = ["name", "type", "flags", "addr", "offset", "size", "link", "info", "align", "entsize"]
    form = "u4 u4 u8 u8 u8 u8 u4 u4 u8 u8" if header.bits == 64 else " ".join(["u4"] * 10)
    return _table(file, size, header.sections, names, _ordered(form, header))


def _symbols(file: BinaryIO, size: int, header: _Header, section: np.void) -> np.ndarray:
    if header.bits == 64:
        names, form = ["name", "info", "other", "shndx", "value", "size"], "u4 u1 u1 u2 u8 u8"
    else:
        names, form = ["name", "value", "size", "info", "other", "shndx"], "u4 u4 u4 u1 u1 u2"
    step = int(section["entsize"])
    count = min(int(section["size"]) // step, _MOST_SYMBOLS) if step else 0
    return _table(file, size, (int(section["offset"]), step, count), names, _ordered(form, header))


def _ordered(form: str, header: _Header) -> str:
    return " ".join(header.order + one for one in form.split())


def check_loadable(path: str) -> None:
    """Refuse a file that the loader of this process would refuse less clearly, or die of.

    Raises
    ------
    SourceError
        No regular file, no shared library, one for another machine, or not all of one.
    OSError
        It cannot be read.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(64)
        header = _header(data)
        if header is None:
            told = next((what for magic, what in _FORMATS.items() if data.startswith(magic)), None)
            raise SourceError(f"{path}: {told or 'is no shared library (an ELF file)'}")
        with open("/proc/self/exe", "rb") as own:
            ours = _header(own.read(64))
        if ours is not None and header.process != ours.process:
            raise SourceError(f"{path}: is for {header.process}, this process is {ours.process}")
        if header.kind != _SHARED:
            raise SourceError(f"{path}: is {_KINDS.get(header.kind, 'no shared library')}")
        segments = _segments(file, size, header)
        loaded = segments[segments["type"] == _LOADED]
        ends = [int(one["offset"]) + int(one["filesz"]) for one in loaded]
        if not ends or max(ends) > size:
            raise SourceError(
                f"{path}: is cut short: {size:,} bytes of {max(ends, default=size + 1):,}; copy it again"
            )


def exported(path: str) -> dict[str, bool]:
    """What a library offers to others.

    Returns
    -------
    dict of str to bool
        By name: whether it is data, and no function. Empty for what is no ELF file, or says nothing; of
        more than 262,144 symbols the first ones.

    Raises
    ------
    SourceError, OSError
        No regular file, or it cannot be read.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        header = _header(file.read(64))
        sections = _sections(file, size, header) if header is not None else ()
        for section in sections:
            if section["type"] == _DYNAMIC_SYMBOLS and section["link"] < len(sections):
                symbols = _symbols(file, size, header, section)
                strings = sections[section["link"]]
                file.seek(min(int(strings["offset"]), size))
                return _named(symbols, file.read(min(int(strings["size"]), size, _MOST_STRINGS)))
    return {}


def _named(symbols: np.ndarray, strings: bytes) -> dict[str, bool]:
    offered = symbols["shndx"] != 0
    found: dict[str, bool] = {}
    left = _MOST_STRINGS  # names may share their bytes: a small file could ask for very many
    for at, info in zip(symbols["name"][offered].tolist(), symbols["info"][offered].tolist(), strict=True):
        end = strings.find(b"\0", at, at + _MOST_NAME)
        if end > at and (left := left - (end - at)) > 0:
            found[os.fsdecode(strings[at:end])] = info & 15 in _DATA
    return found


def _opened(path: str) -> BinaryIO:
    # Not blocking: a FIFO would wait for its writer before we see that it is one.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(f"{path}: is no file; a library is one")
    return open(descriptor, "rb")
