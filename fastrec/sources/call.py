"""Sources that call a C function: what may be passed, how success is told, and the errors of a first call."""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fastrec.core.call import NO_OUT, RETURNS, NativeCall
from fastrec.core.poller import MOST_TEXTS
from fastrec.core.ring import read_memory
from fastrec.errors import SourceError, shown, suggest
from fastrec.schema import Schema
from fastrec.sources import loaded
from fastrec.sources.payloads import payload_of
from fastrec.sources.registry import as_schema
from fastrec.sources.source import Source

__all__ = ["INOUT", "OUT", "Call", "ComMethod"]

Returns = Literal["zero", "nonnegative", "nonzero", "hresult", "void"]

_MOST_ARGS = 6
_POINTER = ctypes.sizeof(ctypes.c_void_p)
_MOST_SLOTS = 4096


@dataclass(frozen=True)
class Out:
    """Where the struct goes. ``OUT(init=...)`` says what it holds before each call.

    Attributes
    ----------
    init : bytes, mapping or None
        The whole payload, or values by field name with zeros between; None leaves what the call before wrote.
    """

    init: bytes | Mapping[str, Any] | None = None

    def __call__(self, *, init: bytes | Mapping[str, Any]) -> Out:
        return Out(init)

    def __repr__(self) -> str:
        return "OUT" if self.init is None else f"OUT(init={self.init!r})"

    def template(self, schema: Schema) -> bytes | None:
        """The payload before each call."""
        if self.init is None:
            return None
        if isinstance(self.init, Mapping):
            return payload_of(schema, self.init, "OUT(init=...)")
        try:
            payload = memoryview(self.init).tobytes()
        except TypeError:
            raise SourceError(f"OUT(init={shown(self.init)}); it is bytes, or values by field name") from None
        if len(payload) != schema.size:
            raise SourceError(
                f"OUT(init=...) has {len(payload)} bytes, {schema.name!r} has {schema.size}; give them all"
            )
        return payload


OUT = Out()


@dataclass(frozen=True)
class INOUT:
    """A ``uint32_t *`` argument that holds `value` before each call (``socklen_t *``, ``DWORD *``)."""

    value: int

    def __post_init__(self) -> None:
        if (
            isinstance(self.value, bool)
            or not isinstance(self.value, int | np.integer)
            or not 0 <= self.value < 1 << 32
        ):
            raise SourceError(f"INOUT({shown(self.value)}); it is a whole number from 0 to 2**32 - 1")


class Call(Source):
    """A C function that fills a struct.

    Parameters
    ----------
    function : ctypes function, cffi function, or int
        An address as an int needs ``unsafe=True``, as does one in no loaded library.
    *args
        At most six: integers, None, bytes, ctypes values and structures (passed by address), one `OUT`, any
        `INOUT`.
    schema : Schema, ctypes.Structure class, dtype or name such as ``"linux:rusage"``
        Of the struct. Left out, there is no `OUT`: a call that opens, closes or sets something, for
        ``Recorder.thread``.
    returns : {"zero", "nonnegative", "nonzero", "hresult", "void"}
        What success looks like. The value is read at the width of the function's ``restype``.
    unsafe : bool
        Take an address on trust.

    Raises
    ------
    SourceError
        The function is NULL, needs the GIL, lies in no loaded library; or an argument cannot be passed.

    Notes
    -----
    The function is called on a thread without the GIL. Function, library and arguments are kept alive until
    that thread has ended. A failing call is recorded with its return value as the code, or with ``errno``
    where the function returned -1 and set it.
    """

    def __init__(
        self, function: Any, *args: Any, schema: Any = None, returns: Returns = "zero", unsafe: bool = False
    ) -> None:
        self.schema = None if schema is None else as_schema(schema)
        self.name = getattr(function, "__name__", None) or "the function"
        if returns not in RETURNS:
            raise SourceError(f"returns={returns!r}{suggest(str(returns), RETURNS)}")
        address, width, is_signed, keep = loaded.function(function, self.name, unsafe=unsafe)
        loaded.check_arguments(function, len(args), self.name)
        if width == 0 and returns != "void":
            raise SourceError(f"{self.name} returns nothing; say returns='void', or set its restype")
        if not is_signed and (returns == "nonnegative" or (returns == "hresult" and width < 4)):
            raise SourceError(
                f"{self.name} returns an unsigned number, which is never negative: returns={returns!r} would"
                " see no failure; set restype to a signed type, or say what else tells success"
            )
        self._begin(address, args, returns, width or 4, is_signed, keep)

    def _begin(
        self, address: int, args: tuple, returns: Returns, width: int, is_signed: bool, keep: list
    ) -> None:
        if self.schema is not None and len(self.schema.texts) > MOST_TEXTS:
            raise SourceError(
                f"{self.name}: {len(self.schema.texts)} text members; at most {MOST_TEXTS} can be followed"
            )
        if len(args) > _MOST_ARGS:
            raise SourceError(
                f"{self.name}: {len(args)} arguments; at most {_MOST_ARGS} integers or pointers can be passed"
            )
        places = [i for i, arg in enumerate(args) if isinstance(arg, Out)]
        if self.schema is None and places:
            raise SourceError(f"{self.name} fills a struct (OUT) of which nothing is known; say schema=")
        if self.schema is not None and len(places) != 1:
            raise SourceError(
                f"{self.name}: {len(places)} of the arguments are OUT; exactly one says where the struct goes"
            )
        values, cells = [], {}
        for i, arg in enumerate(args):
            if isinstance(arg, INOUT):
                cells[i] = int(arg.value)
            values.append(
                0 if isinstance(arg, Out | INOUT) else _passed(arg, f"{self.name}, argument {i + 1}", keep)
            )
        self.getter = NativeCall(
            address,
            values,
            out=places[0] if places else NO_OUT,
            size=self.schema.size if self.schema else 0,
            returns=RETURNS.index(returns),
            width=width,
            is_signed=is_signed,
            init=args[places[0]].template(self.schema) if places else None,
            cells=cells,
            keep=keep,
        )


