"""The ring: one writer, any number of readers, in a shared mapping that NumPy views in place."""

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strerror

import os

ACCOUNT = ("slots", "recorded", "held", "missed", "failed", "dropped", "start", "last", "texts_lost")


cdef class Ring:
    """A mapping with a header, a gap lane, a text arena and `capacity` + 64 slots of `record_size` bytes.

    Sizes are trusted: `fastrec.ring` is the checked face. As a buffer it is the bytes of all slots, live and
    read-only. With `tsc` its writer stamps by the processor's counter; RuntimeError says why it cannot.
    """

    def __cinit__(self, *, size_t record_size, size_t payload_offset, size_t payload_size, uint64_t capacity,
                  bytes schema, bytes digest, uint64_t arena_size=0, period=(0, 1), int store=0,
                  bint bounded=False, bint tsc=False, uint64_t first=0, int64_t clock_offset=0):
        cdef fr_ring_header plan
        cdef int error = 0, refusal = 0
        memset(&plan, 0, sizeof(plan))
        plan.record_size = record_size
        plan.payload_offset = payload_offset
        plan.payload_size = payload_size
        plan.nslots = capacity + FR_GUARD
        plan.schema_size = len(schema)
        plan.arena_size = arena_size
        plan.store = store
        plan.first = first
        plan.period_num, plan.period_den = period
        plan.clock_offset = clock_offset
        plan.clock = tsc
        plan.pid = os.getpid()
        memcpy(plan.digest, <const char *> digest, 16)
        fr_ring_plan(&plan)
        plan.crc = fr_ring_crc(&plan)
        plan.head = plan.tail = first
        plan.bounded = bounded
        if tsc:
            self.tsc = <fr_tsc *> calloc(1, sizeof(fr_tsc))
            if self.tsc == NULL:
                raise MemoryError
            with nogil:
                refusal = fr_tsc_begin(self.tsc)
            if refusal:
                raise RuntimeError((<bytes> fr_tsc_refusal(refusal)).decode())
        with nogil:
            self.memory = fr_map_new("fastrec-ring", plan.total_size, &self.fd, &error)
        if self.memory == NULL:
            raise OSError(-error, (<bytes> strerror(-error)).decode(), f"a ring of {plan.total_size} bytes")
        memcpy(self.memory, &plan, sizeof(plan))
        memcpy(<char *> self.memory + plan.schema_offset, <char *> schema, len(schema))
        self.view = fr_ring_look(self.memory)
        fr_ring_take(&self.writer, self.memory)

    def __dealloc__(self):
        if self.memory != NULL:
            fr_map_free(self.memory, self.view.header.total_size, self.fd)
        free(self.tsc)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        cdef fr_ring_header *h = self.view.header
        PyBuffer_FillInfo(buffer, self, self.view.records.data, h.nslots * h.record_size, True, flags)

    def lock(self):
        """Keep the mapping in memory, as long as it is one: 0, or an errno."""
        return -fr_lock(self.memory, self.view.header.total_size)

    @property
    def size(self):
        """Bytes of the mapping."""
        return self.view.header.total_size

    @property
    def capacity(self):
        """Records that a reader may trust at any time."""
        return self.view.header.nslots - FR_GUARD

    @property
    def head(self):
        """Records ever published, counted from 0."""
        return fr_load_acquire(&self.view.header.head)

    @property
    def first(self):
        """Number of the oldest record that a reader can still get."""
        cdef uint64_t head = fr_load_acquire(&self.view.header.head), cap = self.view.header.nslots - FR_GUARD
        return max(self.view.header.first, head - cap if head > cap else 0)

    @property
    def in_call(self):
        """Monotonic time at which the call began that has not returned; 0: none."""
        return fr_load_relaxed(&self.view.header.in_call)

    @property
    def clock_error(self):
        """ns that stamps can have been off the monotonic clock; 0: they are its own."""
        return 0 if self.tsc == NULL else fr_tsc_bound(self.tsc)

    def account(self):
        """One consistent copy of the counters, by the names in `ACCOUNT`."""
        cdef fr_account a = fr_ring_account(self.view.header)
        return dict(zip(ACCOUNT, (a.slots, a.recorded, a.held, a.missed, a.failed, a.dropped, a.start, a.last,
                                  a.texts_lost), strict=True))

    def read_into(self, unsigned char[::1] destination not None, uint64_t cursor):
        """Copy records from number `cursor` on, as many as fit: (first, count, skip, lost).

        The `count` good records begin `skip` records into the destination with number `first`; `lost`
        before them were overwritten. `first + count` is the cursor to go on from.
        """
        cdef fr_span span
        cdef uint64_t room = destination.shape[0] // self.view.header.record_size
        if not room:
            return cursor, 0, 0, 0
        with nogil:
            span = fr_lane_read(&self.view.records, cursor, &destination[0], room)
        return span.first, span.count, span.skip, span.lost

    def read_gaps(self, uint64_t cursor=0):
        """Entries of the gap lane from `cursor` on: (bytes of fr_gap_entry, the next cursor)."""
        cdef fr_gap_entry entries[64]
        cdef fr_span span
        parts = []
        while True:
            span = fr_lane_read(&self.view.gaps, cursor, entries, 64)
            cursor = span.first + span.count
            if not span.count:
                return b"".join(parts), cursor
            parts.append(PyBytes_FromStringAndSize(<char *> &entries[span.skip],
                                                   span.count * sizeof(fr_gap_entry)))

    def texts(self):
        """The texts of the arena in the order of their ids, which count from 1."""
        cdef uint64_t used = fr_load_acquire(&self.view.header.arena_used), offset = 0
        cdef uint32_t length = 0
        cdef const unsigned char *text
        found = []
        while True:
            text = fr_text_next(&self.view, used, &offset, &length)
            if text == NULL:
                return found
            found.append(PyBytes_FromStringAndSize(<const char *> text, length))

    def close(self):
        """Take no more pushes; publish the loss that may still go on."""
        self.closed = True
        self.flush()

    def forget(self):
        """Take no more pushes: after a fork the ring is the parent's."""
        self.closed = self.polled = True

    def flush(self):
        """Publish the loss that may still go on, so that readers see it. The pushing thread's."""
        if not self.polled:
            fr_ring_flush_gap(&self.writer)


def tsc_refusal():
    """Why the processor's counter cannot stamp here; None: it can."""
    cdef int why = fr_tsc_usable()
    return (<bytes> fr_tsc_refusal(why)).decode() if why else None


def read_text(uint64_t address, uint32_t unit=1):
    """The text at an address of this process, at most 4,096 bytes; None: NULL, or it cannot be read.

    `unit` is the bytes of a code unit, 1, 2 or 4; a text of wide ones comes as UTF-8.
    """
    cdef char text[FR_TEXT_ROOM]
    cdef long length = fr_text_get(address, unit, False, text) if address else -1
    return None if length < 0 else PyBytes_FromStringAndSize(text, length)


def read_memory(uint64_t address, size_t size):
    """`size` bytes at an address of this process; None: they cannot be read."""
    copy = PyBytes_FromStringAndSize(NULL, size)
    cdef long length = fr_read_self(<void *> address, PyBytes_AS_STRING(copy), size)
    return copy if length == <long> size else None
