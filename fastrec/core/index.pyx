"""Rows of an index: whether they claim what can be, and where one of them is."""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strerror

from fastrec.core.crc32c cimport fr_crc32c_rows


cdef enum:
    PIECE = 64                                     # rows that are proved in one go


cdef bint are_whole(uint32_t base, const unsigned char *rows, Py_ssize_t count) noexcept nogil:
    """Whether each row matches its checksum."""
    cdef uint32_t sums[PIECE]
    cdef fr_index_row r
    cdef Py_ssize_t first = 0, n, i
    while first < count:
        n = count - first if count - first < PIECE else PIECE
        fr_crc32c_rows(base, first, rows + first * INDEX_ROW, INDEX_ROW, n, sums)
        for i in range(n):
            memcpy(&r, rows + (first + i) * INDEX_ROW, INDEX_ROW)
            if r.crc != sums[i]:
                return False
        first += n
    return True


cdef Py_ssize_t surveyed(const unsigned char *rows, Py_ssize_t count, Before before, uint64_t most,
                         uint64_t numbers, int64_t *at, int *rule) noexcept nogil:
    """How many rows are true; where the block of each begins; which rule the next one breaks; -1: none."""
    cdef fr_index_row r
    cdef Py_ssize_t i
    rule[0] = -1
    for i in range(count):
        memcpy(&r, rows + i * INDEX_ROW, INDEX_ROW)
        at[i] = before.row
        rule[0] = broken(&r, &before, most, numbers)
        if rule[0] >= 0:
            return i
        before.row += r.rows
        before.end = r.first_seq + r.rows
        before.gap_rows, before.string_bytes = r.gap_rows, r.string_bytes
    return count


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
    cdef Py_ssize_t count = at.shape[0]
    cdef Before before
    cdef int rule = -1
    if index.shape[0] < count * INDEX_ROW or (count and at[0] < 0):
        raise ValueError(f"{index.shape[0]} bytes are not {count} rows")
    if count:
        before.row, before.end, before.gap_rows, before.string_bytes = at[0], end, gap_rows, string_bytes
        with nogil:
            count = surveyed(&index[0], count, before, most, numbers, &at[0], &rule)
    return count, rule


def prove(int fd, uint64_t offset, unsigned int base, uint64_t most, uint64_t numbers,
          unsigned char[::1] index not None, int64_t[::1] at not None):
    """Read the rows of an index, the first of which is at `offset`, into `index`, and in one pass see whether
    each is whole and claims what can be; where each block begins, into `at`.

    Parameters
    ----------
    base : int
        What the seeds of their checksums begin with.
    most, numbers, index, at
        As `survey` takes them; but all of it is filled.

    Returns
    -------
    bool
        False: not all are there, whole and true.

    Raises
    ------
    OSError
        They cannot be read.
    """
    cdef Py_ssize_t count = at.shape[0], size = count * INDEX_ROW, done = 0
    cdef ssize_t got
    cdef Before before
    cdef int rule
    cdef bint found
    if index.shape[0] != size:
        raise ValueError(f"{index.shape[0]} bytes are not {count} rows")
    while done < size:
        with nogil:
            got = pread(fd, &index[done], size - done, offset + done)
        if got == 0:
            return False
        if got > 0:
            done += got
        elif errno != EINTR:
            raise OSError(errno, strerror(errno).decode())
    if not count:
        return True
    memset(&before, 0, sizeof(before))
    with nogil:
        found = are_whole(base, &index[0], count)
        found = found and surveyed(&index[0], count, before, most, numbers, &at[0], &rule) == count
    return found


def search(int fd, uint64_t offset, uint64_t count, unsigned int base, size_t member, int64_t value):
    """The first row of which the 8-byte `member` (its offset) is above `value`, by bisection: 0 to `count`.

    Rows lie from `offset` on in the file; `base` is what their seeds begin with. None if a row on the way is
    not whole. OSError if the file cannot be read.
    """
    cdef uint64_t low = 0, high = count, middle
    cdef int64_t found
    cdef int error = 0
    if member > INDEX_ROW - sizeof(found):
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


cdef int read_member(int fd, uint64_t offset, unsigned int base, uint64_t number, size_t member,
                     int64_t *value) noexcept nogil:
    """As of `read_row`."""
    cdef fr_index_row row
    cdef int error
    memset(&row, 0, sizeof(row))
    error = read_row(fd, offset, base, number, &row)
    memcpy(value, <unsigned char *> &row + member, sizeof(value[0]))
    return error
