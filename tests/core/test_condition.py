"""What the core takes for a condition, and that it stays within its memory whatever it is given."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from programs import build, run, seeded

from fastrec.core.condition import KINDS, LANE, OPERATIONS, RELATIONS, Condition

SANITIZERS = [
    "-O0",
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-g",
    "-lm",
]
LOADS = [(8, "i", 4, False, 0, 0), (0, "u", 8, False, 0, 0), (12, "f", 4, False, 0, 0)]
TRUE = ("truth", 0, 0, 0, 0, 1, 0)


def step(kind: str, how: int = 0, field: int = 0, place: int = 0, count: int = 0, **bits: int) -> tuple:
    return kind, how, field, place, count, bits.get("low", 0), bits.get("high", 0)


def condition(*steps: tuple, fields=LOADS, patterns=(1, 5, 9), data: bytes = b"abc") -> Condition:
    return Condition(steps=steps, fields=fields, patterns=np.array(patterns, np.uint64), data=data)


def meeting(what: Condition, *, starts=(0,), stops=(4,), rows=4, stride=16, room=4, **given) -> list[int]:
    memory = np.zeros(rows * stride, np.uint8)
    out = np.full(room, -7, np.int64)
    places = [np.array(one, np.int64) for one in (starts, stops)]
    count = what.meeting(memory, stride, *places, out, **given)
    assert (out[count:] >= -7).all()
    return out[:count].tolist()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "0 values are left"),
        ([TRUE, TRUE], "2 values are left"),
        ([step("and")], "step 0: and of 0"),
        ([TRUE, step("or")], "step 1: or of 1"),
        ([step("not")], "step 0: not of 0"),
        ([step("near")], "near of 0"),
        ([step("nan")], "nan of 0"),
        ([step("physical")], "physical of 0"),
        ([step("parts")], "parts of 0"),
        ([step("to real")], "to real of 0"),
        ([step("whole"), step("to real", how=1)], "to real of 1"),
        ([step("whole"), step("wholes")], "wholes of 1"),
        ([step("real"), step("reals")], "reals of 1"),
        ([step("real"), step("whole real")], "whole real of 1"),
        ([step("real"), step("real whole")], "real whole of 1"),
        ([step("on whole", how=OPERATIONS.index("~"))], "on whole of 0"),
        ([step("whole"), step("on whole", how=OPERATIONS.index(">>"))], "on whole of 1"),
        ([step("real"), step("on real")], "on real of 1"),
        ([step("field", field=3)], "no field 3"),
        ([step("text", field=3)], "no field 3"),
        ([step("among", place=1, count=3)], "patterns up to 4"),
        ([step("among", place=4)], "patterns up to 4"),
        ([step("bytes", place=2, count=2)], "bytes up to 4"),
        ([step("nothing")], "nothing"),
    ],
)
def test_wrong_steps_are_refused(steps: list, message: str) -> None:
    with pytest.raises(ValueError, match=message if steps != [step("nothing")] else "not in"):
        condition(*steps)


@pytest.mark.parametrize("kind", ["field", "masked", "among", "text", "whole", "real"])
def test_there_is_no_first_field_where_there_is_none(kind: str) -> None:
    with pytest.raises(ValueError, match="no field 0"):
        condition(step(kind), fields=[])
    assert meeting(condition(TRUE, fields=[])) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "load",
    [
        (0, "x", 4, False, 0, 0),
        (0, "i", 3, False, 0, 0),
        (0, "i", 16, False, 0, 0),
        (0, "i", 0, False, 0, 0),
        (0, "f", 1, False, 0, 0),
        (0, "f", 8, False, 0, 3),
        (0, "u", 8, False, 0, 65),
        (0, "u", 9, False, 0, 64),
        (0, "u", 8, False, 3, 62),
        (0, "u", 9, True, 3, 64),
        (0, "u", 10, False, 12, 64),
        (0, "u", 16, False, 64, 8),
        (0, "u", 0, False, 0, 1),
    ],
)
def test_fields_that_cannot_be_read_are_refused(load: tuple) -> None:
    with pytest.raises(ValueError, match="field 1: no number"):
        condition(TRUE, fields=[LOADS[0], load])


@pytest.mark.parametrize(
    ("steps", "given", "message"),
    [
        ([step("field")], {"stride": 8, "room": 9}, "16 bytes of a record of 8"),
        ([step("bytes", low=14, count=3)], {}, "17 bytes of a record of 16"),
        ([TRUE], {"stops": (5,), "room": 9}, "rows 0 to 5 of 4"),
        ([TRUE], {"starts": (-1,)}, "rows -1 to 4"),
        ([TRUE], {"starts": (3,), "stops": (2,)}, "rows 3 to 2"),
        ([TRUE], {"starts": (0, 2)}, "bytes of a record"),
        ([TRUE], {"room": 3}, "no room"),
        ([TRUE], {"starts": (0, 0), "stops": (3, 2)}, "no room"),
        ([TRUE], {"ids": [np.zeros(1, np.uint64)]}, "1 lists of ids"),
        ([step("text", place=1)], {"ids": [np.zeros(1, np.uint64)]}, "1 lists of ids"),
        ([step("given", place=1)], {"truths": [np.ones(4, np.uint8)]}, "1 of truths"),
        ([step("given")], {"truths": [np.ones(3, np.uint8)]}, "too few truths"),
        ([step("given")], {"truths": [np.ones(4, np.uint8)], "first": 1}, "truths begin at row 1"),
        ([step("given")], {"truths": [np.ones(2, np.uint8)], "first": 1, "starts": (1,)}, "too few"),
        (
            [step("given")],
            {"truths": [np.ones(1, np.uint8)], "starts": (0, 0), "stops": (4, 1), "room": 9},
            "too few",
        ),
    ],
)
def test_wrong_questions_are_refused(steps: list, given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        meeting(condition(*steps), **given)


def test_right_questions_are_answered() -> None:
    given = condition(step("given", place=1))
    lists = [np.zeros(3, np.uint8), np.array([1, 0, 255], np.uint8)]
    assert meeting(given, truths=lists, first=1, starts=(1,)) == [1, 3]
    assert meeting(given, truths=lists, first=1, starts=(1, 3), stops=(2, 4)) == [1, 3]
    texts = condition(step("text", field=1, place=1))
    assert meeting(texts, ids=[np.zeros(0, np.uint64), np.zeros(1, np.uint64)]) == [0, 1, 2, 3]
    assert meeting(texts, ids=[np.zeros(1, np.uint64), np.zeros(0, np.uint64)]) == []
    assert meeting(condition(step("bytes", low=13, count=3), data=bytes(3))) == [0, 1, 2, 3]
    assert meeting(condition(step("among", count=3), patterns=(0, 1, 2))) == [0, 1, 2, 3]
    assert meeting(condition(TRUE), rows=0, starts=(), stops=()) == []
    assert meeting(condition(TRUE), starts=(0, 4), stops=(0, 4)) == []
    with pytest.raises(OverflowError):
        condition(step("truth", how=256))


def test_an_array_of_one_lane_and_one_row() -> None:
    what = condition(step("field", how=RELATIONS.index("==")))
    for rows in (LANE - 1, LANE, LANE + 1, 2 * LANE + 1):
        assert meeting(what, rows=rows, stops=(rows,), room=rows) == list(range(rows))


def test_whatever_the_steps_nothing_breaks() -> None:
    """Types may be mixed up; then what is found means nothing, but it is found among the rows."""
    luck = random.Random(3)
    taken = 0
    for _ in range(8_000):
        steps = [
            step(
                luck.choice(KINDS),
                luck.choice((0, 1, 2, 4, 5, 9, 11, 13, 200)),
                luck.choice((0, 1, 2, 2, 3)),
                luck.choice((0, 0, 1, 3)),
                luck.choice((0, 1, 3)),
                low=luck.choice((0, 1, 12, 2**64 - 1, 2**63)),
                high=luck.choice((0, 1, 2**64 - 1, 2**63)),
            )
            for _ in range(luck.randint(1, 5))
        ]
        try:
            what = condition(*steps)
            lists = {"ids": [np.arange(3, dtype=np.uint64)], "truths": [np.full(4, 200, np.uint8)]}
            for kind, name in (("text", "ids"), ("given", "truths")):
                lists[name] *= 1 + max((place for one, _, _, place, *_ in steps if one == kind), default=-1)
            found = meeting(what, **lists)
        except (ValueError, OverflowError):
            continue
        taken += 1
        assert found == sorted(set(found) & set(range(4)))
    assert taken > 300


def test_clean_under_sanitizers(tmp_path: Path) -> None:
    done = run(build(tmp_path, "conditions.c", *SANITIZERS), 1_000)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    right, met = map(int, done.stdout.split())
    assert right > 200 and met > 10_000


@pytest.mark.stress
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("found += stack->truth[i] != 0;", "found += stack->truth[i];"),
        ("if (r >= end || r < -end)", "if (r > end || r < -end)"),
        ("case FR_RIGHT: return b < 0 ? 0 : a >> (b < 127 ? (int)b : 127);", "case FR_RIGHT: return a >> b;"),
        ("case FR_NEGATIVE: return a == ~FR_WHOLE_MAX ? FR_WHOLE_MAX : -a;", "case FR_NEGATIVE: return -a;"),
    ],
)
def test_the_test_of_the_memory_can_fail(tmp_path: Path, before: str, after: str) -> None:
    include = seeded(tmp_path, "condition.h", before, after)
    assert run(build(tmp_path, "conditions.c", *SANITIZERS, include=include), 3_000).returncode != 0
