"""``fastrec schema FILE[:STRUCT]``: where the fields of a struct lie; the same as C, Python, JSON, ROS 2.

``fastrec schema diff A B``: what differs between two.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from fastrec.cli.fields import about_field, meaning_of, tell_renamed, type_of
from fastrec.cli.output import complain, plural, say, say_json, table, visible
from fastrec.cli.structs import PLACE, NotDeclarations, add_text_arguments, schema_from, text_options
from fastrec.errors import FastrecError, suggest
from fastrec.schema import Schema
from fastrec.schema.abi import ABIS
from fastrec.schema.evolution import Change
from fastrec.schema.renames import plain
from fastrec.schema.render import FORMS

__all__ = ["add_arguments", "run"]

DIFF = "diff"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.usage = "fastrec schema PLACE [options]\n       fastrec schema diff PLACE PLACE [options]"
    parser.add_argument(
        "places",
        metavar="PLACE",
        nargs="+",
        help=f"{PLACE}; after the word diff two of them: exit code 1: the bytes do not mean the same,"
        " 2: trouble",
    )
    parser.add_argument("--as", dest="form", metavar="FORM", help=f"write it as {', '.join(FORMS)}")
    parser.add_argument("--name", help="call it this")
    parser.add_argument("--json", action="store_true", help="print fields, or differences, as JSON")
    group = parser.add_argument_group("options of C declarations")
    group.add_argument(
        "--abi", default="native", metavar="ABI", help=f"whose layout: native, {', '.join(ABIS)}"
    )
    add_text_arguments(group)


def run(options: argparse.Namespace) -> int:
    """Print a schema; or what differs: 1 where that is more than names, units and docs, 2 for trouble."""
    places = options.places
    if places[0] == DIFF and len(places) > 1:
        if len(places) != 3 or options.form is not None:
            complain("diff needs two places and no --as; write fastrec schema diff A B")
            return 2
        try:
            return _diff(*_pair(places[1:], options), as_json=options.json)
        except FastrecError as error:
            complain(str(error))
            return 2  # as of diff(1): 1 says that they differ
    if len(places) > 1:
        complain(f"one place at a time, not {len(places)}; fastrec schema diff A B compares two")
        return 2
    if options.form is not None and options.form not in FORMS:
        complain(f"--as {options.form}: there is no such form{suggest(options.form, FORMS)}")
        return 2
    if options.form is not None and options.json:
        complain("--as and --json do not go together; leave one out (--as json is the whole schema)")
        return 2
    schema = _found(places[0], options)
    tell_renamed([schema])
    if options.form is not None:
        say(schema.to(options.form).removesuffix("\n"))
    elif options.json:
        say_json(_as_dict(schema))
    else:
        _show(schema)
    return 0


def _found(place: str, options: argparse.Namespace) -> Schema:
    schema = schema_from(place, abi=options.abi, **text_options(options))
    return schema if options.name is None else Schema.from_json({**schema.to_dict(), "name": options.name})


def _pair(places: list[str], options: argparse.Namespace) -> Iterator[Schema]:
    """Two schemas; what is said of C declarations counts for those of them that are some."""
    others = 0
    for place in places:
        try:
            yield _found(place, options)
        except NotDeclarations:
            others += 1
            if others == len(places):
                raise
            yield schema_from(place)


def _diff(old: Schema, new: Schema, *, as_json: bool) -> int:
    changes = old.diff(new)
    if as_json:
        say_json([change.as_dict() for change in changes])
    else:
        # An array of structs changes in every element alike: told once.
        alike: dict[tuple[str, str], list[Change]] = {}
        for change in changes:
            alike.setdefault((change.kind, plain(change.field)), []).append(change)
        for first, *others in alike.values():
            more = f" (and {plural(len(others), 'more element')})" if others else ""
            say(visible(f"{first}{more}"))
    return int(old.digest != new.digest)


def _as_dict(schema: Schema) -> dict[str, object]:
    head = {key: getattr(schema, key) for key in ("name", "abi", "byteorder", "size", "digest")}
    return {**head, "fields": [about_field(field) for field in schema.fields]}


def _show(schema: Schema) -> None:
    order = "" if schema.byteorder == "little" else f", {schema.byteorder}-endian"
    say(f"{visible(schema.name)}: {plural(schema.size, 'byte')}, {schema.abi}{order}")
    table(
        [("offset", "size", "type", "name", "unit", ""), *_rows(schema)],
        indent="  ",
        right=(0, 1),
    )
    say(f"{plural(len(schema.fields), 'field')}, digest {schema.digest}")


def _rows(schema: Schema) -> Iterator[tuple[str, ...]]:
    """Fields in order of offset, and the holes between them."""
    end = 0
    for field in schema.fields:
        if field.offset > end:
            yield _hole(end, field.offset)
        end = max(end, field.offset + field.nbytes)
        # As pahole writes it: the byte, and the bit in the word that begins there.
        place = f"{field.offset}:{field.bits[0]}" if field.bits else str(field.offset)
        meaning = meaning_of(field, values=True)
        yield place, str(field.nbytes), type_of(field), *map(visible, (field.name, field.unit, meaning))
    if schema.size > end:
        yield _hole(end, schema.size)


def _hole(start: int, end: int) -> tuple[str, ...]:
    return str(start), str(end - start), "", "-", "", "padding"
