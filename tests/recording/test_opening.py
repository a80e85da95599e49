"""Opening: names, links, lines that are too long or not whole."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from recording import writer

from fastrec.errors import CorruptionError, FormatError, RecordingError
from fastrec.recording import layout, opening
from fastrec.recording.lines import read_lines

BASE = layout.place(writer.UUID)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\0b"])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    for parts in ((name,), (name, "x")):
        with pytest.raises(FormatError, match="is no name"):
            opening.open_file(tmp_path, *parts)


@pytest.mark.parametrize("path", ["", b"", "a\0b", "\ud800", 5, None, ["a"]])
def test_paths_that_are_none(path: object) -> None:
    with pytest.raises(RecordingError, match=r"names no folder|is no path"):
        opening.absolute(path)


def test_paths_of_any_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("a/../b", "b/", b"b", Path("b")):
        assert opening.absolute(path) == tmp_path / "b"
    assert os.fsencode(opening.absolute(b"\xff")) == os.fsencode(tmp_path) + b"/\xff"
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(RecordingError, match="working directory is gone; give a whole path"):
        opening.absolute("run.fastrec")
    assert opening.absolute(tmp_path / "a") == tmp_path / "a"


def test_a_link_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"c")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a/file").symlink_to("b/c")
    with open(opening.open_file(tmp_path, "a", "b", "c"), "rb") as file:
        assert file.read() == b"c"
    for parts in (("link", "b", "c"), ("a", "file")):
        with pytest.raises(RecordingError, match="links in a recording are not followed"):
            opening.open_file(tmp_path, *parts)
    with pytest.raises(RecordingError, match="link"):
        opening.folder_names(tmp_path, "link")
    with pytest.raises(RecordingError, match="link"):
        opening.subfolders(tmp_path)
    with pytest.raises(FileNotFoundError):
        opening.open_file(tmp_path, "a", "nothing")
    assert opening.folder_names(tmp_path, "nothing") == []
    assert opening.subfolders(tmp_path, "nothing") == []
    (tmp_path / "a/b/d").mkdir()
    assert opening.subfolders(tmp_path, "a", "b") == ["d"]
    assert opening.has_file(tmp_path, "a", "file")
    assert not opening.has_file(tmp_path, "link", "b", "c")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    before = len(os.listdir("/proc/self/fd"))
    for parts in (("a",), ("link",), ("a", "x"), ("link", "x"), ("x", "y")):
        with pytest.raises((RecordingError, FileNotFoundError)):
            opening.open_file(tmp_path, *parts)
    assert len(os.listdir("/proc/self/fd")) == before


def lines(root: Path, stop: int | None = None) -> list[tuple[int, object]]:
    return [
        (n, line if isinstance(line, dict) else type(line))
        for n, line in read_lines(root, "x", base=BASE, stop=stop)
    ]


def test_lines_one_damaged_one_unfinished(tmp_path: Path) -> None:
    assert lines(tmp_path) == []
    folder = writer.Folder(tmp_path / "r")
    for number in range(4):
        folder.line("x", n=number)
    path = folder.root / "x"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"n":1', b'"n":7'))
    assert lines(folder.root) == [(0, {"n": 0}), (1, CorruptionError), (2, {"n": 2}), (3, {"n": 3})]
    path.write_bytes(whole[:-1])
    assert lines(folder.root) == [(n, {"n": n}) for n in range(3)]
    path.write_bytes(whole)
    assert lines(folder.root, stop=len(whole) // 2) == [(n, {"n": n}) for n in range(2)]
    assert lines(folder.root, stop=len(whole) // 2 + 1) == [
        (0, {"n": 0}),
        (1, {"n": 1}),
        (2, CorruptionError),
    ]
    path.write_bytes(whole[len(whole) // 4 :])
    assert lines(folder.root) == [(0, CorruptionError), *((n, {"n": n}) for n in range(1, 4))]


def test_lines_with_a_newline_more_or_less(tmp_path: Path) -> None:
    """All lines behind them have numbers that are not those of their places."""
    folder = writer.Folder(tmp_path / "r")
    for number in range(5):
        folder.line("x", n=number, text="*")
    path = folder.root / "x"
    first, second, rest = path.read_bytes().split(b"\n", 2)
    fine = [(n, {"n": n, "text": "*"}) for n in range(5)]
    path.write_bytes(first + b"\x0b" + second + b"\n" + rest)
    assert lines(folder.root) == [(0, CorruptionError), (1, CorruptionError), *fine[2:]]
    path.write_bytes(b"\n".join((first, second.replace(b"*", b"\n"), rest)))
    assert lines(folder.root) == [fine[0], (1, CorruptionError), (2, CorruptionError), *fine[2:]]
    # A line again in the place of another is not told again.
    path.write_bytes(b"\n".join((first, second, first, rest)))
    assert lines(folder.root) == [*fine[:2], (2, CorruptionError), *fine[2:]]


def test_an_unfinished_line_that_was_committed_is_damage(tmp_path: Path) -> None:
    folder = writer.Folder(tmp_path / "r")
    folder.line("x", n=0)
    size = (folder.root / "x").stat().st_size
    os.truncate(folder.root / "x", size - 1)
    assert lines(folder.root) == []
    assert lines(folder.root, stop=size) == lines(folder.root, stop=size - 1) == [(0, CorruptionError)]


def test_searching_for_numbers_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def line_number(line: bytes, base: int, numbers: range) -> None:
        asked.append(len(line) * len(numbers))

    monkeypatch.setattr(layout, "line_number", line_number)
    (tmp_path / "x").write_bytes(b'{"text":"0123456789","crc":"00000000"}\n' * 50_000)
    assert len(lines(tmp_path)) == 50_000
    assert 1 << 20 < sum(asked) <= 64 << 20


def test_a_file_of_line_ends_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\n" * 100_000)
    found = lines(tmp_path)
    assert len(found) < 10_000
    assert found[-1][1] is FormatError


def test_json_that_is_nested_too_deep(tmp_path: Path) -> None:
    deep: list = []
    for _ in range(opening.MOST_LEVELS - 2):
        deep = [deep]
    folder = writer.Folder(tmp_path / "r")
    folder.line("x", n=deep)
    folder.line("x", n=[deep])
    folder.line("x", n={"a": 1})
    assert lines(folder.root) == [(0, {"n": deep}), (1, FormatError), (2, {"n": {"a": 1}})]


def test_what_is_no_file_is_not_even_opened(tmp_path: Path) -> None:
    """Some devices do something when opened, and whoever waits at the other end of a FIFO goes on."""
    os.mkfifo(tmp_path / "x")
    (tmp_path / "y").mkdir()
    waiting = threading.Thread(target=lambda: os.close(os.open(tmp_path / "x", os.O_WRONLY)))
    waiting.start()
    for name in ("x", "y"):
        for _ in range(200):
            with pytest.raises(RecordingError, match="is no regular file"):
                opening.open_file(tmp_path, name)
    assert waiting.is_alive()
    os.close(os.open(tmp_path / "x", os.O_RDONLY))
    waiting.join()


def test_names_that_no_entry_of_a_folder_has(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_bytes(b"b")
    for parts in (("..", "a", "b"), ("a", "."), ("a", ""), ("a/b",), ("a", "b\0c"), ("a\0", "b")):
        with pytest.raises(FormatError, match="is no name of a file in a recording"):
            opening.open_file(tmp_path, *parts)
        with pytest.raises(FormatError, match="is no name"):
            opening.identity(tmp_path, *parts)
        assert not opening.has_file(tmp_path, *parts)
    with pytest.raises(FormatError, match="is no name"):
        opening.folder_names(tmp_path, "a", "..")
    with pytest.raises(ValueError, match="no name"):
        opening.open_file(tmp_path)
    with pytest.raises(ValueError, match="is no path"):
        opening.open_file(Path(f"{tmp_path}\0x"), "a", "b")
    assert opening.has_file(tmp_path, "a", "b") and opening.has_file(tmp_path, "a")


def test_names_of_any_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xc3\xa4")
    (tmp_path / name).mkdir()
    (tmp_path / name / "f").write_bytes(b"f")
    assert opening.read_bytes(tmp_path, name, "f") == b"f"
    assert opening.read_bytes(tmp_path / name, "f") == b"f"
    about = os.stat(tmp_path / name / "f")
    told = about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
    assert opening.identity(tmp_path, name, "f") == told


def test_staying_in_a_folder(tmp_path: Path) -> None:
    """What is opened is in it, whatever has its name by then."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/f").write_bytes(b"old")
    before = len(os.listdir("/proc/self/fd"))
    with opening.staying(tmp_path, ("a",)):
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "a").mkdir()
        (tmp_path / "a/f").write_bytes(b"newer")
        assert opening.read_bytes(tmp_path, "a", "f") == b"old"
        assert opening.identity(tmp_path, "a", "f")[2] == 3
        assert opening.read_bytes(tmp_path, "b", "f") == b"old"
    assert opening.read_bytes(tmp_path, "a", "f") == b"newer"
    assert len(os.listdir("/proc/self/fd")) == before


def test_identity_changes_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opening.identity(tmp_path, "x")
    (tmp_path / "x").write_bytes(b"1")
    before = opening.identity(tmp_path, "x")
    assert opening.identity(tmp_path, "x") == before
    (tmp_path / "y").write_bytes(b"2")
    (tmp_path / "y").rename(tmp_path / "x")
    assert opening.identity(tmp_path, "x") != before
    (tmp_path / "link").symlink_to(".")
    with pytest.raises(RecordingError, match="link"):
        opening.identity(tmp_path, "link", "x")


def test_a_sparse_file_of_any_size_costs_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    os.truncate(tmp_path / "x", 1 << 40)
    assert lines(tmp_path) == [(0, FormatError)]
    with pytest.raises(FormatError, match="are not read"):
        opening.read_bytes(tmp_path, "x")
