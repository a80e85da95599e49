"""Opening: names, links, lines that are too long or not whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from recording import writer

from fastrec.errors import CorruptionError, FormatError, RecordingError
from fastrec.recording import layout, opening

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
        for n, line in opening.read_lines(root, "x", base=BASE, stop=stop)
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
    path.write_bytes(whole[len(whole) // 4 :])
    assert [line for _, line in lines(folder.root)] == [CorruptionError] * 3


def test_a_sparse_file_of_any_size_costs_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    os.truncate(tmp_path / "x", 1 << 40)
    assert lines(tmp_path) == [(0, FormatError)]
    with pytest.raises(FormatError, match="are not read"):
        opening.read_bytes(tmp_path, "x")
