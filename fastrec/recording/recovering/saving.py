"""One channel of a recording that is recovered: its segments copied, its losses told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fastrec.recording import layout
from fastrec.recording.channel import Channel, Content
from fastrec.recording.committed import NUMBER_LIMIT, steady
from fastrec.recording.precedence import Span, begin_of, merged
from fastrec.recording.recovering.copying import Copier, Loss
from fastrec.recording.recovering.definition import Definition
from fastrec.recording.recovering.findings import Findings
from fastrec.recording.recovering.own_files import save_object
from fastrec.recording.recovering.rewriting import SegmentWriter
from fastrec.recording.recovering.survey import Survey
from fastrec.recording.recovery import ChannelRecovery, Lost
from fastrec.recording.segment import Segment
from fastrec.recording.torn import between
from fastrec.recording.writing import rings
from fastrec.recording.writing.files import write_all
from fastrec.recording.writing.rings import Left
from fastrec.schema.gaps import GAP_DTYPE, Cause

__all__ = ["save_channel"]

_HOLE = "nothing tells of them"


def save_channel(
    definition: Definition,
    target: Path,
    segments: Sequence[int],
    *,
    salvage: bool,
    start_ns: int,
    published: int | None,
    all_retired: bool,
    findings: Findings,
    done: Callable[[int], None],
    left: Sequence[Left] = (),
    written: object = None,
) -> ChannelRecovery:
    """Save a channel.

    Parameters
    ----------
    definition : Definition
    target : Path
        Folder of the new recording, which has no folder of this channel yet.
    segments : sequence of int
        Ascending numbers of the source's segments.
    salvage : bool
        Take rows that nothing proves, too, and mark them.
    start_ns : int
        Time at which the recording began.
    published : int, optional
        How many records ``closed.json`` says there were.
    all_retired : bool
        Where there is no segment, retention took them all.
    findings : Findings
    done : callable
        Told how many bytes of records were read.
    left : sequence of Left
        The rings of the channel that are still in shared memory.
    written : int, optional
        How many records there were, as the statistics tell.
    """
    stock = definition.stock
    (target / "channels" / stock.name).mkdir(0o700)
    save_object(target, "channels", stock.name, "channel.json", data=definition.data, findings=findings)
    channel = Channel(target, stock.uuid, stock.name)
    if not segments and published and not all_retired:
        segments = [0]  # one to tell in that all are lost
    surveys = _surveys(definition, segments)
    end = max((survey.end or 0 for survey in surveys), default=0)
    begins = {ring.name: end if surveys else rings.begin_of_rest(ring, 0, written) for ring in left}
    left = [ring for ring in left if not rings.is_of_original(ring, begins[ring.name])]
    refused = [rings.refusal(ring, channel, begins[ring.name]) for ring in left]
    going_on = [ring for ring, why in zip(left, refused, strict=True) if not why]
    findings.problems += [why for why in refused if why]
    losses: list[Loss] = []
    unproven: list[Span] = []
    reached = 0
    for survey, limit in zip(surveys, _limits(surveys, end if going_on else NUMBER_LIMIT), strict=True):
        _tell_side_files(survey, limit, findings)
        writer = SegmentWriter(channel.stock, survey, reached if survey.first is None else survey.first)
        try:
            copier = Copier(
                survey,
                writer,
                limit=limit,
                salvage=salvage,
                elsewhere=_elsewhere(surveys, survey),
                start_ns=start_ns,
                findings=findings,
                done=done,
            )
            copier.run()
            writer.finish(start_ns)
        except BaseException:
            writer.abandon()
            raise
        _tell_texts(survey, writer, findings)
        reached = max(reached, writer.end, survey.end or 0)
        losses += copier.losses
        unproven += copier.unproven
    for ring in going_on:
        before = channel.read(None if surveys else begins[ring.name], lambda: start_ns)
        taken = rings.take_over(ring, target, stock.uuid, channel, before) - before.end
        if taken:
            findings.notes.append(
                f"channels/{stock.name}: {taken:,} records that were not written yet came from shared memory"
                f" ({ring.name}), where they still are"
            )
    told = max([published or 0, *(loss.stop for loss in losses)])
    content = channel.read(told, lambda: start_ns, all_retired=lambda: all_retired)
    missing = _missing(content, losses)
    if missing:
        _tell_losses(channel, content, missing)
        content = channel.read(told, lambda: start_ns, all_retired=lambda: all_retired)
    findings.problems += content.problems
    findings.settle_torn(f"channels/{stock.name}/", [(one.start, one.stop) for one in missing] + unproven)
    retired = content.gaps[content.gaps["cause"] == Cause.RETIRED]
    if len(retired) and content.segments and content.segments[0].number > 0:
        findings.notes.append(
            f"channels/{stock.name}: the lowest segment is {content.segments[0].number}, so"
            f" {int(retired['count'].sum())} records before count as retired"
        )
    chunks = content.chunks
    return ChannelRecovery(
        records=sum(map(len, chunks)),
        first=chunks[0].first_seq if chunks else content.end,
        end=content.end,
        lost=tuple(Lost(one.start, one.stop - 1, one.why) for one in missing),
        unproven=tuple((start, stop - 1) for start, stop in unproven),
        losses=_own_losses(content, missing),
    )


def _surveys(definition: Definition, segments: Sequence[int]) -> list[Survey]:
    surveys: list[Survey] = []
    before: int | None = 0
    last = -1
    for number in segments:
        if number != last + 1:
            before = None
        surveys.append(Survey(definition.stock, number, before))
        before, last = surveys[-1].end, number
        tail = surveys[-1].tail
        if tail is not None and before is not None and not len(surveys[-1].blocks):
            before += tail.rows  # without an index its rows have numbers all the same
    for one, other, after in zip([None, *surveys], surveys, [*surveys[1:], None], strict=False):
        _number_backwards(one, other, after)
    return surveys


def _number_backwards(before: Survey | None, survey: Survey, after: Survey | None) -> None:
    """A segment without an index may hold again what the one before held: then its rows are as old."""
    tail = survey.tail
    if tail is None or len(survey.blocks) or before is None or not len(before.blocks):
        return
    if after is None or after.first is None:
        return
    newest = int(before.blocks["t_max"].max())
    with survey.open("records") as file:
        start, stop = survey.bytes_of(tail.at, 1)
        row = file.read(start, stop - start)
    if len(row) == stop - start and int.from_bytes(row[:8], "little", signed=True) < newest:
        survey.tail = tail._replace(start=None, stop=after.first)


def _limits(surveys: Sequence[Survey], limit: int) -> list[int]:
    """Per segment the number from which a later one counts; `limit` is that of the last."""
    limits = []
    for survey in reversed(surveys):
        limits.append(limit)
        if survey.first is not None:
            limit = min(limit, survey.first)
    return limits[::-1]


def _elsewhere(surveys: Sequence[Survey], own: Survey) -> list[Span]:
    if not own.stretches and own.tail is None:
        return []
    return merged(span for survey in surveys if survey is not own for span in survey.held())


# What is damaged beside the records


def _tell_side_files(survey: Survey, limit: int, findings: Findings) -> None:
    _tell_headers(survey, findings)
    whole = not survey.stretches and not survey.unplaced and survey.tail is None
    begin, width = layout.header_size(layout.INDEX_DTYPE), layout.INDEX_DTYPE.itemsize
    for start, stop in survey.damaged_slots:
        saved = whole or (stop - start <= len(survey.remade) and set(range(start, stop)) <= survey.remade)
        findings.tear(
            survey.file("index"), begin + start * width, begin + stop * width, "no whole rows", saved=saved
        )
    begin, width = layout.header_size(layout.GAP_ROW_DTYPE), layout.GAP_ROW_DTYPE.itemsize
    there = max(survey.gap_rows_there, min(survey.committed_gaps, NUMBER_LIMIT))
    for start, stop in between(survey.whole_gaps, there):
        why = "no whole rows" if start < survey.gap_rows_there else survey.gap_why or "the file ends before"
        file = survey.file("gaps")
        findings.tear(file, begin + start * width, begin + stop * width, f"{why}: losses are not told")
    begin, stop = survey.bytes_of(survey.committed_rows, survey.tail.rows if survey.tail else 0)
    if survey.records_size > stop and (survey.end or 0) < limit:
        rest = (survey.records_size - stop) // survey.stock.dtype.itemsize
        why = "zeros, as a loss of power leaves them" if rest else "an unfinished row"
        findings.tear(survey.file("records"), max(begin, stop), survey.records_size, why)


def _tell_headers(survey: Survey, findings: Findings) -> None:
    for kind, header in (
        ("records", survey.stock.header),
        ("index", layout.npy_header(layout.INDEX_DTYPE)),
        ("gaps", layout.npy_header(layout.GAP_ROW_DTYPE)),
    ):
        with survey.open(kind) as file:
            if not file.present:
                findings.notes.append(f"{file.name}: {file.why}")
            elif not file.header_is(header):
                size = min(len(header), file.size)
                findings.tear(file.name, 0, size, "its header, which was made anew", saved=True)


def _tell_texts(survey: Survey, writer: SegmentWriter, findings: Findings) -> None:
    for patch in writer.patches:
        committed = patch.start < survey.string_bytes
        findings.tear(
            survey.file("strings"),
            patch.start,
            patch.stop,
            "no whole line" if committed else "an unfinished line, which no record needs",
            saved=not committed,
        )
    if ids := writer.texts_lost:
        shown = ", ".join(map(str, ids[:8])) + (f" and {len(ids) - 8:,} more" if len(ids) > 8 else "")
        findings.problems.append(
            f"{survey.file('strings')}: texts {shown} are lost; U+FFFD stands in their place"
        )


# Losses


def _missing(content: Content, losses: Sequence[Loss]) -> list[Loss]:
    """What no block and no gap of the new recording accounts for, though there were such records."""
    found = []
    for gap in content.missing:
        start, stop = _span(gap)
        times = int(gap["t_first"]), int(gap["t_last"])
        inside = sorted(loss for loss in losses if loss.start < stop and loss.stop > start)
        if gap["cause"] == Cause.RETIRED:
            if not inside:
                continue
            start = max(start, inside[0].start)  # from there on retention cannot have taken them
        for loss in inside:
            if loss.start > start:
                found.append(Loss(start, loss.start, *times, _HOLE))
            begin, end = max(start, loss.start), min(stop, loss.stop)
            if begin < end:
                found.append(loss._replace(start=begin, stop=end))
            start = max(start, end)
        if start < stop:
            found.append(Loss(start, stop, *times, _HOLE))
    return _joined(sorted(found))


def _own_losses(content: Content, missing: Sequence[Loss]) -> dict[str, int]:
    """The losses that were recorded, without those of damage, which stand among them by now."""
    own = content.lost
    own["disk"] = own.get("disk", 0) - sum(one.stop - one.start for one in missing)
    return {cause: count for cause, count in own.items() if count > 0}


def _joined(losses: list[Loss]) -> list[Loss]:
    joined: list[Loss] = []
    for loss in losses:
        if joined and joined[-1].stop >= loss.start and joined[-1].why == loss.why:
            before = joined[-1]
            joined[-1] = before._replace(
                stop=max(before.stop, loss.stop), t_last=max(before.t_last, loss.t_last)
            )
        elif not joined or loss.stop > joined[-1].stop:
            start = max(loss.start, joined[-1].stop) if joined else loss.start
            joined.append(loss._replace(start=start))
    return joined


def _span(gap: np.void) -> Span:
    return int(gap["seq"]), int(gap["seq"]) + int(gap["count"])


def _tell_losses(channel: Channel, content: Content, losses: Sequence[Loss]) -> None:
    """Write gaps: each to the segment whose numbers it is among, or follows."""
    begins = [begin_of(segment.first, segment.gaps) for segment in content.segments]
    given: dict[int, list[Loss]] = {}
    for loss in losses:
        below = [place for place, begin in enumerate(begins) if begin is not None and begin <= loss.start]
        given.setdefault(below[-1] if below else 0, []).append(loss)
    for place, some in given.items():
        gaps = np.zeros(len(some), GAP_DTYPE)
        gaps["seq"] = [loss.start for loss in some]
        gaps["count"] = [loss.stop - loss.start for loss in some]
        gaps["cause"], gaps["code"] = Cause.DISK, errno.EIO
        gaps["t_first"] = [loss.t_first for loss in some]
        gaps["t_last"] = [loss.t_last for loss in some]
        _append_gaps(channel, content.segments[place], gaps)


def _append_gaps(channel: Channel, segment: Segment, gaps: np.ndarray) -> None:
    """Commit losses behind everything that a segment holds."""
    base = layout.place(channel.stock.uuid, channel.name, segment.number)
    told = int(segment.index["gap_rows"][-1]) if len(segment.index) else 0
    rows = np.zeros(len(gaps), layout.GAP_ROW_DTYPE)
    for name in GAP_DTYPE.names:
        rows[name] = gaps[name]
    index = np.zeros(1, layout.INDEX_DTYPE)
    if len(segment.index):
        index["durable_seq"] = segment.index["durable_seq"][-1]
        index["string_bytes"] = segment.index["string_bytes"][-1]
    index["first_seq"] = max(segment.end, int((gaps["seq"] + gaps["count"]).max()))
    index["gap_rows"] = told + len(rows)
    index["t_min"] = index["t_max"] = (
        int(segment.index["t_max"].max()) if len(segment.index) else gaps["t_last"][-1]
    )
    index["flags"] = layout.INDEX_STEADY if steady(segment.index).all() else 0
    for kind, more, count in (("gaps", rows, told), ("index", index, len(segment.index))):
        layout.seal_rows(more, base, count)
        header = layout.npy_header(more.dtype, count + len(more))
        descriptor = os.open(segment.path(kind), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            write_all(descriptor, more.tobytes(), len(header) + count * more.dtype.itemsize)
            write_all(descriptor, header, 0)
        finally:
            os.close(descriptor)
