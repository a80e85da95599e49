"""Names that headers of the system declare, with the widths they have there, so that texts need no headers.

Sources: ISO C11, 7.20; POSIX.1-2017, ``<sys/types.h>``, with the widths of glibc (without ``_TIME_BITS`` and
``_FILE_OFFSET_BITS``); Linux, ``include/uapi/linux/types.h``; Microsoft, "Windows Data Types". What a text
declares itself comes before these.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fastrec.schema.abi import Abi
from fastrec.schema.c import scalars

__all__ = ["POSIX", "WINDOWS", "Owner", "owner_of", "text_of"]

_STANDARD = """
typedef _Bool bool;
typedef __INT8_TYPE__ int8_t, int_least8_t, int_fast8_t;
typedef __UINT8_TYPE__ uint8_t, uint_least8_t, uint_fast8_t;
typedef __INT16_TYPE__ int16_t, int_least16_t;
typedef __UINT16_TYPE__ uint16_t, uint_least16_t;
typedef __INT32_TYPE__ int32_t, int_least32_t;
typedef __UINT32_TYPE__ uint32_t, uint_least32_t;
typedef __INT64_TYPE__ int64_t, int_least64_t, int_fast64_t;
typedef __UINT64_TYPE__ uint64_t, uint_least64_t, uint_fast64_t;
#ifdef _MSC_VER
typedef int int_fast16_t, int_fast32_t;
typedef unsigned int uint_fast16_t, uint_fast32_t;
#else
typedef long int_fast16_t, int_fast32_t;
typedef unsigned long uint_fast16_t, uint_fast32_t;
#endif
typedef __INTMAX_TYPE__ intmax_t;
typedef __UINTMAX_TYPE__ uintmax_t;
typedef __INTPTR_TYPE__ intptr_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t, ssize_t;
typedef __WCHAR_TYPE__ wchar_t;
typedef __WINT_TYPE__ wint_t;
typedef unsigned char char8_t;
typedef __CHAR16_TYPE__ char16_t;
typedef __CHAR32_TYPE__ char32_t;
#ifdef _MSC_VER
typedef double max_align_t;
typedef long long time_t, __time64_t;
typedef long __time32_t;
#endif
"""

_MAX_ALIGN = """
#ifdef __i386__
typedef _Float128 max_align_t[3];
#else
typedef _Float128 max_align_t[2];
#endif
"""

_KERNEL = """
typedef signed char __s8, s8;
typedef unsigned char __u8, u8;
typedef short __s16, s16;
typedef unsigned short __u16, u16, __le16, __be16, __sum16;
typedef int __s32, s32;
typedef unsigned int __u32, u32, __le32, __be32, __wsum;
typedef long long __s64, s64;
typedef unsigned long long __u64, u64, __le64, __be64;
typedef __u64 __attribute__((aligned(8))) __aligned_u64;
typedef __s64 __attribute__((aligned(8))) __aligned_s64;
typedef __be64 __attribute__((aligned(8))) __aligned_be64;
typedef __le64 __attribute__((aligned(8))) __aligned_le64;
"""

_POSIX = """
typedef long time_t, suseconds_t, clock_t, off_t, blkcnt_t, __kernel_long_t;
typedef unsigned long ino_t, fsblkcnt_t, fsfilcnt_t, __kernel_ulong_t;
typedef long long off64_t, loff_t, blkcnt64_t;
typedef unsigned long long dev_t, ino64_t, rlim64_t;
typedef unsigned long rlim_t;
typedef unsigned int mode_t, uid_t, gid_t, id_t, useconds_t, socklen_t, in_addr_t;
typedef int pid_t, key_t, clockid_t, sig_atomic_t;
#ifdef __aarch64__
typedef unsigned int nlink_t;
typedef int blksize_t;
#elif defined(__x86_64__)
typedef unsigned long nlink_t;
typedef long blksize_t;
#else
typedef unsigned int nlink_t;
typedef long blksize_t;
#endif
typedef void *timer_t;
typedef char *caddr_t;
typedef unsigned long pthread_t;
typedef unsigned short sa_family_t, in_port_t;
typedef unsigned char u_char;
typedef unsigned short u_short, ushort;
typedef unsigned int u_int, uint;
typedef unsigned long u_long, ulong;
typedef unsigned char u_int8_t;
typedef unsigned short u_int16_t;
typedef unsigned int u_int32_t;
typedef unsigned long long u_int64_t;
struct timeval { time_t tv_sec; suseconds_t tv_usec; };
struct timespec { time_t tv_sec; long tv_nsec; };
struct itimerval { struct timeval it_interval, it_value; };
struct itimerspec { struct timespec it_interval, it_value; };
struct timezone { int tz_minuteswest, tz_dsttime; };
struct in_addr { in_addr_t s_addr; };
struct in6_addr { union { u8 s6_addr[16]; u16 s6_addr16[8]; u32 s6_addr32[4]; }; };
struct sockaddr { sa_family_t sa_family; char sa_data[14]; };
struct sockaddr_storage { sa_family_t ss_family; char __ss_padding[126 - sizeof(long)]; unsigned long
    __ss_align; };
