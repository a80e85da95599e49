"""Every struct of the kernel's headers, against gcc."""

# ruff: noqa: T201
from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from schema.c.gcc import Measured, compiled, paths, preprocessed

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.abi import abi_named
from fastrec.schema.c.build import struct_of
from fastrec.schema.c.declarations import Declarations
from fastrec.schema.c.types import Record

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

HEADERS = sorted(Path("/usr/include/linux").glob("*.h"))

# Some headers use names of the C library that they do not include: gcc needs them, from_c knows them.
LIBRARY = (
    [f"-include{one}" for one in ("stdint.h", "sys/types.h", "sys/socket.h", "time.h")],
    [
        "-includestdint.h",
        *(f"-Du_{one}=unsigned {one}" for one in ("char", "short", "int", "long")),
        *("-Du_quad_t=unsigned long", "-Dquad_t=long", "-Dino_t=unsigned long", "-Dcaddr_t=char *"),
    ],
)


def kind(declarations: Declarations, name: str) -> str:
    """What C calls a type: ``struct foo``, or the name of a typedef."""
    return f"{declarations.tags[name].keyword} {name}" if name in declarations.tags else name


def measured(header: Path, text: str, records: dict[str, Record], folder: Path) -> Measured | str:
    """What gcc says of records, of the header alone or with the library's headers before it."""
    found = compiled(text, records, folder)
    for flags in LIBRARY:
        if isinstance(found, str):
            with_library = preprocessed(header, *flags)
            assert with_library is not None
            found = compiled(with_library, records, folder)
    return found


def test_every_struct_lies_as_gcc_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: set[tuple[str, str]] = set()
    refused: Counter[str] = Counter()
    wrong: list[str] = []
    jobs = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, text in zip(HEADERS, pool.map(preprocessed, HEADERS), strict=True):
            if text is None:
                continue
            declarations = Declarations(text, abi=abi_named("native"))
            records: dict[str, Record] = {}
            for name in declarations.names:
                place = (name, declarations.defined_in(name))
                if place in seen:
                    continue
                seen.add(place)
                try:
                    record = declarations.record(name)
                    struct_of(record)
                    records[kind(declarations, name)] = record
                except SchemaError as error:
                    refused[re.sub(r"^.*?column \d+: ", "", str(error))] += 1
            folder = tmp_path / header.stem
            folder.mkdir()
            jobs.append((header, records, pool.submit(measured, header, text, records, folder)))
    for header, records, job in jobs:
        found = job.result()
        if isinstance(found, str):
            wrong.append(f"{header}: {found[:300]}")
            continue
        for type_, record in records.items():
            places = {path: (at, width) for path, at, width in paths(record)}
            if found[type_] != (record.size, places):
                wrong.append(f"{header}: {type_} is {found[type_]}, not {(record.size, places)}")
    share = refused.total() / len(seen)
    with capsys.disabled():
        print(f"\n{len(jobs)} headers, {len(seen)} structs, {refused.total()} refused ({share:.1%}):")
        for reason, count in refused.most_common():
            print(f"  {count:3} {reason}")
    assert not wrong, "\n".join(wrong[:10])
    assert len(seen) > 2000
    assert share <= 0.05


SYSTEM = (
    ("sys/stat.h", "stat"), ("sys/resource.h", "rusage"), ("time.h", "timespec"),
    ("sys/timex.h", "timex"), ("netinet/tcp.h", "tcp_info"), ("linux/input.h", "input_event"),
    ("sys/utsname.h", "utsname"), ("pthread.h", "sched_param"), ("stdio.h", "_IO_FILE"),
    ("sys/statvfs.h", "statvfs"), ("dirent.h", "dirent"), ("linux/videodev2.h", "v4l2_buffer"),
    ("netdb.h", "addrinfo"), ("termios.h", "termios"),
)  # fmt: skip


@pytest.mark.parametrize(("header", "name"), SYSTEM)
def test_headers_of_the_c_library_are_read_where_their_folders_are_named(header: str, name: str) -> None:
    """All that they include, with every condition in it, as gcc reads it."""

    def said(option: str) -> str:
        return subprocess.run(["gcc", option], capture_output=True, text=True, check=True).stdout.strip()

    folders = [said("-print-file-name=include"), f"/usr/include/{said('-print-multiarch')}", "/usr/include"]
    schema = Schema.from_c(f"#include <{header}>", name, include=folders)
    places = [
        f"__builtin_offsetof(struct {name}, {field.name}) == {field.offset}"
        for field in schema.fields
        if field.bits is None
    ]
    asserts = "".join(
        f'_Static_assert({one}, "");\n' for one in (*places, f"sizeof(struct {name}) == {schema.size}")
    )
    text = f"#include <{header}>\n{asserts}"
    subprocess.run(["gcc", "-x", "c", "-fsyntax-only", "-"], input=text, text=True, check=True)
