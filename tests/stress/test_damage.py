"""Every file of a recording cut at every byte, every bit flipped, its sectors zeroed, swapped, doubled.

Whatever is damaged: it is told, no record is ever a wrong one, every number is read or named in a gap, and
no more is lost than what was hit. Here stands exactly what that is, file by file.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from recording import samples, writer
from recording.samples import PERIOD, START_NS

import fastrec as fr
from fastrec.recording import batches, channel, committed, layout, lines, texts
from fastrec.recording import verify as verifying
from fastrec.recording.committed import Since
from fastrec.recording.segment import Segment
from fastrec.records import Records
from fastrec.schema.gaps import GAP_DTYPE, Cause

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

SECTORS = (64, 512)
STATUS, HELD = "channels/status/", "channels/held/"
BESIDE = ("recording.json", "sessions.jsonl", "clocks.npy", "marks.jsonl", "stats.jsonl")
SEGMENTS = tuple(
    f"{channel}{kind}.{segment:06d}.{'jsonl' if kind == 'strings' else 'npy'}"
    for channel in (STATUS, HELD)
    for segment in (0, 1)
    for kind in ("records", "index", "gaps", "zones", "strings")
)
FILES = (*BESIDE, STATUS + "channel.json", HELD + "channel.json", *SEGMENTS)
EMPTY = {f"{HELD}strings.00000{segment}.jsonl" for segment in (0, 1)}

Gap = tuple[int, ...]
Range = tuple[int, int]
"""Of bytes, the second not included."""


@dataclass
class Block:
    """A row of an index and what it commits: records, gaps and texts."""

    numbers: range
    records: Range
    gaps: list[tuple[Range, Gap]]
    texts: list[tuple[Range, str]]


@dataclass
class Truth:
    """What a channel holds."""

    rows: dict[int, bytes] = field(default_factory=dict)
    urls: dict[int, str | None] = field(default_factory=dict)
    segments: list[list[Block]] = field(default_factory=list)
    headers: list[dict[str, int]] = field(default_factory=list)

    @property
    def gaps(self) -> list[Gap]:
        return [gap for blocks in self.segments for block in blocks for _, gap in block.gaps]

    @property
    def end(self) -> int:
        return self.segments[-1][-1].numbers.stop

    def begin(self, segment: writer.Segment) -> None:
        self.segments.append([])
        self.headers.append(
            {kind: segment.path(kind).stat().st_size for kind in ("records", "index", "gaps")}
        )

    def commit(
        self,
        segment: writer.Segment,
        first: int,
        rows: list[bytes],
        *,
        gaps: list[Gap] = (),
        texts: list[str] = (),
        urls: list[str | None] = (),
        **more: object,
    ) -> None:
        before = {kind: segment.path(kind).stat().st_size for kind in ("records", "gaps", "strings")}
        segment.commit(first, rows, gaps=gaps, texts=texts, **more)
        numbers = range(first, first + len(rows))
        lines = segment.path("strings").read_bytes()[before["strings"] :].splitlines(keepends=True)
        at = before["strings"]
        spans = []
        for line, text in zip(lines, texts, strict=True):
            spans.append(((at, at + len(line)), text))
            at += len(line)
        losses = [
            ((before["gaps"] + 48 * row, before["gaps"] + 48 * (row + 1)), gap)
            for row, gap in enumerate(gaps)
        ]
        span = (before["records"], segment.path("records").stat().st_size)
        self.segments[-1].append(Block(numbers, span, losses, spans))
        self.rows |= dict(zip(numbers, rows, strict=True))
        self.urls |= dict(zip(numbers, urls or [None] * len(rows), strict=True))


def gap(seq: int, count: int, cause: Cause, code: int = 0) -> Gap:
    return (seq, count, int(cause), code, START_NS + seq * PERIOD, START_NS + (seq + count - 1) * PERIOD)


def status(truth: Truth, channel: writer.Channel) -> None:
    """Texts with letters that one bit makes newlines; blocks of losses alone at the end and in between."""
    one = channel.segment()
    truth.begin(one)

    def rows(first: int, ids: list[int]) -> list[bytes]:
        return [samples.status(n, url=url) for n, url in enumerate(ids, first)]

    a, b, c, d = "http://a/*J", "\udcff€*", "J" * 9, "*"
    truth.commit(one, 0, rows(0, [1, 2, 0, 2, 1]), texts=[a, b], urls=[a, b, None, b, a])
    lost = gap(5, 3, Cause.OVERWRITTEN)
    truth.commit(one, 8, rows(8, [3, 1, 3, 0]), texts=[c], urls=[c, a, c, None], gaps=[lost])
    truth.commit(one, 12, [], gaps=[gap(12, 1, Cause.FAILED, -5), gap(12, 2, Cause.MISSED)])
    truth.commit(one, 12, rows(12, [2, 4, 4]), texts=[d], urls=[b, d, d])
    two = channel.segment()
    truth.begin(two)
    truth.commit(two, 15, rows(15, [1, 1, 0]), texts=[b], urls=[b, b, None])
    truth.commit(
        two, 18, rows(18, [2, 3, 3, 1]), texts=[a, d], urls=[a, d, d, b], gaps=[gap(18, 1, Cause.DROPPED)]
    )


def held(truth: Truth, channel: writer.Channel) -> None:
    one = channel.segment()
    truth.begin(one)
    truth.commit(one, 0, [samples.held(n, n % 4 + 1) for n in range(3)])
    truth.commit(one, 3, [samples.held(n) for n in range(3, 5)], gaps=[gap(3, 1, Cause.MISSED)])
    two = channel.segment()
    truth.begin(two)
    disk = gap(5, 2, Cause.DISK, 28)
    truth.commit(two, 7, [samples.held(n) for n in range(7, 9)], gaps=[disk])
    truth.commit(two, 9, [samples.held(n, 1) for n in range(9, 12)])


MARKS = ["valve *", "J", "end of *J*"]


def made(root: Path, *, close: bool) -> dict[str, Truth]:
    """A small recording of all kinds of files; not closed, it has an unfinished commit behind the others."""
    folder = writer.Folder(root, metadata={"*": "J"})
    folder.session()
    folder.session(1)
    for second in range(3):
        folder.clock(START_NS + second * 10**9, writer.CREATED_NS + second * 10**9)
    for place, text in enumerate(MARKS):
        folder.line("marks.jsonl", mono_ns=START_NS + place, text=text, kind="mark")
    for place in range(3):
        folder.line(
            "stats.jsonl", mono_ns=START_NS + place, channel=("status", "held")[place % 2], slots=place
        )
    truths = {"status": Truth(), "held": Truth()}
    channels = {"status": samples.status_channel(folder), "held": samples.held_channel(folder)}
    status(truths["status"], channels["status"])
    held(truths["held"], channels["held"])
    if close:
        folder.close(channels)
    else:
        unfinished = ("strings", "gaps", "records")
        channels["status"].segments[1].commit(
            22,
            [samples.status(22)],
            gaps=[gap(22, 1, Cause.MISSED)],
            texts=["uncommitted"],
            stages=unfinished,
        )
    return truths


# What damage may cost


@dataclass
class Cost:
    """What may be lost, and whether that there is damage can be told."""

    records: set[int] = field(default_factory=set)
    channels: tuple[str, ...] = ("status", "held")  # which are to be looked at
    texts: set[str] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)
    channel: str | None = None  # which one may be unreadable altogether
    opening: bool = False
    marks: set[int] = field(default_factory=set)
    retired: bool = False  # as which lost records may be told too
    told: str = "problems"  # or "notes", or "never"


def hits(spans: list[Range], one: Range) -> bool:
    return any(start < one[1] and one[0] < stop for start, stop in spans)


def lines_hit(spans: list[Range], lines: list[bytes]) -> set[int]:
    """A newline belongs to the lines on both sides of it."""
    found, at = set(), 0
    for number, line in enumerate(lines):
        if hits(spans, (at - 1 if at else 0, at + len(line))):
            found.add(number)
        at += len(line)
    return found


def cost_of(
    truths: dict[str, Truth], path: str, whole: bytes, spans: list[Range], changed: bytes, *, closed: bool
) -> Cost:
    """What the bytes of these ranges may cost, `changed` being what the file has now."""
    cost = Cost()
    name, kind = path.split("/")[-2] if "/" in path else "", path.split("/")[-1].split(".")[0]
    lines = whole.splitlines(keepends=True)
    if path == "recording.json":
        cost.opening = True
    elif kind == "channel":
        cost.channel = name
    elif kind == "marks":
        cost.marks = lines_hit(spans, lines)
    if path not in SEGMENTS:
        if not closed and path.endswith(".jsonl") and whole.startswith(changed):
            # A line that was begun, or a recorder killed before the next.
            cost.told = "never" if changed[-1:] in (b"", b"\n") else "notes"
        elif not closed and path.endswith(".jsonl") and changed[-1:] != b"\n":
            cost.told = "notes"
        elif not closed and path == "clocks.npy" and not changed:
            cost.told = "notes"  # without one, dates come from recording.json
        if not closed and kind == "clocks" and spans[0][0] >= 24 and spans[-1][1] <= 32:
            cost.told = "never"  # the count is raised at a sync
        return cost
    cost.channels = (name,)
    truth, segment = truths[name], int(path.split(".")[1])
    blocks = truth.segments[segment]
    if kind == "records" and len(changed) == len(whole):
        cost.records = {n for block in blocks if hits(spans, block.records) for n in block.numbers}
    elif kind in ("index", "records"):
        # From the first index row that is not whole, or commits records that are gone, nothing is committed.
        header = truth.headers[segment]["index"]
        rows = [(header + 64 * row, header + 64 * (row + 1)) for row in range(len(blocks))]
        places = rows if kind == "index" else [block.records for block in blocks]
        first = next((row for row, span in enumerate(places) if hits(spans, span)), len(blocks))
        cost.records = {n for block in blocks[first:] for n in block.numbers}
        cost.texts = {text for block in blocks[first:] for _, text in block.texts}
        cost.gaps = [one for block in blocks[first:] for _, one in block.gaps]
    elif kind == "gaps":
        cost.gaps = [one for block in blocks for span, one in block.gaps if hits(spans, span)]
    elif kind == "strings":
        texts = [text for block in blocks for _, text in block.texts]
        hit = lines_hit(spans, lines)
        cost.texts = {text for number, text in enumerate(texts) if number in hit}
    cost.told = _told(truth, segment, kind, whole, spans, closed=closed)
    return cost


def _told(truth: Truth, segment: int, kind: str, whole: bytes, spans: list[Range], *, closed: bool) -> str:
    only_count = kind != "strings" and spans[0][0] >= 24 and spans[-1][1] <= 32
    if closed:
        # A recorder that was killed leaves counts behind; which segments it left, nobody knows.
        return "notes" if only_count and segment == 0 else "problems"
    if only_count:
        return "never"
    if kind == "zones" and spans[-1][1] == len(whole):
        return "never"  # derived, and never made durable
    ends = {
        "records": truth.segments[segment][-1].records[1],
        "gaps": max((s[1] for b in truth.segments[segment] for s, _ in b.gaps), default=256),
        "strings": max((s[1] for b in truth.segments[segment] for s, _ in b.texts), default=0),
    }
    if kind in ends and spans[0][0] >= ends[kind]:
        return "never"  # behind what is committed
    return "problems"


# Judging


def readable(records: Records) -> dict[int, tuple[bytes, str | Exception | None]]:
    """Records by number: bytes, and the text or why there is none; damaged ones are left out."""
    found = {}
    texts = records.name == "status"
    try:
        rows = records.to_numpy()
        urls = records.decode("url")["url"].tolist() if texts else [None] * len(rows)
        return {int(n): (row.tobytes(), url) for n, row, url in zip(records.seq, rows, urls, strict=True)}
    except fr.CorruptionError:
        pass
    for place, number in enumerate(records.seq.tolist()):
        one = records[place : place + 1]
        try:
            row = one.to_numpy()[0].tobytes()
        except fr.CorruptionError:
            continue
        try:
            url = one.decode("url")["url"][0] if texts else None
        except fr.CorruptionError as error:
            url = error
        found[number] = (row, url)
    return found


def judge_channel(records: Records, truth: Truth, cost: Cost, *, closed: bool) -> None:
    found = readable(records)
    for number, (row, url) in found.items():
        assert row == truth.rows.get(number), f"record {number} is wrong"
        if isinstance(url, Exception):
            assert truth.urls[number] in cost.texts, f"the text of record {number} is lost"
        else:
            assert url == truth.urls[number], f"the text of record {number} is wrong"
    numbers = set(records.seq.tolist())
    lost = truth.rows.keys() - found.keys()
    assert lost <= cost.records, f"records {sorted(lost)} are lost"
    gaps = [tuple(one) for one in records.gaps.tolist()]
    own = [one for one in gaps if one[2] in (Cause.OVERWRITTEN, Cause.DISK, Cause.RETIRED)]
    named = [n for one in own for n in range(one[0], one[0] + one[1])]
    assert not numbers.intersection(named) and len(named) == len(set(named)), "a number twice"
    end = max([*numbers, *named], default=-1) + 1
    assert numbers.union(named) == set(range(end)), "a number neither read nor in a gap"
    gone = {n for one in cost.gaps for n in range(one[0], one[0] + one[1])} | cost.records
    assert end == truth.end or (not closed and gone.issuperset(range(end, truth.end)))
    known = truth.gaps
    for one in gaps:
        made_anew = one[2:4] == (Cause.DISK, 5) or (cost.retired and one[2] == Cause.RETIRED)
        assert one in known or (made_anew and gone.issuperset(range(one[0], one[0] + one[1]))), f"gap {one}"
    assert not [one for one in known if one not in gaps and one not in cost.gaps], "a gap is lost"


def judge(root: Path, truths: dict[str, Truth], cost: Cost, *, closed: bool) -> None:
    """Open the recording as a user does, and compare all of it with the truth."""
    try:
        run = fr.open(root)
    except fr.FastrecError:
        assert cost.opening
        return
    assert cost.told == "problems" or run.state == ("closed" if closed else "unclean")
    for name in cost.channels:
        truth = truths[name]
        try:
            records = run[name]
        except (fr.FastrecError, KeyError):
            assert cost.channel == name
            continue
        judge_channel(records, truth, cost, closed=run.state == "closed")
    if len(cost.channels) > 1:
        judge_beside(run, cost)
    report = run.verify()
    told = report.problems + (report.notes if cost.told == "notes" else [])
    assert told or cost.told == "never", "damage is not told"
    assert cost.told != "problems" or not report.ok


def judge_beside(run: fr.recording.Recording, cost: Cost) -> None:
    assert {mark.text for mark in run.marks} <= set(MARKS), "a mark is wrong"
    marks = [MARKS.index(mark.text) for mark in run.marks]
    assert marks == sorted(set(marks)) and set(range(3)) - set(marks) <= cost.marks
    assert all(mark.mono_ns == START_NS + place for place, mark in zip(marks, run.marks, strict=True))
    assert [one["session"] for one in run.sessions] in ([0, 1], [0], [1], [])
    assert {name: one["slots"] for name, one in run.stats.items()}.items() <= {
        *(("status", n) for n in (0, 2, 7)), *(("held", n) for n in (1, 7)),
    }  # fmt: skip
    when = run.clock.datetime(START_NS).timestamp() * 1e9
    assert abs(when - writer.CREATED_NS) < 10**6


# Damaging

Damage = tuple[str, list[Range], bytes]


def cuts(data: bytes) -> Iterator[Damage]:
    for size in range(len(data)):
        yield f"cut at byte {size}", [(size, len(data))], data[:size]


def flips(data: bytes) -> Iterator[Damage]:
    for bit in range(8 * len(data)):
        at = bit // 8
        changed = data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]
        yield f"bit {bit % 8} of byte {at}", [(at, at + 1)], changed


def sectors(data: bytes) -> Iterator[Damage]:
    for size in SECTORS:
        starts = range(0, len(data), size)
        spans = [(start, min(start + size, len(data))) for start in starts]
        for place, (start, stop) in enumerate(spans):
            which = f"sector {place} of {size} bytes"
            yield f"{which} zeroed", [(start, stop)], data[:start] + bytes(stop - start) + data[stop:]
            if stop - start < size:
                continue
            for other, (begin, end) in enumerate(spans[place + 1 :], place + 1):
                one, two = data[start : start + end - begin], data[begin:end]
                doubled = data[:begin] + one + data[end:]
                yield f"{which} in the place of {other}", [(begin, end)], doubled
                if end - begin == size:
                    swapped = data[:start] + two + data[stop:begin] + one + data[end:]
                    yield f"{which} swapped with {other}", [(start, stop), (begin, end)], swapped


def damages(data: bytes, share: int | None, seed: str) -> Iterator[Damage]:
    """All of them, or of each kind as many as `share`, at random places that are the same every time."""
    for kind in (cuts, flips, sectors):
        every = [one for one in kind(data) if one[2] != data]
        some = every if share is None else random.Random(seed).sample(every, min(share, len(every)))
        # What is written over with what was there already is not damaged.
        for what, spans, changed in some:
            places = [at for at in range(*spans[0]) if data[at : at + 1] != changed[at : at + 1]]
            places += [at for span in spans[1:] for at in range(*span) if data[at] != changed[at]]
            yield what, [(at, at + 1) for at in places], changed


def trials(folder: Path, truths: dict[str, Truth], path: str, *, closed: bool, share: int | None) -> None:
    file = folder / path
    data = file.read_bytes()
    for what, spans, changed in damages(data, share, path):
        file.write_bytes(changed)
        cost = cost_of(truths, path, data, spans, changed, closed=closed)
        try:
            judge(folder, truths, cost, closed=closed)
        except Exception as error:
            error.add_note(f"{path}, {'closed' if closed else 'unclean'}: {what}")
            raise
    file.write_bytes(data)
    assert fr.open(folder).verify().ok


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, tuple[Path, dict[str, Truth]]]:
    root = tmp_path_factory.mktemp("whole")
    return {close: (root / str(close), made(root / str(close), close=close)) for close in (True, False)}


@pytest.fixture(params=[True, False], ids=["closed", "unclean"])
def recording(
    request: pytest.FixtureRequest, recordings: dict, tmp_path: Path
) -> tuple[Path, dict[str, Truth], bool]:
    whole, truths = recordings[request.param]
    return Path(shutil.copytree(whole, tmp_path / "r")), truths, request.param


def test_the_whole_recordings(recording: tuple) -> None:
    folder, truths, closed = recording
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == {
        *FILES, *(["closed.json"] if closed else []),
    }  # fmt: skip
    judge(folder, truths, Cost(told="never"), closed=closed)
    report = fr.open(folder).verify()
    assert report.ok and len(report.notes) == 0


@pytest.mark.parametrize("path", [path for path in FILES if path not in EMPTY])
def test_damage(recording: tuple, path: str) -> None:
    folder, truths, closed = recording
    trials(folder, truths, path, closed=closed, share=4)


@pytest.mark.stress
@pytest.mark.parametrize("path", [path for path in FILES if path not in EMPTY])
def test_all_damage(recording: tuple, path: str) -> None:
    folder, truths, closed = recording
    trials(folder, truths, path, closed=closed, share=None)


@pytest.mark.parametrize("path", [*FILES, "closed.json"])
def test_a_file_that_is_gone(recording: tuple, path: str) -> None:
    folder, truths, closed = recording
    if not (folder / path).exists():
        return
    data = (folder / path).read_bytes()
    (folder / path).unlink()
    if path == "recording.json":
        with pytest.raises(fr.RecordingError, match=r"no recording\.json"):
            fr.open(folder)
        return
    if path == "closed.json":
        judge(folder, truths, Cost(told="never"), closed=False)  # as if it had been killed just before
        return
    cost = cost_of(truths, path, data, [(0, len(data) or 1)], b"", closed=closed)
    if not closed and (path in EMPTY or path.endswith("records.000000.npy")):
        cost.told = "never"  # retention removes the records of the oldest segment first
    cost.retired = path.endswith("records.000000.npy")
    judge(folder, truths, cost, closed=closed)


@pytest.mark.parametrize("share", [6, pytest.param(None, marks=pytest.mark.stress)])
def test_damage_of_closed_json(recordings: dict, tmp_path: Path, share: int | None) -> None:
    """Every record is there all the same, and its stats are those written last."""
    whole, truths = recordings[True]
    folder = Path(shutil.copytree(whole, tmp_path / "r"))
    data = (folder / "closed.json").read_bytes()
    for what, spans, changed in damages(data, share, "closed"):
        (folder / "closed.json").write_bytes(changed)
        # Its newline is behind what its checksum covers.
        closed = not hits(spans, (0, len(data) - 1)) and changed[-1:] in (b"}", b"\n")
        try:
            judge(folder, truths, Cost(told="problems"), closed=closed)
            assert fr.open(folder).problems or closed
        except Exception as error:
            error.add_note(f"closed.json: {what}")
            raise


# Zones


def zones_of(run: fr.recording.Recording, name: str) -> bytes:
    chunk = run._channel(name).read().chunks[0]
    zones = chunk.zones(0, len(chunk.zone_starts), range(len(chunk.segment.stock.schema.numeric)))
    return b"".join(zone.tobytes()[:-8] for zone in zones)


@pytest.mark.parametrize("share", [6, pytest.param(None, marks=pytest.mark.stress)])
@pytest.mark.parametrize("name", ["status", "held"])
def test_damaged_zones_cost_nothing(tmp_path: Path, name: str, share: int | None) -> None:
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    channel = {"status": samples.status_channel, "held": samples.held_channel}[name](folder)
    rows = [samples.held(n, n % 4 + 1) if name == "held" else samples.status(n) for n in range(2060)]
    segment = channel.segment()
    for first in (0, 1024, 2048):
        segment.commit(first, rows[first : first + 1024])
    folder.close({name: channel})
    path = segment.path("zones")
    data = path.read_bytes()
    run = fr.open(folder.root)
    records, zones = run[name], zones_of(run, name)
    polls, stamps = records.polls, records["mono_ns"].tobytes()
    for what, _, changed in damages(data, share, name):
        path.write_bytes(changed)
        try:
            run = fr.open(folder.root)
            assert run[name].polls == polls
            assert run[name]["mono_ns"].tobytes() == stamps
            assert zones_of(run, name) == zones
            report = run.verify()
            # All zeros is what a loss of power leaves of them.
            assert report.problems or any("zeros" in note for note in report.notes)
        except Exception as error:
            error.add_note(f"zones of {name}: {what}")
            raise


# Seeded bugs: each makes some damage above cost more than it may, or be untold, or a record wrong.


def _unchecked_rows(patch: pytest.MonkeyPatch) -> None:
    damaged = Segment._damaged
    patch.setattr(Segment, "_damaged", lambda *asked: (np.empty(0, np.int64), *damaged(*asked)[1:]))
    patch.setattr(batches.Reading, "take", lambda reading: reading._fetch.take()[0])


def _believed_rows(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(layout, "whole_rows", lambda rows, base, first=0: np.ones(len(rows), bool))


def _unread_headers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(layout, "check_header", lambda start, expected, where: int(start[24:32] or 0))


def _believed_json(patch: pytest.MonkeyPatch) -> None:
    def check(line: bytes, seed: int, where: str = "") -> dict:
        try:
            return json.loads(line)
        except ValueError as error:
            raise fr.CorruptionError(where) from error

    patch.setattr(layout, "check_json", check)


_NOTHING = Since()


def _believed_lengths(patch: pytest.MonkeyPatch) -> None:
    def claims(index: np.ndarray, *, rows: int, since: Since = _NOTHING) -> tuple[np.ndarray, str]:
        return since.rows + np.cumsum(index["rows"], dtype=np.int64) - index["rows"], ""

    patch.setattr(committed, "true_claims", claims)


def _no_holes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(channel, "holes", lambda *_, **__: np.empty(0, GAP_DTYPE))


def _no_search(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(layout, "line_number", lambda line, base, numbers: None)


def _any_number(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(layout, "line_number", lambda line, base, numbers: numbers[0])


def _unfinished_lines(patch: pytest.MonkeyPatch) -> None:
    whole = lines.read_lines
    for module in (verifying, texts):
        patch.setattr(
            module, "read_lines", lambda *parts, base, stop=None, **rest: whole(*parts, base=base, **rest)
        )


def _no_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verifying, "_check_ends", lambda *_: None)


def _no_headers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verifying, "_check_headers", lambda *_, **__: None)


def _no_sizes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verifying, "_check_own_files", lambda report, *_: {})


def flipped(at: int) -> Callable[[bytes], Damage]:
    return lambda data: (
        f"bit 0 of byte {at}",
        [(at, at + 1)],
        data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :],
    )


def cut(at: int) -> Callable[[bytes], Damage]:
    return lambda data: (f"cut at {at}", [(at % len(data), len(data))], data[:at])


def first_newline(data: bytes) -> Damage:
    return flipped(data.index(b"\n"))(data)


def last_newline(data: bytes) -> Damage:
    return flipped(len(data) - 1)(data)


def after_a_line(data: bytes) -> Damage:
    return cut(data.index(b"\n") + 1)(data)


BUGS: dict[str, tuple[Callable, str, Callable[[bytes], Damage], bool]] = {
    "blocks are not checked": (_unchecked_rows, STATUS + "records.000000.npy", flipped(202), True),
    "index rows are not checked": (_believed_rows, STATUS + "index.000000.npy", flipped(385), True),
    "gap rows are not checked": (_believed_rows, STATUS + "gaps.000000.npy", flipped(256), True),
    "clock rows are not checked": (_believed_rows, "clocks.npy", flipped(270), True),
    "headers are not compared": (_unread_headers, HELD + "records.000000.npy", flipped(60), True),
    "texts are not checked": (_believed_json, STATUS + "strings.000000.jsonl", flipped(16), True),
    "marks are not checked": (_believed_json, "marks.jsonl", flipped(30), True),
    "lengths are believed": (_believed_lengths, STATUS + "records.000001.npy", cut(300), True),
    "holes are no gaps": (_no_holes, HELD + "index.000000.npy", flipped(321), True),
    "lines have the numbers of their places": (_no_search, "marks.jsonl", first_newline, True),
    "any number fits a line": (_any_number, STATUS + "strings.000000.jsonl", first_newline, True),
    "unfinished lines are left out": (_unfinished_lines, "marks.jsonl", last_newline, True),
    "a newline is nothing": (_no_ends, "recording.json", cut(-1), False),
    "headers of no rows are nothing": (_no_headers, STATUS + "zones.000000.npy", flipped(60), True),
    "sizes are not compared": (_no_sizes, "marks.jsonl", after_a_line, True),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_seeded_bug_is_seen(
    recordings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seed, path, damage, closed = BUGS[name]
    whole, truths = recordings[closed]
    folder = Path(shutil.copytree(whole, tmp_path / "r"))
    data = (folder / path).read_bytes()
    _, spans, changed = damage(data)
    (folder / path).write_bytes(changed)
    cost = cost_of(truths, path, data, spans, changed, closed=closed)
    judge(folder, truths, cost, closed=closed)
    seed(monkeypatch)
    with pytest.raises((AssertionError, fr.FastrecError)):
        judge(folder, truths, cost, closed=closed)
