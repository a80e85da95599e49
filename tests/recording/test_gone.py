"""Channels that were there and are not: who tells of them, and what is no sign of one."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from fastrec.errors import RecordingError
from fastrec.recording import opening
from fastrec.recording.gone import Gone, gone_channels, told_channels, undescribed


def told(*sessions: dict[str, object], **stats: dict[str, object]) -> dict[str, int | None]:
    """How many records each channel had of a recording that was not closed."""
    return {name: one.records for name, one in told_channels(None, sessions, stats).items()}


def folder(root: Path, name: str, *files: str) -> None:
    (root / "channels" / name).mkdir(parents=True)
    for file in files:
        (root / "channels" / name / file).touch()


def test_the_newest_session_names_what_was_there() -> None:
    old, new = {"start_ns": 1, "segments": {"a": 0, "b": 0}}, {"start_ns": 9, "segments": {"b": 1, "c": 0}}
    assert told(old, new) == {"b": None, "c": None}
    assert told(old, {"start_ns": 9}) == {} == told()


def test_statistics_name_what_was_recorded_since() -> None:
    """From the first moment of the session on; where nobody knows when that was, whenever it was."""
    stats = {name: {"mono_ns": stamp, "published": 7} for name, stamp in (("a", 8), ("b", 9), ("c", 10))}
    assert told({"start_ns": 9}, **stats) == {"b": 7, "c": 7}
    assert told({}, **stats) == {"a": 7, "b": 7, "c": 7}
    assert told({"start_ns": 9}, a={"published": 7}) == {"a": 7}


@pytest.mark.parametrize(
    ("published", "count"), [(0, 0), (1, 1), (-1, None), (True, None), ("7", None), (2**62, None)]
)
def test_a_count_that_can_be_none_is_none(published: object, count: int | None) -> None:
    assert told({"segments": {"a": 0}}, a={"published": published}) == {"a": count}


def test_how_many_it_had_is_told() -> None:
    made = told_channels(None, (), {"a": {"published": 0}, "b": {"published": 1}, "c": {}})
    assert [one.why for one in made.values()] == [
        "is gone, with 0 records, at least, as stats.jsonl says",
        "is gone, with 1 record, at least, as stats.jsonl says",
        "is gone; nobody knows how many records it had",
    ]


def test_what_is_no_name_of_a_channel_is_none() -> None:
    wild = {"../x": 0, "": 0, "a/b": 0, "c": 0}
    assert list(told({"segments": wild})) == ["c"]
    assert list(told_channels({"channels": wild}, (), {})) == ["c"]


def test_gone_is_what_has_neither_segment_nor_description(tmp_path: Path) -> None:
    """One that is described is there, though retention took all of it."""
    for name, files in {"described": (), "empty": (), "segments": ("index.000003.npy",)}.items():
        folder(tmp_path, name, *files)
    (tmp_path / "channels" / "file").touch()
    (tmp_path / "channels" / "link").symlink_to("segments")
    known = {
        name: Gone(7, f"{name} is gone")
        for name in ("segments", "nowhere", "link", "file", "empty", "described")
    }
    found = gone_channels(tmp_path, known, ["described"])
    assert list(found.items()) == [(name, known[name]) for name in ("empty", "file", "link", "nowhere")]


def test_one_that_may_not_be_listed_keeps_its_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(root: Path, *parts: str) -> list[str]:
        error = PermissionError(errno.EACCES, "Permission denied")
        raise opening.refusal(root, parts, error) from error

    monkeypatch.setattr(opening, "folder_names", refused)
    found = gone_channels(tmp_path, {"a": Gone(7, "a is gone")}, [])
    assert found == {"a": Gone(7, "cannot be looked into: Permission denied", there=True)}


def test_undescribed_is_what_has_segments(tmp_path: Path) -> None:
    for name in ("a", "described", ".hidden", "no name"):
        folder(tmp_path, name, "records.000000.npy")
    folder(tmp_path, "empty", "note.txt")
    assert list(undescribed(tmp_path, ["described"])) == ["a"]


def test_one_that_cannot_be_listed_is_not_undescribed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, "a", "records.000000.npy")
    names = opening.folder_names

    def refused(root: Path, *parts: str) -> list[str]:
        if parts == ("channels", "a"):
            raise RecordingError("channels/a: Permission denied")
        return names(root, *parts)

    monkeypatch.setattr(opening, "folder_names", refused)
    assert undescribed(tmp_path, []) == {}
