"""Channel: a named stream of records while it is being recorded."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import numpy as np

from fastrec.core.poller import MOST_CHANNELS, PollChannel
from fastrec.core.ring import Ring as CoreRing
from fastrec.core.spooler import SpoolChannel
from fastrec.errors import SchemaError, SourceError, shown
from fastrec.options import Options
from fastrec.privileges import GRANTED, of_lock_memory
from fastrec.recording.layout import CHANNEL_NAME
from fastrec.recording.writing.destination import Destination
from fastrec.records import ArrayChunk, Records
from fastrec.records.following import Piece
from fastrec.ring import LossMark, Ring
from fastrec.schema import Schema
from fastrec.schema.gaps import GAP_DTYPE, Cause
from fastrec.schema.states import mask
from fastrec.schema.texts import followed
from fastrec.sources.registry import as_schema
from fastrec.stats import Quantiles, Stats
from fastrec.threads import Thread
from fastrec.times import CLOCK_PAIR_DTYPE, Clock
from fastrec.timezones import local_zone_name, zone_named

__all__ = ["Channel", "check_name", "ring_of", "schema_of"]


class Channel:
    """A named stream of records of one schema. Made by `Recorder.add`.

    Attributes
    ----------
    name : str
    schema : Schema
    ring : Ring
        The newest records.
    options : Options
    """

    def __init__(
        self,
        name: str,
        ring: Ring,
        options: Options,
        *,
        source: Any = None,
        thread: Thread | None = None,
    ) -> None:
        self.name = name
        self.schema: Schema = ring.schema
        self.ring = ring
        self.options = options
        self.polling: PollChannel | None = None
        self.thread = thread
        self.source = source
        self.spooling: SpoolChannel | None = None
        if source is None:  # the ring's own methods: one more Python call would cost half a push
            self.push, self.extend = ring.push, ring.extend
        self._cpu_ns = 0
        self._ended_ns = 0
        self._privileges: dict[str, str] = {}
        if options.lock_memory:
            self._lock(ring.core)

    def __repr__(self) -> str:
        rate = f" at {self.options.rate} Hz" if self.options.rate not in (None, "max") else ""
        return f"<Channel {self.name!r}: {self.schema.name}{rate}, {self.ring.core.head:,} records>"

    # What the user pushes

    def push(self, payload: Any, mono_ns: int | None = None) -> bool:
        """Record one payload: bytes, ctypes, numpy, any buffer of its size. Stamped now, or with `mono_ns`.

        Stamps of your own are from 0 to 2**62 - 1 and never decrease, also where a recording goes on: those
        of the monotonic clock need `Recorder.offset_ns` added.

        Returns
        -------
        bool
            False: there was no room (``when_full="drop"``); it is counted and a gap says where.
        """
        raise self._not_pushable()

    def extend(self, payloads: Any, mono_ns: Any = None) -> int:
        """Record many payloads at once; see `Ring.extend`. Returns how many had room."""
        raise self._not_pushable()

    def _not_pushable(self) -> SourceError:
        return SourceError(
            f"channel {self.name!r} is filled by {self.source!r}; add a channel without a source to push"
        )

    # What the user asks

    def snapshot(self, count: int | None = None) -> Records:
        """A consistent copy of the newest `count` records (without: of all in the ring)."""
        if count is not None and (
            not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 0
        ):
            raise SchemaError(f"{shown(count)} records: a number from 0 on is needed")
        snapshot = self.ring.snapshot(None if count is None else int(count))
        chunk = ArrayChunk(snapshot.array, snapshot.first_seq, self.ring.texts())
        losses, mark = self.ring.losses_behind(LossMark())
        gaps = self._gaps(losses, snapshot.first_seq)
        end = snapshot.first_seq + len(snapshot.array)
        return Records(
            self.name,
            self.schema,
            [chunk],
            gaps=gaps,
            clock=_clock(self.ring.clock_offset),
            period_ns=self.options.period_ns,
            store=self.ring.store,
            tail=lambda begin: _Tail(
                self,
                end if begin is None else begin,
                gaps[:0] if begin is None else gaps[gaps["seq"] >= begin],
                mark,
            ),
        )

    def last(self, amount: int | str) -> Records:
        """The newest `amount` records, or those of the newest `amount` of time (``"2s"``)."""
        return self.snapshot(amount) if isinstance(amount, int | np.integer) else self.snapshot().last(amount)

    def current(self) -> np.void | None:
        """The newest record, as ``Records`` gives one; None: there is none yet."""
        array = self.ring.snapshot(1).array
        return array[0] if len(array) else None

    def _gaps(self, gaps: np.ndarray, first: int) -> np.ndarray:
        """Losses after the record `first`; without a disk, also what has left the ring."""
        if first > self.ring.core.first:
            return gaps[gaps["seq"] > first]
        if self.spooling is not None or not first:
            return gaps
        account = self.ring.core.account()
        left = np.array([(0, first, Cause.OVERWRITTEN, 0, account["start"], account["start"])], GAP_DTYPE)
        return np.concatenate([left, gaps])

    @property
    def stats(self) -> Stats:
        """The counters as they are now."""
        core = self.ring.core
        account, head, since = core.account(), core.head, core.in_call
        marks = self.spooling.marks() if self.spooling else {}
        start, last, texts_lost = account.pop("start"), account.pop("last"), account.pop("texts_lost")
        if self.polling is not None and start:
            last = (self._ended_ns or time.monotonic_ns()) + self.ring.clock_offset
        elapsed = last - start
        cpu_ns = self.thread.cpu_ns if self.thread and self.thread.alive else self._cpu_ns
        return Stats(
            **account,
            overwritten=marks.get("overwritten", 0)
            if self.spooling
            else max(0, head - self.ring.first - self.ring.capacity),
            disk=marks.get("disk", 0),
            in_call=max(1, (self._ended_ns or time.monotonic_ns()) - since) if since else 0,
            published=head,
            written=marks.get("written", 0),
            durable=marks.get("durable", 0),
            lateness=Quantiles(*self.polling.lateness) if self.polling else Quantiles(),
            duration=Quantiles(*self.polling.duration) if self.polling else Quantiles(),
            rate=(head - self.ring.first) * 1e9 / elapsed if elapsed > 0 else 0.0,
            cpu=cpu_ns / elapsed if elapsed > 0 else 0.0,
            texts_lost=texts_lost,
            clock_error=core.clock_error,
            privileges={**(self.thread.privileges if self.thread else {}), **self._privileges},
        )

    # For the recorder

    def spool(self, destination: Destination) -> None:
        """Get a place on the disk, if there is one; `Destination.drain` fills it."""
        self.spooling = destination.add(self.name, self.ring, self.options.to_dict())

    def probe(self) -> None:
        """Make the first call, on the thread that will poll, and ask for its privileges."""
        asked, sleeps = self.options.of_thread, self.options.sleeps
        self.thread.check(self.name, asked, sleeps=sleeps)
        self.polling = PollChannel(
            self.ring.core,
            self.source.getter,
            period=self.options.period,
            spin=self.options.spin,
            texts=followed(self.schema.texts),
            mask=mask(self.schema, self.options.ignore),
            heartbeat=self.options.heartbeat_ns,
        )
        if self.options.lock_memory:
            self._lock(self.polling)
        code, excess = self.thread.probe(self.polling)
        self.source.check(code, excess)
        self.thread.decide(asked, sleeps=sleeps)

    def _lock(self, memory: CoreRing | PollChannel) -> None:
        if self._privileges.get("lock_memory", GRANTED) == GRANTED:
            self._privileges["lock_memory"] = of_lock_memory(memory.lock(), memory.size)

    def note_cpu(self) -> None:
        """Keep the polling thread's processor time, which ends with the thread."""
        if self.thread is not None and self.thread.alive:
            self._cpu_ns = self.thread.cpu_ns

    @property
    def ended(self) -> bool:
        """Whether nothing will be published any more."""
        return self._ended_ns != 0

    def close(self) -> None:
        """Publish the last loss; take no more pushes."""
        self.ring.core.close()
        self._ended_ns = time.monotonic_ns()

    def forget(self) -> None:
        """Take no more pushes: the ring is the parent process's."""
        self.ring.core.forget()


