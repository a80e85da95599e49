"""Records that were recorded before, on their way into a recording of their own: fastrec/excerpt.h."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from fastrec.core.ring cimport Ring, fr_gap, fr_ring
from fastrec.core.spooler cimport SpoolChannel, fr_io, fr_spool_channel, fr_system_io

cdef extern from "fastrec/text.h" nogil:
    enum:
        FR_TEXT_ROOM                               # most bytes of a text
    ctypedef struct fr_texts:
        pass
    uint64_t fr_text_intern(fr_texts *t, const char *text, uint32_t length) noexcept

cdef extern from "fastrec/excerpt.h" nogil:
    ctypedef struct fr_excerpt:
        fr_texts texts
    void fr_excerpt_begin(fr_excerpt *e, const fr_io *io, fr_spool_channel *c, fr_ring *ring) noexcept
    int fr_excerpt_tell(fr_excerpt *e, const fr_gap *gaps, uint64_t count) noexcept   # 0, or -errno
    int fr_excerpt_put(fr_excerpt *e, uint64_t number, const unsigned char *records,
                       uint64_t count) noexcept    # 0, or -errno
    int fr_excerpt_drain(fr_excerpt *e) noexcept   # 0, or -errno
    int fr_excerpt_end(fr_excerpt *e) noexcept     # 0, or -errno

cdef class Excerpt:
    cdef fr_excerpt *e
    cdef Ring ring
    cdef SpoolChannel channel                      # on its way to the disk, in no spooler
    cdef bint ended

    cdef int check(self, int error) except -1      # OSError
