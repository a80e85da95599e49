"""A consistent snapshot of a million records beside a writer flat out, and a plain copy of the same memory.

The writer is a poller of `get_status`; every record proves itself by its number. The plain copy is NumPy's,
of the ring's own slots: as large, beside the same writer, and torn where it was just then. It is one of
bytes, a single memcpy; as records NumPy would copy field by field, ten times as long. Into fresh memory both
pay for its pages, which is most of it; into memory that is there both only copy.
"""

from __future__ import annotations

import ctypes
import time

import numpy as np

import fastrec
from benchmarks import rivals
from benchmarks.harness import Bench, Case, Claim, Timed, WrongAnswerError
from benchmarks.payloads import SCHEMA, compare, payloads, statuses

GUARD = 64  # slots of a ring beyond its capacity


class Writer:
    """A channel of `capacity` records that a poller overwrites as fast as it can, from when it is full."""

    def __init__(self, capacity: int) -> None:
        loops = rivals.bare_loops()
        ctypes.c_uint64.in_dll(loops, "calls").value = (
            2**64 - 1
        )  # the probe call takes it, the first record 0
        self.recorder = fastrec.Recorder()
        getter = fastrec.Call(loops.get_status, fastrec.OUT, schema=SCHEMA)
        channel = self.recorder.add("status", getter, rate="max", capacity=capacity)
        self.recorder.start()
        self.ring = channel.ring
        while self.ring.core.head < 2 * capacity:
            time.sleep(0.001)

    def close(self) -> None:
        """Stop it; more than once is once."""
        self.recorder.stop()


class Copying(Timed):
    """Copies all the records there are; `work` leaves what it got in `copy`."""

    def __init__(self, who: str, writer: Writer, copies: int) -> None:
        super().__init__(who, "us/MB", copies)
        self.writer = writer
        self.ring = writer.ring
        self.megabytes = self.ring.capacity * SCHEMA.record_dtype.itemsize / 1e6

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.copy = None
        self.before = self.ring.core.head

    def run(self) -> dict[str, float]:
        ((unit, nanoseconds),) = super().run().items()
        self.after = self.ring.core.head
        return {unit: nanoseconds / 1e3 / self.megabytes}

    def close(self) -> None:
        self.writer.close()


class Consistent(Copying):
    """Ours: every record whole, its number known, and what was overwritten meanwhile counted."""

    def check(self) -> None:
        array, first, lost = self.copy.array, self.copy.first_seq, self.copy.lost
        oldest = self.before - self.ring.capacity
        if not (len(array) <= self.ring.capacity and oldest <= first - lost <= first < self.after):
            raise WrongAnswerError(
                f"{self.who}: {len(array)} records from {first} on, {lost} lost, of {self.ring.capacity}; "
                f"the oldest had number {oldest}"
            )
        if len(array) + lost < self.ring.capacity:
            raise WrongAnswerError(f"{self.who}: {len(array)} came and {lost} were lost of more")
        compare(self.who, payloads(array), statuses(first, len(array)))
        if (np.diff(array["mono_ns"]) < 0).any():
            raise WrongAnswerError(f"{self.who}: stamps decrease")


class Snapshot(Consistent):
    """``ring.snapshot()``."""

    def work(self) -> None:
        for _ in range(self.operations):
            self.copy = self.ring.snapshot()


class Into(Consistent):
    """The same read into memory that is there."""

    def __init__(self, who: str, writer: Writer, copies: int) -> None:
        super().__init__(who, writer, copies)
        self.memory = np.ones(self.ring.capacity, SCHEMA.record_dtype)

    def work(self) -> None:
        core, room = self.ring.core, self.memory.view(np.uint8)
        for _ in range(self.operations):
            first, count, skip, lost = core.read_into(room, core.first)
        self.copy = fastrec.ring.Snapshot(self.memory[skip : skip + count], first, lost)


class Plain(Copying):
    """``copy()`` of the ring's slots: whatever is there."""

    def __init__(self, who: str, writer: Writer, copies: int) -> None:
        super().__init__(who, writer, copies)
        self.live = self.ring.array[: self.ring.capacity].view(np.uint8)

    def work(self) -> None:
        for _ in range(self.operations):
            self.copy = self.live.copy()

    def check(self) -> None:
        """All must be records that were there meanwhile; where the writer was they may be torn."""
        rows = self.copy.view(SCHEMA.record_dtype)
        number = rows["pszIndiRespUrl"]
        good = (number >= self.before - len(self.ring.array)) & (number < self.after)
        good &= rows["dwHTTPReadTotal"] == ~number.astype(np.uint32)
        good &= rows["dwHTTPRequest"] == number.astype(np.uint32) * np.uint32(2654435761)
        torn = np.count_nonzero(~good)
        if len(rows) != self.ring.capacity or torn > GUARD:
            raise WrongAnswerError(f"{self.who}: {torn} of {len(rows)} records were never there")


class PlainInto(Plain):
    """``numpy.copyto`` into memory that is there."""

    def __init__(self, who: str, writer: Writer, copies: int) -> None:
        super().__init__(who, writer, copies)
        self.memory = np.ones_like(self.live)

    def work(self) -> None:
        for _ in range(self.operations):
            np.copyto(self.memory, self.live)
        self.copy = self.memory


def bench(quick: bool) -> Bench:
    """A million records of 40 bytes, into memory that is there and into fresh memory."""
    writer = Writer(1 << 14 if quick else 1_000_000)
    copies = 2 if quick else 5
    there, fresh = "into memory that is there", "into fresh memory"
    into, plain_into = "fastrec, core.read_into", "numpy.copyto, bytes"
    snapshot, plain = "fastrec ring.snapshot()", "array.copy(), bytes"
    return Bench(
        [
            Case(there, [Into(into, writer, copies)], [PlainInto(plain_into, writer, copies)]),
            Case(fresh, [Snapshot(snapshot, writer, copies)], [Plain(plain, writer, copies)]),
        ],
        [
            Claim("snapshot.copyto.at_least", there, plain_into, into, 0.8),
            Claim("snapshot.copy.at_least", fresh, plain, snapshot, 0.8),
        ],
    )
