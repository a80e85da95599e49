"""A schema written out again, as a text that other tools read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastrec.errors import SchemaError, shown, suggest
from fastrec.schema.members import Struct
from fastrec.schema.render import c, ctypes_, msg, numpy_, ring

if TYPE_CHECKING:
    from fastrec.schema.model import Schema

__all__ = ["FORMS", "render"]

FORMS = {
    "c": c.render,
    "ring": ring.render,
    "ctypes": ctypes_.render,
    "numpy": numpy_.render,
    "json": lambda schema, layout: schema.to_json() + "\n",
    "msg": msg.render,
}
"""Forms by name: a function of a schema and its tree to a text that ends its last line."""


def render(schema: Schema, layout: Struct, form: str) -> str:
    """Return the text of a schema in one of `FORMS`; ``layout`` is its tree.

    Raises
    ------
    SchemaError
        There is no such form, or it cannot say this schema.
    """
    if not isinstance(form, str) or form not in FORMS:
        near = suggest(form, FORMS) if isinstance(form, str) else suggest("", FORMS)
        raise SchemaError(f"there is no form {shown(form)} of a schema{near}")
    return FORMS[form](schema, layout)
