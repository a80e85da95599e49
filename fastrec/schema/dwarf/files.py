"""Files with debug information: which are taken, for which machine, and how much of them is read."""

from __future__ import annotations

import os
import stat
from typing import IO, Any

from fastrec.errors import SchemaError, shown
from fastrec.schema.c.types import Record

__all__ = ["record_from_dwarf"]

MAX_DEBUG = 1 << 30
"""Bytes of debug information in a file, after decompression; all of it is held in memory."""
_LONGEST_NAME = 1 << 16

_ABIS = {
    ("EM_X86_64", 64): "sysv-x64",
    ("EM_X86_64", 32): "sysv-x32",
    ("EM_386", 32): "sysv-x86",
    ("EM_AARCH64", 64): "aarch64",
    ("EM_RISCV", 64): "riscv64",
    ("EM_RISCV", 32): "riscv32",
    ("EM_S390", 64): "s390x",
    ("EM_LOONGARCH", 64): "loongarch64",
}


def record_from_dwarf(path: str | os.PathLike[str], name: str) -> tuple[Record, str, str]:
    """Return a struct as its compiler placed it, and the name of its ABI and byte order.

    Raises
    ------
    SchemaError
        pyelftools is missing, the file has no debug information or a damaged one, or the name none or several
        meanings in it.
    """
    try:
        from elftools.elf.elffile import ELFFile

        from fastrec.schema.dwarf.entries import Entries
        from fastrec.schema.dwarf.types import Types
    except ImportError:
        raise SchemaError("from_dwarf needs pyelftools; run: pip install pyelftools") from None
    where = os.fspath(path)
    try:
        with _opened(where) as stream:
            elf = ELFFile(stream)
            entries = Entries(_debug_info(elf, where), where)
            abi, byteorder = _machine(elf)
            return Types(entries, big=byteorder == "big").record(name), abi, byteorder
    except (SchemaError, KeyboardInterrupt):
        raise
    except OSError as error:
        raise SchemaError(f"{where} cannot be read: {error.strerror or error}") from None
    except Exception as error:
        # Of bytes that nobody vouches for, pyelftools raises what its parsers stumble over: KeyError,
        # AssertionError, RecursionError, errors of its own.
        said = " ".join(str(error).split())[:200]
        said = said if " " in said else f"{type(error).__name__} {said}".rstrip()
        raise SchemaError(f"{where} is no ELF file with sound debug information: {said}") from error


def _opened(path: str) -> IO[bytes]:
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise SchemaError(f"{path} is no file; pass a program, a library or an object file")
    return open(path, "rb")


def _debug_info(elf: Any, where: str) -> Any:
    """The debug information of a file whose sections are of bounded size."""
    sections = [
        section for section in elf.iter_sections() if "debug" in section.name or section.name == ".eh_frame"
    ]
    names = [section.name for section in sections]
    if ".debug_info" not in names:
        raise SchemaError(f"{where} has no debug information{_elsewhere(elf, names)}")
    if names.count(".debug_info") > 1 or names.count(".debug_types") > 1:
        raise SchemaError(f"{where} was compiled with -fdebug-types-section and not linked; pass the program")
    size = sum(section.data_size for section in sections)
    if size > MAX_DEBUG:
        raise SchemaError(
            f"{where} has {size} bytes of debug information, of which at most {MAX_DEBUG} are read;"
            " pass the object file in which the struct is used"
        )
    info = elf.get_dwarf_info(follow_links=False)
    for strings in (info.debug_str_sec, info.debug_line_str_sec):
        data = strings.stream.getvalue() if strings else b""
        blocks = range(0, len(data) - _LONGEST_NAME, _LONGEST_NAME)
        if any(data.find(b"\0", at, at + _LONGEST_NAME) < 0 for at in blocks):
            raise SchemaError(f"{where} has names of more than {_LONGEST_NAME} bytes in {strings.name}")
    return info


def _elsewhere(elf: Any, sections: list[str]) -> str:
    """Where the debug information may be instead."""
    if ".gnu_debuglink" in sections:
        name = os.fsdecode(elf.get_dwarf_link().filename)
        return f": it was moved to {shown(name)}, which lies beside it or below /usr/lib/debug; pass that"
    if ".zdebug_info" in sections:
        return " but in the old compressed form; run objcopy --decompress-debug-sections on it"
    if ".debug_info.dwo" in sections:
        return " but that of a split compilation; compile without -gsplit-dwarf"
    return "; compile with -g, and do not strip"


def _machine(elf: Any) -> tuple[str, str]:
    machine, bits = elf["e_machine"], elf.elfclass
    byteorder = "little" if elf.little_endian else "big"
    abi = _ABIS.get((machine, bits)) if elf.little_endian or machine == "EM_S390" else None
    if abi is None:
        # Its name is all we know of it; the compiler has placed everything.
        abi = f"{str(machine).removeprefix('EM_').lower()}-{bits}{'' if elf.little_endian else '-be'}"
    return abi, byteorder
