"""Steps that the core takes to tell which records meet a condition, as they are put together."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np

from fastrec.core.condition import OPERATIONS, RELATIONS, Condition
from fastrec.schema.loads import Load

__all__ = ["Step", "Steps", "bits_of"]

_Item = TypeVar("_Item")

_WORD = 2**64
_WHOLE_MAX = 2**127 - 1


class Step(NamedTuple):
    """One step; what it does is said in ``condition.h``.

    Attributes
    ----------
    kind : str
        Of `fastrec.core.condition.KINDS`.
    how, field, place, count, low, high : int
        As the kind needs them.
    """

    kind: str
    how: int = 0
    field: int = 0
    place: int = 0
    count: int = 0
    low: int = 0
    high: int = 0


class Steps:
    """Steps in the order in which they are taken.

    Attributes
    ----------
    steps : list of Step
    loads : list of Load
        The numbers that they read.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.loads: list[Load] = []
        self.patterns: list[int] = []
        self._data = bytearray()

    def condition(self) -> Condition:
        """What the core makes of them."""
        table = np.array(self.patterns, np.uint64)
        return Condition(steps=self.steps, fields=self.loads, patterns=table, data=bytes(self._data))

    def add(self, kind: str, **operands: int) -> None:
        """One more step."""
        self.steps.append(Step(kind, **operands))

    def joined(self, operator: str, items: Iterable[_Item]) -> Iterator[_Item]:
        """The items, one by one; what the caller adds for each is joined with what it added before."""
        for count, item in enumerate(items):
            yield item
            if count:
                self.add(operator)

    def truth(self, value: bool) -> None:
        self.add("truth", low=int(value))

    def load(self, load: Load) -> int:
        """Which of the numbers it is; a new one is added."""
        if load not in self.loads:
            self.loads.append(load)
        return self.loads.index(load)

    def is_whole(self, value: int) -> None:
        """A whole number; beyond 128 bits the nearest."""
        value = min(max(value, -_WHOLE_MAX - 1), _WHOLE_MAX)
        self.add("whole is", low=value % _WORD, high=(value >> 64) % _WORD)

    def is_real(self, value: float) -> None:
        self.add("real is", low=bits_of(value))

    def on(self, kind: str, operation: str) -> None:
        """An operation on the ``"whole"`` or the ``"real"`` values before it."""
        self.add(f"on {kind}", how=OPERATIONS.index(operation))

    def relate(self, kind: str, relation: str) -> None:
        """A relation of the two values before it: ``"wholes"``, ``"reals"``, ``"whole real"`` ..."""
        self.add(kind, how=RELATIONS.index(relation))

    def real(self, load: Load, relation: str, value: float) -> None:
        """A double of the record in a relation to another."""
        self.add("field", how=RELATIONS.index(relation), field=self.load(load), low=bits_of(value))

    def whole(self, load: Load, relation: str, value: int | float) -> None:
        """A whole number of the record in a relation to any number; nothing is rounded."""
        least, most = _ends_of(load)
        if isinstance(value, float):
            if math.isnan(value):
                self.truth(relation == "!=")
                return
            if math.isinf(value):
                value = most + 1 if value > 0 else least - 1
            elif value.is_integer():
                value = int(value)
            elif relation in ("==", "!="):
                self.truth(relation == "!=")
                return
            else:  # between two whole numbers
                value, relation = math.floor(value), {"<": "<=", ">=": ">"}.get(relation, relation)
        if value > most:
            self.truth(relation in ("<", "<=", "!="))
        elif value < least:
            self.truth(relation in (">", ">=", "!="))
        else:
            how = RELATIONS.index(relation)
            self.add("field", how=how, field=self.load(load), low=value % _WORD)

    def among(self, load: Load, values: set[int]) -> None:
        """Whether a whole number of the record is one of several."""
        least, most = _ends_of(load)
        found = sorted(value % _WORD for value in values if least <= value <= most)
        if not found:
            self.truth(False)
            return
        self.add("among", field=self.load(load), place=len(self.patterns), count=len(found))
        self.patterns += found

    def masked(self, load: Load, mask: int, value: int) -> None:
        """Whether some bits of a word are these."""
        self.add("masked", field=self.load(load._replace(kind="u")), low=mask, high=value)

    def bytes(self, offset: int, data: bytes) -> None:
        """Whether these bytes stand at an offset of the record."""
        self.add("bytes", low=offset, place=len(self._data), count=len(data))
        self._data += data


def _ends_of(load: Load) -> tuple[int, int]:
    """The smallest and the largest pattern of a whole number."""
    return (-(2**63), 2**63 - 1) if load.kind == "i" else (0, _WORD - 1)


def bits_of(value: float) -> int:
    """The pattern of a double."""
    return struct.unpack("<Q", struct.pack("<d", value))[0]
