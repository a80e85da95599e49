"""What a poller calls, and the adapter from an ordinary C function to it."""

from libc.stdint cimport int32_t, int64_t, intptr_t, uint32_t, uint64_t

cdef extern from "fastrec/poll.h" nogil:
    enum:
        FR_POLL_NEW
        FR_POLL_SAME
        FR_CANARY_SIZE
    ctypedef struct fr_probe:
        int32_t code                               # what the getter returned
        uint32_t excess                            # bytes written past the struct
    ctypedef int32_t (*fr_poll_fn)(void *ctx, void *out) noexcept
    fr_probe fr_poll_watch(fr_poll_fn fn, void *ctx, void *out, unsigned char *behind, size_t room) noexcept

# How a return value tells success; the order of `RETURNS` in call.pyx.
cdef enum Returns:
    RETURNS_ZERO
    RETURNS_NONNEGATIVE
    RETURNS_NONZERO
    RETURNS_HRESULT
    RETURNS_VOID

cdef struct Adapter:
    void *function
    intptr_t args[7]                               # six are passed; `out` may be the seventh, for none
    int out                                        # which argument is the struct; 6: none
    int returns                                    # Returns
    int width                                      # bytes of the return value: 1, 2, 4 or 8
    int is_signed
    size_t size                                    # of the struct
    unsigned char *init                            # what it holds before each call; NULL: what it held
    int cells                                      # INOUT arguments
    uint32_t cell[6]                               # what they hold before each call
    int cell_at[6]                                 # which arguments they are

cdef class Getter:
    """Anything a poller can call: subclasses set the three."""
    cdef fr_poll_fn fn
    cdef void *ctx
    cdef readonly size_t size                      # of the struct it fills

cdef class NativeCall(Getter):
    cdef Adapter *adapter
    cdef object keep                               # function, library and arguments

cdef class PythonCall(Getter):
    cdef object function
    cdef readonly object error                     # what it raised last; None: nothing yet
    cdef int32_t into(self, void *out) noexcept
