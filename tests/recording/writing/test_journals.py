"""Lines added to a file one at a time."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from recording import samples, writer

from fastrec.errors import FormatError, RecordingError
from fastrec.recording import reader
from fastrec.recording.lines import LINE_LIMIT
from fastrec.recording.recovering.recover import recover
from fastrec.recording.writing import journals
from fastrec.recording.writing.journals import Lines

UUID = writer.UUID


def marks(root: Path) -> list[str]:
    return [mark.text for mark in reader.open(root).marks]


def test_lines_are_those_of_the_oracle(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    lines = Lines(folder.root, "marks.jsonl", UUID)
    for text in ("a", "\u20ac"):
        lines.append({"mono_ns": 1, "text": text, "kind": "mark"})
        folder.line("other.jsonl", mono_ns=1, text=text, kind="mark")
    lines.sync()
    assert marks(folder.root) == ["a", "\u20ac"]
    lines.close()
    assert (folder.root / "marks.jsonl").read_bytes() == (folder.root / "other.jsonl").read_bytes()


@pytest.mark.parametrize("torn", [b"", b'{"mono_ns":9', b"x" * 500])
def test_a_resume_goes_on_behind_the_last_whole_line(tmp_path: Path, torn: bytes) -> None:
    folder, _ = samples.small(tmp_path / "r")
    for text in ("a", "b"):
        folder.line("marks.jsonl", mono_ns=1, text=text, kind="mark")
    with (folder.root / "marks.jsonl").open("ab") as file:
        file.write(torn)
    lines = Lines(folder.root, "marks.jsonl", UUID)
    assert len(lines) == 2
    lines.append({"mono_ns": 1, "text": "c", "kind": "mark"})
    lines.close()
    assert marks(folder.root) == ["a", "b", "c"]
    assert (folder.root / "marks.jsonl").read_bytes().endswith(b'"}\n')
    assert reader.open(folder.root).verify().ok


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("made", [b"!", b"\n\n\n"])
def test_a_damaged_line_end_hides_nothing_that_comes(tmp_path: Path, at: int, made: bytes) -> None:
    folder, _ = samples.small(tmp_path / "r")
    for text in ("a", "b", "c"):
        folder.line("marks.jsonl", mono_ns=1, text=text, kind="mark")
    path = folder.root / "marks.jsonl"
    ends = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(ends[: at + 1]) + made + b"\n".join(ends[at + 1 :]))
    there = marks(folder.root)
    for text in ("d", "e"):  # a session each
        lines = Lines(folder.root, "marks.jsonl", UUID)
        lines.append({"mono_ns": 1, "text": text, "kind": "mark"})
        lines.close()
    assert marks(folder.root) == [*there, "d", "e"]
    recover(folder.root, tmp_path / "saved")
    *saved, lost = marks(tmp_path / "saved")
    assert saved == ["a", "b", "c", "d", "e"] and "left no ring" in lost


def test_a_line_that_could_not_be_written_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = samples.small(tmp_path / "r")
    lines = Lines(folder.root, "marks.jsonl", UUID)
    lines.append({"mono_ns": 1, "text": "a", "kind": "mark"})
    real, left = os.pwrite, [10]

    def fill_up(descriptor: int, data: bytes, offset: int) -> int:
        if not left.pop():
            raise OSError(errno.ENOSPC, "No space left on device")
        left.append(0)
        return real(descriptor, data[:10], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fill_up)
        with pytest.raises(RecordingError, match="No space left"):
            lines.append({"mono_ns": 1, "text": "lost", "kind": "mark"})
    assert marks(folder.root) == ["a"]
    lines.append({"mono_ns": 1, "text": "b", "kind": "mark"})
    lines.close()
    assert marks(folder.root) == ["a", "b"]


def test_lines_that_could_not_be_read_back(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    lines = Lines(folder.root, "marks.jsonl", UUID)
    with pytest.raises(RecordingError, match="could be read back"):
        lines.append({"text": "x" * LINE_LIMIT})
    with pytest.raises(FormatError):
        lines.append({"text": object()})
    assert len(lines) == 0
    lines.close()


def test_a_line_does_not_wait_for_ever_for_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a disk that does not answer."""
    monkeypatch.setattr(journals, "_PATIENCE", 0.05, raising=False)
    folder, _ = samples.small(tmp_path / "r")
    lines = Lines(folder.root, "marks.jsonl", UUID)
    answers, stuck, raised = threading.Event(), threading.Event(), []
    monkeypatch.setattr(os, "pwrite", lambda *_: stuck.set() or (answers.wait(60) and len(_[1])))

    def append() -> None:
        try:
            lines.append({"mono_ns": 1, "text": "b", "kind": "mark"})
        except RecordingError as error:
            raised.append(str(error))

    first, second = threading.Thread(target=append), threading.Thread(target=append)
    first.start()
    assert stuck.wait(30)
    second.start()
    second.join(10)
    waits = second.is_alive()
    answers.set()
    first.join(30), second.join(30)
    lines.close()
    assert not waits
    assert raised == ["a line could not be written: the disk has not taken the one before in 0.05 s"]


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have a call made while a line is written, before the system has it or behind that, as by a signal."""

    def interrupt(call: Callable[[], None], *, behind: bool) -> None:
        real = os.pwrite

        def write(descriptor: int, data: bytes, offset: int) -> int:
            monkeypatch.setattr(os, "pwrite", real)
            if not behind:
                call()
            done = real(descriptor, data, offset)
            if behind:
                call()
            return done

        monkeypatch.setattr(journals, "_PATIENCE", 0.05)
        monkeypatch.setattr(os, "pwrite", write)

    return interrupt


@pytest.mark.parametrize("behind", [False, True])
def test_a_signal_may_add_a_line_while_one_is_written(
    tmp_path: Path, interrupted: Callable[..., None], behind: bool
) -> None:
    folder, _ = samples.small(tmp_path / "r")
    lines = Lines(folder.root, "marks.jsonl", UUID)
    line = {"mono_ns": 1, "text": "a", "kind": "mark"}
    interrupted(
        lambda: (lines.append(line | {"text": "b"}), lines.append(line | {"text": "c"})), behind=behind
    )
    lines.append(line)
    lines.append(line | {"text": "d"})
    lines.close()
    assert marks(folder.root) == ["a", "b", "c", "d"]
    assert reader.open(folder.root).verify().ok


def test_what_a_signal_adds_and_nobody_could_read_is_told(
    tmp_path: Path, interrupted: Callable[..., None]
) -> None:
    folder, _ = samples.small(tmp_path / "r")
    lines = Lines(folder.root, "marks.jsonl", UUID)
    line = {"mono_ns": 1, "text": "a", "kind": "mark"}
    long = line | {"text": "x" * LINE_LIMIT}
    interrupted(lambda: (lines.append(long), lines.append(line | {"text": "b"})), behind=True)
    with pytest.raises(RecordingError, match="could be read back"):
        lines.append(line)
    lines.close()
    assert marks(folder.root) == ["a", "b"]


@pytest.mark.parametrize("behind", [False, True])
def test_a_signal_may_close_them_while_one_is_written(
    tmp_path: Path, interrupted: Callable[..., None], behind: bool
) -> None:
    """Nothing is written then to a file that has got the number of the descriptor."""
    folder, _ = samples.small(tmp_path / "r")
    lines = Lines(folder.root, "marks.jsonl", UUID)
    victim = []

    def close() -> None:
        lines.close()
        lines.close()
        victim.append((tmp_path / "victim").open("wb"))

    interrupted(close, behind=behind)
    line = {"mono_ns": 1, "text": "a", "kind": "mark"}
    if behind:
        lines.append(line)
    else:
        with pytest.raises(RecordingError, match="a line could not be written: the recording is closed"):
            lines.append(line)
    assert lines.descriptor < 0
    with pytest.raises(RecordingError, match="the recording is closed"):
        lines.append(line)
    lines.close()
    os.fstat(victim[0].fileno())
    victim[0].close()
    assert (tmp_path / "victim").read_bytes() == b""
    assert marks(folder.root) == ["a"] * behind


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    (tmp_path / "victim").write_bytes(b"precious")
    (folder.root / "marks.jsonl").symlink_to(tmp_path / "victim")
    with pytest.raises(RecordingError, match="link"):
        Lines(folder.root, "marks.jsonl", UUID)
    assert (tmp_path / "victim").read_bytes() == b"precious"