struct iovec { void *iov_base; size_t iov_len; };
"""

_WINDOWS = """
typedef int BOOL, INT, INT32, LONG, LONG32, HFILE;
typedef unsigned char BYTE, UCHAR, BOOLEAN, UINT8, UINT8;
typedef signed char INT8;
typedef char CHAR, CCHAR;
typedef short SHORT, INT16, VARIANT_BOOL;
typedef unsigned short WORD, USHORT, UINT16, ATOM, LANGID, CLIPFORMAT, VARTYPE;
typedef unsigned int DWORD, UINT, UINT32, ULONG, ULONG32, DWORD32, COLORREF, LCID, LCTYPE, LGRPID,
    ACCESS_MASK,
    SECURITY_INFORMATION;
typedef long long LONGLONG, LONG64, INT64, USN;
typedef unsigned long long ULONGLONG, ULONG64, UINT64, DWORD64, DWORDLONG, QWORD;
typedef float FLOAT;
typedef double DOUBLE, DATE;
typedef void VOID;
typedef int HRESULT, NTSTATUS, SCODE, LSTATUS;
typedef unsigned short WCHAR;
typedef WCHAR OLECHAR;
typedef void *HANDLE, *HGLOBAL, *HLOCAL, *HWND, *HINSTANCE, *HMODULE, *HDC, *HICON, *HCURSOR, *HBRUSH,
    *HPEN, *HFONT,
    *HBITMAP, *HMENU, *HKEY, *HRGN, *HHOOK, *HKL, *HGDIOBJ, *HPALETTE, *HMONITOR, *HRSRC, *HACCEL, *HDESK,
    *HWINSTA,
    *HDROP, *HDWP, *HENHMETAFILE, *HMETAFILE, *HSTR, *SC_HANDLE, *SERVICE_STATUS_HANDLE, *HGLRC,
    *HCRYPTPROV_LEGACY;
typedef void *PVOID, *LPVOID, *LPCVOID;
typedef char *LPSTR, *LPCSTR, *PSTR, *PCSTR, *LPCH, *PCHAR, *NPSTR;
typedef WCHAR *LPWSTR, *LPCWSTR, *PWSTR, *PCWSTR, *LPWCH, *PWCHAR, *NWPSTR, *LPOLESTR, *LPCOLESTR, *BSTR;
typedef BYTE *PBYTE, *LPBYTE, *PUCHAR, *PBOOLEAN;
typedef WORD *PWORD, *LPWORD, *PUSHORT;
typedef DWORD *PDWORD, *LPDWORD, *PULONG, *PUINT, *PDWORD32, *PUINT32;
typedef INT *PINT, *LPINT, *PLONG, *LPLONG, *PBOOL, *LPBOOL, *PINT32;
typedef SHORT *PSHORT;
typedef LONGLONG *PLONGLONG, *PLONG64, *PINT64;
typedef ULONGLONG *PULONGLONG, *PULONG64, *PUINT64, *PDWORDLONG, *PDWORD64;
typedef FLOAT *PFLOAT;
typedef HANDLE *PHANDLE, *LPHANDLE;
typedef HRESULT *PHRESULT;
typedef int (*FARPROC)(), (*PROC)(), (*NEARPROC)(), (*WNDPROC)();
typedef __INTPTR_TYPE__ INT_PTR, LONG_PTR, SSIZE_T, LPARAM, LRESULT;
typedef __UINTPTR_TYPE__ UINT_PTR, ULONG_PTR, DWORD_PTR, SIZE_T, WPARAM, SOCKET, HCRYPTPROV, HCRYPTKEY,
    HCRYPTHASH;
