"""The bytes of a recording (FORMAT.md): rows as dtypes, ``.npy`` headers, seeds, sealed JSON, file names.

Pure functions on bytes and arrays; nothing here opens a file. Writers and readers both stand on this, so a
header is compared with the very bytes that a writer would have written.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from fastrec.core.crc32c import crc32c, row_checksums
from fastrec.errors import CorruptionError, FormatError
from fastrec.schema.gaps import GAP_DTYPE

__all__ = [
    "BLOCK_ROWS",
    "CHANNEL_NAME",
    "CLOCK_DTYPE",
    "COUNT_DIGITS",
    "COUNT_OFFSET",
    "FORMAT_VERSION",
    "GAP_ROW_DTYPE",
    "INDEX_AGAIN",
    "INDEX_DECREASING",
    "INDEX_DTYPE",
    "INDEX_STEADY",
    "INDEX_UNPROVEN",
    "KINDS",
    "MAX_ROWS",
    "MOST_SEGMENTS",
    "RATE",
    "check_header",
    "check_json",
    "descr",
    "header_size",
    "line_number",
    "npy_header",
    "place",
    "read_rows",
    "row_seed",
    "seal_body",
    "seal_json",
    "seal_rows",
    "seed_at",
    "segment_file",
    "segment_number",
    "whole_rows",
    "zone_dtype",
]

FORMAT_VERSION = 1

BLOCK_ROWS = 1024
"""Records in a zone, and at most in a block."""

MAX_ROWS = 99_999_999
"""Rows of one file: what fits in the eight digits of its count."""

COUNT_OFFSET, COUNT_DIGITS = 24, 8
HEADER_LIMIT = 10_000
"""``max_header_size`` of ``numpy.load``: it refuses a longer header unless pickles are allowed."""

INDEX_DECREASING, INDEX_UNPROVEN, INDEX_AGAIN, INDEX_STEADY = 1, 2, 4, 8
"""Bits of an index row's ``flags``: stamps decrease in the block; salvaged, no checksum proved its records;
losses of earlier segments from here on are told again; no stamp of the segment decreased up to here."""

INDEX_DTYPE = np.dtype(
    [
        ("first_seq", "<u8"),
        ("t_min", "<i8"),
        ("t_max", "<i8"),
        ("durable_seq", "<u8"),
        ("gap_rows", "<u8"),
        ("string_bytes", "<u8"),
        ("rows", "<u4"),
        ("crc_rows", "<u4"),
        ("flags", "<u4"),
        ("crc", "<u4"),
    ]
)

GAP_ROW_DTYPE = np.dtype(
    [(name, GAP_DTYPE[name].str) for name in GAP_DTYPE.names] + [("reserved", "<u4"), ("crc", "<u4")]
)

CLOCK_DTYPE = np.dtype(
    [
        ("monotonic", "<i8"),
        ("realtime", "<i8"),
        ("boottime", "<i8"),
        ("tsc", "<i8"),
        ("uncertainty", "<i8"),
        ("reserved", "<u4"),
        ("crc", "<u4"),
    ]
)


@lru_cache(maxsize=64)
def zone_dtype(k: int) -> np.dtype:
    """Dtype of a zone row over ``k`` numeric scalars: ``16 + 32 * k`` bytes.

    ``min``, ``max`` and ``sum`` are 8-byte patterns: view column ``j`` as the `Field.kind` of numeric field
    ``j``. ``nan`` is of an integer its turn.
    """
    columns = [(name, "<u8", (k,)) for name in ("min", "max", "sum", "nan")]
    return np.dtype([("polls", "<u8"), *columns, ("silence_us", "<u4"), ("crc", "<u4")])


# Headers


def descr(dtype: np.dtype) -> list[tuple]:
    """The ``descr`` of a structured dtype, padding spelled out as ``('', '|Vn')``.

    Our own rather than ``dtype.descr``: the header is compared byte for byte, so its text must not follow
    NumPy's versions.

    Raises
    ------
    FormatError
        Fields overlap or are not in offset order, which ``.npy`` cannot say.
    """
    entries: list[tuple] = []
    end = 0
    for name in dtype.names:
        field, offset = dtype.fields[name][:2]
        if offset < end:
            raise FormatError(
                f"field {name!r} at {offset} overlaps the one before it, which ends at {end};"
                " .npy cannot hold that"
            )
        if offset > end:
            entries.append(("", f"|V{offset - end}"))
        base, shape = field.subdtype or (field, ())
        inner = base.str if base.names is None else descr(base)
        entries.append((name, inner, tuple(int(n) for n in shape)) if shape else (name, inner))
        end = offset + field.itemsize
    if end < dtype.itemsize:
        entries.append(("", f"|V{dtype.itemsize - end}"))
    return entries


@lru_cache(maxsize=64)  # of a channel's files the same few, for every segment
def _header(dtype: np.dtype, rows: int) -> bytes:
    text = f"{{'shape': (   {rows:{COUNT_DIGITS}d},), 'fortran_order': False, 'descr': {descr(dtype)!r}}}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    if len(text) > HEADER_LIMIT:
        raise FormatError(f"a header of {len(text):,} bytes: numpy.load refuses more than {HEADER_LIMIT:,}")
    try:
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise FormatError(f"a .npy header of version 1.0 cannot spell {text[error.start]!r}") from error


def npy_header(dtype: np.dtype, rows: int = 0) -> bytes:
    """The whole header of a one-dimensional ``.npy`` file, count included.

    Parameters
    ----------
    dtype : structured dtype
        Fields in offset order, none overlapping.
    rows : int
        0 to 99,999,999. It stands right-aligned in the eight bytes at `COUNT_OFFSET`.

    Returns
    -------
    bytes
        A multiple of 64 long.

    Raises
    ------
    FormatError
        Overlapping fields, too many rows, a header of more than 10,000 bytes, or a name outside Latin-1. A
        schema's ``storage_dtype`` has none of these.
    """
    if not 0 <= rows <= MAX_ROWS:
        raise FormatError(f"a file holds 0 to {MAX_ROWS:,} rows, not {rows:,}: begin another segment")
    return _header(dtype, rows)


def header_size(dtype: np.dtype) -> int:
    """Bytes before the first row."""
    return len(_header(dtype, 0))


def check_header(start: bytes, expected: bytes, where: object) -> int:
    """Compare the start of a file with the header it must have, and return the row count it states.

    Only the eight bytes of the count may differ; nothing is evaluated.

    Raises
    ------
    CorruptionError
        Any other byte differs, bytes are missing, or the count is no number.
    """
    after = COUNT_OFFSET + COUNT_DIGITS
    if len(start) < len(expected):
        raise CorruptionError(f"{where}: {len(start)} bytes, shorter than its header of {len(expected)}")
    if start[:COUNT_OFFSET] != expected[:COUNT_OFFSET] or start[after : len(expected)] != expected[after:]:
        raise CorruptionError(f"{where}: the header is not the one that its schema calls for")
    count = start[COUNT_OFFSET:after]
    if not re.fullmatch(rb" *(0|[1-9][0-9]*)", count):
        raise CorruptionError(f"{where}: the header's row count is {count!r}, which is no number")
    return int(count)


# Seeds and rows


def place(uuid: bytes, channel: str = "", segment: int = 0) -> int:
    """Checksum of where a file is: a seed before its row number.

    Parameters
    ----------
    uuid : bytes
        The 16 bytes of the recording's uuid.
    channel : str
        Name of the channel; empty for the recording's own files.
    segment : int
        0 for files that belong to no segment.
    """
    return crc32c(uuid + channel.encode("ascii") + struct.pack("<I", segment))


def row_seed(uuid: bytes, channel: str, segment: int, row: int) -> int:
    """Seed of a row, a JSON line, or the block that begins with a row (FORMAT.md section 1)."""
    return seed_at(place(uuid, channel, segment), row)


def seed_at(base: int, row: int) -> int:
    """Seed of row `row` of the file whose `place` is `base`."""
    return crc32c(struct.pack("<Q", row), base)


def _checksums(rows: np.ndarray, base: int, first: int) -> np.ndarray:
    sums = np.empty(len(rows), "<u4")
    row_checksums(rows.view(np.uint8), rows.dtype.itemsize, base, first, sums)
    return sums


def whole_rows(rows: np.ndarray, base: int, first: int = 0) -> np.ndarray:
    """Which rows match their checksum.

    Parameters
    ----------
    rows : structured ndarray, shape (n,), contiguous
        Rows that end in a ``crc``.
    base : int
        `place` of their file.
    first : int
        Number of the first of them.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    return _checksums(rows, base, first) == rows["crc"]


