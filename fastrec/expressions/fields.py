"""Whether a field has a value: a label, a physical value, a text; and how it compares with one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from fastrec.errors import SchemaError, shown
from fastrec.expressions.pointing import pointed
from fastrec.expressions.steps import Steps, bits_of
from fastrec.schema import Field
from fastrec.schema.hresult import HResultLabels
from fastrec.schema.labels import Masked
from fastrec.schema.loads import Load, load
from fastrec.schema.readable import is_scaled, parts_of
from fastrec.schema.texts import LOST

__all__ = ["Bound", "FieldTests"]

_NEAR = 1e-6
"""Of a field's scale."""


@dataclass
class Bound:
    """A condition on records of one schema.

    Attributes
    ----------
    steps : Steps
    texts : list of (Field, tuple of texts)
        What is compared with texts behind pointers: list `n` of ids that the core asks for is of the `n`-th.
    changed : list of str
        Fields that are asked whether they changed: list `n` of truths is of the `n`-th.
    """

    steps: Steps = field(default_factory=Steps)
    texts: list[tuple[Field, tuple[object, ...]]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


class FieldTests:
    """Steps that compare one field with a value.

    Parameters
    ----------
    text : str or None
        The expression that is put together, for messages.
    bound : Bound
        What they are added to.
    """

    def __init__(self, text: str | None, bound: Bound) -> None:
        self._text = text
        self.bound = bound
        self._steps = bound.steps

    def _refuse(self, at: int, message: str) -> NoReturn:
        raise SchemaError(message) if self._text is None else pointed(self._text, at, message)

    def relate(self, one: Field, begin: int, relation: str, value: object, at: int) -> None:
        """Steps that leave whether a field is in a relation to a value."""
        if relation in ("==", "!="):
            self.field_is(one, begin, value, at)
            if relation == "!=":
                self._steps.add("not")
            return
        self._check_scalar(one, at)
        if isinstance(value, str) and one.labels is not None and not isinstance(one.labels, Masked):
            # Of the spellings of one value the last has no sign.
            where, values = self._word(one, begin), self._labelled(one, value, at)
            self._steps.whole(where, relation, values[-1 if where.kind == "u" else 0])
            return
        if one.dtype.kind not in "iubf" or not isinstance(value, int | float):
            what = "is a text" if one.text else f"is {one.dtype}"
            self._refuse(at, f"{one.name} {what}; it is neither more nor less than {shown(value)}")
        if one.dtype.kind != "f" and not is_scaled(one):
            self._steps.whole(load(one, begin), relation, value)
            return
        self._number(one, begin)
        if isinstance(value, int):
            value, relation = _double_below(value, relation)
        elif not is_scaled(one):
            # As where it is asked for by ==, or a number would be equal to it, and more as well.
            value = value if (near := _nearest(one.dtype, value)) is None else near
        self._steps.is_real(value)
        self._steps.relate("reals", relation)

    def _check_scalar(self, one: Field, at: int) -> None:
        if one.shape:
            place = one.name + "[0]" * len(one.shape)
            self._refuse(at, f"{one.name} is an array of {one.shape}; compare an element, such as {place!r}")

    def field_is(self, one: Field, begin: int, wanted: object, at: int = 0) -> None:
        """Steps that leave whether a field has a value, of a scaled field the nearest one."""
        self._check_scalar(one, at)
        if isinstance(wanted, np.generic) and not isinstance(wanted, np.void):
            wanted = wanted.item()
        if one.text:
            self._text_is(one, begin, [wanted], [at])
        elif one.dtype.kind in "SV":
            self._bytes(one, begin, wanted, at)
        elif isinstance(wanted, str):
            self._label(one, begin, wanted, at)
        elif not isinstance(wanted, int | float | complex):
            self._refuse(
                at, f"{one.name} is {one.dtype}; it is never {wanted!r} of type {type(wanted).__name__}"
            )
        elif one.dtype.kind == "c":
            self._complex(one, begin, wanted)
        elif isinstance(wanted, complex) and wanted.imag:
            self._steps.truth(False)
        elif isinstance(wanted, complex):
            self.field_is(one, begin, wanted.real, at)
        elif is_scaled(one):
            self._physical(one, begin, wanted)
        elif one.dtype.kind == "f":
            self._float(one, load(one, begin), wanted)
        elif one.dtype.kind == "b":
            self._truth(load(one, begin), wanted)
        else:
            self._steps.whole(load(one, begin), "==", self.stored(one, wanted))

    def _truth(self, where: Load, wanted: int | float) -> None:
        """Memory may hold other trues than 1."""
        if wanted in (0, 1):
            self._steps.whole(where, "!=" if wanted else "==", 0)
        else:
            self._steps.truth(False)

    def stored(self, one: Field, value: int | float) -> int | float:
        """A number as a field holds it: an HRESULT is written with a sign, and as often without."""
        if not isinstance(one.labels, HResultLabels) or not -(2**31) <= value < 2**32:
            return value
        if one.dtype.kind == "i":
            return value - 2**32 if value >= 2**31 else value
        return value % 2**32

    def _text_is(self, one: Field, begin: int, wanted: Sequence[object], at: Sequence[int]) -> None:
        for text, place in zip(wanted, at, strict=True):
            if text is not None and text is not LOST and not isinstance(text, str):
                self._refuse(
                    place,
                    f"{one.name} is a text; compare it with a str, None or fastrec.LOST, not {shown(text)}",
                )
        self._steps.add("text", place=len(self.bound.texts), field=self._steps.load(load(one, begin)))
        self.bound.texts.append((one, tuple(wanted)))

    def _labelled(self, one: Field, label: str, at: int) -> tuple[int, ...]:
        if one.labels is None:
            self._refuse(at, f"{one.name} has no labels, so it is never {label!r}; compare it with a number")
        try:
            return one.labels.values(label)
        except SchemaError as error:
            self._refuse(at, str(error))

    def _word(self, one: Field, begin: int) -> Load:
        """How to read a field as its labels take it: words of bits have no sign."""
        where = load(one, begin)
        return where._replace(kind="u") if one.labels is not None and one.labels.of_words else where

    def _label(self, one: Field, begin: int, label: str, at: int) -> None:
        values, where = self._labelled(one, label, at), self._word(one, begin)
        labels = one.labels
        states = [name for name, _, _ in labels.patterns] if isinstance(labels, Masked) else []
        if label in states:
            upto = labels.patterns[: states.index(label) + 1]
            for name, mask, value in self._steps.joined("and", upto):
                self._steps.masked(where, mask, value)
                if name != label:
                    self._steps.add("not")  # a word is in the first state that it matches
            return
        for value in self._steps.joined("or", values):
            self._steps.whole(where, "==", value)

    def _bytes(self, one: Field, begin: int, wanted: object, at: int) -> None:
        if isinstance(wanted, str):
            try:
                wanted = wanted.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:  # half a character, of which there are no bytes
                self._steps.truth(False)
                return
        if isinstance(wanted, np.void):
            wanted = wanted.tobytes()
        if not isinstance(wanted, bytes):
            self._refuse(at, f"{one.name} holds bytes; compare it with bytes or text, not {wanted!r}")
        size = one.dtype.itemsize
        if len(wanted) > size or (len(wanted) != size if one.dtype.kind == "V" else 0 in wanted):
            self._steps.truth(False)
            return
        # As C compares: what follows the first NUL of a char array is not part of its text.
        self._steps.bytes(begin + one.offset, wanted + b"\0" if len(wanted) < size else wanted)

    def _float(self, one: Field, where: Load, wanted: int | float) -> None:
        """Of a narrow float, what it can hold of the number."""
        near = _nearest(one.dtype, wanted)
        if near is None:
            self._steps.truth(False)
        elif math.isnan(near):
            self._steps.add("real", field=self._steps.load(where))
            self._steps.add("nan")
        else:
            self._steps.real(where, "==", near)

    def _complex(self, one: Field, begin: int, wanted: complex) -> None:
        half = np.dtype(f"{one.dtype.str[0]}f{one.dtype.itemsize // 2}")
        real = Load(begin + one.offset, "f", half.itemsize, not half.isnative)
        imaginary = real._replace(offset=real.offset + half.itemsize)
        number = np.dtype(np.float64) if is_scaled(one) else half
        parts = (wanted.real, wanted.imag) if isinstance(wanted, complex) else (wanted, 0.0)
        near = [_nearest(number, part) for part in parts]
        if None in near:
            self._steps.truth(False)
            return
        nan = any(map(math.isnan, near))
        for where, value, bias in zip((real, imaginary), near, (one.bias, 0.0), strict=True):
            self._steps.add("real", field=self._steps.load(where))
            if is_scaled(one):
                self._steps.add("physical", low=bits_of(one.scale), high=bits_of(bias))
            if nan:
                self._steps.add("nan")
            else:
                self._steps.add("near", low=bits_of(value), high=bits_of(0.0))
        self._steps.add("or" if nan else "and")

    def _physical(self, one: Field, begin: int, wanted: int | float) -> None:
        try:
            value = float(wanted)
        except OverflowError:
            self._steps.truth(False)
            return
        self._number(one, begin)
        if math.isnan(value):
            self._steps.add("nan")
        elif one.dtype.kind == "f" or not math.isfinite(value):
            self._steps.add("near", low=bits_of(value), high=bits_of(0.0))
            if one.dtype.kind == "f":
                # As without a scale: what a field of float32 can hold of the number.
                raw = (value - one.bias) / one.scale
                if math.isfinite(raw):
                    self._float(one, load(one, begin), raw)
                    self._steps.add("or")
        else:
            # What lies between two raw values by far less than their distance is how it was computed.
            near = max(abs(one.scale) * _NEAR, abs(value) * float(np.finfo(np.float64).eps))
            self._steps.add("near", low=bits_of(value), high=bits_of(near))

    def _number(self, one: Field, begin: int) -> str:
        """Steps that leave the physical value of a field; whether it is ``"whole"`` or ``"real"``."""
        place = self._steps.load(load(one, begin))
        if not is_scaled(one):
            kind = "real" if one.dtype.kind == "f" else "whole"
            self._steps.add(kind, field=place)
            return kind
        self._steps.add("real", field=place)
        if parts := parts_of(one):
            self._steps.add("parts", low=bits_of(float(parts[0])), high=bits_of(float(parts[1])))
        else:
            self._steps.add("physical", low=bits_of(one.scale), high=bits_of(one.bias))
        return "real"


def _double_below(value: int, relation: str) -> tuple[float, str]:
    """The largest double that is no larger than a whole number, and the relation that says the same of it."""
    near = float(value)
    if near == value:
        return near, relation
    near = near if near < value else math.nextafter(near, -math.inf)
    return near, {"<": "<=", ">=": ">"}.get(relation, relation)


def _nearest(dtype: np.dtype, wanted: int | float) -> float | None:
    """The float of a width that a number is meant by; None: none is."""
    with np.errstate(over="ignore"):
        try:
            near = float(dtype.type(wanted))
        except OverflowError:
            return None
    if math.isinf(near) and not (isinstance(wanted, float) and math.isinf(wanted)):
        return None
    return None if isinstance(wanted, int) and int(near) != wanted else near
