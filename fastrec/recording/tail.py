"""A channel's tail: what is committed behind what one has read, across rotation, retention and resume.

A look costs what is new. Of the segment that grows only index rows behind those read are read; a later one is
looked for by its number. The folder is listed when a segment has gone, and when nothing will be added any
more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastrec.recording import layout, opening
from fastrec.recording.channel import Channel, Content, holes
from fastrec.recording.committed import NUMBER_LIMIT, Since
from fastrec.recording.joining import chunks_of
from fastrec.recording.opening import GoneError
from fastrec.recording.precedence import begin_of, pieces_of, spans_of_gaps
from fastrec.recording.segment import Segment
from fastrec.records.following import Piece
from fastrec.schema.gaps import GAP_DTYPE, numbered
from fastrec.times import Clock

__all__ = ["ChannelTail"]

_TOLD = 65_536
"""Losses that are remembered, because a later segment may tell them again."""


class ChannelTail:
    """What is committed behind a number; a `Tail`.

    Parameters
    ----------
    channel : Channel
    content : Content
        What whoever asks has seen.
    begin : int or None
        Number of the first record that is wanted; None: everything behind `content`.
    start_ns : int
        Time of a loss before the first record.
    live : callable
        Whether a recorder has the recording.
    clock : callable
        The clock as it is now known.
    """

    def __init__(
        self,
        channel: Channel,
        content: Content,
        begin: int | None,
        *,
        start_ns: int,
        live: Callable[[], bool],
        clock: Callable[[], Clock],
    ) -> None:
        self._channel = channel
        self._live = live
        self._clock = clock
        self._all = begin is None
        self._next = self._begin = content.end if begin is None else begin
        self._seen_gaps = {one.number: one.read.gap_rows for one in content.segments}
        seen = [chunk.ended(self._next) for chunk in content.chunks]
        self._stamp = max([start_ns, *(one.index_last for one in seen if len(one))])
        self._known = content.end  # numbers below it were seen, or counted
        self._segment: Segment | None = None  # as far as it was read
        self._number = -1
        self._since = Since()
        self._moved = False  # from the segment with which it began
        self._from_the_front = False  # the next hole is what retention took
        self._final = False
        self._held: object = None
        filled = [one for one in content.segments if one.first is not None]
        behind = [one for one in filled if self._all or one.first.first_seq <= self._next]
        if behind:
            self._number = behind[-1].number
            if self._all:
                self._segment, self._since = behind[-1], behind[-1].read
        else:
            # The first segment that comes; those before it went before they were seen.
            self._number = content.segments[0].number if content.segments else -1
            self._from_the_front = self._number != 0
        # Gaps that a segment which replaces a part of these ones may repeat.
        self._told = np.empty(0, GAP_DTYPE)
        for one in behind if self._all else behind[:-1]:
            self._note(one.gaps, one)
        self._repeated = self._told[:0]
        self._rewound = 0

    @property
    def ended(self) -> bool:
        """Whether no recorder has the recording: what is committed now is all."""
        self._final = not self._live()
        return self._final

    def look(self) -> Piece | None:
        """New rows of one segment, and the losses that were committed with them."""
        piece = self._look()
        if piece is None and self._final and self._next < self._known:
            none = np.empty(0, GAP_DTYPE)
            nobody = holes([], none, self._known, begin=self._next, before_ns=lambda: self._stamp)
            piece = Piece([], self._next, nobody, self._clock())
            self._next = self._known
        return piece

    def _look(self) -> Piece | None:
        while True:
            try:
                if self._number < 0 and not self._go_on():
                    return None
                ahead = self._ahead()  # before its own segment, which is complete once there is one
                texts = self._segment.stored_texts if self._segment is not None else None
                part = Segment(self._channel.stock, self._number, self._since, texts)
                sure = ahead is None and not part.problems
                there = part.present and (sure or self._has(self._number))
                piece = self._take(part, ahead) if there else None
            except GoneError:
                continue
            if not there:
                # Retention took it, records first: whatever is left of it counts for nothing.
                if not self._go_on():
                    return None
            elif ahead is not None:
                self._enter(ahead.number)
            else:
                self._segment, self._since = part, part.read
            if piece is not None:
                return piece
            if there and ahead is None:
                return None

    # Segments

    def _enter(self, number: int) -> None:
        self._number, self._segment, self._since, self._moved = number, None, Since(), True

    def _has(self, number: int) -> bool:
        stock = self._channel.stock
        return opening.has_file(stock.root, *stock.parts(layout.segment_file("records", number)))

    def _ahead(self) -> Segment | None:
        """The next segment, once something is committed in it; one may be there that has nothing yet."""
        empty: list[int] = []
        for number in self._numbers():
            segment = Segment(self._channel.stock, number)
            if segment.first is not None:
                # Those before it are complete only now.
                again = (Segment(self._channel.stock, one) for one in empty)
                return next((one for one in again if one.first is not None), segment)
            if not segment.present:
                return None
            empty.append(number)
        return None

    def _numbers(self) -> list[int] | range:
        if self._final:
            return [number for number in self._channel.numbers() if number > self._number]
        return range(self._number + 1, layout.MOST_SEGMENTS + 1)

    def _go_on(self) -> bool:
        """Go on with the oldest segment behind the one that was read; whether there is one."""
        for number in self._channel.numbers():
            if number > self._number and self._has(number):
                self._from_the_front |= self._number >= 0 or number > 0
                self._enter(number)
                return True
        return False

    # What is new

    def _take(self, part: Segment, ahead: Segment | None) -> Piece | None:
        if self._moved and self._since == Since() and part.first is not None:
            begin = begin_of(part.first, part.gaps)
            self._rewound = self._next if begin < self._next else 0
            self._repeated = self._told
        number, row, kept = self._counting(part, ahead)
        committed = int(part.index["gap_rows"][kept - 1]) if kept else self._since.gap_rows
        chunks = chunks_of(
            (part, (start, min(stop, row), number)) for start, stop, number in pieces_of(part) if start < row
        )
        mine = (part.gap_numbers < committed) | (part.gaps["seq"] < number)
        told = part.gaps[mine]
        gaps = self._untold(told, part.gap_numbers[mine])
        ends = [chunk.end_seq for chunk in chunks] + [stop for _, stop in spans_of_gaps(gaps)]
        end = max([self._next, number, *ends])
        missing = holes(
            chunks,
            gaps,
            end,
            begin=self._next,
            retired=self._from_the_front,
            before_ns=lambda: self._stamp,
        )
        fresh = [chunk for chunk in chunks if chunk.end_seq > self._next]
        held = part.hold() if fresh else None
        # From here on nothing can fail: what is handed out is told.
        first, self._next, self._known = self._next, end, max(self._known, part.end)
        self._stamp = max([self._stamp, *(chunk.index_last for chunk in chunks)])
        self._note(told, part)
        if end > first:
            self._from_the_front = False
        gaps = np.concatenate([gaps, missing])
        if not fresh and not len(gaps):
            return None
        self._held = held
        return Piece(self._channel.seen(fresh), first, gaps, self._clock())

    def _counting(self, part: Segment, ahead: Segment | None) -> tuple[int, int, int]:
        """Up to which number a segment counts, and how many of its rows and index rows that are.

        A recorder writes rows again when it does not know what became of them; until it has come to all of
        them, those that it wrote first count, but for what is damaged.
        """
        first, rows = part.index["first_seq"], part.index["rows"]
        again = part.end if ahead is None else begin_of(ahead.first, ahead.gaps)
        if again >= part.end or not len(part.index):
            return part.end, part.length, len(part.index)
        block = int(np.searchsorted(first + rows, np.uint64(again), "right"))
        if ahead.end < part.end:
            damaged = part.damaged(block, len(rows))
            if not damaged:
                return part.end, part.length, len(part.index)
            block = damaged[0]
            again = int(first[block])
        return again, int(part.at[block]) + max(0, again - int(first[block])), block

    def _untold(self, gaps: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Those that were not handed out before; of numbers that were handed out a loss has none."""
        seen = numbers < self._seen_gaps.get(self._number, 0)
        fresh = ~(seen & (self._all | (gaps["seq"] < self._begin)))
        own = numbered(gaps)
        fresh &= own | (gaps["seq"] >= self._rewound)
        if len(self._repeated):
            fresh &= ~np.isin(_whole(gaps), _whole(self._repeated))
        gaps = gaps[fresh].copy()
        own = own[fresh]
        ends = gaps["seq"] + gaps["count"]
        gaps["seq"][own] = np.maximum(gaps["seq"][own], np.uint64(self._next))
        gaps["count"][own] = np.where(ends[own] > gaps["seq"][own], ends[own] - gaps["seq"][own], 0)
        return gaps[gaps["count"] > 0]

    def _note(self, gaps: np.ndarray, segment: Segment) -> None:
        """Remember losses that were told: what is not durable may be written again, in a later segment."""
        durable = int(segment.index["durable_seq"][-1]) if len(segment.index) else 0
        told = np.concatenate([self._told, gaps])
        self._told = told[told["seq"] >= min(durable, NUMBER_LIMIT)][-_TOLD:]


def _whole(gaps: np.ndarray) -> np.ndarray:
    """Each loss as one value."""
    return np.ascontiguousarray(gaps).view(np.dtype((np.void, GAP_DTYPE.itemsize)))
