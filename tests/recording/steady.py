"""Recordings whose fields keep their states over whole zones and change where zones, blocks and segments do.

They are made by the oracle writer, of every kind of field that a zone sums up and of those that it does not;
what each record holds is known beside them.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import Row
from recording.writer import START_NS, Channel, Folder

from fastrec.recording import layout
from fastrec.schema import LOST, Flags, Masked, Schema
from fastrec.schema.gaps import GAP_DTYPE
from fastrec.schema.members import Bit, Member, Struct

ZONE = 1_024
STEP = 10
SILENCE = 50_000

NAN, INF = float("nan"), float("inf")
READY, FAULT, OTHER = (0x11, 0x01, 0x81), (0x08, 0x18), (0x03, 0x07)
"""Words of one state, of another, and two that are states of their own."""

VALUES: dict[str, list[Any]] = {
    "mode": [0, 1, -1, 2**31 - 1, -(2**31)],
    "half": [0.0, -0.0, NAN, 1.5, -INF],
    "flag": [False, True],
    "power": [0, 1, 3, 128],
    "big": [0, 2**64 - 1, 2**64 - 2, 2**63, 2**63 - 1],
    "level": [0.0, -0.0, NAN, INF, -INF, 1.5],
    "far": [0, 1, 256, -1],
    "total": [0.0, -0.0, NAN, INF, 1e308, -1e308, 0.1],
    "wave": [NAN, 0.5, -0.0, 0.0, -INF],
    "low": [0, 1, 7],
    "high": [0, -1, 15, -16],
    "state": [*READY, *FAULT, *OTHER],
    "trace": [[0, 0, 0], [0, 0, 1], [1, 0, 0]],
    "tag": [b"", b"a", b"abcdef", b"a\0b"],
    "wide": [0, 1, 2**63, 2**64 - 1],
    "side": [0, 1, -1, -4],
    "url": [None, "a", "b", LOST],
    "pair": [0j, 1j, 1 + 0j],
}
NAMES = list(VALUES)

FORM = np.dtype(
    {
        "names": [
            *["mode", "half", "flag", "power", "big", "level", "far", "total", "wave"],
            *["bits", "state", "trace", "tag", "wider", "url", "pair"],
        ],
        "formats": [
            *["<i4", "<f2", "?", "u1", "<u8", "<f4", ">i4", "<f8", ">f8"],
            *["<u4", "<u2", ("<i2", (3,)), "S6", "V9", "<u8", "<c8"],
        ],
        "offsets": [0, 4, 6, 7, 8, 16, 20, 24, 32, 40, 44, 46, 52, 58, 72, 80],
        "itemsize": 88,
    }
)
UNITS = {
    "bits": ("<u4", (Bit("low", 0, 3, False), Bit("high", 9, 5, True))),
    "wider": ("|V9", (Bit("wide", 5, 64, False), Bit("side", 69, 3, True))),
}


def schema() -> Schema:
    members = []
    for name in FORM.names:
        dtype, offset = FORM.fields[name][:2]
        if name in UNITS:
            code, bits = UNITS[name]
            members.append(Member("".join(f"{bit.name}|" for bit in bits), offset, np.dtype(code), bits=bits))
        else:
            members.append(Member(name, offset, dtype.base, dtype.shape))
    meanings = {
        "state": {"labels": Masked({"READY": (0x0F, 0x01), "FAULT": (0x0F, 0x08)})},
        "power": {"labels": Flags({"MAIN": 1, "AUX": 2})},
    }
    made = Schema("steady", Struct(88, tuple(members)), meanings, abi="sysv-x64", byteorder="little")
    return made.with_field("url", text=True)


SCHEMA = schema()


def meant(name: str, value: Any) -> Any:
    """The state that a value is."""
    return SCHEMA.field(name).labels.name(value) if name == "state" else value


def _numeric(start: int) -> list[tuple]:
    """How a zone reads its fields, by `struct` alone."""

    def bits(row: bytes, offset: int, size: int, shift: int, width: int, signed: bool) -> int:
        value = int.from_bytes(row[start + offset : start + offset + size], "little") >> shift
        value &= (1 << width) - 1
        return value - (1 << width) if signed and value >> width - 1 else value

    reads = {
        "mode": (0, "i", "i8"),
        "half": (4, "e", "f8"),
        "flag": (6, "B", "u8"),
        "power": (7, "B", "u8"),
        "big": (8, "Q", "u8"),
        "level": (16, "f", "f8"),
        "far": (0, lambda row: struct.unpack_from(">i", row, start + 20)[0], "i8"),
        "total": (24, "d", "f8"),
        "wave": (0, lambda row: struct.unpack_from(">d", row, start + 32)[0], "f8"),
        "low": (0, lambda row: bits(row, 40, 4, 0, 3, False), "u8"),
        "high": (0, lambda row: bits(row, 40, 4, 9, 5, True), "i8"),
        "state": (44, "H", "u8"),
        "wide": (0, lambda row: bits(row, 58, 9, 5, 64, False), "u8"),
        "side": (0, lambda row: bits(row, 58, 9, 69, 3, True), "i8"),
    }
    assert [field.name for field in SCHEMA.numeric] == list(reads)
    return [(start + offset, code, kind) for offset, code, kind in reads.values()]


class Made(NamedTuple):
    """A recording, and what is in it.

    Attributes
    ----------
    root : Path
    channel : Channel
    numbers, times, untils, polls : lists of int
        Of each record.
    states : dict of str to list
        Of each record, by field.
    gaps : ndarray of GAP_DTYPE
    """

    root: Path
    channel: Channel
    numbers: list[int]
    times: list[int]
    untils: list[int]
    polls: list[int]
    states: dict[str, list]
    gaps: np.ndarray

    def rows(self, name: str, places: Sequence[int]) -> list[Row]:
        columns = (self.numbers, self.times, self.untils, self.polls, self.states[name])
        return [Row(*(column[place] for column in columns)) for place in places]


class Plan(NamedTuple):
    """Where a recording is divided; rows count through all segments.

    Attributes
    ----------
    segments : list of int
        At which rows one begins, and the end of all.
    blocks : list of list of int
        Of each segment, at which rows a block begins.
    """

    segments: list[int]
    blocks: list[list[int]]


def plan(chance: random.Random) -> Plan:
    segments, blocks = [0], []
    for zones in chance.choice([[3], [4], [2, 1], [1, 2], [2, 0, 1]]):
        first, begins, row = segments[-1], [], 0
        size = zones * ZONE + chance.choice([0, 0, 1, 300, ZONE - 1])
        while row < (size or 5):
            begins.append(first + row)
            row += min(ZONE - row % ZONE, chance.choice([1, 150, 600, ZONE, ZONE, ZONE]))
            row = min(row, size or 5)
        segments.append(first + row)
        blocks.append(begins)
    return Plan(segments, blocks)


def _changes(chance: random.Random, given: Plan, count: int) -> np.ndarray:
    """Which of a field's values each row has: a few runs, and perhaps a zone in which it never rests."""
    edges = [first + z for first in given.segments for z in range(0, 5 * ZONE, ZONE)]
    edges += [row for begins in given.blocks for row in begins]
    points = [chance.choice(edges) + chance.choice([0, 0, 0, -1, 1]) for _ in range(chance.randrange(5))]
    points += [chance.randrange(count) for _ in range(chance.randrange(2))]
    which = np.zeros(count, np.int64)
    for low in sorted(max(0, point) for point in points):
        which[low:] = chance.randrange(100)
    if chance.random() < 0.4:
        low = chance.choice(edges)
        noisy = slice(low, low + chance.choice([2, 30, ZONE]))
        which[noisy] = [chance.randrange(100) for _ in which[noisy]]
    return which


