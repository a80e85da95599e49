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
