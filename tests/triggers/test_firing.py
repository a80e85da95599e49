"""When triggers fire, against a reference that looks at one record after another."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrec.triggers.firing import Event, Firing, Seen


def seen(rows: list[tuple[int, int, bool, bool]], lost: int = 0) -> Seen:
    """Of rows (number, stamp, meets, rearms)."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    numbers, stamps, meets, rearms = (
        np.array(one, kind) for one, kind in zip(columns, ("<u8", "<i8", bool, bool), strict=True)
    )
    return Seen(stamps, stamps, numbers, meets, rearms, lost)


def reference(rows, until, *, edge="rising", dwell=0, silence=0, holdoff=0, rearm="auto", at_once=False):
    """What fires, and how often it would have.

    `rows` as of `seen`, and before them how many were lost; it is armed at 0.
    """
    events: list[tuple[int, int]] = []
    number = -1

    def at(time: int) -> int:
        known = [-1, *[row[0] for row in rows if row[1] < time]]
        return known[-1]

    if silence:
        since = before = 0
        for _, stamp, meets, _, lost in rows:
            if lost:  # up to the record before them it is known
                if before - since > silence:
                    events.append((since + silence, at(since + silence)))
                since = stamp
            before = stamp
            if meets:
                if stamp - since > silence:
                    events.append((since + silence, at(since + silence)))
                since = stamp
        if until - since > silence:
            events.append((since + silence, at(since + silence)))
    elif edge == "each":
        events = [(stamp, number) for number, stamp, meets, _, _ in rows if meets]
    else:
        wanted = {"rising": [True], "falling": [False], "both": [True, False]}[edge]
        state, since, first, counts = None, 0, -1, False
        for number, stamp, meets, _, lost in [*rows, (None, until, None, False, 0)]:
            if meets == state and number is not None:
                if lost and dwell:
                    since = max(since, stamp) if not (counts and since + dwell <= before) else since
                before = stamp
                continue
            end = before if state is not None and lost else stamp
            if state is not None and counts and state in wanted and since + dwell <= end:
                events.append((since + dwell, at(since + dwell) if dwell else first))
            counts = bool(state is not None or dwell or at_once)
            state, since, first, before = meets, stamp, number, stamp
    fired, held, armed, last = [], 0, True, None
    for time, number in events:
        if not armed and rearm == "condition":
            armed = any(row[3] and last.number < row[0] <= number for row in rows)
        if not armed or (last is not None and time < last.mono_ns + holdoff):
            held += 1
            continue
        last, armed = Event(time, number), rearm == "auto"
        fired.append(last)
    return fired, held


@st.composite
def histories(draw):
    """Rows and where they are divided into looks."""
    rows, number, stamp, looks = [], 0, 0, []
    for _ in range(draw(st.integers(0, 14))):
        stamp += draw(st.sampled_from([0, 1, 1, 2, 5, 11]))
        lost = draw(st.sampled_from([0, 0, 0, 0, 0, 3]))
        number += 1 + lost
        rows.append((number, stamp, draw(st.booleans()), draw(st.booleans()), lost))
        looks.append(bool(lost) or draw(st.booleans()))
    pauses = draw(st.lists(st.booleans(), min_size=len(rows) + 1, max_size=len(rows) + 1))
    return rows, looks, pauses, stamp + draw(st.integers(0, 20))


@settings(max_examples=300)
@given(
    histories(),
    st.fixed_dictionaries(
        {
            "edge": st.sampled_from(["rising", "falling", "both", "each"]),
            "dwell": st.sampled_from([0, 0, 1, 4, 9]),
            "silence": st.sampled_from([0, 0, 0, 1, 6]),
            "holdoff": st.sampled_from([0, 0, 1, 3, 12]),
            "rearm": st.sampled_from(["auto", "auto", "once", "condition"]),
            "at_once": st.booleans(),
        }
    ),
)
def test_it_fires_as_one_record_after_another_says(history, options) -> None:
    rows, looks, pauses, until = history
    if options["edge"] == "each":
        options["dwell"] = 0
    firing = Firing(**options)
    firing.begin(0)
    found, batch, lost = [], [], 0
    for row, begins, pause in zip(rows, looks, pauses, strict=False):
        if begins and (batch or pause):
            found += firing.see(seen(batch, lost), batch[-1][1] if batch else 0)
            batch, lost = [], 0
            if pause and not row[4]:  # a look at which nothing was new, just before the next record
                found += firing.see(seen([]), row[1] - 1)
        if begins and row[4]:
            lost = row[4]
        batch.append(row[:4])
    found += firing.see(seen(batch, lost), until)
    expected, held = reference(rows, until, **options)
    assert found == expected
    assert (firing.fired, firing.held_off) == (len(expected), held)
