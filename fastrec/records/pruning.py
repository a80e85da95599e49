"""What zones say of a condition, before a record is read: that none meets it, all do, or some may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastrec.core.condition import OPERATIONS, RELATIONS
from fastrec.expressions.steps import Step, Steps
from fastrec.records.chunks import ZONE
from fastrec.schema import Schema
from fastrec.schema.forms import Store, payload_offset
from fastrec.schema.loads import Load, load

__all__ = ["Pruning", "Verdict"]


class Verdict(NamedTuple):
    """Of each zone: whether a record of it may meet a condition, and whether all must. Arrays of bool."""

    may: np.ndarray
    must: np.ndarray

    def first(self, count: int) -> Verdict:
        """Of so many zones."""
        return Verdict(self.may[:count], self.must[:count])


class _Between(NamedTuple):
    """Of each zone the smallest and the largest number, NaN aside; and how much of it is NaN."""

    least: np.ndarray
    most: np.ndarray
    some_nan: np.ndarray
    all_nan: np.ndarray


class _Constant(NamedTuple):
    """The same number for all records."""

    value: float


class Pruning:
    """The steps of a condition, taken for zones in place of records.

    Parameters
    ----------
    steps : Steps
    schema : Schema
    store : "every" or "changes"

    Attributes
    ----------
    columns : list of int
        Which numeric fields of the schema the zones are to have.
    useful : bool
        Whether they can tell anything.
    """

    def __init__(self, steps: Steps, schema: Schema, store: Store) -> None:
        self._steps = steps.steps
        self._patterns = np.array(steps.patterns, np.uint64)
        begin = payload_offset(store)
        numeric = enumerate(schema.numeric)
        asked = {one.offset - begin for one in steps.loads}
        columns = {load(one, begin): place for place, one in numeric if one.offset in asked}
        # Bits are asked of words without a sign; in zones they may have one.
        signed = {one._replace(kind="u"): place for one, place in columns.items() if one.kind == "i"}
        known = [(columns.get(one), columns.get(one, signed.get(one))) for one in steps.loads]
        self.columns = sorted({place for _, place in known if place is not None})
        at = {place: number for number, place in enumerate(self.columns)}
        self._loads = [(one, at.get(place)) for one, (place, _) in zip(steps.loads, known, strict=True)]
        self._words = [at.get(place) for _, place in known]
        numbers = {"field", "among", "real", "whole"}
        self.useful = any(
            step.kind == "given"
            or (step.kind in numbers and self._loads[step.field][1] is not None)
            or (step.kind == "masked" and self._words[step.field] is not None)
            for step in self._steps
        )

    def verdict(self, zones: np.ndarray, changed: Sequence[np.ndarray]) -> Verdict:
        """What these zones say.

        Parameters
        ----------
        zones : ndarray of told_dtype(k), shape (z,)
            Of the `columns`.
        changed : sequence of ndarray of bool, shape (z,)
            Whether any record is one with which a field changed, for each that the condition asks for.
        """
        stack: list[Verdict | _Between | _Constant | None] = []
        for step in self._steps:
            self._take(step, zones, changed, stack)
        may, must = _verdict(stack[0], len(zones))
        # A record is at least one poll: a zone that has fewer than records was made up.
        sound = zones["polls"] >= ZONE
        return Verdict(may | ~sound, must & sound)

    def _take(self, step: Step, zones: np.ndarray, changed: Sequence[np.ndarray], stack: list) -> None:
        match step.kind:
            case "truth":
                stack.append(_certain(np.full(len(zones), bool(step.low))))
            case "field":
                where, column = self._loads[step.field]
                between = self._between(where, column, zones)
                wanted = np.array([step.low], np.uint64).view(f"<{where.kind}8")[0]
                stack.append(between and _related(between, RELATIONS[step.how], wanted))
            case "among":
                where, column = self._loads[step.field]
                table = self._patterns[step.place : step.place + step.count]
                between = self._between(where, column, zones)
                stack.append(between and _among(between, np.sort(table.view(f"<{where.kind}8"))))
            case "masked":
                stack.append(self._masked(step, zones))
            case "given":
                stack.append(Verdict(changed[step.place], np.zeros(len(zones), bool)))
            case "and" | "or":
                one, other = (_verdict(stack.pop(), len(zones)) for _ in range(2))
                both = np.logical_and if step.kind == "and" else np.logical_or
                stack.append(Verdict(both(one.may, other.may), both(one.must, other.must)))
            case "not":
                one = _verdict(stack.pop(), len(zones))
                stack.append(Verdict(~one.must, ~one.may))
            case "real":
                where, column = self._loads[step.field]
                stack.append(self._between(where, column, zones, real=True))
            case "real is":
                stack.append(_Constant(_double(step.low)))
            case "physical" | "parts":
                stack.append(_scaled(step, stack.pop()))
            case "near":
                stack.append(_near(step, stack.pop()))
            case "nan":
                one = stack.pop()
                stack.append(Verdict(one.some_nan, one.all_nan) if isinstance(one, _Between) else None)
            case "reals":
                other, one = stack.pop(), stack.pop()
                known = isinstance(one, _Between) and isinstance(other, _Constant)
                stack.append(_related(one, RELATIONS[step.how], other.value) if known else None)
            case "on whole" | "on real" | "to real" | "wholes" | "whole real" | "real whole":
                # What is computed is computed of records.
                if step.kind == "to real" or (step.kind.startswith("on ") and step.how >= _UNARY):
                    stack[-1 - (step.how if step.kind == "to real" else 0)] = None
                else:
                    del stack[-2:]
                    stack.append(None)
            case _:
                stack.append(None)

    def _between(
        self, where: Load, column: int | None, zones: np.ndarray, *, real: bool = False
    ) -> _Between | None:
        if column is None:
            return None
        least, most = (
            np.ascontiguousarray(zones[name][:, column]).view(f"<{where.kind}8") for name in ("min", "max")
        )
        if real:
            least, most = least.astype(np.float64), most.astype(np.float64)
        nan = zones["nan"][:, column]
        return _Between(least, most, nan > 0, nan == zones["polls"])

    def _masked(self, step: Step, zones: np.ndarray) -> Verdict | None:
        where, column = self._loads[step.field][0], self._words[step.field]
        if column is None:
            return None
        width = where.width or 8 * where.size
        least, most = (zones[name][:, column] for name in ("min", "max"))
        same = least == most
        meets = (least & np.uint64(step.low & (1 << width) - 1)) == np.uint64(step.high)
        return Verdict(~same | meets, same & meets)


_UNARY = OPERATIONS.index("negative")
"""From here on operations take one value."""


def _certain(truth: np.ndarray) -> Verdict:
    return Verdict(truth, truth)


def _verdict(found: Verdict | None, count: int) -> Verdict:
    """Nothing is known where there is none."""
    if isinstance(found, Verdict):
        return found
    return Verdict(np.ones(count, bool), np.zeros(count, bool))


def _double(pattern: int) -> float:
    return float(np.array([pattern], np.uint64).view(np.float64)[0])


def _related(one: _Between, relation: str, wanted: np.generic | float) -> Verdict:
    least, most, some_nan, all_nan = one
    match relation:
        case "==" if wanted != wanted:
            return Verdict(some_nan, all_nan)
        case "==":
            may, must = (least <= wanted) & (most >= wanted), (least == wanted) & (most == wanted)
        case "!=":
            inner = _related(one, "==", wanted)
            return Verdict(~inner.must, ~inner.may)
        case "<":
            may, must = least < wanted, most < wanted
        case "<=":
            may, must = least <= wanted, most <= wanted
        case ">":
            may, must = most > wanted, least > wanted
        case _:
            may, must = most >= wanted, least >= wanted
    return Verdict(may & ~all_nan, must & ~some_nan)


def _among(one: _Between, table: np.ndarray) -> Verdict:
    low = np.searchsorted(table, one.least, "left")
    high = np.searchsorted(table, one.most, "right")
    return Verdict(high > low, (high > low) & (one.least == one.most))


def _scaled(step: Step, one: _Between | None) -> _Between | None:
    """Rounding keeps the order, so the ends stay the ends."""
    if one is None:
        return None
    low, high = _double(step.low), _double(step.high)
    with np.errstate(over="ignore", invalid="ignore"):
        ends = [
            end * low + high if step.kind == "physical" else (end + low) / high
            for end in (one.least, one.most)
        ]
    if (low if step.kind == "physical" else high) < 0:
        ends.reverse()
    # An infinity times a scale that is none, or of another sign, is no number: then nothing is known.
    if any(np.isnan(end[~one.all_nan]).any() for end in ends):
        return None
    return _Between(*ends, one.some_nan, one.all_nan)


def _near(step: Step, one: _Between | None) -> Verdict | None:
    if one is None:
        return None
    wanted, far = _double(step.low), _double(step.high)
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = one.least - wanted, one.most - wanted
        may = ((low <= far) & (high >= -far)) | ((one.least <= wanted) & (one.most >= wanted))
        must = (np.abs(low) <= far) & (np.abs(high) <= far)
    return Verdict(may & ~one.all_nan, must & ~one.some_nan)
