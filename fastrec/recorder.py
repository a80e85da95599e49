"""Recorder: channels, the threads that poll and drain them, and the folder they go to."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Self

from fastrec import lifetimes, living
from fastrec.channel import Channel, check_name, ring_of, schema_of
from fastrec.core.poller import LEAD_NS
from fastrec.errors import FastrecError, RecordingError, suggest
from fastrec.options import WhenFull, as_options
from fastrec.recording.writing.destination import Destination
from fastrec.recording.writing.storing import as_storing
from fastrec.ring import Clocked
from fastrec.schema.forms import Store
from fastrec.sources import registry
from fastrec.sources.source import Source
from fastrec.stats import RecorderStats
from fastrec.threads import Thread, Threads
from fastrec.triggers.asking import Triggered
from fastrec.triggers.engine import Engine

__all__ = ["Recorder"]

_STUCK = 5.0  # s that a stop waits for a call to return


class Recorder(Triggered):
    """Records channels into memory, and to a folder when it has a path.

    Parameters
    ----------
    path : str or path-like, optional
        The folder to create. Without, the newest records are kept in memory.
    resume : bool
        Go on with the recording at `path`, if there is one. What a recorder that died had published and not
        written is written first. A channel goes on if its schema, store and rate are the same.
    flush : str
        At most this long after it was published a record is on its way to the disk.
    durability : str or None
        How often what was written is made durable: a duration, ``"commit"``: each time, None: never.
    segment_bytes, segment_seconds : optional
        A new file is begun beyond this, default 256 MiB or a sixteenth of `keep_bytes`, and after this time,
        default never or a sixteenth of `keep_seconds`.
    keep_bytes, keep_seconds : optional
        The oldest segments of the recording, also of channels that rest in a session that resumes it, are
        removed, whole, while all take more, or when their last record is older.
    min_free, metadata : optional
        Bytes left free on the disk: the oldest segments give way, then it counts as full. A JSON mapping.
    keep_windows : int, str or None
        How many windows of triggers are kept, or how many bytes of them (``"2GB"``); the oldest go.

    Raises
    ------
    RecordingError
        The folder exists (without `resume`), is recorded to by another, or cannot be created.

    Notes
    -----
    ``with Recorder(...) as rec`` polls from there on; channels may be added before and inside. A recorder
    belongs to the process that made it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        resume: bool = False,
        flush: str = "100ms",
        durability: str | None = "1s",
        segment_bytes: int | None = None,
        segment_seconds: float | str | None = None,
        keep_bytes: int | None = None,
        keep_seconds: float | str | None = None,
        min_free: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        keep_windows: int | str | None = 1000,
    ) -> None:
        self._pid = os.getpid()
        storing = as_storing(
            flush=flush,
            durability=durability,
            segment_bytes=segment_bytes,
            segment_seconds=segment_seconds,
            keep_bytes=keep_bytes,
            keep_seconds=keep_seconds,
            min_free=min_free,
            keep_windows=keep_windows,
        )
        self._destination = Destination(path, storing, metadata)
        self._channels: dict[str, Channel] = {}
        self._threads = Threads()
        self._engine = Engine(self._channels, self._destination)
        self._turn = threading.RLock()  # of those who add channels, start, or stop
        self._last_turn = threading.Lock()  # of whoever stops
        self._stops_on: int | None = None  # its thread; stays when it has stopped
        self._state: Literal["new", "running", "stopping", "stopped"] = "new"
        lifetimes.made(self)
        self._destination.look(again=resume)  # last: an interrupt finds one that can be let go

    def __del__(self) -> None:
        # One that runs is kept until the interpreter's end; this one made a first call at most.
        if getattr(self, "_state", "") == "new" and os.getpid() == self._pid:
            self._end_threads()
            self._destination.release()

    def __repr__(self) -> str:
        names = ", ".join(self._channels) or "no channels"
        return f"<Recorder {self.path or 'in memory'}, {self._state}: {names}>"

    @property
    def path(self) -> Path | None:
        """The folder; None: memory only."""
        return self._destination.path

    @property
    def offset_ns(self) -> int:
        """Added to the monotonic clock in every stamp: 0 but where a recording goes on after a new start."""
        return self._destination.offset_ns

    # Channels and threads

    @property
    def channels(self) -> Mapping[str, Channel]:
        """By name."""
        return dict(self._channels)

    def __getitem__(self, name: str) -> Channel:
        if name not in self._channels:
            raise KeyError(f"no channel {name!r}{suggest(str(name), self._channels)}")
        return self._channels[name]

    def add(
        self,
        name: str,
        source: Any = None,
        *,
        schema: Any = None,
        rate: float | str | Fraction | None = None,
        capacity: int | str | None = None,
        store: Store = "every",
        ignore: str | Iterable[str] = (),
        heartbeat: str = "1s",
        when_full: WhenFull = "overwrite",
        thread: str = "main",
        spin: str | int = "auto",
        clock: Clocked = "monotonic",
        realtime: bool | int | None = None,
        affinity: int | Iterable[int] | None = None,
        lock_memory: bool = False,
    ) -> Channel:
        """Add a channel, before or while it runs.

        Parameters
        ----------
        name : str
            1 to 64 letters, digits and ``_.-``; differs from the others by more than case.
        source : Call, ComMethod, PyCall, a source of your own, or str, optional
            What is polled; a str such as ``"linux:rusage"`` names a built-in one. None: records are pushed.
        schema : Schema, ctypes.Structure class, dtype or str
            Of what is pushed. A source has its own.
        rate : number, fraction or "max"
            Hz; required with a source. ``"max"``: flat out.
        capacity : int or str
            Of the ring, in records or as a duration (``"10s"``). Default: four seconds, at least 65,536
            records, at most 256 MiB.
        store : {"every", "changes"}
            ``"changes"``: a poll that differs is recorded at once, the equal ones after it as one hold, with
            the times of the first and the last. Fields are compared byte by byte (a NaN equals itself),
            padding never, a text by its text. For sources only.
        ignore : str or iterable of str
            Fields, structs or elements of them, that may differ within a hold; it keeps their first value.
        heartbeat : str
            A hold that lasts is put down this often: what a crash can cost of it.
        when_full : {"overwrite", "drop"}
            What gives way when the disk is too slow: the oldest records, or the new ones (needs a path).
        thread : str
            Channels of one name share a polling thread.
        spin : "auto", 0 or a duration
            How long before a deadline the thread stops sleeping. ``"auto"``: a tenth of the period, at most
            100 us; periods shorter than 100 us are spun through.
        clock : {"monotonic", "tsc"}
            What stamps: ``"tsc"`` costs less, and says how far off it can have been (`Stats.clock_error`).
        realtime : bool or int, optional
            Priority of the thread, 1 to 50, by SCHED_FIFO; True: 10. Flat out, or spun through, such a thread
            leaves others 5 % of its processor.
        affinity : int or iterable of int, optional
            Processors that the thread may run on. Of this and `realtime` its first channel decides.
        lock_memory : bool
            The ring stays in memory. `Stats.privileges` says what of these three was granted.

        Raises
        ------
        SchemaError, SourceError
            The first call failed or wrote past the struct, a name is taken, a value means nothing.
        """
        if isinstance(source, str):
            source = registry.source(source)
        schema = schema_of(name, source, schema, rate)
        options = as_options(
            schema,
            rate=rate,
            capacity=capacity,
            when_full=when_full,
            thread=thread,
            spin=spin,
            store=store,
            ignore=ignore,
            heartbeat=heartbeat,
            clock=clock,
            realtime=realtime,
            affinity=affinity,
            lock_memory=lock_memory,
        )
        self._check_open()
        check_name(name, self._channels)
        # Before there is a thread for it: that there is no memory must leave none behind.
        ring = ring_of(name, schema, options, self._destination)
        polled_on = None if source is None else self._threads.of(name, source, options.thread)
        try:
            with polled_on.held() if polled_on else nullcontext(), self._turn:
                self._check_open()  # again: meanwhile others may have added channels, or stopped it
                check_name(name, self._channels)
                channel = Channel(name, ring, options, source=source, thread=polled_on)
                self._register(channel)
        except BaseException:
            if polled_on is not None and name not in self._channels:
                self._threads.drop(polled_on)
            raise
        if source is not None and self._state == "running":
            living.begin([channel], time.monotonic_ns() + LEAD_NS, _STUCK)
        return channel

    def _register(self, channel: Channel) -> None:
        if channel.source is not None:
            channel.probe()
            self._check_open()  # a first call may take longer than a stop waits for it
        if self._state == "running":
            channel.spool(self._destination)
        self._channels[channel.name] = channel  # before it is polled: a stop must find it in any case
        try:
            if channel.polling is not None:
                channel.thread.add(channel.polling)
        except Exception:  # its time was up, and it never will be polled
            del self._channels[channel.name]
            self._destination.drop(channel.name, channel.ring)
            raise
        finally:
            self._destination.drain(channel.name)

    def _check_open(self) -> None:
        if self._state not in ("new", "running"):
            raise RecordingError(f"the recorder is {self._state}; make a new one")

    def thread(
        self,
        name: str,
        *,
        start: Sequence[Source] = (),
        stop: Sequence[Source] = (),
        realtime: bool | int | None = None,
        affinity: int | Iterable[int] | None = None,
    ) -> Thread:
        """A polling thread, by its name, as channels say it in ``thread=``; with options a new one: `Thread`.

        Raises
        ------
        SourceError
            A call of `start` failed; or there is a thread of this name already, or, without options, none.
        """
        if not start and not stop and realtime is None and affinity is None:
            return self._threads[name]
        self._check_open()
        return self._threads.make(name, start=start, stop=stop, realtime=realtime, affinity=affinity)

    # Running

    def start(self) -> None:
        """Create the recording and begin to poll."""
        is_first = False
        try:
            with self._turn:  # a channel that is being added is added first, and spooled
                if self._state != "new":
                    raise RecordingError(f"the recorder is {self._state}; a recorder starts once")
                is_first = True
                lifetimes.runs(self)
                self._destination.begin()
                for channel in self._channels.values():
                    channel.spool(self._destination)
                    self._destination.drain(channel.name)
                start = time.monotonic_ns() + LEAD_NS
                self._threads.begin(start)
                self._state = "running"
            self._begin_to_look()
            living.begin(self.channels.values(), start, _STUCK)
        except BaseException:
            if is_first:
                self.stop()
            raise

    def __enter__(self) -> Self:
        try:
            self.start()
            return self
        except BaseException as error:
            if not isinstance(error, FastrecError):  # an interrupt: nobody else would stop what has begun
                self.stop()
            raise

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop polling, write what is left, close the recording. A second call does nothing.

        Called by the callback of a trigger while another thread stops it, it returns at once.

        Raises
        ------
        RecordingError
            The disk did not take all, or not in 30 s: what it took is whole, the rest is in shared memory.
        """
        if os.getpid() != self._pid:
            return
        if self._last_turn.locked() and (self._stops_on == threading.get_ident() or self._engine.calls_back):
            return  # the second: of the handler of a signal, or a callback, for which the first one waits
        with self._last_turn:
            self._stops_on = threading.get_ident()  # as long as the lock is held
            if self._state != "stopped":
                self._stop()

    def _stop(self) -> None:
        # An interrupt in the middle leaves it stopping; a second stop, at the latest that at exit, goes on.
        keep = self._state != "new" or self._destination.goes_on
        if self._state == "running":
            for channel in living.finish(self.channels.values(), _STUCK):
                with suppress(RecordingError):  # of a disk that takes nothing, the stop itself will tell
                    self._destination.mark(f"{channel.name}: {channel.source.outcome}", "outcome")
        is_mine = self._turn.acquire(timeout=_STUCK)  # a channel that is being added is added first
        self._state = "stopping"
        if is_mine:
            self._turn.release()
        self._end_threads()
        self._look_no_more()
        try:
            if keep and (self._channels or self.marks):
                self._destination.end(self._last_stats)
            else:
                self._destination.discard()
        except Exception:
            self._over()
            raise
        self._over()

    def _last_stats(self) -> dict[str, Any]:
        # All is on the disk, and the recording still ours.
        self._engine.finish()
        return self.stats.as_dict()

    def _over(self) -> None:
        self._engine.give_up()
        lifetimes.ended(self)
        self._state = "stopped"

    def _end_threads(self) -> None:
        for channel in self._channels.values():
            channel.note_cpu()
        self._threads.end(_STUCK)
        for channel in self._channels.values():
            channel.close()

    def forget(self) -> None:
        """Become inert, as a forked child must: threads, files and lock are the parent's."""
        self._state = "stopped"
        self._turn, self._last_turn = threading.RLock(), threading.Lock()  # the parent's threads held them
        self._threads.forget()
        self._forget_to_look()
        for channel in self._channels.values():
            channel.forget()
        self._destination.forget()

    @property
    def stats(self) -> RecorderStats:
        """The statistics of every channel as they are now."""
        return RecorderStats({name: channel.stats for name, channel in self.channels.items()})
