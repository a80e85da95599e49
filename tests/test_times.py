import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrec.durations import format_duration, parse_duration
from fastrec.errors import RecordingError, SchemaError
from fastrec.times import CLOCK_PAIR_DTYPE, Clock, Known, parse_time

S = 10**9
BERLIN = ZoneInfo("Europe/Berlin")


def clock(*pairs, zone=BERLIN, leaps=None):
    leaps = None if leaps is None else np.array(leaps, dtype=bool)
    return Clock(np.array(list(pairs), dtype=CLOCK_PAIR_DTYPE), zone, leaps)


def epoch(text):
    when = dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (when.days * 86_400 + when.seconds) * S + when.microseconds * 1_000


NOON = epoch("2026-09-21T12:00:00+02:00")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1.5s", 1_500_000_000),
        ("20ms", 20_000_000),
        ("3us", 3_000),
        ("3µs", 3_000),
        ("5ns", 5),
        ("2min", 120 * S),
        ("1h", 3_600 * S),
        ("0s", 0),
        (".5s", S // 2),
        ("2.s", 2 * S),
        (" 1.234 s ", 1_234_000_000),
        ("1 h 30 min 0.25 s", 5_400 * S + S // 4),
        ("0.1us", 100),
        ("0.3333333333s", 333_333_333),
        ("9007199254740993ns", 9_007_199_254_740_993),
        ("9007199.254740993s", 9_007_199_254_740_993),
        (dt.timedelta(days=2, microseconds=1), 172_800 * S + 1_000),
    ],
)
def test_parse_duration(text, ns):
    assert parse_duration(text) == ns
    assert type(parse_duration(text)) is int


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "5",
        "s",
        "-1s",
        "+1s",
        "1 day",
        "1,5s",
        "1e3s",
        "1s2",
        "1..2s",
        "1m",
        "99999999h",
        "٣s",
        dt.timedelta(-1),
    ],
)
def test_what_is_no_duration(wrong):
    with pytest.raises(SchemaError):
        parse_duration(wrong)


@pytest.mark.parametrize("wrong", [5, 1.5, None, np.int64(3)])
def test_numbers_are_no_durations(wrong):
    with pytest.raises(SchemaError, match="durations are strings"):
        parse_duration(wrong)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1 us"),
        (1_234, "1.234 us"),
        (999_999, "999.999 us"),
        (20_000_000, "20 ms"),
        (999_999_499, "999.999 ms"),
        (999_999_500, "1 s"),
        (1_234_000_000, "1.234 s"),
        (1_500_000_000, "1.5 s"),
        (59_999_400_000, "59.999 s"),
        (59_999_600_000, "1 min"),
        (123_400_000_000, "2 min 3.4 s"),
        (3_599_960_000_000, "1 h"),
        (3_661 * S, "1 h 1 min 1 s"),
        (90_000 * S, "25 h"),
        (-1_500, "-1.5 us"),
    ],
)
def test_format_duration(ns, text):
    assert format_duration(ns) == text


@given(st.integers(0, 2**62))
def test_a_formatted_duration_is_read_back(ns):
    steps = [(10**6, 1), (10**9, 10**3), (60 * S, 10**6), (3_600 * S, 10**8), (2**63, S)]
    step = next(step for limit, step in steps if ns < limit)
    assert abs(parse_duration(format_duration(ns)) - ns) * 2 <= step


def test_clock_runs_evenly_between_readings():
    two = clock((100, 1_000), (200, 3_000))
    assert [two.wall(t) for t in (0, 100, 150, 199, 200, 250)] == [900, 1_000, 2_000, 2_980, 3_000, 3_050]
    assert [two.mono(t) for t in (900, 1_000, 2_000, 2_980, 3_000, 3_050)] == [0, 100, 150, 199, 200, 250]


def test_a_clock_is_exact_at_todays_epoch():
    two = clock((10 * S, NOON), (20 * S, NOON + 10 * S + 7))
    assert two.wall(20 * S - 1) == NOON + 10 * S + 5
    assert two.wall(15 * S) == NOON + 5 * S + 3
    assert two.wall(10 * S + 1) == NOON + 1


def check_walls(one, stamps):
    """`walls` of many stamps is `wall` of each, or refuses because 64 bits do not hold one of them."""
    array = np.array(stamps, dtype=np.int64)
    expected = [one.wall(stamp) for stamp in stamps]
    if all(abs(wall) < 2**63 for wall in expected):
        assert one.walls(array).tolist() == expected and one.walls(array).dtype == np.int64
    else:
        with pytest.raises(RecordingError, match="more than 64 bits; see the clock readings"):
            one.walls(array)


@given(
    st.lists(st.tuples(st.integers(0, 10**11), st.integers(-(10**11), 10**12)), max_size=5),
    st.lists(st.integers(-(10**10), 10**12), max_size=20),
)
def test_walls_are_wall_value_by_value(steps, stamps):
    pairs = np.cumsum(np.array([(5, NOON), *steps], dtype=np.int64), axis=0).tolist()
    near = [pair[0] + by for pair in pairs for by in (-1, 0, 1)]
    check_walls(clock(*map(tuple, pairs)), [*stamps, *near])


