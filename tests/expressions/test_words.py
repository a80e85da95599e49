"""Numbers, durations, texts and names, one by one."""

from __future__ import annotations

import math

import pytest
from trees import bare

from fastrec import ExpressionError
from fastrec.expressions import Duration, Name, Number, Text, parse
from fastrec.expressions.words import is_plain, words

MS = 1_000_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("00", 0), ("12", 12), ("1_000", 1000), ("0x1F", 31), ("0XfF", 255), ("0x_1_2", 18),
        ("0b101", 5), ("0B1", 1), ("0o17", 15), ("9" * 40, 10**40 - 1), ("0b" + "1" * 130, 2**130 - 1),
        ("0x0000000000000000000000000000000000000000001", 1),
        ("1.5", 1.5), ("1.", 1.0), (".5", 0.5), ("1e-3", 1e-3), ("1E+3", 1e3), ("1_0.2_5e1_0", 10.25e10),
        ("0.", 0.0), ("00.5", 0.5), ("1e-400", 0.0), ("1.7976931348623157e308", math.nextafter(math.inf, 0)),
        ("inf", math.inf), ("nan", math.nan), ("NaN", math.nan),
        ("0." + "1" * 60_000, float("0." + "1" * 30)),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_numbers(text: str, value: float) -> None:
    assert bare(parse(text)) == bare(Number(value, 0))
    if value == value and not math.isinf(value):
        assert value == eval(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("50ms", 50 * MS), ("1.5s", 1500 * MS), (".5s", 500 * MS), ("2.s", 2000 * MS), ("2h", 7_200_000 * MS),
        ("3us", 3000), ("3\xb5s", 3000), ("3\u03bcs", 3000), ("0ns", 0), ("1h30min", 5_400_000 * MS),
        ("2min3.5s", 123_500 * MS), ("9223372036854775807ns", 2**63 - 1),
    ],
)  # fmt: skip
def test_durations(text: str, ns: int) -> None:
    assert bare(parse(text)) == bare(Duration(ns, 0))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("''", ""), ('""', ""), ("'FAULT'", "FAULT"), ("'a\"b'", 'a"b'), ('"a\'b"', "a'b"),
        (r"'\\ \' \" \n \t \x41\x00 \u00e9\udc80'", "\\ ' \" \n \t A\0 é\udc80"),
        ("'\n\0\ud800 `é'", "\n\0\ud800 `é"), (r"'\\n'", r"\n"), ("'" + "a" * 60_000 + "'", "a" * 60_000),
    ],
    ids=lambda value: ascii(value)[:40],
)  # fmt: skip
def test_texts(text: str, value: str) -> None:
    assert bare(parse(text)) == bare(Text(value, 0))


@pytest.mark.parametrize(
    "name", ["hr", "_", "a1", "ru_utime.tv_sec", "c[3]", "m[2].pos", "g[0][1].a.b[2]", "größe"]
)
def test_names(name: str) -> None:
    assert is_plain(name) and parse(name) == parse(f"{name} ") == Name(name, 0)
    assert bare(parse(f"`{name}`")) == bare(Name(name, 0))


@pytest.mark.parametrize(
    "name", ["", "1a", "a b", "a.", ".a", "a[", "a[x]", "a[-1]", "a[1", "[1]", "a..b", "a|b"]
)
def test_other_names_take_back_quotes(name: str) -> None:
    assert not is_plain(name)
    if name:
        assert bare(parse(f"`{name}`")) == bare(Name(name, 0))


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("9" * 41, 1, f"'{'9' * 41}' has more than 40 digits; no field holds so many"),
        ("0x" + "f" * 40, 1, f"'0x{'f' * 40}' has more than 40 digits"),
        ("1" * 60_000, 1, f"'{'1' * 76}... has more than 40 digits"),
        ("a<1e400", 3, "'1e400' is beyond the range of a double; write inf"),
        ("10u", 1, "'10u' is no number here; write 10, without C's suffix"),
        ("0x80UL", 1, "'0x80UL' is no number here; write 0x80, without C's suffix"),
        ("1ll", 1, "'1ll' is no number here; write 1, without C's suffix"),
        ("1.5f", 1, "'1.5f' is no number here; write 1.5, without C's suffix"),
        ("017", 1, "'017' would be octal in C; write 17 or 0o17"),
        ("09", 1, "'09' would be octal in C; write 9"),
        ("1__0", 1, "'1__0' is no number; write 12, 0x1F, 0b101, 1_000, 1.5 or 1e-3"),
        ("0x", 1, "'0x' is no number"),
        ("0b12", 1, "'0b12' is no number"),
        ("1.2.3", 1, "'1.2.3' is no number"),
        ("a + 50msec", 5, "'50msec' is not a duration; write \"1.5s\", \"20ms\""),
        ("3d_pos", 1, "'3d_pos' is not a duration"),
        ("300000000h", 1, "'300000000h' is longer than 292 years"),
        ("a == 'b", 6, "the text that begins here has no end; close it with '"),
        ("a == \"b'", 6, 'the text that begins here has no end; close it with "'),
        ("'b\\'", 1, "the text that begins here has no end; close it with '"),
        ("a + `b", 5, "back quotes hold a name of at least one character: `name`"),
        ("``", 1, "back quotes hold a name"),
        ("x == 'a\\d'", 8, r"there is no escape '\\d'; there is \\ \' \" \n \t, \x and two or \u and"),
        ("'\\\\\\x4'", 4, r"there is no escape '\\x'"),
        ("'\\\n'", 2, r"there is no escape '\\\n'"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_what_is_none_of_them(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.at == column - 1
    assert str(caught.value).partition(f" at column {column}: ")[2].startswith(message)


def test_errors_come_from_the_left() -> None:
    """Words are looked at when their turn comes."""
    with pytest.raises(ExpressionError, match="at column 3: 'b' is no operator"):
        parse("a b + 'no end")


def test_kinds_and_places() -> None:
    text = " hr<=-`a b` not in(1s,'x' )\t"
    found = list(words(text))
    assert [word.kind for word in found] == [
        *("name", "operator", "operator", "quoted", "operator", "operator", "operator", "value"),
        *("operator", "value", "operator", "end"),
    ]
    assert all(text.startswith(word.text, word.at) for word in found)
    assert "".join(word.text for word in found) == text.replace(" ", "").replace("`ab`", "`a b`").strip()
