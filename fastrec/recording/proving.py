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
from fastrec.records.chunks import BLOCK
from fastrec.schema import Field

__all__ = ["check_segment"]

_SAID = layout.INDEX_UNPROVEN | layout.INDEX_STEADY
"""Flags of an index row that are not of its records alone."""


def check_segment(report: Report, segment: Segment) -> int:
    """Headers, blocks, zones and texts; returns how many records cannot be read."""
    if segment.count and segment.count < segment.length and segment.count not in segment.at:
        report.problems.append(
            f"{segment.path('records')}: the header counts {segment.count:,} rows, which no commit did"
        )
    texts = segment.texts()
    report.problems += [str(text) for text in texts if isinstance(text, RecordingError)]
    lost, good = 0, np.ones(len(segment.index), bool)
    for blocks in _groups(segment):
        try:
            wrong = segment.damaged(int(blocks[0]), int(blocks[-1]) + 1)
        except RecordingError as error:
            report.problems.append(str(error))
            return int(segment.index["rows"].sum())
        good[wrong] = False
        lost += int(segment.index["rows"][wrong].sum())
        if not wrong and _are_so(segment, blocks, len(texts)):
            continue
        for block in blocks.tolist():
            if good[block]:
                _check_block(report, segment, block, len(texts))
            else:
                report.problems.append(segment.describe(segment.blocks, block))
    _check_index(report, segment)
    _note_unproven(report, segment)
    _check_zones(report, segment, good)
    return lost


def _groups(segment: Segment) -> list[np.ndarray]:
    """The blocks that have records, about `BLOCK` records together."""
    filled = np.flatnonzero(segment.index["rows"])
    if not len(filled):
        return []
    return np.split(filled, np.flatnonzero(np.diff((segment.at[filled] - segment.begin) // BLOCK)) + 1)


def _are_so(segment: Segment, blocks: np.ndarray, texts: int) -> bool:
    """Whether `_check_block` has nothing to say of any of some blocks, between which there are no records."""
    index, at, stock = segment.index[blocks], segment.at[blocks], segment.stock
    rows = segment.rows(int(at[0]), int(at[-1]) + int(index["rows"][-1]))
    stamps, begins = rows["mono_ns"], at - at[0]
    latest = rows["until_ns"] if stock.store == "changes" else stamps
    falls = np.append(False, stamps[1:] < stamps[:-1])
    falls[begins] = False
    said = np.where(blocks == 0, _SAID | layout.INDEX_AGAIN, _SAID).astype(index["flags"].dtype)
    told = np.logical_or.reduceat(falls, begins) * layout.INDEX_DECREASING
    return bool(
        (index["t_min"] == np.minimum.reduceat(stamps, begins)).all()
        and (index["t_max"] == np.maximum.reduceat(latest, begins)).all()
        and (index["flags"] & ~said == told).all()
        and not (stock.store == "changes" and impossible(rows).any())
        and not any(len(_unknown(text, rows, texts)) for text in stock.schema.texts)
    )


def _unknown(text: Field, rows: np.ndarray, texts: int) -> np.ndarray:
    """Ids that no text of the segment has."""
    ids = text.of(rows)
    return ids[(ids > texts) & (ids != np.iinfo(ids.dtype).max)]


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
    told = int(row["flags"]) & ~(_SAID | (layout.INDEX_AGAIN if block == 0 else 0))
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
        unknown = _unknown(text, rows, texts)
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
