"""Field: one leaf of a schema, and how to see it in a structured array."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np

from fastrec.errors import SchemaError
from fastrec.schema import codes
from fastrec.schema.forms import reach, see
from fastrec.schema.labels import Labels, as_labels
from fastrec.schema.texts import check_pointer, encoding_of, kind_of

__all__ = ["Field"]

_TEXTS = {"unit": 255, "doc": 65536}


@dataclass(frozen=True, slots=True)
class Field:
    """One leaf of a schema.

    Attributes
    ----------
    name : str
        Dotted path: ``"ru_utime.tv_sec"``; in arrays of structs ``"motors[0].pos"``; of an element
        ``"cells[3]"``.
    dtype : numpy.dtype
        Of one element, byte order included; of a bit-field, of its unit, or of its value where no integer is
        its unit.
    offset : int
        In the payload, in bytes.
    shape : tuple of int
        ``()`` for a scalar.
    bits : (shift, width) or None
        Where a bit-field lies in its unit, from the least significant bit of the integer that begins at
        `offset`.
    labels : Labels or None
        Names of values.
    unit : str
    scale, bias : float
        The physical value is ``raw * scale + bias``.
    doc : str
    text : bool or str
        A pointer to a text that is followed at capture, up to a zero or 4,096 bytes; a record holds the id of
        the text instead of the address. True: 8-bit characters, or the wide ones that `pointer` names.
        ``"utf-16"`` (``char16_t *``, ``LPWSTR``) and ``"utf-32"`` (``char32_t *``, Linux's ``wchar_t *``) are
        little endian; ``"utf-8"`` becomes True. With ``":direct"`` behind it (8-bit: ``"direct"`` alone) the
        memory is read by plain loads: no system call, but a dangling pointer ends the process.

        Bytes that are not UTF-8 are read back as surrogate escapes. So are, in wide texts, those of a lone
        surrogate or of a value beyond U+10FFFF: ``.encode("utf-8", "surrogateescape")`` gives them, and
        ``.decode("utf-8", "surrogatepass")`` of these the lone surrogates.
    pointer : bool or str
        An address: opaque, and no number to compute with. ``"utf-16"`` or ``"utf-32"`` where C says that wide
        characters lie there (``c_wchar_p``).
    """

    name: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...] = ()
    bits: tuple[int, int] | None = None
    labels: Labels | None = None
    unit: str = ""
    scale: float = 1.0
    bias: float = 0.0
    doc: str = ""
    text: bool | str = False
    pointer: bool | str = False

    def __post_init__(self) -> None:
        where = f"field {self.name!r}"
        object.__setattr__(self, "labels", as_labels(self.labels))
        if self.labels is not None and self.dtype.kind not in "iub":
            raise SchemaError(
                f"{where} has labels, but is {self.dtype.str}; only integers and booleans have names"
            )
        for key, most in _TEXTS.items():
            value = getattr(self, key)
            if not isinstance(value, str) or len(value) > most:
                raise SchemaError(f"{where}: {key} must be a text of at most {most} characters")
        for key in ("scale", "bias"):
            value = getattr(self, key)
            object.__setattr__(self, key, _finite(value, f"{where}: {key}"))
        if (self.scale, self.bias) != (1.0, 0.0) and (self.pointer or self.dtype.kind not in "iufc"):
            what = "a pointer" if self.pointer else self.dtype.str
            raise SchemaError(f"{where} has a scale or a bias, but is {what}; only numbers have them")
        if not self.scale:
            raise SchemaError(f"{where}: scale is 0, which would lose the value; leave it at 1.0")
        check_pointer(self.pointer, where)
        object.__setattr__(self, "text", kind_of(self.text, self.pointer, where))
        if self.text and not self.pointer:
            object.__setattr__(self, "pointer", True)
        if self.pointer and (self.dtype.kind != "u" or self.dtype.itemsize not in (4, 8) or self.bits):
            raise SchemaError(
                f"{where} is said to be a pointer or text, but is {self.dtype.str}; pointers are u4 or u8"
            )
        if self.text and self.dtype.str.startswith(">"):
            raise SchemaError(f"{where} is a big-endian pointer, which cannot be followed; leave text out")
        if self.text and self.shape:
            raise SchemaError(
                f"{where} is an array of pointers; only a single pointer can be followed as text"
            )

    @property
    def kind(self) -> codes.Pattern | None:
        """How a zone summarises the field; None for arrays, texts, bytes, complex numbers and pointers."""
        return None if self.shape or self.pointer else codes.pattern(self.dtype)

    @property
    def encoding(self) -> str | None:
        """``"utf-8"`` (any 8-bit text), ``"utf-16"`` or ``"utf-32"``; None: no text."""
        return encoding_of(self.text)

    @property
    def nbytes(self) -> int:
        """Bytes in the payload; of a bit-field, those that hold its bits (big-endian: its unit)."""
        if self.bits is not None and self.dtype.str[0] != ">":
            return -(-sum(self.bits) // 8)
        return self.dtype.itemsize * math.prod(self.shape)

    def element(self, index: tuple[int, ...]) -> Field:
        """Return one element of an array, or, of several axes, a part of it, as a field of its own.

        Parameters
        ----------
        index : tuple of int
            Of the first axes; the element is named with it, ``"grid[1][2]"``, and means what the array does.

        Raises
        ------
        SchemaError
            There is no such element; the message says the shape.
        """
        name = self.name + "".join(f"[{place}]" for place in index)
        if len(index) > len(self.shape) or not all(
            0 <= i < n for i, n in zip(index, self.shape, strict=False)
        ):
            raise SchemaError(f"{name!r:.80}: {self.name!r:.80} has shape {self.shape}; index within it")
        shape = self.shape[len(index) :]
        place = sum(i * math.prod(self.shape[axis + 1 :]) for axis, i in enumerate(index))
        return replace(self, name=name, offset=self.offset + place * self.dtype.itemsize, shape=shape)

    def of(self, array: np.ndarray) -> np.ndarray:
        """Return this field of every row.

        Parameters
        ----------
        array : structured ndarray, shape (n,)
            Rows of any form of the schema: payload, record or storage, with either ``store``. Forms are told
            apart by the recorder's columns; a payload has none.

        Returns
        -------
        ndarray, shape (n, *shape)
            A view of the same memory; for a bit-field a new array with the bits extracted (sign extended if
            its unit is signed).

        Raises
        ------
        SchemaError
            The rows are too short to hold the field.
        """
        if self.bits is None:
            return see(array, self.dtype, self.shape, self.offset, self.name)
        shift, width = self.bits
        size = self.dtype.itemsize
        if self.nbytes <= size <= reach(array, self.offset):
            word = see(array, self.dtype, (), self.offset, self.name)
        else:
            word, shift = self._gathered(array), 0
        above = 8 * size - shift - width
        # Shifted up first, so that the way down extends the sign exactly when C would.
        return (word << above) >> (above + shift)

    def put(self, array: np.ndarray, values: object) -> None:
        """Write this field of every row; of a bit-field its own bits alone.

        Parameters
        ----------
        array : structured ndarray, shape (n,)
            Rows as in `of`, writable.
        values : array_like that broadcasts to (n, *shape)
            Raw values.

        Raises
        ------
        SchemaError
            The rows are too short, or an integer or a bit-field cannot hold a value.
        """
        if self.dtype.kind in "iu":
            values = self._whole(values)
        if self.bits is None:
            self.of(array)[...] = values
            return
        shift, width = self.bits
        word = values.astype(np.uint64)
        for place, raw in enumerate(self._bytes(array)):
            mine = ((1 << width) - 1 << shift >> 8 * place) & 0xFF
            above = 8 * place - shift
            part = word >> np.uint64(above) if above >= 0 else word << np.uint64(-above)
            raw[...] = raw & (0xFF ^ mine) | part.astype(np.uint8) & mine

    def _whole(self, values: object) -> np.ndarray:
        """Integers that the field can hold; refused is what NumPy would cut off."""
        width = self.bits[1] if self.bits else 8 * self.dtype.itemsize
        least = -1 << width - 1 if self.dtype.kind == "i" else 0
        most = least + (1 << width) - 1
        wide = np.asarray(values)
        if type(values) is int and least <= values <= most:
            return wide  # most are, and need not be searched
        if wide.dtype.kind not in "iub":
            # Of a list with one number of 64 bits and one of fewer NumPy makes floats.
            wide = np.asarray(values, dtype=object)
        whole = wide.dtype.kind != "O" or all(type(value) is int for value in wide.flat)
        if not whole or (wide.size and not least <= int(wide.min()) <= int(wide.max()) <= most):
            raise SchemaError(f"field {self.name!r} has {width} bits: whole numbers from {least} to {most}")
        return wide

    def _bytes(self, array: np.ndarray) -> Iterator[np.ndarray]:
        """Views of the bytes that hold a bit-field, the least significant first."""
        raw = see(array, np.dtype(np.uint8), (self.nbytes,), self.offset, self.name)
        places = range(self.nbytes)
        return (raw[..., place] for place in (places[::-1] if self.dtype.str[0] == ">" else places))

    def _gathered(self, array: np.ndarray) -> np.ndarray:
        """A bit-field byte by byte, where no integer of its type can be seen; its bits begin at bit 0."""
        shift = self.bits[0]
        word = np.zeros(array.shape, np.uint64)
        for place, raw in enumerate(self._bytes(array)):
            above = 8 * place - shift
            wide = raw.astype(np.uint64)
            word |= wide << np.uint64(above) if above >= 0 else wide >> np.uint64(-above)
        return word.astype(self.dtype)

    def meaning(self) -> dict[str, object]:
        """Return labels, unit and so on as JSON, without what is left at its default."""
        obj: dict[str, object] = {
            key: getattr(self, key)
            for key, default in (("unit", ""), ("scale", 1.0), ("bias", 0.0), ("doc", ""), ("text", False))
            if getattr(self, key) != default
        }
        if isinstance(self.pointer, str) or (self.pointer and not self.text):
            obj["pointer"] = self.pointer
        if self.labels is not None:
            obj["labels"] = self.labels.to_json()
        return obj


def _finite(value: object, what: str) -> float:
    try:
        if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise SchemaError(f"{what} must be a finite number that fits a double")
