"""Zones: 1024 records summed up in one row of fastrec/format.h."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "fastrec/format.h" nogil:
    enum:
        FR_BLOCK_ROWS
    size_t FR_ZONE_SIZE(size_t k) noexcept

cdef extern from "fastrec/zone.h" nogil:
    ctypedef struct fr_zone_field:
        uint32_t offset                            # in the record
        uint8_t kind                               # 'i', 'u' or 'f'
        uint8_t size                               # bytes
        uint8_t swapped                            # 1: the other byte order
        uint8_t shift                              # bit-fields: lowest bit
        uint8_t width                              # bit-fields: how many bits; 0: the whole
    ctypedef struct fr_zone:
        uint32_t fields                            # k
        const fr_zone_field *field
        uint64_t *row                              # the zone in the making
        bint turns                                 # say when an integer changes
    void fr_zone_clear(fr_zone *z) noexcept
    void fr_zone_add(fr_zone *z, const unsigned char *records, size_t count, size_t stride,
                     size_t weight_at) noexcept
    void fr_zone_add_times(fr_zone *z, const unsigned char *records, size_t count, size_t stride,
                           size_t until_at) noexcept
    void fr_zone_tell_silence(fr_zone *z) noexcept

cdef extern from "fastrec/runs.h" nogil:
    ctypedef struct fr_summed:
        uint64_t polls, least, most, sum, nan, turn
    ctypedef struct fr_run:
        pass
    size_t fr_runs_of(const fr_summed *z, int64_t place, bint floating, fr_run *runs, size_t n,
                      unsigned char *known) noexcept

cdef bytearray as_fields(zone_fields)
