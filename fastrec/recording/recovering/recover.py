"""Recovering: a new recording of all that is whole of a damaged one, and a list of what is not.

The source is only read. The new recording is built in a hidden folder and gets its name when all of it is
durable, so there is never half of one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastrec.errors import CorruptionError, FastrecError, FormatError, RecordingError
from fastrec.recording import layout, opening
from fastrec.recording.clocks import is_stamp
from fastrec.recording.closing import all_retired, published, read_closed, totals
from fastrec.recording.gone import gone_channels, told_channels
from fastrec.recording.recovering.definition import define
from fastrec.recording.recovering.findings import Findings
from fastrec.recording.recovering.own_files import identify, save_clocks, save_lines, save_object
from fastrec.recording.recovering.saving import save_channel
from fastrec.recording.recovery import ChannelRecovery, Recovery
from fastrec.recording.stock import segment_numbers
from fastrec.recording.writing.files import create_closed, take_back
from fastrec.recording.writing.fresh import fresh_folder
from fastrec.recording.writing.journals import Lines
from fastrec.recording.writing.remains import LOST, lost_with_rings, told_strays
from fastrec.recording.writing.rings import left_rings, stray_rings

__all__ = ["recover"]

_OWN = {
    "recording.json",
    "sessions.jsonl",
    "clocks.npy",
    "marks.jsonl",
    "stats.jsonl",
    "closed.json",
    "channels",
    "windows",
}

_MOST_LEVELS = 8
"""How deep windows may lie in windows. A recorder makes none in one."""

Progress = Callable[[int, int], object]


def recover(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    salvage: bool = False,
    progress: Progress | None = None,
) -> Recovery:
    """Save all that is whole of a recording in a new one, and say what is torn or gone.

    Parameters
    ----------
    src : path
        The recording's folder; it is not changed. Anything in it may be damaged or missing: indexes,
        ``recording.json``, ``channel.json``, gaps, texts.
    dst : path
        The new folder. It comes to be when it is whole and durable; until then nothing has this name.
    salvage : bool
        Take rows that no checksum proves, too: whole rows behind the last index row, or whose index is
        damaged, as far as they can be records. They are marked in the new recording (a mark of the kind
        ``salvaged``, and a bit in the index), and listed as unproven.
    progress : callable, optional
        Called now and then with the bytes of records that were read, and of how many.

    Returns
    -------
    Recovery
        ``ok`` if nothing was lost. ``Recording.verify`` of `dst` finds no problem either way: what was lost
        to damage is in its gaps, with cause ``disk`` and code 5 (EIO).

    Raises
    ------
    RecordingError
        `src` is no recording, or one that is being written; `dst` exists or lies within `src`; nothing could
        be saved; or the disk does not take it. Nothing is left of `dst` then.
    FormatError
        `src` is of a format that this version does not know.
    """
    source, path = opening.absolute(src), opening.absolute(dst)
    if not source.is_dir():
        raise RecordingError(
            f"{source}: "
            + ("is a file; a recording is a folder" if source.exists() else "there is no such folder")
        )
    if path != source and path.resolve().is_relative_to(source.resolve()):
        raise RecordingError(f"{path}: lies within the recording, which is not changed; use another path")
    if _is_live(source):
        raise RecordingError(
            f"{source}: a recorder is writing to it, so there is nothing to recover: open it as it is, or"
            " stop the recorder first"
        )
    meter = _Meter(progress, _record_bytes(source) if progress else 0)
    try:
        before = _sessions_of(source)
        with fresh_folder(path) as hidden:
            recovery = _save(source, hidden, path, salvage=salvage, meter=meter)
            if _is_live(source) or _sessions_of(source) != before:
                raise RecordingError(
                    f"{source}: a recorder went on with it meanwhile; recover it again once that has stopped"
                )
            return recovery
    except OSError as error:
        raise opening.refusal(path, (), error) from error


def _is_live(source: Path) -> bool:
    try:
        return opening.is_live(source)
    except RecordingError:
        return False  # no lock can be on what stands in the place of recording.json


def _sessions_of(source: Path) -> object:
    """What differs if a recorder was there: it wrote a line, and took rings that are looked for by them."""
    try:
        return opening.identity(source, "sessions.jsonl")
    except OSError:
        return None


@dataclass
class _Meter:
    progress: Progress | None
    total: int
    bytes: int = 0

    def __call__(self, count: int) -> None:
        self.bytes += count
        if self.progress is not None:
            self.progress(min(self.bytes, self.total), self.total)


def _record_bytes(root: Path) -> int:
    total = 0
    for place, _, names in os.walk(root):
        for name in names:
            if name.startswith("records."):
                entry = os.lstat(os.path.join(place, name))
                # Of a sparse file only what is there is read.
                total += min(entry.st_size, entry.st_blocks * 512) if stat.S_ISREG(entry.st_mode) else 0
    return total


def _save(
    source: Path, hidden: Path, path: Path, *, salvage: bool, meter: _Meter, levels: int = _MOST_LEVELS
) -> Recovery:
    """Fill the folder `hidden` with what is whole of `source`, and of so many levels of windows in it."""
    findings = Findings()
    names = [
        name
        for name in _folders(source, "channels", findings=findings)
        if layout.CHANNEL_NAME.fullmatch(name)
    ]
    segments = {name: _segments(source, name, findings) for name in names}
    if not names and not opening.has_file(source, "recording.json"):
        raise RecordingError(f"{source}: holds no recording (neither recording.json nor channels)")
    identity = identify(source, segments, findings)
    uuid = identity.uuid
    closed = _closed(source, uuid, findings)
    (hidden / "channels").mkdir(0o700)
    save_object(hidden, "recording.json", data=identity.data, findings=findings)
    sessions = save_lines(source, hidden, "sessions.jsonl", uuid, findings, _size(closed, "sessions.jsonl"))
    marks = save_lines(source, hidden, "marks.jsonl", uuid, findings, _size(closed, "marks.jsonl"))
    stats = {
        line["channel"]: {key: value for key, value in line.items() if key != "channel"}
        for line in save_lines(source, hidden, "stats.jsonl", uuid, findings, _size(closed, "stats.jsonl"))
        if isinstance(line.get("channel"), str)
    }
    clock = save_clocks(source, hidden, uuid, findings, _size(closed, "clocks.npy"))
    start_ns = next(filter(is_stamp, (_start(sessions), clock)), 0)
    channels: dict[str, ChannelRecovery] = {}
    left = list(left_rings(source, sessions, names))
    told = told_channels(closed, sessions, stats)
    described = [name for name in names if opening.has_file(source, "channels", name, "channel.json")]
    gone = gone_channels(source, told, described)
    findings.problems += [f"channels/{name}: {one.why}" for name, one in gone.items()]
    findings.problems += told_strays(stray_rings(source, sessions, described), lost=False)
    for name in names:
        if name in gone:
            continue
        if not segments[name] and not opening.has_file(source, "channels", name, "channel.json"):
            findings.notes.append(f"channels/{name}: is empty, as a recorder leaves it that died early")
            continue
        try:
            definition = define(source, uuid, name, segments[name])
        except FormatError as error:
            findings.problems.append(f"channels/{name}: is gone: {error}")
            continue
        if definition.problem:
            findings.problems.append(f"channels/{name}/channel.json: {definition.problem}")
        channels[name] = save_channel(
            definition,
            hidden,
            segments[name],
            salvage=salvage,
            start_ns=start_ns,
            published=published(closed, name),
            all_retired=all_retired(closed, name),
            findings=findings,
            done=meter,
            left=[ring for ring in left if ring.channel == name],
            written=stats.get(name, {}).get("written"),
        )
    if names and not channels and any(segments.values()):
        raise RecordingError(f"{source}: no channel could be saved: {'; '.join(findings.problems)}")
    lost: list[str] = []
    if not opening.has_file(source, "closed.json"):  # one that is damaged was written all the same
        ends = {name: channel.end for name, channel in channels.items()}
        found = {ring.channel for ring in left if ring.newest}
        lost += lost_with_rings(source, sessions, stats, ends, found).values()
        findings.notes += lost
    marked = {mark.get("text") for mark in marks if mark.get("kind") == LOST}
    _add_marks(hidden, uuid, channels, [text for text in lost if text not in marked], start_ns)
    windows = _windows(source, hidden, path, salvage=salvage, meter=meter, findings=findings, levels=levels)
    finals = totals(closed)
    create_closed(
        hidden,
        uuid,
        session=_last_session(sessions, closed),
        mono_ns=_last_time(closed, start_ns),
        channels={
            name: {
                "records": one.end,
                "segments": len(_segments(hidden, name, Findings())),
                "stats": _stats(finals.get(name), stats.get(name)),
            }
            for name, one in channels.items()
        },
    )
    _note_others(source, findings)
    return Recovery(
        source=str(source),
        path=str(path),
        channels=channels,
        torn=tuple(findings.torn),
        problems=tuple(findings.problems),
        notes=tuple(findings.notes),
        windows=windows,
    )


def _folders(root: Path, *parts: str, findings: Findings) -> list[str]:
    """Names of the folders in a folder; what is a link is told and left out."""
    found = []
    try:
        with opening.open_folder(root, parts) as folder, os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    findings.problems.append(f"{'/'.join((*parts, entry.name))}: is a link, and not followed")
                elif entry.is_dir():
                    found.append(entry.name)
    except FileNotFoundError:
        pass
    except OSError as error:
        findings.problems.append(str(opening.refusal(root, parts, error)))
    return sorted(found)


def _segments(root: Path, name: str, findings: Findings) -> list[int]:
    """Numbers of a channel's segments; of one that retention was removing nothing counts."""
    try:
        return segment_numbers(root, name, ("records.", "index.", "gaps."))
    except RecordingError as error:
        findings.problems.append(str(error))
        return []


