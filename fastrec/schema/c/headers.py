"""Headers known by their names: what each may define, what stands for it, and names that come from none.

Sources: ISO C17, 7.2 to 7.29 (macros of each header) and 7.31 (names kept for them); what glibc's and
Microsoft's headers of ISO C define besides begins with two underscores, or as in `_SYSTEM`. The Windows SDK,
``minwindef.h`` and ``winnt.h``.
"""

from __future__ import annotations

import re

__all__ = ["declares_otherwise", "may_define", "own_text"]

_COMPILERS_TEXT = """
    __cplusplus __OBJC__ __ASSEMBLY__ __ASSEMBLER__ __STRICT_ANSI__ __OPTIMIZE__ __GNUC__ __GNUC_MINOR__
    __GNUC_PATCHLEVEL__ __GNUG__ __clang__ __clang_major__ __clang_minor__ __INTEL_COMPILER
    __INTEL_LLVM_COMPILER __ICC __ICL __TINYC__ __PGI __NVCC__ __CUDACC__ __CUDA_ARCH__ __HIPCC__ __SUNPRO_C
    __SUNPRO_CC __xlc__ __xlC__ __IBMC__ __IBMCPP__ __HP_cc __HP_aCC __DMC__ __BORLANDC__ __CODEGEARC__
    __TURBOC__ __WATCOMC__ __MWERKS__ __LCC__ __POCC__ __ICCARM__ __ICCAVR__ __ICC430__ __IAR_SYSTEMS_ICC__
    __CC_ARM __ARMCC_VERSION __TI_ARM__ __TI_COMPILER_VERSION__ __TASKING__ __C51__ __C166__ __XC8 __XC16__
    __XC32__ __SDCC SDCC __GHS__ __ghs__ __DCC__ __CYGWIN__ __MINGW32__ __MINGW64__ __MSYS__ __APPLE__
    __MACH__ __ANDROID__ __FreeBSD__ __NetBSD__ __OpenBSD__ __DragonFly__ __HAIKU__ __QNX__ __QNXNTO__
    __VXWORKS__ __INTEGRITY __ZEPHYR__ __EMSCRIPTEN__ __wasm__ __sun sun __sun__ __hpux hpux _AIX __sgi sgi
    __svr4__ __SVR4 __arm__ __arm __thumb__ __ARM_ARCH __ARM_ARCH_7A__ __ARM_EABI__ __ARM_NEON __aarch64__
    __i386__ __i386 i386 __x86_64__ __x86_64 __amd64__ __amd64 __ia64__ __powerpc__ __powerpc64__ __PPC__
    __PPC64__ __ppc__ __ppc64__ __mips__ __mips mips __mips64 __MIPSEB__ __MIPSEL__ __riscv __riscv_xlen
    __s390__ __s390x__ __sparc__ __sparc __alpha__ __hppa__ __m68k__ __sh__ __AVR__ __MSP430__ __xtensa__
    __loongarch__ __BIG_ENDIAN__ __LITTLE_ENDIAN__ __AARCH64EB__ __ARMEB__ __ARMEL__ __linux__ __linux linux
    __gnu_linux__ __unix__ __unix unix __ELF__ __LP64__ _LP64 __ILP32__ _ILP32 _WIN32 _WIN64 WIN32 WIN64
    _WIN32_WCE _MSC_VER _MSC_FULL_VER _MSC_EXTENSIONS _M_X64 _M_AMD64 _M_IX86 _M_ARM _M_ARM64 _M_ARM64EC
    _M_IA64 _MT _DLL _DEBUG _CHAR_UNSIGNED _CPPUNWIND _CPPRTTI _OPENMP __CHAR_UNSIGNED__ __PIC__ __pic__
    __SSE__ __SSE2__ __AVX__ __AVX2__ __SANITIZE_ADDRESS__ __SANITIZE_THREAD__ __CHECKER__ __COVERITY__
    __INTELLISENSE__ __RESHARPER__ __clang_analyzer__ __DOXYGEN__ DOXYGEN DOXYGEN_SHOULD_SKIP_THIS SWIG
    SWIGIMPORTED RC_INVOKED MIDL_PASS __midl __MIDL__ __KERNEL__ __GENKSYMS__ __BINDGEN__ NDEBUG
    NONAMELESSUNION UNICODE _UNICODE __has_feature __has_extension __has_builtin __has_attribute
    __has_c_attribute __has_cpp_attribute __has_declspec_attribute __has_warning
"""
_COMPILERS = frozenset(_COMPILERS_TEXT.split())
"""Names that compilers, their command lines and other tools define, and no header."""

