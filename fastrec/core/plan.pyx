"""Which blocks have the rows of some ranges, and in which batches they are read."""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

from fastrec.core.index cimport INDEX_ROW, fr_index_row

cdef enum:
    BLOCK, ROW, ROWS, PLACE, FIRST, STOP, COLUMNS


def batched(const unsigned char[::1] index not None, const int64_t[::1] at not None,
            const int64_t[::1] starts not None, const int64_t[::1] stops not None,
            const int64_t[::1] low not None, const int64_t[::1] high not None, int64_t most,
            int64_t[:, ::1] blocks not None, uint32_t[::1] crcs not None, int64_t[::1] begins not None,
            int64_t[::1] cuts not None):
    """Find the blocks that have rows, in order, each once, though a range may end in the block in which the
    next one begins.

    Parameters
    ----------
    index : buffer
        Index rows.
    at : buffer of int64
        Row of the segment at which the block of each begins.
    starts, stops : buffers of int64
        Ranges of rows, increasing, none of them empty.
    low, high : buffers of int64
        Of each range, the index rows ``low ... high - 1`` whose blocks have its rows.
    most : int
        Rows from which on a batch has the blocks of the next.
    blocks : buffer of int64, shape (6, n)
        Of each block: which of the index rows is its own, row of the segment at which it begins, how many it
        has, row at which it begins if they lie one behind the other, and from which of its rows on, and up to
        which, the first range in it goes.
    crcs : buffer of uint32, shape (n,)
        Its checksum.
    begins : buffer of int64, shape of starts
        Of each range, in which of the blocks it begins.
    cuts : buffer of int64
        With which blocks batches begin, and their number.

    Returns
    -------
    (count, batches)
        Of blocks, and of batches.
    """
    cdef Py_ssize_t ranges = starts.shape[0], count = 0, batches = 0, room = crcs.shape[0], r
    cdef int64_t done = -1, rows = 0, batch = -1, b
    cdef fr_index_row row
    if not stops.shape[0] == low.shape[0] == high.shape[0] == begins.shape[0] == ranges or most < 1:
        raise ValueError(f"{ranges} ranges, {low.shape[0]} times blocks, {most} rows at most")
    if index.shape[0] != at.shape[0] * INDEX_ROW or blocks.shape[0] != COLUMNS or blocks.shape[1] != room:
        raise ValueError(f"{index.shape[0]} bytes of {at.shape[0]} index rows, room for {room}")
    for r in range(ranges):
        if not 0 <= low[r] <= high[r] <= at.shape[0] or not 0 <= starts[r] < stops[r]:
            raise ValueError(f"rows {starts[r]} to {stops[r]} in index rows {low[r]} to {high[r]}")
        # In the block that was found last, if the range before ends in it.
        begins[r] = count - (low[r] <= done)
        for b in range(max(low[r], done + 1), high[r]):
            memcpy(&row, &index[b * INDEX_ROW], INDEX_ROW)
            if not row.rows:  # losses alone
                continue
            if count == room or at[b] < 0:
                raise ValueError(f"block {count} of {room} begins with row {at[b]}")
            if rows // most != batch:
                if batches + 1 >= cuts.shape[0]:
                    raise ValueError(f"more than {batches} batches")
                batch = rows // most
                cuts[batches] = count
                batches += 1
            blocks[BLOCK, count], blocks[ROW, count], blocks[ROWS, count] = b, at[b], row.rows
            blocks[PLACE, count] = rows
            blocks[FIRST, count] = max(0, starts[r] - at[b])
            blocks[STOP, count] = min(<int64_t> row.rows, stops[r] - at[b])
            crcs[count] = row.crc_rows
            rows += row.rows
            count += 1
            done = b
        if begins[r] == count:
            raise ValueError(f"no block has row {starts[r]}")
    if not ranges:
        raise ValueError("no ranges")
    cuts[batches] = count
    return count, batches