def _closed(root: Path, uuid: bytes, findings: Findings) -> dict[str, Any] | None:
    """``closed.json``, if it is whole."""
    try:
        return read_closed(root, uuid)
    except FileNotFoundError:
        findings.notes.append(
            "there is no closed.json: the recorder did not stop cleanly; what it had not written is gone, but"
            " for what is told here"
        )
    except (CorruptionError, FormatError, RecordingError):
        findings.notes.append("closed.json: is damaged; it was made anew")
    return None


def _size(closed: dict[str, Any] | None, name: str) -> int | None:
    """Bytes of a file when the recording was closed; -1: it was not there; None: nobody knows."""
    files = (closed or {}).get("files")
    if not isinstance(files, dict):
        return None
    size = files.get(name, -1)
    return size if type(size) is int and -1 <= size < 1 << 62 else None


def _start(sessions: list[dict[str, Any]]) -> int | None:
    starts = [line.get("start_ns") for line in sessions[:1]]
    return next((one for one in starts if type(one) is int), None)


def _last_session(sessions: list[dict[str, Any]], closed: dict[str, Any] | None) -> int:
    numbers = [line.get("session") for line in [*sessions, *([closed] if closed else [])]]
    return max((one for one in numbers if type(one) is int and 0 <= one < 1 << 31), default=0)


