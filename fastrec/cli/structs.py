"""Where a struct is described: ``FILE[:NAME]``, a channel of a recording, or the name of a source."""

from __future__ import annotations

import argparse
import codecs
import os
import socket
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastrec.errors import RecordingError, SchemaError, suggest
from fastrec.recording import open as open_recording
from fastrec.schema import Schema
from fastrec.schema.c import macro_name
from fastrec.sources import registry

__all__ = ["PLACE", "TEXT_OPTIONS", "NotDeclarations", "add_text_arguments", "schema_from", "text_options"]

PLACE = (
    "C declarations, a program or library with debug information, or a schema as JSON, each with :STRUCT"
    " where there are several; RECORDING:CHANNEL; or a source, such as linux:rusage"
)
"""What a place can be, for ``--help``."""

MAX_TEXT = 64 << 20
"""Largest text that is read, in bytes; the headers of a whole operating system have less."""

TEXT_OPTIONS = {"pack": "--pack", "defines": "-D", "include": "-I"}
"""How the options of `add_text_arguments` are spelled."""

_ELF = b"\x7fELF"
_ARCHIVE = b"!<arch>\n"


class NotDeclarations(SchemaError):
    """What was said of C declarations does not concern this place, which is none."""


def add_text_arguments(parser: argparse._ActionsContainer) -> None:
    """Add what says how a text of C is read, as compilers spell it; `text_options` are then its values."""
    parser.add_argument(
        "--pack", type=int, choices=(1, 2, 4, 8, 16), help="as #pragma pack(N) before the C declarations"
    )
    parser.add_argument(
        "-D",
        dest="defines",
        type=_defined,
        action="append",
        metavar="NAME[=VALUE]",
        help="a macro of the C declarations",
    )
    parser.add_argument(
        "-U",
        dest="defines",
        type=_undefined,
        action="append",
        metavar="NAME",
        help="no macro, not even of a header that is not there to be read",
    )
    parser.add_argument(
        "-I", dest="include", action="append", metavar="DIR", help="a folder of the headers that they include"
    )


def _defined(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return _named(name, text, "NAME or NAME=VALUE"), value if equals else "1"


def _undefined(text: str) -> tuple[str, None]:
    return _named(text, text, "its name"), None


def _named(name: str, text: str, form: str) -> str:
    try:
        return macro_name(name)
    except SchemaError:
        raise argparse.ArgumentTypeError(f"{text!r} names no macro; write {form}") from None


def text_options(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments `pack`, `defines` and `include` of `schema_from`."""
    defines = dict(options.defines) if options.defines else None
    return {"pack": options.pack, "defines": defines, "include": tuple(options.include or ())}


def schema_from(
    place: str,
    *,
    abi: str = "native",
    pack: int | None = None,
    defines: Mapping[str, int | str | None] | None = None,
    include: Iterable[str | os.PathLike[str]] = (),
) -> Schema:
    """Return the schema of a struct that a user named in a command line.

    Parameters
    ----------
    place : str
        `PLACE`. A file is known by what is in it, not by its name. Of several ways to cut a place at a colon
        the one with the longest path that exists counts; a path goes before a source of the same name.
    abi, pack, defines, include
        Of C's text, as in `Schema.from_c`; its own folder is looked in first.

    Raises
    ------
    SchemaError
        There is no such struct, or the text is not understood; the message begins with the path.
    RecordingError
        There is no such file, it cannot be read, or is no whole recording.
    SourceError
        There is no such source.
    """
    path, name = _cut(place)
    try:
        data = _read(path) if path is not None and not path.is_dir() else None
        if path is not None and data is not None and data[:8] == _ARCHIVE:
            raise SchemaError(
                "is an archive of object files, of which only one can be read; extract it: ar x"
            )
        if path is not None and data is not None and data[:4] != _ELF and not _is_json(data):
            # Comments may be in any 8-bit code page; declarations are ASCII.
            text = data.decode("utf-8-sig", "replace")
            return Schema.from_c(text, name, abi, pack, defines, include=include, path=path)
        if abi != "native" or pack is not None or defines or include:
            raise NotDeclarations(
                "ABI, packing, macros and folders are for C declarations; this says itself how it lies"
            )
        if path is None:
            return _of_source(place)
        if data is None:
            return _of_channel(path, name)
        return _of_debug(path, name) if data[:4] == _ELF else _of_json(data, name)
    except SchemaError as error:
        where = str(path or place)
        told = str(error)
        raise type(error)(told if told.startswith(where) else f"{where}: {told}") from None


def _cut(place: str) -> tuple[Path | None, str | None]:
    """Path and name; without a path it is the name of a source."""
    if not place or "\0" in place:
        raise RecordingError("an empty place names no struct; write FILE:STRUCT")
    if os.path.lexists(place):
        return Path(place), None
    cut = len(place)
    while (cut := place.rfind(":", 0, cut)) > 0:
        # ns::name has colons of its own: the one behind the path is the last before which there is a file.
        if os.path.lexists(place[:cut]):
            if not place[cut + 1 :]:
                raise SchemaError(f"{place}: names no struct behind the colon; leave it out, or write one")
            return Path(place[:cut]), place[cut + 1 :]
    head, colon, _ = place.partition(":")
    if colon and os.sep not in head and "." not in head:
        return None, None
    raise RecordingError(f"{head}: there is no such file{_near(Path(head))}")


def _near(path: Path) -> str:
    try:
        names = os.listdir(path.parent)
    except OSError:
        return f", nor a folder {path.parent}"
    near = suggest(path.name, names)
    return near if near.startswith("; did") else ""


def _is_json(data: bytes) -> bool:
    return data.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{"


def _read(path: Path) -> bytes:
    """What is in a text; of a program the first bytes only, because its reader opens it itself."""
    try:
        return _opened(path)
    except RecordingError:
        raise
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error


def _opened(path: Path) -> bytes:
    # Not blocking: a FIFO would wait for its writer before we see that it is one.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise RecordingError(f"{path}: is no regular file")
        data = file.read(len(_ELF))
        if data == _ELF:
            return data
        data += file.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise RecordingError(f"{path}: has more than {MAX_TEXT >> 20} MiB, which no header has")
    return data


def _of_source(name: str) -> Schema:
    # Of these a name is enough: any file and any connection has the same struct.
    if name == "linux:fstat":
        name += ":/"
    if name == "linux:tcp_info":
        with socket.socket() as connection:
            return registry.source(f"{name}:{connection.fileno()}").schema
    return registry.source(name).schema


def _of_json(data: bytes, name: str | None) -> Schema:
    try:
        schema = Schema.from_json(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SchemaError("a schema must be JSON, in UTF-8") from None
    if name not in (None, schema.name):
        raise SchemaError(f"there is no struct {name!r:.80}; there is {schema.name!r}")
    return schema


def _of_debug(path: Path, name: str | None) -> Schema:
    if name is None:
        raise SchemaError(f"has many structs; write {path}:STRUCT")
    return Schema.from_dwarf(path, name)


def _of_channel(path: Path, name: str | None) -> Schema:
    run = open_recording(path)
    names = list(run)
    if name is None and len(names) != 1:
        raise SchemaError(f"a channel is needed; write {path}:CHANNEL{suggest('', names)}")
    wanted = names[0] if name is None else name
    if wanted not in names:
        raise SchemaError(f"there is no channel {wanted!r:.80}{suggest(wanted, names)}")
    return run[wanted].schema
