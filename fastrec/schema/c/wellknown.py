"""Types whose name says more than their declaration does."""

from __future__ import annotations

from dataclasses import replace

from fastrec.schema.c.types import Scalar
from fastrec.schema.hresult import HRESULT

__all__ = ["known_by_name"]

_BIG_ENDIAN = {"__be16": 2, "__be32": 4, "__be64": 8}  # by definition of the kernel's headers


def known_by_name(name: str, type_: Scalar) -> Scalar:
    """Return a type as its typedef's name means it: an ``HRESULT`` has labels, a ``__be32`` is big-endian."""
    if type_.pointer or type_.dtype.kind not in "iu":
        return type_
    # Eight bytes where somebody took Microsoft's "long" for his own.
    if name == "HRESULT" and type_.size in (4, 8):
        return replace(type_, labels=HRESULT)
    if _BIG_ENDIAN.get(name) == type_.size:
        return replace(type_, dtype=type_.dtype.newbyteorder(">"))
    return type_
