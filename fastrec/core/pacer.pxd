"""Waiting for deadlines on the thread that asks."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastrec.core.poller cimport fr_histogram

cdef extern from "fastrec/os.h" nogil:
    void fr_wait(const uint32_t *word, uint32_t expected, int64_t deadline) noexcept
    void fr_relax() noexcept

cdef extern from "fastrec/histogram.h" nogil:
    void fr_hist_add(fr_histogram *h, int64_t value, uint64_t times) noexcept

cdef class Pacer:
    cdef fr_histogram late                         # ns after each deadline
    cdef int64_t spin                              # ns before a deadline from which to spin
    cdef uint32_t word                             # nobody changes it: a wait ends with its time
