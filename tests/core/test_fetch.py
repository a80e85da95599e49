"""Blocks of a file into memory: every byte at its place, whoever reads it; damage named; memory kept to."""

from __future__ import annotations

import errno
import os
import random
import re
import signal
import struct
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from programs import build, run, seeded
from tasks import tasks
from waiting import until

from fastrec.core.condition import RELATIONS, Condition
from fastrec.core.fetch import Fetch

BASE, GUARD = 77, 64
FILL = 0xA5
HELPERS = (0, 1, 3)
SANITIZERS = {
    "plain": ["-lm"],
    "thread": ["-fsanitize=thread", "-g", "-lm"],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-lm"],
}


@dataclass
class Task:
    """What is to be fetched, and what every batch of it has to be."""

    path: Path
    width: int
    offset: int
    at: list[int]
    rows: list[int]
    cuts: list[int]
    damaged: set[int] = field(default_factory=set)

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()

    @property
    def slot(self) -> int:
        """Rows of the largest batch."""
        return max(sum(self.rows[low:high]) for low, high in self.batches)

    @property
    def batches(self) -> list[tuple[int, int]]:
        return list(zip(self.cuts, self.cuts[1:], strict=False))

    def block(self, number: int) -> bytes:
        begin = self.offset + self.at[number] * self.width
        return self.data[begin : begin + self.rows[number] * self.width]

    def batch(self, number: int) -> bytes:
        return b"".join(self.block(one) for one in range(*self.batches[number]))

    def crcs(self) -> list[int]:
        right = [
            google_crc32c.extend(google_crc32c.extend(BASE, struct.pack("<Q", at)), self.block(number))
            for number, at in enumerate(self.at)
        ]
        return [crc ^ (number in self.damaged) for number, crc in enumerate(right)]

    def memory(self, slots: int) -> np.ndarray:
        """Room for so many batches, and a guard behind it."""
        return self._filled(slots * self.slot * self.width)

    def places(self, slots: int, beside: int = 8) -> np.ndarray:
        """The same where rows are picked."""
        return self._filled(slots * self.slot * (self.width + beside))

    @staticmethod
    def _filled(size: int) -> np.ndarray:
        return np.full(size + GUARD, FILL, np.uint8)


def task(path: Path, luck: random.Random, *, batches: int = 12, most: int = 60) -> Task:
    """Blocks of all sizes in any order, some of them empty, some twice; batches of none of them, too."""
    width, offset, there = luck.choice((1, 8, 24, 40, 333)), luck.choice((0, 128, 129)), 500
    path.write_bytes(luck.randbytes(offset + there * width))
    counts = [luck.choice((0, 1, 2, 5)) for _ in range(batches - 1)] + [3]
    rows = [luck.choice((0, 1, luck.randrange(most), most)) for _ in range(sum(counts))]
    at = [luck.randrange(there - most) for _ in rows]
    rows[-1] = max(rows[-1], 1)
    return Task(path, width, offset, at, rows, [sum(counts[:number]) for number in range(batches + 1)])


def column(values: Sequence[int], dtype: type) -> np.ndarray:
    """An argument. What lies behind it would do as well: who reads on is found out by what he writes."""
    return np.array([*values, *[0] * 1000], dtype)[: len(values)]


@contextmanager
def fetching(what: Task, memory: np.ndarray, helpers: int, /, **other: Any) -> Iterator[Fetch]:
    with open(what.path, "rb") as file:
        given = {
            "fd": file.fileno(),
            "offset": what.offset,
            "width": what.width,
            "base": BASE,
            "at": column(what.at, np.int64),
            "rows": column(what.rows, np.int64),
            "crcs": column(what.crcs(), np.uint32),
            "cuts": column(what.cuts, np.int64),
            "memory": memory[: len(memory) - GUARD],
            "helpers": helpers,
        } | other
        if given.keys() & {"part", "changes", "states", "condition"}:
            whole = {"firsts": column([0] * len(what.rows), np.int64), "stops": column(what.rows, np.int64)}
            given = whole | given
        fetch = Fetch(**given)
        try:
            yield fetch
        finally:
            fetch.close()
            assert (memory[len(memory) - GUARD :] == FILL).all()


def helping() -> int:
    """Threads of this process that read ahead."""
    return len(tasks("fr-fetch"))


