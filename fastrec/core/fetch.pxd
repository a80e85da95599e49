"""Blocks of records into memory, of fastrec/fetch.h."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastrec.core.condition cimport Condition, fr_condition
from fastrec.core.scan cimport fr_part

cdef extern from "fastrec/look.h" nogil:
    cdef enum:
        FR_LOOK_ROWS                               # of a block whose states are looked for, at most

    ctypedef enum fr_look_kind:
        FR_LOOK_NOT
        FR_LOOK_PART
        FR_LOOK_CHANGES
        FR_LOOK_STATES
        FR_LOOK_MEETING

    ctypedef struct fr_look:
        fr_look_kind kind
        fr_part part                               # the bytes that are kept, change, or are a state
        const fr_condition *condition
        size_t depth                               # slots that it needs

    ctypedef struct fr_looker:
        pass

    int fr_looker_make(fr_looker *l, const fr_look *look, size_t size, uint64_t multiplier) noexcept
    void fr_looker_free(fr_looker *l) noexcept

cdef extern from "fastrec/fetch.h" nogil:
    cdef enum:
        FR_FETCH_HELPERS
        FR_FETCH_WHOLE
        FR_FETCH_DAMAGED
        FR_FETCH_SHORT

    ctypedef struct fr_fetch_block:
        uint64_t row                               # of the file
        uint64_t rows                              # how many
        uint64_t place                             # row of the memory
        uint64_t kept                              # of its rows, where some are looked for
        uint32_t first                             # where it is looked at, from which row on
        uint32_t stop                              # and up to which
        uint32_t brief                             # of those that are kept there are their stamps alone
        uint32_t crc
        uint32_t state                             # FR_FETCH_...

    ctypedef struct fr_fetch:
        int fd
        uint64_t offset                            # of row 0 in the file
        size_t width                               # of a row
        uint32_t base                              # of the seeds
        fr_fetch_block *block
        uint64_t count                             # blocks
        unsigned char *to
        fr_look look
        uint64_t many                              # rows of a block of which stamps alone are kept; or 0
        size_t stamp                               # where it is in a row
        int64_t *pick                              # if it looks: which rows of its block are kept
        uint64_t *tally                            # and how many have their state
        fr_looker *looker                          # of each who reads
        uint64_t limit                             # blocks below it have room
        uint64_t over                              # helpers are to end
        uint64_t error                             # an errno of one of the blocks

    void fr_fetch_column(unsigned char *to, const unsigned char *rows, size_t count, size_t stride,
                         size_t size) noexcept
    void fr_fetch_begin(fr_fetch *f, uint32_t helpers) noexcept
    void fr_fetch_upto(fr_fetch *f, uint64_t first, uint64_t stop, uint64_t limit) noexcept
    void fr_fetch_end(fr_fetch *f) noexcept


cdef class Fetch:
    cdef fr_fetch f
    cdef bytearray blocks                          # memory of f
    cdef Condition keep                            # its too
    cdef unsigned char[::1] memory
    cdef const int64_t[::1] cuts
    cdef Py_ssize_t taken                          # batches
    cdef uint64_t slot, slots                      # rows of a batch's memory; batches in memory

    cdef size_t look_for(self, size_t width, part, changes, states, Condition condition,
                         brief) except? 1
    cdef int make_lookers(self, uint32_t count, size_t room) except -1
