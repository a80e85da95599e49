"""Passes over records without the GIL: where bytes change, where nothing was seen, which states there are."""

import os

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset


cdef void check(const unsigned char[::1] rows, size_t stride, const int64_t[::1] starts,
                const int64_t[::1] stops, int64_t[::1] out, size_t reach) except *:
    """That the ranges lie within the rows, and their places within `out`; the kernels believe it."""
    cdef size_t count, room = out.shape[0]
    cdef Py_ssize_t i
    if stride == 0 or reach > stride or starts.shape[0] != stops.shape[0]:
        raise ValueError(f"{reach} bytes of a record of {stride}, {starts.shape[0]} to {stops.shape[0]}")
    count = rows.shape[0] // stride
    for i in range(starts.shape[0]):
        if starts[i] < 0 or stops[i] < starts[i] or <size_t> stops[i] > count:
            raise ValueError(f"rows {starts[i]} to {stops[i]} of {count}")
        if <size_t> (stops[i] - starts[i]) > room:
            raise ValueError("no room for so many places")
        room -= stops[i] - starts[i]


def changes(const unsigned char[::1] rows not None, size_t stride, size_t offset, size_t size, uint64_t mask,
            const int64_t[::1] starts not None, const int64_t[::1] stops not None, int64_t[::1] out not None):
    """Rows within each range whose bytes are not those of the row before, into `out`; how many.

    The first row of a range is none. Of a record of `stride` bytes `size` from `offset` on count; with a
    `mask`, of at most 8, its bits in little endian.
    """
    cdef Py_ssize_t i
    cdef size_t found = 0
    cdef fr_part part
    if size == 0 or offset > stride or size > stride - offset or (mask and size > 8):
        raise ValueError(f"{size} bytes at {offset}")
    check(rows, stride, starts, stops, out, offset + size)
    part.offset, part.size, part.mask = offset, size, mask
    with nogil:
        for i in range(starts.shape[0]):
            if stops[i] > starts[i]:
                found += fr_changes(&rows[0], stride, part, starts[i], stops[i], &out[found])
    return found


def silences(const unsigned char[::1] rows not None, size_t stride, size_t time, size_t until, int64_t limit,
             const int64_t[::1] starts not None, const int64_t[::1] stops not None,
             int64_t[::1] out not None):
    """Rows within each range that begin more than `limit` ns after the row before, into `out`; how many.

    The first row of a range is none. `time` and `until` are where the stamps stand in a record.
    """
    cdef Py_ssize_t i
    cdef size_t found = 0
    if time > stride or until > stride:
        raise ValueError(f"stamps at {time} and {until}")
    check(rows, stride, starts, stops, out, max(time, until) + 8)
    with nogil:
        for i in range(starts.shape[0]):
            if stops[i] > starts[i]:
                found += fr_silences(&rows[0], stride, time, until, limit, starts[i], stops[i], &out[found])
    return found


def before(const unsigned char[::1] rows not None, size_t stride, size_t time, size_t until,
           const int64_t[::1] starts not None, const int64_t[::1] stops not None,
           const int64_t[::1] times not None, bint equal, int64_t[::1] out not None,
           int64_t[::1] seen not None):
    """Of each time, into `out`, the row behind the last that is stamped before it, or at it where `equal`;
    into `seen` when that one was seen last. Without such a row: the first row, and 0.

    Neither times nor the stamps of the ranges, in order, may fall: what comes out is of no use then, but lies
    within the ranges.
    """
    cdef size_t count, most = 0
    cdef Py_ssize_t i
    cdef fr_ordered o
    if time > stride or until > stride or stride - max(time, until) < 8:
        raise ValueError(f"stamps at {time} and {until} of a record of {stride}")
    count = rows.shape[0] // stride
    if starts.shape[0] == 0 or starts.shape[0] != stops.shape[0]:
        raise ValueError(f"{starts.shape[0]} to {stops.shape[0]}")
    for i in range(starts.shape[0]):
        if starts[i] < <int64_t> most or stops[i] <= starts[i] or <size_t> stops[i] > count:
            raise ValueError(f"rows {starts[i]} to {stops[i]} of {count}")
        most = stops[i]
    if out.shape[0] != times.shape[0] or seen.shape[0] != times.shape[0]:
        raise ValueError("no room for so many times")
    if times.shape[0] == 0:
        return
    o.rows, o.stride, o.time, o.until = &rows[0], stride, time, until
    o.starts, o.stops, o.ranges = &starts[0], &stops[0], starts.shape[0]
    with nogil:
        fr_before(&o, &times[0], times.shape[0], equal, &out[0], &seen[0])


