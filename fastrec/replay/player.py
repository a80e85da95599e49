"""Player: the records of several channels, merged, one by one or at the times at which they were recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from fastrec.errors import SchemaError
from fastrec.records import Records
from fastrec.records.merging import merge
from fastrec.records.plain import plain
from fastrec.replay.pacing import Pacing, Report, as_speed

__all__ = ["Player"]


class Player:
    """Plays records again.

    Iterating gives ``(t, channel, record)`` in the order of time, as fast as they are taken; `run` calls back
    at the recorded times. Both begin anew every time. Equal stamps come in the order of the channels, and a
    channel whose stamps run backwards keeps its order. A hold is one record, played when it began; its
    columns say how long it lasted. Memory does not grow with the recording.

    Parameters
    ----------
    run : Recording, mapping of str to Records, or Records
        Of a live recording, what is committed when the iteration or the run begins.
    speed : number or None
        2.0 is twice as fast as it happened, 0.1 ten times slower; any finite number above 0. None: as fast as
        the callback takes them.
    decoded : bool
        Hand out a dict for each record, of plain Python values as people read them: label names, physical
        values, texts as `Records.decode` has them; the recorder's columns (``mono_ns`` ...) first. Otherwise
        a `numpy.void` of the record dtype, a copy, as iterating over `Records` gives.

    Attributes
    ----------
    speed : Fraction or None
        The exact one: 0.1 is a tenth.
    report : Report or None
        Of the last `run`, also if an exception ended it; None: there was none yet.

    Raises
    ------
    SchemaError
        `run` is nothing that can be played, or `speed` no speed.
    """

    def __init__(
        self,
        run: Mapping[str, Records] | Records,
        speed: float | Fraction | None = 1.0,
        *,
        decoded: bool = False,
    ) -> None:
        if not isinstance(run, Mapping | Records):
            raise SchemaError(
                f"a Player plays a recording, a mapping of names to Records, or Records, not {run!r:.60};"
                ' open a folder with fr.open("bench.fastrec"), ask a live channel for its snapshot()'
            )
        self._run = {run.name: run} if isinstance(run, Records) else run
        self.speed = as_speed(speed)
        self._read = _decoded if decoded else _copied
        self.report: Report | None = None

    def __repr__(self) -> str:
        pace = "as fast as they are taken" if self.speed is None else f"at {float(self.speed):g}x"
        return f"<Player {', '.join(map(str, self._run)) or 'of nothing'}, {pace}>"

    def __iter__(self) -> Iterator[tuple[int, str, Any]]:
        channels = dict(self._run.items())
        for name, records in channels.items():
            if not isinstance(records, Records):
                raise SchemaError(
                    f"channel {name!r:.60} is {records!r:.60}, not Records;"
                    " ask a live channel for its snapshot()"
                )
        return merge(channels, self._read)

    def run(self, callback: Callable[[int, str, Any], object]) -> Report:
        """Call back with each record at its time.

        The first record is due at once, any other at ``start + (t - t of the first) / speed``, counted in
        whole nanoseconds from the start, so nothing adds up: what a slow callback made late catches up. The
        GIL is released while it waits.

        Parameters
        ----------
        callback : callable
            Called on this thread with the stamp (int, ``mono_ns``), the channel's name and the record. What
            it raises ends the run, as does Ctrl-C; `report` says how far it came.

        Returns
        -------
        Report
            Durations in ns, and how late the calls were.

        Raises
        ------
        SchemaError
            The callback cannot be called.
        CorruptionError
            The recording is damaged where it came to.
        """
        if not callable(callback):
            raise SchemaError(f"run() takes a function of (t, channel, record), not {callback!r:.60}")
        pacing = Pacing(self.speed)
        try:
            pacing.run(self, callback)
        finally:
            self.report = pacing.report()
        return self.report


def _copied(name: str, parts: Iterator[Records]) -> Iterator[tuple[int, Any]]:
    for part in parts:
        yield from zip(part["mono_ns"].tolist(), part, strict=True)


def _decoded(name: str, parts: Iterator[Records]) -> Iterator[tuple[int, dict[str, Any]]]:
    for part in parts:
        columns = part.decode()
        rows = zip(*map(plain, columns.values()), strict=True)
        for stamp, row in zip(part["mono_ns"].tolist(), rows, strict=True):
            yield stamp, dict(zip(columns, row, strict=True))
