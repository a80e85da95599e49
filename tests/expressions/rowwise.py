"""Conditions row by row, in plain Python: what `where` is judged by, and expressions to ask it."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastrec.records import Records
from fastrec.schema import Field, Masked
from fastrec.schema.readable import is_scaled, physical, readable, words

Rows = Callable[[int], object]
"""From a row's place to a value."""

RELATIONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ENDS = (
    *(0, 1, -1, 2**31, 2**32 - 1, 2**53 + 1, 2**63, 2**63 - 1, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1),
    *(10**39, 2**127, -(10**39), 70000, 0.5, -0.5, 1.5, 0.1, 65520.0, 1e39, 1e300, 9007199254740993.0),
    *(float(2**63), float(2**64), math.inf, -math.inf, math.nan),
)
_LEAST, _MOST = -(2**127), 2**127 - 1


def nearest(value: int) -> int:
    """Of whole numbers of 128 bits."""
    return min(max(value, _LEAST), _MOST)


def related(one: float, relation: str, other: float) -> bool:
    """As Python compares, without rounding; but NaN equals NaN."""
    if relation in ("==", "!=") and one != one and other != other:
        return relation == "=="
    return RELATIONS[relation](one, other)


def computed(one: float, operation: str, other: float, *, exact: bool) -> float:
    """As Python computes; `exact`: whole numbers are divided as such, and not as doubles are."""
    if type(one) is type(other) is int:
        if operation == "<<":
            if other < 0 or not one:
                return 0
            return nearest(one << other) if other < 300 else (_MOST if one > 0 else _LEAST)
        if operation == ">>":
            return one >> min(other, 300) if other >= 0 else 0
        if operation in "+-*&|^":
            return nearest(_PYTHON[operation](one, other))
        if exact and operation != "/":
            return _PYTHON[operation](one, other)
    one, other = float(one), float(other)
    if operation in ("/", "//", "%") and other == 0:
        if operation == "%" or one == 0 or one != one:
            return math.nan
        return math.copysign(math.inf, one) * math.copysign(1, other)
    return _PYTHON[operation](one, other)


_PYTHON = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}


class Column(NamedTuple):
    """A field of some rows.

    ``raw`` and ``values`` (physical ones) are Python numbers, ``names`` what labels make of them.
    """

    field: Field
    raw: list
    values: list
    names: list | None
    words: list | None

    @property
    def whole(self) -> bool:
        return self.field.dtype.kind in "iub" and not is_scaled(self.field)

    def equals(self, wanted: float) -> Rows:
        """Whether a row has a physical value."""
        field = self.field
        if self.whole:
            return lambda row: related(self.raw[row], "==", wanted)
        if not is_scaled(field):
            near = narrow(field.dtype, wanted)
            return lambda row: near is not None and related(self.raw[row], "==", near)
        far = max(abs(field.scale) * 1e-6, abs(wanted) * 2.0**-52) if math.isfinite(wanted) else 0.0
        if field.dtype.kind == "f":
            raw = (wanted - field.bias) / field.scale
            near = narrow(field.dtype, raw) if math.isfinite(raw) else None
            return lambda row: related(self.values[row], "==", wanted) or self.raw[row] == near
        return lambda row: related(self.values[row], "==", wanted) or abs(self.values[row] - wanted) <= far

    def meant(self, wanted: float) -> float:
        """The number with which values are compared by order: of a narrow float, what it can hold of it."""
        if self.whole or is_scaled(self.field) or isinstance(wanted, int):
            return wanted
        near = narrow(self.field.dtype, wanted)
        return wanted if near is None else near


def narrow(dtype: np.dtype, wanted: float) -> float | None:
    """The float of a width that is meant by a number; of a whole one only it itself."""
    with np.errstate(over="ignore"):
        near = float(dtype.type(wanted))
    if math.isinf(near) and not (isinstance(wanted, float) and math.isinf(wanted)):
        return None
    return None if isinstance(wanted, int) and near != wanted else near


