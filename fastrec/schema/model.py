"""Schema: what the bytes of a record mean.

A schema is immutable and is known by its digest. It says where each field lies in the C struct (the payload),
and in the records made of it: the recorder's columns, then the payload exactly as C laid it out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrec.errors import SchemaError, suggest
from fastrec.schema import evolution, forms, identity, members, paths
from fastrec.schema.abi import check_abi, native_abi
from fastrec.schema.field import Field
from fastrec.schema.forms import Store
from fastrec.schema.intake import MEANINGS, Intake
from fastrec.schema.render import render
from fastrec.schema.texts import check_apart

__all__ = ["Field", "Schema", "Store"]


class Schema(Intake):
    """The meaning of a payload: fields, offsets, types, labels, units.

    Made by `from_c`, `from_ctypes`, `from_cffi`, `from_dwarf`, `from_dtype` or `from_json`. Immutable; equal
    and hashed by ``digest``.

    Attributes
    ----------
    name : str
    abi : str
        The C ABI that laid it out: ``"sysv-x64"``, ``"aarch64"``, ``"msvc-x64"``, ``"msvc-x86"`` ...
    byteorder : str
        ``"little"`` or ``"big"``: of the machine that made it. Every field says its own in its dtype.
    size : int
        Bytes of the payload.
    dtype : numpy.dtype
        The payload, nested as C nests it. Unions overlap; bit-fields are in their unit, named ``"a|b"`` after
        them.
    fields : tuple of Field
        Leaves in order of offset.
    digest : str
        32 hexadecimal digits over everything that decides what the bytes are; name, units, scales and docs do
        not count.
    record_dtype : numpy.dtype
        ``record("every")``.
    storage_dtype : numpy.dtype
        ``storage("every")``.
    numeric, texts : tuple of Field
        The fields that zones summarise; the pointers that are followed as text.
    """

    __slots__ = (
        "_by_name",
        "_forms",
        "_layout",
        "abi",
        "byteorder",
        "digest",
        "dtype",
        "fields",
        "name",
        "numeric",
        "size",
        "texts",
    )

    name: str
    abi: str
    byteorder: str
    size: int
    dtype: np.dtype
    fields: tuple[Field, ...]
    digest: str
    numeric: tuple[Field, ...]
    texts: tuple[Field, ...]
    _layout: members.Struct
    _forms: dict[tuple[str, str], np.dtype]
    _by_name: dict[str, Field]

    def __init__(
        self,
        name: str,
        layout: members.Struct,
        meanings: Mapping[str, Mapping[str, Any]],
        *,
        abi: str | None = None,
        byteorder: str | None = None,
    ) -> None:
        layout, renamed = forms.apart(layout)
        abi = native_abi() if abi is None else check_abi(abi)
        byteorder = sys.byteorder if byteorder is None else byteorder
        members.check_name(name, "a schema")
        if byteorder not in ("little", "big"):
            raise SchemaError(f"byteorder is {byteorder!r:.40}; it must be 'little' or 'big'")
        fields = _fields(layout, {forms.new_path(path, renamed): one for path, one in meanings.items()})
        init = object.__setattr__
        init(self, "_layout", layout)
        init(self, "_forms", {("record", "every"): forms.record(layout, "every")})
        init(self, "_by_name", {field.name: field for field in fields})
        init(self, "name", name)
        init(self, "abi", abi)
        init(self, "byteorder", byteorder)
        init(self, "size", layout.size)
        init(self, "dtype", layout.to_numpy())
        init(self, "fields", fields)
        init(self, "numeric", tuple(field for field in fields if field.kind))
        init(self, "texts", tuple(field for field in fields if field.text))
        check_apart(self.texts)
        init(self, "digest", identity.digest(abi, byteorder, layout.size, fields))
        if len(self.to_json()) > identity.MAX_JSON:
            raise SchemaError(
                f"the JSON of {name!r} has more than {identity.MAX_JSON} characters; shorten docs or labels"
            )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Schema cannot be changed, nor its {name}; make another with with_field")

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Schema.from_json, (self.to_json(),)

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Schema) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<Schema {self.name}: {self.size} bytes, {len(self.fields)} fields, {self.digest}>"

    def to_json(self) -> str:
        """Return one line of ASCII JSON; ``Schema.from_json`` of it is equal to this."""
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)

    def to_dict(self) -> dict[str, object]:
        """Return what `to_json` writes.

        ``name``, ``abi``, ``byteorder``; ``size`` and ``members`` (``name``, ``offset``, then ``type`` or
        again ``size`` and ``members``, where needed ``shape`` and ``bits``); ``fields``: what is known of
        them beyond their place, by name.
        """
        meanings = {field.name: field.meaning() for field in self.fields}
        return {
            "name": self.name,
            "abi": self.abi,
            "byteorder": self.byteorder,
            **self._layout.to_json(),
            "fields": {name: meaning for name, meaning in meanings.items() if meaning},
        }

    def to(self, form: str) -> str:
        """Return the schema as a text for other tools.

        Parameters
        ----------
        form : str
            ``"c"``: a header for C11 and C++17 with this layout under every ABI, every offset asserted.
            ``"ring"``: the constant with which a producer in C opens a ring. ``"ctypes"``, ``"numpy"``:
            Python that needs no fastrec. ``"json"``: `to_json`. ``"msg"``: a message definition of ROS 2.

        Raises
        ------
        SchemaError
            There is no such form.
        """
        return render(self, self._layout, form)

    @property
    def record_dtype(self) -> np.dtype:
        """``record("every")``: ``mono_ns``, then the members of the payload."""
        return self.record("every")

    @property
    def storage_dtype(self) -> np.dtype:
        """``storage("every")``."""
        return self.storage("every")

    def payload_offset(self, store: Store) -> int:
        """Return where the payload begins in a record: 8, or 32 with ``store="changes"``."""
        return forms.payload_offset(store)

    def record(self, store: Store = "every") -> np.dtype:
        """Return the dtype of a record in memory: the columns, then the payload, padded to a multiple of 8.

        Raises
        ------
        SchemaError
            With this many columns the record would pass 64 KiB.
        """
        if ("record", store) not in self._forms:
            self._forms["record", store] = forms.record(self._layout, store)
        return self._forms["record", store]

    def storage(self, store: Store = "every") -> np.dtype:
        """Return the dtype of a record on disk: the same bytes, described as ``.npy`` can.

        Members are in order of offset and never overlap: of a union the widest member stands for all. If the
        header would pass the 10,000 bytes that numpy reads, or needs letters that version 1.0 has not, the
        payload is one field ``payload`` of raw bytes. `column` and `Field.of` see every field in either.

        Raises
        ------
        SchemaError
            With this many columns the record would pass 64 KiB.
        """
        if ("storage", store) not in self._forms:
            dtype = forms.record(self._layout.storable(), store)
            if not forms.npy_can_hold(dtype):
                dtype = forms.record(forms.opaque(self.size), store)
            self._forms["storage", store] = dtype
        return self._forms["storage", store]

    def field(self, name: str) -> Field:
        """Return the field of this name, or the element of an array: ``"cells[3]"``, see `Field.element`.

        Raises
        ------
        SchemaError
            There is none; the message names the nearest.
        """
        if isinstance(name, str):
            if name in self._by_name:
                return self._by_name[name]
            whole, index = paths.split(name)
            if whole in self._by_name:
                return self._by_name[whole].element(index)
        near = suggest(str(name), self._by_name)
        raise SchemaError(f"{self.name!r} has no field {name!r:.80}{near}")

    def with_field(self, name: str, **changes: Any) -> Schema:
        """Return a schema in which one field means something else.

        Parameters
        ----------
        name : str
        **changes
            ``labels unit scale bias doc text pointer``, as in `Field`. A pointer stays one.

        Raises
        ------
        SchemaError
            No such field, or a change to what C decided.
        """
        field = self.field(name)
        if field.name not in self._by_name:
            raise SchemaError(f"{name!r:.80} is an element; change {paths.split(name)[0]!r:.80}, the array")
        for key in changes:
            if key not in MEANINGS:
                raise SchemaError(f"{key!r} of a field cannot be changed{suggest(key, MEANINGS)}")
        if field.pointer and changes.get("pointer") is False:
            raise SchemaError(f"field {name!r} is a pointer and stays one; declare it as an integer instead")
        meanings = {
            one.name: {key: getattr(one, key) for key in MEANINGS} | (changes if one is field else {})
            for one in self.fields
        }
        return Schema(self.name, self._layout, meanings, abi=self.abi, byteorder=self.byteorder)

    def diff(
        self, other: Schema, renamed: Mapping[str, str | None] | None = None
    ) -> tuple[evolution.Change, ...]:
        """Return what is different in a newer schema; empty if nothing is.

        Parameters
        ----------
        other : Schema
            The newer one.
        renamed : mapping of str to (str or None), optional
            From the name here of a field, a nested struct or an array of structs to that in `other`; None:
            it is gone, whatever is there now. The longest name that fits counts.

        Returns
        -------
        tuple of Change
            First of the schema, then of the fields in the order of `other`, those that are gone at their old
            place. ``str`` of a change is one line, ``as_dict()`` what JSON can hold, ``lossy`` whether it
            keeps recordings of this schema from being read as `other`.

        Raises
        ------
        SchemaError
            `renamed` names what is not there, or makes one field of two.
        """
        return evolution.diff(self, other, renamed)

    def column(self, array: np.ndarray, path: str) -> np.ndarray:
        """Return a field, or any part of the payload, of every row.

        Parameters
        ----------
        array : structured ndarray, shape (n,)
            Rows as in `Field.of`.
        path : str
            A field (``"ru_utime.tv_sec"``), a nested struct (``"ru_utime"``), an array of structs or one of
            them (``"motors"``, ``"motors[0]"``), one member of all of them (``"motors.pos"``), an element
            (``"raw[3]"``).

        Returns
        -------
        ndarray, shape (n, *shape)
            A view, structured for structs; a new array for a bit-field.

        Raises
        ------
        SchemaError
            No such part; the message names the nearest field.
        """
        if path in self._by_name:
            return self._by_name[path].of(array)
        part = paths.walk(forms.see(array, self.dtype, (), 0, self.name), path)
        if part is not None:
            return part
        # NumPy has no bit-fields: those of an array of structs are put side by side.
        found = [field for field in self.fields if field.bits and paths.of_all(field.name) == path]
        if not found:
            return self.field(path).of(array)
        shape = (index + 1 for index in paths.indices(found[-1].name))
        return np.stack([field.of(array) for field in found], axis=-1).reshape(*np.shape(array), *shape)


def _fields(layout: members.Struct, meanings: Mapping[str, Mapping[str, Any]]) -> tuple[Field, ...]:
    leaves = sorted(layout.leaves(), key=lambda leaf: leaf.offset)
    names = {leaf.name for leaf in leaves}
    for name in meanings:
        if name not in names:
            raise SchemaError(f"there is no field {name!r:.80}{suggest(str(name), names)}")
    fields = []
    for leaf in leaves:
        meaning = {"pointer": leaf.pointer, **meanings.get(leaf.name, {})}
        fields.append(Field(leaf.name, leaf.dtype, leaf.offset, leaf.shape, leaf.bits, **meaning))
    return tuple(fields)