ANY = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([-(2**63), 2**63 - 1, 2**61, 2**62, 0]))


@given(st.lists(st.tuples(ANY, ANY), min_size=1, max_size=4), st.lists(ANY, min_size=1, max_size=6))
def test_walls_of_any_stamps_by_any_readings(pairs, stamps):
    ordered = sorted(pairs, key=lambda pair: pair[0])
    for stamp in stamps:
        check_walls(clock(*ordered), [stamp])
    check_walls(clock(*ordered), [*stamps, *(pair[0] for pair in ordered)])


@given(
    st.lists(st.tuples(st.integers(0, 10**11), st.integers(-(10**11), 10**12), st.booleans()), max_size=5),
    st.lists(st.integers(-(10**10), 10**12), max_size=20),
    st.booleans(),
)
def test_walls_across_leaps_are_wall_value_by_value(steps, stamps, first):
    pairs = np.cumsum(np.array([(5, NOON), *(step[:2] for step in steps)], dtype=np.int64), axis=0).tolist()
    near = [pair[0] + by for pair in pairs for by in (-1, 0, 1)]
    leaps = [first, *(step[2] for step in steps)]
    check_walls(clock(*map(tuple, pairs), leaps=leaps), [*stamps, *near])


@given(
    st.lists(
        st.tuples(st.integers(1, 1000), st.integers(-1000, 3000), st.booleans()), min_size=1, max_size=5
    ),
    st.integers(-500, 8000),
)
def test_mono_is_the_first_stamp_that_shows_a_time_or_has_it_behind_it(steps, realtime):
    pairs = np.cumsum(np.array([(5, 1000), *(step[:2] for step in steps)], dtype=np.int64), axis=0).tolist()
    # Even stretches that run backwards have no first stamp that is found by steps of one.
    leaps = [step[2] or step[1] < step[0] for step in steps]
    one = clock(*map(tuple, pairs), leaps=[*leaps, False])
    stamp = one.mono(realtime)
    assert stamp == one.mono(realtime) and isinstance(stamp, int)
    first = next((at for at in range(5, pairs[-1][0] + 10_000) if one.wall(at) >= realtime), None)
    if realtime >= 1000:
        assert stamp == first


def test_a_leap_is_at_the_reading_behind():
    one = clock((0, 1_000), (100, 5_100), (200, 5_200), (300, 300), leaps=[True, False, True, False])
    assert [one.wall(t) for t in (-1, 0, 99, 100, 150, 299, 300, 301)] == [
        *[999, 1_000, 1_099, 5_100, 5_150, 5_299, 300, 301]
    ]
    assert [one.mono(t) for t in (1_050, 1_099, 1_100, 3_000, 5_100, 5_299, 5_300)] == [
        *[50, 99, 100, 100, 100, 299, 5_300]
    ]


def test_walls_where_products_pass_64_bits():
    # Ten seconds at ten seconds a reading is 10**20; a clock set by hours takes more than the drift alone.
    even = clock((10 * S, NOON), (20 * S, NOON + 10 * S + 7), (30 * S, NOON + 20 * S - 5))
    check_walls(even, range(9 * S, 31 * S, 12_345_678))
    suspended = clock((10 * S, NOON), (20 * S, NOON + 30_000 * S), (30 * S, NOON + 30_010 * S))
    check_walls(suspended, range(9 * S, 31 * S, 12_345_678))
    twice = clock((100, 1_000), (100, 2_000), (200, 2_100), (200, 9_000))
    check_walls(twice, range(90, 210))
    assert even.walls(np.empty(0, dtype=np.int64)).shape == (0,)


