"""A function of a stranger's library as a source: ``--lib ./libm.so --call f --struct m.h:s``."""

from __future__ import annotations

import argparse
from typing import Any

from fastrec.cli.call_arguments import FORMS, arguments
from fastrec.cli.structs import PLACE, TEXT_OPTIONS, add_text_arguments, schema_from, text_options
from fastrec.cli.values import Misuse
from fastrec.core.call import RETURNS
from fastrec.sources.call import OUT, Call
from fastrec.sources.libraries import RETURN_TYPES, function_of

__all__ = ["add_arguments", "check", "source_of"]

_NEEDED = {"call": "its function that fills the struct", "struct": "the struct that it fills: motor.h:status"}
_OPTIONS = (*_NEEDED, "args", "returns", "return_type", "text", *TEXT_OPTIONS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which function, with which arguments, fills which struct."""
    group = parser.add_argument_group("a function of a C library")
    group.add_argument("--lib", metavar="LIBRARY", help="./libmotor.so, or as the loader finds it: libm.so.6")
    group.add_argument("--call", metavar="FUNCTION", help="that fills the struct")
    group.add_argument(
        "--args",
        type=arguments,
        metavar="LIST",
        help=f"its arguments, at most six, separated by commas: {FORMS}; OUT is where the struct goes;"
        " default: OUT",
    )
    group.add_argument(
        "--returns",
        choices=RETURNS,
        help='what it returns when all is well; default: zero, for --return-type void: "void"',
    )
    group.add_argument(
        "--return-type",
        choices=tuple(RETURN_TYPES),
        metavar="TYPE",
        help=f"how its value is read: {', '.join(RETURN_TYPES)}; default: int",
    )
    group.add_argument("--struct", metavar="FILE[:NAME]", help=f"the struct it fills: {PLACE}")
    group.add_argument(
        "--text", action="append", metavar="FIELD", help="a pointer whose text is recorded with each status"
    )
    add_text_arguments(group)


def check(options: argparse.Namespace) -> None:
    """Refuse options that make no sense together.

    Raises
    ------
    Misuse
        They need --lib, or it needs another one.
    """
    if options.lib is None:
        for name in _OPTIONS:
            if getattr(options, name) is not None:
                raise Misuse(f"{_spelled(name)} is for a function of a library; say which: --lib")
        return
    for name, what in _NEEDED.items():
        if getattr(options, name) is None:
            raise Misuse(f"--lib {options.lib} needs --{name}, {what}")


def _spelled(name: str) -> str:
    return TEXT_OPTIONS.get(name, f"--{name.replace('_', '-')}")


def source_of(options: argparse.Namespace) -> Any:
    """The source that the options describe.

    Raises
    ------
    SourceError, SchemaError, RecordingError
        There is no such library, function, file, struct or field, or the arguments cannot be passed.
    """
    kind = options.return_type or "int"
    function = function_of(options.lib, options.call, kind)
    schema = schema_from(options.struct, **text_options(options))
    for field in options.text or ():
        schema = schema.with_field(field, text=True)
    return Call(
        function,
        *((OUT,) if options.args is None else options.args),
        schema=schema,
        returns=options.returns or ("void" if kind == "void" else "zero"),
    )
