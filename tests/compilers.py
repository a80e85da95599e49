"""What compilers say of the structs of `structs`: where gcc and clang put every leaf, under each ABI."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from elftools.elf.elffile import ELFFile
from structs import PRELUDE, Struct

__all__ = ["COMPILERS", "HEAD", "Placed", "placed"]

HEAD = (
    "#include <stddef.h>\n#include <stdint.h>\ntypedef __CHAR16_TYPE__ char16_t;\n"
    + "\n".join(PRELUDE.values())
    + "\n"
)

COMPILERS = {
    "sysv-x64": ["gcc", "-m64"],
    "sysv-x86": ["gcc", "-m32"],
    "aarch64": ["clang", "--target=aarch64-linux-gnu"],
    "msvc-x64": ["clang", "--target=x86_64-pc-windows-msvc"],
    "msvc-x86": ["clang", "--target=i686-pc-windows-msvc"],
}
"""The compiler whose word counts, by ABI."""


@dataclass(frozen=True)
class Placed:
    """Bytes of a struct, and of every leaf its first bit and, of a bit-field, how many bits it has."""

    size: int
    leaves: dict[str, tuple[int, int | None]]


def placed(abi: str, structs: Sequence[Struct]) -> list[Placed]:
    """Ask the compiler of an ABI, once for all of them."""
    source = HEAD + "".join(one.text(f"S{number}") for number, one in enumerate(structs))
    ask = _gcc if COMPILERS[abi][0] == "gcc" else _clang
    return ask(COMPILERS[abi], source, structs)


def run(command: Sequence[str], source: str) -> bytes:
    """Give a compiler C on its standard input; return what it writes."""
    done = subprocess.run(
        [*command, "-x", "c", "-std=gnu11", "-ffreestanding", "-w", "-"],
        input=source.encode(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()[:4000]
    return done.stdout


def _gcc(command: list[str], source: str, structs: Sequence[Struct]) -> list[Placed]:
    # Numbers are read from the object file; of a bit-field, the ones in a struct that holds nothing else.
    numbers, objects = [], []
    for number, one in enumerate(structs):
        type_ = one.tag(f"S{number}")
        numbers.append(f"sizeof({type_})")
        fields = []
        for path, member in one.leaves():
            if member.width is None:
                numbers.append(f"__builtin_offsetof({type_}, {path})")
            else:
                fields.append(path)
        ones = ", ".join(f"{{.{path} = -1}}" for path in fields)
        if fields:
            objects.append(f"{type_} bits{number}[] = {{{ones}}};\n")
    source += f"const unsigned numbers[] = {{{', '.join(numbers)}}};\n{''.join(objects)}"
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        run([*command, "-c", "-o", file.name], source)
        elf = ELFFile(io.BytesIO(file.read()))
    sections: dict[int, bytes] = {}
    data = {}
    for symbol in elf.get_section_by_name(".symtab").iter_symbols():
        index, start = symbol["st_shndx"], symbol["st_value"]
        if symbol["st_info"]["type"] == "STT_OBJECT":
            if index not in sections:
                sections[index] = elf.get_section(index).data()
            data[symbol.name] = sections[index][start : start + symbol["st_size"]]
    answers = (one for (one,) in struct.iter_unpack("<I", data["numbers"]))
    return [_read(one, answers, data.get(f"bits{number}", b"")) for number, one in enumerate(structs)]


def _read(one: Struct, numbers: Iterator[int], objects: bytes) -> Placed:
    size = next(numbers)
    leaves: dict[str, tuple[int, int | None]] = {}
    start = 0
    for path, member in one.leaves():
        if member.width is None:
            leaves[path] = (8 * next(numbers), None)
        else:
            word = int.from_bytes(objects[start : start + size], "little")
            leaves[path] = ((word & -word).bit_length() - 1, word.bit_count())
            start += size
    return Placed(size, leaves)


_DUMPED = re.compile(
    r"Type: (?:struct|union) (\w+)(?:::\((?:anonymous|unnamed)[^:]*:(\d+):.*)?\n"
    r"\nLayout: <ASTRecordLayout\n((?:.*\n)*?) *FieldOffsets: \[(.*)\]>"
)


def _clang(command: list[str], source: str, structs: Sequence[Struct]) -> list[Placed]:
    sizes = ", ".join(f"sizeof({one.tag(f'S{number}')})" for number, one in enumerate(structs))
    dump = run(
        [*command, "-fsyntax-only", "-Xclang", "-fdump-record-layouts-simple"],
        f"{source}unsigned sizes[] = {{{sizes}}};\n",
    ).decode()
    named: dict[str, tuple[int, list[int]]] = {}
    nameless: dict[str, list[tuple[int, tuple[int, list[int]]]]] = {}
    for name, line, head, offsets in _DUMPED.findall(dump):
        size = int(re.search(r"\bSize:(\d+)", head)[1])
        found = (size // 8, [int(one) for one in offsets.split(",") if one.strip()])
        if line:
            nameless.setdefault(name, []).append((int(line), found))
        else:
            named[name] = found
    known: dict[Struct, tuple[int, list[int]]] = {}
    for number, one in enumerate(structs):
        for record in one.records():
            if not record.anonymous:
                name = record.tag(f"S{number}").split()[1]
                known[record] = named[name]
                within = sorted(nameless.get(name, []))
                known.update(zip(record.nameless(), (found for _, found in within), strict=True))
    return [Placed(known[one][0], dict(_composed(one, known))) for one in structs]


def _composed(
    record: Struct, known: dict[Struct, tuple[int, list[int]]], prefix: str = "", base: int = 0
) -> Iterator[tuple[str, tuple[int, int | None]]]:
    offsets = known[record][1]
    assert len(offsets) == len(record.members)
    for member, offset in zip(record.members, offsets, strict=True):
        if None in member.dims or (member.width is not None and not member.name):
            continue
        at = base + offset
        if not isinstance(member.type, Struct):
            yield prefix + member.name, (at, member.width)
        elif member.type.anonymous:
            yield from _composed(member.type, known, prefix, at)
        else:
            step = 8 * known[member.type][0]
            for number, path in enumerate(member.paths()):
                yield from _composed(member.type, known, f"{prefix}{path}.", at + number * step)
