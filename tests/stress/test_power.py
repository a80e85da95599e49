"""Power lost at a random moment, on ext4: everything below `durable` is there, once, unaltered.

The file system is shut down without its log being flushed, as if the machine had gone, and mounted again: its
journal is replayed. It loses what was not flushed; it tears no sectors and reorders nothing, which is what
``test_crash_states`` does. That folders are flushed cannot be shown here either: ext4 flushes the name of a
new file along with it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from programs import build
from victims import check_powerless, take_away, victims

import fastrec as fr

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_LOG_FLUSH = struct.pack("I", 2)

MODES = ("data=ordered", "data=writeback")


@contextmanager
def mounted(image: Path, folder: Path, mode: str) -> Iterator[None]:
    """The image as a file system at `folder`; gone, with its loop device, whatever happens."""
    subprocess.run(["mount", "-o", f"loop,{mode}", image, folder], check=True)
    try:
        yield
    finally:
        for _ in range(500):  # a process that was killed a moment ago may still hold a file
            if subprocess.run(["umount", folder], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                break
            time.sleep(0.02)
        else:
            subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def a_disk(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """An image with a file system, and a folder to mount it at; afterwards no loop device has it."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    try:
        yield image, folder
    finally:
        left = subprocess.run(["losetup", "-j", image], capture_output=True, text=True, check=True).stdout
        for line in left.splitlines():
            subprocess.run(["losetup", "-d", line.split(":")[0]], check=True)
    assert not left, left


def cut(folder: Path) -> None:
    """The power of the file system at `folder`; what runs on it goes on for a moment, in vain.

    What is told from then on counts for nothing: of a flush that the cut falls into, ext4 may say that it was
    made, as the transaction it waits for is gone.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH)
    finally:
        os.close(descriptor)
    time.sleep(0.03)


def trials(tmp_path: Path, count: int, mode: str, **environment: str) -> None:
    library = build(tmp_path, "getters.c", "-shared", "-fPIC")
    seed = int(os.environ.get("FASTREC_SEED", random.SystemRandom().randrange(1 << 32)))
    moments = random.Random(seed)
    durable = 0
    with a_disk(tmp_path) as (image, folder), victims(library, **environment) as victim:
        for number in range(count):
            path = folder / f"{number}.fastrec"
            with mounted(image, folder, mode):
                marks = victim.trial(path, moments.uniform(0, 0.2), lambda: cut(folder))
            with mounted(image, folder, mode):
                try:
                    durable += check_powerless(path, marks)
                except Exception as error:
                    error.add_note(f"trial {number} of FASTREC_SEED={seed}, {mode}, {marks}")
                    raise
                finally:
                    with suppress(FileNotFoundError):
                        take_away(path)
    assert durable > count * 1000


@pytest.mark.parametrize("mode", MODES)
def test_power(tmp_path: Path, mode: str) -> None:
    trials(tmp_path, 10, mode)


@pytest.mark.stress
@pytest.mark.parametrize("mode", MODES)
def test_power_many(tmp_path: Path, mode: str) -> None:
    trials(tmp_path, 1000, mode)


@pytest.mark.parametrize("how", ["late", "never"])
def test_a_flush_that_lies_shows(tmp_path: Path, how: str) -> None:
    """The test itself: a mark that is raised before the flush is over, or without one, does not pass."""
    shim = build(tmp_path, "no_flush.c", "-shared", "-fPIC", "-ldl")
    lost = r"^\('(polled|pushed)', \d+, |do not match their checksum"
    with pytest.raises((AssertionError, fr.CorruptionError), match=lost):
        trials(tmp_path, 20, MODES[0], LD_PRELOAD=str(shim), NO_FLUSH=how)


def test_the_file_system_is_gone_at_once(tmp_path: Path) -> None:
    """The cut itself: what was flushed stays, what was not is lost, and nothing can be made after it."""
    with a_disk(tmp_path) as (image, folder):
        with mounted(image, folder, MODES[0]):
            with (folder / "kept").open("wb") as file:
                file.write(b"1")
                file.flush()
                os.fsync(file.fileno())
            (folder / "lost").write_bytes(b"2")
            cut(folder)
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                (folder / "late").write_bytes(b"3")
        with mounted(image, folder, MODES[0]):
            assert (folder / "kept").read_bytes() == b"1"
            assert not (folder / "lost").exists()
