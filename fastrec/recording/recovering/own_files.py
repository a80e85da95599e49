"""The recording's own files, line by line and row by row: what it is, sessions, marks, stats, clocks."""

from __future__ import annotations

import json
import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from fastrec.core.crc32c import crc32c
from fastrec.errors import CorruptionError, FormatError, RecordingError
from fastrec.recording import layout
from fastrec.recording.lines import LINE_LIMIT
from fastrec.recording.opening import JSON_LIMIT
from fastrec.recording.recovering.findings import Findings
from fastrec.recording.recovering.unseeding import told_states, uuid_with
from fastrec.recording.torn import Patch, TornFile, between, whole_file
from fastrec.recording.writing.files import create, write_all
from fastrec.timezones import local_zone_name

__all__ = ["Identity", "identify", "save_clocks", "save_file", "save_lines", "save_object"]

_UUID = re.compile(rb'"uuid":"([0-9a-f]{32})"')
_DEFAULTS = {"host": "", "timezone": "", "created_ns": 0, "metadata": {}}


class Identity(NamedTuple):
    """Which recording it is: the uuid that its checksums are seeded with, and its ``recording.json``."""

    uuid: bytes
    data: bytes


def save_file(target: Path, *parts: str, data: bytes) -> None:
    """Write a file of our own folder."""
    descriptor = create(target.joinpath(*parts))
    try:
        write_all(descriptor, data, 0)
    finally:
        os.close(descriptor)


def save_object(target: Path, *parts: str, data: bytes, findings: Findings) -> None:
    """Write a file of one JSON object that is whole; no checksum covers the newline at its end."""
    if not data.endswith(b"\n"):
        findings.tear("/".join(parts), len(data), len(data) + 1, "the newline at its end", saved=True)
        data += b"\n"
    save_file(target, *parts, data=data)


def identify(root: Path, segments: dict[str, list[int]], findings: Findings) -> Identity:
    """Find out the uuid, if need be from the checksums that it seeded.

    Parameters
    ----------
    segments : dict of str to list of int
        Per channel the numbers of its segments.

    Raises
    ------
    FormatError
        The recording is of a format that this version does not know.
    """
    data = whole_file(root, "recording.json")
    members, whole = _members(data)
    told = told_states(root, list(segments), segments)
    best, count = told.most_common(1)[0] if told else (None, 0)
    uuid = members.get("uuid")
    readable = _UUID.search(data or b"")
    if isinstance(uuid, str) and re.fullmatch("[0-9a-f]{32}", uuid):
        own = bytes.fromhex(uuid)
    else:
        own = bytes.fromhex(readable[1].decode()) if readable else None
    if whole and members.get("format") != layout.FORMAT_VERSION:
        raise FormatError(
            f"{root}: format {members.get('format')!r:.40}, but this fastrec reads {layout.FORMAT_VERSION};"
            " update it"
        )
    if own is not None and (crc32c(own) in told or count < 2):
        if whole and data is not None:
            return Identity(own, data)
        how = "its uuid was read from what is left"
    elif count >= 2 or best is not None:
        own, how = uuid_with(best), "a uuid was made that fits the checksums of the other files"
    else:
        own, how = os.urandom(16), "nothing tells its uuid, so no checksum can be checked"
    why = "is missing" if data is None else "is of another recording" if whole else "is damaged"
    kept = {key: value for key, value in members.items() if key not in ("format", "uuid")}
    made = _DEFAULTS | {"timezone": local_zone_name(), "tool": f"fastrec {version('fastrec')}"} | kept
    lost = sorted({*_DEFAULTS, "tool"} - set(kept))
    findings.problems.append(
        f"recording.json: {why}; {how}"
        + (
            f"; {', '.join(lost)} are lost"
            if lost
            else "; its other members are as they could be read, unproven"
        )
    )
    if "created_ns" not in kept:
        made["created_ns"] = _first_realtime(root, own)
    sealed = layout.seal_json({"format": layout.FORMAT_VERSION, "uuid": own.hex(), **made}, 0)
    return Identity(own, sealed)


