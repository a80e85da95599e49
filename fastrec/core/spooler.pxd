"""The spooling and the syncing thread: fastrec/spool.h and the headers that it stands on."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from fastrec.core.poller cimport fr_clock, fr_system_clock, fr_text_field
from fastrec.core.ring cimport Ring, fr_ring_view
from fastrec.core.zone cimport fr_zone

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *lock, const void *attributes) noexcept
    int pthread_mutex_destroy(pthread_mutex_t *lock) noexcept

cdef extern from "fastrec/os.h" nogil:
    ctypedef struct fr_io:
        pass
    const fr_io fr_system_io
    int fr_sync_all(int fd) noexcept               # 0, or -errno
    int fr_rename_new(const char *from_, const char *to) noexcept  # 0, or -errno
    int fr_begin(int fd, uint64_t offset, uint64_t size) noexcept  # a hint

cdef extern from "fastrec/format.h" nogil:
    enum:
        FR_BLOCK_ROWS
        FR_MAX_SEGMENT_ROWS
    ctypedef struct fr_index_row:
        uint64_t first_seq
    uint32_t fr_seed_base(const unsigned char *uuid, const char *channel) noexcept

cdef extern from "fastrec/segment.h" nogil:
    enum:
        FR_STRINGS
        FR_GAPS
        FR_ZONES
        FR_INDEX
        FR_RECORDS
        FR_FILES
    ctypedef struct fr_file_kind:
        const char *header                         # of an empty file
        size_t header_size
        size_t row_size

cdef extern from "fastrec/spooled.h" nogil:
    ctypedef struct fr_bytes:
        char *data
    ctypedef struct fr_kept:
        uint64_t bytes                             # of its files
        int64_t last                               # its latest stamp
        uint32_t number
    ctypedef struct fr_spool_channel:
        int dir                                    # file descriptor of the channel's folder
        fr_ring_view ring
        uint32_t seed_base
        uint64_t segment_rows                      # a multiple of FR_BLOCK_ROWS
        int64_t segment_ns                         # how long one is written to; 0: no limit
        bint never                                 # nothing is ever made durable
        uint64_t stage_rows                        # most records of one commit
        fr_file_kind kinds[5]
        char name[72]
        uint32_t weight_at                         # of `polls`; 0: no holds
        uint32_t stamp_end_at                      # of the stamp that ends a record
        uint32_t text_count
        fr_text_field text_fields[16]              # offsets in the record
        fr_zone zone
        unsigned char *stage
        fr_index_row *blocks
        unsigned char *zone_rows
        uint32_t next_segment
        uint64_t cursor                            # number of the next record to be written
        uint64_t gap_cursor
        uint64_t seen[3]                           # losses known: dropped, missed, failed
        uint32_t *text_ids
        uint64_t *text_offsets
        fr_bytes lines
        int64_t last                               # latest stamp written
        void *told                                 # losses that may not be durable
        fr_kept *kept                              # segments that retention may remove, oldest first
        uint32_t kept_count
        uint32_t kept_room
        uint64_t placed                            # marks and counts, read by any thread
        uint64_t written
        uint64_t durable
        uint64_t overwritten
        uint64_t disk
        uint64_t error                             # errno of the last commit, when it failed
        uint64_t sync_error                        # errno of the last flush, when it failed
        uint64_t side_error                        # errno that keeps counts of side files too low
        uint64_t segments

cdef extern from "fastrec/durable.h" nogil:
    ctypedef struct fr_dirty:
        pass
    ctypedef struct fr_gap_row:
        pass
    enum:
        FR_GAPS_MOST
    int fr_drain_left(const fr_io *io, fr_spool_channel *c, fr_gap_row *gap_rows, fr_dirty *dirty) noexcept

cdef extern from "fastrec/log.h" nogil:
    ctypedef struct fr_log:
        int clocks
        int stats
        int marks                                  # the caller's to write
        int marks_error                            # of the flush at the end, -errno
        uint64_t clocks_header
        uint64_t clock_rows
        uint64_t stat_bytes
        uint64_t stat_lines
        uint32_t seed_base
        int64_t clock_offset

cdef extern from "fastrec/retention.h" nogil:
    ctypedef struct fr_retention:
        uint64_t keep_bytes                        # of all segments; 0: no limit
        int64_t keep_ns                            # 0: no limit
        uint64_t min_free                          # bytes left on the file system
        int more                                   # to be removed, after the next flush
        uint64_t full                              # nothing is left to be, and too little is free
        fr_spool_channel **resting                 # that nobody writes
        uint64_t resting_count
    void fr_retention_round(fr_retention *r, const fr_io *io, int dir, fr_spool_channel **channels,
                            uint64_t count, pthread_mutex_t *lock, int64_t now) noexcept
    void fr_retention_wake(const fr_retention *r, fr_spool_channel *c, pthread_mutex_t *lock) noexcept

cdef extern from "fastrec/spool.h" nogil:
    enum:
        FR_SPOOL_CHANNELS
    ctypedef struct fr_spooler:
        const fr_io *io
        const fr_clock *clock
        int durability                             # 0 never, 1 timed, 2 with each commit
        int64_t flush                              # ns between two rounds at most
        int64_t sync_every                         # ns between two flushes
        int dir                                    # file descriptor of the recording
        pthread_mutex_t lock                       # from the start of the threads on
        fr_log log
        fr_retention retention
        uint64_t count
        fr_spool_channel *channels[64]
    int fr_spooler_start(fr_spooler *s) noexcept
    int fr_spooler_stop(fr_spooler *s, int64_t deadline) noexcept

cdef extern from "fastrec/atomic.h" nogil:
    uint64_t fr_load_relaxed(const uint64_t *p) noexcept
    uint64_t fr_load_acquire(const uint64_t *p) noexcept
    void fr_store_release(uint64_t *p, uint64_t v) noexcept

cdef class RestingChannel:
    cdef fr_spool_channel *c
    cdef dict keep                                 # headers

cdef class SpoolChannel:
    cdef fr_spool_channel *c
    cdef Ring ring
    cdef object keep                               # headers, the folder's descriptor
    cdef bytearray fields                           # memory of zone.field

cdef class Spooler:
    cdef fr_spooler *s
    cdef list channels                             # of both kinds; keeps what the threads use
    cdef readonly bint alive
