"""Targets of the fuzzer for what is read from a recording: ``python fuzz_recording.py TARGET [OPTIONS]``.

A forger makes checksums right, so these do, too: the fuzzer would not come further than the first one
otherwise. Whatever is in the files: nothing but a `FastrecError`, nothing that takes long, no record that is
not one of the recording, and `verify` says something is wrong where records are missing.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["fastrec.recording", "fastrec.schema", "fastrec.records"]):
    import fastrec as fr
    from fastrec.recording import layout

import numpy as np
from recording.samples import HELD, PERIOD, START_NS, STATUS, is_status, large
from recording.writer import UUID

ROOT = Path(tempfile.mkdtemp(prefix="fuzz", dir="/dev/shm"))
RUN = ROOT / "run.fastrec"
CHANNEL = RUN / "channels" / "status"
TABLES = {
    "index": ("index.000000.npy", layout.INDEX_DTYPE),
    "gaps": ("gaps.000001.npy", layout.GAP_ROW_DTYPE),
    "clocks": ("clocks.npy", layout.CLOCK_DTYPE),
    "zones": ("zones.000000.npy", layout.zone_dtype(3)),
}


def look() -> None:
    """What a user does with a recording that somebody sent."""
    run = fr.open(RUN)
    assert isinstance(repr(run), str)
    _ = run.problems, run.sessions, run.marks, run.stats, run.clock, run.clock_events, run.ends
    for name in run:
        with suppress(fr.FastrecError):
            look_at(run[name])
    run.verify()


def look_at(records: fr.Records) -> None:
    _ = records.gaps, len(records), records.start, records.end, records.polls, repr(records)
    for part in (records[:3], records[-3:], records.between("+1s", "+2s")):
        with suppress(fr.FastrecError):
            part.decode()
            for row in part if records.name == "status" else ():
                # A forger can give a block other numbers, but no record another content.
                assert is_status(row, (int(row["mono_ns"]) - START_NS) // PERIOD), "a wrong record"
    with suppress(fr.FastrecError):
        records.durations(records.schema.fields[0].name)


def table(data: bytes) -> None:
    """Rows of one of the tables, sealed."""
    if not data:
        return
    name, dtype = list(TABLES.values())[data[0] % len(TABLES)]
    path = RUN / name if name == "clocks.npy" else CHANNEL / name
    whole = path.read_bytes()
    header = layout.header_size(dtype)
    rows = np.frombuffer(whole[header:], dtype).copy()
    # The input lies over the rows that are there: most of what it does not touch is true.
    raw = rows.view(np.uint8)
    for at in range(1, len(data) - 3, 4):
        raw[int.from_bytes(data[at : at + 3], "little") % len(raw)] = data[at + 3]
    segment = 0 if name == "clocks.npy" else int(name.split(".")[1])
    place = layout.place(UUID, "" if name == "clocks.npy" else "status", segment)
    path.write_bytes(whole[:header] + layout.seal_rows(rows, place).tobytes())
    try:
        look()
    finally:
        path.write_bytes(whole)


NASTY = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        8,
        64,
        65,
        1023,
        1024,
        1025,
        65_536,
        1 << 31,
        1 << 62,
        1 << 64,
        -(1 << 63),
    ),
    *(
        10**400,
        0.5,
        -0.0,
        1e308,
        5e-324,
        1e999,
        "",
        "..",
        "/",
        "\0",
        "\x1b[31m",
        "\ud800",
        "mono_ns",
        "a" * 300,
    ),
    *("O", "T", "V0", "<i4", ">f8", "<U4", "(1000000,1000)u1", "msvc-x86", "max", "1e999999999", "1/0"),
    *([], {}, [[]], [0] * 70, [1 << 40, 1 << 40], {"a": {}}, {"name": "x"}),
)


def bent(document: object, data: bytes) -> object:
    """A document of JSON in which the input has changed some places."""
    choose = atheris.FuzzedDataProvider(data)
    for _ in range(choose.ConsumeIntInRange(1, 4)):
        node = document
        while isinstance(node, dict | list) and node:
            key = choose.PickValueInList(list(node) if isinstance(node, dict) else list(range(len(node))))
            if not isinstance(node[key], dict | list) or not node[key] or not choose.ConsumeIntInRange(0, 3):
                break
            node = node[key]
        if not isinstance(node, dict | list) or not node:
            return document
        kind = choose.ConsumeIntInRange(0, 5)
        if kind == 0:
            del node[key]
        elif kind == 1:
            node[key] = choose.ConsumeInt(9)
        elif kind == 2:
            node[key] = choose.ConsumeUnicode(12)
        elif kind == 3 and isinstance(node, list):
            node.append(node[key])
        else:
            node[key] = choose.PickValueInList(list(NASTY))
    return document


def channel(data: bytes) -> None:
    """``channel.json``, sealed."""
    path = CHANNEL / "channel.json"
    whole = path.read_bytes()
    base = json.loads(whole)
    base.pop("crc")
    try:
        sealed = layout.seal_json(bent(base, data), layout.row_seed(UUID, "status", 0, 0))
    except fr.FormatError:
        return
    path.write_bytes(sealed)
    try:
        with suppress(fr.FastrecError):
            look()
    finally:
        path.write_bytes(whole)


def schema(data: bytes) -> None:
    """The schema of a ``channel.json``."""
    base = (STATUS if data[:1] < b"\x80" else HELD).to_dict()
    try:
        one = fr.Schema.from_json(bent(base, data[1:]))
    except fr.SchemaError:
        return
    assert fr.Schema.from_json(one.to_json()).digest == one.digest
    _ = one.dtype, one.record("every"), one.storage("changes"), one.numeric, one.texts


TARGETS: dict[str, Callable[[bytes], None]] = {"table": table, "channel": channel, "schema": schema}


def main() -> None:
    name, *options = sys.argv[1:]
    warnings.simplefilter("error")
    large(RUN)
    assert fr.open(RUN)["status"].start == START_NS
    try:
        atheris.Setup([sys.argv[0], *options], TARGETS[name])
        atheris.Fuzz()
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)


if __name__ == "__main__":
    main()
