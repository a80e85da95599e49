"""Rows of an index, of fastrec/format.h."""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from posix.types cimport off_t

from fastrec.core.crc32c cimport fr_crc32c

cdef extern from "<unistd.h>" nogil:
    ssize_t pread(int fd, void *data, size_t size, off_t offset)

cdef extern from "fastrec/format.h" nogil:
    cdef enum:
        FR_BLOCK_ROWS
        FR_INDEX_DECREASING

    ctypedef struct fr_index_row:
        uint64_t first_seq
        int64_t t_min
        int64_t t_max
        uint64_t durable_seq
        uint64_t gap_rows
        uint64_t string_bytes
        uint32_t rows
        uint32_t crc_rows
        uint32_t flags
        uint32_t crc


cdef enum:
    INDEX_ROW = sizeof(fr_index_row)
    NOT_WHOLE = -1


cdef struct Before:
    uint64_t row                                   # of the segment at which the next block begins
    uint64_t end                                   # number after the last
    uint64_t gap_rows, string_bytes


cdef inline int broken(const fr_index_row *r, const Before *before, uint64_t most,
                       uint64_t numbers) noexcept nogil:
    """Which rule of `survey` a row breaks behind others; -1: none."""
    if r.rows > FR_BLOCK_ROWS:
        return 0
    if r.rows and (before.row + r.rows - 1) % FR_BLOCK_ROWS < r.rows - 1:
        return 1
    if r.first_seq >= numbers - r.rows:
        return 2
    if r.first_seq < before.end:
        return 3
    if before.row + r.rows > most:
        return 4
    if r.gap_rows < before.gap_rows:
        return 5
    if r.string_bytes < before.string_bytes:
        return 6
    return -1


cdef inline int read_row(int fd, uint64_t offset, uint32_t base, uint64_t number,
                         fr_index_row *row) noexcept nogil:
    """A row of an index whose first is at `offset`: 0, an errno, or NOT_WHOLE."""
    cdef ssize_t got = -1
    cdef uint32_t crc
    while got < 0:
        got = pread(fd, row, INDEX_ROW, offset + number * INDEX_ROW)
        if got < 0 and errno != EINTR:
            return errno
    if got < INDEX_ROW:
        return NOT_WHOLE
    crc = fr_crc32c(fr_crc32c(base, &number, sizeof(number)), row, INDEX_ROW - sizeof(row.crc))
    return 0 if row.crc == crc else NOT_WHOLE
