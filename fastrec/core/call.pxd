"""Getters: fastrec/call.h, and the objects that own what a call needs."""

from libc.stdint cimport int32_t, int64_t, intptr_t, uint32_t, uint64_t

cdef extern from "fastrec/call.h" nogil:
    enum:
        FR_POLL_NEW
        FR_POLL_SAME
        FR_CANARY_SIZE
        FR_CALL_NO_OUT
    ctypedef struct fr_probe:
        int32_t code                               # what the getter returned
        uint32_t excess                            # bytes written past the struct
    ctypedef int32_t (*fr_poll_fn)(void *ctx, void *out) noexcept
    ctypedef intptr_t (*fr_function)(intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t) noexcept
    ctypedef struct fr_call:
        fr_function function
        intptr_t args[7]                           # six are passed; `out` may be the seventh, for none
        int out                                    # which argument is the struct
        int cells                                  # arguments that are addresses of a u32
        uint32_t cell[6]                           # what these hold before each call
        int cell_at[6]                             # which arguments they are
        size_t size                                # of the struct
        unsigned char *init                        # what it holds before each call; NULL: what it held
    void fr_call_rule(fr_call *k, int returns, int width, int is_signed) noexcept  # in the order of RETURNS
    bint fr_call_is_plain(const fr_call *k) noexcept
    int32_t fr_call_poll(void *ctx, void *out) noexcept
    fr_probe fr_call_watch(fr_poll_fn fn, void *ctx, void *out, unsigned char *behind, size_t room) noexcept

cdef class Getter:
    """Anything a poller can call: subclasses set these."""
    cdef fr_poll_fn fn
    cdef void *ctx
    cdef fr_call *native                           # what `fn` calls, where it is a C function; else NULL
    cdef readonly size_t size                      # of the struct it fills

cdef class NativeCall(Getter):
    cdef object keep                               # function, library and arguments

cdef class PythonCall(Getter):
    cdef object function
    cdef readonly object error                     # what it raised last; None: nothing yet
    cdef int32_t into(self, void *out) noexcept
