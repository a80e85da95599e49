"""The object that pushes into a ring."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from fastrec.core.numpy_abi cimport PyObject
from fastrec.core.ring cimport Ring


@cython.final
cdef class Pusher:
    cdef Ring ring
    cdef size_t size                               # of a payload
    cdef object dtype                              # of payloads: the schema's own
    cdef object other                              # the last dtype that the judge let pass
    cdef size_t other_size                         # of one item of it
    cdef object struct                             # the ctypes class that was last found to have no dtype
    cdef object judge

    cdef int64_t now(self) noexcept
    cdef size_t item_size(self, PyObject *dtype) noexcept
    cdef const unsigned char *plain(self, object payload, Py_ssize_t *size) noexcept
    cdef int push_bytes(self, const unsigned char *data, Py_ssize_t size, object mono_ns) noexcept
    cdef int push_buffer(self, object payload, object mono_ns) except? -2
    cdef int64_t extend_bytes(self, const unsigned char *data, Py_ssize_t size, object mono_ns) noexcept
    cdef int64_t extend_buffer(self, object payloads, object mono_ns) except? -2
    cdef int check_mine(self) except -1            # RuntimeError: it is nobody's, or another's
    cdef bint open(self, object payload, Py_buffer *view) except -1
    cdef bint publish(self, const unsigned char *payload, int64_t t) noexcept
    cdef uint64_t publish_many(self, const unsigned char *payloads, uint64_t count, int64_t t,
                               const int64_t *stamps) noexcept
