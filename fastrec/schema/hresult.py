"""HRESULT: a code of 32 bits taken apart and named.

The bits, by MS-ERREF 2.1: S (31), R (30), C (29), N (28), X (27), facility (26 to 16), code (15 to 0). Codes
of ``nserror.h`` and ``mferror.h`` (facility 13) are older than that page: their severity has two bits, S and
R, so every ``NS_E_`` code has R set, which a strict decoder would refuse, and an ``NS_W_`` code is a warning
although ``FAILED()`` holds. NTSTATUS values carried in an HRESULT (N set) have the same two bits.

The table lies beside this file, in ``hresult.csv``: lines of ``VALUE,NAME``, the value as eight hexadecimal
digits, in sections named by their source:

``# winerror.h``, ``# nserror.h``, ``# mferror.h``, ``# urlmon.h``
    Values and names of the Windows SDK's headers.
``# win32``
    Win32 error codes (``winerror.h``, ``wininet.h``, ``winhttp.h``), each under the value that the macro
    ``HRESULT_FROM_WIN32`` makes of it: 0 stays 0, n becomes 0x80070000 + n.
``# older``
    Names that older SDKs or Microsoft's pages gave to values whose header name is another today.

It is read when the first name is asked for, never on import. Look-up always takes all 32 bits: the low word
0x274C is ``WSAETIMEDOUT`` in facility 7 and ``NS_E_DRM_INDIVIDUALIZATION_INCOMPLETE`` in facility 13.
"""

from __future__ import annotations

import operator
import re
from functools import cache
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from fastrec.errors import SchemaError, suggest
from fastrec.schema.labels import Labels

__all__ = ["HRESULT", "HResult"]

# winerror.h gives some numbers two names; here is one for each, that of the codes in our table where there
# are any. Numbers from 2048 up have the X bit: Microsoft's own graphics and audio codes use it as a twelfth
# bit of the facility.
FACILITIES = {
    0: "NULL",
    1: "RPC",
    2: "DISPATCH",
    3: "STORAGE",
    4: "ITF",
    7: "WIN32",
    8: "WINDOWS",
    9: "SECURITY",
    10: "CONTROL",
    11: "CERT",
    12: "INTERNET",
    13: "MEDIASERVER",
    14: "MSMQ",
    15: "SETUPAPI",
    16: "SCARD",
    17: "COMPLUS",
    18: "AAF",
    19: "URT",
    20: "ACS",
    21: "DPLAY",
    22: "UMI",
    23: "SXS",
    24: "WINDOWS_CE",
    25: "HTTP",
    26: "USERMODE_COMMONLOG",
    27: "WER",
    31: "USERMODE_FILTER_MANAGER",
    32: "BACKGROUNDCOPY",
    33: "CONFIGURATION",
    36: "WINDOWSUPDATE",
    38: "GRAPHICS",
    39: "NAP",
    40: "TPM_SERVICES",
    50: "FWP",
    102: "AUDIO",
    2168: "DIRECTMUSIC",
    2169: "DIRECT3D10",
    2170: "DXGI",
    2171: "DXGI_DDI",
    2172: "DIRECT3D11",
    2174: "DIRECT3D12",
    2185: "AUDCLNT",
    2200: "WINCODEC_DWRITE_DWM",
    2201: "DIRECT2D",
}
MEDIASERVER = 13
TWO_BIT_SEVERITY = ("success", "informational", "warning", "error")
NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,8}|-?[0-9]{1,10}", re.ASCII)


def preference(source: str, name: str) -> tuple[bool, bool, list[str]]:
    """Sort key of the names of one value; the smallest becomes the primary name.

    Names of today come before older ones, an outcome before the mark of a range (``INET_E_INVALID_URL``
    before ``INET_E_ERROR_FIRST``), then alphabetical order by words: ``S_OK`` before ``SEC_E_OK``, and
    WinINet's ``ERROR_INTERNET_TIMEOUT`` before WinHTTP's ``ERROR_WINHTTP_TIMEOUT``.
    """
    return source == "older", name.endswith(("_FIRST", "_LAST")), name.split("_")


@cache
def table() -> tuple[dict[int, tuple[str, ...]], dict[str, int]]:
    """Names by value, primary first, and values by every name and by the bare names of Win32 errors."""
    found: dict[int, list[tuple[bool, tuple[Any, ...], str]]] = {}
    values: dict[str, int] = {}
    source = ""
    with Path(__file__).with_suffix(".csv").open(encoding="ascii") as lines:
        for line in lines:
            digits, comma, name = line.rstrip("\n").partition(",")
            if not comma:
                source = digits.removeprefix("# ")
                continue
            value = int(digits, 16)
            values[name] = value
            win32 = source == "win32"
            full = f"HRESULT_FROM_WIN32({name})" if win32 else name
            values[full] = value
            found.setdefault(value, []).append((win32, preference(source, name), full))
    names = {value: tuple(full for *_, full in sorted(entries)) for value, entries in found.items()}
    return names, values