class _Tail:
    """What is published behind a snapshot; a `Tail`.

    Parameters
    ----------
    channel : Channel
    begin : int
        Number of the first record that is wanted.
    losses : ndarray of GAP_DTYPE
        The snapshot's own that lie behind what is followed.
    mark : LossMark
        Behind the snapshot's.
    """

    def __init__(self, channel: Channel, begin: int, losses: np.ndarray, mark: LossMark) -> None:
        self._channel = channel
        self._next = max(begin, channel.ring.core.first)
        self._losses = losses[losses["cause"] != Cause.OVERWRITTEN]  # what has left the ring shows itself
        self._mark = mark
        self._stamp = 0  # of the last record that was handed out

    @property
    def ended(self) -> bool:
        return self._channel.ended

    def look(self) -> Piece | None:
        ring, first = self._channel.ring, self._next
        array = np.empty(min(ring.core.head - first, ring.capacity), ring.array.dtype)
        place, kept, skip, _ = ring.core.read_into(array.view(np.uint8), first)
        array = array[skip : skip + kept]
        # Behind the rows: a loss that lies before one of them is there when that is.
        losses, self._mark = ring.losses_behind(self._mark)
        gaps, self._losses = [self._losses, losses], self._losses[:0]
        if place > first:
            since = self._stamp or ring.core.account()["start"]
            until = int(array["mono_ns"][0]) if kept else time.monotonic_ns() + ring.clock_offset
            gaps.append(np.array([(first, place - first, Cause.OVERWRITTEN, 0, since, until)], GAP_DTYPE))
            self._stamp = until
        self._next = place + kept
        if kept:
            self._stamp = int(array["mono_ns"][-1])
        found = np.concatenate(gaps)
        if not kept and not len(found):
            return None
        chunk = ArrayChunk(array, place, ring.texts())
        return Piece([chunk], place, found, _clock(ring.clock_offset))


