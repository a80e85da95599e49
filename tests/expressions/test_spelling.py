"""Trees as text, and that text as the same trees."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trees import bare, expression

from fastrec import LOST, ExpressionError
from fastrec.expressions import Constant, Duration, Name, Node, Number, Text, Unary, parse, spell
from fastrec.expressions.words import words

OURS = [
    "and",
    "or",
    "not",
    "in",
    "if",
    "nan",
    "NaN",
    "inf",
    "None",
    "lost",
    "has",
    "a.in",
    "a[0",
    "a[0].1",
    "1a",
]
CONTENTS = st.one_of(
    st.tuples(st.just(Text), st.text(st.characters(), max_size=20)),
    st.tuples(st.just(Name), st.text(st.characters(exclude_characters="`"), min_size=1, max_size=20)),
    st.tuples(st.just(Name), st.sampled_from(OURS)),
    st.tuples(st.just(Number), st.one_of(st.integers(0, 10**40 - 1), st.floats(0, allow_nan=False))),
    st.tuples(
        st.just(Duration),
        st.one_of(st.integers(0, 2**63 - 1), st.integers(0, 10**9).map(lambda s: s * 10**8)),
    ),
    st.tuples(st.just(Constant), st.sampled_from([True, False, None, LOST])),
)


@given(CONTENTS)
@example((Number, math.nan))
@example((Duration, 9_223_372_036_500_000_000))
@example((Text, "\\'\"\n\t\0\x7f\x85\u2028\udc80\U000e0001"))
@settings(derandomize=True, deadline=None, max_examples=400)
def test_each_name_and_value_is_read_back(content: tuple[type, object]) -> None:
    kind, value = content
    spelled = spell(kind(value, 0))
    assert bare(parse(spelled)) == bare(kind(value, 0))
    assert bare(parse(f"-{spelled}+{spelled}").left) == bare(Unary("-", kind(value, 0), 0))


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("hr<0", "hr < 0"),
        ("((hr & 0x80)) == (0x80)", "hr & 128 == 128"),
        ("0 < x < 5 and y", "0 < x and x < 5 and y"),
        ("(a and b) and (c and d)", "a and b and c and d"),
        ("(a or b) and not (c or (d))", "(a or b) and not (c or d)"),
        ("not (a == b)", "not a == b"),
        ("(not a) == b", "(not a) == b"),
        ("a == (b < c)", "a == (b < c)"),
        ("a - (b - c) - d", "a - (b - c) - d"),
        ("a - (b * c)", "a - b * c"),
        ("-(a + b) * -(-c)", "-(a + b) * --c"),
        ("-(abs(a))", "-abs(a)"),
        ("-(not a)", "-(not a)"),
        ("(a in (B,)) == true", "(a in (B)) == true"),
        ("(a | b) not in ((B or c), 'it\\'s',)", "a | b not in (B or c, 'it\\'s')"),
        ('has(f, A) or "\\x00\\u2028é\\ud800"', "has(f, A) or '\\x00\\u2028é\\ud800'"),
        ("True or None or False or lost", "true or null or false or lost"),
        ("1e-3 + .5 + NaN + inf", "0.001 + 0.5 + nan + inf"),
        ("1500ms + 90s + 1234567ns + 0h", "1.5s + 1min30s + 1234567ns + 0ns"),
        ("`hr` + `in` + `a b`", "hr + `in` + `a b`"),
    ],
)
def test_what_is_written(text: str, spelled: str) -> None:
    assert spell(parse(text)) == spelled
    assert bare(parse(spelled)) == bare(parse(text))


def pairs(text: str) -> list[tuple[int, int]]:
    """Places of parentheses that belong together."""
    found, opened = [], []
    for word in words(text):
        if (word.kind, word.text) == ("operator", "("):
            opened.append(word.at)
        elif (word.kind, word.text) == ("operator", ")"):
            found.append((opened.pop(), word.at))
    return found


def tree(text: str) -> Node | None:
    try:
        return parse(text)
    except ExpressionError:
        return None


def test_random_trees_are_read_back_and_no_parenthesis_is_too_many() -> None:
    source = random.Random(20260925)
    seen = 0
    for _ in range(1500):
        wanted = tree(expression(source, 4))
        if wanted is None:
            continue
        text = spell(wanted)
        assert bare(parse(text)) == bare(wanted), text
        for opening, closing in pairs(text):
            less = text[:opening] + " " + text[opening + 1 : closing] + " " + text[closing + 1 :]
            assert (other := tree(less)) is None or bare(other) != bare(wanted), (text, less)
            seen += 1
    assert seen > 1000


def test_what_is_no_node_is_not_spelled() -> None:
    with pytest.raises(TypeError, match="str is no node of an expression"):
        spell("hr < 0")
