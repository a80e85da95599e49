"""Which fields there are, and what one is, in words and as JSON, alike in every verb."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fastrec.cli.output import complain
from fastrec.errors import SchemaError, suggest
from fastrec.records import Records
from fastrec.records.columns import column_names, has_column
from fastrec.schema import Field, Schema
from fastrec.schema.forms import COLUMNS

__all__ = ["about_field", "check_known", "columns", "has", "meaning_of", "tell_renamed", "type_of", "unknown"]

_SHOWN_LABELS = 4
_RENAMED = re.compile(rf"({'|'.join(name for name, _ in COLUMNS)})_+(?=[.\[]|$)")


def about_field(field: Field) -> dict[str, Any]:
    """All that is known of a field, as JSON has it."""
    numbered = field.labels is not None and field.labels.kind != "hresult"
    return {
        "name": field.name,
        "type": field.dtype.str,
        "offset": field.offset,
        "size": field.nbytes,
        "shape": list(field.shape),
        "bits": list(field.bits) if field.bits else None,
        "unit": field.unit,
        "scale": field.scale,
        "bias": field.bias,
        "text": field.text,
        "pointer": field.pointer,
        "labels": field.labels.kind if field.labels else None,
        "enumerators": dict(field.labels.enumerators) if numbered else None,
        "doc": field.doc,
    }


def type_of(field: Field) -> str:
    """The type of a field, such as ``u4``, ``u2[6]``, ``i4:3`` of a bit-field, ``text``, ``pointer``."""
    if field.text:
        return "text" if field.text is True else f"text {field.text}"
    code = "pointer" if field.pointer else field.dtype.str.lstrip("<|")
    return code + (f":{field.bits[1]}" if field.bits else "") + "".join(f"[{n}]" for n in field.shape)


def meaning_of(field: Field, *, values: bool = False) -> str:
    """Doc, scale and labels, the first few of them; with `values` what they stand for, too."""
    parts = [" ".join(field.doc.split())] if field.doc else []
    if field.scale != 1.0 or field.bias != 0.0:
        parts.append(f"raw * {field.scale:g}" + (f" + {field.bias:g}" if field.bias else ""))
    if field.labels is not None and field.labels.kind == "hresult":
        parts.append("hresult")
    elif field.labels is not None:
        named = [f"{name}={value}" if values else name for name, value in field.labels.enumerators]
        parts.append(", ".join(named[:_SHOWN_LABELS]) + (" ..." if len(named) > _SHOWN_LABELS else ""))
    return "; ".join(parts)


def tell_renamed(schemas: Iterable[Schema]) -> None:
    """Say on stderr which fields of a schema do not have the name that C gave them."""
    new: dict[str, dict[str, None]] = {}
    for schema in schemas:
        for found in filter(None, (_RENAMED.match(field.name) for field in schema.fields)):
            new.setdefault(found[1], {})[found[0]] = None
    for old, names in new.items():
        complain(f"{old} is a column of the recorder; a field of this name is called {' or '.join(names)}")


def columns(records: Records) -> list[str]:
    """Names of all columns."""
    return column_names(records.schema, records.store)


def has(records: Records, name: str) -> bool:
    """Whether a name is a column, or an element of one, be it outside."""
    return has_column(records.schema, records.store, name)


def check_known(channels: Mapping[str, Records], names: Iterable[str]) -> None:
    """Refuse a name that is a column of none of the channels, nor an element of one."""
    for name in names:
        if not any(has(records, name) for records in channels.values()):
            raise SchemaError(unknown(channels, name))


def unknown(channels: Mapping[str, Records], name: str) -> str:
    """What is said of a name that no column has."""
    known = dict.fromkeys(column for records in channels.values() for column in columns(records))
    return f"no field {name!r:.80} in {', '.join(channels)}{suggest(name, known)}"
