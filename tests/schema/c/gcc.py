"""What gcc says of structs: sizes, offsets and bits, read from the object file that it makes."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from fastrec.schema.c.types import Array, Record

__all__ = ["compiled", "paths", "preprocessed"]


def preprocessed(header: Path, before: Path | None = None) -> str | None:
    """The text of a header, behind another, after ``gcc -E``; None: gcc does not take it."""
    included = ["-include", str(before)] if before else []
    done = subprocess.run(
        ["gcc", "-E", "-x", "c", *included, str(header)], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else None


def paths(record: Record, prefix: str = "", at: int = 0) -> Iterator[tuple[str, int, int | None]]:
    """Path, bit and width (of a bit-field) of every member that a designator can name.

    Structs with a tag are asked for by themselves, so what lies in them is left out here.
    """
    for placed in record.members:
        declared, begin = placed.declared, at + placed.at
        type_, path = declared.type, prefix + declared.name
        if declared.name:
            yield path, begin, declared.width
        while isinstance(type_, Array) and type_.count:
            type_, path = type_.element, path + "[0]"
        if isinstance(type_, Record) and (not declared.name or not type_.tag):
            yield from paths(type_, f"{path}." if declared.name else prefix, begin)


def compiled(
    text: str, records: dict[str, Record], folder: Path, flags: tuple[str, ...] = ()
) -> dict[str, tuple[int, dict[str, tuple[int, int | None]]]] | str:
    """Size of every record, and bit and width of its members, as gcc has them.

    Parameters
    ----------
    text : str
    records : dict
        By what C calls the type, such as ``"struct foo"``.
    folder : Path
        For the object file.

    Returns
    -------
    dict, or str
        What gcc said instead.
    """
    asked: list[tuple[str, str | None, int | None]] = []
    numbers, objects = [], []
    for type_, record in records.items():
        asked.append((type_, None, None))
        numbers.append(f"sizeof({type_})")
        for path, _, width in paths(record):
            asked.append((type_, path, width))
            if width is None:
                numbers.append(f"__builtin_offsetof({type_}, {path})")
            else:
                section = f'__attribute__((section(".fr{len(objects)}")))'
                # Bits are told by the object whose only ones are those of the field.
                objects.append(f"const {type_} fr_{len(objects)} {section} = {{ .{path} = -1 }};")
                numbers.append(str(len(objects) - 1))
    source = folder / "asked.c"
    table = ",\n".join(numbers)
    source.write_text(
        "\n".join(
            [
                text,
                "#pragma pack()",
                f'const unsigned long long fr_n[] __attribute__((section(".fr_n"))) = {{ {table} }};',
                *objects,
            ]
        )
    )
    made = folder / "asked.o"
    done = subprocess.run(
        ["gcc", "-w", "-c", "-O0", *flags, "-o", made, source], capture_output=True, text=True
    )
    if done.returncode:
        return done.stderr
    sections = _sections(made.read_bytes())
    values = struct.unpack(f"<{len(numbers)}Q", sections[".fr_n"])
    found: dict[str, tuple[int, dict[str, tuple[int, int | None]]]] = {}
    for (type_, path, width), value in zip(asked, values, strict=True):
        if path is None:
            found[type_] = (value, {})
        elif width is None:
            found[type_][1][path] = (8 * value, None)
        else:
            word = int.from_bytes(sections[f".fr{value}"], "little")
            found[type_][1][path] = ((word & -word).bit_length() - 1, word.bit_count())
    return found


def _sections(raw: bytes) -> dict[str, bytes]:
    assert raw[:6] == b"\x7fELF\x02\x01"
    (table,) = struct.unpack_from("<Q", raw, 40)
    size, count, names = struct.unpack_from("<3H", raw, 58)
    rows = [struct.unpack_from("<IIQQQQ", raw, table + size * number) for number in range(count)]
    base = rows[names][4]
    return {
        raw[base + row[0] : raw.index(b"\0", base + row[0])].decode(): raw[row[4] : row[4] + row[5]]
        for row in rows
    }
