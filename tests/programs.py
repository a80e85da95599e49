"""C programs of the tests: built against the package's own headers, or against a copy with one seeded bug."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import fastrec

SOURCES = Path(__file__).parent / "c"
INCLUDE = Path(fastrec.get_include())

FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]


def build(folder: Path, source: str, *flags: str, include: Path = INCLUDE) -> Path:
    """Compile ``tests/c/SOURCE`` into `folder`; with ``-shared`` among the flags, a library."""
    compiler = sysconfig.get_config_var("CC").split()
    target = folder / Path(source).with_suffix(".so" if "-shared" in flags else "").name
    subprocess.run(
        # Libraries are looked into for what is missing by then: so they come last.
        [*compiler, "-std=gnu11", *FLAGS, f"-I{include}", SOURCES / source, *flags, "-o", target],
        check=True,
    )
    return target


def load_apart(library: Path, folder: Path) -> ctypes.CDLL:
    """The library under a name of its own in `folder`: nobody has called it, and what it counts is zero."""
    copy = folder / library.name
    copy.write_bytes(library.read_bytes())
    return ctypes.CDLL(str(copy))


def seeded(folder: Path, header: str, before: str, after: str, include: Path = INCLUDE) -> Path:
    """A copy of the headers in which `before` reads `after`, once; what to give `build` as `include`."""
    copy = Path(tempfile.mkdtemp(dir=folder)) / "include"
    shutil.copytree(include, copy)
    path = copy / "fastrec" / header
    text = path.read_text()
    assert text.count(before) == 1, f"{header} has {text.count(before)} times {before!r}"
    path.write_text(text.replace(before, after))
    return copy


def some_now(bugs: Sequence[tuple], every: int = 3) -> list:
    """Seeded bugs of one kind, as a test takes them: every third is tried each time, the others when the long
    runs are.
    """
    return [
        bug if number % every == 0 else pytest.param(*bug, marks=pytest.mark.stress)
        for number, bug in enumerate(bugs)
    ]


def run(program: Path, *arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run to the end, output as text."""
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False
    )
