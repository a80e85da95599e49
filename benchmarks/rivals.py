"""What people use instead: two rings of NumPy, a deque, a plain array, and loops in C."""

from __future__ import annotations

import ctypes
import importlib
import re
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns, perf_counter_ns
from typing import Any

import numpy as np

import fastrec
from benchmarks.harness import BenchmarkError, Timed, WrongAnswerError, compiler
from benchmarks.payloads import FORMS, SCHEMA, Feed, compare, compare_stamps, payloads

__all__ = [
    "ArrayRows",
    "Copying",
    "DequeOfTuples",
    "Extending",
    "Pushing",
    "RingAppend",
    "RingExtend",
    "bare_loops",
    "compiled",
    "ring_class",
]


def ring_class(name: str) -> type:
    """The class of a rival from PyPI, by the name of its module."""
    try:
        return importlib.import_module(name).RingBuffer
    except ImportError as error:
        raise BenchmarkError(
            f"the rival {name} is not installed; the extra 'bench' has it: pip install -e '.[bench]'"
        ) from error


HERE = Path(__file__).parent

PACKAGES = {"readerwriterqueue": "libreaderwriterqueue-dev", "boost": "libboost-dev"}
"""Debian's, by the folder of the headers they bring."""


def compiled(source: str) -> ctypes.CDLL:
    """A C or C++ file of this folder, compiled here and now as fastrec itself is, with its headers."""
    plus = source.endswith(".cpp")
    command = [*compiler(plus=plus).split(), "-std=c++17" if plus else "-std=gnu11", "-O2", "-Wall"]
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "compiled.so"
        command += ["-shared", "-fPIC", "-pthread", f"-I{fastrec.get_include()}"]
        command += [str(HERE / source), "-o", str(library)]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True)
        except OSError as error:
            raise BenchmarkError(
                f"no compiler {command[0]!r} ({error}); install gcc and g++, or set CC and CXX"
            ) from error
        except subprocess.CalledProcessError as error:
            raise BenchmarkError(_why_not(source, command[0], error.stderr)) from error
        return ctypes.CDLL(str(library))


def _why_not(source: str, command: str, complaint: str) -> str:
    missing = re.search(r"fatal error: '?((\w+)/[^:']+)'?(: No such file| file not found)", complaint)
    if missing and missing[2] in PACKAGES:
        return f"{source} needs {missing[1]}, a rival's header: apt-get install {PACKAGES[missing[2]]}"
    return f"{command} cannot compile {source}: {complaint.strip()}"


def bare_loops() -> ctypes.CDLL:
    """bare.c."""
    loops = compiled("bare.c")
    word, pointer = ctypes.c_uint64, ctypes.c_void_p
    loops.copy_wrapping.argtypes = (pointer, word, word, word, pointer, word, word)
    loops.copy_wrapping.restype = word
    for poll in (loops.poll_bare, loops.poll_bare_tsc):
        poll.argtypes, poll.restype = (pointer, pointer, word, pointer, word), word
    loops.monotonic.restype = loops.counter.restype = ctypes.c_int64
    return loops


class Pushing(Timed):
    """Stores payloads one at a time, from a list of them in one of the `FORMS`.

    Subclasses set `push`, or write a loop of their own.
    """

    UNIT = "ns/push"
    push: Callable[[Any], object]

    def __init__(self, who: str, feed: Feed, form: str = "NumPy row") -> None:
        super().__init__(who, self.UNIT, feed.operations)
        self.feed = feed
        self.form = form

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.payloads = FORMS[self.form](self.feed.rows(turn))

    def work(self) -> None:
        push, payloads = self.push, self.payloads
        for _ in range(self.feed.rounds):
            for payload in payloads:
                push(payload)

    def run(self) -> dict[str, float]:
        self.begin = monotonic_ns()
        figures = super().run()
        self.end = monotonic_ns()
        return figures

    def compare(self, stored: np.ndarray, stamps: np.ndarray | None = None) -> None:
        """All that is stored, and its stamps where there are any, against this run's."""
        compare(self.who, stored, self.feed.left(self.turn))
        if stamps is not None:
            compare_stamps(self.who, stamps, self.begin, self.end)