def seal_rows(rows: np.ndarray, base: int, first: int = 0) -> np.ndarray:
    """Fill in the ``crc`` of rows, in place, and return them; parameters as in `whole_rows`."""
    rows["crc"] = _checksums(rows, base, first)
    return rows


def read_rows(data: bytes, dtype: np.dtype, base: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a ``.npy`` file in memory, whatever its count says, and which of them match their checksum.

    Raises
    ------
    CorruptionError
        Its header is not the one of `dtype`.
    """
    header = npy_header(dtype)
    check_header(data, header, where)
    rows = np.frombuffer(data, dtype, (len(data) - len(header)) // dtype.itemsize, len(header))
    return rows, whole_rows(rows, base)


# JSON

_SEAL = b',"crc":"'
_SEALED = re.compile(rb'\{.*(,"crc":"([0-9a-f]{8})"\})', re.DOTALL)
_READER = json.JSONDecoder(parse_constant=lambda name: _refuse(name))  # to make one takes longer than to read


def seal_json(members: Mapping[str, Any], seed: int) -> bytes:
    """One line of JSON, ASCII, without spaces, its checksum as the last member, newline included.

    Raises
    ------
    FormatError
        No members, a member called ``crc``, or a value that JSON cannot hold (NaN too).
    """
    if not members or "crc" in members:
        raise FormatError("a JSON object of a recording has at least one member, and none called 'crc'")
    try:
        text = json.dumps(dict(members), separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise FormatError(f"this cannot be written as JSON: {error}") from error
    return seal_body(text[:-1].encode("ascii"), seed)


def seal_body(body: bytes, seed: int) -> bytes:
    """The same of a line's bytes up to the checksum."""
    return body + _SEAL + b'%08x"}\n' % crc32c(body, seed)


def check_json(line: bytes, seed: int, where: object = "a line of JSON") -> dict[str, Any]:
    """Members of a line that `seal_json` wrote, without ``crc``.

    Parameters
    ----------
    line : bytes
        With or without its newline.
    seed : int
        `row_seed` of the line; 0 for ``recording.json``.
    where : object
        Begins the message of an error, as text.

    Raises
    ------
    CorruptionError
        The checksum is absent or does not match.
    FormatError
        It matches, but what it covers is no JSON object.
    """
    line = line.removesuffix(b"\n")
    if (sealed := _SEALED.fullmatch(line)) is None:
        raise CorruptionError(f"{where}: not a whole object with a checksum at its end")
    if crc32c(line[: sealed.start(1)], seed) != int(sealed[2], 16):
        raise CorruptionError(f"{where}: does not match its checksum")
    try:
        members = _READER.decode(line.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: is sealed, but is no JSON: {error}") from error
    except MemoryError as error:
        raise FormatError(f"{where}: {len(line):,} bytes of JSON need more memory than there is") from error
    members.pop("crc", None)
    return members


def line_number(line: bytes, base: int, numbers: Iterable[int]) -> int | None:
    """As which of some numbers a line was sealed in the file whose `place` is `base`; None: as none."""
    line = line.removesuffix(b"\n")
    if (sealed := _SEALED.fullmatch(line)) is None:
        return None
    body, crc = line[: sealed.start(1)], int(sealed[2], 16)
    return next((one for one in numbers if crc32c(body, seed_at(base, one)) == crc), None)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# Names

CHANNEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
"""Use ``fullmatch``."""

RATE = re.compile(r"[0-9]{1,15}(\.[0-9]{0,15})?(e[+-]?[0-9]{1,2})?|[0-9]{1,15}/[0-9]{1,15}")
"""A rate in Hz as text. Use ``fullmatch``, and before `Fraction`, which works for ever on ``1e999999999``."""

KINDS = {"records": "npy", "index": "npy", "zones": "npy", "gaps": "npy", "strings": "jsonl"}
"""The files of a segment and their suffixes."""

_SEGMENT = re.compile(r"(records|index|zones|gaps)\.([0-9]{6,10})\.npy|strings\.([0-9]{6,10})\.jsonl")
MOST_SEGMENTS = 4_294_967_294


def segment_file(kind: str, segment: int) -> str:
    """Name of one file of a segment: ``records.000000.npy``.

    Raises
    ------
    FormatError
        It is no number of a segment.
    """
    if not 0 <= segment <= MOST_SEGMENTS:
        raise FormatError(
            f"segments are numbered from 0 to {MOST_SEGMENTS:,}, not {segment:,}: begin another recording"
        )
    return f"{kind}.{segment:06d}.{KINDS[kind]}"


def segment_number(name: str) -> int | None:
    """Segment that a file name belongs to; None for any other file."""
    match = _SEGMENT.fullmatch(name)
    digits = "" if match is None else match[2] or match[3]
    number = int(digits or -1)
    # One number has one name: zeros fill up six digits and no more.
    return number if digits == f"{number:06d}" and number <= MOST_SEGMENTS else None
