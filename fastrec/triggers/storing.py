"""Windows on the disk: recordings of their own below ``windows/`` of the one they are cut from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastrec.recording.channel import Channel as Recorded
from fastrec.recording.marks import Mark
from fastrec.recording.opening import folder_names, open_folder, refusal
from fastrec.recording.reader import Recording
from fastrec.recording.windows import FOLDER
from fastrec.recording.writing.excerpt import About, Part, write_excerpt
from fastrec.recording.writing.files import take_back
from fastrec.records import Records
from fastrec.triggers.windows import Open

__all__ = ["cut", "keep", "store", "tidy"]

_NAME = re.compile(r"([0-9]{6,9})-[A-Za-z0-9_.-]{1,64}\.fastrec")
_LEFT = re.compile(r"\.[0-9]{6,9}-[A-Za-z0-9_.-]{1,64}\.fastrec\.(new|old)")


def cut(channels: Mapping[str, Records], window: Open) -> dict[str, Records]:
    """What there is of a window, and of each channel the record before.

    Where `pre` counts records, the window begins with the first of them that is still there.
    """
    plan = window.plan
    counted = plan.on if plan.pre.records is not None else None

    def taken(name: str) -> bool:
        return plan.channels is None or name in plan.channels

    # Each once: of a recording that goes on every one is looked up anew.
    found = {name: channels[name] for name in channels if name == counted or taken(name)}
    if counted in found and len(records := found[counted]):
        place = records.place(max(0, window.firings[0].number - plan.pre.records))
        window.begin = int(records[min(place, len(records) - 1)]["mono_ns"])
    end = window.end or window.begin
    return {name: records.window(window.begin, end) for name, records in found.items() if taken(name)}


def store(run: Recording, window: Open, records: Mapping[str, Records], marks: list[Mark]) -> Path:
    """Write a window, whole and durable, under its name.

    Parameters
    ----------
    run : Recording
        That it is cut from.
    records : mapping of str to Records
        Of `cut`.
    marks : list of Mark
        The user's.

    Raises
    ------
    RecordingError
        The disk will not have it; nothing of it is left.
    """
    root, plan, end = run.path, window.plan, window.end or window.begin
    folder = root / FOLDER
    try:
        folder.mkdir(0o700, exist_ok=True)
        with open_folder(root, (FOLDER,)):  # no link is followed
            pass
    except OSError as error:
        raise refusal(root, (FOLDER,), error) from error
    parts = []
    for name, one in records.items():
        options = Recorded(root, bytes.fromhex(run.uuid), name).options
        parts.append(Part(one, options, 0))
    own = [{"mono_ns": one.mono_ns, "text": plan.why, "kind": plan.kind} for one in window.firings]
    own += [mark._asdict() for mark in marks if window.begin <= mark.mono_ns < end]
    own.sort(key=lambda line: line["mono_ns"])
    about = {
        "of": run.uuid,
        "why": plan.why,
        "kind": plan.kind,
        "channel": plan.on,
        "mono_ns": window.firings[0].mono_ns,
        "start_ns": window.begin,
        "end_ns": end,
        "cut": window.cut,
    }
    number = max((number for number, _ in _numbered(root)), default=0) + 1
    path = folder / f"{number:06d}-{plan.name}.fastrec"
    write_excerpt(
        path,
        parts,
        About(
            run.info,
            _sessions(run, window.begin, end),
            _readings(run.readings, window.begin, end),
            {**_metadata(run), "window": about},
            own,
        ),
    )
    return path


def _metadata(run: Recording) -> dict[str, Any]:
    metadata = run.info.get("metadata")
    return dict(metadata) if isinstance(metadata, dict) else {}


def _sessions(run: Recording, begin: int, end: int) -> list[dict[str, Any]]:
    """Those that recorded between two times."""
    lines = list(run.sessions)
    starts = [line.get("start_ns", 0) for line in lines[1:]] + [2**62]
    return [
        line
        for line, after in zip(lines, starts, strict=True)
        if line.get("start_ns", 0) < end and after > begin
    ] or lines[-1:]


def _readings(readings: np.ndarray, begin: int, end: int) -> np.ndarray:
    """Those that date what lies between two times."""
    times = readings["monotonic"]
    first = max(int(np.searchsorted(times, begin, "right")) - 1, 0)
    return readings[first : int(np.searchsorted(times, end, "left")) + 1]


def _numbered(root: Path) -> Iterator[tuple[int, str]]:
    """What has the name of a window, and its number; it may be a link, and none of ours."""
    for name in folder_names(root, FOLDER):
        if match := _NAME.fullmatch(name):
            yield int(match[1]), name


def keep(root: Path, count: int, size: int) -> None:
    """Remove the oldest while there are more, or they take more bytes; the newest stays. 0: no limit."""
    names = [name for _, name in sorted(_numbered(root)) if not os.path.islink(root / FOLDER / name)]
    sizes = [_size(root / FOLDER / name) for name in names] if size else []
    while len(names) > 1 and ((count and len(names) > count) or (size and sum(sizes) > size)):
        old = root / FOLDER / f".{names[0]}.old"
        take_back(old)
        os.rename(root / FOLDER / names[0], old)  # half of one is none
        take_back(old)
        names, sizes = names[1:], sizes[1:]


def _size(folder: Path) -> int:
    return sum(
        os.lstat(os.path.join(place, name)).st_size for place, _, names in os.walk(folder) for name in names
    )


def tidy(root: Path) -> None:
    """Remove what a recorder left that was killed while it wrote or removed a window."""
    for name in folder_names(root, FOLDER):
        if _LEFT.fullmatch(name):
            take_back(root / FOLDER / name)
