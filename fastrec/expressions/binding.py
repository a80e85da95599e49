"""What an expression means for a schema: names become fields and labels, the tree steps of the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from fastrec.durations import is_unit, unit_ns
from fastrec.errors import SchemaError
from fastrec.expressions.fields import Bound, FieldTests
from fastrec.expressions.parsing import parse
from fastrec.expressions.tree import (
    MAX_LENGTH,
    Binary,
    Call,
    Compare,
    Constant,
    Duration,
    In,
    Logic,
    Name,
    Node,
    Number,
    Text,
    Unary,
    names,
    walk,
)
from fastrec.schema import Field
from fastrec.schema.labels import Flags, Masked
from fastrec.schema.loads import load
from fastrec.schema.readable import is_scaled

__all__ = ["Bound", "Lookup", "bind"]

Lookup = Callable[[str], tuple[Field, int]]
"""From a name to its field, and where its payload begins in a record; SchemaError if there is none."""

_parsed = lru_cache(maxsize=64)(parse)  # what is followed is asked the same again and again

_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def bind(lookup: Lookup, text: str | None, wanted: Mapping[str, object]) -> Bound:
    """What an expression means, and that named fields have the values given; one of them at least.

    Parameters
    ----------
    lookup : Lookup
    text : str or None
        An expression.
    wanted : mapping
        By name a label, the physical value, the characters of a char array, a text, None for NULL, or
        `fastrec.LOST`. NaN finds NaN.

    Raises
    ------
    ExpressionError
        The text is no expression, or not one about these fields.
    SchemaError
        A field or label is unknown, or a field can hold no such value.
    """
    bound = Bound()
    if text is not None:
        _Binder(text, lookup, bound).condition(_parsed(text))
    named = FieldTests(None, bound)
    for count, (name, value) in enumerate(wanted.items()):
        named.field_is(*lookup(name), value)
        if count or text is not None:
            bound.steps.add("and")
    return bound


class _Binder(FieldTests):
    """Puts the steps of one expression together."""

    def __init__(self, text: str, lookup: Lookup, bound: Bound) -> None:
        super().__init__(text, bound)
        self._lookup = lookup
        self._unit = "ns"

    def _field(self, node: Name) -> tuple[Field, int]:
        try:
            return self._lookup(node.text)
        except SchemaError as error:
            self._refuse(node.at, str(error))

    # Conditions

    def condition(self, node: Node) -> None:
        """Steps that leave the truth of a node."""
        match node:
            case Logic():
                for part in self._steps.joined(node.operator, node.parts):
                    self.condition(part)
            case Unary(operator="not"):
                self.condition(node.operand)
                self._steps.add("not")
            case Compare():
                self._compare(node)
            case In():
                self._among(node)
            case Call(function="has"):
                self._has(node)
            case Call(function="changed"):
                self._changed(node)
            case Call(function="isnan"):
                self._real(node.arguments[0])
                self._steps.add("nan")
            case Constant() if isinstance(node.value, bool):
                self._steps.truth(node.value)
            case Name():
                self._flag(node)
            case _:
                self._refuse(node.at, "is a value and no condition; compare it, as in 'hr < 0'")

    def _flag(self, node: Name) -> None:
        one, begin = self._field(node)
        if one.shape or (one.dtype.kind != "b" and (one.bits is None or one.bits[1] != 1)):
            self._refuse(node.at, f"{node.text!r:.60} is no flag; compare it, as in '{node.text:.60} != 0'")
        self._steps.whole(load(one, begin), "!=", 0)

    def _compare(self, node: Compare) -> None:
        for side, other, relation in (
            (node.left, node.right, node.operator),
            (node.right, node.left, _MIRRORED[node.operator]),
        ):
            if isinstance(side, Name) and self._is_field(side):
                one, begin = self._field(side)
                value = self._constant(other, one)
                if value is not _NOTHING:
                    self.relate(one, begin, relation, value, other.at)
                    return
        self._unit = self._unit_of(node)
        kinds = self._value(node.left), self._value(node.right)
        relations = {
            ("whole", "whole"): "wholes",
            ("real", "real"): "reals",
            ("whole", "real"): "whole real",
            ("real", "whole"): "real whole",
        }
        self._steps.relate(relations[kinds], node.operator)

    def _is_field(self, node: Name) -> bool:
        try:
            self._lookup(node.text)
        except SchemaError:
            return False
        return True

    def _constant(self, node: Node, one: Field) -> object:
        """What a node stands for beside a field; `_NOTHING` if it is to be computed."""
        match node:
            case Number() | Text() | Constant():
                return node.value
            case Duration():
                return _in_unit(node, one.unit)
            case Unary(operator="-" | "+", operand=Number() | Duration() as operand):
                value = self._constant(operand, one)
                return -value if node.operator == "-" else value
            case Name() if not self._is_field(node):
                if one.labels is None:
                    self._field(node)  # it is neither
                return node.text
        return _NOTHING

    def _among(self, node: In) -> None:
        if isinstance(node.item, Name) and self._is_field(node.item):
            one, begin = self._field(node.item)
            values = [self._constant(choice, one) for choice in node.choices]
            if _NOTHING in values:
                self._refuse(node.at, "a list holds values, not fields; write comparisons joined by 'or'")
            plain = one.dtype.kind in "iu" and not (one.shape or one.pointer or is_scaled(one))
            if one.text:
                self._text_is(one, begin, values, [choice.at for choice in node.choices])
            elif plain and all(type(value) is int for value in values):
                self._steps.among(load(one, begin), {self.stored(one, value) for value in values})
            else:
                for choice, value in self._steps.joined("or", zip(node.choices, values, strict=True)):
                    self.relate(one, begin, "==", value, choice.at)
        else:
            if sum(1 for _ in walk(node.item)) * len(node.choices) > MAX_LENGTH:
                self._refuse(node.at, "is much to compute so often; compare a field, or with fewer values")
            for choice in self._steps.joined("or", node.choices):
                self._compare(Compare("==", node.item, choice, node.at))
        if node.negated:
            self._steps.add("not")

    # Values that are computed

    def _unit_of(self, node: Compare) -> str:
        """The unit of time of the fields that are compared with durations; they must have the same one."""
        durations = [one for one, _ in walk(node) if isinstance(one, Duration)]
        units = {self._field(one)[0].unit for one in names(node)} if durations else set()
        units = {one for one in units if is_unit(one)}
        if len(units) > 1:
            found = " and ".join(sorted(units))
            self._refuse(durations[0].at, f"these fields are in {found}; write this duration as a number")
        return units.pop() if units else "ns"

    def _value(self, node: Node) -> str:
        """Steps that leave a number; whether it is ``"whole"`` or ``"real"``."""
        match node:
            case Number() | Constant() if isinstance(node.value, float):
                self._steps.is_real(node.value)
                return "real"
            case Number() | Constant() if isinstance(node.value, int):
                self._steps.is_whole(int(node.value))
                return "whole"
            case Duration():
                return self._value(Number(_in_unit(node, self._unit), node.at))
            case Name():
                one, begin = self._field(node)
                self._check_scalar(one, node.at)
                if one.text or one.dtype.kind not in "iubf":
                    what = "a text" if one.text else str(one.dtype)
                    self._refuse(node.at, f"{one.name} is {what}, and nothing to compute with")
                return self._number(one, begin)
            case Unary(operator="-", operand=Number() as number):
                return self._value(Number(-number.value, number.at))  # one number, also where the end is near
            case Unary(operator="-" | "+" | "~"):
                kind = self._value(node.operand)
                if node.operator == "~":
                    self._check_whole(kind, node)
                if node.operator != "+":
                    self._steps.on(kind, "negative" if node.operator == "-" else "~")
                return kind
            case Call(function="abs"):
                kind = self._value(node.arguments[0])
                self._steps.on(kind, "abs")
                return kind
            case Binary():
                return self._computed(node)
        return self._refuse(node.at, "is no number to compute or to compare with")

    def _real(self, node: Node) -> None:
        if self._value(node) == "whole":
            self._steps.add("to real")

    def _check_whole(self, kind: str, node: Unary | Binary) -> None:
        if kind == "real":
            self._refuse(node.at, f"{node.operator!r} is for whole numbers, which have bits")

    def _computed(self, node: Binary) -> str:
        kinds = [self._value(node.left), self._value(node.right)]
        if node.operator in ("&", "|", "^", "<<", ">>"):
            for kind in kinds:
                self._check_whole(kind, node)
        divisor = node.right
        while isinstance(divisor, Unary) and divisor.operator in ("-", "+"):
            divisor = divisor.operand
        # By what may be 0 it is divided as doubles are, which have an answer to that.
        whole = kinds == ["whole", "whole"] and (
            node.operator not in ("/", "//", "%")
            or (node.operator != "/" and isinstance(divisor, Number) and divisor.value != 0)
        )
        if not whole:
            for place, kind in enumerate(reversed(kinds)):
                if kind == "whole":
                    self._steps.add("to real", how=place)
        kind = "whole" if whole else "real"
        self._steps.on(kind, node.operator)
        return kind

    # Functions

    def _argument(self, node: Call) -> tuple[Name, Field, int]:
        name = node.arguments[0]
        if not isinstance(name, Name):
            self._refuse(name.at, f"{node.function}() asks of a field, by its name")
        return name, *self._field(name)

    def _has(self, node: Call) -> None:
        name, one, begin = self._argument(node)
        self._check_scalar(one, name.at)
        if one.text or (not isinstance(one.labels, Flags | Masked) and one.dtype.kind not in "iu"):
            what = "a text" if one.text else str(one.dtype)
            self._refuse(name.at, f"{one.name} is {what}; has() is for words of bits")
        where = load(one, begin)
        for flag in self._steps.joined("and", node.arguments[1:]):
            mask = bits = label = self._constant(flag, one)
            if isinstance(label, str):
                mask = bits = self._labelled(one, label, flag.at)[0]
                if isinstance(one.labels, Masked):
                    states = {name: (mask, value) for name, mask, value in one.labels.patterns}
                    mask, bits = states.get(label, (mask, bits))
            if type(bits) is not int or not 0 <= bits < 2**64:
                self._refuse(flag.at, "has() takes labels, or bits as a number")
            self._steps.masked(where, mask, bits)

    def _changed(self, node: Call) -> None:
        name = self._argument(node)[0].text
        if name not in self.bound.changed:
            self.bound.changed.append(name)
        self._steps.add("given", place=self.bound.changed.index(name))


def _in_unit(node: Duration, unit: str) -> int | float:
    ns = unit_ns(unit)
    return node.ns // ns if node.ns % ns == 0 else node.ns / ns


class _Nothing:
    """That a node stands for no value by itself."""


_NOTHING = _Nothing()
