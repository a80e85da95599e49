"""Verifying a recording: every byte under a checksum is read, and every number is found or named in a gap.

Unlike a query it does not stop at the first damage: it lists all there is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastrec.errors import CorruptionError, FastrecError, RecordingError, shown
from fastrec.recording import layout, opening
from fastrec.recording.channel import Channel, Content
from fastrec.recording.closing import all_retired, published, read_closed, totals
from fastrec.recording.gone import Gone, undescribed
from fastrec.recording.lines import read_lines
from fastrec.recording.precedence import spans_of_gaps
from fastrec.recording.proving import check_segment
from fastrec.recording.report import ChannelReport, Report
from fastrec.recording.segment import Segment

__all__ = ["ChannelReport", "Report", "verify"]


def verify(
    root: Path,
    uuid: bytes,
    names: Sequence[str],
    *,
    state: str,
    gone: Mapping[str, Gone],
    sessions: Sequence[Mapping[str, Any]],
) -> Report:
    """Check a recording; see `Recording.verify`."""
    report = Report()
    closed = _check_own_files(report, root, uuid, names) if state == "closed" else None
    if state == "unclean" and opening.has_file(root, "closed.json"):
        report.problems.append(f"{root / 'closed.json'}: is damaged, so the recording counts as not closed")
    report.problems += [f"{root / 'channels' / name}: {one.why}" for name, one in gone.items()]
    _check_ends(report, root, names)
    _check_lines(report, root, uuid, state)
    for name in names:
        try:
            channel = Channel(root, uuid, name)
            content = channel.read(published(closed, name), all_retired=partial(all_retired, closed, name))
        except FastrecError as error:
            report.problems.append(str(error))
            continue
        report.checked += sum(_size(root, "channels", name, file) for file in _files(content))
        report.problems += content.problems
        report.notes += content.tail
        damaged = 0
        for segment in content.segments:
            known = len(report.problems)
            try:
                damaged += check_segment(report, segment)
            except opening.GoneError:
                damaged += segment.length
            if state == "live" and not opening.has_file(root, *segment.parts("records")):
                del report.problems[known:]
                report.notes.append(f"{segment.path('records')}: went while this was checked: it is retired")
        begin = _first_segment(sessions, name)
        for segment in content.segments:
            # Counts of older segments may be behind, if their recorder was killed or their disk failed.
            newest = segment is content.segments[-1] and segment.number >= begin
            wrong = report.problems if newest else report.notes
            _check_headers(
                report, segment, wrong if state == "closed" else None, earlier=segment.number < begin
            )
        _check_numbers(report, channel, content, published(closed, name))
        report.channels[name] = _summary(content, damaged)
    return report


def _files(content: Content) -> list[str]:
    return [
        layout.segment_file(kind, segment.number) for segment in content.segments for kind in layout.KINDS
    ]


def _size(root: Path, *parts: str) -> int:
    found = _found(root, *parts)
    return found if isinstance(found, int) else 0


def _found(root: Path, *parts: str) -> int | str:
    """Bytes of a file, or what to say of one that cannot be read."""
    try:
        with os.fdopen(opening.open_file(root, *parts), "rb") as file:
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        denied = error.__cause__ if isinstance(error.__cause__, PermissionError) else None
        return f"cannot be looked into: {denied.strerror}" if denied else "is gone"


# The recording's own files


def _check_own_files(report: Report, root: Path, uuid: bytes, names: Sequence[str]) -> dict[str, Any]:
    """``closed.json`` against the folder."""
    where = root / "closed.json"
    closed = read_closed(root, uuid)
    files = closed.get("files")
    for path, size in files.items() if isinstance(files, dict) else ():
        found = _found(root, *path.split("/"))
        if found != size:
            is_now = f"has {found:,} bytes" if isinstance(found, int) else found
            report.problems.append(
                f"{root}/{path:.400}: {is_now}; {shown(size)} bytes when the recording was closed"
            )
    for name in totals(closed):
        if not layout.CHANNEL_NAME.fullmatch(name):
            report.problems.append(f"{where}: counts {name!r:.80}, which is no name of a channel")
    for name in names:
        if published(closed, name) is None:
            report.problems.append(f"{where}: has no count of channel {name!r}")
    return closed


def _check_ends(report: Report, root: Path, names: Sequence[str]) -> None:
    """What no checksum covers: the newline behind an object, and that every channel says what it is."""
    described = (("channels", name, "channel.json") for name in names)
    for parts in (("recording.json",), ("closed.json",), *described):
        try:
            whole = opening.read_bytes(root, *parts).endswith(b"}\n")
        except OSError:
            continue  # absent, or no file: whoever needs it says so
        if not whole:
            report.problems.append(f"{root.joinpath(*parts)}: was cut off: it does not end in a newline")
    try:
        report.problems += [
            f"{root / 'channels' / name}: {why}" for name, why in undescribed(root, names).items()
        ]
    except RecordingError as error:
        report.problems.append(str(error))


def _check_lines(report: Report, root: Path, uuid: bytes, state: str) -> None:
    base = layout.place(uuid)
    for name in ("sessions.jsonl", "marks.jsonl", "stats.jsonl"):
        try:
            stop = _size(root, name) if state == "closed" else None
            if stop is None and _ends_unfinished(root, name):
                report.notes.append(f"{root / name}: its last line is unfinished and not committed")
            bad = [
                line
                for _, line in read_lines(root, name, base=base, stop=stop)
                if isinstance(line, RecordingError)
            ]
        except RecordingError as error:
            bad = [error]
        report.problems += [str(error) for error in bad]
        report.checked += _size(root, name)
    clocks = root / "clocks.npy"
    try:
        data = opening.read_bytes(root, "clocks.npy")
        rows, whole = layout.read_rows(data, layout.CLOCK_DTYPE, base, str(clocks))
    except FileNotFoundError:
        report.notes.append(f"{root / 'clocks.npy'}: is missing: dates come from recording.json alone")
        return
    except RecordingError as error:
        report.problems.append(str(error))
        return
    report.checked += rows.nbytes
    bad_rows = np.flatnonzero(~whole).tolist()
    # The last row alone may be half written by a recorder that lives or was killed.
    tolerated = [len(rows) - 1] if state == "live" else []
    report.problems += [
        f"{root / 'clocks.npy'}: row {row} does not match its checksum"
        for row in bad_rows
        if row not in tolerated
    ]
    count = layout.check_header(data, layout.npy_header(layout.CLOCK_DTYPE), str(clocks))
    if count > len(rows) or (count < len(rows) and state == "closed"):
        report.problems.append(f"{clocks}: the header counts {count:,} rows of {len(rows):,}")


def _ends_unfinished(root: Path, name: str) -> bool:
    size = _size(root, name)
    if not size:
        return False
    with os.fdopen(opening.open_file(root, name), "rb") as file:
        return os.pread(file.fileno(), 1, size - 1) not in (b"", b"\n")


# A channel


def _first_segment(sessions: Sequence[Mapping[str, Any]], name: str) -> int:
    """Number of a channel's first segment that is of the newest session."""
    segments = sessions[-1].get("segments") if sessions else None
    first = segments.get(name) if isinstance(segments, dict) else None
    return first if type(first) is int else 0