def _members(data: bytes | None) -> tuple[dict[str, Any], bool]:
    """What can be read of ``recording.json``, and whether it is whole."""
    if data is None:
        return {}, False
    try:
        return layout.check_json(data, 0), True
    except (CorruptionError, FormatError):
        return damaged_json(data), False


def damaged_json(data: bytes) -> dict[str, Any]:
    """The members of an object that does not match its checksum, if it is JSON all the same; else none."""
    if len(data) > LINE_LIMIT:
        return {}
    try:
        found = json.loads(data.decode("ascii"), parse_constant=lambda name: None)
        json.dumps(found, allow_nan=False)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if key != "crc"}


def _first_realtime(root: Path, uuid: bytes) -> int:
    with TornFile(root, "clocks.npy") as file:
        _, rows = file.rows(layout.CLOCK_DTYPE, layout.place(uuid))
    return int(rows["realtime"][0]) if len(rows) else 0


def _tell_missing(file: TornFile, size: int | None, what: str, findings: Findings) -> None:
    """Tell that a file is not there, or ends before the `size` that it had when the recording was closed."""
    if not file.present and size != -1:
        findings.problems.append(f"{file.name}: {file.why}{what}")
    elif file.size < (size or 0):
        findings.tear(file.name, file.size, size or 0, "the file ends before")


def save_lines(
    root: Path, target: Path, name: str, uuid: bytes, findings: Findings, size: int | None = None
) -> list[dict[str, Any]]:
    """Copy the whole lines of a ``.jsonl`` file.

    Parameters
    ----------
    size : int, optional
        What ``closed.json`` says that it had; -1: that there was none.

    Returns
    -------
    list of dict
        Of ``stats.jsonl`` the newest line of every channel, of the other files all lines.
    """
    base = layout.place(uuid)
    kept: dict[Any, dict[str, Any]] = {}
    with TornFile(root, name) as file:
        _tell_missing(file, size, "", findings)
        if not file.present:
            return []
        descriptor, end, count = create(target / name), 0, 0
        try:
            for one in file.lines(base):
                seed = layout.seed_at(base, count)
                line = b"" if isinstance(one, Patch) else layout.seal_body(one.body, seed)
                members = _json(line, seed)
                if members is None:
                    start = one.start
                    stop = one.stop if isinstance(one, Patch) else one.start + len(one.body)
                    findings.tear(name, start, stop, "no whole line")
                    continue
                write_all(descriptor, line, end)
                kept[members.get("channel") if name == "stats.jsonl" else count] = members
                end, count = end + len(line), count + 1
        finally:
            os.close(descriptor)
    return list(kept.values())


def _json(line: bytes, seed: int) -> dict[str, Any] | None:
    """What a reader makes of a line; None: it is none for a reader."""
    if len(line) >= LINE_LIMIT:
        return None
    try:
        return layout.check_json(line, seed)
    except (CorruptionError, FormatError):
        return None


def save_clocks(root: Path, target: Path, uuid: bytes, findings: Findings, size: int | None = None) -> int:
    """Copy the whole rows of ``clocks.npy``, `size` as for `save_lines`; the first of their stamps, or 0."""
    dtype, base = layout.CLOCK_DTYPE, layout.place(uuid)
    with TornFile(root, "clocks.npy") as file:
        _tell_missing(file, size, ": dates come from recording.json alone", findings)
        if not file.present:
            return 0
        if file.size > JSON_LIMIT:
            raise RecordingError(
                f"{root / 'clocks.npy'}: {file.size:,} bytes; more than {JSON_LIMIT:,} are not read"
            )
        numbers, rows = file.rows(dtype, base)
        begin, width = layout.header_size(dtype), dtype.itemsize
        if not file.header_is(layout.npy_header(dtype)):
            findings.tear("clocks.npy", 0, begin, "its header, which was made anew", saved=True)
        there = -(-(file.last_filled() - begin) // width)
    for first, last in between(numbers, max(0, there)):
        findings.tear("clocks.npy", begin + first * width, begin + last * width, "no whole rows")
    data = layout.npy_header(dtype, len(rows))
    save_file(target, "clocks.npy", data=data + layout.seal_rows(rows, base).tobytes())
    return int(rows["monotonic"][0]) if len(rows) else 0
