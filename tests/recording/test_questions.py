"""Questions about states, asked of recordings with zones.

Every answer is that of all the records, one by one, and nothing is read that it does not need.
"""

from __future__ import annotations

import math
import operator
import random
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from common import (
    Row,
    naive_counts,
    naive_durations,
    naive_intervals,
    naive_transitions,
    rows_of,
    same,
)
from everything import everything, payloads, scalars
from moments import Known, check_expanded, check_matched, check_rates, check_resampled, expanded, plain
from recording import samples, steady
from recording.steady import NAMES, meant
from recording.writer import Folder, Segment

import fastrec as fr
from fastrec.core.condition import RELATIONS, Condition
from fastrec.errors import CorruptionError, SchemaError
from fastrec.recording import batches, fetching, layout, opening, reader
from fastrec.recording import chunk as chunk_module
from fastrec.records import Chunk, Records, chunks, locating, ranges, resampling, rows, runs, tallies
from fastrec.records.columns import Texts
from fastrec.records.copying import as_bytes
from fastrec.records.looking import FEW
from fastrec.records.parts import Part, each

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

SILENCES = {"20us": (20_000, False), "1s": (10**9, False), 0: (None, True), None: (None, True)}
"""By `max_gap`: where the oracle breaks; these channels have no rate."""

RECORDINGS = [(seed, store) for store in ("every", "changes") for seed in range(7)]


def check(name: str, records: Records, seen: list[Row], lost: np.ndarray, max_gaps: Sequence[object]) -> None:
    """All four questions against the oracles."""
    found = records.transitions(name)
    told = [
        (int(row["seq"]), int(row["time"]), meant(name, plain(row["from"])), meant(name, plain(row["to"])))
        for row in found
    ]
    agree(told, naive_transitions(seen))
    for max_gap in max_gaps:
        wanted = naive_intervals(seen, lost, *SILENCES[max_gap])
        agree(told_of(name, records.intervals(name, max_gap), wanted), [list(one.values()) for one in wanted])
        totals = naive_durations(wanted)
        agree(told_of(name, records.durations(name, max_gap), totals), [list(one.values()) for one in totals])
    wanted = naive_counts(seen)
    agree(told_of(name, records.counts(name), wanted), [list(one.values()) for one in wanted])


def told_of(name: str, found: np.ndarray, wanted: list[dict]) -> list[list]:
    """Of each row the columns that the oracle has, too, which leaves out the state of what is unknown."""
    assert len(found) == len(wanted)
    return [
        [meant(name, plain(row[key])) if key == "state" else plain(row[key]) for key in one]
        for row, one in zip(found, wanted, strict=True)
    ]


def agree(found: list, wanted: list) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert len(one) == len(other) and all(map(same, one, other)), (one, other)


def little(monkeypatch: pytest.MonkeyPatch, chance: random.Random) -> None:
    """Few zones and few rows at a time, so that what goes on from one time to the next is looked at."""
    monkeypatch.setattr(ranges, "ZONES", chance.choice([1, 2, 8_192]))
    block = chance.choice([700, 1_024, 1_500, 65_536])
    for module in (batches, chunks, rows):
        monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(fetching, "_MANY", chance.choice([1, 50, 16_384]))
    few = chance.choice([False, True])
    for module in (runs, tallies):
        monkeypatch.setattr(module, "seldom", lambda *_: few)


@pytest.mark.parametrize(("seed", "store"), RECORDINGS)
def test_every_answer_is_the_oracles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, store: str
) -> None:
    made = steady.made(tmp_path / "r", seed, store)
    records = reader.open(made.root)["one"]
    everywhere = range(len(made.numbers))
    chance = random.Random(f"asked {seed} {store}")
    little(monkeypatch, chance)
    for name in chance.sample(NAMES, 4):
        check(name, records, made.rows(name, everywhere), made.gaps, ["20us", chance.choice([0, "1s"])])


