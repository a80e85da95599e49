"""What tests of several rooms stand on."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import settings

from fastrec.core.ring import Ring

SHARED = Path("/dev/shm")

# How long an example takes is the machine's business.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell's background job, such as a CI run, is started with interrupts ignored: tests send some."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def no_rings_left() -> Iterator[None]:
    """Recorders that a test kills leave their rings in shared memory: they go with the tests."""
    before = set(SHARED.glob("fastrec.*.*.*"))
    yield
    for path in set(SHARED.glob("fastrec.*.*.*")) - before:
        if not used(path):  # a recorder of somebody else, who has begun meanwhile
            path.unlink(missing_ok=True)


def used(path: Path) -> bool:
    with suppress(OSError):
        return Ring(left=path.name.encode()).used
    return False


@contextmanager
def _in_memory(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    with _in_memory(tmp_path / "disk", "4m") as folder:
        yield folder


@pytest.fixture
def fast_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory: for thousands of small recordings."""
    with _in_memory(tmp_path / "disk", "256m") as folder:
        yield folder
