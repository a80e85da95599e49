"""What ``--where`` asks for: ``FIELD=VALUE``, or an expression.

It is ``FIELD=VALUE`` if the first sign of ``= == != <= >=`` that is not in quotes is a single ``=``, and what
is before it could be a field. All that is behind it is the value.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fastrec.cli.fields import check_known, has, unknown
from fastrec.errors import SchemaError
from fastrec.expressions import Call, Node, names, parse, pointed
from fastrec.expressions.tree import walk
from fastrec.expressions.words import is_plain
from fastrec.records import Records
from fastrec.records.columns import recorder_columns
from fastrec.schema.texts import LOST

__all__ = ["Condition", "Conditions", "condition", "conditioned"]

_NO_TEXTS = {"NULL": None, "LOST": LOST}
_SIGN = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]+`|(?P<relation>[=!<>]=|=)""",
    re.DOTALL,
)


class Condition(NamedTuple):
    """What one ``--where`` says, before anything is known of the fields.

    Attributes
    ----------
    text : str
        All of it.
    field, value : str or None
        What is before and behind the ``=``; None: it is an expression for sure.
    """

    text: str
    field: str | None = None
    value: str | None = None


def condition(text: str) -> Condition:
    """Read one ``--where``."""
    relation = next((sign for sign in _SIGN.finditer(text) if sign["relation"]), None)
    if not text.strip() or (relation is not None and not relation.start()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no condition; write FIELD=VALUE, or an expression such as 'hr < 0'"
        )
    # A number with a minus sign has come with a blank before it.
    whole = text.lstrip()
    if relation is None or relation["relation"] != "=":
        return Condition(whole)
    return Condition(whole, text[: relation.start()], text[relation.end() :])


class Conditions(NamedTuple):
    """What is to hold of the records of one channel.

    Attributes
    ----------
    expression : str or None
    values : sequence of (str, object)
        Field and value, for one `Records.where` each.
    changes : bool
        Whether the record before matters, too.
    """

    expression: str | None
    values: Sequence[tuple[str, object]]
    changes: bool

    def of(self, records: Records) -> Records:
        """Those of some records for which all of it holds."""
        if self.expression is not None:
            records = records.where(self.expression)
        for name, value in self.values:
            records = records.where(**{name: value})
        return records


def conditioned(
    windows: Mapping[str, Records], where: Iterable[Condition]
) -> dict[str, tuple[Records, Conditions]]:
    """What is to be looked at of each channel, and what is to hold of it.

    Without the channels that have not all the fields, or can hold no such values. Which field has changed
    between two records is asked at once, of all of them: `Conditions.of` may be asked of a part.

    Raises
    ------
    SchemaError
        No channel is left; an expression means nothing, or a name is a column of none of them.
    """
    named: list[tuple[str, str]] = []
    written: list[tuple[str, Node]] = []
    for one in where:
        if one.field is not None and _is_field(windows, one.field):
            named.append((one.field, one.value or ""))
        else:
            written.append((one.text, parse(one.text)))
    check_known(windows, [name for name, _ in named])
    asked = {name for name, _ in named}
    fields = list(dict.fromkeys([*(name for name, _ in named), *_fields(windows, written)]))
    changes = any(
        isinstance(node, Call) and node.function == "changed" for _, tree in written for node, _ in walk(tree)
    )
    chosen: dict[str, tuple[Records, Conditions]] = {}
    refused: list[tuple[int, SchemaError]] = []
    most = 0
    for channel, records in windows.items():
        there = [name for name in fields if has(records, name)]
        most = max(most, len(there))
        if not asked.issubset(there):
            continue
        try:
            conditions = _of_channel(records, named, [text for text, _ in written], changes=changes)
        except SchemaError as error:
            refused.append((len(there), error))
        else:
            if changes:
                records, conditions = (
                    records.where(conditions.expression),
                    conditions._replace(expression=None),
                )
            chosen[channel] = records, conditions
    if not chosen:
        if most < len(fields):
            raise SchemaError(f"none of {', '.join(windows)} has all the fields {', '.join(fields)}")
        raise next(error for there, error in refused if there == most)
    return chosen


def _is_field(windows: Mapping[str, Records], name: str) -> bool:
    return is_plain(name) or any(has(records, name) for records in windows.values())


def _fields(windows: Mapping[str, Records], written: Iterable[tuple[str, Node]]) -> list[str]:
    """Names in expressions that are columns of some channel; the others may be labels."""
    fields = []
    for text, tree in written:
        known = [
            one.text for one in names(tree) if any(has(records, one.text) for records in windows.values())
        ]
        # A label stands beside a field.
        if not known and (first := next(iter(names(tree)), None)):
            raise pointed(text, first.at, unknown(windows, first.text))
        fields += known
    return fields


def _of_channel(
    records: Records, named: Iterable[tuple[str, str]], written: Sequence[str], *, changes: bool
) -> Conditions:
    none = records[:0]
    for text in written:
        none.where(text)  # each by itself, so that a message counts the columns of what was written
    together = " and ".join(f"({text})" for text in written) if len(written) > 1 else "".join(written)
    conditions = Conditions(
        together or None, [(name, _value(records, name, text)) for name, text in named], changes
    )
    # A field that can hold no such value is an error also where there is no record to look at.
    conditions.of(none)
    return conditions


def _value(records: Records, name: str, text: str) -> object:
    """What the user wrote, as the field would hold it; `Records.where` refuses what it cannot hold."""
    if name in recorder_columns(records.store):
        return _number(text)
    field = records.schema.field(name)
    if field.text:
        return _NO_TEXTS.get(text, text)
    if field.labels is not None or field.dtype.kind == "S":
        return text
    if field.dtype.kind == "V":
        return _bytes(text)
    if field.dtype.kind == "b" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    return _number(text)


def _bytes(text: str) -> bytes | str:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text


def _number(text: str) -> complex | str:
    for kind in (lambda one: int(one, 0), float, complex):
        try:
            return kind(text.strip())
        except ValueError:
            continue
    return text
