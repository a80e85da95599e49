import numpy as np
import pytest
from common import sample

from fastrec.records.chunks import ArrayChunk, Chunk, Selection
from fastrec.records.rows import Rows, Span


def test_rows_that_lie_together_are_no_selection():
    chunk = ArrayChunk(sample(20), 100)
    together = Span(chunk, 3, 15).pick(np.array([5, 6, 7]))
    assert together == Span(chunk, 5, 8)
    apart = Span(chunk, 3, 15).pick(np.array([5, 7]))
    assert isinstance(apart.chunk, Selection) and apart.numbers().tolist() == [105, 107]
    nothing = Span(chunk, 3, 15).pick(np.empty(0, dtype=np.int64))
    assert len(Rows([nothing])) == 0


@pytest.mark.parametrize("dtype", ["<i8", "<i4", "<u8", ">i8", "u1"])
def test_places_are_whole_numbers_of_any_size(dtype: str):
    chunk = ArrayChunk(sample(20), 2**64 - 30)
    places = np.array([1, 2, 7], dtype)
    due = [2**64 - 30 + place for place in (1, 2, 7)]
    assert chunk.numbers_at(places).tolist() == due
    assert chunk.numbers_at(np.repeat(places, 2)[::2]).tolist() == due
    assert chunk.numbers_at(places, out := np.zeros(3, np.uint64)) is out and out.tolist() == due


def test_selections_do_not_nest():
    chunk = ArrayChunk(sample(20))
    outer = Selection(Selection(chunk, np.arange(0, 20, 3)), np.array([1, 3]))
    assert outer._chunk is chunk and outer.numbers(0, 2).tolist() == [3, 9]


def test_a_selection_cannot_be_changed():
    selection = Selection(ArrayChunk(sample(20)), np.array([1, 3]))
    for rows in (selection.rows(0, 2), selection.rows(0, 0)):
        with pytest.raises(ValueError, match="read-only"):
            rows["mode"][:] = 1


def test_empty_spans_are_left_out():
    chunk = ArrayChunk(sample(20))
    rows = Rows([Span(chunk, 0, 0), Span(chunk, 2, 5), Span(chunk, 7, 7), Span(chunk, 9, 12)])
    assert len(rows) == 6 and len(rows.spans) == 2
    assert [int(rows.number(place)) for place in range(6)] == [2, 3, 4, 9, 10, 11]
    assert [span.numbers().tolist() for span in rows.slice(1, 6, 2).spans] == [[3], [9, 11]]


def test_one_column_of_some_rows():
    """What is asked for the stamps of wide records copies no more than these."""
    array = sample(20_000)
    whole = ArrayChunk(array)
    for chunk in (whole, Selection(whole, np.arange(0, 20_000, 3))):
        places = np.array([0, 1, 900, len(chunk) - 1])
        stamps = chunk.at(places, "mono_ns")
        assert stamps.tolist() == chunk.at(places)["mono_ns"].tolist() and stamps.nbytes == 32
        assert chunk.at(places[:0], "mono_ns").tolist() == []
    assert Chunk.at(whole, places, "mono_ns").tolist() == array["mono_ns"][places].tolist()


def test_what_is_searched_for_is_found_when_it_is_needed():
    chunk, asked = ArrayChunk(sample(20)), []
    steps = [[(2, 3)], [(5, 5)], [(9, 10), (11, 11)], [], [(13, 14)]]

    def search(step, few):
        asked.append((step, few))
        return ([Span(chunk, *one) for one in steps[step]], step + 1) if step < len(steps) else None

    rows = Rows(search=search)
    assert asked == [] and not rows.complete
    assert rows.reach(1) == 1 and asked == [(0, True)]
    assert int(rows.number(0)) == 2 and rows.t_first and asked == [(0, True)]
    assert [span.start for span in rows.slice(0, 2, 1).spans] == [2, 9]
    assert next(rows.blocks()).start == 2 and asked == [(0, True), (1, True), (2, True)]
    assert len(rows) == 3 and rows.complete and asked[3:] == [(3, False), (4, False), (5, False)]
    assert [span.start for span in rows.blocks()] == [2, 9, 13]
    assert rows.reach(99) == 3 and rows.reach(2) == 2 and len(asked) == 6


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_a_search_meets_is_met_each_time_and_what_it_had_found_stays(error):
    chunk, met = ArrayChunk(sample(20)), [True]

    def search(step, few):
        if step == 1 and met[0]:
            raise error("damage")
        return ([Span(chunk, 2 + 5 * step, 4 + 5 * step)], step + 1) if step < 2 else None

    rows = Rows(search=search)
    for _ in range(2):
        assert rows.reach(2) == 2 and rows.at(1) == Span(chunk, 3, 4)
        for wanted in (len, lambda rows: rows.spans, lambda rows: rows.at(2), lambda rows: [*rows.blocks()]):
            with pytest.raises(error, match="damage"):
                wanted(rows)
        assert not rows.complete
    met[0] = False
    assert len(rows) == 4 and [int(rows.number(place)) for place in range(4)] == [2, 3, 7, 8]


def test_a_search_within_a_search():
    """As by the handler of a signal, or by another thread: both are right."""
    chunk = ArrayChunk(sample(20))

    def search(step, few):
        if step < 3 and not inner:
            inner.append(True)
            assert len(rows) == 3
        return ([Span(chunk, step, step + 1)], step + 1) if step < 3 else None

    inner = []
    rows = Rows(search=search)
    assert len(rows) == 3 and [span.start for span in rows.spans] == [0, 1, 2]
