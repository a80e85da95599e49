"""What the fuzzer does with an input, and what must hold: ``python fuzz_targets.py TARGET FILE ...``.

Whatever is in a file: nothing but a `FastrecError`, little memory, no record that no checksum proves, and
where `verify` finds nothing wrong, every number is read or named in a gap. The command calls a target with
inputs that were kept, without the fuzzer.
"""

from __future__ import annotations

import re
import resource
import shutil
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from recording.writer import DESCR, crc, header, seed
from stress.packing import Folder, unpack

import fastrec as fr
from fastrec.recording import layout
from fastrec.recording.reader import Recording
from fastrec.records import Records
from fastrec.schema import Schema
from fastrec.schema.gaps import OWN_NUMBERS, Cause

ROOM = 160 << 20
TIMES = 24
"""Address space for one input: so much, and so many bytes for each of its own."""

INDEX_HEADER = len(header(DESCR["index"], 0))

MOST_SHOWN, MOST_TRIED = 2_000, 64

FORGED = re.compile(
    "which cannot be, or not before the next$|which are not those of its records$"
    "|which its records do not bear out$|does not sum up its records$"
    "|has no records, but a range of time$|: has no text |are held, or lost, twice$"
    r"|strings\.[0-9]+\.jsonl: line [0-9]+: is (sealed, but is no JSON|not text)"
    "|is nested deeper than [0-9]+ levels$|has no count of channel |to [0-9]{19} are in no block and no gap$"
)
"""What `verify` says of that which no writer writes, though its checksum is right: it is saved as it is.

The last two: numbers beyond all that can be counted.
"""


def few(records: Records) -> str:
    """A length of windows of which these records have few, whatever their stamps."""
    # A hold that is forged may end before it begins.
    last = max(records.latest, records.end or 0)
    return f"{max(1, (last - (records.start or 0)) // 500)}ns"


@contextmanager
def little_memory(size: int) -> Iterator[None]:
    """Within it there are no more than `ROOM` bytes, and `TIMES` the size of an input, than are in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + ROOM + TIMES * size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class Places:
    """The folders of this process."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="fuzz", dir="/dev/shm"))
        self.source = Folder(self.root / "run.fastrec")
        self.saved = self.root / "saved.fastrec"


_places: list[Places] = []


def places() -> Places:
    if not _places:
        _places.append(Places())
    return _places[0]


def clean_up() -> None:
    for one in _places:
        shutil.rmtree(one.root, ignore_errors=True)
    _places.clear()


# Oracles


