"""Files below a folder, walked to name by name: no link in between is followed."""

from libc.errno cimport errno
from libc.string cimport strerror
from posix.unistd cimport close

from fastrec.errors import FormatError

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


cdef bytes joined(bytes root, tuple names, Py_ssize_t begin, Py_ssize_t end):
    """Some of the names, each with its zero; ValueError if they, or the root, end in their midst."""
    if b"\0" in root:
        raise ValueError(f"{root!r} is no path")
    if not 0 <= begin <= end:
        raise ValueError("no name of a file")
    chosen = names[begin:end]
    for name in chosen:
        checked_name(name)
    return "\0".join(chosen).encode("utf-8", "surrogateescape")


cdef object failure(int error):
    return OSError(error, strerror(error).decode())


cdef int walked(bytes root, tuple parts, Py_ssize_t count) except -1:
    """A descriptor of the folder to which so many of the names lead."""
    cdef bytes names = joined(root, parts, 0, count)
    cdef const char *path = root
    cdef const char *start = names
    cdef int fd
    with nogil:
        fd = fr_below_folder(path, start, count)
    if fd < 0:
        raise failure(-fd)
    return fd


def open_folder(bytes root not None, tuple parts not None):
    """A descriptor of the folder to which some names lead.

    Raises
    ------
    FormatError
        One of them can be none.
    OSError
        It is not there, is no folder, a link, or cannot be opened.
    """
    return walked(root, parts, len(parts))


def open_file(bytes root not None, tuple parts not None, int flags, int folder=-1):
    """A descriptor of a regular file, or -1: there is something else. Errors as of `open_folder`.

    Parameters
    ----------
    flags : int
        ``O_RDONLY`` and the like.
    folder : int, optional
        A descriptor of the folder in which it is, where there is one.
    """
    cdef Py_ssize_t last = len(parts) - 1
    cdef bytes name = joined(root, parts, last, last + 1)
    cdef const char *entry = name
    cdef int own = walked(root, parts, last) if folder < 0 else -1, fd
    cdef fr_stat about
    with nogil:
        fd = fr_below_file(folder if own < 0 else own, entry, flags, &about)
        if own >= 0:
            close(own)
    if fd < 0 and fd != FR_NOT_REGULAR:
        raise failure(-fd)
    return max(fd, -1)


def identity(bytes root not None, tuple parts not None, int folder=-1):
    """Device, inode, size, times of modification and of change in ns of what is there, perhaps a link: what
    differs if it is another now, or other bytes are in it. Arguments and errors as of `open_file`.
    """
    cdef Py_ssize_t last = len(parts) - 1
    cdef bytes name = joined(root, parts, last, last + 1)
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
