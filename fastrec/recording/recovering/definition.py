"""What a channel is, also where ``channel.json`` is damaged or missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrec.errors import FastrecError, FormatError, SchemaError
from fastrec.recording import layout
from fastrec.recording.channel import Channel, period_of
from fastrec.recording.lines import LINE_LIMIT
from fastrec.recording.recovering.describing import described, stored_header
from fastrec.recording.recovering.own_files import damaged_json
from fastrec.recording.stock import Stock
from fastrec.recording.torn import TornFile, whole_file
from fastrec.schema import Schema

__all__ = ["Definition", "define"]

_HEADER_BYTES = 10_240


class Definition(NamedTuple):
    """A channel's ``channel.json`` for the new recording, and how its records are read.

    Attributes
    ----------
    data : bytes
    stock : Stock
        Of the source.
    problem : str
        What of it is not as it was recorded; empty if it is whole.
    """

    data: bytes
    stock: Stock
    problem: str


def define(root: Path, uuid: bytes, name: str, segments: Sequence[int]) -> Definition:
    """Read ``channel.json``, or find out from the records what it must have said.

    Raises
    ------
    FormatError
        Nothing tells what the records are.
    """
    try:
        channel = Channel(root, uuid, name)
    except FileNotFoundError:
        why = "is missing"
    except FastrecError as error:
        why = "is damaged" if isinstance(error, OSError) else str(error)
    else:
        data = whole_file(root, "channels", name, "channel.json")
        if data is not None:
            return Definition(data, channel.stock, "")
        why = "cannot be read"
    headers = list(_headers(root, name, segments))
    left = damaged_json(whole_file(root, "channels", name, "channel.json") or b"")
    found = _left(left, headers)
    if found is not None:
        problem = f"{why}; what is left of it fits the records, so labels and units are as they could be read"
        return _made(root, uuid, name, *found, left, problem)
    for header in headers:
        try:
            schema, store = described(header)
        except FormatError:
            continue
        problem = f"{why}; rebuilt from the records: names and types alone, no labels, units and texts"
        return _made(root, uuid, name, schema, store, {}, problem)
    raise FormatError(f"channel.json {why}, and no header of its records tells what they are")


def _headers(root: Path, name: str, segments: Sequence[int]) -> list[bytes]:
    """The different headers of the records, without their counts; the most frequent first."""
    found: dict[bytes, int] = {}
    for number in segments:
        with TornFile(root, "channels", name, layout.segment_file("records", number)) as file:
            try:
                header = stored_header(file.read(0, _HEADER_BYTES))
            except FormatError:
                continue
        header = header[: layout.COUNT_OFFSET] + b"       0" + header[layout.COUNT_OFFSET + 8 :]
        found[header] = found.get(header, 0) + 1
    return sorted(found, key=lambda one: -found[one])


def _left(members: dict[str, Any], headers: list[bytes]) -> tuple[Schema, str] | None:
    """Schema and store that a damaged ``channel.json`` names, if the records are of that kind."""
    options = members.get("options")
    store = options.get("store", "every") if isinstance(options, dict) else "every"
    if store not in ("every", "changes"):
        return None
    try:
        schema = Schema.from_json(members.get("schema"))
        header = layout.npy_header(schema.storage(store))
    except (SchemaError, FormatError):
        return None
    fits = members.get("digest") == schema.digest if not headers else header in headers
    return (schema, store) if fits else None


def _made(
    root: Path, uuid: bytes, name: str, schema: Schema, store: str, members: dict[str, Any], problem: str
) -> Definition:
    stored = schema.storage(store)
    options = members.get("options")
    options = dict(options) if isinstance(options, dict) else {"rate": None, "ignore": []}
    try:
        period_of(options.get("rate"))
    except FormatError:
        options["rate"] = None
    members = {
        "name": name,
        "schema": schema.to_dict(),
        "digest": schema.digest,
        "record_size": stored.itemsize,
        "options": options | {"store": store},
    }
    data = layout.seal_json(members, layout.row_seed(uuid, name, 0, 0))
    if len(data) > LINE_LIMIT * 64:
        raise FormatError("channel.json is too long")
    header = layout.npy_header(stored)
    return Definition(data, Stock(root, uuid, name, schema, store, header, schema.record(store)), problem)
