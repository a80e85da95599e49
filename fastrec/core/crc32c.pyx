"""CRC-32C of any buffer."""


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