def proven(root: Path, uuid: str, records: Records, *, anywhere: bool) -> set[bytes]:
    """The records that some checksum of the index proves; `anywhere`: whatever row their block begins at."""
    found: set[bytes] = set()
    folder, stored = root / "channels" / records.name, records.schema.storage(records.store)
    width = stored.itemsize
    for number in (0, 1):
        index, data = folder / f"index.00000{number}.npy", folder / f"records.00000{number}.npy"
        if not index.is_file() or not data.is_file():
            continue
        told, body = index.read_bytes()[INDEX_HEADER:], data.read_bytes()[layout.header_size(stored) :]
        start = partial(seed, bytes.fromhex(uuid), records.name, number)
        room, at = len(body) // width, 0
        for slot in range(-(-len(told) // 64)):
            row = told[64 * slot : 64 * slot + 64].ljust(64, b"\0")  # a torn one may still tell enough
            count, right = struct.unpack_from("<II", row, 48)
            whole = crc(start(slot), row[:-4]) == int.from_bytes(row[-4:], "little")
            damaged = not whole or count > layout.BLOCK_ROWS
            if not anywhere and damaged:
                break
            # The count may be what is damaged of it; in a long segment only that of a full block is tried.
            counts = range(1, room + 1) if damaged and room <= MOST_TRIED else {count, layout.BLOCK_ROWS}
            for first, rows in product(range(room) if anywhere else (at,), counts):
                block = body[first * width : (first + rows) * width]
                fits = rows <= layout.BLOCK_ROWS and len(block) == rows * width
                if fits and crc(start(first), block) == right:
                    found.update(block[one : one + width] for one in range(0, len(block), width))
            at += count
    return found


def check_records(records: Records, told: set[bytes]) -> bool:
    """That none is one that no checksum proves; whether all of them can be read."""
    try:
        rows = records.to_numpy()
    except fr.FastrecError:
        return False
    assert len(rows) == len(records) == len(records.seq)
    for row in rows.tobytes() and [rows[at : at + 1].tobytes() for at in range(len(rows))]:
        assert row in told, f"a record of {records.name} that no checksum proves: {row.hex()}"
    return True


def check_numbers(records: Records) -> None:
    """That every number up to the last is held or named in a gap, and none twice."""
    numbers = records.seq.astype(np.int64)
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1) if len(numbers) else []
    spans = [(int(run[0]), int(run[-1]) + 1) for run in runs]
    own = records.gaps[np.isin(records.gaps["cause"], [int(cause) for cause in OWN_NUMBERS])]
    spans += [(int(one["seq"]), int(one["seq"]) + int(one["count"])) for one in own]
    reached = 0
    for start, stop in sorted(spans):
        assert start == reached, f"{records.name}: number {min(start, reached)} is missing, or there twice"
        reached = stop


def look(run: Recording) -> None:
    """What a user does with a recording that somebody sent."""
    assert isinstance(repr(run), str)
    _ = run.state, run.sessions, run.stats, run.clock_events, run.ends, list(run)
    clock = run.clock
    for mark in run.marks:
        with suppress(fr.FastrecError):
            clock.datetime(mark.mono_ns)
    assert all(isinstance(problem, str) for problem in run.problems)
    with suppress(fr.FastrecError):
        clock.mono(clock.wall(0) + 1)


def look_at(records: Records) -> None:
    assert len(records) >= 0
    first, last = (records.schema.fields[place].name for place in (0, -1))
    for ask in (
        lambda: repr(records),
        lambda: (records.start, records.end),
        lambda: records.polls,
        lambda: records[:3].decode(),
        lambda: records[-3:].decode(),
        lambda: records.between("+1s", "+2s").seq,
        lambda: records.durations(first),
        lambda: records.intervals(last, 0),
        lambda: records.transitions(last),
        lambda: records.counts(first),
        lambda: records.at("+1ms").seq,
        lambda: records.describe(),
        lambda: records.downsample(7, "mono_ns"),
        lambda: records.downsample(7, last),
        lambda: records[:50].resample(few(records[:50])),
        lambda: records.rate(every=few(records)),
        lambda: records.asof(records[::3], direction="nearest")[last],
        lambda: records.expand()[:9].decode(),
        lambda: records.where(f"{first} != 0 or changed({last})").seq,
    ):
        with suppress(fr.FastrecError):
            ask()


# Targets


def reader(data: bytes) -> None:
    """Any file of a recording: opened, asked, verified."""
    opened(data, asked=True)


def index(data: bytes) -> None:
    """Index and gap rows: opened, read, verified. More is not asked, so that more inputs are tried."""
    opened(data, asked=False)


def opened(data: bytes, *, asked: bool) -> None:
    files = unpack(data)
    root = places().source.become(files)
    with little_memory(sum(map(len, files.values()))):
        try:
            run = fr.open(root)
        except fr.FastrecError:
            return
        if asked:
            look(run)
        whole = {}
        for name in run:
            try:
                records = run[name]
            except fr.FastrecError:
                continue
            whole[name] = check_records(records, proven(root, run.uuid, records, anywhere=False))
            assert all(Cause(cause).name for cause in records.gaps["cause"].tolist())
            if asked:
                look_at(records)
        report = run.verify()
        if report.ok:
            assert set(whole) == set(run) and all(whole.values()), "what cannot be read is not told"
            for name in run:
                check_numbers(run[name])


def recover(data: bytes) -> None:
    """Any file of a recording: what is saved of it is whole, and all that was whole is saved."""
    files = unpack(data)
    root, target = places().source.become(files), places().saved
    salvage = bool(len(data) & 1)
    shutil.rmtree(target, ignore_errors=True)
    with little_memory(sum(map(len, files.values()))):
        sound: dict[str, int] = {}
        with suppress(fr.FastrecError):
            run = fr.open(root)
            if run.state == "closed" and run.verify().ok:
                sound = {name: len(run[name]) for name in run}
        try:
            said = fr.recover(root, target, salvage=salvage)
        except fr.FastrecError:
            assert not target.exists() and not sound, "a sound recording is not recovered"
            return
        assert isinstance(said.as_dict(), dict)
        run = fr.open(target)
        problems = run.verify().problems
        wrong = [one for one in problems if not FORGED.search(one)]
        assert not wrong, wrong
        for name in run:
            records = run[name]
            assert len(records) >= sound.get(name, 0), f"records of {name} are lost"
            if not problems:
                check_numbers(records)
            if not salvage:
                told = proven(root, run.uuid, records, anywhere=True)
                assert check_records(records, told), "what was saved cannot be read"
        assert sound.keys() <= set(run), said


def schema(data: bytes) -> None:
    """The schema of a ``channel.json``, or what a user was given for one."""
    with little_memory(len(data)):
        try:
            one = Schema.from_json(data.decode("utf-8", "surrogateescape"))
        except fr.SchemaError as error:
            assert len(str(error)) < MOST_SHOWN
            return
        check_schema(one)


def c(data: bytes) -> None:
    """Declarations of C; the first byte says under which ABI, and how they are packed."""
    how = data[0] if data else 0
    abi = ("sysv-x64", "sysv-x86", "aarch64", "msvc-x64", "msvc-x86")[how % 5]
    pack = (None, None, 1, 2, 4, 8)[how // 5 % 6]
    text = data[1:].decode("utf-8", "surrogateescape")
    with little_memory(len(data)):
        try:
            one = Schema.from_c(text, abi=abi, pack=pack)
        except fr.SchemaError as error:
            assert len(str(error)) < MOST_SHOWN
            return
        check_schema(one)


def check_schema(one: Schema) -> None:
    """That it is the same one after it went through JSON, and that rows of it can be seen by field."""
    assert Schema.from_json(one.to_json()).digest == one.digest
    stores = []
    for store in ("every", "changes"):
        with suppress(fr.SchemaError):
            assert one.record(store).itemsize == one.storage(store).itemsize
            stores.append(store)
    end = 0
    for field in one.fields:
        assert field.offset >= 0 and field.offset + field.dtype.itemsize <= one.size
        end = max(end, field.offset)
    for store in stores[:1]:
        rows = np.zeros(1, one.record(store))
        for field in one.fields[:16]:
            assert field.of(rows).shape == (1, *field.shape)
    assert one.diff(one) == ()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "reader": reader,
    "index": index,
    "recover": recover,
    "schema": schema,
    "c": c,
}

FOCUS = {
    "reader": (
        "records",
        "zones",
        "strings",
        "recording",
        "sessions",
        "clocks",
        "marks",
        "stats",
        "closed",
        "channel",
    ),
    "index": ("index", "gaps"),
    "recover": (
        "records",
        "index",
        "gaps",
        "strings",
        "recording",
        "sessions",
        "clocks",
        "closed",
        "channel",
    ),
}
"""In which files of a recording an input of a target is changed."""


def main(name: str, *paths: str) -> None:
    warnings.simplefilter("error")
    try:
        for path in paths:
            try:
                TARGETS[name](Path(path).read_bytes())
            except BaseException as error:
                error.add_note(f"{name}: {path}")
                raise
    finally:
        clean_up()


if __name__ == "__main__":
    main(*sys.argv[1:])
