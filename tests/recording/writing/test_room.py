"""Room on a full disk: what counts as full, what can be asked for, and what is asked of the spooler."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fastrec.errors import RecordingError
from fastrec.recording.writing import room
from fastrec.recording.writing.room import check_min_free, is_full, make_room, no_room, resting
from fastrec.recording.writing.storing import Storing


def storing(**limits: int) -> Storing:
    return Storing(1, "never", 0, 1 << 20, **limits)


def test_full_is_a_disk_without_room_and_a_quota_that_is_used_up() -> None:
    assert is_full(OSError(errno.ENOSPC, "")) and is_full(OSError(errno.EDQUOT, ""))
    assert not is_full(OSError(errno.EIO, "")) and not is_full(RecordingError("")) and not is_full(None)
    raised, above = RecordingError("a file"), RecordingError("a folder")
    raised.__cause__, above.__cause__ = OSError(errno.EDQUOT, ""), raised
    assert is_full(above)


def test_what_to_do_about_no_room() -> None:
    free = "; free space"
    old = ", or let its oldest segments make way: keep_bytes=, keep_seconds= or min_free="
    for goes_on, limits, cure in (
        (True, {}, free + old),
        (True, {"keep_ns": 1}, free),
        (False, {}, free),
    ):
        said = str(no_room(Path("/r"), storing(**limits), goes_on=goes_on))
        assert said == f"/r: No space left on device: nothing can be recorded to it{cure}"


def test_what_root_keeps_back_is_never_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the file system of what is there, however much of the path is not."""
    about = SimpleNamespace(f_blocks=100, f_bfree=30, f_bavail=20, f_frsize=4096)
    asked = []
    monkeypatch.setattr(room.os, "statvfs", lambda place: asked.append(Path(place)) or about)
    path = tmp_path / "not" / "there"
    check_min_free(path, 90 * 4096 - 1)
    with pytest.raises(RecordingError, match=r"^min_free=368,640: .* of .*/not/there 368,640 bytes can"):
        check_min_free(path, 90 * 4096)
    check_min_free(tmp_path, 0)
    assert asked == [tmp_path] * 3
    about.f_blocks = about.f_bfree = about.f_bavail = 0  # as where a file system counts none
    check_min_free(tmp_path, 1 << 40)


def descriptors() -> list[str]:
    return os.listdir("/proc/self/fd")


@pytest.mark.parametrize("error", [None, OSError(errno.EIO, "")])
def test_room_is_made_by_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    """In the time of the recording, which is not that of the machine."""
    asked: list[dict[str, Any]] = []

    def made(folder: int, channels: object, **limits: int) -> None:
        assert os.path.samestat(os.fstat(folder), os.stat(tmp_path))
        asked.append({"channels": channels, **limits})
        if error:
            raise error

    monkeypatch.setattr(room.spooler, "make_room", made)
    before, begun, offset = descriptors(), time.monotonic_ns(), 10**15
    limits = {"keep_bytes": 7, "keep_ns": 8, "min_free": 9}
    try:
        make_room(tmp_path, ["a channel"], storing(**limits), offset)
        assert not error
    except OSError as raised:
        assert raised is error
    assert before == descriptors()
    (one,) = asked
    assert begun + offset <= one.pop("now") <= time.monotonic_ns() + offset
    assert one == {"channels": ["a channel"], **limits}
    make_room(tmp_path, [], storing(**limits), offset)
    make_room(tmp_path, ["a channel"], storing(), offset)
    assert len(asked) == 1


def test_what_rests_goes_on_where_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is held before what was held already: the lock goes last."""
    ends = {}
    for place, name in enumerate("abc"):
        (tmp_path / "channels" / name).mkdir(parents=True)
        ends[name] = SimpleNamespace(
            schema=f"schema {name}",
            store="every",
            number=100 + place,
            segment=10 + place,
            kept=(f"kept {name}",) if name != "b" else (),
        )
    monkeypatch.setattr(room, "rest", lambda *told, **named: (told, named))
    lock = os.open(tmp_path, os.O_RDONLY)
    held = [lock]
    try:
        made = resting(tmp_path, b"uuid", ends, held)
        assert held[-1] == lock and len(held) == 3
        for (told, named), name, folder, number in zip(made, "ac", held[1::-1], (100, 102), strict=True):
            assert told == (folder, b"uuid", name, f"schema {name}", "every")
            assert named == {"number": number, "segment": number - 90, "kept": (f"kept {name}",)}
            assert os.path.samestat(os.fstat(folder), os.stat(tmp_path / "channels" / name))
    finally:
        for descriptor in held:
            os.close(descriptor)
