"""What a channel takes for its options, and what it refuses: by name, and with nothing left behind."""

from __future__ import annotations

import os
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from tasks import tasks
from waiting import until

import fastrec as fr

STATUS = np.dtype([("mode", "<i4"), ("count", "<u4"), ("level", "<f8")])


def counts() -> tuple[int, int]:
    """Threads and descriptors of this process."""
    return len(tasks()), len(os.listdir("/proc/self/fd"))


def refused(options: dict[str, object], *, polled: bool = True) -> str:
    """The message of a refusal; no thread, channel or descriptor stays."""
    rec = fr.Recorder()
    before = counts()
    source = {"source": "linux:rusage", "rate": 100} if polled else {"schema": STATUS}
    with pytest.raises((fr.SourceError, fr.SchemaError)) as caught:
        rec.add("s", **{**source, **options})
    assert not rec.channels
    # Fewer, when what an earlier test left to the garbage collector goes just now.
    until(lambda: all(now <= then for now, then in zip(counts(), before, strict=True)))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    return str(caught.value)


def options_of(**options: object) -> fr.channel.Options:
    """Those of a polled channel that takes them."""
    rec = fr.Recorder()
    taken = rec.add("s", "linux:rusage", **{"capacity": 64, **options}).options
    rec.stop()
    return taken


RATES = [
    0, -1, True, False, np.True_, float("nan"), float("inf"), -float("inf"), 1e12, "1e12", 10_000_001,
    10_000_000.01, 1e-12, 9.9e-7, "0.0000009", Fraction(1, 10**30), 10**400, 10**5000, Decimal("NaN"),
    Decimal("sNaN"), Decimal("Infinity"), Decimal("1e999999999"), Decimal("1e-999999999"), 1 + 0j, "", " 5",
    "5 ", "+5", "-5", "0", "0x10", "1_000", "१२", "inf", "nan", "MAX", b"5", [5], np.array(5),
    np.array([5, 6]), np.float64("nan"), np.longdouble(5), object(),
]  # fmt: skip


@pytest.mark.parametrize("rate", RATES, ids=fr.errors.shown)
def test_rates_that_are_none(rate: object) -> None:
    message = refused({"rate": rate})
    assert message.startswith("rate=")
    assert message.endswith("it is a number of Hz from 1/1,000,000 to 10,000,000, or 'max'")


@pytest.mark.parametrize(
    ("rate", "text", "period"),
    [
        (1, "1", (10**9, 1)),
        (10_000_000, "10000000", (100, 1)),
        ("1e7", "10000000", (100, 1)),
        (1e-6, "1/1000000", (10**15, 1)),
        ("1/1000000", "1/1000000", (10**15, 1)),
        (0.1, "1/10", (10**10, 1)),
        (np.float32(0.1), "1/10", (10**10, 1)),
        (Decimal("0.1"), "1/10", (10**10, 1)),
        (Fraction(2, 3), "2/3", (1_500_000_000, 1)),
        (np.int64(3), "3", (10**9, 3)),
        (np.uint8(3), "3", (10**9, 3)),
        ("max", "max", (0, 1)),
    ],
    ids=str,
)
def test_rates(rate: object, text: str, period: tuple[int, int]) -> None:
    options = options_of(rate=rate)
    assert (options.rate, options.period) == (text, period)
    assert all(type(part) is int for part in options.period)


CAPACITIES = [
    0, -1, 63, True, False, 1.5, 64.0, np.float64(64), Decimal(64), float("nan"), float("inf"), 2**33, 2**40,
    2**70, 10**400, 10**5000, "0s", "0 ns", "-1s", "", "x", "64", "1e3s", "292 years", "1000000h", b"1s",
    [64], np.array(64), np.array([64, 65]), object(),
]  # fmt: skip


@pytest.mark.parametrize("capacity", CAPACITIES, ids=fr.errors.shown)
def test_capacities_that_are_none(capacity: object) -> None:
    for polled in (True, False):
        message = refused({"capacity": capacity}, polled=polled)
        assert message.startswith("capacity=") and ("number of records" in message or "least 64" in message)


