"""The polling thread: fastrec/poll.h, and the objects that own its memory."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from fastrec.core.call cimport FR_CANARY_SIZE, Getter, fr_call, fr_poll_fn, fr_probe
from fastrec.core.ring cimport Ring, fr_ring, fr_ring_view, fr_tsc

cdef extern from "stdlib.h" nogil:
    void *aligned_alloc(size_t alignment, size_t size) noexcept

cdef extern from "fastrec/os.h" nogil:
    enum:
        FR_PROCESSORS
    ctypedef struct fr_clock:
        pass
    ctypedef struct fr_thread:
        pass
    ctypedef struct fr_processors:
        uint64_t word[16]                          # bit n: processor n
    const fr_clock fr_system_clock
    int fr_thread_realtime(int priority) noexcept  # of the calling thread; this and the next two: 0 or -errno
    int fr_thread_affinity(const fr_processors *wanted) noexcept
    int fr_lock(const void *memory, size_t size) noexcept
    void fr_unlock(const void *memory, size_t size) noexcept
    int64_t fr_thread_cpu(fr_thread *t) noexcept   # ns of processor time
    int fr_thread_join(fr_thread *t, int64_t deadline) noexcept

cdef extern from "fastrec/ring.h" nogil:
    enum:
        FR_PAGE

cdef extern from "fastrec/histogram.h" nogil:
    ctypedef struct fr_histogram:
        uint64_t max
    int64_t fr_hist_quantile(const fr_histogram *h, double q) noexcept

cdef extern from "fastrec/text.h" nogil:
    enum:
        FR_TEXT_IDS
        FR_TEXT_FIELDS                             # most text members of a record
    ctypedef struct fr_text_field:
        uint32_t offset                            # in the payload
        uint32_t width                             # of the pointer
        uint32_t unit                              # bytes of a code unit behind it
        uint32_t direct                            # read by plain loads
    ctypedef struct fr_texts:
        fr_ring_view view

cdef extern from "fastrec/hold.h" nogil:
    ctypedef struct fr_hold_columns:
        uint64_t polls                             # that wait to be published
    ctypedef struct fr_hold:
        fr_hold_columns *record                    # columns and payload of the state
        const uint64_t *mask                       # of the payload, the bits that make a state
        size_t words                               # of the payload
        uint32_t texts                             # text members that make a state; they are the first
        int64_t heartbeat                          # ns after which what waits is published

cdef extern from "fastrec/poll.h" nogil:
    enum:
        FR_POLL_CHANNELS
        FR_POLL_LEAD
        FR_CMD_NONE
        FR_CMD_PROBE
        FR_CMD_CALL
        FR_CMD_ADD
        FR_CMD_START
        FR_CMD_PAUSE
        FR_CMD_RESUME
        FR_CMD_HALT
        FR_CMD_STOP
    ctypedef struct fr_grid:
        uint64_t num                               # of the period in ns; 0: flat out
        uint64_t den
    ctypedef struct fr_poll_channel:
        fr_ring ring
        fr_poll_fn fn
        void *ctx
        const fr_call *call                        # made without `fn`; NULL: there is `fn` only
        fr_grid grid
        int64_t spin                               # ns before a deadline
        int64_t clock_offset
        fr_tsc *tsc                                # what stamps; NULL: the clock of the thread
        fr_texts *texts                            # NULL: no pointer is followed
        fr_text_field text_fields[16]
        uint32_t text_count
        fr_hold *hold                              # NULL: every poll becomes a record
        fr_histogram lateness
        fr_histogram duration
    ctypedef struct fr_command:
        int kind
        fr_poll_channel *channel
        int64_t start
        fr_poll_fn fn
        void *ctx
        unsigned char *out                         # room for the struct, and FR_CANARY_SIZE behind it
        size_t size                                # of the struct
        fr_probe probe
    ctypedef struct fr_poller:
        fr_thread thread
        const fr_clock *clock
        uint32_t count
    size_t FR_POLL_ROOM(size_t record_size) noexcept
    void fr_poll_prepare(fr_poll_channel *c, unsigned char *scratch) noexcept
    int fr_poller_start(fr_poller *p, const char *name) noexcept
    void fr_poller_serve(fr_poller *p, const char *name) noexcept
    void fr_poller_forget(fr_poller *p) noexcept
    int fr_poller_abandon(fr_poller *p) noexcept
    int fr_poller_ask(fr_poller *p, fr_command *command, int64_t deadline) noexcept

cdef tuple summary(const fr_histogram *h)          # at `QUANTILES`, and the largest; -1: nothing yet

cdef class PollChannel:
    cdef fr_poll_channel *c
    cdef fr_hold hold                              # of a ring of holds
    cdef bytes mask                                # memory of hold.mask
    cdef void *memory                              # in which the scratch lies; whole pages
    cdef readonly size_t size                      # of `memory`
    cdef bint locked
    cdef readonly Ring ring
    cdef readonly Getter getter
    cdef list begin_holds(self, list texts, bytes mask, int64_t heartbeat)

cdef class Poller:
    cdef fr_poller *p
    cdef bytes name                                # of the thread
    cdef list kept                                 # what the thread uses
    cdef readonly bint alive                       # started and not joined
    cdef int ask(self, fr_command *command, double timeout) except -1
    cdef int demand(self, fr_poll_fn fn, const void *what, size_t size, double timeout) except -1
    cdef int tell(self, int kind, double timeout, PollChannel channel=*, int64_t start=*) except -1
