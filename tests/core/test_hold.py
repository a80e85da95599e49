"""Holds: any script of polls against a model that does it the long way, and against the polls themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import build, run, seeded, some_now

from fastrec.records import ArrayChunk, Records
from fastrec.schema import Schema
from fastrec.schema.gaps import GAP_DTYPE, Cause

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

NEW, SAME = 0, 2**31 - 1
PERIOD = 10_000
LOST = -1  # id of a text that cannot be read, as a signed number
TEXTS = (None, "one", "two", "one", LOST)  # what hold_account.c has at these places
DROPPED, MISSED, FAILED = int(Cause.DROPPED), int(Cause.MISSED), int(Cause.FAILED)


class Call(NamedTuple):
    """What the getter does once, and what happens around it."""

    took: int = 100
    code: int = NEW
    state: int = 0
    counter: int = 0
    text: int = 0
    noted: int = 0
    drain: int = 0
    pause: int = 0


class Script(NamedTuple):
    """A channel and its calls; the masks are of `state` and `counter`."""

    calls: Sequence[Call]
    period: int = PERIOD
    heartbeat: int = 50_000
    capacity: int = 0
    follow: int = 1
    of_state: int = 0xFFFFFFFF
    of_counter: int = 0

    def text(self) -> str:
        head = f"{self.period} {self.heartbeat} {self.capacity} {self.follow}"
        lines = [f"{head} {self.of_state:x} {self.of_counter:x}"]
        return "\n".join([*lines, *(" ".join(map(str, call)) for call in self.calls), ""])


class Poll(NamedTuple):
    """A call that was made."""

    call: Call
    missed: int  # slots just before it
    stamp: int


class Told(NamedTuple):
    """What ``hold_account.c`` printed."""

    polls: list[Poll]
    records: list[tuple[int, ...]]
    gaps: list[tuple[int, ...]]
    account: dict[str, int]


ACCOUNT = ("slots", "recorded", "held", "missed", "failed", "dropped", "texts_lost", "broken")


def play(program: Path, script: Script) -> Told:
    done = subprocess.run([program], input=script.text(), capture_output=True, text=True, check=True)
    told = Told([], [], [], {})
    calls = iter(script.calls)
    for line in done.stdout.splitlines():
        kind, *words = line.split()
        numbers = tuple(map(int, words))
        if kind == "call":
            told.polls.append(Poll(next(calls), *numbers))
        elif kind == "record":
            told.records.append(numbers)
        elif kind == "gap":
            told.gaps.append(numbers)
        else:
            told.account.update(zip(ACCOUNT, numbers, strict=True))
    assert len(told.polls) == len(script.calls)
    return told


@dataclass
class Model:
    """The rules of DESIGN, one poll at a time, keeping whole lists of what waits."""

    script: Script
    records: list[tuple[int, ...]] = field(default_factory=list)
    gaps: list[list[int]] = field(default_factory=list)  # seq, count, cause, code
    account: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ACCOUNT, 0))
    ids: dict[str, int] = field(default_factory=dict)
    drained: int = 0
    known: tuple | None = None  # the last payload that a record has, or would have
    state: tuple | None = None  # that is open
    waiting: list[int] = field(default_factory=list)  # stamps of equal polls
    told: int = 0

    def follow(self, place: int) -> int:
        text = TEXTS[place]
        self.account["texts_lost"] += text == LOST
        return 0 if text is None else LOST if text == LOST else self.ids.setdefault(text, len(self.ids) + 1)

    def put(self, stamps: Sequence[int]) -> bool:
        if self.script.capacity and len(self.records) - self.drained >= self.script.capacity:
            self.account["dropped"] += len(stamps)
            self.lose(len(stamps), DROPPED, 0)
            self.state = None
            return False
        distances = [after - before for before, after in pairwise(stamps)]
        self.records.append((stamps[0], stamps[-1], len(stamps), max(distances, default=0), *self.known))
        self.told = stamps[-1]
        return True

    def lose(self, count: int, cause: int, code: int) -> None:
        self.gaps.append([len(self.records), count, cause, code])

    def end(self) -> None:
        if self.waiting:
            waiting, self.waiting = self.waiting, []
            if not self.put(waiting):
                self.account["held"] -= len(waiting)

    @property
    def whole(self) -> bool:
        return self.script.of_state == self.script.of_counter == 0xFFFFFFFF

    def seen(self, state: int, counter: int, text: int, noted: int) -> tuple[int, ...]:
        """What is compared."""
        state, counter = state & self.script.of_state, counter & self.script.of_counter
        return (state, counter, text, noted) if self.whole else (state, counter, text)

    def keep(self, call: Call, text: int, noted: int) -> None:
        """A record begins with this poll."""
        self.known = (call.state, call.counter, text, noted if self.whole else self.follow(call.noted))

    def miss(self, count: int) -> None:
        if count:
            self.end()
            self.account["missed"] += count
            self.lose(count, MISSED, 0)

    def poll(self, poll: Poll) -> None:
        call = poll.call
        if call.drain:
            self.drained = len(self.records)
        code = 61 if call.code == SAME and self.known is None else call.code
        if code not in (NEW, SAME):
            self.end()
            self.account["failed"] += 1
            self.lose(1, FAILED, code)
            return
        text = self.follow(call.text) if code == NEW else 0
        noted = self.follow(call.noted) if code == NEW and self.whole else 0
        state = self.seen(call.state, call.counter, text, noted) if code == NEW else self.seen(*self.known)
        if state != self.state:
            self.end()
            if code == NEW:
                self.keep(call, text, noted)
            self.state = state
            self.account["recorded"] += self.put([poll.stamp])
            return
        if not self.waiting and code == NEW:
            self.keep(call, text, noted)
        self.waiting.append(poll.stamp)
        self.account["held"] += 1
        if poll.stamp - self.told >= self.script.heartbeat:
            self.end()

    def run(self, told: Told) -> None:
        paused = False
        for poll in told.polls:
            if poll.missed or paused:
                self.end()
            self.miss(poll.missed)
            self.poll(poll)
            paused = bool(poll.call.pause)
        self.end()
        self.miss(told.account["missed"] - self.account["missed"])
        self.account["slots"] = sum(self.account[name] for name in ACCOUNT[1:6])


def merged(gaps: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """count, seq, cause, code; pieces of one loss put together. What a pause missed has a code of its own."""
    found: list[list[int]] = []
    for seq, count, cause, code, *_ in gaps:
        key = [seq, cause, 0 if cause == MISSED else code]
        if found and found[-1][1:] == key:
            found[-1][0] += count
        else:
            found.append([count, *key])
    return [tuple(one) for one in found]


def check_model(told: Told, script: Script) -> None:
    model = Model(script)
    model.run(told)
    assert told.records == model.records
    assert merged(told.gaps) == merged(model.gaps)
    assert told.account == model.account


def check_expansion(told: Told) -> None:
    """Each poll that was recorded or held is in one record, within what the record says of its time."""
    known = False
    polls = []
    for poll in told.polls:
        known |= poll.call.code == NEW
        if known and poll.call.code in (NEW, SAME):
            polls.append(poll)
    place = 0
    for mono, until, count, most, state, *_ in told.records:
        for k in range(count):
            poll = polls[place + k]
            assert max(mono, until - (count - 1 - k) * most) <= poll.stamp <= min(until, mono + k * most)
            assert poll.call.code == SAME or poll.call.state == state
        assert (polls[place].stamp, polls[place + count - 1].stamp) == (mono, until)
        place += count
    assert place == len(polls)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("hold"), "hold_account.c")


def calls(*, drops: bool) -> st.SearchStrategy[list[Call]]:
    few = st.integers(0, 1)
    call = st.builds(
        Call,
        took=st.sampled_from([100, 100, 100, 4_000, 9_000, 25_000]),
        code=st.sampled_from([NEW, NEW, NEW, NEW, NEW, SAME, SAME, -5, 7]),
        state=few,
        counter=st.integers(0, 3),
        text=st.sampled_from([0, 1, 1, 1, 1, 2, 3, 3, 4]),
        noted=st.integers(0, 4),
        drain=few if drops else st.just(0),
        pause=st.sampled_from([0] * 12 + [5_000, 35_000]),
    )
    runs = st.tuples(call, st.integers(1, 9)).map(lambda one: [one[0]._replace(pause=0)] * one[1] + [one[0]])
    return st.lists(runs, min_size=1, max_size=12).map(lambda parts: [one for part in parts for one in part])


@st.composite
def scripts(draw: st.DrawFn, *, drops: bool) -> Script:
    return Script(
        draw(calls(drops=drops)),
        period=draw(st.sampled_from([0, PERIOD, PERIOD])),
        heartbeat=draw(st.sampled_from([1, 30_000, 1_000_000])),
        capacity=draw(st.integers(1, 4)) if drops else 0,
        of_state=draw(st.sampled_from([0xFFFFFFFF, 1])),
        of_counter=draw(st.sampled_from([0, 0, 2, 0xFFFFFFFF])),
    )


@settings(max_examples=120, deadline=None)
@given(scripts(drops=False))
def test_any_script(program: Path, script: Script) -> None:
    told = play(program, script)
    check_model(told, script)
    check_expansion(told)


@settings(max_examples=80, deadline=None)
@given(scripts(drops=True))
def test_any_script_in_a_ring_that_fills(program: Path, script: Script) -> None:
    told = play(program, script)
    check_model(told, script)
    assert sum(record[2] for record in told.records) == told.account["recorded"] + told.account["held"]


def as_records(rows: Sequence[tuple[int, ...]], lost: Sequence[tuple[int, ...]], store: str) -> Records:
    schema = Schema.from_dtype([("state", "<i4")])
    return Records(
        "x",
        schema,
        [ArrayChunk(np.array(rows, schema.record(store)))],
        gaps=np.array(lost, GAP_DTYPE),
        clock=None,
        period_ns=PERIOD,
        store=store,
    )


@settings(max_examples=80, deadline=None)
@given(scripts(drops=False))
def test_queries_answer_as_if_each_poll_had_its_record(program: Path, script: Script) -> None:
    script = script._replace(period=PERIOD, of_state=0xFFFFFFFF)
    told = play(program, script)
    every, state = [], None
    for poll in told.polls:
        if poll.call.code == NEW:
            state = poll.call.state
        if poll.call.code == NEW or (poll.call.code == SAME and state is not None):
            every.append((poll.stamp, state))
    before = [0, *np.cumsum([record[2] for record in told.records], dtype=int).tolist()]
    held = as_records([record[:5] for record in told.records], told.gaps, "changes")
    whole = as_records(every, [(before[gap[0]], *gap[1:]) for gap in told.gaps], "every")
    for name in ("time", "from", "to"):
        assert held.transitions("state")[name].tolist() == whole.transitions("state")[name].tolist()
    for max_gap in (None, 0, "25us"):
        found, wanted = held.intervals("state", max_gap), whole.intervals("state", max_gap)
        for name in ("state", "start", "end", "duration", "polls", "lost", "opened_by", "closed_by"):
            assert found[name].tolist() == wanted[name].tolist(), name
        found, wanted = held.durations("state", max_gap), whole.durations("state", max_gap)
        for name in ("state", "known", "duration", "intervals", "share"):
            assert found[name].tolist() == wanted[name].tolist(), name


BUSY = Script(
    [
        *[Call(state=1, counter=n, text=1, noted=n % 3) for n in range(8)],
        *[Call(state=1, text=3, noted=2)] * 2,
        *[Call(state=2, text=2, counter=1)] * 3,
        *[Call(code=-5, state=2, text=2)] * 2,
        *[Call(state=2, text=2)] * 2,
        *[Call(code=SAME)] * 2,
        *[Call(state=2, text=4)] * 3,
        Call(took=25_000, state=2, text=4, noted=4),
        *[Call(state=2, text=4)] * 2,
        Call(state=2, text=4, pause=35_000),
        *[Call(state=2, text=4)] * 3,
        Call(state=3, text=0),
        *[Call(state=3, text=0)] * 2,
    ],
    heartbeat=30_000,
)
SILENT = BUSY._replace(follow=0, calls=[call._replace(text=0, noted=0) for call in BUSY.calls])
FULL = BUSY._replace(
    capacity=2, calls=[call._replace(drain=int(n % 9 == 8)) for n, call in enumerate(BUSY.calls)]
)
CASES = (
    BUSY,
    BUSY._replace(of_counter=0xFFFFFFFF),
    BUSY._replace(heartbeat=10**9),
    SILENT,
    SILENT._replace(heartbeat=10**9),
    FULL,
    FULL._replace(heartbeat=1),
)


def test_what_a_channel_says_of_its_polls(program: Path) -> None:
    """Record by record: the opening alone, the equal polls after it, a heartbeat, and so on."""
    told = play(program, Script([Call(state=5)] * 7 + [Call(state=6, pause=35_000)] + [Call(state=6)] * 2))
    first, late, last = (told.polls[n].stamp for n in (0, 8, 9))
    assert [(mono - first, until - first, *rest[:3]) for mono, until, *rest in told.records] == [
        (0, 0, 1, 0, 5),
        (10_000, 50_000, 5, 10_000, 5),
        (60_000, 60_000, 1, 0, 5),
        (70_000, 70_000, 1, 0, 6),
        (late - first, last - first, 2, last - late, 6),
    ]
    assert [gap[:4] for gap in told.gaps] == [(4, 2, MISSED, 16)]
    assert told.account == dict(zip(ACCOUNT, (12, 2, 8, 2, 0, 0, 0, 0), strict=True))


@pytest.mark.parametrize(
    ("header", "before", "after"),
    some_now(
        [
            ("hold.h", "return h->open && fr_hold_equal(", "return fr_hold_equal("),
            ("hold.h", "return stamp < h->due && fr_hold", "return stamp < h->due || fr_hold"),
            ("hold.h", "    told->polls = 0;\n    h->due = 0;", "    told->polls = 0;"),
            ("hold.h", "h->due = h->told + h->heartbeat;", "h->due = INT64_MAX;"),
            ("hold.h", "        h->told = told->until_ns;", "        h->told = told->mono_ns;"),
            ("hold.h", "        h->told = stamp;", "        ;"),
            ("hold.h", "r->account.held -= told->polls;", ""),
            ("hold.h", "r->account.dropped += told->polls;", "r->account.dropped++;"),
            ("hold.h", "FR_GAP_DROPPED, 0, told->polls,", "FR_GAP_DROPPED, 0, 1,"),
            ("hold.h", "        h->open = 0;", ""),
            ("hold.h", "    told->polls = 0;\n", ""),
            ("hold.h", "h->open = fr_ring_room(r, 1) != 0;", "h->open = 1;"),
            ("hold.h", "    h->record->polls = 0;", ""),
            ("hold.h", "fr_ring_flush_gap(r); /*", "/*"),
            ("hold.h", "c->mono_ns = c->until_ns = stamp;", "c->until_ns = stamp;"),
            ("hold.h", "        c->max_gap_ns = 0;", ""),
            ("hold.h", "stamp - c->until_ns > c->max_gap_ns", "c->max_gap_ns == 0"),
            ("hold.h", "    c->until_ns = stamp;\n    c->polls++;", "    c->polls++;"),
            ("hold.h", "r->account.held++;", "r->account.held += 0;"),
            ("hold.h", "if (stamp >= h->due)", "if (stamp > h->due)"),
            ("hold.h", "return stamp < h->due", "return stamp <= h->due"),
            ("hold.h", "    if (h->open)\n        fr_hold_lengthen", "    if (1)\n        fr_hold_lengthen"),
            ("poll.h", "c->hold ? c->hold->texts : c->text_count", "0"),
            ("poll.h", "c->ring.account.texts_lost += fr_poll_follow(c, h->texts, c->text_count);", ""),
            ("poll.h", "r->account.texts_lost += texts_lost;", "r->account.texts_lost += 0 * texts_lost;"),
            ("poll.h", "    if (!same)\n        fr_hold_put(h, &c->ring);", ""),
            ("poll.h", "    if (!h->record->polls) {", "    if (!same) {"),
            ("poll.h", "        if (c->hold)\n            fr_hold_put(c->hold, r);", ""),
            (
                "poll.h",
                "    if (c->hold)\n        fr_hold_put(c->hold, &c->ring);\n    c->ring",
                "    c->ring",
            ),
            ("poll.h", "    if (c->hold)\n        fr_hold_put(c->hold, &c->ring);\n    fr_", "    fr_"),
            (
                "ring.h",
                "fr_ring_publish_one(r, &r->account.held)",
                "fr_ring_publish_one(r, &r->account.recorded)",
            ),
        ]
    ),
)
def test_a_seeded_bug_shows(tmp_path: Path, header: str, before: str, after: str) -> None:
    program = build(tmp_path, "hold_account.c", "-O0", include=seeded(tmp_path, header, before, after))
    for script in CASES:
        told = play(program, script)
        try:
            check_model(told, script)
            if not script.capacity:
                check_expansion(told)
        except (AssertionError, IndexError):
            return
    pytest.fail("nobody noticed")


def test_the_scripts_for_seeded_bugs_pass(program: Path) -> None:
    for script in CASES:
        check_model(play(program, script), script)


def test_each_bit_counts(tmp_path: Path) -> None:
    assert run(build(tmp_path, "hold_compare.c")).stdout == "0\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("!(pair[0] | pair[1])", "!pair[0]"),
        ("!(pair[0] | pair[1])", "!pair[1]"),
        ("pair[0] |= (ours ^ theirs) & bits;", "pair[0] |= (ours ^ theirs) >> 60 & bits;"),
        ("pair[0] |= (ours ^ theirs) & bits;", "pair[0] = (ours ^ theirs) & bits;"),
        ("words * 8 - 16 - words % 2 * 8", "0"),
        ("| fr_hold_differs(one, other, mask, at + 16)", ""),
        ("for (; fours; fours--, at += 32)", "for (; fours; fours--)"),
        ("memcpy(&bits, mask + at, 8);", "bits -= 0;"),
        ("pair &= *(const fr_hold_pair *)(mask + at);", ";"),
        ("pair &= *(const fr_hold_pair *)(mask + at);", "pair &= *(const fr_hold_pair *)mask;"),
    ],
)
def test_a_bit_that_does_not_count_is_seen(tmp_path: Path, before: str, after: str) -> None:
    program = build(
        tmp_path, "hold_compare.c", "-Wno-empty-body", include=seeded(tmp_path, "hold.h", before, after)
    )
    assert run(program).returncode == 1