class HResult(int):
    """An HRESULT.

    An ``int`` with the signed value that C's ``HRESULT`` has, so that ``hr < 0`` is a failure and comparisons
    with a column of ``i4`` are right. It also equals its own unsigned spelling, ``HResult(-2147467259) ==
    0x80004005``; its hash is that of the signed value, so a mapping should be keyed by `HResult` or by signed
    codes.

    Parameters
    ----------
    code : int, numpy integer
        Signed or unsigned, -2**31 to 2**32 - 1.

    Raises
    ------
    SchemaError
        The code does not fit in 32 bits, or is no integer.

    Examples
    --------
    >>> hr = HResult(0x80072EFD)
    >>> hr.name, hr.severity, hr.facility, hr.code, hr.succeeded
    ('HRESULT_FROM_WIN32(ERROR_INTERNET_CANNOT_CONNECT)', 'error', 'WIN32', 12029, False)
    """

    __slots__ = ()

    def __new__(cls, code: SupportsIndex = 0) -> HResult:
        try:
            number = operator.index(code)
        except TypeError:
            raise SchemaError(f"{code!r:.60} is no HRESULT: pass an integer (names: HResult.named)") from None
        if not -(1 << 31) <= number < 1 << 32:
            raise SchemaError(f"{number} is no HRESULT: it must fit in 32 bits, signed or unsigned")
        return super().__new__(cls, (number ^ 1 << 31) - (1 << 31) if number >= 1 << 31 else number)

    @classmethod
    def named(cls, name: str) -> HResult:
        """The code with this name.

        Parameters
        ----------
        name : str
            A name or alias of the table, ``HRESULT_FROM_WIN32(ERROR_DISK_FULL)``, the bare
            ``ERROR_DISK_FULL`` for the same, or a number: decimal, or hexadecimal after ``0x``.

        Raises
        ------
        SchemaError
            No such name; the message offers near ones.
        """
        if NUMBER.fullmatch(name):
            return cls(int(name, 16 if name[:2] in ("0x", "0X") else 10))
        values = table()[1]
        if name not in values:
            raise SchemaError(f"no HRESULT is named {name!r:.60}{suggest(name, values)}")
        return cls(values[name])

    @property
    def value(self) -> int:
        """The code as an unsigned number, as it is usually written: 0x80004005."""
        return int(self) & 0xFFFFFFFF

    @property
    def signed(self) -> int:
        """The code as C holds it, -2**31 to 2**31 - 1."""
        return int(self)

    @property
    def name(self) -> str:
        """The primary name, or for an unknown code its eight digits: ``"0x80041234"``."""
        return table()[0].get(self.value, (f"0x{self.value:08X}",))[0]

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names of the same 32 bits."""
        return table()[0].get(self.value, ())[1:]

    @property
    def succeeded(self) -> bool:
        """What the macro ``SUCCEEDED`` says: the sign bit is clear. True for ``S_FALSE``."""
        return int(self) >= 0

    @property
    def failed(self) -> bool:
        """What the macro ``FAILED`` says. True for the warnings of ``nserror.h``, too."""
        return int(self) < 0

    @property
    def severity(self) -> str:
        """``"success"`` or ``"error"``; where R belongs to it also ``"informational"`` and ``"warning"``."""
        if self.n or self.facility_number == MEDIASERVER:
            return TWO_BIT_SEVERITY[self.value >> 30]
        return "error" if self.failed else "success"

    @property
    def facility_number(self) -> int:
        """Bits 26 to 16."""
        return self.value >> 16 & 0x7FF

    @property
    def facility(self) -> str:
        """Who defined the code: ``"WIN32"``, ``"MEDIASERVER"``; the number as text when it has no name here.

        ``"NTSTATUS"`` for a mapped NTSTATUS, ``"CUSTOMER"`` for a customer's code: their numbers are not
        Microsoft's facilities of HRESULT.
        """
        if self.n:
            return "NTSTATUS"
        if self.c:
            return "CUSTOMER"
        number = self.value >> 16 & 0xFFF
        return FACILITIES.get(number, str(number))

    @property
    def code(self) -> int:
        """Bits 15 to 0; means nothing without the facility."""
        return self.value & 0xFFFF

    @property
    def r(self) -> bool:
        """Bit 30: reserved, or the second severity bit (facility 13, NTSTATUS)."""
        return bool(self.value >> 30 & 1)

    @property
    def c(self) -> bool:
        """Bit 29: defined by a customer, not by Microsoft."""
        return bool(self.value >> 29 & 1)

    @property
    def n(self) -> bool:
        """Bit 28: a mapped NTSTATUS."""
        return bool(self.value >> 28 & 1)

    @property
    def x(self) -> bool:
        """Bit 27: reserved; set in Microsoft's graphics and audio codes."""
        return bool(self.value >> 27 & 1)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | np.integer):
            return int(self) == int(other) or self.value == int(other)
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self) -> int:
        return int.__hash__(self)

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        kind = spec[-1:]
        if kind == "d":
            return format(int(self), spec)
        return format(self.value if kind in ("b", "o", "x", "X") else self.name, spec)

    def __repr__(self) -> str:
        known = self.value in table()[0]
        return f"<HResult 0x{self.value:08X}{' ' + self.name if known else ''}>"


class HResultLabels(Labels):
    """The names of HRESULTs as labels of a field of 32 bits, signed or unsigned.

    They have no enumerators: what a code means is part of the schema, the table of names is not, so a longer
    table in a later fastrec leaves every digest as it is.
    """

    __slots__ = ()
    kind = "hresult"

    @property
    def enumerators(self) -> tuple[tuple[str, int], ...]:
        return ()

    def name(self, value: int) -> str:
        return HResult(value).name if -(1 << 31) <= value < 1 << 32 else f"{value}?"

    def value(self, label: str) -> int:
        return HResult.named(label).signed

    def values(self, label: str) -> tuple[int, ...]:
        wanted = HResult.named(label)
        return wanted.signed, wanted.value

    def to_json(self) -> dict[str, object]:
        return {"kind": self.kind}

    def __repr__(self) -> str:
        return "HRESULT"


HRESULT = HResultLabels()