typedef struct _GUID { DWORD Data1; WORD Data2; WORD Data3; BYTE Data4[8]; } GUID, IID, CLSID, FMTID, UUID;
typedef GUID *LPGUID, *LPCGUID, *REFGUID, *REFIID, *REFCLSID, *LPIID, *LPCLSID;
typedef struct _FILETIME { DWORD dwLowDateTime, dwHighDateTime; } FILETIME, *PFILETIME, *LPFILETIME;
typedef struct _SYSTEMTIME { WORD wYear, wMonth, wDayOfWeek, wDay, wHour, wMinute, wSecond, wMilliseconds; }
    SYSTEMTIME, *PSYSTEMTIME, *LPSYSTEMTIME;
typedef union _LARGE_INTEGER { struct { DWORD LowPart; LONG HighPart; };
    struct { DWORD LowPart; LONG HighPart; } u; LONGLONG QuadPart WINDOWS_8; } LARGE_INTEGER, *PLARGE_INTEGER;
typedef union _ULARGE_INTEGER { struct { DWORD LowPart; DWORD HighPart; };
    struct { DWORD LowPart; DWORD HighPart; } u; ULONGLONG QuadPart WINDOWS_8; } ULARGE_INTEGER,
    *PULARGE_INTEGER;
typedef struct _LUID { DWORD LowPart; LONG HighPart; } LUID, *PLUID;
typedef struct tagPOINT { LONG x, y; } POINT, *PPOINT, *LPPOINT, POINTL;
typedef struct tagPOINTS { SHORT x, y; } POINTS;
typedef struct tagSIZE { LONG cx, cy; } SIZE, *PSIZE, *LPSIZE, SIZEL;
typedef struct tagRECT { LONG left, top, right, bottom; } RECT, *PRECT, *LPRECT, RECTL;
typedef struct _COORD { SHORT X, Y; } COORD;
typedef struct _SMALL_RECT { SHORT Left, Top, Right, Bottom; } SMALL_RECT;
typedef union tagCY { struct { DWORD Lo; LONG Hi; }; LONGLONG int64 WINDOWS_8; } CY, CURRENCY;
typedef struct _OVERLAPPED { ULONG_PTR Internal, InternalHigh;
    union { struct { DWORD Offset, OffsetHigh; }; PVOID Pointer; }; HANDLE hEvent; } OVERLAPPED,
    *LPOVERLAPPED;
typedef struct _SECURITY_ATTRIBUTES { DWORD nLength; LPVOID lpSecurityDescriptor; BOOL bInheritHandle; }
    SECURITY_ATTRIBUTES, *PSECURITY_ATTRIBUTES, *LPSECURITY_ATTRIBUTES;
"""


def _names(text: str) -> frozenset[str]:
    """Names of types; what is in braces are members."""
    text = re.sub("^#.*$", "", text, flags=re.MULTILINE)
    while (outside := re.sub(r"\{[^{}]*\}", "", text)) != text:
        text = outside
    return frozenset(re.findall(r"[A-Za-z_]\w*", text))


_EVERYWHERE = _names(_STANDARD + _KERNEL + " struct union typedef") - {"bool"} | scalars.WORDS


class Owner(NamedTuple):
    """Whose names some are: ``headers`` of the system declare them, and then nobody else does."""

    who: str
    headers: tuple[str, ...] = ()


_HEADERS_OF_POSIX = """
    sys/types.h sys/time.h sys/stat.h sys/socket.h netinet/in.h unistd.h time.h stdlib.h pthread.h fcntl.h
    signal.h ctime cstdlib linux/types.h linux/time.h
"""
WINDOWS = Owner("Windows")
POSIX = Owner("POSIX", tuple(_HEADERS_OF_POSIX.split()))
_LINUX = Owner("Linux", ("linux/types.h",))
_BOOL = Owner("stdbool.h", ("stdbool.h", "cstdbool"))
_OWNERS = (
    {"bool": _BOOL}
    | dict.fromkeys(("u32", "s32", "u64", "s64"), _LINUX)
    | dict.fromkeys(_names(_POSIX) - _EVERYWHERE, POSIX)
    | dict.fromkeys(_names(_WINDOWS) - _EVERYWHERE, WINDOWS)
)


def owner_of(name: str) -> Owner | None:
    """Whose name it is, if others may declare it otherwise; None: it is the same everywhere, or not known."""
    return _OWNERS.get(name)


def text_of(abi: Abi) -> str:
    """Declarations of the names that need none under an ABI."""
    # Windows aligns a LONGLONG to its size on every machine; other 32-bit machines do not.
    aligned = "" if abi.microsoft else "__attribute__((aligned(8)))"
    text = f"#define WINDOWS_8 {aligned}\n" + _STANDARD + _KERNEL + _WINDOWS
    return text if abi.microsoft else text + _MAX_ALIGN + _POSIX
