"""What stands for headers that are not read: those of their macros on which layouts depend.

Sources: ISO C17, 7.10, 7.18 and 7.20; glibc's ``endian.h``; Linux, ``include/uapi/linux/limits.h`` and
``byteorder``; the Windows SDK, ``minwindef.h`` and ``winnt.h``.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from fastrec.schema.c.headers import base_name, is_windows

__all__ = ["stand_in"]

_DEFINES = re.compile(r"#define (\w+)")

_LIMITS = """
#define CHAR_BIT __CHAR_BIT__
#define SCHAR_MAX __SCHAR_MAX__
#define SCHAR_MIN (-SCHAR_MAX - 1)
#define UCHAR_MAX (SCHAR_MAX * 2 + 1)
#ifdef __CHAR_UNSIGNED__
#define CHAR_MIN 0
#define CHAR_MAX UCHAR_MAX
#else
#define CHAR_MIN SCHAR_MIN
#define CHAR_MAX SCHAR_MAX
#endif
#define SHRT_MAX __SHRT_MAX__
#define SHRT_MIN (-SHRT_MAX - 1)
#define USHRT_MAX (SHRT_MAX * 2 + 1)
#define INT_MAX __INT_MAX__
#define INT_MIN (-INT_MAX - 1)
#define UINT_MAX (INT_MAX * 2U + 1U)
#define LONG_MAX __LONG_MAX__
#define LONG_MIN (-LONG_MAX - 1L)
#define ULONG_MAX (LONG_MAX * 2UL + 1UL)
#define LLONG_MAX __LONG_LONG_MAX__
#define LLONG_MIN (-LLONG_MAX - 1LL)
#define ULLONG_MAX (LLONG_MAX * 2ULL + 1ULL)
#ifdef __linux__
#define __WORDSIZE (8 * __SIZEOF_LONG__)
#define NAME_MAX 255
#define PATH_MAX 4096
#define PIPE_BUF 4096
#endif
"""
_STDINT = "".join(
    f"""
#define INT{bits}_MAX __INT{bits}_MAX__
#define INT{bits}_MIN (-INT{bits}_MAX - 1)
#define UINT{bits}_MAX __UINT{bits}_MAX__
#define INT{bits}_C(c) c{'' if bits < 64 else '##LL'}
#define UINT{bits}_C(c) c{'' if bits < 32 else '##U' if bits < 64 else '##ULL'}
"""
    for bits in (8, 16, 32, 64)
) + """
#define INTMAX_MAX __INTMAX_MAX__
#define INTMAX_MIN (-INTMAX_MAX - 1)
#define UINTMAX_MAX __UINTMAX_MAX__
#define INTMAX_C(c) c##LL
#define UINTMAX_C(c) c##ULL
#define INTPTR_MAX __INTPTR_MAX__
#define INTPTR_MIN (-INTPTR_MAX - 1)
#define UINTPTR_MAX __UINTPTR_MAX__
#define PTRDIFF_MAX __PTRDIFF_MAX__
#define PTRDIFF_MIN (-PTRDIFF_MAX - 1)
#define SIZE_MAX __SIZE_MAX__
#ifdef __linux__
#define __WORDSIZE (8 * __SIZEOF_LONG__)
#endif
"""  # fmt: skip
_STDBOOL = """
#define bool _Bool
#define true 1
#define false 0
#define __bool_true_false_are_defined 1
"""
_ENDIAN = """
#ifdef __linux__
#define __LITTLE_ENDIAN 1234
#define __BIG_ENDIAN 4321
#define __PDP_ENDIAN 3412
#define __BYTE_ORDER __LITTLE_ENDIAN
#define __FLOAT_WORD_ORDER __BYTE_ORDER
#define LITTLE_ENDIAN __LITTLE_ENDIAN
#define BIG_ENDIAN __BIG_ENDIAN
#define PDP_ENDIAN __PDP_ENDIAN
#define BYTE_ORDER __BYTE_ORDER
#endif
"""
_BYTEORDER = """
#define __LITTLE_ENDIAN 1234
#define __LITTLE_ENDIAN_BITFIELD
"""
_WINDOWS = (
    """
#define MAX_PATH 260
#define ANYSIZE_ARRAY 1
#define UNALIGNED __unaligned
#define DECLARE_HANDLE(name) typedef void *name
#ifdef NONAMELESSUNION
"""
    + "".join(
        f"#define DUMMY{kind}NAME{number} {short}{number}\n"
        for kind, short in (("UNION", "u"), ("STRUCT", "s"))
        for number in ("", *range(2, 10 if short == "u" else 6))
    )
    + "#else\n"
    + "".join(
        f"#define DUMMY{kind}NAME{number}\n"
        for kind, last in (("UNION", 10), ("STRUCT", 6))
        for number in ("", *range(2, last))
    )
    + "#endif\n"
)
_TEXTS = {
    **dict.fromkeys(("limits.h", "climits"), _LIMITS),
    **dict.fromkeys(("stdint.h", "inttypes.h", "cstdint", "cinttypes"), _STDINT),
    **dict.fromkeys(("stdbool.h", "cstdbool"), _STDBOOL),
    **dict.fromkeys(("endian.h", "sys/types.h", "sys/param.h"), _ENDIAN),
    "asm/byteorder.h": _BYTEORDER,
}


def stand_in(file: str, said: Collection[str]) -> str:
    """What is read in place of a header that is known, without the macros that the user has said."""
    text = _WINDOWS if is_windows(file) else _TEXTS.get(base_name(file), "") if file[:1] == "<" else ""
    kept = (line for line in text.splitlines() if not (words := _DEFINES.match(line)) or words[1] not in said)
    return "\n".join(kept)
