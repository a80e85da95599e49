"""What 1024 records say together, as FORMAT.md has it in a row of ``zones``."""

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memset, strerror
from posix.types cimport off_t

from fastrec.core.crc32c cimport fr_crc32c_rows


cdef extern from "<unistd.h>" nogil:
    ssize_t pread(int fd, void *data, size_t size, off_t offset)

cdef enum:
    PIECE = 65536  # bytes that are read at once: memory that stays in the caches


cdef bytearray as_fields(zone_fields):
    """The C array of numeric fields: tuples (offset in the record, "i", "u" or "f", bytes, whether of another
    byte order, lowest bit and width of a bit-field or 0 and 0). ValueError if it cannot be read.
    """
    memory = bytearray(max(1, len(zone_fields) * sizeof(fr_zone_field)))
    cdef fr_zone_field *field = <fr_zone_field *> <char *> memory
    for i, (offset, kind, size, swapped, shift, width) in enumerate(zone_fields):
        if width:
            fits = kind in ("i", "u") and size <= (8 if swapped else 9) and shift + width <= 8 * size
            fits = fits and 0 <= shift < 64 and width <= 64 and (size < 9 or shift)
        else:
            fits = kind in ("i", "u", "f") and size in (1, 2, 4, 8) and (size > 1 or kind != "f")
        if not fits:
            raise ValueError(f"field {i}: no number is {kind} of {size} bytes, bits {shift}, {width}")
        field[i].offset = offset
        field[i].kind = ord(kind)
        field[i].size = size
        field[i].swapped = swapped
        field[i].shift = shift
        field[i].width = width
    return memory


