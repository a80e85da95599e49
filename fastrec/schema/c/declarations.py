"""Declarations of C: from their tokens to types."""

from __future__ import annotations

import os
from collections.abc import Mapping

from fastrec.errors import SchemaError
from fastrec.schema.abi import Abi
from fastrec.schema.c.types import Record

__all__ = ["parse"]


def parse(
    text: str,
    name: str | None,
    *,
    abi: Abi,
    pack: int | None,
    defines: Mapping[str, int | str],
    include: tuple[str | os.PathLike[str], ...],
) -> Record:
    """Return the struct or union called `name`, whose ``tag`` is then its name; see `Schema.from_c`."""
    raise SchemaError("not yet")