def _last_time(closed: dict[str, Any] | None, start_ns: int) -> int:
    told = (closed or {}).get("mono_ns")
    return told if is_stamp(told) else start_ns


def _stats(final: object, newest: dict[str, Any] | None) -> dict[str, Any]:
    """The final counters of a channel, or the last that were written."""
    told = final.get("stats") if isinstance(final, dict) else None
    if isinstance(told, dict):
        return told
    return {key: value for key, value in (newest or {}).items() if key != "mono_ns"}


def _add_marks(
    hidden: Path, uuid: bytes, channels: dict[str, ChannelRecovery], lost: list[str], start_ns: int
) -> None:
    """What the new recording must tell of itself: what is unproven, and what nobody can count."""
    spans = [(name, *span) for name, one in channels.items() for span in one.unproven]
    if not spans and not lost:
        return
    lines = Lines(hidden, "marks.jsonl", uuid)
    try:
        for name, first, last in spans:
            text = f"{name}: records {first} to {last} were salvaged: no checksum proved them"
            lines.append({"mono_ns": start_ns, "text": text, "kind": "salvaged"})
        for text in lost:
            lines.append({"mono_ns": start_ns, "text": text, "kind": LOST})
    finally:
        lines.close()


def _windows(
    source: Path, hidden: Path, path: Path, *, salvage: bool, meter: _Meter, findings: Findings, levels: int
) -> dict[str, Recovery]:
    """The recordings below ``windows/``, each recovered like any other."""
    found: dict[str, Recovery] = {}
    for name in _folders(source, "windows", findings=findings):
        if name.startswith("."):
            continue  # a recorder died while it made or removed it
        if not levels:
            findings.problems.append(f"windows/{name}: is left out: windows lie in windows too deep")
            continue
        made = hidden / "windows" / name
        made.mkdir(0o700, parents=True)
        try:
            found[name] = _save(
                source / "windows" / name,
                made,
                path / "windows" / name,
                salvage=salvage,
                meter=meter,
                levels=levels - 1,
            )
        except FastrecError as error:
            take_back(made)
            findings.problems.append(f"windows/{name}: is gone: {error}")
    return found


def _note_others(source: Path, findings: Findings) -> None:
    others = [name for name in opening.folder_names(source) if name not in _OWN and not name.endswith(".new")]
    if others:
        shown = ", ".join(others[:8]) + (f" and {len(others) - 8} more" if len(others) > 8 else "")
        findings.notes.append(f"left out, as no part of a recording: {shown}")
