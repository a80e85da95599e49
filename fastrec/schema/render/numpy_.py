"""A schema as Python that makes its dtype with NumPy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastrec.schema.members import Struct
from fastrec.schema.render.python import constants, heading

if TYPE_CHECKING:
    from fastrec.schema.model import Schema

__all__ = ["render"]


def render(schema: Schema, layout: Struct) -> str:
    """Return a module with ``dtype``, equal to `Schema.dtype`, and the constants of `constants`."""
    lines = [heading(schema), "import numpy as np", "", f"dtype = {_expression(schema.dtype, '')}"]
    return "\n".join([*lines, *constants(schema)]) + "\n"


def _expression(dtype: np.dtype, indent: str) -> str:
    below = indent + "    "
    fields = [dtype.fields[name] for name in dtype.names]
    formats = [_format(field[0], below + "    ") for field in fields]
    return (
        "np.dtype({\n"
        f'{below}"names": {list(dtype.names)!a},\n'
        f'{below}"formats": [\n' + "".join(f"{below}    {one},\n" for one in formats) + f"{below}],\n"
        f'{below}"offsets": {[field[1] for field in fields]},\n'
        f'{below}"itemsize": {dtype.itemsize},\n'
        f"{indent}}})"
    )


def _format(dtype: np.dtype, indent: str) -> str:
    element = _expression(dtype.base, indent) if dtype.base.names else repr(dtype.base.str)
    return f"({element}, {dtype.shape})" if dtype.shape else element
