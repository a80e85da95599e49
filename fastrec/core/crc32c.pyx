"""CRC-32C of any buffer, and of many rows at once."""

from libc.stdint cimport uint32_t, uint64_t


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
    cdef Py_ssize_t i, count = sums.shape[0]
    cdef const unsigned char *row
    cdef uint64_t number
    cdef uint32_t seed
    if size < 4 or <size_t> count > <size_t> rows.shape[0] // size:
        raise ValueError(f"{rows.shape[0]} bytes are not {count} rows of {size}")
    if not count:
        return
    row = &rows[0]
    with nogil:
        for i in range(count):
            number = first + <uint64_t> i
            seed = fr_crc32c(base, &number, sizeof(number))
            sums[i] = fr_crc32c(seed, row + <size_t> i * size, size - 4)