def _check_headers(report: Report, segment: Segment, wrong: list[str] | None, *, earlier: bool) -> None:
    """Headers, those too that loading a segment does not need; and its counts, if it was closed.

    What was killed in an earlier session leaves the counts of its side files behind for ever: they are raised
    at a sync, a rotation and a close, and nothing needs them.
    """
    gap_rows = int(segment.index["gap_rows"][-1]) if len(segment.index) else 0
    for kind, header, rows in (
        ("records", segment.stock.header, segment.length),
        ("index", layout.npy_header(layout.INDEX_DTYPE), len(segment.index)),
        ("gaps", layout.npy_header(layout.GAP_ROW_DTYPE), gap_rows),
        ("zones", layout.npy_header(segment.zone_dtype), segment.zone_rows()),
    ):
        try:
            with os.fdopen(opening.open_file(segment.stock.root, *segment.parts(kind)), "rb") as file:
                count = layout.check_header(file.read(len(header)), header, str(segment.path(kind)))
        except FileNotFoundError:
            count = 0
        except CorruptionError as error:
            if str(error) not in report.problems:
                report.problems.append(str(error))
            continue
        behind = earlier and kind != "records" and count < rows
        if count != rows and wrong is not None and not behind:
            wrong.append(f"{segment.path(kind)}: the header counts {count:,} rows of {rows:,}, though closed")


def _check_numbers(report: Report, channel: Channel, content: Content, total: int | None) -> None:
    """No number twice; no more of them than were published."""
    where = channel.folder
    spans = spans_of_gaps(content.gaps)
    for chunk in content.chunks:
        spans += zip(*(side.tolist() for side in chunk.number_spans), strict=True)
    reached = 0
    for start, stop in sorted(spans):
        if start < reached:
            report.problems.append(
                f"{where}: records {start} to {min(reached, stop) - 1} are held, or lost, twice"
            )
        reached = max(reached, stop)
    if total is not None and content.end != total:
        report.problems.append(
            f"{where}: numbers reach {content.end:,}, but {total:,} records were published"
        )


def _summary(content: Content, damaged: int) -> ChannelReport:
    held = sum(len(chunk) for chunk in content.chunks)
    first = content.chunks[0].first_seq if content.chunks else content.end
    return ChannelReport(held - damaged, first, content.end, len(content.segments), content.lost)
