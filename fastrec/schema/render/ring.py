"""A schema as the constant with which a producer in C opens a ring: ``fr_schema`` of ``fastrec/ring.h``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastrec.schema.members import Struct
from fastrec.schema.render.c import identifier
from fastrec.schema.render.pieces import one_line

if TYPE_CHECKING:
    from fastrec.schema.model import Schema

__all__ = ["render"]

_LINE = 96


def render(schema: Schema, layout: Struct) -> str:
    """Return ``static const fr_schema NAME_schema``, and ``NAME_size`` to hold a struct of C against."""
    name = identifier(f"{schema.name}_schema")
    size = identifier(f"{schema.name}_size")
    guard = f"FASTREC_RING_{name}_H"
    json = schema.to_json()
    digest = ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(schema.digest))
    lines = [
        f"/* {one_line(schema.name).replace('*/', '* /')}: {schema.abi}, fastrec schema {schema.digest}",
        " *",
        f' * Behind the struct: _Static_assert(sizeof(the struct) == {size}, "its layout"); */',
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <fastrec/ring.h>",
        "",
        f"enum {{ {size} = {schema.size} }};",
        "",
        f"static const fr_schema {name} = {{",
        *(f'    "{_escaped(json[at : at + _LINE])}"' for at in range(0, len(json), _LINE)),
        f"    , {len(json)}, {schema.size}, {len(schema.texts)},",
        f"    {{{digest}}},",
        "};",
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    # Two question marks would begin a trigraph.
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
