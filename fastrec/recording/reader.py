"""Opening a recording. Nothing in it is trusted, and opening it changes nothing.

A recording that is being written can be read all the time: each look at it is a snapshot of what was
committed then.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np

from fastrec.errors import CorruptionError, FormatError, RecordingError, SchemaError, shown, suggest
from fastrec.recording import layout, opening
from fastrec.recording.channel import Channel, Content
from fastrec.recording.clocks import ClockEvent, clock_of, events_of, is_stamp, readings_of
from fastrec.recording.closing import all_retired, published, read_closed, stats_of
from fastrec.recording.ends import End, ends_of
from fastrec.recording.gone import Gone, gone_channels, told_channels, undescribed
from fastrec.recording.lines import read_lines
from fastrec.recording.marks import Mark, marks_of
from fastrec.recording.tail import ChannelTail
from fastrec.recording.verify import Report, verify
from fastrec.recording.windows import Windows
from fastrec.records import Records
from fastrec.schema import Schema
from fastrec.sources.registry import as_schema
from fastrec.times import Clock
from fastrec.timezones import zone_named

__all__ = ["Mark", "Recording", "open"]

Renames = Mapping[str, str | None]
"""From a recorded name to the new one; None: it is gone."""


def open(
    path: str | os.PathLike[str],
    schema: Schema | Mapping[str, Schema] | None = None,
    renamed: Renames | Mapping[str, Renames] | None = None,
) -> Recording:
    """Open a recording for reading.

    Parameters
    ----------
    path : path
        The folder.
    schema : Schema, ctypes.Structure class or dtype; or a mapping of channel name to one, optional
        Read the records as this struct, newer or of another machine, field by field by name. Every recorded
        value must be one of the new field: it may have more bytes or bits, another byte order, be a larger
        float, a longer array or text (filled with zeros). Fields may move, go, and come (zero bytes). Labels,
        units, scales and docs are the new ones. One alone is for a recording of one channel.
    renamed : mapping of str to (str or None), optional
        From the recorded name of a field, a nested struct (``"pose"``) or an array of structs to its name in
        `schema`; None says that it is gone, even where the new one has that name. With a mapping of schemas,
        one such mapping by channel name.

    Returns
    -------
    Recording
        A mapping of channel name to `Records`.

    Raises
    ------
    RecordingError
        There is no recording, or it cannot be read.
    CorruptionError
        ``recording.json`` is damaged. Damage elsewhere shows in `Recording.problems`, or when it is touched.
    FormatError
        The recording is of a format that this version does not know.
    SchemaError
        `schema` names no channel. When the channel is first asked for: something recorded would be lost
        (narrower, other sign, shorter, text from a number), or a field is gone and one like it is new in its
        place, and `renamed` does not say whether it is the same. The message names every such field.

    Notes
    -----
    Fields that share bytes in `schema` (a union) must have shared them before, in the same way; a member that
    is new there shows the bytes of the others. Records are converted when they are looked at, and not at all
    where `schema` has the recorded layout.
    """
    return Recording(opening.absolute(path), schema, renamed)


def _is_name(name: object) -> TypeGuard[str]:
    """Whether a channel can be called so."""
    return isinstance(name, str) and layout.CHANNEL_NAME.fullmatch(name) is not None


class Recording(Mapping[str, Records]):
    """A recording on disk: a mapping of channel name to `Records`. Made by `open`.

    Unless it is closed, every access looks at the folder again.

    Attributes
    ----------
    path : Path
    uuid : str
        32 hexadecimal digits.
    info : dict
        The members of ``recording.json``: host, tool, timezone, created_ns, metadata ...
    """

    def __init__(
        self,
        path: Path,
        schema: Schema | Mapping[str, Schema] | None = None,
        renamed: Renames | Mapping[str, Renames] | None = None,
    ) -> None:
        self.path = path
        try:
            self.info = opening.read_json(path, "recording.json", seed=0)
        except FileNotFoundError as error:
            what = "holds no recording (no recording.json)" if path.is_dir() else "there is no such folder"
            what += "; fastrec recover can save its channels" if opening.has_file(path, "channels") else ""
            raise RecordingError(f"{path}: {what}") from error
        if self.info.get("format") != layout.FORMAT_VERSION:
            raise FormatError(
                f"{path}: format {self.info.get('format')!r:.40}, but this fastrec reads"
                f" {layout.FORMAT_VERSION}; update it"
            )
        self.uuid = self.info.get("uuid")
        if not isinstance(self.uuid, str) or not re.fullmatch(r"[0-9a-f]{32}", self.uuid):
            raise FormatError(f"{path}: uuid {self.uuid!r:.80} is not 32 hexadecimal digits")
        self._uuid = bytes.fromhex(self.uuid)
        self._channels: dict[str, Channel] = {}
        self._records: dict[str, Records] = {}
        self._made: dict[tuple[str, ...], tuple[object, Any]] = {}
        self._closed_as: tuple[object, dict[str, Any]] = (None, {})
        self._given = self._by_channel(schema, renamed)

    def _by_channel(
        self,
        schema: Schema | Mapping[str, Schema] | None,
        renamed: Renames | Mapping[str, Renames] | None,
    ) -> dict[str, tuple[Schema, Renames | None]]:
        if schema is None:
            if renamed is not None:
                raise SchemaError("renamed says how old names are called in schema; pass schema too")
            return {}
        names = list(self)
        if not isinstance(schema, Mapping):
            if len(names) != 1:
                raise SchemaError(
                    f"{self.path} has {len(names)} channels; pass a mapping of channel name to Schema"
                )
            return {names[0]: (as_schema(schema), renamed)}
        for name in schema:
            if name not in names:
                raise SchemaError(f"{self.path} has no channel {name!r}{suggest(str(name), names)}")
        maps = {} if renamed is None else renamed
        if not isinstance(maps, Mapping):
            raise SchemaError(
                f"renamed={shown(renamed)}: pass a mapping of channel name to a mapping of names"
            )
        for name in maps:
            if name not in schema:
                raise SchemaError(
                    f"renamed: no schema is given for a channel {name!r:.80}{suggest(str(name), schema)}"
                )
        return {name: (as_schema(one), maps.get(name)) for name, one in schema.items()}

    # The mapping

    def __iter__(self) -> Iterator[str]:
        for name in opening.subfolders(self.path, "channels"):
            # A folder without one belongs to a recorder that died, or has not come further yet.
            if _is_name(name) and opening.has_file(self.path, "channels", name, "channel.json"):
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        # Not by listing them: a question per channel of a recording of thousands would take for ever.
        return _is_name(name) and opening.has_file(self.path, "channels", name, "channel.json")

    def __getitem__(self, name: str) -> Records:
        """The channel's records, as committed by now.

        Raises
        ------
        KeyError
            There is no such channel.
        CorruptionError, FormatError
            Its ``channel.json`` is damaged.
        """
        # Asked first: what is closed now was closed before its segments are read.
        closed = self.closed
        if closed is not None and name in self._records:
            return self._records[name]
        channel = self._channel(name)
        # While a recorder lives no power was lost: only what it writes now can be unfinished.
        content = self._content(channel, closed, brief=closed is not None or opening.is_live(self.path))
        records = Records(
            name,
            channel.schema,
            channel.seen(content.chunks),
            gaps=content.gaps,
            clock=self._clock,
            period_ns=channel.period_ns,
            store=channel.store,
            tail=lambda begin: ChannelTail(
                channel,
                content,
                begin,
                start_ns=self._start(),
                live=lambda: opening.is_live(self.path),
                clock=lambda: self.clock,
            ),
        )
        if closed is not None:
            self._records[name] = records
        return records

    def _clock(self) -> Clock:
        """For records, when dates are asked of them: their folder may be another's by then."""
        if not opening.is_of(self.path, self.uuid):
            raise opening.GoneError(f"{self.path}: is gone, so nothing tells dates; open the recording again")
        return self.clock

    def _channel(self, name: str) -> Channel:
        channel = self._channels.get(name)
        with suppress(FileNotFoundError):
            if channel is None and _is_name(name):
                channel = Channel(self.path, self._uuid, name, *self._given.get(name, ()))
                self._channels[name] = channel
        if channel is None:
            raise KeyError(f"{self.path} has no channel {name!r}{suggest(str(name), list(self))}")
        return channel

    def contents(self) -> Iterator[tuple[str, Channel, Content]]:
        """Each channel and what is committed of it: for those who need more than its records."""
        closed = self.closed
        for name in self:
            channel = self._channel(name)
            yield name, channel, self._content(channel, closed)

    def _content(self, channel: Channel, closed: dict[str, Any] | None, *, brief: bool = False) -> Content:
        name = channel.name
        content = channel.read(
            published(closed, name), self._start, all_retired=lambda: all_retired(closed, name), brief=brief
        )
        if closed is None and not content.end and not (content.segments and content.segments[0].number == 0):
            # Nothing is left, or not yet there again: the last statistics tell how far it had come.
            written = self.stats.get(name, {}).get("written")
            if type(written) is int and 0 < written < 1 << 62:
                content = channel.read(written, self._start, all_retired=lambda: True)
        return content

    def __repr__(self) -> str:
        state, gone = self.state, self._gone()
        names = (
            [f"{name} up to record {end.end:,}" for name, end in self.ends.items() if name not in gone]
            if state == "unclean"
            else list(self)
        )
        names += [f"{name} {one.word}" for name, one in gone.items()]
        return f"<Recording {self.path}: {state}, {', '.join(names) or 'no channels'}>"

    # The recording's own files

    @property
    def closed(self) -> dict[str, Any] | None:
        """The members of ``closed.json``; None: the recording is not closed."""
        try:
            # Asked at every access, and of thousands of channels it is large.
            now = opening.identity(self.path, "closed.json")
            if now != self._closed_as[0]:
                self._records.clear()  # it was gone on with
                self._closed_as = now, read_closed(self.path, self._uuid)
            return self._closed_as[1]
        except (FileNotFoundError, CorruptionError, FormatError):
            return None

    @property
    def state(self) -> Literal["closed", "live", "unclean"]:
        """``"closed"`` by a clean stop, ``"live"`` while a recorder runs, ``"unclean"`` when one died."""
        if self.closed is not None:
            return "closed"
        if opening.is_live(self.path):
            return "live"
        # A recorder closes before it lets go of the lock, perhaps between our two questions.
        return "unclean" if self.closed is None else "closed"

    def _identity(self, name: str) -> object:
        try:
            return opening.identity(self.path, name)
        except FileNotFoundError:
            return None

    def _made_of(self, names: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """What is made of some files, once as long as they stay the same."""
        seen = [self._identity(name) for name in names]
        if names not in self._made or self._made[names][0] != seen:
            self._made[names] = seen, make()
        return self._made[names][1]

    def _lines(self, name: str) -> Iterator[tuple[int, dict[str, Any] | RecordingError]]:
        return read_lines(self.path, name, base=layout.place(self._uuid))

    @property
    def sessions(self) -> tuple[dict[str, Any], ...]:
        """One dict per start of a recorder on this folder: session, boot_id, offset_ns, start_ns, pid ..."""
        return self._made_of(
            ("sessions.jsonl",),
            lambda: tuple(line for _, line in self._lines("sessions.jsonl") if isinstance(line, dict)),
        )

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The user's marks in the order they were made."""
        return marks_of(line for _, line in self._lines("marks.jsonl"))

    @property
    def windows(self) -> Windows:
        """What triggers have cut out of it: a mapping of name to `Recording`, each opened when asked for."""
        return Windows(self.path, Recording)

    @property
    def stats(self) -> dict[str, dict[str, Any]]:
        """The newest counters of every channel: the final ones if closed, else the last that were written."""
        return stats_of((line for _, line in self._lines("stats.jsonl")), self.closed)

    @property
    def readings(self) -> np.ndarray:
        """The readings of all clocks that are whole: ndarray of CLOCK_DTYPE."""
        return readings_of(self.path, self._uuid)

    @property
    def clock(self) -> Clock:
        """From stamps to dates, in the zone in which it was recorded.

        Where the clock of dates was set, or the machine slept, dates jump at the first reading behind it:
        see `clock_events`.
        """
        start, created = self._start(), self.info.get("created_ns")
        known = (start, created) if start and is_stamp(created) else None
        zone = zone_named(self.info.get("timezone"))
        return self._made_of(
            ("clocks.npy", "sessions.jsonl"), lambda: clock_of(self.readings, self.sessions, known, zone)
        )

    @property
    def clock_events(self) -> list[ClockEvent]:
        """Where the clock of dates was set, and where the machine slept."""
        return events_of(self.readings, self.sessions)

    @property
    def ends(self) -> dict[str, End]:
        """Where each channel ends, and why, those too that are gone; no record is read for that."""
        # Asked first: a recorder that lives now may commit more while we look.
        state, closed = self.state, self.closed
        gone = {name: End(one.records or 0, None, one.why) for name, one in self._gone().items()}
        return gone | ends_of(self, self._channel, state, closed)

    def _start(self) -> int:
        starts = [session.get("start_ns") for session in self.sessions[:1]]
        return next(filter(is_stamp, starts), 0)

    # Damage

    def _gone(self) -> dict[str, Gone]:
        """Channels that there should be."""
        closed = self.closed
        # What tells of them is read before their folders are listed: a recorder may add some meanwhile.
        told = told_channels(closed, *(((), {}) if closed else (self.sessions, self.stats)))
        return gone_channels(self.path, told, self)

    @property
    def problems(self) -> list[str]:
        """What is damaged, as far as indexes, gaps and headers show; `verify` reads everything."""
        closed, found = self.closed, []
        for name in self:
            try:
                found += self._content(self._channel(name), closed).problems
            except RecordingError as error:
                found.append(str(error))
        if closed is None and opening.has_file(self.path, "closed.json"):
            found.append(f"{self.path / 'closed.json'}: is damaged, so the recording counts as not closed")
        nowhere = {name: one.why for name, one in self._gone().items()} | undescribed(self.path, self)
        return found + [f"{self.path / 'channels' / name}: {why}" for name, why in nowhere.items()]

    def verify(self) -> Report:
        """Read everything and check it: every checksum, every number present or named in a gap, every total;
        windows, too.
        """
        gone, found = self._gone(), self.sessions
        report = verify(self.path, self._uuid, list(self), state=self.state, gone=gone, sessions=found)
        self.windows.verify(report)
        return report