@pytest.mark.parametrize(
    ("capacity", "records"), [(64, 64), (np.int64(100), 100), ("1s", 100), ("1 ns", 64), (None, 65_536)]
)
def test_capacities(capacity: object, records: int) -> None:
    assert options_of(rate=100, capacity=capacity).capacity == records


@pytest.mark.parametrize(
    "thread",
    [
        None,
        5,
        True,
        "",
        "a\0b",
        "\n",
        "\ud800",
        "x" * 65,
        "x" * 10_000,
        b"main",
        ["a"],
        ("a",),
        np.array("a"),
    ],
    ids=fr.errors.shown,
)
def test_threads_that_have_no_name(thread: object) -> None:
    for polled in (True, False):
        message = refused({"thread": thread}, polled=polled)
        assert message.startswith("thread=") and "1 to 64 printable letters" in message


@pytest.mark.parametrize("thread", ["main", "a b", "x" * 64, "a/b", "ü", "%s"])
def test_threads(thread: str) -> None:
    assert options_of(rate=100, thread=thread).thread == thread


@pytest.mark.parametrize(
    "spin",
    [-1, 1, 0.0, 1.5, False, True, None, float("nan"), "", "AUTO", "x", "-1us", "0", b"auto", [0],
     np.array([0, 0]), 10**5000],
    ids=fr.errors.shown,
)  # fmt: skip
def test_spins_that_are_none(spin: object) -> None:
    assert refused({"spin": spin}).endswith("it is 'auto', 0 or a duration such as '20us'")


@pytest.mark.parametrize(
    ("spin", "ns"), [("auto", 100_000), (0, 0), ("0s", 0), ("20us", 20_000), ("1h", 10_000_000)]
)
def test_spins(spin: object, ns: int) -> None:
    """Longer than the period of 10 ms: spun through whole."""
    assert options_of(rate=100, spin=spin).spin == ns


@pytest.mark.parametrize("when_full", [None, "", "DROP", 5, b"drop", ["drop"], {}], ids=str)
def test_when_full_that_is_none(when_full: object) -> None:
    assert refused({"when_full": when_full}).endswith("it is 'overwrite' or 'drop'")


@pytest.mark.parametrize("count", [-1, True, False, 1.5, "5", [5], 10**5000 * -1], ids=fr.errors.shown)
def test_counts_that_are_none(count: object) -> None:
    rec = fr.Recorder()
    channel = rec.add("s", schema=STATUS, capacity=64)
    with pytest.raises(fr.SchemaError):
        channel.snapshot(count)
    with pytest.raises(fr.SchemaError):
        channel.last(count)


def test_counts() -> None:
    rec = fr.Recorder()
    channel = rec.add("s", schema=STATUS, capacity=64)
    channel.extend(np.zeros(100, STATUS))
    for count, length in ((0, 0), (5, 5), (np.int64(5), 5), (np.uint8(5), 5), (2**70, 64), (10**5000, 64)):
        assert len(channel.snapshot(count)) == len(channel.last(count)) == length
    assert len(channel.snapshot()) == 64


@pytest.mark.parametrize(
    "name", ["a\0b", "\ud800", "a\n", "-a", ".", "\uff41", "\u017f", b"a", 5, ["a"], True]
)
def test_names_that_are_none(name: object) -> None:
    rec = fr.Recorder()
    with pytest.raises(fr.SchemaError, match="1 to 64 letters"):
        rec.add(name, schema=STATUS)
    assert not rec.channels


@pytest.mark.parametrize(("first", "second"), [("a", "a"), ("CPU", "cpu"), ("i", "I"), ("K", "k")])
def test_names_that_differ_by_case_alone(first: str, second: str) -> None:
    rec = fr.Recorder()
    rec.add(first, schema=STATUS, capacity=64)
    with pytest.raises(fr.SchemaError, match="differ by more than case"):
        rec.add(second, schema=STATUS)
    assert list(rec.channels) == [first]