def in_memory(memory: np.ndarray, what: Task, row: int, size: int) -> bytes:
    return memory[row * what.width : row * what.width + size].tobytes()


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("helpers", HELPERS)
def test_every_batch_is_that_of_the_file(tmp_path: Path, helpers: int, slots: int) -> None:
    luck = random.Random(10 * helpers + slots)
    for _ in range(12):
        what = task(tmp_path / "file", luck)
        memory = what.memory(slots)
        with fetching(what, memory, helpers) as fetch:
            for number in range(len(what.batches)):
                row, wrong = fetch.take()
                assert (row, wrong) == (number % slots * what.slot, -1)
                due = what.batch(number)
                assert in_memory(memory, what, row, len(due)) == due
            with pytest.raises(ValueError, match="no other batch"):
                fetch.take()


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("helpers", HELPERS)
def test_rows_with_which_bytes_change(tmp_path: Path, helpers: int, slots: int) -> None:
    """The first row of each block that is asked for, and those of the others that are not as the one before,
    whatever it is that is watched.
    """
    luck = random.Random(20 * helpers + slots)
    for _ in range(12):
        what = task(tmp_path / "file", luck)
        size = luck.randint(1, what.width)
        mask = luck.choice([0, 1, 0x81]) if size <= 8 else 0
        offset = luck.randint(0, what.width - size)
        spans, asked = spanned(what, luck)
        with fetching(what, what.places(slots), helpers, changes=(offset, size, mask), **asked) as fetch:
            assert fetch.kept == 0
            for low, high in what.batches:
                assert fetch.take()[1] == -1
                places, rows = kept(what, range(low, high), spans, (offset, size, mask))
                assert gathered(fetch, what.width) == (places, rows)
                size_, width = fetch.kept, what.width
                for count, room in ((size_, size_ * width + width), (size_ + 1, size_ * width)):
                    with pytest.raises(ValueError, match=f"{size_} rows of"):
                        fetch.gather(np.empty(count, np.int64), np.empty(room, np.uint8), 0, width)


def watched(what: Task, number: int, part: tuple[int, int, int]) -> list[int]:
    """What each row of a block has of some bytes."""
    offset, size, mask = part
    block = what.block(number)
    rows = [block[begin : begin + what.width] for begin in range(0, len(block), what.width)]
    return [int.from_bytes(row[offset : offset + size], "little") & (mask or -1) for row in rows]


def rows_of(what: Task, places: list[int]) -> bytes:
    """Rows of the file."""
    begins = [what.offset + place * what.width for place in places]
    return b"".join(what.data[begin : begin + what.width] for begin in begins)


def kept(
    what: Task, blocks: range, spans: list[list[int]], part: tuple[int, int, int]
) -> tuple[list[int], bytes]:
    """Of the blocks of a batch which rows of the file change, and what these are."""
    places = []
    for number in blocks:
        values, (first, stop) = watched(what, number, part), spans[number]
        rows = [row for row in range(first, stop) if row == first or values[row] != values[row - 1]]
        places += [what.at[number] + row for row in rows]
    return places, rows_of(what, places)


