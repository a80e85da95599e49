"""What a poller can call: a C function of up to six integer or pointer arguments, or a Python function."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport errno
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

RETURNS = ("zero", "nonnegative", "nonzero", "hresult", "void")
NO_OUT = 6
SAME = FR_POLL_SAME

ctypedef intptr_t (*Function)(intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t) noexcept nogil


cdef int64_t narrow(int64_t value, int width, bint is_signed) noexcept nogil:
    """The register as the declared type sees it: the rest of it is rubbish."""
    cdef int above = 64 - 8 * width
    cdef uint64_t high = <uint64_t> value << above
    if is_signed:
        return <int64_t> high >> above
    return <int64_t> (high >> above)


cdef int32_t as_code(int64_t value) noexcept nogil:
    """A failing value as the 32 bits of a code: never one of the two that mean success."""
    if value == -1 and errno:
        return errno
    if -0x80000000LL <= value <= 0xFFFFFFFFLL:
        value = <int32_t> value  # an unsigned code keeps its bits
    elif value > 0:
        value = 0x7FFFFFFE
    else:
        value = -0x80000000LL
    if value == FR_POLL_NEW:
        return -1
    return <int32_t> value - (value == FR_POLL_SAME)


cdef int32_t poll_adapter(void *ctx, void *out) noexcept nogil:
    cdef const Adapter *a = <const Adapter *> ctx  # never written: several threads may poll one call
    cdef intptr_t args[7]
    cdef uint32_t cell[6]
    cdef int64_t value
    cdef int i
    memcpy(args, a.args, sizeof(args))
    if a.init != NULL:
        memcpy(out, a.init, a.size)
    for i in range(a.cells):
        cell[i] = a.cell[i]
        args[a.cell_at[i]] = <intptr_t> &cell[i]
    args[a.out] = <intptr_t> out
    errno = 0  # no-cython-lint: the C variable itself
    value = (<Function> a.function)(args[0], args[1], args[2], args[3], args[4], args[5])
    if a.returns == RETURNS_VOID:
        return FR_POLL_NEW
    value = narrow(value, a.width, a.is_signed)
    if a.returns == RETURNS_ZERO:
        return FR_POLL_NEW if value == 0 else as_code(value)
    if a.returns == RETURNS_NONNEGATIVE:
        return FR_POLL_NEW if value >= 0 else as_code(value)
    if a.returns == RETURNS_NONZERO:
        return FR_POLL_NEW if value != 0 else (errno if errno else -1)
    return FR_POLL_NEW if <int32_t> value >= 0 else <int32_t> value


cdef class Getter:
    """Something a poller can call to fill a struct of `size` bytes."""

    def call(self):
        """One watched call on the calling thread: (code, excess, payload)."""
        cdef unsigned char *out = <unsigned char *> calloc(1, self.size + FR_CANARY_SIZE)
        cdef fr_probe probe
        if out == NULL:
            raise MemoryError
        with nogil:
            probe = fr_poll_watch(self.fn, self.ctx, out, out + self.size, FR_CANARY_SIZE)
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
        cdef Adapter *a = <Adapter *> calloc(1, sizeof(Adapter))
        cdef const unsigned char[::1] template
        if a == NULL:
            raise MemoryError
        self.adapter = a
        a.function = <void *> address
        a.out = out
        a.size = size
        a.returns = returns
        a.width = width
        a.is_signed = is_signed
        for i, arg in enumerate(args):
            a.args[i] = <intptr_t> <uint64_t> (arg & 0xFFFFFFFFFFFFFFFF)
        for place, value in (cells or {}).items():
            a.cell[a.cells] = value
            a.cell_at[a.cells] = place
            a.cells += 1
        if init is not None:
            template = init
            a.init = <unsigned char *> malloc(size)
            if a.init == NULL:
                raise MemoryError
            memcpy(a.init, &template[0], size)
        self.keep = keep
        self.fn = poll_adapter
        self.ctx = a
        self.size = size

    def __dealloc__(self):
        if self.adapter != NULL:
            free(self.adapter.init)
            free(self.adapter)


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
