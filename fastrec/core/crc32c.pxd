"""CRC-32C, by the processor's own instruction where it has one."""

from libc.stdint cimport uint32_t, uint64_t

cdef extern from "fastrec/crc32c.h" nogil:
    uint32_t fr_crc32c(uint32_t seed, const void *data, size_t size) noexcept
    void fr_crc32c_rows(uint32_t base, uint64_t first, const unsigned char *rows, size_t size, size_t count,
                        uint32_t *sums) noexcept
    uint32_t fr_crc32c_portable(uint32_t crc, const unsigned char *p, size_t n) noexcept  # not complemented
