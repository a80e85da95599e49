from libc.stdint cimport int64_t, uint64_t


cdef extern from "fastrec/scan.h" nogil:
    ctypedef struct fr_part:
        size_t offset  # of its first byte in the record
        size_t size  # bytes
        uint64_t mask  # bits that count; 0: all

    enum:
        FR_CODES_SLOTS  # at most

    ctypedef struct fr_code:
        uint64_t key
        int code  # -1: free

    ctypedef struct fr_codes:
        fr_code *slot
        uint64_t *order  # the pattern of each code
        size_t slots  # a power of 2, more than twice count
        size_t count  # codes given so far
        uint64_t multiplier  # odd

    size_t fr_changes(const unsigned char *rows, size_t stride, fr_part part, size_t start, size_t stop,
                      int64_t *out)
    size_t fr_silences(const unsigned char *rows, size_t stride, size_t time, size_t until, int64_t limit,
                       size_t start, size_t stop, int64_t *out)
    ctypedef struct fr_ordered:
        const unsigned char *rows
        size_t stride  # bytes from one record to the next
        size_t time  # where a stamp stands in a record
        size_t until  # where it says when it was seen last
        const int64_t *starts  # of each range of rows
        const int64_t *stops  # where each ends
        size_t ranges  # at least 1, none of them empty

    void fr_before(const fr_ordered *o, const int64_t *times, size_t count, int equal, int64_t *out,
                   int64_t *seen)
    fr_code *fr_code_of(const fr_codes *c, uint64_t key)
    void fr_codes_take(fr_codes *c, uint64_t *counts)
    size_t fr_tally(fr_codes *c, const unsigned char *rows, size_t stride, fr_part part, size_t at,
                    size_t stop, int64_t *first)
    size_t fr_codes_of(fr_codes *c, const uint64_t *keys, size_t count, int64_t *out)


cdef class Codes:
    cdef fr_codes c

    cdef int grow(self, size_t slots) except -1
