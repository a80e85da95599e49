"""What the compilers make of publishing: no locked instruction, no fence that costs, no call."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from programs import INCLUDE, SOURCES, seeded

import fastrec.core

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="judges x86-64 instructions")

PUBLISHING = ("lane_put", "lane_put_many", "ring_put", "ring_put_payload", "ring_put_payloads")
POLLING = ("poll_call", "poller_run")
PATHS = (*PUBLISHING, "lane_read", *POLLING)
LOCKED = re.compile(r"\b(lock|mfence|cmpxchg\w*|xadd\w*)\b|\bxchg\w* .*\(")
APART = {"fr_poller_obey", "fr_ring_flush_gap", "fr_stream_out"}
"""What is off the way: commands, what is published of a loss, and how a reader copies many megabytes."""

COMPILERS = ["gcc", "clang"]


def functions(binary: Path) -> dict[str, list[str]]:
    """Instructions by function; the parts that a compiler has split off under names of their own."""
    command = ["objdump", "--disassemble", "--no-show-raw-insn", str(binary)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if header := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            body = found.setdefault(header[1], [])
        elif "\t" in line:
            body.append(line.split("\t", 1)[1].strip())
    return found


def reached(code: dict[str, list[str]], name: str) -> set[str]:
    """The function, and all of the same file that it calls or jumps to, but what is apart."""
    seen, todo = set(), [name]
    while todo:
        function = todo.pop()
        if function in seen or function not in code or function.split(".")[0] in APART:
            continue
        seen.add(function)
        for instruction in code[function]:
            if target := re.match(r"(?:call|j\w+)\s+[0-9a-f]+ <([^+>]+)", instruction):
                todo.append(target[1])
    return seen


def locked(code: dict[str, list[str]], name: str) -> list[str]:
    """Instructions on the way of `name` that lock the bus or drain the store buffer."""
    assert name in code, f"{name} is not among {len(code)} functions"
    return [line for part in reached(code, name) for line in code[part] if LOCKED.search(line)]


def calls(code: dict[str, list[str]], name: str) -> list[str]:
    """Calls on the way of `name`, but those of what is apart."""
    return [
        line
        for part in reached(code, name)
        for line in code[part]
        if line.startswith("call") and not any(f"<{apart}" in line for apart in APART)
    ]


def compiled(folder: Path, compiler: str, *flags: str, include: Path = INCLUDE) -> dict[str, list[str]]:
    assert shutil.which(compiler), f"no {compiler} here; install it (Debian: {compiler})"
    target = folder / "published.o"
    command = [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", *flags, f"-I{include}"]
    subprocess.run([*command, "-c", SOURCES / "published.c", "-o", target], check=True)
    return functions(target)


@pytest.mark.parametrize("level", ["-O2", "-O3"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_nothing_is_locked(tmp_path: Path, compiler: str, level: str) -> None:
    code = compiled(tmp_path, compiler, level)
    for name in PATHS:
        assert locked(code, name) == [], name


@pytest.mark.parametrize("level", ["-O2", "-O3"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_publishing_calls_nothing(tmp_path: Path, compiler: str, level: str) -> None:
    """And a poll's way to it only what it was given: the getter and the clock, by their pointers."""
    code = compiled(tmp_path, compiler, level)
    for name in (*PUBLISHING, "lane_read"):
        assert calls(code, name) == [], name
    assert any(re.match(r"call\s+\*", line) for line in calls(code, "poll_call"))


@pytest.mark.parametrize("function", ["fr_poller_run", r"\w+\d+push", r"\w+\d+extend"])
def test_the_modules_are_as_built(function: str) -> None:
    """The same of what was installed; `push` and `extend` as Cython names them, wherever they stand."""
    ways = 0
    for module in Path(fastrec.core.__file__).parent.glob("*.so"):
        code = functions(module)
        for way in code:
            if re.fullmatch(function, way.split(".")[0]):
                ways += 1
                assert locked(code, way) == [], f"{way} of {module.name}"
    assert ways


SEEDS = {
    "a fence": (
        "{ __atomic_thread_fence(__ATOMIC_RELEASE); }",
        "{ __atomic_thread_fence(__ATOMIC_SEQ_CST); }",
        {*PUBLISHING, *POLLING},
    ),
    "a reader's fence": (
        "{ __atomic_thread_fence(__ATOMIC_ACQUIRE); }",
        "{ __atomic_thread_fence(__ATOMIC_SEQ_CST); }",
        {"lane_read"},
    ),
    "an exchange": (
        "__atomic_store_n(p, v, __ATOMIC_RELEASE); }",
        "__atomic_store_n(p, v, __ATOMIC_SEQ_CST); }",
        {*PUBLISHING, *POLLING},
    ),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_locked_instruction_is_seen(tmp_path: Path, compiler: str, seed: str) -> None:
    before, after, spoiled = SEEDS[seed]
    code = compiled(tmp_path, compiler, "-O2", include=seeded(tmp_path, "atomic.h", before, after))
    assert {name for name in PATHS if locked(code, name)} == spoiled


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_call_is_seen(tmp_path: Path, compiler: str) -> None:
    include = seeded(tmp_path, "atomic.h", "FR_INLINE void fr_copy(", "FR_APART void fr_copy(")
    code = compiled(tmp_path, compiler, "-O2", include=include)
    for name in (*PUBLISHING, "lane_read"):
        assert calls(code, name) != [], name