def made(root: Path, seed: int, store: str) -> Made:
    """Some thousand records: silences, losses of all causes, and, if they may, stamps that fall."""
    chance = random.Random(f"{seed} {store}")
    given = plan(chance)
    count = given.segments[-1]
    holds = store == "changes"
    borders = {row for begins in given.blocks for row in begins} - {0}
    quiet = {chance.choice([*borders, 1, 2, 3]) for _ in range(2)} | {chance.randrange(count) for _ in "ab"}
    falls = set() if holds or seed % 2 else {chance.choice([*borders, 5]), chance.randrange(count)}

    times, untils, polls = [], [], []
    now = START_NS
    for row in range(count):
        now += STEP + SILENCE * (row in quiet) - 20_000 * (row in falls)
        times.append(now)
        # A few holds last longer than the silence that an interval is broken by.
        polls.append(chance.choice([1, 1, 5] if chance.random() < 0.997 else [4_000]) if holds else 1)
        now += (polls[-1] - 1) * 7
        untils.append(now)

    numbers, lost, number = [], {row: [] for row in borders}, 0
    unsaid = []  # a reader says by itself that numbers are missing
    for row in range(count):
        if row in borders and chance.random() < 0.4:
            for cause in chance.sample([2, 3, 4, 6], chance.randint(1, 2)):
                lost[row].append((number, chance.randint(1, 9), cause, 0, times[row] - 3, times[row] - 2))
        if row in borders and chance.random() < 0.2:
            missing, cause = chance.randint(1, 40), chance.choice([None, 1, 5])
            if cause:
                lost[row].append((number, missing, cause, 0, times[row] - 3, times[row] - 2))
            else:
                unsaid.append((number, missing, 5, 5, times[row - 1], times[row]))
            number += missing
        numbers.append(number)
        number += 1

    which = {name: _changes(chance, given, count) % len(VALUES[name]) for name in NAMES}
    payload = np.zeros(count, FORM)
    for name in NAMES:
        if name not in ("low", "high", "wide", "side", "url"):
            payload[name] = np.array(VALUES[name], FORM[name].base)[which[name]]
    low, high = (np.array(VALUES[name])[which[name]] for name in ("low", "high"))
    payload["bits"] = low | (high & 31) << 9
    wide, side = ([VALUES[name][one] for one in which[name]] for name in ("wide", "side"))
    payload["wider"] = [
        ((one & 2**64 - 1) << 5 | (other & 7) << 69).to_bytes(9, "little")
        for one, other in zip(wide, side, strict=True)
    ]

    folder = Folder(root)
    folder.session()
    start = SCHEMA.payload_offset(store)
    size = SCHEMA.record(store).itemsize
    channel = Channel(
        folder,
        "one",
        schema=SCHEMA.to_dict(),
        digest=SCHEMA.digest,
        descr=_descr(store),
        size=size,
        numeric=_numeric(start),
        store=store,
    )
    for first, stop, begins in zip(given.segments, given.segments[1:], given.blocks, strict=False):
        segment = channel.segment()
        # Each segment numbers its texts in its own order, and the same text may have several ids.
        texts = [*chance.choices(["a", "b"], k=3), "a", "b"]
        ids = {None: [0], LOST: [2**64 - 1]}
        for identifier, text in enumerate(texts, 1):
            ids.setdefault(text, []).append(identifier)
        payload["url"][first:stop] = [chance.choice(ids[VALUES["url"][k]]) for k in which["url"][first:stop]]
        for low, high in zip(begins, [*begins[1:], stop], strict=True):
            rows = []
            for row in range(low, high):
                stamps = struct.pack("<q", times[row])
                if holds:
                    stamps += struct.pack("<qQq", untils[row], polls[row], 7 * (polls[row] > 1))
                rows.append((stamps + payload[row].tobytes()).ljust(size, b"\0"))
            segment.commit(numbers[low], rows, gaps=lost.get(low, []), texts=texts)
            texts = []
    folder.close({"one": channel})
    states = {name: [meant(name, VALUES[name][k]) for k in which[name]] for name in NAMES}
    gaps = np.array(
        sorted([gap for some in lost.values() for gap in some] + unsaid),
        [(name, GAP_DTYPE[name]) for name in ("seq", "count", "cause", "code", "t_first", "t_last")],
    )
    return Made(root, channel, numbers, times, untils, polls, states, gaps)


def _descr(store: str) -> str:
    # What a header says is judged elsewhere; here it only has to be right.
    header = layout.npy_header(SCHEMA.storage(store)).decode("latin-1")
    return header.partition("'descr': ")[2].rpartition("}")[0].rstrip().rstrip(",")
