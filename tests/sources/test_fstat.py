"""``linux:fstat:PATH`` against os.stat, while a file grows and when its name has gone."""

from __future__ import annotations

import fcntl
import gc
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from waiting import until

import fastrec as fr

PAGE = os.sysconf("SC_PAGE_SIZE")

PLAIN = ("st_dev", "st_ino", "st_nlink", "st_mode", "st_uid", "st_gid", "st_rdev", "st_size", "st_blksize")


def expected(status: os.stat_result) -> dict[str, int]:
    """Every member as the source has it; modes as numbers."""
    found = {name: getattr(status, name) for name in (*PLAIN, "st_blocks")}
    for name in ("atim", "mtim", "ctim"):
        whole, rest = divmod(getattr(status, f"st_{name}e_ns"), 10**9)
        found |= {f"st_{name}.tv_sec": whole, f"st_{name}.tv_nsec": rest}
    return found


def read(source: fr.Call) -> dict[str, int]:
    found = source.read()
    return found | {"st_mode": source.schema.field("st_mode").labels.value(found["st_mode"])}


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


class TestKinds:
    @pytest.mark.parametrize(
        ("make", "name"),
        [
            (lambda path: path.write_bytes(b"x" * 5000), "S_IFREG"),
            (Path.mkdir, "S_IFDIR"),
            (listening, "S_IFSOCK"),
        ],
        ids=["file", "folder", "socket"],
    )
    def test_made_here(self, tmp_path: Path, make: Callable[[Path], object], name: str) -> None:
        """None of them is opened for reading: a socket would refuse."""
        path = tmp_path / "it"
        make(path)
        source = fr.linux.fstat(path)
        assert read(source) == expected(path.stat())
        assert source.read()["st_mode"].split("|")[0] == name

    def test_a_fifo(self, tmp_path: Path) -> None:
        path = tmp_path / "fifo"
        os.mkfifo(path, 0o640)
        both = os.open(path, os.O_RDWR)  # a source that opened it to read would wait for ever without
        try:
            source = fr.linux.fstat(path)
            assert read(source) == expected(path.stat())
            assert source.read()["st_mode"] == "S_IFIFO|S_IRUSR|S_IWUSR|S_IRGRP"
        finally:
            os.close(both)

    @pytest.mark.parametrize("path", ["/dev/null", b"/dev/null", Path("/dev/null")])
    def test_a_device(self, path: object) -> None:
        source = fr.linux.fstat(path)
        assert read(source) == expected(os.stat("/dev/null")) and os.major(source.read()["st_rdev"]) == 1
        assert source.read()["st_mode"].startswith("S_IFCHR|")

    def test_a_link_stands_for_its_target(self, tmp_path: Path) -> None:
        (tmp_path / "target").write_bytes(bytes(11))
        (tmp_path / "link").symlink_to("target")
        source = fr.linux.fstat(tmp_path / "link")
        assert read(source) == expected((tmp_path / "target").stat())
        assert read(source) != expected((tmp_path / "link").lstat())

    @pytest.mark.parametrize(
        "name", ["S_IFSOCK", "S_IFLNK", "S_IFREG", "S_IFBLK", "S_IFDIR", "S_IFCHR", "S_IFIFO"]
    )
    def test_all_seven_types_have_names(self, name: str) -> None:
        """With every permission: no bit of the type goes to another name."""
        labels = fr.linux.fstat("/").schema.field("st_mode").labels
        type_ = getattr(stat, name)
        for mode, tail in (
            (0, ""),
            (0o644, "|S_IRUSR|S_IWUSR|S_IRGRP|S_IROTH"),
            (0o4001, "|S_ISUID|S_IXOTH"),
            (0o2010, "|S_ISGID|S_IXGRP"),
            (0o1777, "|S_ISVTX|" + "|".join(f"S_I{p}{who}" for who in ("USR", "GRP", "OTH") for p in "RWX")),
        ):
            assert labels.name(type_ | mode) == name + tail
            assert labels.value(name + tail) == type_ | mode


