"""What the fuzzer begins with, recordings of all kinds, schemas, C: ``python fuzz_seeds.py FOLDER``."""

from __future__ import annotations

import ctypes
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from recording import samples, writer
from recording.samples import HELD, PERIOD, START_NS, STATUS, held, status
from stress import packing
from stress.test_damage import made

import fastrec as fr
from fastrec.wmdrm import status as wmdrm

Maker = Callable[[Path], object]

TINY = fr.Schema.from_dtype(np.dtype([("a", "|i1"), ("b", "<f4")]), name="tiny")


def zoned(root: Path) -> None:
    """More than 1024 rows, so there are zones; most rows are equal, to be small when deflated."""
    folder = writer.Folder(root)
    folder.session()
    folder.clock(START_NS, writer.CREATED_NS)
    channel = samples.status_channel(folder)
    segment = channel.segment()
    for first, stop in ((0, 700), (700, 1024), (1024, 1030)):
        segment.commit(first, [status(n // 512) for n in range(first, stop)])
    folder.close({"status": channel})


def zoned_holds(root: Path) -> None:
    folder = writer.Folder(root)
    folder.session()
    channel = samples.held_channel(folder)
    segment = channel.segment()
    segment.commit(0, [held(5 * n) for n in range(1024)])
    segment.commit(1024, [held(5 * n, 1) for n in range(1024, 1030)])
    folder.close({"held": channel})


def again(root: Path) -> None:
    """A second segment that tells again what the first told, and stamps that run backwards."""
    folder = writer.Folder(root, timezone="Europe/Berlin")
    folder.session()
    folder.session(1, start=START_NS + 10**9)
    for second in range(4):
        folder.clock(START_NS + second * 10**9, writer.CREATED_NS + second * 2 * 10**9, boottime=START_NS)
    channel = samples.status_channel(folder)
    one, two = channel.segment(), channel.segment()
    one.commit(0, [status(n, url=1) for n in range(8)], texts=["a"])
    missed = (8, 2, 3, 0, START_NS, START_NS + PERIOD)
    one.commit(8, [status(n, url=2) for n in range(8, 20)], texts=["b"], gaps=[missed], durable=8)
    two.commit(8, [status(n, url=1) for n in range(8, 12)], texts=["b"], gaps=[missed], durable=8)
    two.commit(12, [status(n, stamp=START_NS - n) for n in range(12, 30)])
    folder.close({"status": channel})


def retired(root: Path) -> None:
    folder = writer.Folder(root)
    folder.session()
    channel = samples.status_channel(folder)
    segment = channel.segment(1)
    segment.commit(100, [status(n) for n in range(100, 110)])
    failed = (110, 5, 4, -3, START_NS, START_NS + PERIOD)
    segment.commit(110, [], gaps=[failed])
    folder.line("stats.jsonl", mono_ns=START_NS, channel="status", slots=1, written=110)


def recorded(root: Path, *, pushed: bool) -> None:
    """By the recorder itself: pushed, or polled with holds."""
    with fr.Recorder(root, metadata={"rig": 7, "who": "\u00fc"}, flush="20ms") as rec:
        if pushed:
            channel = rec.add("status", schema=TINY)
            for number in range(40):
                channel.push(np.array((number, number / 4), TINY.dtype))
                if number % 10 == 9:
                    time.sleep(0.05)
        else:
            counter = itertools.count()
            source = fr.PyCall(lambda: np.array(next(counter) // 4, "<f4").tobytes(), schema=HELD)
            rec.add("held", source, rate=1000, store="changes")
            time.sleep(0.1)
        rec.mark("valve")


def resumed(root: Path) -> None:
    for _ in range(2):
        with fr.Recorder(root, resume=root.exists()) as rec:
            channel = rec.add("status", schema=TINY)
            channel.extend(np.zeros(5, TINY.dtype))


RECORDINGS: dict[str, Maker] = {
    "small": lambda root: samples.small(root),
    "closed": lambda root: samples.small(root, close=True),
    "both": lambda root: made(root, close=True),
    "killed": lambda root: made(root, close=False),
    "zoned": zoned,
    "zoned holds": zoned_holds,
    "again": again,
    "retired": retired,
    "pushed": lambda root: recorded(root, pushed=True),
    "polled": lambda root: recorded(root, pushed=False),
    "resumed": resumed,
}
RECORDED = ("pushed", "polled", "resumed")
"""Those that are others each time."""


class Parts(ctypes.LittleEndianStructure):
    _fields_ = [("low", ctypes.c_uint32, 5), ("high", ctypes.c_int32, 27), ("name", ctypes.c_char * 8)]


class Whole(ctypes.LittleEndianStructure):
    _fields_ = [("parts", Parts * 2), ("matrix", (ctypes.c_double * 2) * 3), ("flag", ctypes.c_bool)]


SCHEMAS: dict[str, Callable[[], fr.Schema]] = {
    "status": lambda: STATUS,
    "held": lambda: HELD,
    "wmdrm": lambda: wmdrm.schema(32),
    "nested": lambda: fr.Schema.from_ctypes(Whole),
    "union": lambda: fr.Schema.from_c(
        "union u { int a; struct { char b[3]; short c; } d; unsigned e : 3; };"
    ),
}

DECLARATIONS = {
    "wmdrm": b"\x03typedef int HRESULT; typedef char *LPSTR; typedef unsigned DWORD;"
    + wmdrm.DECLARATIONS.encode(),
    "bits": b"\x02#pragma pack(push, 2)\nstruct s { unsigned a : 3, : 0, b : 7; long long c; };\n"
    b"#pragma pack(pop)\n",
    "macros": b"\x00#define N(x) ((x) * 2 + 1)\n#if N(1) == 3 && defined(N)\nstruct s { char a[N(3)]; };\n"
    b"#else\n#error no\n#endif\n",
    "enums": b"\x01enum e { A = -1, B, C = B << 3 | 1 };\n"
    b"struct s { enum e e; unsigned char x[sizeof(long) / 2]; }; /* doc */\n",
    "nested": b"\x04typedef struct { union { float f; unsigned u; }; struct t { short a, *b; } t[2][3]; } s"
    b" __attribute__((packed));\n",
    "pointers": b"\x00struct n; typedef int (*fn)(struct n *, const char *, ...);\n"
    b"struct s { fn f; struct n *next; _Bool b; };\n",
}

TOKENS = (
    *("struct", "union", "enum", "typedef", "unsigned", "signed", "short", "long", "char", "int", "float"),
    *("double", "_Bool", "void", "const", "volatile", "sizeof", "_Alignas", "_Static_assert", "static"),
    *("__attribute__((packed))", "__attribute__((aligned(8)))", "__declspec(align(8))", "offsetof"),
    *(
        "#define ",
        "#undef ",
        "#if ",
        "#ifdef ",
        "#elif ",
        "#else",
        "#endif",
        "#include ",
        "#error ",
        "#line ",
    ),
    *("#pragma pack(push, 1)", "#pragma pack(pop)", "defined(", "__VA_ARGS__", "##", "uint8_t", "int64_t"),
    *("0x7fffffff", "18446744073709551615ull", "1u", "'a'", "<<", ">>", "?", ":", "[", "]", "/", "%"),
)
"""For the target that reads C."""


def dictionary(path: Path) -> Path:
    path.write_text("".join(f'"{token.replace(chr(34), chr(92) + chr(34))}"\n' for token in TOKENS))
    return path


def packed(make: Maker) -> bytes:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        make(Path(folder) / "r")
        return packing.pack(packing.gather(Path(folder) / "r"))


def main(folder: str) -> None:
    recordings = {name: packed(make) for name, make in RECORDINGS.items()}
    inputs = dict.fromkeys(("reader", "index", "recover"), recordings) | {
        "schema": {name: make().to_json().encode() for name, make in SCHEMAS.items()},
        "c": DECLARATIONS,
    }
    for target, some in inputs.items():
        place = Path(folder) / target
        place.mkdir(parents=True, exist_ok=True)
        for name, data in some.items():
            (place / name).write_bytes(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
