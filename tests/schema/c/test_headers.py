"""Every struct of the kernel's headers, against gcc."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from schema.c.gcc import compiled, paths, preprocessed

from fastrec.errors import SchemaError
from fastrec.schema.abi import abi_named
from fastrec.schema.c.declarations import Declarations
from fastrec.schema.c.types import Record

HEADERS = sorted(Path("/usr/include/linux").glob("*.h"))

# A few headers name types that they do not include; gcc reads them behind one of these.
BEFORE = (
    "#include <stddef.h>\n#include <bits/stdint-intn.h>\n"
    "typedef unsigned char u_char; typedef unsigned short u_short; typedef unsigned int u_int;\n"
    "typedef unsigned long u_long, ino_t; typedef char *caddr_t;\n"
    "typedef unsigned long long u_quad_t;\n",
    "#include <stddef.h>\n#include <sys/types.h>\n#include <sys/socket.h>\n#include <time.h>\n"
    "#include <stdint.h>\n",
)


class Survey:
    """What became of the structs of all headers; each place of definition counts once."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()
        self.refused: Counter[str] = Counter()
        self.right = 0
        self.wrong: list[str] = []
        self.unread: list[str] = []

    def read(self, text: str) -> dict[str, Record]:
        """The structs that no text before this one had, by what C calls them."""
        read = Declarations(text, abi=abi_named("native"))
        fresh = {}
        for name in read.names:
            place = (name, read.defined_in(name))
            if place in self.seen:
                continue
            self.seen.add(place)
            called = f"{read.tags[name].keyword} {name}" if name in read.tags else name
            try:
                fresh[called] = read.record(name)
            except SchemaError as error:
                self.refused[str(error)] += 1
        return fresh

    def compare(self, header: Path, records: dict[str, Record], said: dict | str) -> None:
        if isinstance(said, str):
            self.unread.append(f"{header}: {said[:200]}")
            return
        for type_, record in records.items():
            ours = {path: (at, width) for path, at, width in paths(record)}
            if said[type_] == (record.size, ours):
                self.right += 1
            else:
                self.wrong.append(f"{header}: {type_}")


def test_every_struct_lies_as_gcc_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    survey = Survey()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = []
        for header, text in zip(HEADERS, pool.map(preprocessed, HEADERS), strict=True):
            if text is None:
                continue
            folder = tmp_path / header.stem
            folder.mkdir()
            records = survey.read(text)
            if records:
                jobs.append((header, folder, records, pool.submit(compiled, text, records, folder)))
        for header, folder, records, job in jobs:
            said = job.result()
            for number, before in enumerate(BEFORE):
                if isinstance(said, str):
                    first = folder / f"before{number}.h"
                    first.write_text(before)
                    said = compiled(preprocessed(header, first) or "#error", records, folder)
            survey.compare(header, records, said)
    refused = survey.refused.total()
    with capsys.disabled():
        print(f"\n{len(survey.seen)} structs of {len(HEADERS)} headers, {refused} refused:")  # noqa: T201
        for reason, count in survey.refused.most_common():
            print(f"  {count} {reason}")  # noqa: T201
    assert not survey.wrong
    assert not survey.unread
    assert survey.right + refused == len(survey.seen) > 1000
    assert refused <= 0.05 * len(survey.seen)
