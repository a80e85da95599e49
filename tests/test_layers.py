"""Data flows one way: a room imports only rooms before it, wherever in a file the import stands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastrec

PACKAGE = Path(fastrec.__file__).parent

CORE = {"errors", "core"}
MEANING = {"errors", "schema"}
TIMES = CORE | MEANING | {"durations"}
SOURCES = TIMES | {"times", "timezones", "expressions", "ring"}
RECORDS = SOURCES | {"sources"}
RECORDING = RECORDS | {"records"}
READ = RECORDING | {"recording"}
RECORDER = READ | {"recording.writing"}
POLLED = RECORDER | {"stats", "privileges", "threads", "options"}
LAST = POLLED | {"channel", "living", "lifetimes", "triggers", "recorder"}

MAY_IMPORT = {
    "errors": set(),
    "core": CORE,
    "schema": MEANING,
    "durations": {"errors"},
    "times": TIMES,
    "timezones": TIMES,
    "expressions": TIMES | {"times"},
    "ring": TIMES | {"lifetimes"},
    "sources": SOURCES,
    "records": RECORDS,
    "recording": RECORDING,
    "recording.writing": READ,
    "recording.recovering": READ | {"recording.writing"},
    "stats": READ,
    "lifetimes": set(),
    "privileges": CORE,
    "threads": RECORDS | {"privileges"},
    "options": RECORDER | {"privileges", "threads"},
    "channel": POLLED,
    "living": POLLED | {"channel"},
    "triggers": POLLED | {"channel"},
    "recorder": POLLED | {"channel", "living", "lifetimes", "triggers"},
    "formats": LAST,
    "replay": LAST,
    "report": LAST,
    "wmdrm": {"errors", "schema", "core", "sources", "records"},
    "cli": LAST | {"", "recording.recovering", "formats", "replay", "report", "wmdrm"},
    "__main__": {"cli"},
    "": LAST | {"recording.recovering", "replay"},  # the package's own __init__: the names that users type
}
"""Room: the rooms it may import besides itself.

A room is a module or a package right below ``fastrec``, or a package below one that the table names."""

_CYTHON_IMPORT = re.compile(
    r"^\s*(?:from\s+([\w.]+)\s+c?import\s+\(?([\w, ]*)|c?import\s+([\w., ]+))", re.MULTILINE
)


def room_of(path: Path) -> str:
    """Name of the room a file belongs to."""
    return room_called(".".join(path.relative_to(PACKAGE).with_suffix("").parts))


def room_called(name: str) -> str:
    """Name of the room of a module, or of a name in one: ``recording.writing.files.create``."""
    first, _, rest = name.partition(".")
    inner = f"{first}.{rest.partition('.')[0]}"
    if inner in MAY_IMPORT:
        return inner
    stands = (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").exists()
    return first if stands and first != "__init__" else ""


def imported(path: Path) -> Iterator[str]:
    """Full names of what a file imports; ``from a import b`` gives ``a.b``."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".pyx", ".pxd"):
        for module, names, modules in _CYTHON_IMPORT.findall(text):
            listed = [name.split()[0] for name in (names or modules).split(",") if name.strip()]
            yield from (f"{module}.{name}" if module else name for name in listed)
            if module and not listed:
                yield module
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    rooms = set()
    for name in imported(path):
        package, _, rest = name.partition(".")
        if package == "fastrec":
            rooms.add(room_called(rest))
    return rooms


FILES = sorted(path for suffix in ("py", "pyi", "pyx", "pxd") for path in PACKAGE.rglob(f"*.{suffix}"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_before_it(path: Path) -> None:
    room = room_of(path)
    assert room in MAY_IMPORT, f"{room} is a room that the table does not know"
    assert rooms_imported(path) <= MAY_IMPORT[room] | {room}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_but_the_command_line_imports_by_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert room_of(path) == "cli" or not re.search(r"\bimport_module\b|\b__import__\b", text)


def test_the_table_has_no_circle() -> None:
    seen: set[str] = set()
    while left := [room for room in MAY_IMPORT if room not in seen]:
        free = [room for room in left if MAY_IMPORT[room] - {room} <= seen]
        assert free, f"in a circle: {left}"
        seen.update(free)


def test_the_scanner_sees_every_form_of_import(tmp_path: Path) -> None:
    python = tmp_path / "one.py"
    python.write_text(
        "import fastrec.ring as r\n"
        "def f():\n    from fastrec import recording, open\n    import os, fastrec.cli\n"
    )
    assert set(imported(python)) == {
        "fastrec.ring",
        "fastrec.recording",
        "fastrec.open",
        "os",
        "fastrec.cli",
    }
    assert rooms_imported(python) == {"ring", "recording", "", "cli"}
    cython = tmp_path / "one.pyx"
    cython.write_text(
        "from fastrec.core.ring cimport Ring, fr_now\ncimport fastrec.core.call\n"
        "def f():\n    from fastrec.errors import (\n        SchemaError)\n    import os, fastrec.schema\n"
    )
    assert rooms_imported(cython) == {"core", "errors", "schema"}


def test_headers_know_no_python() -> None:
    headers = sorted((PACKAGE / "include").rglob("*.h"))
    assert headers
    assert [path.name for path in headers if "Python.h" in path.read_text()] == []


def test_importing_starts_nothing() -> None:
    """No thread, no output, and neither the command line nor a library that only it needs."""
    rooms = [room for room in MAY_IMPORT if room not in ("", "cli", "__main__")]
    modules = [f"fastrec.{room}" for room in rooms if room_called(room)]
    program = f"""
import importlib, os, sys, numpy
before = len(os.listdir("/proc/self/task"))
import fastrec
assert not {{"fastrec.cli", "fastrec.formats", "fastrec.wmdrm", "rich"}} & set(sys.modules), "too much"
for name in {modules!r}:
    importlib.import_module(name)
assert "fastrec.cli" not in sys.modules and "rich" not in sys.modules
assert len(os.listdir("/proc/self/task")) == before, "a thread was started"
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
