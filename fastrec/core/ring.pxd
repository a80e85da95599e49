"""The ring in a mapping of its own: fastrec/ring.h, fastrec/text.h, and the object that owns the mapping."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

cdef extern from "fastrec/os.h" nogil:
    int64_t fr_now() noexcept                      # monotonic clock, ns
    void *fr_map_new(const char *name, size_t size, int *fd, int *error) noexcept
    int fr_map_link(int fd, const char *name) noexcept      # 0, or -errno
    int fr_open_left(const char *name, int *fd, size_t *size) noexcept  # 0, or -errno
    void *fr_map_zeros(size_t size, int *error) noexcept
    void fr_map_clear(void *memory, size_t size) noexcept
    long fr_pread(int fd, void *data, size_t size, uint64_t offset) noexcept  # bytes, or -errno
    int64_t fr_process_start() noexcept            # clock ticks since boot; 0: nobody tells
    int fr_map_used(int fd) noexcept
    int fr_removed(int fd) noexcept
    int fr_map_unlink(int fd, const char *name) noexcept
    long fr_read_text(const char *path, char *text, size_t size) noexcept
    void fr_map_free(void *memory, size_t size, int fd) noexcept
    int fr_lock(const void *memory, size_t size) noexcept   # 0, or -errno
    long fr_read_self(const void *from_, void *to, size_t size) noexcept   # never a fault: bytes, or -errno

cdef extern from "fastrec/format.h" nogil:
    enum:
        FR_GAP_DROPPED
    ctypedef struct fr_gap:
        uint64_t seq                               # first number lost, or the next to be used
        uint64_t count                             # how many
        uint32_t cause
        int32_t code                               # return value or errno
        int64_t t_first
        int64_t t_last

cdef extern from "fastrec/ring.h" nogil:
    enum:
        FR_PAGE                                    # bytes of the header
        FR_GUARD                                   # slots the writer may be writing
        FR_GAP_WORDS
    ctypedef struct fr_lane:
        uint64_t *head                             # records ever published
        uint64_t *data
        uint64_t nslots
        uint64_t words                             # of a slot, 8 bytes each
    ctypedef struct fr_pen:
        uint64_t head                              # the writer's copy of the counter
        uint64_t slot                              # head mod nslots
    ctypedef struct fr_span:
        uint64_t first                             # number of the first good record
        uint64_t count                             # good records
        uint64_t skip                              # records of the destination before them
        uint64_t lost                              # records before them that were overwritten
    ctypedef struct fr_account:
        uint64_t slots                             # decided deadlines, calls or pushes
        uint64_t recorded
        uint64_t held
        uint64_t missed
        uint64_t failed
        uint64_t dropped
        uint64_t start                             # time of slot 0
        uint64_t last                              # latest stamp
        uint64_t texts_lost
    ctypedef struct fr_gap_entry:
        fr_gap gap
        uint64_t totals[3]                         # running: dropped, missed, failed
    ctypedef struct fr_ring_header:
        uint32_t crc                               # of everything above the counters
        uint64_t total_size                        # bytes of the mapping
        uint32_t record_size                       # a multiple of 8
        uint32_t payload_offset                    # 8, or 32 with holds
        uint32_t payload_size                      # sizeof the C struct
        uint64_t nslots                            # capacity and the guard
        uint64_t data_offset
        uint64_t schema_offset
        uint64_t schema_size
        uint64_t arena_size                        # 0: no text
        unsigned char digest[16]                   # of the schema
        uint64_t first                             # number of the first record
        uint64_t period_num                        # of the period in ns; 0: not paced
        uint64_t period_den
        int64_t clock_offset                       # in every stamp
        uint32_t clock                             # 0 monotonic, 1 tsc
        uint32_t store                             # 0 every, 1 changes
        int64_t pid
        int64_t pid_start                          # of that process, in clock ticks since boot
        char boot_id[40]
        uint64_t head
        uint64_t gap_head
        uint64_t in_call                           # since when a call has not returned; 0: none
        uint64_t arena_used
        uint64_t tail                              # number the bounded writer may not overtake
        uint64_t bounded
        uint64_t home[2]                           # device and inode of its recording.json
    ctypedef struct fr_ring_view:
        fr_ring_header *header
        fr_lane records
        fr_lane gaps
        unsigned char *arena
    ctypedef struct fr_ring:
        fr_ring_view view
        fr_pen pen
        fr_pen gap_pen
        uint64_t capacity
        fr_account account                         # the writer's own; published whole
    uint64_t fr_ring_plan(fr_ring_header *h) noexcept
    uint32_t fr_ring_crc(const fr_ring_header *h) noexcept
    const char *fr_ring_refusal(const fr_ring_header *h, uint64_t size) noexcept  # NULL: it fits
    fr_ring_view fr_ring_look(void *memory) noexcept
    void fr_ring_take(fr_ring *r, void *memory) noexcept
    void fr_ring_publish_account(fr_ring *r) noexcept
    void fr_ring_publish_recorded(fr_ring *r) noexcept  # after a record, when nothing else has changed
    fr_account fr_ring_account(const fr_ring_header *h) noexcept
    uint64_t fr_ring_room(fr_ring *r, uint64_t count) noexcept
    void fr_ring_lose(fr_ring *r, uint32_t cause, int32_t code, uint64_t count, int64_t t_first,
                      int64_t t_last) noexcept
    void fr_ring_flush_gap(fr_ring *r) noexcept
    void fr_ring_put_payload(fr_ring *r, int64_t stamp, const unsigned char *payload, size_t size) noexcept
    void fr_ring_put_payloads(fr_ring *r, int64_t stamp, const int64_t *stamps, const unsigned char *payloads,
                              size_t size, uint64_t count) noexcept  # a head for every FR_GUARD
    fr_span fr_lane_read(const fr_lane *lane, uint64_t cursor, void *dst, uint64_t count) noexcept

cdef extern from "fastrec/atomic.h" nogil:
    uint64_t fr_load_relaxed(const uint64_t *p) noexcept
    uint64_t fr_load_acquire(const uint64_t *p) noexcept

cdef extern from "fastrec/text.h" nogil:
    enum:
        FR_TEXT_ROOM                               # most bytes of a text as it is kept
    long fr_text_get(uint64_t source, uint32_t unit, uint32_t direct,
                     char *to) noexcept            # its length, or -errno
    const unsigned char *fr_text_next(const fr_ring_view *view, uint64_t used, uint64_t *offset,
                                      uint32_t *length) noexcept

cdef extern from "fastrec/tsc.h" nogil:
    ctypedef struct fr_tsc:
        pass
    int fr_tsc_begin(fr_tsc *t) noexcept           # 0, or why not
    int fr_tsc_usable() noexcept                   # the same, without a beginning
    const char *fr_tsc_refusal(int why) noexcept
    int64_t fr_tsc_now(fr_tsc *t) noexcept         # ns of the monotonic clock
    uint64_t fr_tsc_bound(const fr_tsc *t) noexcept  # ns that a reading can have been off

cdef class Ring:
    cdef object __weakref__
    cdef void *memory                              # the mapping; NULL until created
    cdef size_t mapped                             # its bytes
    cdef int fd                                    # of its file
    cdef bytes name                                # in shared memory; None: nobody else can reach it
    cdef fr_ring_view view
    cdef fr_ring writer                            # the place of pushes; idle under a poller
    cdef fr_tsc *tsc                               # what stamps; NULL: the monotonic clock
    cdef bint polled                               # a poller has taken the writer's place
    cdef bint closed                               # no push is taken any more
    cdef Py_ssize_t shape[1]
    cdef take(self, bytes name)
    cdef read_left(self, void *to, size_t size, size_t offset)
