"""The mutator of the fuzzer: it changes what the files of a recording say, and makes their checksums right.

Without the second part hardly an input would come further than the first checksum. What is changed is a
field, a row, a line, a member of JSON, the bytes of a header; sometimes it stays unsealed, as damage does.
"""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from recording.writer import UUID, crc, seed
from stress.packing import CHANNELS, MOST, ROLES, Files, pack, unpack

from fastrec.errors import FastrecError
from fastrec.schema import Schema

Mutate = Callable[[bytes, int], bytes]
"""A mutator of bytes: what there is, and how many it may become."""

ROW_CODES = {"index": "QqqQQQIIII", "gaps": "QQIiqqII", "clocks": "qqqqqII"}
SIZES = {"Q": 8, "q": 8, "I": 4, "i": 4}

NUMBERS = (
    *(0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 63, 64, 65, 100, 127, 128, 255, 256, 1000),
    *(1023, 1024, 1025, 65_535, 65_536, 99_999_999, 100_000_000),
    *(1 << power for power in (31, 32, 53, 61, 62, 63)),
    *((1 << power) - 1 for power in (31, 32, 62, 63, 64)),
)
TEXTS = (
    *("", ".", "..", "/", "\0", "a/b", "\x1b[31m", "\ud800", "\udcff", "mono_ns", "until_ns", "a" * 300),
    *("O", "T", "V0", "|V8", "<i4", ">f8", "<u8", "<U4", "(1000000,1000)u1", "|b1", "<f2", "<c16"),
    *(
        "max",
        "1e999999999",
        "1/0",
        "1/3",
        "0",
        "1e-99",
        "1e99",
        "every",
        "changes",
        "utf-16",
        "direct",
        "msvc-x86",
        "big",
    ),
    *("status", "held", "+02:00", "Europe/Berlin", "../x", "fastrec.0.0123456789abcdef", "monotonic", "mark"),
)
NASTY = (
    *(None, True, False, -1, 0.5, -0.0, 1e308, 5e-324, float("inf"), 10**400, -(1 << 63), *NUMBERS, *TEXTS),
    *([], {}, [[]], [0] * 70, [1 << 40, 1 << 40], {"a": {}}, {"name": "x"}, {"0": "a", "-1": "b"}),
)


def bent(document: Any, rng: random.Random) -> Any:
    """JSON in which some places are something else."""
    document = json.loads(json.dumps(document))
    for _ in range(rng.choice((1, 1, 2, 3))):
        node = document
        while isinstance(node, dict | list) and node:
            key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
            if not isinstance(node[key], dict | list) or not node[key] or not rng.randrange(4):
                break
            node = node[key]
        if not isinstance(node, dict | list) or not node:
            return document
        kind = rng.randrange(8)
        if kind == 0:
            del node[key]
        elif kind == 1 and type(node[key]) is int:
            node[key] += rng.choice((-1, 1, 8, -8))
        elif kind == 2 and isinstance(node[key], str):
            at = rng.randrange(len(node[key]) + 1)
            node[key] = (
                node[key][:at]
                + chr(rng.choice((0, 31, 46, 58, 91, 255, 0xD800, 0xFFFD)))
                + node[key][at + 1 :]
            )
        elif kind == 3 and isinstance(node, list):
            node.insert(rng.randrange(len(node) + 1), node[key])
        elif kind == 4 and isinstance(node, dict):
            node[rng.choice((*node, "shape", "bits", "members", "text", "labels", "crc"))] = node[key]
        elif kind == 5 and isinstance(node, dict):
            node[key] = rng.choice(list(node.values()))
        else:
            node[key] = rng.choice(NASTY)
    return document


