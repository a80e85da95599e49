"""Channels that were there and are not, or that nothing describes: told by what counts and names them.

``closed.json`` counts every channel. Of a recording that is not closed, the line of the newest session names
those that were there at its start, and the statistics since then those that were recorded. What is before it
may be of channels that were left behind when the recording was recovered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrec.errors import RecordingError
from fastrec.recording import layout, opening
from fastrec.recording.closing import published, totals
from fastrec.recording.committed import NUMBER_LIMIT
from fastrec.recording.stock import segment_numbers

__all__ = ["Gone", "gone_channels", "told_channels", "undescribed"]


class Gone(NamedTuple):
    """A channel of which nothing is there.

    Attributes
    ----------
    records : int or None
        How many it had, at least; None: nobody knows.
    why : str
        That it is gone, and who says how many records it had.
    there : bool
        Its folder is there, but not for this user: then `why` says that.
    """

    records: int | None
    why: str
    there: bool = False

    @property
    def word(self) -> str:
        """What became of it, in short."""
        return "cannot be looked into" if self.there else "is gone"


def told_channels(
    closed: Mapping[str, Any] | None,
    sessions: Sequence[Mapping[str, Any]],
    stats: Mapping[str, Mapping[str, Any]],
) -> dict[str, Gone]:
    """The channels that there should be, and what to say of each if it is not there.

    Parameters
    ----------
    closed : mapping or None
        The members of ``closed.json``.
    sessions : sequence of mapping
        The lines of ``sessions.jsonl``.
    stats : mapping of str to mapping
        The newest line of each channel in ``stats.jsonl``.
    """
    told: dict[str, Gone] = {}
    if closed is not None:
        for name in filter(layout.CHANNEL_NAME.fullmatch, totals(closed)):
            count = published(closed, name)
            told[name] = Gone(count, _why(count, "as closed.json counts"))
        return told
    newest = sessions[-1] if sessions else {}
    since, segments = newest.get("start_ns"), newest.get("segments")
    names = list(segments) if isinstance(segments, dict) else []
    names += [name for name, line in stats.items() if not _is_before(line.get("mono_ns"), since)]
    for name in filter(layout.CHANNEL_NAME.fullmatch, names):
        count = stats.get(name, {}).get("published")
        count = count if type(count) is int and 0 <= count < NUMBER_LIMIT else None
        told[name] = Gone(count, _why(count, "at least, as stats.jsonl says"))
    return told


def _is_before(stamp: object, since: object) -> bool:
    return type(stamp) is int and type(since) is int and stamp < since


def _why(count: int | None, who: str) -> str:
    if count is None:
        return "is gone; nobody knows how many records it had"
    return f"is gone, with {count:,} record{'' if count == 1 else 's'}, {who}"


def gone_channels(root: Path, told: Mapping[str, Gone], present: Iterable[str]) -> dict[str, Gone]:
    """Those of `told_channels` of which there is neither a segment nor what describes one."""
    found = {}
    for name in sorted(set(told) - set(present)):
        try:
            if not segment_numbers(root, name):
                found[name] = told[name]
        except RecordingError as error:  # a file, a link, or what this user may not list
            if isinstance(error.__cause__, PermissionError):
                seen = Gone(told[name].records, "", there=True)
                found[name] = seen._replace(why=f"{seen.word}: {error.__cause__.strerror}")
            else:
                found[name] = told[name]
    return found


def undescribed(root: Path, present: Iterable[str]) -> dict[str, str]:
    """Channels with segments, but without a ``channel.json``, by name; and what to say of each.

    Raises
    ------
    RecordingError
        Something in the folder of the channels is a link, or it cannot be listed.
    """
    names = sorted(set(opening.subfolders(root, "channels")) - set(present))
    return {
        # What cannot be a channel by its name is none of ours.
        name: "has segments, but no channel.json that says what they are; fastrec recover can save them"
        for name in names
        if layout.CHANNEL_NAME.fullmatch(name) and _has_segments(root, name)
    }


def _has_segments(root: Path, name: str) -> bool:
    try:
        return bool(segment_numbers(root, name))
    except RecordingError:
        return False  # a link, or what cannot be listed
