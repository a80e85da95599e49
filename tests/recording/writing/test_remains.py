"""What is said of a recorder that did not close its recording: of rings that are there, and that are not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from recording import samples, writer
from recording.samples import START_NS

from fastrec.errors import RecordingError
from fastrec.recording import reader
from fastrec.recording.writing import remains as module
from fastrec.recording.writing.remains import lost_with_rings, remains
from fastrec.recording.writing.rings import Left, home_of

Rings = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> writer.Folder:
    """Of a channel of 20 records, and of two sessions: the first was closed."""
    folder, _ = samples.small(tmp_path / "r")
    folder.session(1)
    return folder


@pytest.fixture
def rings(folder: writer.Folder, monkeypatch: pytest.MonkeyPatch) -> Rings:
    """Put rings of ``status`` into shared memory: (session, head), that go on unless `why` says otherwise."""

    def put(*found: tuple[int, int], home: tuple[int, int] = home_of(folder.root), why: str = "") -> None:
        def left(root: Path, sessions: list[Any], names: list[str]) -> list[Left]:
            assert names == ["status"]
            made = [(at, SimpleNamespace(head=head, about={"home": home})) for at, head in found]
            return [Left("r", "status", sessions[at], ring, "", root, 0, at == 1) for at, ring in made]

        monkeypatch.setattr(module, "left_rings", left)
        monkeypatch.setattr(module, "mismatch", lambda *_: why)

    return put


def seen(folder: writer.Folder) -> tuple[dict[str, int], tuple[str, ...]]:
    """What waits, and what is said; what waits begins where the segments end."""
    left = remains(reader.open(folder.root))
    assert left.begins == dict.fromkeys(left.waiting, 20)
    return left.waiting, left.notes


LOST = (
    "session 1 was not closed and left no ring of channel 'status': what was published after record 19 and"
    " not written is lost; nobody knows how many"
)


def waits(text: str, it: str) -> str:
    return (
        f"{text} in shared memory until the machine is started anew: fastrec recover, or --resume, takes {it}"
    )


def test_what_waits_is_counted_once(folder: writer.Folder, rings: Rings) -> None:
    """The rings of sessions go on one where the other ends."""
    rings((0, 25), (1, 1027))
    said = waits("1,007 records of channel 'status' wait", "them")
    assert seen(folder) == ({"status": 1007}, (said,))
    rings((0, 25), (1, 25))
    assert seen(folder)[0] == {"status": 5}
    rings((1, 21))
    assert seen(folder) == ({"status": 1}, (waits("1 record of channel 'status' waits", "it"),))


def test_a_ring_with_nothing_more_is_no_word_worth(folder: writer.Folder, rings: Rings) -> None:
    rings((1, 20))
    assert seen(folder) == ({}, ())


def test_a_ring_of_an_earlier_session_is_none_of_the_newest(folder: writer.Folder, rings: Rings) -> None:
    rings((0, 20))
    assert seen(folder) == ({}, (LOST,))
    rings((0, 25))
    assert seen(folder)[1][1] == LOST.replace("19", "24")


def test_one_that_is_left_alone_was_there(folder: writer.Folder, rings: Rings) -> None:
    rings((1, 25), why="ring r is left alone: it is another's")
    assert seen(folder) == ({}, ("ring r is left alone: it is another's",))


def test_the_ring_of_an_original_that_has_no_more_is_passed_over(folder: writer.Folder, rings: Rings) -> None:
    """Nothing is lost then, either."""
    rings((1, 20), home=(0, 0), why="ring r is left alone: of which this one is a copy")
    assert seen(folder) == ({}, ())
    rings((1, 21), home=(0, 0), why="ring r is left alone: of which this one is a copy")
    assert seen(folder) == ({}, ("ring r is left alone: of which this one is a copy",))


def test_a_channel_that_cannot_be_read_is_a_line(
    folder: writer.Folder, rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise RecordingError("channel.json: is damaged")

    rings((1, 25))
    monkeypatch.setattr(module, "Channel", damaged)
    assert seen(folder) == ({}, ("ring r is left alone: channel.json: is damaged",))


def test_nothing_is_said_while_somebody_writes_or_once_it_is_closed(
    tmp_path: Path, folder: writer.Folder, rings: Rings
) -> None:
    rings((1, 25))
    lock = writer.hold(folder.root)
    assert seen(folder) == ({}, ())
    os.close(lock)
    closed, _ = samples.small(tmp_path / "closed", close=True)
    assert seen(closed) == ({}, ())
    (closed.root / "closed.json").write_bytes(b"{}")  # it is damaged, and was written all the same
    rings()
    assert seen(closed) == ({}, ())


@pytest.mark.parametrize(
    ("session", "stats", "lost"),
    [
        ({"segments": {"status": 0}}, {}, True),
        ({"segments": {"status": 1}}, {}, False),  # it rested
        ({"segments": {"status": "1"}}, {}, True),  # nobody knows
        ({"segments": {}}, {}, True),
        ({}, {}, True),
        ({"segments": {"status": 1}, "start_ns": START_NS}, {"mono_ns": START_NS - 1}, False),
        ({"segments": {"status": 1}, "start_ns": START_NS}, {"mono_ns": START_NS}, True),
        ({"segments": {"status": 1}, "start_ns": START_NS}, {"mono_ns": "9"}, False),
        ({"segments": {"status": 1}}, {"mono_ns": START_NS}, False),
    ],
)
def test_what_has_no_ring_was_recorded_or_rested(
    folder: writer.Folder, session: Mapping[str, Any], stats: Mapping[str, Any], lost: bool
) -> None:
    def asked(found: list[str]) -> list[str]:
        sessions = [{"segments": {}}, session]
        return list(lost_with_rings(folder.root, sessions, {"status": stats}, {"status": 9}, found))

    assert asked([]) == ["status"] * lost
    assert asked(["status"]) == []


def test_without_a_session_nothing_is_lost(folder: writer.Folder) -> None:
    assert lost_with_rings(folder.root, [], {}, {"status": 9}, []) == {}


def test_after_which_record(folder: writer.Folder) -> None:
    told = [lost_with_rings(folder.root, [{}], {}, {"status": end}, [])["status"] for end in (0, 1, 1001)]
    said = [text.partition("published")[2][:18] for text in told]
    assert said == [" and not written i", " after record 0 an", " after record 1,00"]