def test_stamps_are_asked_one_by_one_only_where_a_clock_was_set(monkeypatch):
    asked = []
    real = Clock.wall
    monkeypatch.setattr(Clock, "wall", lambda self, stamp: asked.append(stamp) or real(self, stamp))
    readings = [(k * 10 * S, NOON + k * (10 * S + drift)) for k, drift in enumerate((0, 0, 900, -900, 10**8))]
    clock(*readings).walls(np.arange(-S, 50 * S, S // 7))
    assert asked == []
    suspended = clock((0, NOON), (10 * S, NOON + 10 * S), (20 * S, NOON + 9_000 * S), (30 * S, NOON))
    stamps = np.arange(0, 9 * S, S)
    assert len(suspended.walls(np.concatenate([stamps, stamps + 10 * S, stamps + 40 * S]))) == 27
    assert asked == (stamps + 10 * S).tolist()


@given(
    st.lists(st.tuples(st.integers(1, 10**10), st.integers(1, 10**10)), min_size=1, max_size=5),
    st.integers(-(10**10), 10**11),
)
def test_mono_is_the_inverse_of_wall(steps, stamp):
    pairs = np.cumsum(np.array([(5, NOON), *steps], dtype=np.int64), axis=0)
    one = clock(*map(tuple, pairs.tolist()))
    again = one.wall(one.mono(one.wall(stamp)))
    before = one.wall(one.mono(one.wall(stamp)) - 1)
    assert before < one.wall(stamp) <= again
    assert one.mono(one.wall(stamp)) <= stamp


def test_a_clock_that_was_set():
    back = clock((0, 1_000), (100, 1_100), (200, 1_020), (300, 1_120))
    assert back.mono(1_050) == 50
    assert back.mono(1_110) == 290
    assert back.mono(1_500) == 680
    late = clock((0, 9_000), (100, 500), (200, 600))
    assert late.mono(550) == 150
    assert late.mono(650) == 250
    assert late.wall(50) == 4_750
    twice = clock((100, 1_000), (100, 2_000), (200, 2_100))
    assert twice.wall(100) == 2_000 and twice.wall(99) == 999


def test_dates_are_in_the_zone():
    one = clock((0, NOON))
    assert one.text(250_999) == "2026-09-21T12:00:00.000250+02:00"
    assert one.text(-1) == "2026-09-21T11:59:59.999999+02:00"
    assert one.datetime(0).tzinfo is BERLIN
    fixed = clock((0, NOON), zone=dt.timezone(dt.timedelta(hours=-5)))
    assert fixed.text(0) == "2026-09-21T05:00:00.000000-05:00"


def test_a_clock_that_knows_nothing_says_so():
    empty = clock()
    for ask in (empty.wall, empty.mono, empty.datetime, empty.text, empty.walls):
        with pytest.raises(RecordingError, match="no clock reading"):
            ask(5)
    with pytest.raises(RecordingError, match="no date"):
        clock((0, 2**62 * 2 - 1)).text(2**63 - 1 + 10**21)


def test_a_clock_is_frozen():
    with pytest.raises(AttributeError):
        clock((0, 0)).zone = dt.UTC


START, END = 5 * S, 65 * S


@pytest.mark.parametrize(
    ("value", "stamp"),
    [
        (7, 7),
        (np.int64(7), 7),
        (-7, -7),
        ("+1.5s", START + S + S // 2),
        ("+ 1 ms", START + 10**6),
        ("-2s", END - 2 * S),
        ("12:00:06", 6 * S),
        ("12:00:06.000000001", 6 * S + 1),
        ("T12:00:06,5", 6 * S + S // 2),
        ("12:01", 60 * S),
        ("10:00:06Z", 6 * S),
        ("10:00:06.25+00:00", 6 * S + S // 4),
        ("2026-09-21 12:00:06", 6 * S),
        ("2026-09-21T12:00:06.123456789", 6_123_456_789),
        ("2026-09-21T10:00:06.123456789Z", 6_123_456_789),
        ("2026-09-21T15:30:06.1+05:30", 6_100_000_000),
        ("2026-09-22", 12 * 3_600 * S),
        (dt.datetime(2026, 9, 21, 12, 0, 6, 1), 6 * S + 1_000),
        (dt.datetime(2026, 9, 21, 10, 0, 6, tzinfo=dt.UTC), 6 * S),
    ],
)
def test_parse_time(value, stamp):
    found = parse_time(value, Known(START, END, clock((0, NOON))))
    assert found == stamp and type(found) is int


def test_a_time_of_day_is_on_the_day_of_the_start_in_the_zone():
    late = clock((0, epoch("2026-09-21T00:30:00+02:00")))
    assert parse_time("00:31:00", Known(5, 6, late)) == 60 * S
    assert parse_time("22:31:00Z", Known(5, 6, late)) == 60 * S


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "5",
        "1.5s",
        "+5",
        "-",
        "12:3",
        "25:00:00",
        "12:03.5",
        "12:00:06.1234567891",
        "2026-13-01",
        "now",
        1.5,
        True,
        None,
        dt.timedelta(1),
    ],
)
def test_what_is_no_time(wrong):
    with pytest.raises(SchemaError):
        parse_time(wrong, Known(START, END, clock((0, NOON))))


def test_epoch_nanoseconds_are_refused_where_stamps_count_from_boot():
    with pytest.raises(SchemaError, match=r"1970.*datetime"):
        parse_time(NOON, Known(START, END, clock((0, NOON))))
    assert parse_time(NOON + 1, Known(NOON, NOON + S, None)) == NOON + 1


def test_dates_need_a_clock_and_the_rest_does_not():
    for value in ("12:00:00", "2026-09-21", dt.datetime(2026, 9, 21)):
        with pytest.raises(RecordingError, match="no clock reading"):
            parse_time(value, Known(START, END, None))
    assert parse_time("+1s", Known(START, END, None)) == START + S


def test_the_hour_that_comes_twice():
    one = clock((0, epoch("2026-10-25T02:00:00+02:00")))
    again = dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
    assert parse_time("2026-10-25T02:30:00", Known(0, 1, one)) == 1_800 * S
    assert parse_time(again, Known(0, 1, one)) == 5_400 * S
