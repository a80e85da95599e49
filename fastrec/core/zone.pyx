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
    cdef size_t size = FR_ZONE_SIZE(k), count = whole.shape[0], m = columns.shape[0], done, i, j, n
    cdef uint64_t last
    cdef size_t at_once = max(1, PIECE // size)
    cdef ssize_t got
    cdef unsigned char *data
    cdef uint64_t *row
    cdef uint32_t *sums
    if <size_t> out.shape[0] < count or <size_t> out.shape[1] != 2 + 5 * m:
        raise ValueError(f"{out.shape[0]} x {out.shape[1]} words for {count} zones of {m} fields")
    for i in range(m):
        if columns[i] < 0 or <size_t> columns[i] >= k:
            raise ValueError(f"no field {columns[i]} of {k}")
    if <size_t> turns.shape[0] != m:
        raise ValueError(f"{turns.shape[0]} columns, not {m}, may have turns")
    if not count:
        return
    memset(&whole[0], 0, count)
    data = <unsigned char *> malloc(at_once * (size + sizeof(uint32_t)))
    if data == NULL:
        raise MemoryError
    sums = <uint32_t *> (data + at_once * size)
    try:
        done = 0
        while done < count:
            n = min(at_once, count - done)
            with nogil:
                got = pread(fd, data, n * size, offset + done * size)
            if got < 0 and errno == EINTR:
                continue
            if got < 0:
                raise OSError(errno, strerror(errno).decode())
            n = <size_t> got // size
            if n == 0:
                break
            with nogil:
                fr_crc32c_rows(base, first + done, data, size, n, sums)
                for i in range(n):
                    row = <uint64_t *> (data + i * size)
                    whole[done + i] = memcmp(&sums[i], data + (i + 1) * size - 4, 4) == 0
                    out[done + i, 0] = row[0]
                    for j in range(m):
                        out[done + i, 1 + j] = row[1 + columns[j]]
                        out[done + i, 1 + m + j] = row[1 + k + columns[j]]
                        out[done + i, 1 + 2 * m + j] = row[1 + 2 * k + columns[j]]
                        last = row[1 + 3 * k + columns[j]]
                        out[done + i, 1 + 3 * m + j] = 0 if turns[j] else last
                        out[done + i, 1 + 4 * m + j] = last if turns[j] else 0
                    out[done + i, 1 + 5 * m] = row[1 + 4 * k]
            done += n
    finally:
        free(data)
    if done < count:
        memset(&out[done, 0], 0, (count - done) * (2 + 5 * m) * 8)


def zone_runs(const uint64_t[:, ::1] zones not None, int64_t place, bint floating,
              int64_t[:, ::1] runs not None, uint8_t[::1] known not None):
    """The states that zones tell, run by run: how many runs there are.

    `zones` is what `read_zones` reads of one column; the first begins at `place`. Into a row of `runs`, which
    has two for each zone: place of the first record, place behind the last, the state, and the first one's
    stamp in ns, or -2**63 where no zone tells it. A run goes on from zone to zone. `known` is 1 where a zone
    tells its states, else 0.
    """
    cdef size_t count = zones.shape[0], found
    if (<size_t> zones.shape[1] * sizeof(uint64_t) != sizeof(fr_summed)
            or <size_t> runs.shape[1] * sizeof(int64_t) != sizeof(fr_run)
            or <size_t> runs.shape[0] < 2 * count or <size_t> known.shape[0] != count):
        raise ValueError(f"{count} zones of {zones.shape[1]} words, {runs.shape[0]} runs of {runs.shape[1]}")
    if not count:
        return 0
    with nogil:
        found = fr_runs(<const fr_summed *> &zones[0, 0], count, place, floating, <fr_run *> &runs[0, 0],
                        &known[0])
    return found
