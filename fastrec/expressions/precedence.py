"""Which operators bind tighter than which: as in Python."""

from __future__ import annotations

__all__ = ["COMPARISONS", "LEVELS", "UNARY", "VALUE"]

_FROM_LOOSEST = (
    ("or",),
    ("and",),
    ("not",),
    ("==", "!=", "<", "<=", ">", ">=", "in"),
    ("|",),
    ("^",),
    ("&",),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "//", "%"),
)

LEVELS = {operator: level for level, row in enumerate(_FROM_LOOSEST, 1) for operator in row}
"""How tight each operator binds, from 1; ``+`` and ``-`` between two values."""

COMPARISONS = frozenset(_FROM_LOOSEST[3])

UNARY = len(_FROM_LOOSEST) + 1
"""How tight ``-``, ``+`` and ``~`` bind in front of a value."""

VALUE = UNARY + 1
"""What needs no parentheses anywhere."""
