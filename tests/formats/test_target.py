import os
import stat

import pytest

from fastrec.errors import FormatError
from fastrec.formats import target
from fastrec.formats.target import replacing


def names(folder):
    return sorted(one.name for one in folder.iterdir())


def test_the_name_appears_when_the_file_is_whole(tmp_path):
    with replacing(tmp_path / "a.csv") as file:
        file.write(b"half")
        file.flush()
        assert "a.csv" not in names(tmp_path) and len(names(tmp_path)) == 1
        file.write(b" and half")
    assert names(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == b"half and half"


def test_others_may_read_it_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        with replacing(tmp_path / "a.csv"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o644


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    (tmp_path / "a.csv").write_bytes(b"old")
    with pytest.raises(error), replacing(tmp_path / "a.csv", overwrite=True) as file:
        file.write(b"new")
        raise error
    assert names(tmp_path) == ["a.csv"] and (tmp_path / "a.csv").read_bytes() == b"old"


def test_an_interrupt_as_soon_as_the_file_is_there(tmp_path, monkeypatch):
    def interrupted(*given):
        open(*given).close()
        raise KeyboardInterrupt

    monkeypatch.setattr(target, "open", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a.csv"):
        pytest.fail("the block must not run")
    assert names(tmp_path) == []


def test_overwrite(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"old")
    with pytest.raises(FormatError, match=r"a\.csv is there already"), replacing(tmp_path / "a.csv"):
        pytest.fail("the block must not run")
    with replacing(tmp_path / "a.csv", overwrite=True) as file:
        file.write(b"new")
    assert (tmp_path / "a.csv").read_bytes() == b"new" and names(tmp_path) == ["a.csv"]


def test_a_file_that_came_to_be_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(FormatError, match="there already"), replacing(tmp_path / "a.csv") as file:
        file.write(b"mine")
        (tmp_path / "a.csv").write_bytes(b"theirs")
    assert (tmp_path / "a.csv").read_bytes() == b"theirs" and names(tmp_path) == ["a.csv"]


def test_file_systems_without_links(tmp_path, monkeypatch):
    def link(source, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with replacing(tmp_path / "a.csv") as file:
        file.write(b"mine")
    assert names(tmp_path) == ["a.csv"]
    with pytest.raises(FormatError, match="there already"), replacing(tmp_path / "b.csv"):
        (tmp_path / "b.csv").write_bytes(b"theirs")
    assert (tmp_path / "b.csv").read_bytes() == b"theirs" and names(tmp_path) == ["a.csv", "b.csv"]


def test_a_link_is_neither_followed_nor_taken_for_free(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "a.csv").symlink_to(victim)
    with pytest.raises(FormatError, match="there already"), replacing(tmp_path / "a.csv"):
        pass
    with replacing(tmp_path / "a.csv", overwrite=True) as file:
        file.write(b"new")
    assert victim.read_bytes() == b"precious" and not (tmp_path / "a.csv").is_symlink()
    (tmp_path / "b.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FormatError, match="there already"), replacing(tmp_path / "b.csv"):
        pytest.fail("the block must not run")


def test_what_cannot_be_a_file(tmp_path):
    (tmp_path / "file").touch()
    refused = ((tmp_path, True), (tmp_path / "no" / "a.csv", False), (tmp_path / "file" / "a.csv", False))
    for path, overwrite in refused:
        with pytest.raises(FormatError, match=str(path)), replacing(path, overwrite=overwrite):
            pass


def test_a_full_disk_is_one_clear_error(tmp_path):
    with (
        pytest.raises(FormatError, match=r"a\.csv cannot be written: No space left"),
        replacing(tmp_path / "a.csv"),
    ):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


def test_long_names(tmp_path):
    name = "a" * 251 + ".csv"
    with replacing(tmp_path / name) as file:
        file.write(b"x")
    assert names(tmp_path) == [name]
