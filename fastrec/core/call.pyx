"""What a poller can call: a C function as it is, or a Python function."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

RETURNS = ("zero", "nonnegative", "nonzero", "hresult", "void")
NO_OUT = FR_CALL_NO_OUT
SAME = FR_POLL_SAME


cdef class Getter:
    """Something a poller can call to fill a struct of `size` bytes."""

    def call(self):
        """One watched call on the calling thread: (code, excess, payload)."""
        cdef unsigned char *out = <unsigned char *> calloc(1, self.size + FR_CANARY_SIZE)
        cdef fr_probe probe
        if out == NULL:
            raise MemoryError
        with nogil:
            probe = fr_call_watch(self.fn, self.ctx, out, out + self.size, FR_CANARY_SIZE)
        try:
            return probe.code, probe.excess, PyBytes_FromStringAndSize(<char *> out, self.size)
        finally:
            free(out)


cdef class NativeCall(Getter):
    """The function at `address`, called with `args`, which are integers.

    `out` is the place of the argument that receives the struct, or NO_OUT; `cells` maps places of u32 in-out
    arguments to the value each has before a call. `keep` is kept alive as long as this object.
    Arguments are trusted: `fastrec.sources.call` is the checked face.
    """

    def __cinit__(self, size_t address, args, *, int out, size_t size, int returns, int width=4,
                  bint is_signed=True, init=None, cells=None, keep=None):
        cdef fr_call *k = <fr_call *> calloc(1, sizeof(fr_call))
        cdef const unsigned char[::1] template
        if k == NULL:
            raise MemoryError
        self.native = k
        k.function = <fr_function> address
        k.out = out
        k.size = size
        fr_call_rule(k, returns, width, is_signed)
        for i, arg in enumerate(args):
            k.args[i] = <intptr_t> <uint64_t> (arg & 0xFFFFFFFFFFFFFFFF)
        for place, value in (cells or {}).items():
            k.cell[k.cells] = value
            k.cell_at[k.cells] = place
            k.cells += 1
        if init is not None:
            template = init
            k.init = <unsigned char *> malloc(size)
            if k.init == NULL:
                raise MemoryError
            memcpy(k.init, &template[0], size)
        self.keep = keep
        self.fn = fr_call_poll
        self.ctx = k
        self.size = size

    def __dealloc__(self):
        if self.native != NULL:
            free(self.native.init)
            free(self.native)


cdef int32_t errno_of(error) noexcept:
    """The code of a failure; -1: it has none, or not one that can be asked for."""
    try:
        code = error.errno if isinstance(error, OSError) else None
        return code if isinstance(code, int) and 0 < code < 4096 else -1
    except BaseException:
        return -1


cdef int32_t python_adapter(void *ctx, void *out) noexcept with gil:
    return (<PythonCall> ctx).into(out)


cdef class PythonCall(Getter):
    """A Python function, called with the GIL: it returns a buffer of `size` bytes, or None for nothing new.

    What it raises is a failure with the errno of an OSError for its code, else -1, and is kept in `error`.
    """

    def __cinit__(self, function, size_t size):
        self.function = function
        self.size = size
        self.fn = python_adapter
        self.ctx = <void *> self

    cdef int32_t into(self, void *out) noexcept:
        cdef Py_buffer view
        try:
            payload = self.function()
            if payload is None:
                return FR_POLL_SAME
            PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
            try:
                if <size_t> view.len != self.size:
                    raise ValueError(f"{view.len} bytes came, not {self.size}")
                memcpy(out, view.buf, self.size)
            finally:
                PyBuffer_Release(&view)
            return FR_POLL_NEW
        except BaseException as error:  # a poller has nobody to raise to
            self.error = error
            return errno_of(error)