cdef class Codes:
    """Small numbers, from 0 on, for patterns of 64 bits, in the order in which they first came."""

    def __cinit__(self):
        self.c.multiplier = int.from_bytes(os.urandom(8), "little") | 1
        self.grow(64)

    def __dealloc__(self):
        free(self.c.slot)
        free(self.c.order)

    def __len__(self):
        return self.c.count

    cdef int grow(self, size_t slots) except -1:
        cdef fr_codes wide
        cdef fr_code *slot
        cdef size_t i
        wide.slots, wide.count, wide.multiplier = slots, self.c.count, self.c.multiplier
        wide.slot = <fr_code *> malloc(slots * sizeof(fr_code)) if slots <= FR_CODES_SLOTS else NULL
        wide.order = <uint64_t *> malloc(slots * sizeof(uint64_t)) if slots <= FR_CODES_SLOTS else NULL
        if wide.slot == NULL or wide.order == NULL:
            free(wide.slot)
            free(wide.order)
            raise MemoryError
        memset(wide.slot, 0xFF, slots * sizeof(fr_code))
        for i in range(wide.count):
            slot = fr_code_of(&wide, self.c.order[i])
            slot[0] = fr_code_of(&self.c, self.c.order[i])[0]
            wide.order[i] = self.c.order[i]
        free(self.c.slot)
        free(self.c.order)
        self.c = wide
        return 0

    def of(self, const uint64_t[::1] keys not None, int64_t[::1] out not None):
        """The code of each pattern, into `out`; new ones get the next."""
        cdef size_t done = 0, count = keys.shape[0]
        if <size_t> out.shape[0] < count:
            raise ValueError("no room for so many codes")
        while done < count:
            with nogil:
                done += fr_codes_of(&self.c, &keys[done], count - done, &out[done])
            if done < count:
                self.grow(2 * self.c.slots)

    def tally(self, const unsigned char[::1] rows not None, size_t stride, size_t offset, size_t size,
              uint64_t mask, const int64_t[::1] starts not None, const int64_t[::1] stops not None,
              uint64_t[::1] counts not None, int64_t[::1] first not None):
        """Count how many rows of some ranges have each pattern of at most 8 bytes, as `changes` takes them.

        Codes are those of this call alone. Into `counts` goes how many rows have a code, into `first` the row
        at which it came first: increasing. Returns how many codes there are; -1: more than there is room for.
        """
        cdef fr_part part
        cdef size_t at, stop, total, room = min(counts.shape[0], first.shape[0])
        cdef Py_ssize_t i
        if size > 8 or size == 0 or offset > stride or size > stride - offset:
            raise ValueError(f"{size} bytes at {offset} of a record of {stride}")
        if starts.shape[0] != stops.shape[0]:
            raise ValueError(f"{starts.shape[0]} to {stops.shape[0]}")
        total = rows.shape[0] // stride
        part.offset, part.size, part.mask = offset, size, mask
        memset(self.c.slot, 0xFF, self.c.slots * sizeof(fr_code))
        self.c.count = 0
        for i in range(starts.shape[0]):
            if starts[i] < 0 or stops[i] < starts[i] or <size_t> stops[i] > total:
                raise ValueError(f"rows {starts[i]} to {stops[i]} of {total}")
            at, stop = starts[i], stops[i]
            while at < stop:
                # Of so many codes as there is room for all have a place in `counts`.
                if room < self.c.slots // 2:
                    return -1
                with nogil:
                    at = fr_tally(&self.c, &rows[0], stride, part, at, stop, &first[0])
                if at < stop:
                    self.grow(2 * self.c.slots)
        found = self.c.count
        if found:
            fr_codes_take(&self.c, &counts[0])
        return found