def gathered(fetch: Fetch, width: int) -> tuple[list[int], bytes]:
    """Places, and rows; some of their bytes by themselves are the same."""
    places, rows = np.empty(fetch.kept, np.int64), np.empty((fetch.kept, width), np.uint8)
    fetch.gather(places, rows.reshape(-1), 0, width)
    for offset, size in {(0, min(8, width)), (width // 2, width - width // 2), (width - 1, 1)}:
        some = np.empty(fetch.kept * size, np.uint8)
        fetch.gather(np.empty(fetch.kept, np.int64), some, offset, size)
        assert some.tobytes() == rows[:, offset : offset + size].tobytes()
    for offset, size in ((width, 1), (1, width), (2**63, 8)):
        with pytest.raises(ValueError, match=f"{size} bytes at {offset}"):
            fetch.gather(np.empty(fetch.kept, np.int64), np.empty(fetch.kept * size, np.uint8), offset, size)
    return places.tolist(), rows.tobytes()


def spanned(what: Task, luck: random.Random) -> tuple[list[list[int]], dict[str, np.ndarray]]:
    """Of each block from which row on, and up to which, it is looked at."""
    spans = [sorted(luck.choices(range(rows + 1), k=2)) for rows in what.rows]
    spans = [luck.choice((span, [0, rows])) for span, rows in zip(spans, what.rows, strict=True)]
    firsts, stops = zip(*spans, strict=True)
    return spans, {"firsts": column(firsts, np.int64), "stops": column(stops, np.int64)}


@pytest.mark.parametrize("states", [1, 3, 15, 16, 17, 50, 2**64])
@pytest.mark.parametrize("helpers", HELPERS)
def test_rows_with_which_a_state_comes_first(tmp_path: Path, helpers: int, states: int) -> None:
    """In each block, and how many rows of it have it: of few states and of many, in blocks of up to 1024."""
    luck = random.Random(f"{helpers} {states}")
    for size, mask in ((1, 0), (2, 0), (4, 0), (8, 0), (3, 0), (1, 6), (4, 0xF00F), (8, 2**63 + 3), (5, 7)):
        what = task(tmp_path / "file", luck, batches=5, most=luck.choice((60, 400)))
        what.width, what.offset = luck.choice((size, 24, 40)), 128
        offset = luck.randint(0, what.width - size)
        values = [luck.randrange(256**size) for _ in range(min(states, 200))]
        rows = [bytearray(luck.randbytes(what.width)) for _ in range(500)]
        for row in rows if states < 2**64 else ():
            row[offset : offset + size] = luck.choice(values).to_bytes(size, "little")
        what.path.write_bytes(bytes(128) + b"".join(rows))
        spans, asked = spanned(what, luck)
        part = offset, size, mask
        with fetching(what, what.places(2, 16), helpers, states=part, **asked) as fetch:
            assert fetch.kept == 0
            for low, high in what.batches:
                assert fetch.take()[1] == -1
                first: dict[tuple[int, int], list[int]] = {}
                for number in range(low, high):
                    states_of = watched(what, number, part)
                    for row in range(*spans[number]):
                        first.setdefault((number, states_of[row]), [what.at[number] + row, 0])[1] += 1
                places = [place for place, _ in first.values()]
                assert gathered(fetch, what.width) == (places, rows_of(what, places))
                counts = np.empty(fetch.kept, np.int64)
                fetch.counts(counts)
                assert counts.tolist() == [count for _, count in first.values()]
                with pytest.raises(ValueError, match=f"{fetch.kept} rows that are counted"):
                    fetch.counts(np.empty(fetch.kept + 1, np.int64))


@pytest.mark.parametrize("helpers", HELPERS)
def test_blocks_with_many_states_and_then_with_few(tmp_path: Path, helpers: int) -> None:
    """Whatever has been seen of the blocks before."""
    luck = random.Random(helpers)
    counts = [luck.choice((1, 5, 16, 17, 300)) for _ in range(200)]
    rows = np.concatenate([np.resize(np.arange(count, dtype="<u4") + 1000 * count, 400) for count in counts])
    path = tmp_path / "file"
    path.write_bytes(rows.tobytes())
    blocks = len(counts)
    what = Task(path, 4, 0, [400 * one for one in range(blocks)], [400] * blocks, [0, 70, blocks])
    with fetching(what, what.places(2, 16), helpers, states=(0, 4, 0)) as fetch:
        for low, high in what.batches:
            assert fetch.take()[1] == -1
            due = [400 * one + row for one in range(low, high) for row in range(counts[one])]
            assert gathered(fetch, 4)[0] == due


@pytest.mark.parametrize("helpers", HELPERS)
def test_rows_that_meet_a_condition(tmp_path: Path, helpers: int) -> None:
    """Of several fields, and whose steps need a stack."""
    steps = [
        ("field", RELATIONS.index("<"), 0, 0, 0, 100, 0),
        ("field", RELATIONS.index(">="), 1, 0, 0, 30_000, 0),
        ("and", 0, 0, 0, 0, 0, 0),
        ("among", 0, 0, 0, 3, 0, 0),
        ("or", 0, 0, 0, 0, 0, 0),
    ]
    fields = [(0, "u", 1, False, 0, 0), (1, "u", 2, False, 0, 0)]
    table = np.array([101, 150, 255], np.uint64)
    condition = Condition(steps=steps, fields=fields, patterns=table, data=b"")
    luck = random.Random(helpers)
    for _ in range(12):
        what = task(tmp_path / "file", luck, most=luck.choice((60, 400)))
        what.width = luck.choice((3, 8, 40))
        what.path.write_bytes(luck.randbytes(what.offset + 500 * what.width))
        spans, asked = spanned(what, luck)
        with fetching(what, what.places(2), helpers, condition=condition, **asked) as fetch:
            for low, high in what.batches:
                assert fetch.take()[1] == -1
                places = []
                for number in range(low, high):
                    one, two = watched(what, number, (0, 1, 0)), watched(what, number, (1, 2, 0))
                    places += [
                        what.at[number] + row
                        for row in range(*spans[number])
                        if (one[row] < 100 and two[row] >= 30_000) or one[row] in (101, 150, 255)
                    ]
                assert gathered(fetch, what.width) == (places, rows_of(what, places))
                with pytest.raises(ValueError, match="rows that are counted"):
                    fetch.counts(np.empty(fetch.kept, np.int64))


@pytest.mark.parametrize("many", [1, 3, 100])
@pytest.mark.parametrize("helpers", HELPERS)
def test_of_many_rows_that_meet_a_condition_8_bytes_are_kept(tmp_path: Path, helpers: int, many: int) -> None:
    """Of a block of which so many do; and there are no others of them."""
    steps, fields = [("masked", 0, 0, 0, 0, 1, 1)], [(0, "u", 1, False, 0, 0)]
    odd = Condition(steps=steps, fields=fields, patterns=np.empty(0, np.uint64), data=b"")
    luck = random.Random(many)
    seen = set()
    for _ in range(20):
        what = task(tmp_path / "file", luck)
        what.width = luck.choice((8, 12, 40))
        what.path.write_bytes(luck.randbytes(what.offset + 500 * what.width))
        spans, asked = spanned(what, luck)
        stamp = luck.choice([0, what.width - 8])
        with fetching(what, what.places(2), helpers, condition=odd, brief=(stamp, many), **asked) as fetch:
            for low, high in what.batches:
                assert fetch.take()[1] == -1
                met = [
                    [what.at[one] + row for row in range(*spans[one]) if watched(what, one, (0, 1, 1))[row]]
                    for one in range(low, high)
                ]
                due = [place for some in met for place in some]
                places, stamps = np.empty(len(due), np.int64), np.empty(8 * len(due), np.uint8)
                fetch.gather(places, stamps, stamp, 8)
                rows = np.frombuffer(rows_of(what, due), np.uint8).reshape(-1, what.width)
                assert places.tolist() == due
                assert stamps.tobytes() == rows[:, stamp : stamp + 8].tobytes()
                brief = any(len(some) >= many for some in met)
                seen.add(brief)
                for offset, size in ((0, what.width), (stamp, 7), (1 if stamp == 0 else 0, 8)):
                    if not 0 < offset + size <= what.width or (offset, size) == (stamp, 8) or not due:
                        continue
                    other = np.empty(size * len(due), np.uint8)
                    if brief:
                        with pytest.raises(ValueError, match=f"8 bytes at {stamp} of each row alone"):
                            fetch.gather(places, other, offset, size)
                    else:
                        fetch.gather(places, other, offset, size)
                        assert other.tobytes() == rows[:, offset : offset + size].tobytes()
    assert seen == ({True, False} if many < 100 else {False})


@pytest.mark.parametrize("helpers", HELPERS)
def test_a_part_of_all_rows(tmp_path: Path, helpers: int) -> None:
    """Those that are asked for of each block, one behind the other from the first batch to the last."""
    luck = random.Random(helpers)
    for _ in range(60):
        what = task(tmp_path / "file", luck)
        size = luck.choice([1, 2, 4, 8, what.width, luck.randint(1, what.width)])
        size = min(size, what.width)
        offset = luck.randint(0, what.width - size)
        spans, asked = spanned(what, luck)
        due = []
        for low, high in what.batches:
            rows = [what.at[one] + row for one in range(low, high) for row in range(*spans[one])]
            due.append(np.frombuffer(rows_of(what, rows), np.uint8).reshape(-1, what.width))
        parts = [rows[:, offset : offset + size].tobytes() for rows in due]
        memory = what._filled(sum(map(len, parts)))
        with fetching(what, memory, helpers, part=(offset, size), **asked) as fetch:
            for batch, part in enumerate(parts):
                assert fetch.take() == (0, -1)
                begin = sum(map(len, parts[:batch]))
                assert memory[begin : begin + len(part)].tobytes() == part
            assert fetch.kept == 0
        for room in (len(memory) - GUARD - size, len(memory) - GUARD - 1, len(memory) - GUARD + size):
            given = asked | {"part": (offset, size)}
            with (
                pytest.raises(ValueError, match=f"{size} bytes of"),
                fetching(what, what._filled(max(0, room)), helpers, **given),
            ):
                pass


@pytest.mark.parametrize("helpers", HELPERS)
def test_a_part_of_what_is_damaged(tmp_path: Path, helpers: int) -> None:
    """Is named, whether the rows are copied or read where they stay."""
    luck = random.Random(helpers)
    for size, offset in ((3, 0), (None, 0)):
        what = task(tmp_path / "file", luck)
        what.damaged = {len(what.rows) - 1}
        size = size or what.width
        what.width = max(what.width, size)
        what.path.write_bytes(luck.randbytes(what.offset + 500 * what.width))
        memory = what._filled(sum(what.rows) * size)
        with fetching(what, memory, helpers, part=(offset, size)) as fetch:
            found = [fetch.take()[1] for _ in what.batches]
        assert found == [-1] * (len(found) - 1) + [len(what.rows) - 1]


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_helpers_begin_before_the_first_is_taken(tmp_path: Path, slots: int) -> None:
    """With as many batches as there is room for, and with no other."""
    what = task(tmp_path / "file", random.Random(slots))
    memory = what.memory(slots)
    with fetching(what, memory, 2) as fetch:
        for number in range(slots):
            due = what.batch(number)
            until(lambda due=due, at=number * what.slot: in_memory(memory, what, at, len(due)) == due)
        assert [fetch.take()[1] for _ in what.batches] == [-1] * len(what.batches)


def test_nothing_is_kept_of_what_is_damaged(tmp_path: Path) -> None:
    what = Task(tmp_path / "file", 8, 0, [0, 10, 20], [2, 2, 3], [0, 1, 3], {1})
    what.path.write_bytes(random.Random(1).randbytes(800))
    with fetching(what, what.places(2), 1, changes=(0, 8, 0)) as fetch:
        assert fetch.take() == (0, -1) and fetch.kept == 2
        assert fetch.take()[1] == 1
    with fetching(what, what.memory(2), 1) as fetch:
        fetch.take()
        assert fetch.kept == 0
        fetch.gather(np.empty(0, np.int64), np.empty(0, np.uint8), 0, 8)


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_what_was_taken_stays_until_the_next(tmp_path: Path, slots: int) -> None:
    """Helpers have read all that there is room for; none of it is where somebody looks."""
    what = task(tmp_path / "file", random.Random(4), batches=9)
    what.rows = [rows or 1 for rows in what.rows]
    memory = what.memory(slots)
    with fetching(what, memory, 3) as fetch:
        for number in range(len(what.batches)):
            row, _ = fetch.take()
            for ahead in range(number, min(number + slots, len(what.batches))):
                due, at = what.batch(ahead), ahead % slots * what.slot
                until(lambda due=due, at=at: in_memory(memory, what, at, len(due)) == due)
            due = what.batch(number)
            memory[row * what.width : (row + what.slot) * what.width] = FILL ^ 1
            os.sched_yield()
            assert (memory[row * what.width : (row + what.slot) * what.width] == FILL ^ 1).all()


def test_no_more_is_read_ahead_than_batches_there_are(tmp_path: Path) -> None:
    """Room for hundreds of them."""
    what = task(tmp_path / "file", random.Random(5), batches=4)
    memory = what.memory(300)
    with fetching(what, memory, 3) as fetch:
        assert [fetch.take() for _ in range(4)] == [(number * what.slot, -1) for number in range(4)]
    assert (memory[4 * what.slot * what.width :] == FILL).all()


@pytest.mark.parametrize("helpers", HELPERS)
def test_damage_is_named_and_the_rest_is_read(tmp_path: Path, helpers: int) -> None:
    luck = random.Random(helpers)
    for damaged in ({0}, {2}, {1, 2, 5}, set(range(100)), {3, 13}):
        what = task(tmp_path / "file", luck)
        what.damaged = damaged
        memory = what.memory(2)
        with fetching(what, memory, helpers) as fetch:
            for number, (low, high) in enumerate(what.batches):
                row, wrong = fetch.take()
                assert wrong == min(damaged & set(range(low, high)), default=-1)
                due = what.batch(number)
                assert in_memory(memory, what, row, len(due)) == due


def test_a_checksum_is_that_of_its_row_and_its_file(tmp_path: Path) -> None:
    """The same bytes elsewhere are damage; so they are in another file."""
    what = Task(tmp_path / "file", 8, 0, [5, 5], [3, 3], [0, 2])
    what.path.write_bytes(bytes(400))
    memory = what.memory(1)
    with fetching(what, memory, 0) as fetch:
        assert fetch.take() == (0, -1)
    with fetching(what, memory, 0, at=np.array([5, 6])) as fetch:
        assert fetch.take() == (0, 1)
    with fetching(what, memory, 0, base=BASE + 1) as fetch:
        assert fetch.take() == (0, 0)


@pytest.mark.parametrize("helpers", HELPERS)
def test_a_file_that_ends_early(tmp_path: Path, helpers: int) -> None:
    """At a row, within one, or before all; damage before that in the batch is told first."""
    luck = random.Random(helpers)
    for _ in range(20):
        what = task(tmp_path / "file", luck)
        crcs, whole = np.array(what.crcs(), np.uint32), what.path.read_bytes()
        size = luck.choice((0, what.offset, luck.randrange(len(whole))))
        ends = [what.offset + (at + rows) * what.width for at, rows in zip(what.at, what.rows, strict=True)]
        short = {number for number, end in enumerate(ends) if end > size and what.rows[number]}
        os.truncate(what.path, size)
        with fetching(what, what.memory(2), helpers, crcs=crcs) as fetch:
            for low, high in what.batches:
                if short & set(range(low, high)):
                    with pytest.raises(EOFError):
                        fetch.take()
                else:
                    assert fetch.take()[1] == -1


@pytest.mark.parametrize("helpers", HELPERS)
def test_a_file_that_cannot_be_read(tmp_path: Path, helpers: int) -> None:
    what = task(tmp_path / "file", random.Random(1))
    folder = os.open(tmp_path, os.O_RDONLY)
    closed = os.open(tmp_path, os.O_RDONLY)
    os.close(closed)
    barred = os.open(what.path, os.O_WRONLY)
    for fd, error in (
        (folder, errno.EISDIR),
        (closed, errno.EBADF),
        (-1, errno.EBADF),
        (barred, errno.EBADF),
    ):
        with fetching(what, what.memory(2), helpers, fd=fd) as fetch:
            for low, high in what.batches:
                if any(what.rows[low:high]):
                    with pytest.raises(OSError, match=re.escape(os.strerror(error))) as caught:
                        fetch.take()
                    assert caught.value.errno == error
                else:
                    fetch.take()
    os.close(folder)
    os.close(barred)


NOTHING = {"firsts": [0, 0, 0], "stops": [0, 0, 0]}
STATES = {"states": (0, 8, 0), "firsts": [0, 0, 0], "stops": [2, 2, 3]}


def condition(kind: str = "field", offset: int = 0, size: int = 8) -> Condition:
    steps, fields = [(kind, 0, 0, 0, 0, 0, 0)], [(offset, "u", size, False, 0, 0)]
    return Condition(steps=steps, fields=fields, patterns=np.empty(0, np.uint64), data=b"")


WRONG: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "no blocks": ({"at": [], "rows": [], "crcs": [], "cuts": [0]}, ValueError),
    "no blocks in a batch": ({"at": [], "rows": [], "crcs": [], "cuts": [0, 0]}, ValueError),
    "fewer counts": ({"rows": [1, 2]}, ValueError),
    "more counts": ({"rows": [1, 2, 3, 4]}, ValueError),
    "fewer checksums": ({"crcs": [1, 2]}, ValueError),
    "no batches": ({"cuts": []}, ValueError),
    "one cut": ({"cuts": [0]}, ValueError),
    "later cuts": ({"cuts": [1, 3]}, ValueError),
    "cuts too few": ({"cuts": [0, 2]}, ValueError),
    "cuts too many": ({"cuts": [0, 4]}, ValueError),
    "cuts that fall": ({"cuts": [0, 2, 1, 3]}, ValueError),
    "cuts beyond": ({"cuts": [0, 900, 3]}, ValueError),
    "cuts below": ({"cuts": [0, -3, 3]}, ValueError),
    "a row below": ({"at": [0, -1, 3]}, ValueError),
    "rows below": ({"rows": [1, -1, 3]}, ValueError),
    "rows beyond": ({"rows": [1, 2**32, 3]}, ValueError),
    "no room": ({"memory": 7 * 8 - 1}, ValueError),
    "no memory": ({"memory": 0}, ValueError),
    "no room for places": ({"memory": 7 * 16 - 1, "changes": (0, 8, 0)}, ValueError),
    "memory at an odd place": ({"memory": np.empty(200, np.uint8)[1:], "changes": (0, 8, 0)}, ValueError),
    "no room for many": ({"rows": [2**32 - 1] * 3}, ValueError),
    "wide rows": ({"width": 2**62}, ValueError),
    "no width": ({"width": 0}, ValueError),
    "width below": ({"width": -1}, OverflowError),
    "helpers below": ({"helpers": -1}, OverflowError),
    "offset below": ({"offset": -1}, OverflowError),
    "nothing to watch": ({"changes": (0, 0, 0)}, ValueError),
    "watched bytes beyond": ({"changes": (1, 8, 0)}, ValueError),
    "watched bytes far away": ({"changes": (2**62, 8, 0)}, ValueError),
    "watched bytes before": ({"changes": (-1, 2, 0)}, ValueError),
    "more bytes than there are": ({"changes": (0, 9, 0)}, ValueError),
    "a mask of too many bytes": ({"changes": (0, 9, 1)}, ValueError),
    "a mask below": ({"changes": (0, 8, -1)}, OverflowError),
    "parts too few": ({"changes": (0, 8)}, ValueError),
    "rows to watch before": ({"changes": (0, 8, 0), "firsts": [0, -1, 0]}, ValueError),
    "rows to watch beyond": ({"changes": (0, 8, 0), "stops": [2, 3, 3]}, ValueError),
    "rows to watch that end first": (
        {"changes": (0, 8, 0), "firsts": [0, 2, 0], "stops": [2, 1, 3]},
        ValueError,
    ),
    "fewer rows to watch": ({"changes": (0, 8, 0), "firsts": [0, 0]}, ValueError),
    "fewer ends to watch": ({"changes": (0, 8, 0), "stops": [2, 2]}, ValueError),
    "no rows to watch": ({"changes": (0, 8, 0), "firsts": None}, ValueError),
    "two to look for": ({"changes": (0, 8, 0), "states": (0, 8, 0)}, ValueError),
    "two others": ({"states": (0, 8, 0), "condition": condition()}, ValueError),
    "no room for counts": ({"memory": 7 * 24 - 1, "states": (0, 8, 0)}, ValueError),
    "a state of no bytes": ({"states": (0, 0, 0)}, ValueError),
    "a state of many bytes": ({"states": (0, 9, 0), "width": 16}, ValueError),
    "a state beyond": ({"states": (1, 8, 0)}, ValueError),
    "states of many rows": (
        {"rows": [2, 1025, 3], "memory": np.empty(99_000, np.uint8)} | STATES,
        ValueError,
    ),
    "a condition beyond": ({"condition": condition(offset=1)}, ValueError),
    "a condition on texts": ({"condition": condition("text")}, ValueError),
    "a condition on truths": ({"condition": condition("given")}, ValueError),
    "a part of no bytes": ({"part": (0, 0)}, ValueError),
    "a part beyond": ({"part": (1, 8)}, ValueError),
    "a part before": ({"part": (-1, 8)}, ValueError),
    "a part that is none": ({"part": 8}, TypeError),
    "a part in memory of another size": ({"part": (0, 8), "memory": 7 * 8 - 1}, ValueError),
    "a part, and states": ({"part": (0, 8), "states": (0, 8, 0)}, ValueError),
    "a part of rows beyond": ({"part": (0, 8), "memory": 56, "stops": [2, 3, 3]}, ValueError),
    "a part of rows that are too wide": (
        {"part": (0, 8), "width": 2**33, "rows": [2**31, 1, 0], "memory": 0} | NOTHING,
        ValueError,
    ),
    "stamps without a condition": ({"changes": (0, 8, 0), "brief": (0, 3)}, ValueError),
    "stamps beyond": ({"condition": condition(), "brief": (1, 3)}, ValueError),
    "stamps before": ({"condition": condition(), "brief": (-1, 3)}, OverflowError),
    "stamps of narrow rows": ({"condition": condition(size=1), "brief": (0, 3), "width": 7}, ValueError),
    "no condition": ({"condition": "x"}, TypeError),
    "no integer": ({"fd": "3"}, TypeError),
    "no array": ({"at": None}, TypeError),
    "memory of others": ({"memory": bytes(400)}, BufferError),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(tmp_path: Path, name: str) -> None:
    what = Task(tmp_path / "file", 8, 0, [0, 10, 20], [2, 2, 3], [0, 3])
    what.path.write_bytes(bytes(800))
    given, error = dict(WRONG[name][0]), WRONG[name][1]
    memory = what.places(1)
    for member in ("at", "rows", "crcs", "cuts", "firsts", "stops"):
        if isinstance(given.get(member), list):
            given[member] = column(given[member], np.uint32 if member == "crcs" else np.int64)
    if isinstance(given.get("memory"), int):
        given["memory"] = memory[: given["memory"]]
    before = helping()
    with pytest.raises(error), fetching(what, memory, 3, **given):
        pass
    until(lambda: helping() <= before)
    assert (memory == FILL).all()


def test_rows_that_no_file_has(tmp_path: Path) -> None:
    """Places whose bytes no offset counts: an error of the system, or damage, and nothing else."""
    what = Task(tmp_path / "file", 40, 64, [0], [2], [0, 1])
    what.path.write_bytes(bytes(800))
    for at in (2**63 - 1, 2**62, 2**58, (2**63 - 64) // 40):
        with fetching(what, what.memory(1), 1, at=np.array([at])) as fetch, suppress(OSError, EOFError):
            assert fetch.take()[1] == 0


def test_more_helpers_than_are_of_use(tmp_path: Path) -> None:
    what = task(tmp_path / "file", random.Random(8))
    before = helping()
    with fetching(what, what.memory(1), 1000) as fetch:
        assert helping() <= before + 3
        assert [fetch.take()[1] for _ in what.batches] == [-1] * len(what.batches)
    until(lambda: helping() <= before)


def test_it_can_be_closed_at_any_time(tmp_path: Path) -> None:
    what = task(tmp_path / "file", random.Random(9))
    before = helping()
    for takes in (0, 1, 5, len(what.batches)):
        with fetching(what, what.memory(2), 3) as fetch:
            for _ in range(takes):
                fetch.take()
            fetch.close()
            until(lambda: helping() <= before)
            fetch.close()
            with pytest.raises(ValueError, match="no other batch"):
                fetch.take()


def test_it_closes_itself_with_the_last_that_knows_it(tmp_path: Path) -> None:
    what = task(tmp_path / "file", random.Random(9))
    before = helping()
    with open(what.path, "rb") as file:
        arrays = [np.array(one, np.int64) for one in (what.at, what.rows)]
        for takes in (0, 2):
            memory = what.memory(2)
            fetch = Fetch(
                *(file.fileno(), what.offset, what.width, BASE, *arrays, np.array(what.crcs(), np.uint32)),
                *(np.array(what.cuts, np.int64), memory, 3),
            )
            for _ in range(takes):
                fetch.take()
            del fetch
            until(lambda: helping() <= before)
            memory.resize(0, refcheck=True)  # and nobody holds on to it


def test_many_at_the_same_time(tmp_path: Path) -> None:
    """Each with helpers of its own, from threads of Python that take turns."""
    wrong: list[object] = []

    def one(number: int) -> None:
        luck = random.Random(number)
        try:
            for _ in range(6):
                what = task(tmp_path / f"file{number}", luck)
                memory = what.memory(1 + number % 3)
                with fetching(what, memory, number % 4) as fetch:
                    for place in range(len(what.batches)):
                        row, damaged = fetch.take()
                        due = what.batch(place)
                        assert damaged == -1 and in_memory(memory, what, row, len(due)) == due
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_interrupt_leaves_no_helper_behind(tmp_path: Path) -> None:
    """It comes at any moment of a fetch, and each time the helpers end."""
    what = task(tmp_path / "file", random.Random(3), batches=40)
    memory, arrays = what.memory(2), [np.array(one, np.int64) for one in (what.at, what.rows)]
    crcs, cuts = np.array(what.crcs(), np.uint32), np.array(what.cuts, np.int64)
    before = helping()

    def work(fd: int) -> None:
        while True:
            fetch = Fetch(fd, what.offset, what.width, BASE, *arrays, crcs, cuts, memory, 3)
            for _ in what.batches:
                fetch.take()

    luck = random.Random(3)
    with open(what.path, "rb") as file:
        for _ in range(30):
            try:
                signal.setitimer(signal.ITIMER_REAL, luck.uniform(1e-4, 3e-3))
                work(file.fileno())
            except KeyboardInterrupt:
                pass
            until(lambda: helping() <= before)


@pytest.mark.parametrize("takes", [0, 1, 5])
def test_a_forked_child_goes_on_alone(tmp_path: Path, takes: int) -> None:
    """Of helpers that are the parent's it awaits nothing: neither what they were reading, nor their end."""
    what = task(tmp_path / "file", random.Random(6))
    for luck in range(8):
        memory = what.memory(1 + luck % 3)
        with fetching(what, memory, 3) as fetch:

            def rest(start: int, fetch: Fetch = fetch, memory: np.ndarray = memory) -> bool:
                taken = ((fetch.take(), what.batch(number)) for number in range(start, len(what.batches)))
                return all(
                    wrong == -1 and in_memory(memory, what, row, len(due)) == due
                    for (row, wrong), due in taken
                )

            for _ in range(takes):
                fetch.take()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # it forks, and has threads
                child = os.fork()
            if not child:
                whole = False
                try:
                    signal.signal(signal.SIGALRM, signal.SIG_DFL)
                    signal.alarm(20)
                    whole = bool(luck % 2) or rest(takes)
                    fetch.close()
                finally:
                    os._exit(0 if whole else 1)
            assert rest(takes)
            assert os.waitpid(child, 0)[1] == 0


@pytest.fixture(autouse=True)
def alarms() -> Iterator[None]:
    """An alarm is an interrupt, too."""
    old: Callable | int | None = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


@pytest.mark.once
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_threads_that_fight_for_blocks(tmp_path: Path, sanitizer: str) -> None:
    done = run(build(tmp_path, "fetch_race.c", *SANITIZERS[sanitizer]), 400)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr[:4000]
    counts = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", done.stdout)}
    assert counts["blocks"] > 2_000 and counts["helped"] > 100 and counts["pieces"] > 30


LATER = pytest.mark.stress


@pytest.mark.once
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("&b->state, state, __ATOMIC_RELEASE);", "&b->state, state, __ATOMIC_RELAXED);"),
        ("fr_fetch_one(f, fr_load_acquire(&f->limit), looker)", "fr_fetch_one(f, f->count, looker)"),
        ("looker += ", "looker += 0 * "),
        ("pread(f->fd, to + done,", "pread(f->fd, to,"),
        pytest.param("fr_store_release(&f->limit, limit);", "f->limit = limit;", marks=LATER),
        pytest.param("fr_load_acquire(&f->limit)", "fr_load_relaxed(&f->limit)", marks=LATER),
        pytest.param("} else if (errno != EINTR) {", "} else {", marks=LATER),
        pytest.param("state = FR_FETCH_SHORT;", "break;", marks=LATER),
        pytest.param("stop, uint64_t limit)\n{", "stop, uint64_t limit)\n{\n    first = stop;", marks=LATER),
    ],
    ids=[
        "no order",
        "too far",
        "one looker",
        "pieces",
        "plain limit",
        "its order",
        "interrupts",
        "no end",
        "no waiting",
    ],
)
def test_the_test_of_the_threads_can_fail(tmp_path: Path, before: str, after: str) -> None:
    include = seeded(tmp_path, "fetch.h", before, after)
    program = build(tmp_path, "fetch_race.c", *SANITIZERS["thread"], include=include)
    assert any(run(program, 400).returncode for _ in range(5))
