"""A file's metadata: ``struct stat`` of fstat(2)."""

from __future__ import annotations

import ctypes
import os
import platform
import stat
from functools import cache

from fastrec.errors import SourceError, shown
from fastrec.schema import Schema
from fastrec.schema.labels import Flags
from fastrec.sources.call import OUT, Call
from fastrec.sources.linux.layout import Known, described, laid_out

__all__ = ["fstat"]

# The system call itself, because the C library has no function of this name before glibc 2.33.
_SYS_FSTAT = 5

# Types are numbers of four bits, permissions are bits. A type of two bits is taken before those of one.
_MODE = Flags(
    {
        name: getattr(stat, name)
        for name in (
            *("S_IFSOCK", "S_IFLNK", "S_IFREG", "S_IFBLK", "S_IFDIR", "S_IFCHR", "S_IFIFO"),
            *("S_ISUID", "S_ISGID", "S_ISVTX"),
            *("S_IRUSR", "S_IWUSR", "S_IXUSR", "S_IRGRP", "S_IWGRP", "S_IXGRP"),
            *("S_IROTH", "S_IWOTH", "S_IXOTH"),
        )
    }
)

_KNOWN = {
    "st_dev": Known("device the file lies on"),
    "st_ino": Known("number of the file on its device"),
    "st_nlink": Known("names the file has; 0 when it was removed"),
    "st_mode": Known("type and permissions", labels=_MODE),
    "st_uid": Known("owner"),
    "st_gid": Known("group of the owner"),
    "st_rdev": Known("device the file stands for"),
    "st_size": Known("size", "B"),
    "st_blksize": Known("size of reads and writes that suits the file", "B"),
    "st_blocks": Known("space it takes on its device", "512 B"),
    "st_atim.tv_sec": Known("last read: whole seconds since 1970", "s"),
    "st_atim.tv_nsec": Known("last read: the rest", "ns"),
    "st_mtim.tv_sec": Known("last write: whole seconds since 1970", "s"),
    "st_mtim.tv_nsec": Known("last write: the rest", "ns"),
    "st_ctim.tv_sec": Known("last change of the metadata: whole seconds since 1970", "s"),
    "st_ctim.tv_nsec": Known("last change of the metadata: the rest", "ns"),
}


class _Timespec(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_int64), ("tv_nsec", ctypes.c_int64)]


class _Stat(ctypes.Structure):
    """``struct stat`` of x86-64, ``asm/stat.h``."""

    _fields_ = [
        ("st_dev", ctypes.c_uint64),
        ("st_ino", ctypes.c_uint64),
        ("st_nlink", ctypes.c_uint64),
        ("st_mode", ctypes.c_uint32),
        ("st_uid", ctypes.c_uint32),
        ("st_gid", ctypes.c_uint32),
        ("_pad", ctypes.c_uint32),
        ("st_rdev", ctypes.c_uint64),
        ("st_size", ctypes.c_int64),
        ("st_blksize", ctypes.c_int64),
        ("st_blocks", ctypes.c_int64),
        ("st_atim", _Timespec),
        ("st_mtim", _Timespec),
        ("st_ctim", _Timespec),
        ("_reserved", ctypes.c_int64 * 3),
    ]


class _Opened(ctypes.c_int):
    """A descriptor as an argument, closed when the call that keeps it has gone."""

    def __del__(self) -> None:
        os.close(self.value)


@cache
def _schema() -> Schema:
    return described("stat", laid_out(_Stat), _KNOWN)


def fstat(path: str | bytes | os.PathLike) -> Call:
    """``linux:fstat:PATH``: size, times and permissions of a file; by fstat(2).

    Parameters
    ----------
    path : str, bytes or PathLike
        Links are followed now. It is the file that is watched, not its name: it may be renamed, replaced or
        removed (``st_nlink`` 0) meanwhile. Nobody needs the right to read it.

    Returns
    -------
    Call
        Payload ``struct stat``, 144 bytes: sizes in bytes, ``st_blocks`` in 512 bytes, times since 1970.

    Raises
    ------
    SourceError
        There is no such file, or this is no x86-64 machine, whose layout alone is known.

    Notes
    -----
    The file is opened with ``O_PATH``, which keeps it from being freed but neither reads it nor wakes a
    device; the descriptor is closed when the source, and whoever polls it, has gone.
    """
    if platform.machine() != "x86_64" or ctypes.sizeof(ctypes.c_long) != 8:
        raise SourceError(
            f"linux:fstat knows struct stat of 64-bit x86_64 only, and this is {platform.machine()};"
            " pass fstat to Call with a schema of your own"
        )
    call = Call(ctypes.CDLL(None).syscall, _SYS_FSTAT, _open(path), OUT, schema=_schema())
    call.name = "fstat"
    return call


def _open(path: str | bytes | os.PathLike) -> _Opened:
    try:
        return _Opened(os.open(os.fspath(path), os.O_PATH | os.O_CLOEXEC))
    except OSError as error:
        why = error.strerror
    except TypeError as error:
        why = str(error)
    except ValueError:
        why = "no path has a NUL in it"
    raise SourceError(f"linux:fstat cannot open {shown(path)}: {why}; name a file that is there")
