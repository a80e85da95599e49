import struct
import time

import numpy as np

from fastrec.records.states import Distinct, Totals, equal, state_dtype


def test_a_signalling_nan_is_nan():
    """Without a word of NumPy, which warns of it when it is compared."""
    single, double = [0x7F800001, 0x7FC00000, 0], [0x7FF0000000000001, 0x7FF8 << 48, 0]
    for code, words in (("<f4", single), ("<f8", double), ("<c8", single)):
        values = np.frombuffer(b"".join(struct.pack("<Q", word)[: int(code[2])] for word in words), code)
        assert equal(values, np.roll(values, -1)).tolist() == [True, False, False]
        assert Distinct(state_dtype(values)).codes(values).tolist() == [0, 0, 1]


def test_whatever_is_not_0_is_true():
    for shape in ((), (2,)):
        values = np.array([2, 2, 0, 0, 1, 1, 255, 255], np.uint8).view("?").reshape(-1, *shape)
        distinct = Distinct(state_dtype(values))
        assert distinct.codes(values).tolist() == ([0, 0, 1, 1, 0, 0, 0, 0] if not shape else [0, 1, 0, 0])
        assert distinct.states.tolist() == ([True, False] if not shape else [[True, True], [False, False]])


def test_states_keep_their_numbers():
    """Of every width, those with a table of their own and the others; the first that came stands for all."""
    for kind in ("<i2", ">i8", "<f4", ">f8", "S3", "V5", "<c16", "?"):
        values = np.array([b"\1", b"\0"] if kind[0] in "SV" else [1, 0], kind)
        distinct = Distinct(state_dtype(values))
        found = [
            distinct.codes(values[[1, 1]]),
            distinct.codes(values[[0, 1, 0]]),
            distinct.codes(values[:0]),
        ]
        assert np.concatenate(found).tolist() == [0, 0, 1, 0, 1] and len(distinct) == 2
        assert distinct.states.tolist() == values[::-1].tolist()
    values = np.array([-0.0, 0.0, -np.nan, np.nan])
    distinct = Distinct(state_dtype(values))
    assert distinct.codes(values).tolist() == [0, 0, 1, 1]
    assert np.signbit(distinct.states).tolist() == [True, True]


def test_sums_grow_with_the_states_and_wrap():
    totals = Totals((np.dtype("i4"), ()), 2)
    most = np.array([2**64 - 1, 2**64 - 1], np.uint64)
    totals.add(np.array([5, 5], "i4"), 1, most)
    totals.add(np.arange(9, dtype="i4"), np.full(9, -1), 3)
    assert totals.distinct.states.tolist() == [5, 0, 1, 2, 3, 4, 6, 7, 8]
    assert totals.sums.tolist() == [[1, *[2**64 - 1] * 8], [1, *[3] * 8]]


def test_nobody_can_make_patterns_that_meet() -> None:
    """All of them in one slot of a table whose multiplier is known: another one has another multiplier."""
    inverse = pow(0x9E3779B97F4A7C15, -1, 2**64)
    keys = np.array([one * inverse % 2**64 for one in range(20_000)], np.uint64)
    random = np.random.default_rng(0).integers(0, 2**63, 20_000).astype(np.uint64)
    spent = {}
    for name, patterns in (("made", keys), ("random", random)):
        begin = time.process_time_ns()
        assert Distinct((np.dtype("<u8"), ())).codes(patterns).tolist() == list(range(20_000))
        spent[name] = time.process_time_ns() - begin
    assert spent["made"] < 20 * spent["random"] + 50_000_000  # 70 times as much, and more, were they to meet