class TestRecorded:
    def test_a_file_that_grows(self, tmp_path: Path) -> None:
        """Sizes seen are sizes it had, in their order; the last one is the last it had.

        No write crosses a page: the kernel lets a file grow page by page within one.
        """
        path, out = tmp_path / "growing", tmp_path / "run.fastrec"
        had, held = [0], []
        with path.open("wb", buffering=0) as file, fr.Recorder(out) as rec:
            channel = rec.add("file", fr.linux.fstat(path), rate="max")
            for size in np.random.default_rng(7).integers(1, 4097, 400).tolist():
                if len(had) % 8 == 1:
                    slots = channel.stats.slots
                    until(lambda slots=slots: channel.stats.slots > slots + 1)
                    held.append(had[-1])
                had.append(had[-1] + file.write(bytes(min(size, PAGE - had[-1] % PAGE))))
            os.utime(path, ns=(1_111_111_111_222_333_444, 2_222_222_222_333_444_555))
            slots = channel.stats.slots
            until(lambda: channel.stats.slots > slots + 1)
        records = fr.open(out)["file"]
        assert channel.stats.failed == 0
        seen = [int(records["st_size"][0]), *(int(row["to"]) for row in records.transitions("st_size"))]
        rest = iter(had)
        assert all(size in rest for size in seen), "a size that the file never had, or had earlier"
        assert set(held) <= set(seen) and seen[0] == 0 and seen[-1] == had[-1]
        last = {field.name: records[field.name][-1] for field in records.schema.fields}
        assert last == expected(path.stat())

    def test_a_name_that_goes(self, tmp_path: Path) -> None:
        """The file is followed, not the name: through rename, replacement and removal."""
        path = tmp_path / "log"
        path.write_bytes(bytes(10))
        with fr.Recorder() as rec:
            channel = rec.add("log", fr.linux.fstat(path), rate=2000)
            path.rename(tmp_path / "log.1")
            path.write_bytes(bytes(99))
            os.truncate(tmp_path / "log.1", 15)
            until(lambda: channel.current() is not None and channel.current()["st_size"] == 15)
            (tmp_path / "log.1").unlink()
            until(lambda: channel.current()["st_nlink"] == 0)
            assert 99 not in channel.snapshot()["st_size"] and channel.stats.failed == 0


def open_on(path: Path) -> list[str]:
    return [
        fd
        for fd in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{fd}") and os.readlink(f"/proc/self/fd/{fd}") == str(path)
    ]


class TestDescriptor:
    def test_lives_as_long_as_its_source(self, tmp_path: Path) -> None:
        path = tmp_path / "it"
        path.touch()
        source = fr.linux.fstat(path)
        (fd,) = map(int, open_on(path))
        assert not os.get_inheritable(fd)
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_PATH, "a fifo would block, a file need the right to read"
        del source
        gc.collect()
        assert open_on(path) == []

    def test_lives_as_long_as_it_is_polled(self, tmp_path: Path) -> None:
        path = tmp_path / "it"
        path.touch()

        def record() -> None:
            with fr.Recorder() as rec:
                channel = rec.add("it", fr.linux.fstat(path), rate="max")
                gc.collect()
                until(lambda: channel.stats.recorded > 1000)
                assert channel.stats.failed == 0 and len(open_on(path)) == 1

        record()
        gc.collect()
        assert open_on(path) == []

    def test_a_thousand_leave_none(self, tmp_path: Path) -> None:
        path = tmp_path / "it"
        path.touch()
        for _ in range(1000):
            assert fr.linux.fstat(path).read()["st_size"] == 0
            with pytest.raises(fr.SourceError):
                fr.linux.fstat(tmp_path / "other")
        gc.collect()
        assert open_on(path) == []


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("no/such", "cannot open 'no/such': No such file or directory; name a file that is there"),
        ("", "cannot open '': No such file or directory; name a file that is there"),
        ("/dev/null/x", "cannot open '/dev/null/x': Not a directory; name a file that is there"),
        ("a\nb", r"cannot open 'a\nb': No such file or directory; name a file that is there"),
        ("a\0b", r"cannot open 'a\x00b': no path has a NUL in it; name a file that is there"),
        (3, "cannot open 3: expected str, bytes or os.PathLike object, not int; name a file that is there"),
    ],
)
def test_refused(path: object, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fr.SourceError) as caught:
        fr.linux.fstat(path)
    assert str(caught.value) == f"linux:fstat {complaint}"
