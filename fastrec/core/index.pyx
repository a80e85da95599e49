"""Rows of an index: whether they claim what can be, and where one of them is."""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, strerror
from posix.types cimport off_t

from fastrec.core.crc32c cimport fr_crc32c


cdef extern from "<unistd.h>" nogil:
    ssize_t pread(int fd, void *data, size_t size, off_t offset)

cdef enum:
    ROW = sizeof(fr_index_row)
    NOT_WHOLE = -1


def survey(const unsigned char[::1] index not None, uint64_t end, uint64_t gap_rows, uint64_t string_bytes,
           uint64_t most, uint64_t numbers, int64_t[::1] at not None):
    """Go through successive index rows until one claims what cannot be; where each block begins, into `at`.

    Parameters
    ----------
    index : buffer
        Rows of 64 bytes, as many as `at` has room for.
    end, gap_rows, string_bytes : int
        Number after the last of those before; what these committed of the segment's other files.
    most : int
        Records for which the file has room.
    numbers : int
        Numbers are below it.
    at : buffer of int64
        ``at[0]`` is given: the row of the segment at which the first block begins.

    Returns
    -------
    count : int
        Rows that are true.
    rule : int
        Which rule the next one breaks: 0 too many rows; 1 a block across a border; 2 a number beyond all;
        3 one that blocks before it have; 4 records beyond the end; 5 gap rows, 6 texts that fall. -1: none.
    """
    cdef Py_ssize_t i, count = at.shape[0]
    cdef uint64_t row = at[0] if count else 0
    cdef fr_index_row r
    cdef int rule = -1
    if index.shape[0] < count * ROW or (count and at[0] < 0):
        raise ValueError(f"{index.shape[0]} bytes are not {count} rows")
    with nogil:
        for i in range(count):
            memcpy(&r, &index[i * ROW], ROW)
            at[i] = row
            if r.rows > FR_BLOCK_ROWS:
                rule = 0
            elif r.rows and (row + r.rows - 1) % FR_BLOCK_ROWS < r.rows - 1:
                rule = 1
            elif r.first_seq >= numbers - r.rows:
                rule = 2
            elif r.first_seq < end:
                rule = 3
            elif row + r.rows > most:
                rule = 4
            elif r.gap_rows < gap_rows:
                rule = 5
            elif r.string_bytes < string_bytes:
                rule = 6
            if rule >= 0:
                count = i
                break
            row += r.rows
            end, gap_rows, string_bytes = r.first_seq + r.rows, r.gap_rows, r.string_bytes
    return count, rule


def search(int fd, uint64_t offset, uint64_t count, unsigned int base, size_t member, int64_t value):
    """The first row of which the 8-byte `member` (its offset) is above `value`, by bisection: 0 to `count`.

    Rows lie from `offset` on in the file; `base` is what their seeds begin with. None if a row on the way is
    not whole. OSError if the file cannot be read.
    """
    cdef uint64_t low = 0, high = count, middle
    cdef int64_t found
    cdef int error = 0
    if member > ROW - sizeof(found):
        raise ValueError(f"no member of a row begins at byte {member}")
    with nogil:
        while low < high and not error:
            middle = low + (high - low) // 2
            error = read_member(fd, offset, base, middle, member, &found)
            if found > value:
                high = middle
            else:
                low = middle + 1
    if error == NOT_WHOLE:
        return None
    if error:
        raise OSError(error, strerror(error).decode())
    return low


cdef int read_member(int fd, uint64_t offset, unsigned int base, uint64_t row, size_t member,
                     int64_t *value) noexcept nogil:
    """0, an errno, or NOT_WHOLE."""
    cdef unsigned char data[ROW]
    cdef fr_index_row r
    cdef ssize_t got = -1
    while got < 0:
        got = pread(fd, data, ROW, offset + row * ROW)
        if got < 0 and errno != EINTR:
            return errno
    memcpy(&r, data, ROW)
    memcpy(value, data + member, sizeof(value[0]))
    if got < ROW or r.crc != fr_crc32c(fr_crc32c(base, &row, sizeof(row)), data, ROW - sizeof(r.crc)):
        return NOT_WHOLE
    return 0
