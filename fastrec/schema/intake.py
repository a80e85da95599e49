"""The ways into a schema: from whatever describes a struct, to the one tree."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from fastrec.errors import SchemaError, shown
from fastrec.schema import identity, members
from fastrec.schema.abi import abi_named, check_abi
from fastrec.schema.c import meanings_of, parse, struct_of
from fastrec.schema.c.types import Record
from fastrec.schema.cffi_ import record_from_cffi
from fastrec.schema.ctypes_ import record_from_ctypes
from fastrec.schema.dwarf import record_from_dwarf
from fastrec.schema.labels import labels_from_json

__all__ = ["MEANINGS", "Intake"]

MEANINGS = ("labels", "unit", "scale", "bias", "doc", "text", "pointer")
"""What may be said of a field beyond its place."""


class Intake:
    """The constructors of `fastrec.Schema`."""

    __slots__ = ()

    @classmethod
    def from_dtype(
        cls,
        dtype: DTypeLike,
        *,
        name: str = "record",
        labels: Mapping[str, object] | None = None,
        units: Mapping[str, str] | None = None,
        docs: Mapping[str, str] | None = None,
        abi: str | None = None,
    ) -> Self:
        """Make a schema of a structured dtype; offsets, padding and unions are kept.

        Parameters
        ----------
        dtype : structured dtype, or what `numpy.dtype` makes one of
        name : str
        labels, units, docs : mapping by field name
            Names as in `fields`; labels are anything `as_labels` takes.
        abi : str
            Default: that of this process.

        Raises
        ------
        SchemaError
            A type, size, name or label outside the limits.
        """
        try:
            struct = np.dtype(dtype)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise SchemaError(f"this is no structured dtype: {str(error)[:200]}") from error
        return cls(name, members.from_dtype(struct), _by_field(labels, units, docs), abi=abi)

    @classmethod
    def from_ctypes(
        cls,
        struct: type,
        *,
        name: str | None = None,
        labels: Mapping[str, object] | None = None,
        units: Mapping[str, str] | None = None,
        docs: Mapping[str, str] | None = None,
        text: Iterable[str] | Mapping[str, bool | str] = (),
    ) -> Self:
        """Make a schema of a ``ctypes`` Structure or Union class, with the layout ctypes gave it.

        Parameters
        ----------
        struct : subclass of ctypes.Structure, ctypes.BigEndianStructure or ctypes.Union
            Nested and anonymous structs, arrays, unions and bit-fields are understood; arrays of ``c_char``
            become ``S<n>``, pointers opaque numbers, a ``c_longdouble`` opaque bytes. Integers whose class is
            called ``HRESULT`` get its labels.
        name : str
            Default: that of the class.
        labels, units, docs : mapping by field name
        text : iterable of str, or mapping by field name
            Pointer fields to follow at capture; a mapping says what `Field.text` is to be, else it is True.

        Raises
        ------
        SchemaError
            A member that a record cannot hold, or bit-fields that ctypes places otherwise than C does; the
            message names it.
        """
        record = record_from_ctypes(struct)
        return cls._of_record(record, name, _by_field(labels, units, docs, _kinds(text)))

    @classmethod
    def from_cffi(
        cls,
        type: Any,
        ffi: Any = None,
        *,
        name: str | None = None,
        labels: Mapping[str, object] | None = None,
        units: Mapping[str, str] | None = None,
        docs: Mapping[str, str] | None = None,
        text: Iterable[str] | Mapping[str, bool | str] = (),
    ) -> Self:
        """Make a schema of a struct or union that ``cffi`` knows, with the layout cffi gave it.

        Parameters
        ----------
        type : ctype, or str
            ``ffi.typeof("struct s")``; or its name, such as ``"struct s"`` or that of a typedef, with `ffi`.
            Enumerations become labels. cffi resolves typedefs: that a number was an ``HRESULT`` or a
            ``__be32`` is not known.
        ffi : FFI, optional
            Of cffi, or of a module that it made.
        name, labels, units, docs, text
            As in `from_ctypes`.

        Raises
        ------
        SchemaError
            No struct or union, one that is only declared, or a member that a record cannot hold.
        """
        record = record_from_cffi(type, ffi)
        return cls._of_record(record, name, _by_field(labels, units, docs, _kinds(text)))

    @classmethod
    def from_dwarf(
        cls,
        path: str | os.PathLike[str],
        name: str,
        *,
        labels: Mapping[str, object] | None = None,
        units: Mapping[str, str] | None = None,
        docs: Mapping[str, str] | None = None,
        text: Iterable[str] | Mapping[str, bool | str] = (),
    ) -> Self:
        """Make a schema of a struct in a program compiled with ``-g``, for whichever machine.

        Needs pyelftools: ``pip install pyelftools``.

        Parameters
        ----------
        path : path
            An ELF executable, shared library or object file with DWARF 2 to 5, of C or C++.
        name : str
            Of the struct, union, class or typedef: ``"status_t"``, ``"struct status"``, ``"motor::Status"``.
        labels, units, docs, text
            As in `from_ctypes`. Enumerations become labels by themselves; there are no comments to keep.

        Raises
        ------
        SchemaError
            The file cannot be read or has no sound debug information, the name no meaning in it or several,
            or a member that a record cannot hold.
        """
        record, abi, byteorder = record_from_dwarf(path, name)
        given = _by_field(labels, units, docs, _kinds(text))
        return cls._of_record(record, None, given, abi=abi, byteorder=byteorder)

    @classmethod
    def _of_record(
        cls, record: Record, name: str | None, given: Mapping[str, Mapping[str, Any]], **kinds: str
    ) -> Self:
        """A schema of a struct of C; what a user says of a field goes before what C says."""
        layout = struct_of(record)
        known = dict(meanings_of(record))
        for path, one in given.items():
            known[path] = known.get(path, {}) | one
        return cls(record.tag if name is None else name, layout, known, **kinds)

    @classmethod
    def from_c(
        cls,
        text: str,
        name: str | None = None,
        abi: str = "native",
        pack: int | None = None,
        defines: Mapping[str, int | str | None] | None = None,
        *,
        include: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
        path: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Make a schema of C declarations, laid out as a compiler of `abi` does.

        Comments become docs, enumerators labels, one per value: that they are bits to be combined, C does not
        say; `fastrec.schema.Flags` of them, with `with_field`, does.

        Parameters
        ----------
        text : str
            Declarations of C, whole or after ``gcc -E``. What is not understood is refused.
        name : str, optional
            Of the struct or union: its tag or a typedef's name. Default: the only one that no other contains.
        abi : str
            ``"sysv-x64"``, ``"sysv-x86"``, ``"aarch64"``, ``"msvc-x64"``, ``"msvc-x86"``, or ``"native"``.
        pack : int, optional
            The packing of ``#pragma pack`` that holds where the text begins: 1, 2, 4, 8 or 16.
        defines : mapping of str to int, str or None, optional
            Macros, as ``-D`` defines them; None says that there is no such macro, as ``-U`` does.
        include : path, or iterable of paths
            Folders in which ``#include`` is looked up, those of the compiler among them if they are named. A
            file that is in none is passed over, and what would depend on it refused: conditions, types,
            packing, attributes. Only that it defines anew what the text itself has defined, or that the name
            of a member or an enumerator is a macro of it, nobody can see.
        path : path, optional
            Of the file that the text is from, beside which ``#include "..."`` is looked up first.

        Raises
        ------
        SchemaError
            The text is no C, or more than this understands; the message names line, column and token.
        """
        folders = (include,) if isinstance(include, str | os.PathLike) else include
        if not isinstance(folders, Iterable) or isinstance(folders, bytes):
            raise SchemaError(f"include: {shown(include)} is no folder, nor several")
        if not isinstance(path, str | os.PathLike | None):
            raise SchemaError(f"path={shown(path)} names no file")
        record = parse(
            text, name, abi=abi_named(abi), pack=pack, defines={} if defines is None else defines,
            include=tuple(folders), path=None if path is None else Path(path),
        )  # fmt: skip
        layout = struct_of(record)
        return cls(record.tag, layout, dict(meanings_of(record)), abi=abi_named(abi).name, byteorder="little")

    @classmethod
    def from_json(cls, source: str | Mapping[str, object]) -> Self:
        """Make a schema of what `to_json` or `to_dict` made. Nothing in it is believed or evaluated.

        Raises
        ------
        SchemaError
            Anything else, at a cost bounded by `identity.MAX_JSON`.
        """
        obj = identity.parse(source) if isinstance(source, str) else source
        layout = members.from_json(obj)
        meanings = obj.get("fields", {})
        if not isinstance(meanings, Mapping) or not all(
            isinstance(one, Mapping) for one in meanings.values()
        ):
            raise SchemaError("'fields' must be an object of objects, by field name")
        known = {
            name: {
                key: labels_from_json(one[key]) if key == "labels" else one[key]
                for key in MEANINGS
                if key in one
            }
            for name, one in meanings.items()
        }
        # Said by the file or wrong: what is missing there must not become what this machine is.
        abi, byteorder = check_abi(obj.get("abi")), str(obj.get("byteorder"))
        return cls(
            members.check_name(obj.get("name"), "a schema"), layout, known, abi=abi, byteorder=byteorder
        )


def _kinds(text: Iterable[str] | Mapping[str, bool | str]) -> Mapping[str, bool | str]:
    if isinstance(text, Mapping):
        return text
    return dict.fromkeys([text] if isinstance(text, str) else text, True)


def _by_field(
    labels: Mapping[str, object] | None,
    units: Mapping[str, str] | None,
    docs: Mapping[str, str] | None,
    text: Mapping[str, bool | str] | None = None,
) -> dict[str, dict[str, Any]]:
    meanings: dict[str, dict[str, Any]] = {}
    for key, given in (("labels", labels), ("unit", units), ("doc", docs), ("text", text)):
        if not isinstance(given, Mapping | None):
            raise SchemaError(f"{key}s must be a mapping by field name, not {type(given).__name__}")
        for name, value in (given or {}).items():
            meanings.setdefault(name, {})[key] = value
    return meanings