_SYSTEM = (
    r"__\w*|_(?:POSIX|XOPEN|ISOC|GNU_SOURCE|DEFAULT|BSD|SVID|LARGEFILE|FILE_OFFSET|ATFILE|REENTRANT|FORTIFY"
    r"|BITS|STD|SYS|FEATURES|CRT|UCRT|INC|VC|SIZE_T|SSIZE_T|PTRDIFF_T|WCHAR_T|WINT_T|TIME_T|CLOCK_T|TM_"
    r"|VA_LIST|INTPTR_T|UINTPTR_T|ERRNO|LIMITS|FLOAT|MATH|STRING|CTYPE|LOCALE|SIGNAL|SETJMP|ASSERT|WCTYPE"
    r"|INTTYPES|COMPLEX|FENV|UCHAR)\w*"
)
_OF_FLOATS = r"(?:FLT|DBL|LDBL|FLT\d+X?|DEC\d*)_\w+|DECIMAL_DIG"
_ISO = {
    "assert": "assert|static_assert",
    "complex": "complex|imaginary|I|CMPLX[FL]?",
    "ctype": "",
    "errno": r"E[A-Z0-9]\w*|errno",
    "fenv": r"FE_[A-Z]\w*|FENV_\w+",
    "float": _OF_FLOATS,
    "inttypes": r"(?:PRI|SCN)[a-zX]\w*",
    "iso646": "and|and_eq|bitand|bitor|compl|not|not_eq|or|or_eq|xor|xor_eq",
    # Beside C's own those of POSIX, whose names all end like this.
    "limits": r"[A-Z][A-Z0-9_]*_(?:MAX|MIN|BIT|SIZE|WIDTH|DIG)|NL_\w+|NZERO|PAGESIZE",
    "locale": r"LC_[A-Z]\w*",
    "math": r"M_\w+|(?:FP|MATH|HUGE_VAL|DOMAIN|SING|OVERFLOW|UNDERFLOW|PLOSS|TLOSS)\w*|INFINITY|NAN|MAXFLOAT"
    r"|is\w+|signbit",
    "setjmp": "setjmp|sigsetjmp",
    "signal": r"SIG[A-Z_]\w*|S[AIV]_\w+|(?:BUS|CLD|FPE|ILL|POLL|SEGV|TRAP|MINSIGSTKSZ|NSIG)\w*",
    "stdalign": "alignas|alignof",
    "stdarg": r"va_\w+",
    "stdatomic": r"ATOMIC_\w+|atomic_\w+|kill_dependency",
    "stdbool": "bool|true|false",
    "stddef": "NULL|offsetof|unreachable",
    "stdint": r"U?INT(?:\d|_LEAST|_FAST|MAX|PTR)\w*_(?:MAX|MIN|C|WIDTH)"
    r"|(?:SIZE|PTRDIFF|WCHAR|WINT|SIG_ATOMIC)_(?:MAX|MIN|WIDTH)",
    "stdio": r"NULL|EOF|BUFSIZ|(?:FILENAME|FOPEN|TMP|L_|P_tmpdir|SEEK_)\w*|std(?:in|out|err)",
    "stdlib": r"NULL|EXIT_\w+|RAND_MAX|MB_CUR_MAX|W[A-Z]+|min|max|alloca",
    "stdnoreturn": "noreturn",
    "string": "NULL|strdupa|strndupa",
    "tgmath": r"[a-z]\w*",
    "threads": "thread_local|ONCE_FLAG_INIT|TSS_DTOR_ITERATIONS",
    "time": r"NULL|CLOCKS_PER_SEC|TIME_[A-Z]\w*|CLOCK_\w+|TIMER_\w+",
    "uchar": "",
    "wchar": "NULL|WEOF|WCHAR_M(?:AX|IN)",
    "wctype": "WEOF",
}
_HEADERS = {name: re.compile(f"{_SYSTEM}|{own}", re.ASCII) for name, own in _ISO.items()}
_FILES = {f"{name}.h": one for name, one in _HEADERS.items()}
_FILES |= {f"c{name}": one for name, one in _HEADERS.items()}

_UNIX_TEXT = """
    unistd fcntl pthread poll sched semaphore mqueue termios dirent dlfcn endian byteswap features netdb grp
    pwd syslog utime wordexp glob regex spawn strings aio iconv langinfo libgen search ulimit mntent
"""
_UNIX = re.compile(
    r"(?:sys|linux|asm|asm-generic|net|netinet|arpa|bits)/.*|(?:" + "|".join(_UNIX_TEXT.split()) + r")\.h"
)
_WINDOWS_TEXT = r"""
    windows windowsx windef minwindef winnt winbase winuser wingdi wintypes wtypes wtypesbase basetsd
    basetyps guiddef ntdef ntstatus winerror winsock2? ws2\w* mswsock iphlpapi objbase combaseapi ole2
    oleauto oaidl objidl\w* unknwn\w* rpc rpcndr rpcdce initguid comdef tchar mmsystem mmreg mmdeviceapi
    shlobj\w* shellapi shlwapi commctrl commdlg setupapi cfgmgr32 dbt hidsdi hidpi hidusage winusb wininet
    winhttp wincrypt psapi tlhelp32 winreg winioctl winsvc processthreadsapi synchapi fileapi handleapi
    sysinfoapi timeapi intsafe strsafe specstrings\w* sal sdkddkver winapifamily wmsdk\w* wmdrm\w*
    drmexternals dshow strmif mfapi mfidl mfobjects d3d\w* dxgi\w* xinput dinput
"""
_WINDOWS = re.compile("(?:" + "|".join(_WINDOWS_TEXT.split()) + r")\.h", re.IGNORECASE)
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
"""  # fmt: skip
_STDBOOL = """
#define bool _Bool
#define true 1
#define false 0
#define __bool_true_false_are_defined 1
"""
_WINDOWS_OWN = (
    """
#define MAX_PATH 260
#define ANYSIZE_ARRAY 1
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
_OWN = {"limits.h": _LIMITS, "stdint.h": _STDINT, "stdbool.h": _STDBOOL, "inttypes.h": _STDINT}
_OWN |= {"climits": _LIMITS, "cstdint": _STDINT, "cinttypes": _STDINT}


def may_define(file: str, name: str) -> bool:
    """Whether a header, as a text includes it, may define a macro of this name."""
    if name in _COMPILERS:
        return False
    own = _FILES.get(file)
    return own is None or own.fullmatch(name) is not None


def declares_otherwise(file: str) -> bool:
    """Whether a header may declare types that Microsoft's headers have as something else."""
    return not (file in _FILES or _UNIX.fullmatch(file) or _WINDOWS.fullmatch(file))


def own_text(file: str) -> str:
    """What stands for a header that is known: those of its macros on which layouts depend."""
    return _WINDOWS_OWN if _WINDOWS.fullmatch(file) else _OWN.get(file, "")
