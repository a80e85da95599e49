"""How far apart two answers may be: the grammar, and what is exactly at the limit."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fastrec.errors import SchemaError
from fastrec.records.tolerances import KINDS, Measure, Tolerances

MS = 1_000_000
NOTHING = Measure(None, None)


def exceeded(texts: str, kind: str, before: Measure, after: Measure) -> bool:
    return Tolerances(texts.split()).exceeded(kind, before, after)


def parts(number: int, whole: int) -> Measure:
    return Measure(number, Fraction(number, whole))


def test_what_is_at_the_limit_is_within() -> None:
    # Of floats neither 0.33 - 0.3 <= 0.1 * 0.3 holds, nor 0.27 >= 0.3 * 0.9.
    before = parts(3, 10)
    for after in (parts(33, 100), parts(27, 100)):
        assert not exceeded("durations=10%", "durations", before, after)
        assert exceeded("durations=9.9999999999%", "durations", before, after)
        assert exceeded("9.9999999999%", "durations", before, after)
    for after in (parts(3 + 5 * MS, 10**9), parts(5 * MS - 3, 10**9)):
        apart = abs(after.amount - 3)
        assert not exceeded(f"durations={apart}ns", "durations", before, after)
        assert exceeded(f"durations={apart - 1}ns", "durations", before, after)
    assert not exceeded("losses=2", "losses", parts(5, 9), parts(7, 9))
    assert not exceeded("losses=2", "losses", parts(5, 9), parts(3, 9))
    assert exceeded("losses=1.99", "losses", parts(5, 9), parts(7, 9))
    assert exceeded("losses=1.99", "losses", parts(5, 9), parts(3, 9))
    assert not exceeded("length=.5us", "length", Measure(1_000, Fraction(1_000)), Measure(500, Fraction(500)))


def test_a_percentage_is_of_the_first() -> None:
    assert not exceeded("100%", "losses", parts(5, 10), parts(0, 10))
    assert exceeded("100%", "losses", parts(0, 10), parts(1, 10))
    assert not exceeded("0%", "losses", parts(0, 10), parts(0, 3))
    assert exceeded("99%", "losses", parts(1, 10), parts(2, 10))
    assert not exceeded("99%", "losses", parts(2, 10), parts(1, 10))


def test_percentages_do_not_look_at_amounts_nor_amounts_at_shares() -> None:
    assert not exceeded("0%", "transitions", parts(5, 10), parts(50, 100))
    assert exceeded("transitions=44", "transitions", parts(5, 10), parts(50, 100))
    assert not exceeded("transitions=0", "transitions", parts(5, 10), parts(5, 100))
    # But a rate is nothing else than a number per second.
    assert not exceeded("rate=1", "rate", Measure(9, Fraction(100)), Measure(900, Fraction(101)))
    assert exceeded("rate=.99", "rate", Measure(9, Fraction(100)), Measure(900, Fraction(101)))
    assert exceeded("rate=5", "rate", Measure(1, None), Measure(2, Fraction(1)))


def test_what_only_one_has() -> None:
    for pair in ((NOTHING, parts(5, 10)), (parts(5, 10), NOTHING)):
        assert exceeded("1000%", "durations", *pair)
        assert exceeded("durations=5ns", "durations", *pair)
        assert not exceeded("durations=6ns", "durations", *pair)
    # It was there, at the very end: nobody knows for how long.
    assert exceeded("durations=0", "durations", NOTHING, Measure(0, Fraction(0)))
    assert not exceeded("durations=1ns", "durations", NOTHING, Measure(0, Fraction(0)))
    # A share of nothing is like no share.
    assert exceeded("50%", "durations", Measure(0, None), parts(5, 10))
    assert exceeded("50%", "durations", parts(5, 10), Measure(0, None))
    assert not exceeded("50%", "durations", Measure(0, None), Measure(0, None))
    assert exceeded("50%", "transitions", Measure(1, None), Measure(2, None))


def test_a_kind_of_its_own_stands_for_itself_alone() -> None:
    before, after = parts(10, 100), parts(20, 100)
    assert exceeded("50%", "durations", before, after)
    assert not exceeded("50% durations=100%", "durations", before, after)
    assert exceeded("100% durations=50%", "durations", before, after)
    assert not exceeded("100% durations=50%", "transitions", before, after)
    assert not exceeded("losses=0", "durations", before, after)
    assert exceeded("losses=0", "losses", before, after)
    # It is enough to be within one of several.
    assert not exceeded("durations=5% durations=10ns", "durations", before, after)
    assert not exceeded("durations=9ns durations=100%", "durations", before, after)
    assert exceeded("durations=9ns durations=99%", "durations", before, after)
    assert not Tolerances() and not Tolerances([]).exceeded("losses", before, after)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_kind_it_is_of_all_but_the_length(kind: str) -> None:
    for text in ("5%", "0", "0%"):
        assert exceeded(text, kind, parts(10, 100), parts(20, 100)) == (kind != "length")
        assert Tolerances([text]).judges(kind) == (kind != "length")
    assert exceeded(f"{kind}=5%", kind, parts(10, 100), parts(20, 100))
    assert exceeded(f"{kind}=0", kind, parts(10, 100), parts(20, 100))
    assert not Tolerances([f"{'losses' if kind != 'losses' else 'rate'}=5%"]).judges(kind)


@pytest.mark.parametrize(
    ("text", "limit"),
    [("durations = 50 ms", 50 * MS), (" durations=1s 50ms ", 1_050 * MS), ("durations=.5us", 500)],
)
def test_blanks_and_forms(text: str, limit: int) -> None:
    one = Tolerances([text])
    assert not one.exceeded("durations", parts(0, 1), parts(limit, limit))
    assert one.exceeded("durations", parts(0, 1), parts(limit + 1, limit))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5", "tolerance '5': without a kind it is a percentage; write \"5%\""),
        ("50ms", "without a kind it is a percentage"),
        ("", "without a kind it is a percentage"),
        ("-5%", "without a kind it is a percentage"),
        ("duration=5%", "there is no kind 'duration'; did you mean 'durations'"),
        ("=5%", "there is no kind ''"),
        ("a=b=5%", "there is no kind 'a'"),
        ("durations=5", "'5' is neither a percentage, such as 5%, nor a time, such as 50ms"),
        ("unknown=5", "nor a time"),
        ("length=-5ms", "nor a time"),
        ("losses=5ms", "'5ms' is neither a percentage, such as 5%, nor a number, such as 5"),
        ("failures=-1", "nor a number, such as 5"),
        ("rate=5/s", "nor a number per second, such as 5"),
        ("rate=", "'' is neither"),
        ("rate=1e3", "'1e3' is neither"),
        ("rate=5 % %", "is neither"),
        (f"rate={'9' * 21}", "is neither"),
        (5, "a tolerance is a text, not 5; write"),
    ],
)
def test_what_is_no_tolerance(text: str, said: str) -> None:
    with pytest.raises(SchemaError) as error:
        Tolerances([text])
    assert said in str(error.value) and "\n" not in str(error.value)
