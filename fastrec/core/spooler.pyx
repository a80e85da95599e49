"""The threads that bring rings to the disk and make durable what they wrote, without the GIL."""

from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport ENOMEM
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport strerror, strncpy

from fastrec.core.poller cimport FR_TEXT_FIELDS, FR_TEXT_IDS
from fastrec.core.ring cimport fr_now
from fastrec.core.zone cimport FR_ZONE_SIZE, as_fields, fr_zone_field

DURABILITY = ("never", "timed", "commit")
FILES = ("strings", "gaps", "zones", "index", "records")

cdef enum:
    STAGE_BYTES = 4 << 20  # a commit is at most this much: one write, and what the caches still hold

cdef int64_t LONGEST = 1 << 61  # ns: no sum of it and a time overflows


cdef fr_spool_channel *new_channel(int dir, bytes name, bytes uuid, dict files) except NULL:
    """A channel and where its files go. `files` are to be kept as long as it is."""
    cdef fr_spool_channel *c = <fr_spool_channel *> calloc(1, sizeof(fr_spool_channel))
    cdef bytes header
    if c == NULL:
        raise MemoryError
    c.dir = dir
    strncpy(c.name, name, sizeof(c.name) - 1)
    c.seed_base = fr_seed_base(uuid, name)
    for i, file in enumerate(FILES):
        header, c.kinds[i].row_size = files[file]
        c.kinds[i].header = header
        c.kinds[i].header_size = len(header)
    return c


cdef class RestingChannel:
    """A channel of the folder `dir` that nobody writes, but whose segments count, and may be removed.

    `name`, `uuid` and `files` as of a `SpoolChannel`. `number` is that of its next record, `segment` that of
    its next segment. `kept` are those that are there, oldest first: (number, bytes, latest stamp).
    """

    def __cinit__(self, *, int dir, bytes name, bytes uuid, files, uint64_t number, uint32_t segment, kept):
        self.keep = dict(files)
        self.c = new_channel(dir, name, uuid, self.keep)
        self.c.kept = <fr_kept *> calloc(max(1, len(kept)), sizeof(fr_kept))
        if self.c.kept == NULL:
            raise MemoryError
        self.c.kept_room = max(1, len(kept))
        for one, size, latest in kept:
            self.c.kept[self.c.kept_count].number = one
            self.c.kept[self.c.kept_count].bytes = size
            self.c.kept[self.c.kept_count].last = latest
            self.c.last = max(self.c.last, <int64_t> latest)
            self.c.kept_count += 1
        self.c.cursor = number
        self.c.next_segment = segment

    def __dealloc__(self):
        if self.c != NULL:
            free(self.c.kept)
        free(self.c)