def ring_of(name: str, schema: Schema, options: Options, destination: Destination) -> Ring:
    """The ring of a channel to be.

    Raises
    ------
    SchemaError, SourceError
        Where it goes there are other records of that name; it has no room in memory, or no disk to wait for.
    """
    bounded = options.when_full == "drop"
    if bounded and destination.path is None:
        raise SourceError("when_full='drop' needs a path: without a disk to wait for, nothing is ever full")
    first, last = destination.place(name, schema, options.store, options.rate, options.ignore)
    return Ring(
        schema,
        options.capacity,
        store=options.store,
        clock=options.clock,
        bounded=bounded,
        period=options.period,
        first=first,
        clock_offset=destination.offset_ns,
        last=last,
        linkable=destination.path is not None,
    )


def _clock(offset_ns: int) -> Clock:
    pairs = np.array([(time.monotonic_ns() + offset_ns, time.time_ns())], CLOCK_PAIR_DTYPE)
    return Clock(pairs, zone_named(local_zone_name()))


def check_name(name: str, others: Collection[str]) -> None:
    """Refuse a name that a channel cannot have beside the others.

    Raises
    ------
    SchemaError, SourceError
        It is none, or taken; or there are too many channels.
    """
    if len(others) == MOST_CHANNELS:
        raise SourceError(
            f"channel {name!r}: a recorder has at most {MOST_CHANNELS} channels; give this one to a second"
            " Recorder, with a folder of its own"
        )
    if not isinstance(name, str) or not CHANNEL_NAME.fullmatch(name):
        raise SchemaError(
            f"channel {name!r}: a name is 1 to 64 letters, digits and '_.-', and begins with none of '.-'"
        )
    for other in others:
        if other.lower() == name.lower():
            raise SchemaError(f"channel {name!r}: there is {other!r} already; names differ by more than case")


def schema_of(name: str, source: Any, schema: Any, rate: object) -> Schema:
    """The schema of a channel from what a user said of it.

    Raises
    ------
    SchemaError, SourceError
        It is pushed and has none, or is polled and has another than its source; its rate is missing, or too
        much.
    """
    if source is None:
        if schema is None:
            raise SchemaError(f"channel {name!r} has neither source nor schema; say what is recorded")
        if rate is not None:
            raise SourceError(f"channel {name!r}: rate={rate!r} without a source; what is pushed has no rate")
        schema = as_schema(schema)
        if schema.texts:
            raise SchemaError(
                f"channel {name!r}: {schema.texts[0].name!r} is text, which only a polled source has"
            )
        return schema
    if not hasattr(source, "getter"):
        raise SourceError(
            f"channel {name!r}: a {type(source).__name__} cannot be polled; wrap a C function in fr.Call,"
            " a Python function in fr.PyCall"
        )
    if source.schema is None:
        raise SourceError(f"channel {name!r}: {source!r} fills no struct; give it OUT and schema=")
    if rate is None:
        raise SourceError(f"channel {name!r} has a source and no rate; say rate=1000 (Hz) or rate='max'")
    if schema is not None:
        _check_schema(as_schema(schema), source.schema, name)
    return source.schema


def _check_schema(given: Schema, of_source: Schema, name: str) -> None:
    """Refuse a schema that is not the source's, by the first field that differs."""
    if given == of_source:
        return
    ours = {field.name: field for field in given.fields}
    for field in of_source.fields:
        if ours.get(field.name) != field:
            what = (
                f"field {field.name!r} differs" if field.name in ours else f"field {field.name!r} is missing"
            )
            raise SchemaError(
                f"channel {name!r}: schema {given.name!r} is not the source's: {what}; leave schema= out"
            )
    raise SchemaError(
        f"channel {name!r}: schema {given.name!r} has {given.size} bytes, the source's {of_source.size}"
    )
