"""Rows of an index, of fastrec/format.h."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

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
