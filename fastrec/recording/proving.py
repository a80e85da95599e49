"""Verifying a segment: what its index, zones and records say of each other."""

from __future__ import annotations

import numpy as np

from fastrec.errors import CorruptionError, RecordingError
from fastrec.recording import layout
from fastrec.recording.committed import steady
from fastrec.recording.holds import impossible
from fastrec.recording.report import Report
from fastrec.recording.segment import Segment
from fastrec.recording.zones import same_zone, summarise, told

__all__ = ["check_segment"]


def check_segment(report: Report, segment: Segment) -> int:
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
    _check_index(report, segment)
    _note_unproven(report, segment)
    _check_zones(report, segment, good)
    return lost


def _check_index(report: Report, segment: Segment) -> None:
    """What index rows say that no record bears out."""
    index, where = segment.index, segment.path("index")
    lasting = (index["rows"] == 0) & (index["t_min"] != index["t_max"])
    unsteady = (index["flags"] & layout.INDEX_STEADY != 0) & ~steady(index)
    for wrong, what in (
        (lasting, "has no records, but a range of time"),
        (unsteady, "has flag 8, though times before it fall"),
    ):
        report.problems += [f"{where}: row {row} {what}" for row in np.flatnonzero(wrong).tolist()]


def _note_unproven(report: Report, segment: Segment) -> None:
    index = segment.index[segment.index["rows"] > 0]
    blocks = index[index["flags"] & layout.INDEX_UNPROVEN != 0]
    if len(blocks):
        first, last = blocks["first_seq"][0], blocks["first_seq"][-1] + blocks["rows"][-1] - 1
        report.notes.append(
            f"{segment.path('records')}: {blocks['rows'].sum()} records among {first} to {last} were"
            " salvaged: no checksum proved them"
        )


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
    said = layout.INDEX_UNPROVEN | layout.INDEX_STEADY | (layout.INDEX_AGAIN if block == 0 else 0)
    told = int(row["flags"]) & ~said
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
                made = told(summarise(segment.rows(zone * block, (zone + 1) * block), numeric), numeric)[0]
                if not same_zone(one, made, [field.kind for field in numeric]):
                    report.problems.append(f"{segment.path('zones')}: row {zone} does not sum up its records")
