"""What C declares: types with their size and alignment under one ABI, structs with every member placed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastrec.schema.labels import Labels

__all__ = ["Array", "Declared", "Placed", "Record", "Scalar", "Type"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number, a character, an enumeration, a pointer; or bytes that NumPy has no number for.

    Attributes
    ----------
    dtype : numpy.dtype
        What a record holds: ``S1`` for plain char, ``V16`` for a long double of the System V ABI.
    align : int
        Bytes, within structs.
    required : int
        Alignment that an attribute of the type asks for; 0: none did.
    labels : Labels or None
        Of an enumeration, or an HRESULT.
    pointer : bool or str
        As in `fastrec.schema.Field`.
    integer : bool
        It can be a bit-field.
    """

    dtype: np.dtype
    align: int
    required: int = 0
    labels: Labels | None = None
    pointer: bool | str = False
    integer: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Array:
    """``count`` elements; None: a flexible array member, which has no bytes in its struct."""

    element: Type
    count: int | None

    @property
    def size(self) -> int:
        """Bytes."""
        return self.element.size * (self.count or 0)

    @property
    def align(self) -> int:
        """Bytes."""
        return self.element.align

    @property
    def required(self) -> int:
        """As of its element."""
        return self.element.required


@dataclass(frozen=True, slots=True)
class Declared:
    """A member as its author wrote it.

    Attributes
    ----------
    name : str
        ``""``: an anonymous struct, or a bit-field that is padding.
    type : Type
    width : int or None
        Of a bit-field.
    packed : bool
        ``__attribute__((packed))`` of this member.
    aligned : int
        What its own attribute asks for; 0: nothing.
    doc : str
    """

    name: str
    type: Type
    width: int | None = None
    packed: bool = False
    aligned: int = 0
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A member and the bit of the struct at which it begins."""

    declared: Declared
    at: int


@dataclass(frozen=True, slots=True)
class Record:
    """A struct or union whose members are placed.

    Attributes
    ----------
    tag : str
    union : bool
    members : tuple of Placed
        Bit-fields that are padding included.
    size, align : int
        Bytes.
    required : int
        Alignment that packing around it does not lower (Microsoft): with an attribute, all of its own.
    inner : int
        The same under another name, a typedef with an attribute: what attributes of it and within it ask for.
    big : bool
        Bits are counted from the most significant one of each byte down.
    """

    tag: str
    union: bool
    members: tuple[Placed, ...]
    size: int
    align: int
    required: int = 0
    inner: int = 0
    big: bool = False


Type = Scalar | Array | Record
