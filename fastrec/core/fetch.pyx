"""Blocks of records from a file into memory, each compared with its checksum, without the GIL."""

from libc.stdint cimport UINT32_MAX, int64_t, uint32_t, uint64_t
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
        With `part` of 8 more for each row, and it begins at a multiple of 8.
    helpers : int
        Threads that read ahead.
    part : (offset, size, mask), optional
        Bytes of a row, as `fastrec.core.scan.changes` takes them: of each block its first row is kept, and
        those at which they are not as in the row before. `gather` gives these.
    firsts, stops : buffers of int64
        With `part`: of each block the rows from which on, and up to which, this is so.
    """

    def __cinit__(self, int fd, uint64_t offset, size_t width, unsigned int base,
                  const int64_t[::1] at not None, const int64_t[::1] rows not None,
                  const uint32_t[::1] crcs not None, const int64_t[::1] cuts not None,
                  unsigned char[::1] memory not None, unsigned int helpers, part=None,
                  const int64_t[::1] firsts=None, const int64_t[::1] stops=None):
        cdef Py_ssize_t count = at.shape[0], batches = cuts.shape[0] - 1, batch, i
        cdef uint64_t total, slots, most = 0, room = memory.shape[0]
        cdef size_t kept = 0 if part is None else sizeof(int64_t)
        cdef fr_fetch_block *block
        if rows.shape[0] != count or crcs.shape[0] != count or width == 0:
            raise ValueError(f"{count} blocks, {rows.shape[0]} counts, {crcs.shape[0]} checksums, of {width}")
        if part is not None:
            if firsts is None or stops is None or firsts.shape[0] != count or stops.shape[0] != count:
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
                if part is not None:
                    if not 0 <= firsts[i] <= stops[i] <= rows[i]:
                        raise ValueError(f"rows {firsts[i]} to {stops[i]} of the {rows[i]} of block {i}")
                    block[i].first, block[i].stop = firsts[i], stops[i]
                total += rows[i]
                most = max(most, <uint64_t> rows[i])
            self.slot = max(self.slot, total)
        slots = room // (width + kept) // max(1, self.slot) if width <= room else 0
        if slots == 0:
            raise ValueError(f"{self.slot} rows of {width} bytes do not fit in {room}")
        self.slots = min(slots, batches)
        for batch in range(batches):
            for i in range(cuts[batch], cuts[batch + 1]):
                block[i].place += batch % self.slots * self.slot
        self.cuts, self.memory = cuts, memory
        self.f.fd, self.f.offset, self.f.width, self.f.base = fd, offset, width, base
        self.f.block, self.f.count = block, count
        self.f.to = &memory[0]
        if part is not None:
            begin, size, self.f.part.mask = part
            if not 0 < size <= (8 if self.f.part.mask else width) or not 0 <= begin <= width - size:
                raise ValueError(f"{size} bytes at {begin} of {width}")
            self.f.part.offset, self.f.part.size = begin, size
            self.f.room = most * width
            self.scratch = bytearray((min(helpers, FR_FETCH_HELPERS) + 1) * self.f.room)
            self.f.scratch = <unsigned char *> <char *> self.scratch
            if <size_t> self.f.to % sizeof(int64_t):
                raise ValueError("the memory does not begin at a multiple of 8")
            self.f.pick = <int64_t *> self.f.to
            self.f.to += self.slots * self.slot * sizeof(int64_t)
        self.f.limit = cuts[self.slots]
        fr_fetch_begin(&self.f, helpers)

    def __dealloc__(self):
        self.close()

    def take(self):
        """Read the next batch; what was taken before is overwritten.

        Returns
        -------
        row : int
            Of the memory at which its blocks begin, one behind the other.
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
        """How many rows were kept of the batch that was taken last, which was whole."""
        cdef uint64_t total = 0, i
        if self.f.part.size and self.taken:
            for i in range(self.cuts[self.taken - 1], self.cuts[self.taken]):
                total += self.f.block[i].kept
        return total

    def gather(self, int64_t[::1] places not None, unsigned char[::1] rows not None):
        """These, in order, and which rows of the file they are. ValueError unless just these have room."""
        cdef uint64_t kept = self.kept, i, j, width = self.f.width, done = 0
        cdef fr_fetch_block *block
        if <uint64_t> places.shape[0] != kept or <uint64_t> rows.shape[0] != kept * width:
            raise ValueError(f"{kept} rows of {width} bytes for {places.shape[0]}, of {rows.shape[0]} in all")
        if not kept:
            return
        for i in range(self.cuts[self.taken - 1], self.cuts[self.taken]):
            block = &self.f.block[i]
            memcpy(&rows[done * width], self.f.to + block.place * width, block.kept * width)
            for j in range(block.kept):
                places[done + j] = block.row + self.f.pick[block.place + j]
            done += block.kept

    def close(self):
        """End the helpers; nothing can be taken any more."""
        with nogil:
            fr_fetch_end(&self.f)
