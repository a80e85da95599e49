"""How an error shows its place in an expression."""

from __future__ import annotations

from fastrec.errors import ExpressionError

__all__ = ["pointed"]

_LINE = 80
"""Letters that a piece of the text may take in a message."""


def pointed(text: str, at: int, message: str) -> ExpressionError:
    """Return an error that says where in an expression it arose.

    Parameters
    ----------
    text : str
        The whole expression.
    at : int
        Characters before the place, at most all: a node's ``at``.
    message : str
        One line: what is wrong, and what to do.

    Returns
    -------
    ExpressionError
        ``"'hr < 0 annd x' at column 8: 'annd' is no operator; did you mean 'and'?"``. Of a long text 60
        characters about the place are shown, of one with many that are written as escapes fewer.
    """
    for width in (60, 30, 15, 7):
        start = max(0, min(at - width // 2, len(text) - width))
        piece = repr(text[start : start + width])
        if len(piece) <= _LINE:
            break
    before, after = "..." if start else "", "..." if start + width < len(text) else ""
    return ExpressionError(f"{before}{piece}{after} at column {at + 1}: {message}", text, at)
