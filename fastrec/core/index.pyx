"""Rows of an index: whether they claim what can be, and where one of them is."""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strerror

from fastrec.core.crc32c cimport fr_crc32c_rows


cdef enum:
    PIECE = 64                                     # rows that are proved in one go
    GUESSES = 3                                    # before a row is looked for by bisection


cdef bint are_whole(uint32_t base, uint64_t first, const unsigned char *rows,
                    Py_ssize_t count) noexcept nogil:
    """Whether each row matches its checksum; the first has this number."""
    cdef uint32_t sums[PIECE]
    cdef fr_index_row r
    cdef Py_ssize_t done = 0, n, i
    while done < count:
        n = count - done if count - done < PIECE else PIECE
        fr_crc32c_rows(base, first + done, rows + done * INDEX_ROW, INDEX_ROW, n, sums)
        for i in range(n):
            memcpy(&r, rows + (done + i) * INDEX_ROW, INDEX_ROW)
            if r.crc != sums[i]:
                return False
        done += n
    return True


cdef int read_rows(int fd, uint64_t offset, uint32_t base, uint64_t first, unsigned char *rows,
                   Py_ssize_t count) noexcept nogil:
    """So many rows from one on: 0, an errno, or NOT_WHOLE."""
    cdef Py_ssize_t size = count * INDEX_ROW, done = 0
    cdef ssize_t got
    while done < size:
        got = pread(fd, rows + done, size - done, offset + first * INDEX_ROW + done)
        if got == 0:
            return NOT_WHOLE
        if got > 0:
            done += got
        elif errno != EINTR:
            return errno
    return 0 if are_whole(base, first, rows, count) else NOT_WHOLE


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
    cdef Py_ssize_t count = at.shape[0]
    cdef Before before
    cdef int rule, error
    cdef bint found = False
    if index.shape[0] != count * INDEX_ROW:
        raise ValueError(f"{index.shape[0]} bytes are not {count} rows")
    if not count:
        return True
    memset(&before, 0, sizeof(before))
    with nogil:
        error = read_rows(fd, offset, base, 0, &index[0], count)
        if not error:
            found = surveyed(&index[0], count, before, most, numbers, &at[0], &rule) == count
    if error > 0:
        raise OSError(error, strerror(error).decode())
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


cdef struct Picking:
    int fd
    uint64_t offset, count, begin, most, numbers
    uint32_t base
    uint64_t next                                  # the index row behind those that were found
    Before before
    unsigned char *index
    int64_t *at
    Py_ssize_t room, found


def pick(int fd, uint64_t offset, uint64_t count, unsigned int base, uint64_t begin, uint64_t most,
         uint64_t numbers, const int64_t[::1] starts not None, const int64_t[::1] stops not None,
         unsigned char[::1] index not None, int64_t[::1] at not None):
    """Read the rows of those blocks in which some rows of a segment lie, and no more than find them.

    Parameters
    ----------
    count, most : int
        Rows of the index, and of the segment, in which no number is left out.
    begin : int
        The number of its first row.
    starts, stops : buffer of int64
        Ranges of rows of the segment, increasing; none is empty.
    index, at : buffer
        As `survey` has them, for as many rows as may be found.
    fd, offset, base, numbers
        As `prove` takes them.

    Returns
    -------
    int or None
        How many rows it found, and proved. None: there is no room for all, or not all are there, whole and
        true.

    Raises
    ------
    OSError
        They cannot be read.
    """
    cdef Picking p
    cdef Py_ssize_t n
    cdef int error = 0
    if index.shape[0] != at.shape[0] * INDEX_ROW or stops.shape[0] != starts.shape[0]:
        raise ValueError(f"{index.shape[0]} bytes for {at.shape[0]} rows, {starts.shape[0]} ranges")
    if not at.shape[0]:
        return None
    memset(&p, 0, sizeof(p))
    p.fd, p.offset, p.count, p.base = fd, offset, count, base
    p.begin, p.most, p.numbers = begin, most, numbers
    p.index, p.at, p.room = &index[0], &at[0], at.shape[0]
    with nogil:
        for n in range(starts.shape[0]):
            if starts[n] < 0 or stops[n] <= starts[n] or <uint64_t> stops[n] > most:
                error = NOT_WHOLE
            else:
                error = pick_range(&p, starts[n], stops[n])
            if error:
                break
    if error == NOT_WHOLE:
        return None
    if error:
        raise OSError(error, strerror(error).decode())
    return p.found


cdef int pick_range(Picking *p, uint64_t start, uint64_t stop) noexcept nogil:
    """Find the blocks of one range: 0, an errno, or NOT_WHOLE."""
    cdef unsigned char rows[PIECE * INDEX_ROW]
    cdef fr_index_row row
    cdef uint64_t count, i
    cdef int error = 0
    memset(&row, 0, sizeof(row))
    if start >= p.before.row:
        error = pick_first(p, start, &row)
        if not error:
            p.before.row = row.first_seq - p.begin
            error = keep(p, &row)
    while p.before.row < stop and not error:
        # No block has more: so the rest has so many of them at least.
        count = min((stop - p.before.row - 1) // FR_BLOCK_ROWS + 1, PIECE)
        if count > p.count - p.next:
            return NOT_WHOLE
        error = read_rows(p.fd, p.offset, p.base, p.next, rows, count)
        for i in range(count):
            if not error:
                memcpy(&row, rows + i * INDEX_ROW, INDEX_ROW)
                error = keep(p, &row)
    return error


cdef int pick_first(Picking *p, uint64_t start, fr_index_row *row) noexcept nogil:
    """Read the index row of the block in which a row of the segment lies, behind all that were found. Blocks
    are of one size, as a rule, so it is looked for where it would be then; else by bisection.
    """
    cdef uint64_t low = p.next, high = p.count, low_at = p.before.row, high_at = p.most, at, tries = 0
    cdef int error
    while low < high and low_at < high_at:
        p.next = (low + high) // 2
        if tries < GUESSES:
            p.next = low + (start - low_at) * (high - low) // (high_at - low_at)
        error = read_row(p.fd, p.offset, p.base, p.next, row)
        if error:
            return error
        at = row.first_seq - p.begin
        if at < low_at or at > high_at:
            return NOT_WHOLE
        if start < at:
            high, high_at = p.next, at
        elif start - at >= row.rows:
            low, low_at = p.next + 1, at + row.rows
        else:
            return 0
        tries += 1
    return NOT_WHOLE


cdef int keep(Picking *p, const fr_index_row *row) noexcept nogil:
    """Put a row behind those that were found, if it is true and goes on where the one before it ends."""
    if (broken(row, &p.before, p.most, p.numbers) >= 0 or row.first_seq - p.begin != p.before.row
            or p.found == p.room):
        return NOT_WHOLE
    memcpy(p.index + p.found * INDEX_ROW, row, INDEX_ROW)
    p.at[p.found] = p.before.row
    p.found += 1
    p.next += 1
    p.before.row += row.rows
    p.before.end = row.first_seq + row.rows
    p.before.gap_rows, p.before.string_bytes = row.gap_rows, row.string_bytes
    return 0


cdef int read_member(int fd, uint64_t offset, unsigned int base, uint64_t number, size_t member,
                     int64_t *value) noexcept nogil:
    """As of `read_row`."""
    cdef fr_index_row row
    cdef int error
    memset(&row, 0, sizeof(row))
    error = read_row(fd, offset, base, number, &row)
    memcpy(value, <unsigned char *> &row + member, sizeof(value[0]))
    return error