def bent_json(data: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    """The same of a text of JSON; now and then its bytes."""
    if rng.randrange(8):
        with suppress(ValueError, RecursionError):
            return json.dumps(bent(json.loads(data), rng), separators=(",", ":")).encode()
    return mutate(data, len(data) + 64)


# Files


def kind_of(role: str) -> str:
    return role.rsplit("/", 1)[-1].split(".")[0]


def _header_size(data: bytes) -> int:
    return 10 + int.from_bytes(data[8:10], "little") if len(data) >= 10 else len(data)


def _row_size(role: str, data: bytes, files: Files) -> int:
    kind = kind_of(role)
    if kind in ROW_CODES:
        return sum(SIZES[code] for code in ROW_CODES[kind])
    if kind == "zones":
        found = re.search(rb"'min', '<u8', \(([0-9]{1,3}),", data)
        return 16 + 32 * int(found[1]) if found else 8
    found = re.search(
        rb'"record_size":([1-9][0-9]{0,5}),', files.get(f"{role.rsplit('/', 1)[0]}/channel.json", b"")
    )
    return int(found[1]) if found else 8


def _changed_row(kind: str, row: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    codes = ROW_CODES.get(kind)
    if codes is None or len(row) != sum(SIZES[code] for code in codes) or not rng.randrange(6):
        return mutate(row, len(row)).ljust(len(row), b"\0")[: len(row)]
    values = list(struct.unpack("<" + codes, row))
    at = rng.randrange(len(values) - 1)
    width = 8 * SIZES[codes[at]]
    value = rng.choice(
        (
            values[at] + 1,
            values[at] - 1,
            rng.choice(values),
            values[at] + rng.choice(values),
            rng.choice(NUMBERS),
        )
    )
    value %= 1 << width
    values[at] = value - (1 << width) if codes[at] in "qi" and value >= 1 << width - 1 else value
    return struct.pack("<" + codes, *values)


def _changed_table(role: str, data: bytes, files: Files, rng: random.Random, mutate: Mutate) -> bytes:
    begin, size = _header_size(data), _row_size(role, data, files)
    head, body = data[:begin], data[begin:]
    kind = rng.randrange(12)
    if kind == 0:
        return mutate(head, len(head) + 16) + body
    if kind == 1:
        return head[:24] + b"%8d" % rng.choice(NUMBERS[:29]) + head[32:] + body
    if kind == 2:
        return data[: rng.randrange(len(data) + 1)]
    if kind == 3:
        return data + rng.choice(
            (bytes(size), bytes(rng.randrange(2 * size)), body[: rng.randrange(len(body) + 1)])
        )
    rows = [body[at : at + size] for at in range(0, len(body), size)]
    if not rows:
        return data + bytes(size)
    at, other = rng.randrange(len(rows)), rng.randrange(len(rows))
    if kind == 4:
        del rows[at]
    elif kind == 5:
        rows.insert(at, rows[other])
    elif kind == 6:
        rows[at], rows[other] = rows[other], rows[at]
    else:
        rows[at] = _changed_row(kind_of(role), rows[at], rng, mutate)
    return head + b"".join(rows)


def _changed_lines(data: bytes, rng: random.Random, mutate: Mutate) -> bytes:
    lines = data.splitlines(keepends=True)
    kind = rng.randrange(10)
    if kind == 0 or not lines:
        return mutate(data, len(data) + 64)
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    if kind == 1:
        del lines[at]
    elif kind == 2:
        lines.insert(at, lines[other])
    elif kind == 3:
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 4:
        return data[: rng.randrange(len(data) + 1)]
    else:
        try:
            members = json.loads(lines[at])
            members.pop("crc", None)
        except (ValueError, RecursionError, AttributeError):
            lines[at] = mutate(lines[at], len(lines[at]) + 64)
        else:
            text = bent_json(json.dumps(members, separators=(",", ":")).encode(), rng, mutate)
            lines[at] = text[: text.rfind(b"}")] + b',"crc":"00000000"}\n'
    return b"".join(lines)


def changed(files: Files, focus: tuple[str, ...], rng: random.Random, mutate: Mutate) -> Files:
    """A recording in which a few things are changed; of files of the kinds in `focus`, if there are some."""
    files = dict(files)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        known = [role for role in files if kind_of(role) in focus] or list(files)
        role = rng.choice(known)
        kind = rng.randrange(40)
        if kind == 0:
            del files[role]
        elif kind == 1:
            files[rng.choice([one for one in ROLES if kind_of(one) == kind_of(role)])] = files[role]
        elif role.endswith(".npy"):
            files[role] = _changed_table(role, files[role], files, rng, mutate)
        else:
            files[role] = _changed_lines(files[role], rng, mutate)
        if not files:
            break
    return files


# Checksums


def _uuid(files: Files) -> bytes:
    found = re.search(rb'"uuid":"([0-9a-f]{32})"', files.get("recording.json", b""))
    return bytes.fromhex(found[1].decode()) if found else UUID


def _place(role: str) -> tuple[str, int]:
    parts = role.split("/")
    number = re.search(r"\.([0-9]{6})\.", role)
    return parts[1] if len(parts) > 1 else "", int(number[1]) if number else 0


def _sealed_lines(role: str, data: bytes, uuid: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines):
        body, mark, _ = line.rpartition(b',"crc":"')
        if not mark or not line.endswith(b"\n"):
            continue
        start = 0 if role == "recording.json" else seed(uuid, *_place(role), number)
        lines[number] = body + b',"crc":"%08x"}\n' % crc(start, body)
    return b"".join(lines)


def _sealed_rows(role: str, data: bytes, files: Files, uuid: bytes) -> bytes:
    begin, size = _header_size(data), _row_size(role, data, files)
    parts = [data[:begin]]
    for number, at in enumerate(range(begin, len(data), size)):
        row = data[at : at + size]
        if len(row) == size and row.strip(b"\0"):
            row = row[:-4] + struct.pack("<I", crc(seed(uuid, *_place(role), number), row[:-4]))
        parts.append(row)
    return b"".join(parts)


def _sealed_blocks(role: str, index: bytes, files: Files, uuid: bytes) -> bytes:
    """Index rows with the checksums of the records that are there."""
    records_role = role.replace("index.", "records.")
    records = files.get(records_role, b"")
    begin, size = _header_size(records), _row_size(records_role, records, files)
    at, row_at = _header_size(index), 0
    out = bytearray(index)
    while at + 64 <= len(index):
        rows = int.from_bytes(index[at + 48 : at + 52], "little")
        if not rows <= 1024:
            break
        block = records[begin + row_at * size : begin + (row_at + rows) * size]
        struct.pack_into("<I", out, at + 52, crc(seed(uuid, *_place(role), row_at), block))
        at, row_at = at + 64, row_at + rows
    return bytes(out)


def _true_definition(data: bytes) -> bytes:
    """A ``channel.json`` whose digest and size are those of its schema."""
    with suppress(ValueError, RecursionError, AttributeError, TypeError, KeyError, FastrecError):
        members = json.loads(data)
        made = Schema.from_json(members["schema"])
        members["digest"] = made.digest
        store = members["options"]["store"]
        members["record_size"] = made.storage(store if store in ("every", "changes") else "every").itemsize
        members["crc"] = members.pop("crc")  # the last
        return json.dumps(members, separators=(",", ":")).encode() + b"\n"
    return data


def sealed(files: Files, *, blocks: bool = True) -> Files:
    """The same files, every checksum right; with `blocks`, those of the records too."""
    files = {
        role: _true_definition(data) if kind_of(role) == "channel" else data for role, data in files.items()
    }
    uuid = _uuid(files)
    for role, data in files.items():
        if not role.endswith(".npy"):
            files[role] = _sealed_lines(role, data, uuid)
        elif kind_of(role) != "records":
            if blocks and kind_of(role) == "index":
                data = _sealed_blocks(role, data, files, uuid)
            files[role] = _sealed_rows(role, data, files, uuid)
    return files


def _told_sizes(files: Files) -> Files:
    """A ``closed.json`` that tells the sizes which the files have."""
    with suppress(ValueError, RecursionError, AttributeError, TypeError, KeyError):
        members = json.loads(files["closed.json"])
        members["files"] = {role: len(data) for role, data in files.items() if role != "closed.json"}
        members["crc"] = members.pop("crc")
        return files | {"closed.json": json.dumps(members, separators=(",", ":")).encode() + b"\n"}
    return files


def forged(data: bytes, number: int, focus: tuple[str, ...], mutate: Mutate, *, fixing: bool = True) -> bytes:
    """Another packed recording, made of this one.

    Parameters
    ----------
    number : int
        Decides what is changed.
    focus : tuple of str
        In which kinds of files.
    fixing : bool
        False: nothing is sealed, to see what that is worth.
    """
    rng = random.Random(number)
    files = unpack(data)
    if not files:
        return data
    files = changed(files, focus, rng, mutate)
    how = rng.randrange(8)
    if fixing and how:
        if how != 1:
            files = _told_sizes(files)
        files = sealed(files, blocks=how < 6)
    if sum(map(len, files.values())) > MOST // 8:
        return data
    return pack(files)


def crossed(one: bytes, other: bytes, number: int, *, fixing: bool = True) -> bytes:
    """A recording with files of two others; `fixing` as for `forged`."""
    rng = random.Random(number)
    first, second = unpack(one), unpack(other)
    chosen = {role: rng.choice((first, second)).get(role) for role in ROLES}
    whole = rng.choice(CHANNELS)
    chosen |= {role: second.get(role) for role in ROLES if role.startswith(f"channels/{whole}/")}
    files = {role: data for role, data in chosen.items() if data is not None}
    return pack(sealed(files, blocks=False) if fixing else files)
