"""The ring: one writer, any number of readers, in a shared mapping that NumPy views in place."""

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EINVAL, ENODATA, EPERM
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strerror

import os

ACCOUNT = ("slots", "recorded", "held", "missed", "failed", "dropped", "start", "last", "texts_lost")

cdef dict LEFT = {  # what errors of one that was left mean
    EPERM: "it is no file that is ours alone",
    ENODATA: "it is cut off",
}


cdef class Ring:
    """A mapping with a header, a gap lane, a text arena and `capacity` + 64 slots of `record_size` bytes.

    Sizes are trusted: `fastrec.ring` is the checked face. As a buffer it is the bytes of all slots, live and
    read-only. With `tsc` its writer stamps by the processor's counter; RuntimeError says why it cannot.
    With `linkable` it can be given a name in shared memory. `last` is the stamp that none may be before.

    With `left` it is instead a private copy of the ring of that name, as the process left it that died;
    OSError says why it is not taken. Of such a one only the header is there before `fetch`.
    """

    def __cinit__(self, *, size_t record_size=8, size_t payload_offset=8, size_t payload_size=0,
                  uint64_t capacity=0, bytes schema=b"", bytes digest=b"", uint64_t arena_size=0,
                  period=(0, 1), int store=0, bint bounded=False, bint tsc=False, uint64_t first=0,
                  int64_t clock_offset=0, int64_t last=0, bint linkable=False, bytes left=None):
        cdef fr_ring_header plan
        cdef int error = 0, refusal = 0
        cdef const char *shown = "fastrec-ring"
        self.fd = -1
        if left is not None:
            self.take(left)
            return
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
        plan.pid, plan.pid_start = os.getpid(), fr_process_start()
        fr_read_text("/proc/sys/kernel/random/boot_id", plan.boot_id, 37)
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
        if linkable:
            shown = NULL
        with nogil:
            self.memory = fr_map_new(shown, plan.total_size, &self.fd, &error)
        if self.memory == NULL:
            raise OSError(-error, (<bytes> strerror(-error)).decode(), f"a ring of {plan.total_size} bytes")
        self.mapped = plan.total_size
        memcpy(self.memory, &plan, sizeof(plan))
        memcpy(<char *> self.memory + plan.schema_offset, <char *> schema, len(schema))
        self.view = fr_ring_look(self.memory)
        fr_ring_take(&self.writer, self.memory)
        self.writer.account.last = last
        fr_ring_publish_account(&self.writer)

    cdef take(self, bytes name):
        cdef fr_ring_header copy
        cdef size_t size = 0
        cdef const char *wrong
        cdef int error = fr_open_left(name, &self.fd, &size)
        if error:
            raise OSError(-error, LEFT.get(-error, (<bytes> strerror(-error)).decode()), name.decode())
        self.name = name
        self.closed = self.polled = True
        self.read_left(&copy, sizeof(copy), 0)
        wrong = fr_ring_refusal(&copy, size)
        if wrong != NULL:
            raise OSError(EINVAL, (<bytes> wrong).decode(), name.decode())
        # What was checked is the header: whatever others do to the file, no offset of it changes any more.
        self.memory = fr_map_zeros(copy.total_size, &error)
        if self.memory == NULL:
            raise OSError(-error, (<bytes> strerror(-error)).decode(), name.decode())
        self.mapped = copy.total_size
        memcpy(self.memory, &copy, sizeof(copy))
        self.view = fr_ring_look(self.memory)

    cdef read_left(self, void *to, size_t size, size_t offset):
        cdef size_t done = 0
        cdef long n = 1
        with nogil:
            while done < size and n > 0:
                n = fr_pread(self.fd, <char *> to + done, size - done, offset + done)
                done += n if n > 0 else 0
        if n < 0:
            raise OSError(-n, (<bytes> strerror(<int> -n)).decode(), self.name.decode())
        if done < size:
            raise OSError(ENODATA, LEFT[ENODATA], self.name.decode())

    def fetch(self):
        """Of one that was left, read what is behind the header; OSError: it cannot be read any more."""
        self.read_left(<char *> self.memory + FR_PAGE, self.mapped - FR_PAGE, FR_PAGE)

    def clear(self):
        """Give back the memory that `fetch` took."""
        fr_map_clear(<char *> self.memory + FR_PAGE, self.mapped - FR_PAGE)

    def __dealloc__(self):
        fr_map_free(self.memory, self.mapped, self.fd)
        free(self.tsc)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        cdef fr_ring_header *h = self.view.header
        PyBuffer_FillInfo(buffer, self, self.view.records.data, h.nslots * h.record_size, True, flags)

    def link(self, bytes name not None, home=(0, 0)):
        """Give it a name in shared memory, where it outlives the process; OSError: it cannot have it.

        `home` is the device and inode of the recording that it belongs to.
        """
        cdef int error
        self.view.header.home[0], self.view.header.home[1] = home
        error = fr_map_link(self.fd, name)
        if error:
            raise OSError(-error, (<bytes> strerror(-error)).decode(), name.decode())
        self.name = name

    def unlink(self):
        """Take the name back, if it has one and it is still its own."""
        if self.name is not None:
            fr_map_unlink(self.fd, self.name)
        self.name = None

    @property
    def linked(self):
        """It has a name in shared memory, and nobody else took it away."""
        return self.name is not None and not fr_removed(self.fd)

    @property
    def used(self):
        """The process that gave it its name, or a child of it, lives."""
        return fr_map_used(self.fd) != 0

    def lock(self):
        """Keep the mapping in memory, as long as it is one: 0, or an errno."""
        return -fr_lock(self.memory, self.mapped)

    @property
    def size(self):
        """Bytes of the mapping."""
        return self.mapped

    @property
    def about(self):
        """What its header says of it: digest, record_size, store, first, pid, pid_start, boot_id, home."""
        cdef fr_ring_header *h = self.view.header
        return {
            "digest": PyBytes_FromStringAndSize(<char *> h.digest, 16).hex(),
            "record_size": h.record_size,
            "store": h.store,
            "first": h.first,
            "home": (h.home[0], h.home[1]),
            "pid": h.pid,
            "pid_start": h.pid_start,
            "boot_id": PyBytes_FromStringAndSize(h.boot_id, sizeof(h.boot_id)).rstrip(b"\0"),
        }

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
        """Take no more pushes: after a fork the ring is the parent's.

        So is its file: as long as it is open in the child, it would count as used. It can still be read.
        """
        self.closed = self.polled = True
        self.name = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

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