cdef class SpoolChannel:
    """A ring on its way to the folder `dir` (a file descriptor that the caller keeps open).

    `files` maps the names of `FILES` to (header of an empty file, bytes of a row). `zone_fields` are
    (offset in the record, kind "i" "u" "f", size, swapped, shift, width) of the numeric scalars;
    `texts` are (offset in the record, width).

    A ring that somebody else began to drain is taken over at `cursor`; `seen` says how many dropped, missed
    and failed ones were written already, `last` the latest stamp.
    """

    def __cinit__(self, Ring ring not None, *, int dir, bytes name, bytes uuid, files, uint64_t segment_rows,
                  int64_t segment_ns=0, zone_fields=(), texts=(), bint holds=False,
                  uint32_t first_segment=0, cursor=None, seen=(0, 0, 0), last=None):
        cdef fr_spool_channel *c
        cdef size_t record_size = ring.view.header.record_size, k = len(zone_fields)
        self.keep = dict(files)
        self.c = c = new_channel(dir, name, uuid, self.keep)
        self.ring = ring
        self.fields = as_fields(zone_fields)
        c.ring = ring.view
        c.segment_rows = min(max(segment_rows // FR_BLOCK_ROWS, 1), FR_MAX_SEGMENT_ROWS // FR_BLOCK_ROWS)
        c.segment_rows *= FR_BLOCK_ROWS
        c.segment_ns = segment_ns
        c.stage_rows = min(max(STAGE_BYTES // record_size, FR_BLOCK_ROWS), c.segment_rows)
        c.weight_at = 16 if holds else 0
        c.stamp_end_at = 8 if holds else 0
        if len(texts) > FR_TEXT_FIELDS:
            raise ValueError(f"{len(texts)} text members; at most {FR_TEXT_FIELDS} are followed")
        for offset, width in texts:
            c.text_fields[c.text_count].offset = offset
            c.text_fields[c.text_count].width = width
            c.text_count += 1
        c.zone.fields = k
        c.zone.field = <fr_zone_field *> <char *> <bytearray> self.fields
        c.zone.row = <uint64_t *> calloc(1, FR_ZONE_SIZE(k))
        c.zone.turns = not holds
        c.stage = <unsigned char *> malloc(c.stage_rows * record_size)
        c.blocks = <fr_index_row *> calloc(c.stage_rows // FR_BLOCK_ROWS + 2, sizeof(fr_index_row))
        c.zone_rows = <unsigned char *> malloc((c.stage_rows // FR_BLOCK_ROWS + 1) * FR_ZONE_SIZE(k))
        if c.text_count:
            c.text_ids = <uint32_t *> calloc(FR_TEXT_IDS + 1, sizeof(uint32_t))
            c.text_offsets = <uint64_t *> calloc(FR_TEXT_IDS + 1, sizeof(uint64_t))
        if (c.zone.row == NULL or c.stage == NULL or c.blocks == NULL or c.zone_rows == NULL
                or c.text_count and (c.text_ids == NULL or c.text_offsets == NULL)):
            raise MemoryError
        c.next_segment = first_segment
        c.cursor = c.placed = c.written = c.durable = ring.view.header.first if cursor is None else cursor
        c.last = fr_now() + ring.view.header.clock_offset if last is None else last
        c.seen[0], c.seen[1], c.seen[2] = seen

    def __dealloc__(self):
        if self.c == NULL:
            return
        for memory in (<size_t> self.c.zone.row, <size_t> self.c.stage, <size_t> self.c.blocks,
                       <size_t> self.c.zone_rows, <size_t> self.c.text_ids, <size_t> self.c.text_offsets,
                       <size_t> self.c.lines.data, <size_t> self.c.kept, <size_t> self.c.told,
                       <size_t> self.c):
            free(<void *> <size_t> memory)

    def marks(self):
        """What other threads may know: the marks, the losses, what failed (errno; 0: nothing), segments."""
        cdef fr_spool_channel *c = self.c
        return {
            "written": fr_load_acquire(&c.written), "durable": fr_load_acquire(&c.durable),
            "overwritten": fr_load_acquire(&c.overwritten), "disk": fr_load_acquire(&c.disk),
            "error": fr_load_acquire(&c.error), "sync_error": fr_load_acquire(&c.sync_error),
            "side_error": fr_load_acquire(&c.side_error), "segments": fr_load_acquire(&c.segments),
        }

    def drain_left(self):
        """Write to the disk, durably, what a writer left that has died; OSError: the disk will not have it.

        Only for a channel that is in no `Spooler`.
        """
        cdef fr_gap_row *gap_rows = <fr_gap_row *> malloc(FR_GAPS_MOST * sizeof(fr_gap_row))
        cdef fr_dirty *dirty = <fr_dirty *> malloc(sizeof(fr_dirty))
        cdef int error = -ENOMEM
        try:
            if gap_rows != NULL and dirty != NULL:
                with nogil:
                    error = fr_drain_left(&fr_system_io, self.c, gap_rows, dirty)
        finally:
            free(gap_rows)
            free(dirty)
        if error:
            raise OSError(-error, (<bytes> strerror(-error)).decode())


cdef class Spooler:
    """Drains channels every `flush_ns` at most; `durability` is one of `DURABILITY`.

    `dir`, `clocks` and `stats` are file descriptors of the recording, of clocks.npy (whose header of
    `clocks_header` bytes is written), of stats.jsonl and of marks.jsonl, which `stop` makes durable. The
    caller keeps them open until `stop` says True. The oldest segments are removed while all take more than
    `keep_bytes`, are older than `keep_ns`, or less than `min_free` bytes are left on the file system; 0:
    never. Those of the `resting` channels, of type `RestingChannel`, are among them.
    """

    def __cinit__(self, *, int dir, int clocks, size_t clocks_header, int stats, int marks, bytes uuid,
                  durability="timed",
                  int64_t flush_ns=100_000_000, int64_t sync_ns=1_000_000_000, int64_t clock_offset=0,
                  uint64_t clock_rows=0, uint64_t stat_bytes=0, uint64_t stat_lines=0,
                  uint64_t keep_bytes=0, int64_t keep_ns=0, uint64_t min_free=0, resting=()):
        cdef fr_spooler *s = <fr_spooler *> calloc(1, sizeof(fr_spooler))
        cdef RestingChannel channel
        if s == NULL:
            raise MemoryError
        self.s = s
        self.channels = list(resting)
        s.io = &fr_system_io
        s.clock = &fr_system_clock
        s.durability = DURABILITY.index(durability)
        s.flush = min(flush_ns, LONGEST)
        s.sync_every = min(sync_ns, LONGEST)
        s.dir = dir
        s.log.clocks = clocks
        s.log.stats = stats
        s.log.marks = marks
        s.log.clocks_header = clocks_header
        s.log.clock_rows = clock_rows
        s.log.stat_bytes = stat_bytes
        s.log.stat_lines = stat_lines
        s.log.seed_base = fr_seed_base(uuid, b"")
        s.log.clock_offset = clock_offset
        s.retention.keep_bytes = keep_bytes
        s.retention.keep_ns = keep_ns
        s.retention.min_free = min_free
        s.retention.resting = <fr_spool_channel **> calloc(len(self.channels) + 1, sizeof(fr_spool_channel *))
        if s.retention.resting == NULL:
            raise MemoryError
        for channel in self.channels:
            channel.c.never = DURABILITY[s.durability] == "never"
            s.retention.resting[s.retention.resting_count] = channel.c
            s.retention.resting_count += 1

    def __dealloc__(self):
        if not self.alive and self.s != NULL:
            free(self.s.retention.resting)
            free(self.s)

    def begin(self):
        """Start the threads."""
        cdef int error = fr_spooler_start(self.s)
        if error:
            raise OSError(-error, (<bytes> strerror(-error)).decode(), "a spooling thread")
        self.alive = True
        Py_INCREF(self)  # the threads'; given back when they have been joined

    def add(self, SpoolChannel channel not None):
        """Drain this channel too, a second time in vain. One that was at rest goes on with what it has."""
        if channel in self.channels:
            return
        if self.s.count == FR_SPOOL_CHANNELS:
            raise ValueError(f"a recorder has at most {FR_SPOOL_CHANNELS} channels")
        self.channels.append(channel)
        channel.c.never = DURABILITY[self.s.durability] == "never"
        fr_retention_wake(&self.s.retention, channel.c, &self.s.lock)
        self.s.channels[self.s.count] = channel.c
        fr_store_release(&self.s.count, self.s.count + 1)

    def stop(self, double timeout=30.0):
        """Drain what the writers, which have ended, left, make it durable, and close the files.

        False when the disk has not answered within `timeout` s: the threads go on, to the same end.
        """
        cdef int64_t deadline = <int64_t> (timeout * 1e9)
        cdef int error
        if not self.alive:
            return True
        with nogil:
            error = fr_spooler_stop(self.s, fr_now() + deadline)
        if error:
            return False
        self.alive = False
        Py_DECREF(self)
        return True

    @property
    def scarce(self):
        """Nothing is written because less than `min_free` bytes are left, and nothing is to be removed."""
        return fr_load_relaxed(&self.s.retention.full) != 0

    @property
    def marks_error(self):
        """Why marks.jsonl could not be made durable at the end, errno; 0: it was."""
        return -self.s.log.marks_error


def make_room(int dir, resting, *, uint64_t keep_bytes, int64_t keep_ns, uint64_t min_free, int64_t now):
    """Remove segments of `resting` channels in the folder `dir` that are beyond the budget; see `Spooler`.

    `now` is on the clock of the stamps. Only as long as they are in no `Spooler`.
    """
    cdef fr_retention *r = <fr_retention *> calloc(1, sizeof(fr_retention))
    cdef RestingChannel channel
    cdef pthread_mutex_t lock
    if r == NULL:
        raise MemoryError
    try:
        r.keep_bytes, r.keep_ns, r.min_free = keep_bytes, keep_ns, min_free
        r.resting = <fr_spool_channel **> calloc(len(resting) + 1, sizeof(fr_spool_channel *))
        if r.resting == NULL:
            raise MemoryError
        for channel in resting:
            r.resting[r.resting_count] = channel.c
            r.resting_count += 1
        with nogil:
            pthread_mutex_init(&lock, NULL)
            r.more = 1
            while r.more:
                fr_retention_round(r, &fr_system_io, dir, NULL, 0, &lock, now)
            pthread_mutex_destroy(&lock)
    finally:
        free(r.resting)
        free(r)


def start_writing(int fd, uint64_t offset, uint64_t size):
    """Let the disk begin with what was written there, so that a flush finds less left. A hint."""
    with nogil:
        fr_begin(fd, offset, size)


def rename_new(bytes old not None, bytes new not None):
    """Rename what nothing has the new name of yet; OSError: something has, or it cannot be promised here."""
    cdef const char *old_name = old, *new_name = new
    cdef int error
    with nogil:
        error = fr_rename_new(old_name, new_name)
    if error:
        raise OSError(-error, (<bytes> strerror(-error)).decode())


def sync_file_system(int fd):
    """Make durable all that the file system of `fd` holds; OSError: it could not."""
    cdef int error
    with nogil:
        error = fr_sync_all(fd)
    if error:
        raise OSError(-error, (<bytes> strerror(-error)).decode())
