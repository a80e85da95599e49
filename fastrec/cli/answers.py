"""Answers to questions: rows of columns, as a table, as JSON, as CSV; printed block by block."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastrec.cli.output import cell, say, uninterrupted, visible
from fastrec.durations import format_duration
from fastrec.formats.csv import cell_of, cells_of
from fastrec.records.columns import elements
from fastrec.records.plain import date, plain, to_json
from fastrec.schema import Field
from fastrec.schema.readable import readable
from fastrec.schema.texts import Lost
from fastrec.times import Clock

__all__ = ["Answer", "Column", "percent", "show"]

_BLOCK = 4_096


class Column(NamedTuple):
    """A column of an answer.

    Attributes
    ----------
    name : str
    kind : str
        ``"state"``; ``"stamp"`` or ``"span"``, in ns; ``"share"``, of 1; ``"number"``, a Python number or
        None; ``"plain"``: whole numbers, texts.
    values : ndarray
        A row each.
    shown : bool
        Whether it is in the table, too.
    told : sequence of str, optional
        What the table has instead of the values.
    """

    name: str
    kind: str
    values: np.ndarray
    shown: bool = True
    told: Sequence[str] | None = None

    @property
    def called(self) -> str:
        """Its name where times are in ns."""
        return f"{self.name}_ns" if self.kind in ("stamp", "span") else self.name


class Answer(NamedTuple):
    """What was asked, and the answer.

    Attributes
    ----------
    question : str
        What the rows are called in JSON.
    about : dict
        What else JSON says.
    columns : sequence of Column
    clock : Clock or None
        For dates.
    field : Field or None
        How states are read; None: as they are.
    unit : str
        Of the states.
    known : ndarray of bool, optional
        Of each row whether its state is known.
    """

    question: str
    about: dict[str, Any]
    columns: Sequence[Column]
    clock: Clock | None
    field: Field | None = None
    unit: str = ""
    known: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def states(self, values: np.ndarray) -> np.ndarray:
        """As people read them."""
        return values if self.field is None else readable(self.field, values)

    def unknown(self, block: slice) -> list[int]:
        """Which rows of a block have no state."""
        return [] if self.known is None else np.flatnonzero(~self.known[block]).tolist()


def show(answer: Answer, options: argparse.Namespace) -> None:
    """Print an answer, at most the first ``options.limit`` rows of it, in the form that was asked for."""
    count = len(answer) if options.limit is None else min(options.limit, len(answer))
    blocks = [slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
    form = _json if options.json else _csv if options.csv else _table
    for line in form(answer, blocks):
        with uninterrupted():
            say(line)


def _json(answer: Answer, blocks: Sequence[slice]) -> Iterator[str]:
    """One object, a line for each row of its list."""
    head = to_json(answer.about, indent=2).removesuffix("\n}")
    if not blocks:
        yield f'{head},\n  "{answer.question}": []\n}}'
        return
    yield f'{head},\n  "{answer.question}": ['
    before = None
    for block in blocks:
        for row in _objects(answer, block):
            if before is not None:
                yield f"{before},"
            before = f"    {to_json(row)}"
    yield f"{before}\n  ]\n}}"


def _objects(answer: Answer, block: slice) -> Iterator[dict[str, object]]:
    columns: dict[str, list] = {}
    for column in answer.columns:
        values = column.values[block]
        if column.kind == "state":
            columns[column.name] = found = plain(answer.states(values))
            for place in answer.unknown(block):
                found[place] = None
            continue
        if column.kind == "stamp":
            columns[column.name] = [date(answer.clock, stamp) for stamp in values.tolist()]
        columns[column.called] = values.tolist()
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _csv(answer: Answer, blocks: Sequence[slice]) -> Iterator[str]:
    """Like an export. A terminal does not obey what is in a text."""
    shown = visible if sys.stdout.isatty() else str
    yield shown(
        ",".join(
            cell_of(called, exact=False)
            for column in answer.columns
            for called, _ in elements(column.called, column.values.shape[1:])
        )
    )
    for block in blocks:
        columns = [
            cells
            for column in answer.columns
            for cells in _cells(answer, column, column.values[block], block)
        ]
        yield from map(shown, map(",".join, zip(*columns, strict=True)))


def _cells(answer: Answer, column: Column, values: np.ndarray, block: slice) -> Iterator[list[str]]:
    if values.dtype.kind == "O" and column.kind != "state":
        yield [_cell(one) for one in values.tolist()]
        return
    if column.kind == "state":
        values = answer.states(values)
    for _, place in elements(column.called, values.shape[1:]):
        found = cells_of(values[place], exact=False)
        if column.kind == "state":
            for row in answer.unknown(block):
                found[row] = ""
        yield found


def _cell(value: object) -> str:
    if isinstance(value, str):
        return cell_of(value, exact=False)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # of any size
    return "" if value is None else cells_of(np.array([value]), exact=False)[0]


def _table(answer: Answer, blocks: Sequence[slice]) -> Iterator[str]:
    """Columns as wide as the first rows need them; texts are flush left, numbers flush right."""
    columns = [column for column in answer.columns if column.shown]
    headings = [_heading(answer, column) for column in columns]
    widths: list[int] = []
    left = [True] * len(columns)
    for block in blocks or [slice(0, 0)]:
        texts = []
        for place, column in enumerate(columns):
            found, is_text = _texts(answer, column, column.values[block], block)
            texts.append(found)
            if not widths:
                left[place] = is_text
        if not widths:
            widths = [max(map(len, [name, *some])) for name, some in zip(headings, texts, strict=True)]
            yield _aligned(headings, widths, left)
        for row in zip(*texts, strict=True):
            yield _aligned(row, widths, left)


def _heading(answer: Answer, column: Column) -> str:
    name = column.name.replace("_", " ")
    return visible(f"{name} ({answer.unit})" if column.kind == "state" and answer.unit else name)


def _texts(answer: Answer, column: Column, values: np.ndarray, block: slice) -> tuple[list[str], bool]:
    """What a column has in the table, and whether it is text."""
    if column.told is not None:
        return list(column.told[block]), column.kind != "number"
    if column.kind == "state":
        states = plain(answer.states(values))
        found = [cell(state) for state in states]
        for place in answer.unknown(block):
            found[place] = "(unknown)"
        return found, not states or isinstance(states[0], str | list | Lost | None)
    given = values.tolist()
    if column.kind == "stamp":
        return [date(answer.clock, stamp, zoned=False) or str(stamp) for stamp in given], True
    if column.kind == "span":
        return [format_duration(length) for length in given], False
    if column.kind == "share":
        return [percent(share) for share in given], False
    if column.kind == "number":
        return ["-" if one is None else _short(one) for one in given], False
    return [visible(str(one)) for one in given], not given or isinstance(given[0], str)


def percent(share: float) -> str:
    """A share for people."""
    return "< 0.01 %" if 0 < share < 0.0001 else f"{share * 100:.2f} %"


def _short(number: float) -> str:
    """Whole numbers with all their digits."""
    return f"{number:.10g}" if isinstance(number, float) else str(number)


def _aligned(texts: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> str:
    cells = zip(texts, widths, left, strict=True)
    return "  ".join(
        text.ljust(width) if flush else text.rjust(width) for text, width, flush in cells
    ).rstrip()
