"""Files below a folder, walked to name by name: no link in between is followed."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.errno cimport EINTR, errno
from libc.string cimport strerror
from posix.fcntl cimport O_RDONLY
from posix.unistd cimport close, read

from fastrec.errors import FormatError

cdef extern from "Python.h":
    bint PyUnicode_FSConverter(object path, PyObject **encoded) except 0

cdef object NOT_NAMES = ("", ".", "..")


def checked_name(str name not None):
    """The name, if it can be that of an entry of a folder.

    Raises
    ------
    FormatError
    """
    if name in NOT_NAMES or "/" in name or "\0" in name:
        raise FormatError(f"{name!r} is no name of a file in a recording")
    return name


cdef bytes encoded(object path):
    """The path as the system takes it; ValueError if it would end in its midst."""
    cdef PyObject *made = NULL
    try:
        PyUnicode_FSConverter(path, &made)
    except ValueError:
        raise ValueError(f"{path!r} is no path") from None
    found = <bytes> <object> made
    Py_DECREF(found)
    return found


cdef bytes joined(tuple names, Py_ssize_t begin, Py_ssize_t end):
    """Some of the names, each with its zero; ValueError if there is none."""
    if not 0 <= begin <= end:
        raise ValueError("no name of a file")
    chosen = names[begin:end]
    for name in chosen:
        checked_name(name)
    return "\0".join(chosen).encode("utf-8", "surrogateescape")


cdef object failure(int error):
    return OSError(error, strerror(error).decode())


cdef int walked(object root, tuple parts, Py_ssize_t count) except -1:
    """A descriptor of the folder to which so many of the names lead."""
    cdef bytes names = joined(parts, 0, count), whole = encoded(root)
    cdef const char *path = whole
    cdef const char *start = names
    cdef int fd
    with nogil:
        fd = fr_below_folder(path, start, count)
    if fd < 0:
        raise failure(-fd)
    return fd


def open_folder(root, tuple parts not None):
    """A descriptor of the folder to which some names lead, from a path on.

    Raises
    ------
    FormatError
        One of them can be none.
    OSError
        It is not there, is no folder, a link, or cannot be opened.
    """
    return walked(root, parts, len(parts))


cdef int opened(object root, tuple parts, int flags, int folder, fr_stat *about) except -2:
    """A descriptor of a regular file, and what is known about it; -1: there is something else."""
    cdef Py_ssize_t last = len(parts) - 1
    cdef bytes name = joined(parts, last, last + 1)
    cdef const char *entry = name
    cdef int own = walked(root, parts, last) if folder < 0 else -1, fd
    with nogil:
        fd = fr_below_file(folder if own < 0 else own, entry, flags, about)
        if own >= 0:
            close(own)
    if fd < 0 and fd != FR_NOT_REGULAR:
        raise failure(-fd)
    return max(fd, -1)


def open_file(root, tuple parts not None, int flags, int folder=-1):
    """A descriptor of a regular file, or -1: there is something else. Errors as of `open_folder`.

    Parameters
    ----------
    flags : int
        ``O_RDONLY`` and the like.
    folder : int, optional
        A descriptor of the folder in which it is, where there is one.
    """
    cdef fr_stat about
    return opened(root, parts, flags, folder, &about)


def read_file(root, tuple parts not None, Py_ssize_t limit, int folder=-1):
    """What is in a regular file: its bytes. If there are more than `limit` only how many, an int; -1: there
    is something else. Other arguments and errors as of `open_file`.
    """
    cdef fr_stat about
    cdef int fd = opened(root, parts, O_RDONLY, folder, &about), error = 0
    cdef Py_ssize_t done = 0, got = -1
    cdef bytes data
    cdef char *room
    if fd < 0:
        return fd
    try:
        if about.st_size > limit:
            return about.st_size
        data = PyBytes_FromStringAndSize(NULL, about.st_size)
        room = PyBytes_AS_STRING(data)
        with nogil:
            # Up to a bound of its own: the file may grow meanwhile. Or it was shortened.
            while got and done < about.st_size and not error:
                got = read(fd, room + done, about.st_size - done)
                if got > 0:
                    done += got
                elif got < 0 and errno != EINTR:
                    error = errno
    finally:
        close(fd)
    if error:
        raise failure(error)
    return data[:done]


def identity(root, tuple parts not None, int folder=-1):
    """Device, inode, size, times of modification and of change in ns of what is there, perhaps a link: what
    differs if it is another now, or other bytes are in it. Arguments and errors as of `open_file`.
    """
    cdef Py_ssize_t last = len(parts) - 1
    cdef bytes name = joined(parts, last, last + 1)
    cdef const char *entry = name
    cdef int own = walked(root, parts, last) if folder < 0 else -1, error
    cdef fr_stat about
    with nogil:
        error = errno if fstatat(folder if own < 0 else own, entry, &about, AT_SYMLINK_NOFOLLOW) else 0
        if own >= 0:
            close(own)
    if error:
        raise failure(error)
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime * 10**9 + about.st_mtime_ns,
            about.st_ctime * 10**9 + about.st_ctime_ns)
