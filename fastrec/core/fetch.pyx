"""Blocks of records from a file into memory, each compared with its checksum, without the GIL."""

import os

from libc.stdint cimport SIZE_MAX, UINT32_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, strerror


cdef class Fetch:
    """Blocks in batches: `take` gives one after the other, while helpers read those behind it. They begin at
    once, before the first is taken.

    Parameters
    ----------
    fd : int
        Stays open until `close`.
    offset : int
        Of row 0 in the file.
    width : int
        Bytes of a row.
    base : int
        What the seeds of checksums begin with (FORMAT.md, section 1).
    at, rows : buffers of int64
        Of each block, its first row and how many it has.
    crcs : buffer of uint32
        ... and its checksum.
    cuts : buffer of int64
        Batch i has the blocks ``cuts[i] ... cuts[i + 1] - 1``.
    memory : buffer
        Of as many bytes as the largest batch has, or of a multiple of that: so many batches are read ahead.
        For rows that are looked for 8 more for each, for states 16; it begins at a multiple of 8 then. For a
        part of all rows, of as many as it has in all batches: all are read ahead.
    helpers : int
        Threads that read ahead.
    part : (offset, size), optional
        Bytes of a row: of all rows these alone, those of a row behind those of the one before.
    changes : (offset, size, mask), optional
        Bytes of a row, as `fastrec.core.scan.changes` takes them: of each block its first row is kept, and
        those at which they are not as in the row before.
    states : (offset, size, mask), optional
        At most 8 bytes of a row: of each block, of at most 1024 rows, those are kept that are the first of it
        in which they are what they are.
    condition : Condition, optional
        That is `alone`: those rows are kept that meet it.
    firsts, stops : buffers of int64
        With one of these four: of each block the rows from which on, and up to which, this is so.
    brief : (offset, many), optional
        With a condition: where so many rows of a block meet it, or more, 8 bytes of each are kept alone; 0:
        never.
    """

    def __cinit__(self, int fd, uint64_t offset, size_t width, unsigned int base,
                  const int64_t[::1] at not None, const int64_t[::1] rows not None,
                  const uint32_t[::1] crcs not None, const int64_t[::1] cuts not None,
                  unsigned char[::1] memory not None, unsigned int helpers, *, part=None, changes=None,
                  states=None, Condition condition=None, const int64_t[::1] firsts=None,
                  const int64_t[::1] stops=None, brief=None):
        cdef Py_ssize_t count = at.shape[0], batches = cuts.shape[0] - 1, batch, i
        cdef uint64_t total, slots, most = 0, whole = 0, room = memory.shape[0]
        cdef size_t beside
        cdef fr_fetch_block *block
        if rows.shape[0] != count or crcs.shape[0] != count or width == 0:
            raise ValueError(f"{count} blocks, {rows.shape[0]} counts, {crcs.shape[0]} checksums, of {width}")
        beside = self.look_for(width, part, changes, states, condition, brief)
        if self.f.look.kind and (firsts is None or stops is None
                                 or not firsts.shape[0] == stops.shape[0] == count):
            raise ValueError(f"{count} blocks, but not as many rows from which, and up to which, to look")
        if batches < 1 or cuts[0] != 0 or cuts[batches] != count or count == 0:
            raise ValueError(f"{batches} batches of {count} blocks")
        self.blocks = bytearray(count * sizeof(fr_fetch_block))
        block = <fr_fetch_block *> <char *> self.blocks
        for batch in range(batches):
            if not cuts[batch] <= cuts[batch + 1] <= count:
                raise ValueError(f"batch {batch} has blocks {cuts[batch]} to {cuts[batch + 1]}")
            total = 0
            for i in range(cuts[batch], cuts[batch + 1]):
                if at[i] < 0 or not 0 <= rows[i] <= UINT32_MAX:
                    raise ValueError(f"block {i} has {rows[i]} rows from {at[i]} on")
                block[i].row, block[i].rows, block[i].crc, block[i].place = at[i], rows[i], crcs[i], total
                if self.f.look.kind:
                    if not 0 <= firsts[i] <= stops[i] <= rows[i]:
                        raise ValueError(f"rows {firsts[i]} to {stops[i]} of the {rows[i]} of block {i}")
                    block[i].first, block[i].stop = firsts[i], stops[i]
                    if self.f.look.kind == FR_LOOK_PART:
                        block[i].place = whole
                        whole += stops[i] - firsts[i]
                total += rows[i]
                most = max(most, <uint64_t> rows[i])
            self.slot = max(self.slot, total)
        if self.f.look.kind == FR_LOOK_STATES and most > FR_LOOK_ROWS:
            raise ValueError(f"a block of {most} rows")
        if self.f.look.kind and most and width > SIZE_MAX // most:
            raise ValueError(f"{most} rows of {width} bytes")
        if self.f.look.kind == FR_LOOK_PART:
            if room % self.f.look.part.size or room // self.f.look.part.size != whole:
                raise ValueError(f"{self.f.look.part.size} bytes of {whole} rows for {room}")
            self.slot, self.slots = 0, batches
        else:
            slots = room // (width + beside) // max(1, self.slot) if width <= room else 0
            if slots == 0:
                raise ValueError(f"{self.slot} rows of {width} bytes do not fit in {room}")
            self.slots = min(slots, batches)
        for batch in range(batches):
            for i in range(cuts[batch], cuts[batch + 1]):
                block[i].place += batch % self.slots * self.slot
        self.cuts, self.memory = cuts, memory
        self.f.fd, self.f.offset, self.f.width, self.f.base = fd, offset, width, base
        self.f.block, self.f.count = block, count
        self.f.to = &memory[0] if room else NULL
        if beside:
            if <size_t> self.f.to % sizeof(int64_t):
                raise ValueError("the memory does not begin at a multiple of 8")
            # First which rows are kept, then how many have their states, then the rows.
            self.f.pick = <int64_t *> self.f.to
            if self.f.look.kind == FR_LOOK_STATES:
                self.f.tally = <uint64_t *> self.f.pick + self.slots * self.slot
            self.f.to += self.slots * self.slot * beside
        if self.f.look.kind:
            self.make_lookers(1 + min(helpers, FR_FETCH_HELPERS), most * width)
        self.f.limit = cuts[self.slots]
        fr_fetch_begin(&self.f, helpers)

    cdef size_t look_for(self, size_t width, part, changes, states, Condition condition,
                         brief) except? 1:
        """Which rows are kept; for how many bytes there has to be room beside each of them."""
        cdef fr_look *look = &self.f.look
        if (part is not None) + (changes is not None) + (states is not None) + (condition is not None) > 1:
            raise ValueError("only one of part, changes, states and a condition can be looked for")
        if brief is not None and condition is None:
            raise ValueError("brief without a condition")
        if condition is not None:
            if not condition.alone or condition.reach > width:
                raise ValueError(f"a condition that asks for more than a record of {width} bytes has")
            self.keep = condition
            look.kind, look.condition, look.depth = FR_LOOK_MEETING, &condition.c, condition.depth
            if brief is not None:
                self.f.stamp, self.f.many = brief
                if width < sizeof(uint64_t) or self.f.stamp > width - sizeof(uint64_t):
                    raise ValueError(f"{sizeof(uint64_t)} bytes at {self.f.stamp} of {width}")
            return sizeof(int64_t)
        if part is not None:
            begin, size = part
            look.part.mask, look.kind, most = 0, FR_LOOK_PART, width
        elif changes is not None:
            begin, size, look.part.mask = changes
            look.kind, most = FR_LOOK_CHANGES, 8 if look.part.mask else width
        elif states is not None:
            begin, size, look.part.mask = states
            look.kind, most = FR_LOOK_STATES, 8
        else:
            return 0
        if not 0 < size <= most or not 0 <= begin <= width - size:
            raise ValueError(f"{size} bytes at {begin} of {width}")
        look.part.offset, look.part.size = begin, size
        if look.kind == FR_LOOK_PART:
            return 0
        return sizeof(int64_t) + (sizeof(uint64_t) if look.kind == FR_LOOK_STATES else 0)

    cdef int make_lookers(self, uint32_t count, size_t room) except -1:
        cdef uint64_t multiplier = int.from_bytes(os.urandom(8), "little") | 1
        self.f.looker = <fr_looker *> calloc(1 + FR_FETCH_HELPERS, sizeof(fr_looker))
        if self.f.looker == NULL:
            raise MemoryError
        for i in range(count):
            if fr_looker_make(&self.f.looker[i], &self.f.look, room, multiplier):
                raise MemoryError
        return 0

    def __dealloc__(self):
        self.close()
        if self.f.looker != NULL:
            for i in range(1 + FR_FETCH_HELPERS):
                fr_looker_free(&self.f.looker[i])
            free(self.f.looker)

    def take(self):
        """Read the next batch; what was taken before is overwritten.

        Returns
        -------
        row : int
            Of the memory at which its blocks begin, one behind the other; of a part of them always 0.
        wrong : int
            The first of all blocks that does not match its checksum; -1: those of the batch do.

        Raises
        ------
        EOFError
            The file ends before them.
        OSError
            It cannot be read.
        """
        cdef Py_ssize_t batch = self.taken, batches = self.cuts.shape[0] - 1
        cdef uint64_t first, stop, limit, i
        cdef uint32_t state
        if self.f.over or batch == batches:
            raise ValueError("there is no other batch")
        first, stop = self.cuts[batch], self.cuts[batch + 1]
        limit = self.cuts[min(batch + <Py_ssize_t> self.slots, batches)]
        with nogil:
            fr_fetch_upto(&self.f, first, stop, limit)
        self.taken += 1
        for i in range(first, stop):
            state = self.f.block[i].state
            if state == FR_FETCH_DAMAGED:
                return batch % self.slots * self.slot, i
            if state == FR_FETCH_SHORT:
                raise EOFError
            if state != FR_FETCH_WHOLE:
                raise OSError(self.f.error, strerror(<int> self.f.error).decode())
        return batch % self.slots * self.slot, -1

    @property
    def kept(self):
        """How many rows were kept of those of the batch that was taken last, which was whole."""
        cdef uint64_t total = 0, i
        if self.f.pick != NULL and self.taken:
            for i in range(self.cuts[self.taken - 1], self.cuts[self.taken]):
                total += self.f.block[i].kept
        return total

    def gather(self, int64_t[::1] places not None, unsigned char[::1] to not None, size_t offset,
               size_t size):
        """These, in order: which rows of the file they are, and `size` of their bytes, from `offset` on.
        ValueError unless just these have room, and there are these bytes of them.
        """
        cdef uint64_t kept = self.kept, i, j, width = self.f.width, done = 0
        cdef fr_fetch_block *block
        cdef const unsigned char *row
        if <uint64_t> places.shape[0] != kept or <uint64_t> to.shape[0] != kept * size:
            raise ValueError(f"{kept} rows of {size} bytes for {places.shape[0]}, of {to.shape[0]} in all")
        if size > width or offset > width - size:
            raise ValueError(f"{size} bytes at {offset} of {width}")
        if not kept or not size:
            return
        for i in range(self.cuts[self.taken - 1], self.cuts[self.taken]):
            block = &self.f.block[i]
            row = self.f.to + block.place * width
            if block.brief:
                if offset != self.f.stamp or size != sizeof(uint64_t):
                    raise ValueError(f"of block {i} there are 8 bytes at {self.f.stamp} of each row alone")
                memcpy(&to[done * sizeof(uint64_t)], row, block.kept * sizeof(uint64_t))
            else:
                fr_fetch_column(&to[done * size], row + offset, block.kept, width, size)
            for j in range(block.kept):
                places[done + j] = block.row + self.f.pick[block.place + j]
            done += block.kept

    def counts(self, int64_t[::1] out not None):
        """With `states`: how many rows of its block have the state of each. ValueError as of `gather`."""
        cdef uint64_t kept = self.kept, i, done = 0
        cdef fr_fetch_block *block
        if self.f.tally == NULL or <uint64_t> out.shape[0] != kept:
            raise ValueError(f"{kept} rows that are counted for {out.shape[0]}")
        if not kept:
            return
        for i in range(self.cuts[self.taken - 1], self.cuts[self.taken]):
            block = &self.f.block[i]
            if block.kept:
                memcpy(&out[done], &self.f.tally[block.place], block.kept * sizeof(uint64_t))
            done += block.kept

    def close(self):
        """End the helpers; nothing can be taken any more."""
        with nogil:
            fr_fetch_end(&self.f)