def columns(records: Records, names: list[str]) -> dict[str, Column]:
    """Of the records, or of one of the recorder's columns."""
    found = {}
    for name in names:
        field, raw = records._columns.field(name), records[name]
        labels = field.labels
        found[name] = Column(
            field,
            *(_plain(one.tolist()) for one in (raw, physical(field, raw))),
            None if labels is None else readable(field, raw).tolist(),
            None if labels is None else _unsigned(field, words(field, raw)),
        )
    return found


def _plain(values: list) -> list:
    return [int(one) if isinstance(one, bool) else one for one in values]


def _unsigned(field: Field, raw: np.ndarray) -> list[int]:
    if field.labels.of_words and raw.dtype.kind == "i":
        raw = raw.astype(raw.dtype.newbyteorder("=")).view(f"u{raw.dtype.itemsize}")
    return [int(one) for one in raw.tolist()]


class Chance:
    """Random conditions: their text, and what they are of a row.

    Parameters
    ----------
    seed : int
    columns : mapping of str to Column
        Of numbers.
    flags : sequence of str
        Those that may stand alone.
    """

    def __init__(self, seed: int, columns: dict[str, Column], flags: list[str]) -> None:
        self.random = random.Random(seed)
        self.columns = columns
        self.names = list(columns)
        self.flags = flags
        self.labelled = [name for name in columns if columns[name].names is not None]

    def condition(self, depth: int = 3) -> tuple[str, Rows]:
        chance = self.random.random()
        if depth and chance < 0.3:
            return self._joined(depth)
        if depth and chance < 0.4:
            text, truth = self.condition(depth - 1)
            return f"not ({text})", lambda row: not truth(row)
        if chance < 0.6:
            return self._with_constant()
        if chance < 0.7:
            return self._among()
        if chance < 0.75 and self.labelled:
            return self._label()
        if chance < 0.8 and self.labelled:
            return self._has()
        if chance < 0.83 and self.flags:
            name = self.random.choice(self.flags)
            return name, lambda row: self.columns[name].raw[row] != 0
        if chance < 0.86:
            text, value, _ = self._value(1)
            return f"isnan({text})", lambda row: value(row) != value(row)
        return self._compared()

    def _joined(self, depth: int) -> tuple[str, Rows]:
        parts = [self.condition(depth - 1) for _ in range(self.random.randint(2, 3))]
        word, put = self.random.choice((("and", all), ("or", any)))
        text = f" {word} ".join(f"({text})" for text, _ in parts)
        return text, lambda row: put(truth(row) for _, truth in parts)

    def constant(self, name: str) -> float:
        """Near what a field holds, or at the end of what some type does."""
        column = self.columns[name]
        near = self.random.choice(column.values)
        kind = self.random.randrange(6)
        if kind == 0:
            return self.random.choice(_ENDS)
        if isinstance(near, int):
            return near + (0, 0, 1, -1, 0.5)[kind - 1]
        if kind == 1 and abs(near) < 1e18:
            return round(near)
        if kind == 2 and math.isfinite(near):
            return float(f"{near:.6g}")
        if kind == 3:
            return math.nextafter(near, math.inf)
        return near

    def spelled(self, value: float) -> str:
        if type(value) is int and self.random.random() < 0.2:
            return ("-" if value < 0 else "") + hex(abs(value))
        return repr(value)

    def _relation(self) -> str:
        return self.random.choice(list(RELATIONS))

    def _with_constant(self) -> tuple[str, Rows]:
        name, relation = self.random.choice(self.names), self._relation()
        value = self.constant(name)
        column = self.columns[name]
        text = f"{name} {relation} {self.spelled(value)}"
        if self.random.random() < 0.3:
            text = f"{self.spelled(value)} {_MIRRORED[relation]} {name}"
        if relation in ("==", "!="):
            equal = column.equals(value)
            return text, lambda row: equal(row) == (relation == "==")
        meant = column.meant(value)
        return text, lambda row: related(column.values[row], relation, meant)

    def _among(self) -> tuple[str, Rows]:
        name = self.random.choice(self.names)
        values = [self.constant(name) for _ in range(self.random.choice((1, 2, 5)))]
        tests = [self.columns[name].equals(value) for value in values]
        negated = self.random.random() < 0.3
        text = f"{name} {'not ' * negated}in ({', '.join(map(self.spelled, values))})"
        return text, lambda row: any(test(row) for test in tests) != negated

    def _label(self) -> tuple[str, Rows]:
        name = self.random.choice(self.labelled)
        column = self.columns[name]
        label = self.random.choice([one for one, _ in column.field.labels.enumerators] or column.names)
        if self.random.random() < 0.3 and not isinstance(column.field.labels, Masked):
            label = self.random.choice(column.names)
        sides = [name, repr(label) if not label.isidentifier() or self.random.random() < 0.3 else label]
        if self.random.random() < 0.2:
            sides.reverse()
        if not isinstance(column.field.labels, Masked):
            label = column.field.labels.name(column.field.labels.value(label))  # of two names the first
        relation = self.random.choice(("==", "!="))
        return f" {relation} ".join(sides), lambda row: (column.names[row] == label) == (relation == "==")

    def _has(self) -> tuple[str, Rows]:
        name = self.random.choice([one for one in self.labelled if self.columns[one].field.labels.of_words])
        column = self.columns[name]
        labels = column.field.labels
        if isinstance(labels, Masked):
            label, mask, bits = self.random.choice(labels.patterns)
        else:
            label, mask = self.random.choice(labels.enumerators)
            bits = mask
        number = self.random.choice((1, 6, 0x8000, 1 << 63))
        text = f"has({name}, {label}{f', {number}' if number == 6 else ''})"
        wanted = [(mask, bits)] + [(number, number)] * (number == 6)
        return text, lambda row: all(column.words[row] & one == two for one, two in wanted)

    def _compared(self) -> tuple[str, Rows]:
        (left, one, plain), (right, two, other) = self._value(3), self._value(2)
        if plain or other:  # what is a field by itself is compared with constants in another way
            left = f"0 + {left}"
        relation = self._relation()
        return f"{left} {relation} {right}", lambda row: related(one(row), relation, two(row))

    def _value(self, depth: int) -> tuple[str, Rows, bool]:
        """A number, and whether it is a field or a constant."""
        chance = self.random.random()
        if not depth or chance < 0.2:
            name = self.random.choice(self.names)
            if self.random.random() < 0.4:
                value = self.constant(name)
                known = nearest(value) if isinstance(value, int) else value
                return self.spelled(value), lambda row: known, True
            return name, self.columns[name].values.__getitem__, True
        if chance < 0.35:
            text, one, _ = self._value(depth - 1)
            sign = self.random.choice("-+~") if self._is_whole(one) else self.random.choice("-+")
            return f"{sign}({text})", lambda row: _signed(sign, one(row)), False
        if chance < 0.4:
            text, one, _ = self._value(depth - 1)
            return f"abs({text})", lambda row: _signed("abs", one(row)), False
        (left, one, _), (right, two, _) = self._value(depth - 1), self._value(depth - 1)
        both = self._is_whole(one) and self._is_whole(two)
        operation = self.random.choice(["+", "-", "*", "/", "//", "%", *["&", "|", "^", "<<", ">>"] * both])
        exact = False
        if operation in ("//", "%") and both and self.random.random() < 0.6:
            number = self.random.choice((1, 2, 7, 1000, 2**63, 2**64 + 1))
            right, two, exact = str(number), lambda row: number, True
        elif operation in ("<<", ">>") and self.random.random() < 0.7:
            count = self.random.choice((0, 1, 5, 63, 64, 100, 126, 127, 128, 2**64, 10**39))
            right, two = str(count), lambda row: nearest(count)
        elif right.isdigit() or right.startswith("0x"):
            right = f"(0 + {right})"
        return (
            f"({left}) {operation} ({right})",
            lambda row: computed(one(row), operation, two(row), exact=exact),
            False,
        )

    @staticmethod
    def _is_whole(value: Rows) -> bool:
        return isinstance(value(0), int)


def _signed(sign: str, value: float) -> float:
    if sign == "~":
        return ~value
    value = {"-": operator.neg, "+": operator.pos, "abs": abs}[sign](value)
    return nearest(value) if isinstance(value, int) else value
