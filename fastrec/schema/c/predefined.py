"""What a compiler of each ABI has defined before the text begins."""

from __future__ import annotations

from functools import lru_cache

from fastrec.schema.abi import ABIS, Abi
from fastrec.schema.c.macros import Macro, macro_of
from fastrec.schema.c.tokens import Source, tokens_of

__all__ = ["predefined"]

_ALL = """
__STDC__ 1
__STDC_VERSION__ 201710L
__STDC_HOSTED__ 1
__CHAR_BIT__ 8
__ORDER_LITTLE_ENDIAN__ 1234
__ORDER_BIG_ENDIAN__ 4321
__ORDER_PDP_ENDIAN__ 3412
__BYTE_ORDER__ __ORDER_LITTLE_ENDIAN__
__FLOAT_WORD_ORDER__ __ORDER_LITTLE_ENDIAN__
__SIZEOF_SHORT__ 2
__SIZEOF_INT__ 4
__SIZEOF_LONG_LONG__ 8
__SIZEOF_FLOAT__ 4
__SIZEOF_DOUBLE__ 8
__SCHAR_MAX__ 0x7f
__SHRT_MAX__ 0x7fff
__INT_MAX__ 0x7fffffff
__LONG_LONG_MAX__ 0x7fffffffffffffffLL
__SCHAR_WIDTH__ 8
__SHRT_WIDTH__ 16
__INT_WIDTH__ 32
__LONG_LONG_WIDTH__ 64
__INT8_TYPE__ signed char
__UINT8_TYPE__ unsigned char
__INT16_TYPE__ short int
__UINT16_TYPE__ short unsigned int
__INT32_TYPE__ int
__UINT32_TYPE__ unsigned int
__INT8_MAX__ 0x7f
__UINT8_MAX__ 0xff
__INT16_MAX__ 0x7fff
__UINT16_MAX__ 0xffff
__INT32_MAX__ 0x7fffffff
__UINT32_MAX__ 0xffffffffU
__CHAR16_TYPE__ short unsigned int
__CHAR32_TYPE__ unsigned int
"""

_UNIX = """
__GNUC__ 13
__GNUC_MINOR__ 2
__GNUC_PATCHLEVEL__ 0
__GNUC_STDC_INLINE__ 1
__BIGGEST_ALIGNMENT__ 16
"""

_MICROSOFT = """
_MSC_VER 1940
_MSC_FULL_VER 194033811
_MSC_BUILD 0
_INTEGRAL_MAX_BITS 64
_MSC_EXTENSIONS 1
_MT 1
"""


def _wide(abi: Abi) -> dict[str, object]:
    """What depends on how wide a type is."""
    words = {4: "int", 8: "long int" if abi.long == 8 else "long long int"}
    word = words[abi.pointer]
    unsigned = "long unsigned int" if abi.long == 8 else "long long unsigned int"
    size = "unsigned int" if abi.pointer == 4 else unsigned
    suffix = "L" if abi.long == 8 else "LL"
    longest = "0x7fffffffffffffff" + suffix
    pointer = longest if abi.pointer == 8 else "0x7fffffff"
    wchar = {
        "<i4": "int" if abi.long == 8 else "long int",
        "<u4": "unsigned int",
        "<u2": "short unsigned int",
    }[abi.wchar]
    return {
        "__SIZEOF_LONG__": abi.long,
        "__SIZEOF_POINTER__": abi.pointer,
        "__SIZEOF_SIZE_T__": abi.pointer,
        "__SIZEOF_PTRDIFF_T__": abi.pointer,
        "__SIZEOF_WCHAR_T__": abi.wchar[-1],
        "__SIZEOF_WINT_T__": 2 if abi.microsoft else 4,
        "__SIZEOF_LONG_DOUBLE__": abi.long_double[0],
        "__LONG_MAX__": "0x7fffffffffffffffL" if abi.long == 8 else "0x7fffffffL",
        "__LONG_WIDTH__": 8 * abi.long,
        "__SIZE_WIDTH__": 8 * abi.pointer,
        "__SIZE_TYPE__": size,
        "__PTRDIFF_TYPE__": word,
        "__INTPTR_TYPE__": word,
        "__UINTPTR_TYPE__": size,
        "__INT64_TYPE__": words[8],
        "__UINT64_TYPE__": unsigned,
        "__INTMAX_TYPE__": words[8],
        "__UINTMAX_TYPE__": unsigned,
        "__INT64_MAX__": longest,
        "__UINT64_MAX__": "0xffffffffffffffffU" + suffix,
        "__INTMAX_MAX__": longest,
        "__UINTMAX_MAX__": "0xffffffffffffffffU" + suffix,
        "__PTRDIFF_MAX__": pointer,
        "__INTPTR_MAX__": pointer,
        "__SIZE_MAX__": "0xffffffffffffffffU" + suffix if abi.pointer == 8 else "0xffffffffU",
        "__UINTPTR_MAX__": "0xffffffffffffffffU" + suffix if abi.pointer == 8 else "0xffffffffU",
        "__WCHAR_TYPE__": wchar,
        "__WCHAR_MAX__": {
            "<i4": "0x7fffffff" if abi.long == 8 else "0x7fffffffL",
            "<u4": "0xffffffffU",
            "<u2": "0xffff",
        }[abi.wchar],
        "__WINT_TYPE__": "short unsigned int" if abi.microsoft else "unsigned int",
    }


@lru_cache(maxsize=len(ABIS))
def predefined(abi: Abi) -> dict[str, Macro]:
    """The macros of an ABI by name; a caller copies them before it changes any."""
    lines = _ALL.split("\n") + (_MICROSOFT if abi.microsoft else _UNIX).split("\n")
    lines += [f"{name} {value}" for name, value in _wide(abi).items()]
    special = {"_M_X64": 100, "_M_AMD64": 100, "_M_IX86": 600}
    lines += [f"{name} {special.get(name, 1)}" for name in abi.macros]
    if not abi.signed_char:
        lines.append("__CHAR_UNSIGNED__ 1")
    if abi.wchar[1] == "u":
        lines.append("__WCHAR_UNSIGNED__ 1")
    if abi.int128:
        lines.append("__SIZEOF_INT128__ 16")
    return dict(macro_of(list(tokens_of(Source(line, "<built-in>")))) for line in lines if line)