@pytest.mark.parametrize(("seed", "store"), RECORDINGS[::2])
def test_of_parts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, store: str) -> None:
    """Slices, windows and selections, and these of one another."""
    made = steady.made(tmp_path / "r", seed, store)
    records = reader.open(made.root)["one"]
    count = len(made.numbers)
    chance = random.Random(f"parts {seed} {store}")
    little(monkeypatch, chance)
    borders = [row for segment in made.channel.segments for row in range(0, len(segment.stored), steady.ZONE)]

    low, high = sorted(min(count, chance.choice(borders) + chance.choice([0, 1, 500])) for _ in "ab")
    parts = [(records[low:high], range(low, high))]
    begin, end = sorted(chance.choice(made.times) for _ in "ab")
    window = [row for row in range(count) if begin <= made.times[row] < end]
    parts.append((records.between(begin, end), window))
    step = chance.choice([2, 3, 1_000])
    parts.append((records[::step], range(0, count, step)))
    wanted = made.states["mode"][chance.randrange(count)]
    picked = [row for row in range(low, high) if made.states["mode"][row] == wanted]
    parts.append((records[low:high].where(mode=wanted), picked))
    for part, places in parts:
        assert part.seq.tolist() == [made.numbers[place] for place in places]
        for name in chance.sample(NAMES, 2):
            check(name, part, made.rows(name, places), made.gaps, [chance.choice(["20us", "1s"]), 0])


def known_of(made: steady.Made) -> Known:
    records = reader.open(made.root)["one"]
    return Known(records, {name: made.rows(name, range(len(made.numbers))) for name in NAMES}, meant)


