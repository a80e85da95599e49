"""CRC-32C of any buffer, and of many rows at once."""

from libc.stdint cimport int64_t, uint32_t, uint64_t


def crc32c(const unsigned char[::1] data not None, unsigned int value=0):
    """CRC-32C (Castagnoli) of `data`, continued from `value`, a previous result.

    ``crc32c(b"123456789") == 0xE3069283`` (RFC 3720, appendix B.4).
    """
    cdef const unsigned char *start = &data[0] if data.shape[0] else NULL
    cdef size_t size = data.shape[0]
    cdef unsigned int result
    with nogil:
        result = fr_crc32c(value, start, size)
    return result


def crc32c_portable(const unsigned char[::1] data not None, unsigned int value=0):
    """The same by table: what a processor without the instruction computes."""
    cdef const unsigned char *start = &data[0] if data.shape[0] else NULL
    return (~fr_crc32c_portable(~value, start, data.shape[0])) & 0xFFFFFFFFu


def row_checksums(const unsigned char[::1] rows not None, size_t size, unsigned int base, uint64_t first,
                  uint32_t[::1] sums not None):
    """Into `sums` what each row of `size` bytes must end in: of its place, seeded with `base`, and of all but
    the last four bytes; `first` is the number of the first (FORMAT.md, section 1).
    """
    cdef Py_ssize_t count = sums.shape[0]
    if size < 4 or <size_t> count > <size_t> rows.shape[0] // size:
        raise ValueError(f"{rows.shape[0]} bytes are not {count} rows of {size}")
    if not count:
        return
    with nogil:
        fr_crc32c_rows(base, first, &rows[0], size, count, &sums[0])


def block_checksums(const unsigned char[::1] rows not None, size_t size, unsigned int base,
                    const int64_t[::1] begins not None, const int64_t[::1] counts not None, uint64_t first,
                    uint32_t[::1] sums not None):
    """Into `sums` the checksum of each block: `counts` rows of `size` bytes from row `begins` on, seeded with
    `base` and the row's number, which is `first` more (FORMAT.md, section 1).
    """
    cdef Py_ssize_t i
    cdef uint64_t number, room
    if size == 0 or begins.shape[0] != counts.shape[0] or sums.shape[0] < begins.shape[0]:
        raise ValueError(f"{begins.shape[0]} blocks, {counts.shape[0]} counts, {sums.shape[0]} sums")
    room = rows.shape[0] // size
    for i in range(begins.shape[0]):
        if begins[i] < 0 or counts[i] < 0 or <uint64_t> begins[i] + <uint64_t> counts[i] > room:
            raise ValueError(f"{counts[i]} rows from {begins[i]} of {room}")
    with nogil:
        for i in range(begins.shape[0]):
            number = first + <uint64_t> begins[i]
            sums[i] = fr_crc32c(fr_crc32c(base, &number, sizeof(number)),
                                &rows[0] + <size_t> begins[i] * size, <size_t> counts[i] * size)
