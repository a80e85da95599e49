"""Pushing: what Python hands over goes from where it lies into its slot, in one call and without a frame."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_Clear, PyErr_ExceptionMatches
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport Py_TYPE
from libc.stdint cimport uintptr_t

from fastrec.core.numpy_abi cimport ALIGNED, C_CONTIGUOUS, NumpyArray, NumpyRow, PyObject
from fastrec.core.ring cimport (
    FR_GAP_DROPPED,
    fr_account,
    fr_now,
    fr_read_self,
    fr_ring,
    fr_ring_lose,
    fr_ring_publish_account,
    fr_ring_publish_recorded,
    fr_ring_put_payload,
    fr_ring_put_payloads,
    fr_ring_room,
    fr_tsc,
    fr_tsc_now,
)

import ctypes

from fastrec.errors import SchemaError

cdef extern from "Python.h":
    # Their errors are asked for where there may be one: a try statement costs as much as the buffer.
    int get_buffer "PyObject_GetBuffer"(object payload, Py_buffer *view, int flags) noexcept
    long long as_int64 "PyLong_AsLongLongAndOverflow"(object integer, int *overflow) noexcept

ASCENDING = "stamps may be equal, but never decrease"
STAMP_END = 1 << 62  # no sum or difference of two stamps below it overflows

cdef int64_t stamp_end = STAMP_END

cdef object struct_kind = type(ctypes.Structure), union_kind = type(ctypes.Union)

# NumPy's types whose layout was proved, and the dtype of stamps; None: they are buffers like any other.
cdef object row_type = None, record_type = None, array_type = None, stamp_dtype = None


def learn_numpy(array, row, record, stamps):
    """Whether NumPy's objects are laid out as numpy_abi.pxd says; only then are they read by it.

    They are a two-dimensional array, rows of it that are views: void and record, and a dtype: int64.
    """
    global row_type, record_type, array_type, stamp_dtype
    row_type = record_type = array_type = stamp_dtype = None
    if not (array_is_known(array) and array_is_known(array.T) and row_is_known(row) and row_is_known(record)):
        return False
    row_type, record_type, array_type, stamp_dtype = type(row), type(record), type(array), stamps
    return True


cdef bint array_is_known(object array) except -1:
    cdef const NumpyArray *a = <const NumpyArray *> <PyObject *> array
    cdef Py_ssize_t shape[2]
    if type(array).__basicsize__ < sizeof(NumpyArray) or array.ndim != 2:
        return False
    # The last pointer that is followed is followed last, and by what cannot fault.
    return (<uintptr_t> a.data == array.__array_interface__["data"][0] and a.ndim == 2
            and <uintptr_t> a.dtype == id(array.dtype)
            and (a.flags & C_CONTIGUOUS != 0) == array.flags.c_contiguous
            and (a.flags & ALIGNED != 0) == array.flags.aligned
            and fr_read_self(a.shape, shape, sizeof(shape)) == sizeof(shape)
            and (shape[0], shape[1]) == array.shape)


cdef bint row_is_known(object row) except -1:
    cdef const NumpyRow *r = <const NumpyRow *> <PyObject *> row
    return (type(row).__basicsize__ >= sizeof(NumpyRow) and <uintptr_t> r.dtype == id(row.dtype)
            and <uintptr_t> r.data == row.__array_interface__["data"][0])


@cython.final
cdef class Pusher:
    """The writer of a ring, for payloads from Python. One thread at a time, which holding the GIL sees to.

    Plain are bytes, and NumPy's rows and arrays of `dtype`. `judge` is asked about all others, and about what
    is wrong: its methods push and extend take this pusher and the arguments.
    """

    def __cinit__(self, Ring ring not None, dtype, judge):
        self.ring = ring
        self.size = self.other_size = ring.view.header.payload_size
        self.dtype = self.other = dtype
        self.judge = judge

    cdef int64_t now(self) noexcept:
        """The clock of pushes."""
        cdef fr_tsc *tsc = self.ring.tsc
        return (fr_now() if tsc == NULL else fr_tsc_now(tsc)) + self.ring.view.header.clock_offset

    cdef size_t item_size(self, PyObject *dtype) noexcept:
        """Bytes of one item, 0 of a dtype that was not judged."""
        if dtype == <PyObject *> self.dtype:
            return self.size
        return self.other_size if dtype == <PyObject *> self.other else 0

    cdef const unsigned char *plain(self, object payload, Py_ssize_t *size) noexcept:
        """The bytes of a payload, or of many, that needs no judgement and no buffer; NULL: it does."""
        cdef const NumpyRow *row
        cdef const NumpyArray *array
        cdef PyObject *kind = <PyObject *> Py_TYPE(payload)
        cdef int axis
        if kind == <PyObject *> self.struct:  # asked first: it is the one that waits longest for its bytes
            return NULL
        if kind == <PyObject *> row_type or kind == <PyObject *> record_type:
            row = <const NumpyRow *> <PyObject *> payload
            size[0] = self.item_size(row.dtype)
            return row.data if size[0] else NULL
        if kind == <PyObject *> array_type:
            array = <const NumpyArray *> <PyObject *> payload
            size[0] = self.item_size(array.dtype) if array.flags & C_CONTIGUOUS else 0
            for axis in range(array.ndim):
                size[0] *= array.shape[axis]
            return array.data if size[0] else NULL
        if PyBytes_CheckExact(payload):
            size[0] = PyBytes_GET_SIZE(payload)
            return <const unsigned char *> PyBytes_AS_STRING(payload)
        return NULL

    @cython.binding(False)
    @cython.embedsignature.format("clinic")
    def push(self, payload, mono_ns=None):
        """Publish one payload, stamped now or with `mono_ns`; False when a bounded ring had no room."""
        cdef Py_ssize_t size = 0
        cdef const unsigned char *data = self.plain(payload, &size)
        cdef int room = self.push_bytes(data, size, mono_ns) if data else self.push_buffer(payload, mono_ns)
        return self.judge.push(self, payload, mono_ns) if room < 0 else room == 1

    cdef int push_bytes(self, const unsigned char *data, Py_ssize_t size, object mono_ns) noexcept:
        """Whether there was room; negative: the judge has to say what is wrong."""
        cdef int64_t last = self.ring.writer.account.last, t
        cdef int overflow = 0
        if size != <Py_ssize_t> self.size or self.ring.closed or self.ring.polled:
            return -1
        if mono_ns is None:
            return self.publish(data, max(self.now(), last))
        if not PyLong_CheckExact(mono_ns):
            return -1
        t = as_int64(mono_ns, &overflow)
        return -1 if overflow or t < last or t >= stamp_end else self.publish(data, t)

    cdef int push_buffer(self, object payload, object mono_ns) except? -2:
        """As `push_bytes`, of what calls itself no dtype and is bytes in one piece."""
        cdef Py_buffer view
        cdef int room
        if not self.open(payload, &view):
            return -1
        room = self.push_bytes(<const unsigned char *> view.buf, view.len, mono_ns)
        PyBuffer_Release(&view)
        return room

    cdef bint publish(self, const unsigned char *payload, int64_t t) noexcept:
        """One payload and its account; whether it had room."""
        cdef fr_ring *r = &self.ring.writer
        if not r.account.slots or not fr_ring_room(r, 1):
            return self.publish_many(payload, 1, t, NULL) == 1
        fr_ring_put_payload(r, t, payload, self.size)
        r.account.slots += 1
        r.account.recorded += 1
        r.account.last = t
        fr_ring_publish_recorded(r)
        return True

    @cython.binding(False)
    @cython.embedsignature.format("clinic")
    def extend(self, payloads, mono_ns=None):
        """Publish a dense array of payloads, stamped now or each with its own stamp; how many had room."""
        cdef Py_ssize_t size = 0
        cdef const unsigned char *data = self.plain(payloads, &size) if is_flat(payloads) else NULL
        cdef int64_t put
        put = self.extend_bytes(data, size, mono_ns) if data else self.extend_buffer(payloads, mono_ns)
        return self.judge.extend(self, payloads, mono_ns) if put < 0 else put

    cdef int64_t extend_bytes(self, const unsigned char *data, Py_ssize_t size, object mono_ns) noexcept:
        """How many had room; negative: the judge has to say what is wrong."""
        cdef int64_t last = self.ring.writer.account.last
        cdef uint64_t count = <size_t> size // self.size
        cdef const int64_t *stamps
        if count * self.size != <size_t> size or self.ring.closed or self.ring.polled:
            return -1
        if mono_ns is None:
            return self.publish_many(data, count, max(self.now(), last), NULL)
        stamps = plain_stamps(mono_ns, count)
        if stamps == NULL or unordered(stamps, count, last) < count:
            return -1
        if count and stamps[count - 1] >= stamp_end:
            return -1
        return self.publish_many(data, count, 0, stamps)

    cdef int64_t extend_buffer(self, object payloads, object mono_ns) except? -2:
        """As `extend_bytes`, of what calls itself no dtype and is bytes in one piece."""
        cdef Py_buffer view
        cdef int64_t put
        if not self.open(payloads, &view):
            return -1
        put = -1  # items that no whole number of makes a payload are another struct: the judge says so
        if view.itemsize and self.size % view.itemsize == 0:
            put = self.extend_bytes(<const unsigned char *> view.buf, view.len, mono_ns)
        PyBuffer_Release(&view)
        return put

    cdef uint64_t publish_many(self, const unsigned char *payloads, uint64_t count, int64_t t,
                               const int64_t *stamps) noexcept:
        """Payloads of one stamp or each of its own, which ascend, and their account; how many had room."""
        cdef fr_ring *r = &self.ring.writer
        cdef uint64_t batch, put = 0
        if not count:
            return 0
        if not r.account.slots:
            r.account.start = stamps[0] if stamps else t
        while put < count:
            batch = fr_ring_room(r, count - put)
            if not batch:
                break
            fr_ring_put_payloads(r, t, stamps + put if stamps else NULL, payloads + put * self.size,
                                 self.size, batch)
            put += batch
        r.account.last = stamps[count - 1] if stamps else t
        if put < count:
            fr_ring_lose(r, FR_GAP_DROPPED, 0, count - put, stamps[put] if stamps else t, r.account.last)
        r.account.slots += count
        r.account.recorded += put
        r.account.dropped += count - put
        fr_ring_publish_account(r)
        return put

    cdef bint open(self, object payload, Py_buffer *view) except -1:
        """The bytes of what calls itself no dtype; False: it has none, or not in one piece."""
        if <PyObject *> Py_TYPE(payload) != <PyObject *> self.struct:
            if getattr(payload, "dtype", None) is not None:
                return False
            if type(type(payload)) is struct_kind or type(type(payload)) is union_kind:
                self.struct = type(payload)
        if get_buffer(payload, view, PyBUF_SIMPLE) == 0:
            return True
        if not PyErr_ExceptionMatches((ValueError, TypeError, BufferError)):
            return -1
        PyErr_Clear()
        return False

    cdef int check_mine(self) except -1:
        if self.ring.closed:
            raise RuntimeError("closed: the recorder has stopped, was dropped, or is that of the parent"
                               " process")
        if self.ring.polled:
            raise RuntimeError("a poller fills it")
        return 0

    # What the judge lets pass

    def remember(self, dtype):
        """Take payloads of this dtype as plain from now on; the one before it is forgotten."""
        self.other, self.other_size = dtype, dtype.itemsize

    def put(self, payload, stamp=None):
        """As `push`, of any buffer of the size; the errors are Python's own, but for a stamp's."""
        cdef Py_buffer view
        cdef int64_t t, last
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            self.check_mine()
            if view.len != <Py_ssize_t> self.size:
                raise ValueError(f"{view.len} bytes pushed, the schema has {self.size}")
            last = self.ring.writer.account.last
            t = max(self.now(), last) if stamp is None else stamp
            if t < last:
                before = one_before(&self.ring.writer.account)
                raise SchemaError(f"stamp {t} is before {last}, {before}; {ASCENDING}")
            return self.publish(<const unsigned char *> view.buf, t)
        finally:
            PyBuffer_Release(&view)

    def put_many(self, payloads, const int64_t[::1] stamps=None):
        """As `extend`, of any buffer of whole payloads; errors as of `put`."""
        cdef Py_buffer view
        cdef uint64_t count, row
        cdef int64_t t, last
        cdef const int64_t *each = NULL
        PyObject_GetBuffer(payloads, &view, PyBUF_SIMPLE)
        try:
            self.check_mine()
            if view.itemsize and self.size % view.itemsize:
                raise ValueError(f"items of {view.itemsize} bytes, the schema has payloads of {self.size}")
            if view.len % self.size:
                raise ValueError(f"{view.len} bytes are no whole number of payloads of {self.size}")
            count = view.len // self.size
            last = self.ring.writer.account.last
            t = max(self.now(), last)
            if stamps is not None:
                if <uint64_t> stamps.shape[0] != count:
                    raise ValueError(f"{stamps.shape[0]} stamps for {count} payloads")
                each = &stamps[0] if count else NULL
                row = unordered(each, count, last)
                if row < count:
                    before = "the one before it" if row else one_before(&self.ring.writer.account)
                    last = each[row - 1] if row else last
                    raise SchemaError(f"row {row}: stamp {each[row]} is before {last}, {before}; {ASCENDING}")
            return self.publish_many(<const unsigned char *> view.buf, count, t, each)
        finally:
            PyBuffer_Release(&view)


cdef str one_before(const fr_account *account):
    """What the stamp before the next one is."""
    if account.slots or not account.last:
        return "the one before it"
    return "the last one of the session before (times of the monotonic clock: add Recorder.offset_ns)"


cdef inline bint is_flat(object payloads) noexcept:
    """Whether it is no array of more dimensions than one, or of less."""
    return (<PyObject *> Py_TYPE(payloads) != <PyObject *> array_type
            or (<const NumpyArray *> <PyObject *> payloads).ndim == 1)


cdef inline const int64_t *plain_stamps(object stamps, uint64_t count) noexcept:
    """`count` stamps in an array that can be read in place; NULL: it cannot."""
    cdef const NumpyArray *a = <const NumpyArray *> <PyObject *> stamps
    if (<PyObject *> Py_TYPE(stamps) != <PyObject *> array_type or a.dtype != <PyObject *> stamp_dtype
            or a.ndim != 1 or <uint64_t> a.shape[0] != count or not a.flags & C_CONTIGUOUS
            or not a.flags & ALIGNED):
        return NULL
    return <const int64_t *> a.data


cdef inline uint64_t unordered(const int64_t *stamps, uint64_t count, int64_t last) noexcept:
    """The first of the stamps that is before the one before it; `count`: they ascend from `last` on."""
    cdef uint64_t row
    for row in range(count):
        if stamps[row] < last:
            return row
        last = stamps[row]
    return count