class Extending(Pushing):
    """Stores whole arrays of payloads."""

    UNIT = "ns/row"

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.payloads = self.feed.rows(turn)

    def work(self) -> None:
        push, payloads = self.push, self.payloads
        for _ in range(self.feed.rounds):
            push(payloads)


class RingAppend(Pushing):
    """``append`` of numpy_ringbuffer or dvg-ringbuffer. They keep no time: it is not even taken.

    With `dtype` OPAQUE the ring holds bytes, which whoever reads it has to view as the struct.
    """

    def __init__(self, who: str, module: str, feed: Feed, form: str, dtype: np.dtype = SCHEMA.dtype) -> None:
        super().__init__(who, feed, form)
        self.ring = ring_class(module)(feed.capacity, dtype=dtype)
        self.push = self.ring.append

    def check(self) -> None:
        self.compare(self.ring[:])


class RingExtend(Extending):
    """``extend`` of the same two."""

    def __init__(self, who: str, module: str, feed: Feed, dtype: np.dtype = SCHEMA.dtype) -> None:
        super().__init__(who, feed)
        self.ring = ring_class(module)(feed.capacity, dtype=dtype)
        self.push = self.ring.extend

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.payloads = self.payloads.view(self.ring.dtype)

    def check(self) -> None:
        self.compare(self.ring[:])


class DequeOfTuples(Pushing):
    """``deque.append((perf_counter_ns(), bytes(s)))``."""

    def __init__(self, who: str, feed: Feed, form: str) -> None:
        super().__init__(who, feed, form)
        self.deque: deque[tuple[int, bytes]] = deque(maxlen=feed.capacity)

    def work(self) -> None:
        append, payloads = self.deque.append, self.payloads
        for _ in range(self.feed.rounds):
            for s in payloads:
                append((perf_counter_ns(), bytes(s)))

    def check(self) -> None:
        stamps = np.array([stamp for stamp, _ in self.deque])
        self.compare(np.frombuffer(b"".join(data for _, data in self.deque), SCHEMA.dtype), stamps)


class ArrayRows(Pushing):
    """``array[i] = row`` and its stamp, in two columns of one array: quicker than as a tuple."""

    def __init__(self, who: str, feed: Feed, form: str, dtype: np.dtype = SCHEMA.dtype) -> None:
        super().__init__(who, feed, form)
        self.array = np.zeros(feed.capacity, [("mono_ns", "<i8"), ("payload", dtype)])

    def work(self) -> None:
        stamps, rows, payloads = self.array["mono_ns"], self.array["payload"], self.payloads
        for done in range(self.feed.rounds):
            for i, s in enumerate(payloads, done * self.feed.count % self.feed.capacity):
                stamps[i] = perf_counter_ns()
                rows[i] = s

    def check(self) -> None:
        self.compare(self.array["payload"], self.array["mono_ns"])


class Copying(Extending):
    """``memcpy`` of finished records into a buffer of the ring's size; the rounds are looped over in C."""

    def __init__(self, who: str, loops: ctypes.CDLL, feed: Feed, nslots: int) -> None:
        super().__init__(who, feed)
        self.loops = loops
        self.buffer = np.zeros(nslots, SCHEMA.record_dtype)
        self.slot = 0

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.records = np.zeros(self.feed.count, self.buffer.dtype)
        self.records["mono_ns"] = turn
        view = payloads(self.records)
        view[:] = self.payloads.view(view.dtype)

    def work(self) -> None:
        self.slot = self.loops.copy_wrapping(
            self.buffer.ctypes.data,
            len(self.buffer),
            self.buffer.itemsize,
            self.slot,
            self.records.ctypes.data,
            self.feed.count,
            self.feed.rounds,
        )

    def check(self) -> None:
        newest = np.roll(self.buffer, -self.slot)[-self.feed.capacity :]
        self.compare(payloads(newest))
        if (newest["mono_ns"] != self.turn).any():
            raise WrongAnswerError(f"{self.who}: stamps were not copied")
