"""Verifying a recording: every byte under a checksum is read, and every number is found or named in a gap.

Unlike a query it does not stop at the first damage: it lists all there is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastrec.errors import CorruptionError, FastrecError, RecordingError, shown
from fastrec.recording import layout, opening
from fastrec.recording.channel import Channel, Content
from fastrec.recording.closing import all_retired, published, read_closed, totals
from fastrec.recording.gone import Gone, undescribed
from fastrec.recording.holds import impossible
from fastrec.recording.precedence import spans_of_gaps
from fastrec.recording.segment import Segment
from fastrec.recording.zones import same_zone, summarise

__all__ = ["ChannelReport", "Report", "verify"]


@dataclass(frozen=True)
class ChannelReport:
    """What a channel holds.

    Attributes
    ----------
    records : int
        That can be read; the ones in damaged blocks are not among them.
    first, end : int
        Numbers go from the first up to, not including, the end.
    segments : int
    lost : dict of str to int
        By cause, in lower case: ``{"missed": 3}``.
    """

    records: int
    first: int
    end: int
    segments: int
    lost: dict[str, int]


@dataclass
class Report:
    """What verifying found.

    Attributes
    ----------
    problems : list of str
        Each thing that is wrong, with its place.
    notes : list of str
        What is not committed, as a killed recorder or one that is writing leaves it; nothing wrong.
    channels : dict of str to ChannelReport
    checked : int
        Bytes read and compared.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    channels: dict[str, ChannelReport] = field(default_factory=dict)
    checked: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


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
            content = channel.read(published(closed, name), all_retired=all_retired(closed, name))
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
                damaged += _check_segment(report, segment)
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
                for _, line in opening.read_lines(root, name, base=base, stop=stop)
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


def _check_segment(report: Report, segment: Segment) -> int:
    """Headers, blocks, zones and texts; returns how many records cannot be read."""
    if segment.count and segment.count < segment.length and segment.count not in segment.at:
        report.problems.append(
            f"{segment.path('records')}: the header counts {segment.count:,} rows, which no commit did"
        )
    texts = segment.texts()
    report.problems += [str(text) for text in texts if isinstance(text, RecordingError)]
    lost, good = 0, np.ones(len(segment.index), bool)
    for block in np.flatnonzero(segment.index["rows"]).tolist():
        try:
            wrong = bool(segment.damaged(block, block + 1))
        except RecordingError as error:
            report.problems.append(str(error))
            return int(segment.index["rows"].sum())
        if wrong:
            good[block] = False
            lost += int(segment.index["rows"][block])
            report.problems.append(segment.describe(segment.blocks, block))
        else:
            _check_block(report, segment, block, len(texts))
    for block in np.flatnonzero(segment.index["rows"] == 0).tolist():
        if segment.index["t_min"][block] != segment.index["t_max"][block]:
            report.problems.append(
                f"{segment.path('index')}: row {block} has no records, but a range of time"
            )
    _note_unproven(report, segment)
    _check_zones(report, segment, good)
    return lost


def _note_unproven(report: Report, segment: Segment) -> None:
    index = segment.index[segment.index["rows"] > 0]
    blocks = index[index["flags"] & layout.INDEX_UNPROVEN != 0]
    if len(blocks):
        first, last = blocks["first_seq"][0], blocks["first_seq"][-1] + blocks["rows"][-1] - 1
        report.notes.append(
            f"{segment.path('records')}: {blocks['rows'].sum()} records among {first} to {last} were"
            " salvaged: no checksum proved them"
        )


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


def _check_block(report: Report, segment: Segment, block: int, texts: int) -> None:
    """What the index says of a block, and the ids of texts, against its rows."""
    row, at = segment.index[block], int(segment.at[block])
    rows = segment.rows(at, at + int(row["rows"]))
    stamps = rows["mono_ns"]
    latest = rows["until_ns"] if segment.stock.store == "changes" else stamps
    where = f"{segment.path('index')}: row {block}"
    if row["t_min"] != stamps.min() or row["t_max"] != latest.max():
        report.problems.append(
            f"{where} says times {row['t_min']} to {row['t_max']}, which are not those of its records"
        )
    falls = bool((stamps[1:] < stamps[:-1]).any())
    told = int(row["flags"]) & ~(layout.INDEX_UNPROVEN | (layout.INDEX_AGAIN if block == 0 else 0))
    if told != falls * layout.INDEX_DECREASING:
        report.problems.append(f"{where} has flags {row['flags']}, which its records do not bear out")
    if segment.stock.store == "changes":
        odd = np.flatnonzero(impossible(rows))
        if len(odd):
            one = rows[odd[0]]
            length = int(one["until_ns"]) - int(one["mono_ns"])
            report.problems.append(
                f"{segment.path('records')}: row {at + odd[0]} holds {one['polls']} polls within"
                f" {length} ns, {one['max_gap_ns']} ns apart, which cannot be, or"
                " not before the next"
            )
    for text in segment.stock.schema.texts:
        ids = text.of(rows)
        unknown = ids[(ids > texts) & (ids != np.iinfo(ids.dtype).max)]
        if len(unknown):
            report.problems.append(
                f"{segment.path('strings')}: has no text {unknown[0]}, to which {text.name!r} refers"
            )


def _check_zones(report: Report, segment: Segment, good: np.ndarray) -> None:
    numeric, block = segment.stock.schema.numeric, layout.BLOCK_ROWS
    zones = segment.length // block
    fine = np.ones(zones + 1, bool)
    fine[(segment.at // block)[~good]] = False
    rows = segment.zone_rows()
    for first in range(0, zones, 64):
        last = min(zones, first + 64)
        try:
            stored, whole = segment.stored_zones(first, last)
        except CorruptionError:
            return  # its header, which is told with the others
        for zone in range(first, last):
            one = stored[zone - first]
            if not whole[zone - first]:
                if one.tobytes().strip(b"\0"):
                    report.problems.append(f"{segment.path('zones')}: row {zone} does not match its checksum")
                elif zone < rows:
                    # They are never made durable: a loss of power leaves this behind, and they are made anew.
                    report.notes.append(f"{segment.path('zones')}: row {zone} is zeros")
            elif fine[zone]:
                made = summarise(segment.rows(zone * block, (zone + 1) * block), numeric)[0]
                if not same_zone(one, made, [field.kind for field in numeric]):
                    report.problems.append(f"{segment.path('zones')}: row {zone} does not sum up its records")


def _check_numbers(report: Report, channel: Channel, content: Content, total: int | None) -> None:
    """No number twice; no more of them than were published."""
    where = channel.where.parent
    spans = [(chunk.first_seq, chunk.first_seq + len(chunk)) for chunk in content.chunks] + spans_of_gaps(
        content.gaps
    )
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