class ComMethod(Call):
    """A method of a COM object: slot `slot` of its vtable, called with the object itself, then `args`.

    Parameters
    ----------
    pointer : int or ctypes pointer
        The interface pointer. The source takes a reference of its own.
    slot : int
        From 0; the first three are QueryInterface, AddRef and Release.
    *args
        As for `Call`, after ``this``; ``OUT`` alone by default.
    schema : Schema, or what makes one
    keep : object
        Whatever must live as long as the source does.

    Notes
    -----
    Success is told by the sign of the HRESULT. On 64-bit systems COM has the one calling convention of C.
    """

    def __init__(self, pointer: Any, slot: int, *args: Any, schema: Any, keep: object = None) -> None:
        self.schema = as_schema(schema)
        this = _pointer_value(pointer)
        if type(slot) is not int or not 0 <= slot < _MOST_SLOTS:
            raise SourceError(f"slot={shown(slot)}; a vtable has slots from 0 on, GetStatus is often 3")
        self.name = f"slot {slot} of the object at {this:#x}"
        if not this:
            raise SourceError("the COM pointer is NULL; create the object first")
        methods = _vtable(this, max(slot, 2) + 1)
        library = [one for place in {1, 2, slot} for one in loaded.pin(methods[place], self.name)]
        self._begin(
            methods[slot],
            (this, *(args or (OUT,))),
            "hresult",
            4,
            True,
            [keep, _Reference(this, *methods[1:3]), *library],
        )


def _pointer_value(pointer: Any) -> int:
    if pointer is None or (isinstance(pointer, int) and not isinstance(pointer, bool)):
        value = pointer or 0
        if 0 <= value < 1 << 8 * _POINTER:
            return value
    elif isinstance(pointer, ctypes._Pointer | ctypes.c_void_p):
        return ctypes.cast(pointer, ctypes.c_void_p).value or 0
    raise SourceError(f"{shown(pointer)} is no pointer; pass the interface pointer as an int or of ctypes")


def _vtable(this: int, count: int) -> tuple[int, ...]:
    """The first methods of a COM object, by reads that cannot fault."""
    table = read_memory(this, _POINTER)
    methods = table and read_memory(int.from_bytes(table, sys.byteorder), count * _POINTER)
    if not methods:
        raise SourceError(f"there is no COM object at {this:#x}: its first word leads to no table of methods")
    return struct.unpack(f"@{count}P", methods)


class _Reference:
    """A reference of our own to a COM object, for as long as somebody may call it."""

    _counter = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)

    def __init__(self, this: int, add: int, release: int) -> None:
        self._this, self._release = this, self._counter(release)
        self._counter(add)(this)

    def __del__(self) -> None:
        self._release(self._this)


def _passed(arg: Any, where: str, keep: list) -> int:
    """An argument as the integer in its register; what it points to is kept."""
    if arg is None:
        return 0
    if isinstance(arg, bool | int | np.integer):
        if not -(1 << 63) <= arg < 1 << 64:
            raise SourceError(f"{where} is {shown(arg)}, which does not fit 64 bits")
        return int(arg)
    if isinstance(arg, float | np.floating | ctypes.c_float | ctypes.c_double | ctypes.c_longdouble):
        raise SourceError(f"{where} is a floating-point number; only integers and pointers can be passed")
    keep.append(arg)
    if isinstance(arg, bytes | bytearray):
        buffer = ctypes.create_string_buffer(bytes(arg))
        keep.append(buffer)
        return ctypes.addressof(buffer)
    if isinstance(arg, ctypes.Structure | ctypes.Union | ctypes.Array):
        return ctypes.addressof(arg)
    if isinstance(arg, ctypes._Pointer | ctypes.c_void_p | ctypes.c_char_p):
        return ctypes.cast(arg, ctypes.c_void_p).value or 0
    if type(arg) is type(ctypes.byref(ctypes.c_int())):
        return ctypes.cast(arg, ctypes.c_void_p).value or 0
    if isinstance(arg, ctypes._SimpleCData) and isinstance(arg.value, int | bool):
        return int(arg.value)
    raise SourceError(f"{where} is a {type(arg).__name__}; pass an integer, None, bytes or a ctypes object")