def zone_of(const unsigned char[::1] records not None, size_t stride, zone_fields, size_t weight_at=0,
            until_at=None):
    """The zone of some records, as the bytes of its row with a crc of 0 (FORMAT.md, zones).

    `weight_at` and `until_at` are where they say how often, and until when, they were seen; None: their times
    are not looked at, so no silence is told. Turns are told of records that have times, and no weight.
    ValueError if any of this lies outside of a record.
    """
    cdef size_t k = len(zone_fields)
    cdef fr_zone zone
    cdef size_t i, end_at = until_at or 0
    cdef bytearray fields = as_fields(zone_fields), row = bytearray(FR_ZONE_SIZE(k))
    zone.fields = k
    zone.field = <fr_zone_field *> <char *> fields
    zone.row = <uint64_t *> <char *> row
    zone.turns = until_at is not None and not weight_at
    for i in range(k):
        if zone.field[i].size > stride or zone.field[i].offset > stride - zone.field[i].size:
            raise ValueError(f"field {i} lies outside of {stride} bytes")
    if stride < 8 or max(weight_at, end_at) > stride - 8:
        raise ValueError(f"{stride} bytes have no room for stamps and polls")
    fr_zone_clear(&zone)
    if records.shape[0]:
        fr_zone_add(&zone, &records[0], records.shape[0] // stride, stride, weight_at)
        if until_at is not None:
            fr_zone_add_times(&zone, &records[0], records.shape[0] // stride, stride, end_at)
    fr_zone_tell_silence(&zone)
    return bytes(row)


def read_zones(int fd, uint64_t offset, size_t k, const int64_t[::1] columns not None,
               const uint8_t[::1] turns not None, unsigned int base, uint64_t first,
               uint64_t[:, ::1] out not None, uint8_t[::1] whole not None):
    """Zone rows of a file, as many as `whole` has room for, reduced to some of their `k` fields.

    The first one is at `offset`, and has the number `first`, with which and with `base` its checksum begins.
    Into a row of `out`: polls, then min, max, sum, nan and turn of each of `columns`, then the last 8 bytes
    of the row. Of the columns that have `turns` nan is 0, of others turn. `whole` is 1 where the checksum
    matches, 0 where it does not, or the file ends.
    """
    cdef size_t count = whole.shape[0], m = columns.shape[0], words = 2 + 5 * m, i
    cdef Reading r
    if <size_t> out.shape[0] < count or <size_t> out.shape[1] != words:
        raise ValueError(f"{out.shape[0]} x {out.shape[1]} words for {count} zones of {m} fields")
    for i in range(m):
        if columns[i] < 0 or <size_t> columns[i] >= k:
            raise ValueError(f"no field {columns[i]} of {k}")
    if <size_t> turns.shape[0] != m:
        raise ValueError(f"{turns.shape[0]} columns, not {m}, may have turns")
    if not count:
        return
    begin(&r, fd, offset, k, base, first, count)
    memset(&whole[0], 0, count)
    with nogil:
        while read_piece(&r):
            for i in range(r.here):
                whole[r.done + i] = is_whole(&r, i)
                reduce(row_of(&r, i), k, m, &columns[0] if m else NULL, &turns[0] if m else NULL,
                       &out[r.done + i, 0])
    free(r.data)
    if r.error:
        raise OSError(r.error, strerror(r.error).decode())
    if r.done < count:
        memset(&out[r.done, 0], 0, (count - r.done) * words * sizeof(uint64_t))


def read_runs(int fd, uint64_t offset, size_t k, size_t column, bint turns, unsigned int base, uint64_t first,
              int64_t place, int64_t[:, ::1] runs not None, uint8_t[::1] known not None):
    """The states of a column of zone rows of a file, run by run, as of `zone_runs`; of those alone that
    `read_zones` would call whole. Other arguments as of that, but `turns`: whether the column is of integers.
    """
    cdef size_t count = known.shape[0], found = 0, i
    cdef int64_t chosen = column
    cdef uint8_t integer = turns
    cdef fr_summed zone
    cdef Reading r
    if column >= k:
        raise ValueError(f"no field {column} of {k}")
    check_room(count, runs)
    if not count:
        return 0
    begin(&r, fd, offset, k, base, first, count)
    memset(&known[0], 0, count)
    memset(&zone, 0, sizeof(zone))
    with nogil:
        while read_piece(&r):
            for i in range(r.here):
                if is_whole(&r, i):
                    reduce(row_of(&r, i), k, 1, &chosen, &integer, <uint64_t *> &zone)
                    found = fr_runs_of(&zone, place + <int64_t> (r.done + i) * FR_BLOCK_ROWS, not turns,
                                       <fr_run *> &runs[0, 0], found, &known[r.done + i])
    free(r.data)
    if r.error:
        raise OSError(r.error, strerror(r.error).decode())
    return found


def zone_runs(const uint64_t[:, ::1] zones not None, int64_t place, bint floating,
              int64_t[:, ::1] runs not None, uint8_t[::1] known not None):
    """The states that zones tell, run by run: how many runs there are.

    `zones` is what `read_zones` reads of one column; the first begins at `place`. Into a row of `runs`, which
    has two for each zone: place of the first record, place behind the last, the state, and the first one's
    stamp in ns, or -2**63 where no zone tells it. A run goes on from zone to zone. `known` is 1 where a zone
    tells its states, else 0.
    """
    cdef size_t count = zones.shape[0], found = 0, i
    if <size_t> zones.shape[1] * sizeof(uint64_t) != sizeof(fr_summed) or <size_t> known.shape[0] != count:
        raise ValueError(f"{count} zones of {zones.shape[1]} words, {known.shape[0]} to be known")
    check_room(count, runs)
    with nogil:
        for i in range(count):
            found = fr_runs_of(<const fr_summed *> &zones[i, 0], place + <int64_t> i * FR_BLOCK_ROWS,
                               floating, <fr_run *> &runs[0, 0], found, &known[i])
    return found


cdef check_room(size_t count, const int64_t[:, ::1] runs):
    """ValueError unless there are rows for the runs of so many zones."""
    if <size_t> runs.shape[1] * sizeof(int64_t) != sizeof(fr_run) or <size_t> runs.shape[0] < 2 * count:
        raise ValueError(f"{runs.shape[0]} runs of {runs.shape[1]} words for {count} zones")


cdef struct Reading:
    int fd, error
    uint64_t offset, first                         # of the first row: where it is, and its number
    uint32_t base
    size_t size                                    # of a row
    size_t count                                   # rows that are wanted
    size_t at_once
    size_t done, here                              # rows that were looked at; that are there behind them
    unsigned char *data
    uint32_t *sums                                 # their checksums


cdef int begin(Reading *r, int fd, uint64_t offset, size_t k, uint32_t base, uint64_t first,
               size_t count) except -1:
    """Make room for some of the rows; MemoryError. Who reads them frees `data`."""
    memset(r, 0, sizeof(r[0]))
    r.fd, r.offset, r.base, r.first, r.count, r.size = fd, offset, base, first, count, FR_ZONE_SIZE(k)
    r.at_once = max(1, PIECE // r.size)
    r.data = <unsigned char *> malloc(r.at_once * (r.size + sizeof(uint32_t)))
    if r.data == NULL:
        raise MemoryError
    r.sums = <uint32_t *> (r.data + r.at_once * r.size)
    return 0


cdef bint read_piece(Reading *r) noexcept nogil:
    """Read the rows behind those that are there; False: there is none, or an error."""
    cdef ssize_t got = -1
    cdef size_t wanted
    r.done += r.here
    r.here = 0
    wanted = min(r.at_once, r.count - r.done) * r.size
    while got < 0 and not r.error:
        got = pread(r.fd, r.data, wanted, r.offset + r.done * r.size)
        if got < 0 and errno != EINTR:
            r.error = errno
    if got > 0:
        r.here = <size_t> got // r.size
        fr_crc32c_rows(r.base, r.first + r.done, r.data, r.size, r.here, r.sums)
    return r.here > 0


cdef inline const uint64_t *row_of(const Reading *r, size_t i) noexcept nogil:
    """One of the rows that are there."""
    return <const uint64_t *> (r.data + i * r.size)


cdef inline bint is_whole(const Reading *r, size_t i) noexcept nogil:
    """Whether it matches its checksum."""
    return memcmp(&r.sums[i], r.data + (i + 1) * r.size - sizeof(uint32_t), sizeof(uint32_t)) == 0


cdef inline void reduce(const uint64_t *row, size_t k, size_t m, const int64_t *columns, const uint8_t *turns,
                        uint64_t *out) noexcept nogil:
    """A zone row of `k` fields as `read_zones` has it of some of them."""
    cdef uint64_t last
    cdef size_t j
    out[0] = row[0]
    for j in range(m):
        out[1 + j] = row[1 + columns[j]]
        out[1 + m + j] = row[1 + k + columns[j]]
        out[1 + 2 * m + j] = row[1 + 2 * k + columns[j]]
        last = row[1 + 3 * k + columns[j]]
        out[1 + 3 * m + j] = 0 if turns[j] else last
        out[1 + 4 * m + j] = last if turns[j] else 0
    out[1 + 5 * m] = row[1 + 4 * k]