@pytest.mark.parametrize(("seed", "store"), RECORDINGS[1::5])
def test_questions_about_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, store: str) -> None:
    """Windows that hold whole zones, and windows that do not; other channels at the times of this one."""
    chance = random.Random(f"time {seed} {store}")
    little(monkeypatch, chance)
    for module in (locating, resampling):
        monkeypatch.setattr(module, "BLOCK", chunks.BLOCK)
    known = known_of(steady.made(tmp_path / "r", seed, store))
    low, high = sorted(chance.randrange(len(known.records)) for _ in "ab")
    other = known_of(steady.made(tmp_path / "other", seed + 1, store))
    max_gap = chance.choice(["20us", 0, None])
    direction, tolerance = chance.choice(["backward", "forward", "nearest"]), chance.choice([None, 9])
    for some in (known, known.part(low, high)):
        asking = some.records[:: 1 + len(some.records) // 40]
        how = {"direction": direction, "max_gap": max_gap}
        limit = None if tolerance is None else f"{tolerance}ns"
        found = asking.asof(other.records, tolerance=limit, **how)
        names = chance.sample(NAMES, 3)
        few = other._replace(rows={name: other.rows[name] for name in names})
        check_matched(found, few, asking["mono_ns"].tolist(), direction, tolerance, max_gap)
        times = [row.time for row in some.any_rows]
        if any(one > two for one, two in pairwise(times)):
            with pytest.raises(SchemaError, match="run backwards"):
                some.records.resample("1s")
            continue
        length = max(times[-1] - times[0], 1)
        for parts in (1, 3, 11):
            check_resampled(some, names, -(-length // parts), None, max_gap)
        numbers = [name for name in ("big", "mode", "low", "level", "far") if some.numbers(name)]
        check_rates(some, chance.sample(numbers, 2), chance.choice([None, length // 5 + 1]), None, max_gap)
    check_expanded(expanded(known.part(low, min(high, low + 700))))


@pytest.mark.parametrize("became", ["absent", "flipped", "header", "short", "foreign", "link"])
@pytest.mark.parametrize("store", ["every", "changes"])
def test_whatever_became_of_the_zones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, became: str, store: str
) -> None:
    made = steady.made(tmp_path / "r", 5, store)
    if became == "foreign":
        monkeypatch.setattr(opening, "foreign", lambda descriptor: True)
    for segment in made.channel.segments:
        path = segment.path("zones")
        data = path.read_bytes()
        if became in ("absent", "link"):
            path.unlink()
        if became == "link":
            path.symlink_to(segment.path("index"))
        elif became == "flipped" and segment.zone_rows:
            place = layout.header_size(layout.zone_dtype(len(steady.SCHEMA.numeric))) + 9
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        elif became == "header":
            path.write_bytes(b"x" + data[1:])
        elif became == "short":
            path.write_bytes(data[:-20])
    chance = random.Random(f"{became} {store}")
    records = reader.open(made.root)["one"]
    for name in chance.sample(NAMES, 4):
        check(name, records, made.rows(name, range(len(made.numbers))), made.gaps, ["20us"])


def test_every_kind_of_field(tmp_path: Path) -> None:
    """A recorder's own zones, of structs with all there is; some zones are steady in all, some in a part."""
    few = payloads(40, seed=5)
    given = [few[0]] * 1_024 + random.Random(5).choices(few, k=1_024 - 24) + few[-24:]
    given += [few[-1]] * 512 + [few[7]] * 1_600
    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        channel = rec.add("one", schema=everything())
        for payload in given:
            channel.push(payload)
    records = reader.open(tmp_path / "run.fastrec")["one"]
    array = records.to_numpy()
    for name, read in scalars().items():
        field = records.schema.field(name)
        if field.pointer:
            continue
        known = {payload: read(payload) for payload in set(given)}
        states = [known[payload] for payload in given]
        if isinstance(states[0], bytes) and field.dtype.kind == "S":
            states = [state.rstrip(b"\0") for state in states]
        if field.labels is not None:
            states = [field.labels.name(state) for state in states]

        def spelled(value: object, field: object = field) -> object:
            return plain(value) if field.labels is None else field.labels.name(plain(value))

        found = records.transitions(name)
        seen = [Row(n, n, n, 1, state) for n, state in enumerate(states)]
        agree(
            [(int(row["seq"]), spelled(row["from"]), spelled(row["to"])) for row in found],
            [(row[0], *row[2:]) for row in naive_transitions(seen)],
        )
        assert found["time"].tolist() == array["mono_ns"][found["seq"]].tolist()
        agree(
            [[spelled(row["state"]), int(row["records"]), int(row["polls"])] for row in records.counts(name)],
            [list(one.values()) for one in naive_counts(seen)],
        )


def some_ranges(chunk: Chunk, chance: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """Of zones, and ranges that are none."""
    zones = chunk.zone_starts
    truths = np.array([chance.random() < 0.6 for _ in zones], bool)
    begins, ends = ranges.stretches(truths)
    starts, stops = zones.start + begins * steady.ZONE, zones.start + ends * steady.ZONE
    if chance.random() < 0.3:
        stops = stops - 1
    if chance.random() < 0.3:
        starts = starts + chance.randrange(steady.ZONE - 1)
    if chance.random() < 0.5 and len(starts):  # two in one zone, or two that touch
        cut = chance.randrange(len(starts))
        middle, apart = int(starts[cut] + stops[cut]) // 2, 1
        if chance.random() < 0.5:
            middle, apart = (
                int(starts[cut] // steady.ZONE + 1) * steady.ZONE + zones.start % steady.ZONE,
                0,
            )
        if starts[cut] < middle - apart and middle < stops[cut]:
            starts, stops = np.insert(starts, cut + 1, middle), np.insert(stops, cut, middle - apart)
    return starts, stops


@pytest.mark.parametrize(("seed", "store"), RECORDINGS[::2])
def test_few_rows_stand_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, store: str
) -> None:
    """Those at which bytes change, and the lengths between them."""
    made = steady.made(tmp_path / "r", seed, store)
    records = reader.open(made.root)["one"]
    chance = random.Random(f"few {seed} {store}")
    for span, _ in product(records.spans, range(12)):
        little(monkeypatch, chance)
        chunk, column = span.chunk, records._columns.column(chance.choice(NAMES), Texts())
        starts, stops = some_ranges(chunk, chance)
        inside = each(starts, stops).tolist()
        whole = chunk.rows(0, len(chunk))
        found = list(chunk.changed(starts, stops, column.part, few=True))
        assert all(one.stop <= other.start for one, other in pairwise(found))
        for one in found:
            assert {one.start} <= set(one.places.tolist()) <= set(inside) & set(range(one.start, one.stop))
            assert one.array.tobytes() == as_bytes(whole)[one.places].tobytes()
        told: list[tuple[int, object]] = []
        for few in chunk.changed(starts, stops, column.part, few=True):
            some = tallies._lengths(few, starts, stops, column.values(chunk, few.array))
            columns = some.places, column.states(some.values), some.records
            for place, state, count in zip(*(one.tolist() for one in columns), strict=True):
                told += [(place + row, state) for row in range(count)]
        assert [place for place, _ in told] == inside
        states = column.states(column.values(chunk, whole)).tolist()
        assert all(same(state, states[place]) for place, state in told)


@pytest.mark.parametrize("wide", [0, 1_024])
@pytest.mark.parametrize(("seed", "store"), RECORDINGS[::2])
def test_who_reads_finds_what_who_looks_at_all_rows_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, store: str, wide: int
) -> None:
    """The states of some ranges and how often each is there; and which rows meet a condition."""
    made = steady.made(tmp_path / "r", seed, store)
    records = reader.open(made.root)["one"]
    chance = random.Random(f"looked {seed} {store}")
    monkeypatch.setattr(chunk_module, "_WIDE", wide)
    width = records.spans[0].chunk.rows(0, 0).dtype.itemsize
    for span, turn in product(records.spans, range(12)):
        little(monkeypatch, chance)
        monkeypatch.setattr(fetching, "FEW", chance.choice([0, 3, 64]))
        starts, stops = some_ranges(span.chunk, chance)
        inside, whole = each(starts, stops), span.chunk.rows(0, len(span.chunk))
        size = chance.choice([1, 2, 4, 8])
        part = chance.randrange(width - size), size, chance.choice([0, 0, 1, 0x81])
        bits = as_bytes(whole).tolist()
        keys = [int.from_bytes(one[part[0] : part[0] + size], "little") & (part[2] or -1) for one in bits]
        wanted: dict[int, list[int]] = {}
        for place in inside.tolist():
            wanted.setdefault(keys[place], [place, 0])[1] += 1
        found: dict[int, list[int]] = {}
        last = -1
        for some in span.chunk.tallied(starts, stops, part):
            assert some.array.tobytes() == as_bytes(whole)[some.places].tobytes()
            for place, count in zip(some.places.tolist(), some.records.tolist(), strict=True):
                assert place > last
                last = place
                found.setdefault(keys[place], [place, 0])[1] += count
        assert found == wanted
        part, limit = (*part[:2], 0), chance.choice([0, 1, keys[turn % len(keys)], 2**64 - 1])
        keys = [int.from_bytes(one[part[0] : part[0] + size], "little") for one in bits]
        relation = chance.choice(list(RELATED))
        condition = Condition(
            steps=[("field", RELATIONS.index(relation), 0, 0, 0, limit, 0)],
            fields=[(part[0], "u", size, False, 0, 0)],
            patterns=np.empty(0, np.uint64),
            data=b"",
        )
        places: list[int] = []
        for met in span.chunk.meeting(starts, stops, condition):
            places += met.places.tolist()
            assert met.stamps.tolist() == whole["mono_ns"][met.places].tolist()
            assert met.array is None or met.array.tobytes() == as_bytes(whole)[met.places].tobytes()
            assert met.array is not None or len(met.places) > min(fetching.FEW, FEW)
        assert places == [place for place in inside.tolist() if RELATED[relation](keys[place], limit)]


RELATED = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, ">=": operator.ge}


@pytest.mark.parametrize("little_at_once", [False, True])
def test_silences_are_found_by_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, little_at_once: bool
) -> None:
    """At borders of blocks, within them, where stamps fall on either side, and where a distance wraps."""
    chance = random.Random(little_at_once)
    folder = Folder(tmp_path / "r")
    folder.session()
    channel = samples.status_channel(folder)
    if little_at_once:
        monkeypatch.setattr(batches, "BLOCK", 3)
    for number in range(60):
        segment, first, stamps = channel.segment(), 200 * number, [1_000]
        steps = [0, 1, 9, 10, 11, 30, -1, -40, 2**63 - 2_000, -(2**63)] if number % 3 else [0, 1, 9, 10, 11]
        weights = [30, 30, 3, 3, *([9, 1, 9] if number % 2 else [2, 1, 1]), 1, 0.3, 0.3][: len(steps)]
        while len(stamps) < 200:
            now = stamps[-1] + chance.choices(steps, weights)[0]
            stamps.append((now + 2**63) % 2**64 - 2**63)
        row = 0
        while row < 200:
            size = min(chance.choice([1, 1, 2, 3, 8, 20]), 200 - row)
            some = [samples.status(first + n, stamp=stamps[n]) for n in range(row, row + size)]
            segment.commit(first + row, some)
            row += size
    parts = reader.open(tmp_path / "r")._channel("status").read().chunks
    assert len(parts) == 60
    for one in parts:
        stamps = one.rows(0, 200)["mono_ns"].tolist()
        passed = [(b - a + 2**63) % 2**64 - 2**63 for a, b in pairwise(stamps)]
        for limit in (0, 10, 29, 2**63 - 1, 2**70):
            low, high = sorted(chance.sample(range(201), 2))
            expected = [row for row in range(low + 1, high) if passed[row - 1] > limit]
            assert runs.silences(one, low, high, limit, holds=False).tolist() == expected


def stamped(store: str, row: int, begin: int, end: int, *, polls: int = 1) -> bytes:
    """A record of the channels of `samples`, seen from one time to another."""
    if store == "every":
        return samples.status(row, stamp=begin)
    return struct.pack("<qqQqf4x", begin, end, polls, 0, 0)


@pytest.mark.parametrize("store", ["every", "changes"])
@pytest.mark.parametrize("seed", range(4))
def test_silences_are_found_by_zones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, seed: int
) -> None:
    """Of records further apart than the index tells, those zones are read that have a silence, or a fall."""
    chance = random.Random(f"{store} {seed}")
    limit = 10_000_000 + [0, 1, 999, 2**43][seed]
    jump = [0, 0, 500, 1_500][seed]  # where numbers are left out
    folder, holds = Folder(tmp_path / "r"), store == "changes"
    folder.session()
    channel = samples.held_channel(folder) if holds else samples.status_channel(folder)
    segment = channel.segment()
    count = 12 * 1_024 + chance.choice([0, 1, 700])
    wrong = chance.sample(range(1, 12), 3)
    odd = {1_024 * zone + chance.choice([0, 1, 500, 1_023]) for zone in wrong}
    beyond = [limit + 1, 2**42, -1, -(2**40), 2**63 - 2**44, *([(0, -5), (0, -(2**35))] if holds else [])]
    times, now = [], 1_000
    for row in range(count):
        step = chance.choice(beyond if row in odd else [0, 1, 5_000_000, 9_999_000, 9_999_001, 10_000_000])
        step, length = step if isinstance(step, tuple) else (step, chance.choice([0, 7, 10**8]) * holds)
        begin = (now + step + 2**63) % 2**64 - 2**63
        now = begin + length
        times.append((begin, now))
    borders = {jump, count}
    if holds:  # one lasts longer than the one behind it, in a short block of their own
        row = 1_024 * wrong[0] + 600
        begin = times[row][0]
        times[row : row + 2] = (begin, begin + 9_000_000), (begin + 1_000_000, begin + 2_000_000)
        by = begin + 2_000_001 + limit - times[row + 2][0]
        times[row + 2 :] = [(begin + by, end + by) for begin, end in times[row + 2 :]]
        borders |= {row, row + 2}
    rows = [stamped(store, row, *time) for row, time in enumerate(times)]
    row = 0
    while row < count:
        size = min(chance.choice([1, 100, 400, 1_024]), 1_024 - row % 1_024)
        size = min(size, min(border - row for border in borders if border > row))
        segment.commit(row + 9 * (row >= jump), rows[row : row + size])
        row += size
    *_, one = reader.open(tmp_path / "r")._channel(channel.name).read().chunks[-1].runs()
    read: list[tuple[int, int]] = []
    parts = type(one).parts

    def seen(chunk: Chunk, starts: np.ndarray, stops: np.ndarray) -> Iterator[Part]:
        read.extend(zip(starts.tolist(), stops.tolist(), strict=True))
        return parts(chunk, starts, stops)

    monkeypatch.setattr(type(one), "parts", seen)
    passed = [(b[0] - a[1] + 2**63) % 2**64 - 2**63 for a, b in pairwise(times)]
    for low, high in [(jump, count), *(sorted(chance.sample(range(jump, count + 1), 2)) for _ in range(5))]:
        read.clear()
        found = [
            row + jump for row in runs.silences(one, low - jump, high - jump, limit, holds=holds).tolist()
        ]
        assert found == [row for row in range(low + 1, high) if passed[row - 1] > limit]
        # Those beside them, too; and what is no whole zone.
        needed = {zone + by for zone in [*wrong, jump // 1_024, 12] for by in (-1, 0, 1)}
        assert {row // 1_024 for begin, end in read for row in range(begin + jump, end + jump)} <= needed


@pytest.mark.parametrize("store", ["every", "changes"])
@pytest.mark.parametrize("zones", ["there", "absent", "damaged", "forged"])
def test_for_silences_no_zone_is_made(tmp_path: Path, store: str, zones: str) -> None:
    """Nor believed that has fewer polls than records. So rows beside those that are asked may be damaged."""
    folder, holds = Folder(tmp_path / "r"), store == "changes"
    folder.session()
    channel = samples.held_channel(folder) if holds else samples.status_channel(folder)
    segment = channel.segment()
    times = [20_000_000 * row for row in range(3 * 1_024)]
    rows = [stamped(store, row, time, time, polls=int(zones != "forged")) for row, time in enumerate(times)]
    for row in range(0, len(rows), 512):
        segment.commit(row, rows[row : row + 512])
    path = segment.path("zones")
    if zones == "absent":
        path.unlink()
    elif zones == "damaged":
        two = 2 * (16 + 32 * len(segment.channel.numeric))
        path.write_bytes(path.read_bytes()[:-two] + bytes(two))
    records = segment.path("records")
    data = bytearray(records.read_bytes())
    data[(1_600 - 3 * 1_024) * len(rows[0])] ^= 1
    records.write_bytes(data)
    (one,) = reader.open(tmp_path / "r")._channel(channel.name).read().chunks
    assert runs.silences(one, 0, 1_500, 10_000_000, holds=holds).tolist() == list(range(1, 1_500))
    if zones == "there" or (zones == "forged" and not holds):
        assert runs.silences(one, 0, 3_000, 20_000_000, holds=holds).tolist() == []
    else:
        with pytest.raises(CorruptionError, match="records 1536 to 2047"):
            runs.silences(one, 0, 3_000, 20_000_000, holds=holds)


@pytest.mark.parametrize("block", [1, 2, 65_536])
def test_holds_are_silent_from_when_they_were_last_seen(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(chunks, "BLOCK", block)
    held = np.zeros(5, samples.HELD.record("changes"))
    held["mono_ns"], held["until_ns"] = [0, 100, 205, 300, 420], [90, 150, 289, 310, 420]
    one = chunks.ArrayChunk(held)
    assert runs.silences(one, 0, 5, 50, holds=True).tolist() == [2, 4]
    assert runs.silences(one, 1, 4, 55, holds=True).tolist() == []


# Nothing is read that the answer does not need


def three(root: Path, states: Sequence[Sequence[int]]) -> Segment:
    """A segment of so many zones, two blocks each.

    ``mode`` is what is given, by zone, over its rows; ``temp`` is NaN.
    """
    folder = Folder(root)
    folder.session()
    channel = samples.status_channel(folder)
    segment = channel.segment()
    for zone, given in enumerate(states):
        first = zone * 1_024
        made = [bytearray(samples.status(first + n, temp=math.nan)) for n in range(1_024)]
        for n, row in enumerate(made):
            struct.pack_into("<h", row, 12, given[n * len(given) // 1_024])
        segment.commit(first, [bytes(row) for row in made[:500]])
        segment.commit(first + 500, [bytes(row) for row in made[500:]])
    folder.close({"status": channel})
    return segment


def flip(segment: Segment, row: int) -> None:
    with segment.path("records").open("r+b") as file:
        file.seek(row * 32 - len(segment.stored) * 32, 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("middle", [[[5]], [[5], [5], [7], [5]]])
@pytest.mark.parametrize("busy", [[5, 6], [5, 6] * 400])
def test_a_steady_zone_is_not_read(tmp_path: Path, middle: list[list[int]], busy: list[int]) -> None:
    """Nor where the zones beside it are so full of changes that all their rows are looked at."""
    states = [busy, *middle, busy]
    segment = three(tmp_path / "r", states)
    whole = reader.open(tmp_path / "r")["status"]
    array = whole.to_numpy()
    assert len(array) == 1_024 * len(states)
    seen = rows_of(array, array["mode"], range(len(array)))
    for zone in range(1, len(states) - 1):
        flip(segment, zone * 1_024 + 700)
    records = reader.open(tmp_path / "r")["status"]
    agree([list(row) for row in records.transitions("mode").tolist()], naive_transitions(seen))
    wanted = naive_intervals(seen, whole.gaps, 10**9, False)
    totals = naive_durations(wanted)
    agree(told_of("mode", records.intervals("mode", "1s"), wanted), [list(one.values()) for one in wanted])
    # Not with the usual limit of 10 ms: in a block of half a second time may have passed unseen.
    agree(told_of("mode", records.durations("mode", "1s"), totals), [list(one.values()) for one in totals])
    counts = [list(one.values()) for one in naive_counts(seen)]
    agree([list(row) for row in records.counts("mode").tolist()], counts)
    assert len(records.transitions("temp")) == 0
    with pytest.raises(CorruptionError, match=r"records 1524 to 2047 \(rows 1524 to 2047\) do not match"):
        records.to_numpy()


def test_a_damaged_block_in_which_a_state_may_change_is_named(tmp_path: Path) -> None:
    segment = three(tmp_path / "r", [[5], [5, 6, 5], [6]])
    flip(segment, 1_024 + 100)
    records = reader.open(tmp_path / "r")["status"]
    for ask in (records.transitions, records.intervals, records.durations, records.counts):
        with pytest.raises(CorruptionError, match=r"records 1024 to 1523 \(rows 1024 to 1523\) do not match"):
            ask("mode")
    # Of a field that is steady there, too, its zone is asked; of one that is not summed up, the rows.
    with pytest.raises(CorruptionError, match="records 1024 to 1523"):
        records.transitions("url")
    # Rows picked out one by one prove the blocks of all of them, but no other.
    assert len(records[:1_024:2].to_numpy()) == 512
    assert len(records[1_000:1_700:650].to_numpy()) == 2
    for part in (records[::2], records[::100], records[1_000:1_100:30]):
        with pytest.raises(CorruptionError, match="records 1024 to 1523"):
            part.to_numpy()


def test_only_the_ends_and_what_changes_are_read(tmp_path: Path) -> None:
    """Of a long recording, whatever the system reads ahead: all other records are destroyed."""
    count, changed = 64 * 1_024, 40 * 1_024 + 500
    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        channel = rec.add("one", schema=np.dtype([("mode", "<i4"), ("more", "<u4", (5,))]), capacity=2**17)
        for n in range(count):
            channel.push(struct.pack("<i20x", n >= changed))
    path = tmp_path / "run.fastrec/channels/one/records.000000.npy"
    mapped = np.load(path, mmap_mode="r+")
    stamps = mapped["mono_ns"].copy()
    for first, stop in ((1_024, 40 * 1_024), (41 * 1_024, 63 * 1_024)):
        mapped[first:stop].view(np.uint8)[:] = 0xAA
    mapped.flush()
    records = reader.open(tmp_path / "run.fastrec")["one"]
    assert records.transitions("mode").tolist() == [(changed, stamps[changed], 0, 1)]
    spans = [int(stamps[changed] - stamps[0]), int(stamps[-1] - stamps[changed])]
    assert records.intervals("mode", "1h")["duration"].tolist() == spans
    assert records.durations("mode", "1h")["duration"].tolist() == spans
    assert records.counts("mode").tolist() == [
        (0, changed, changed),
        (1, count - changed, count - changed),
    ]
    with pytest.raises(CorruptionError, match="do not match their checksum"):
        records[2_000:2_010].to_numpy()


def test_windows_of_whole_zones_are_not_read(tmp_path: Path) -> None:
    """All records are destroyed but those of the zones in which a window ends."""
    count, zone = 64 * 1_024, 1_024
    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        channel = rec.add("one", schema=np.dtype([("n", "<i4"), ("x", "<f8")]), capacity=2**17)
        values = np.zeros(count, [("n", "<i4"), ("x", "<f8")])
        values["n"], values["x"] = np.arange(count) - 9, np.arange(count) / 4
        channel.extend(values, np.arange(count) * 1_000 + 10**12)
    records = reader.open(tmp_path / "run.fastrec")["one"]
    wanted = records.resample("20500us", {"n": ["min", "max", "mean", "last"], "x": "mean"}, max_gap="1h")
    path = tmp_path / "run.fastrec/channels/one/records.000000.npy"
    mapped = np.load(path, mmap_mode="r+")
    for first, stop in ((1, 20), (21, 40), (41, 60), (61, 63)):
        mapped[first * zone : stop * zone].view(np.uint8)[:] = 0xAA
    mapped.flush()
    records = reader.open(tmp_path / "run.fastrec")["one"]
    hows = {"n": ["min", "max", "mean"], "x": "mean"}
    found = records.resample("20500us", hows, max_gap="1h")
    assert found["polls"].tolist() == [20_500, 20_500, 20_500, 4_036]
    for name in ("min", "max", "mean"):
        assert found["n"][name].tolist() == wanted["n"][name].tolist()
    np.testing.assert_allclose(found["x"]["mean"], wanted["x"]["mean"], rtol=1e-15)
    with pytest.raises(CorruptionError):
        records.resample("10ms", hows)


def test_only_blocks_in_which_a_time_lies_are_read(tmp_path: Path) -> None:
    count = 64 * 1_024
    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        for name in "ab":
            channel = rec.add(name, schema=np.dtype([("n", "<i4")]), capacity=2**17)
            channel.extend(np.arange(count).astype([("n", "<i4")]), np.arange(count) * 1_000 + 10**12)
    few = reader.open(tmp_path / "run.fastrec")["a"][5::20_000]
    path = tmp_path / "run.fastrec/channels/b/records.000000.npy"
    mapped = np.load(path, mmap_mode="r+")
    for zone in range(1, 63):
        if zone not in (20_005 // 1_024, 40_005 // 1_024, 60_005 // 1_024):
            mapped[zone * 1_024 : (zone + 1) * 1_024].view(np.uint8)[:] = 0xAA
    mapped.flush()
    other = reader.open(tmp_path / "run.fastrec")["b"]
    for direction in ("backward", "forward", "nearest"):
        found = few.asof(other, direction=direction, max_gap="1h")
        assert found["n"].tolist() == [5, 20_005, 40_005, 60_005]
    with pytest.raises(CorruptionError):
        few.asof(other[30_000:50_000:1_000], max_gap="1h")
