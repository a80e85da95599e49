r"""The small language of conditions: ``where``, triggers and the command line speak it.

Text becomes a tree (`parse`); a tree becomes, for one schema, the steps that the core takes (``binding.py``).

::

    hr < 0 and not (dwStatus & 0x80 or motors[2].pos > 1.5)
    mode in (FAULT, 'OUT OF SERVICE', 7) and 0 <= pressure < 2.5e3
    has(dwStatus, INDI_BEGIN) or changed(serial) or `in` == null

=============================  ==========================================================================
from loosest to tightest       what it is
=============================  ==========================================================================
``or``
``and``
``not``
``== != < <= > >= in not in``  chains are comparisons joined by ``and``, as in ``0 < x < 5``; ``in`` takes
                               a list, ``(A, B, 3)``
``|``
``^``
``&``                          tighter than ``==``, unlike in C: ``hr & 0x80 == 0x80`` means what it says
``<< >>``
``+ -``
``* / // %``
``- + ~``                      in front of a value
=============================  ==========================================================================

Values are numbers (``12 0x1F 0b101 1_000 1e-3 .5 nan inf``), durations (a number and its unit without a
space: ``50ms``, ``1h30min``), texts in either quotes (with ``\\ \' \" \n \t \xHH \uHHHH``), ``true``,
``false``, ``null`` (of texts behind pointers), ``lost`` (see `fastrec.LOST`), and names. A name is a field's,
with its dots and indices, or a label's; one that is a word of this language, or has other characters in it,
is written in back quotes: whatever stands between them is the name. Functions are known by their
parenthesis, so that a field may be called ``abs``.

An expression has at most `MAX_LENGTH` characters, a list at most `MAX_CHOICES` values; parentheses, and the
tree, are at most `MAX_NESTING` deep, so who goes through a tree may do so by recursion.
"""

from fastrec.expressions.parsing import parse
from fastrec.expressions.pointing import pointed
from fastrec.expressions.spelling import spell
from fastrec.expressions.tree import (
    FUNCTIONS,
    MAX_CHOICES,
    MAX_LENGTH,
    MAX_NESTING,
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
)

__all__ = [
    "FUNCTIONS",
    "MAX_CHOICES",
    "MAX_LENGTH",
    "MAX_NESTING",
    "Binary",
    "Call",
    "Compare",
    "Constant",
    "Duration",
    "In",
    "Logic",
    "Name",
    "Node",
    "Number",
    "Text",
    "Unary",
    "names",
    "parse",
    "pointed",
    "spell",
]
