/* again.h: segments given up, and their rows written again.
 *
 * After a flush that failed, or an error that tells nothing, nobody knows what of a file is on the disk, and
 * a second flush that succeeds proves nothing. So its segment is given up, with all that are not durable yet:
 * the cursor goes back to what is durable, and a new segment takes what follows from the ring, or, where that
 * has lost it, from the segments given up, whose checksums tell what is still right. What neither has is a
 * loss. One of which somebody removed a file is given up too, and written again from its first record on, out
 * of its files, which are still open. */
#ifndef FASTREC_AGAIN_H
#define FASTREC_AGAIN_H

#include "lines.h"
#include "losses.h"

/* A row of a segment's index; false: it cannot be read, or is not what was written. */
static inline int fr_again_index(const fr_io *io, const fr_spool_channel *c, const fr_segment *s,
                                 uint64_t row, fr_index_row *to)
{
    return row < s->rows[FR_INDEX]
           && fr_read_all(io, s->fd[FR_INDEX], to, sizeof *to,
                          c->kinds[FR_INDEX].header_size + row * sizeof *to)
           && to->crc == fr_crc32c(fr_seed(c->seed_base, s->number, row), to, offsetof(fr_index_row, crc));
}

/* ---- what was removed ---- */

/* The first of some segments that somebody removed a file of, and of which something is to be written again;
 * `count`: of none. Its first index row tells from where. */
static inline uint32_t fr_again_first(const fr_io *io, const fr_spool_channel *c, const fr_segment *segments,
                                      uint32_t count, fr_index_row *row)
{
    uint32_t i = 0;
    while (i < count
           && !(fr_segment_removed(io, &segments[i]) && fr_again_index(io, c, &segments[i], 0, row)))
        i++;
    return i;
}

/* Losses that were committed in some segments with records below `safe`, which nobody has kept, into `to`;
 * how many. Where nothing is made durable nobody has kept any. */
static inline uint64_t fr_again_told(const fr_io *io, const fr_spool_channel *c, const fr_segment *segments,
                                     uint32_t count, uint64_t safe, fr_gap *to)
{
    fr_index_row row;
    fr_gap_row gap;
    uint64_t n = 0, at, known;
    uint32_t i;
    for (; count--; segments++)
        for (i = 0, at = 0; fr_again_index(io, c, segments, i, &row) && (c->never || row.first_seq < safe);
             i++)
            for (known = row.gap_rows; at < known && at < segments->rows[FR_GAPS]; at++)
                if (fr_read_all(io, segments->fd[FR_GAPS], &gap, sizeof gap,
                                c->kinds[FR_GAPS].header_size + at * sizeof gap)
                    && gap.crc
                           == fr_crc32c(fr_seed(c->seed_base, segments->number, at), &gap,
                                        offsetof(fr_gap_row, crc)))
                    to[n++] = gap.gap;
    return n;
}

/* ---- giving up ---- */

/* Losses that were committed with what is given up wait for a commit again, with those that do anyway. Where
 * they are too many, those with numbers keep theirs, as long as there is room. The others are added up, as
 * ever. `removed`: segments of which all is to be written again. */
static inline int fr_again_gaps(const fr_io *io, fr_spool_channel *c, uint64_t safe,
                                const fr_segment *removed, uint32_t count)
{
    fr_gap *all;
    uint64_t n = c->told_count + c->own_count + c->gap_count + 1, named = 0, over = 0, i;
    for (i = 0; i < count; i++)
        n += removed[i].rows[FR_GAPS];
    all = (fr_gap *)malloc(n * sizeof *all);
    if (!all)
        return -ENOMEM;
    n = fr_again_told(io, c, removed, count, safe, all);
    fr_told_forget(c, safe);
    for (i = 0; i < c->told_count; i++)
        all[n++] = c->told[i].gap;
    memcpy(all + n, c->own, c->own_count * sizeof *all);
    n += c->own_count;
    memcpy(all + n, c->gaps, c->gap_count * sizeof *all);
    n += c->gap_count;
    c->told_count = c->own_count = c->gap_count = 0;
    fr_gap_sort(all, n);
    for (i = 0; i < n; i++)
        named += (uint64_t)fr_gap_has_numbers(&all[i]);
    for (i = 0; i < n; i++) {
        const int has = fr_gap_has_numbers(&all[i]);
        named -= (uint64_t)has;
        if (c->gap_count + (has ? 0 : named) < FR_GAPS_HELD)
            fr_commit_gap(c, all[i]);
        else if (has)
            fr_commit_unname(c, &all[i]);
        else
            all[over++] = all[i];
    }
    for (i = 0; i < over; i++)
        fr_commit_gap(c, all[i]);
    free(all);
    return 0;
}

/* Tell retention which segments are given up, and whether (0: no) one of them has too low a count. */
static inline void fr_again_tell(fr_spool_channel *c, pthread_mutex_t *lock, int behind)
{
    pthread_mutex_lock(lock);
    if (behind) {
        c->behind = behind;
        fr_store_relaxed(&c->side_error, (uint64_t)-behind);
    }
    c->doubtful = c->given_up_count ? (uint64_t)c->given_up[0].segment.number + 1 : 0;
    pthread_mutex_unlock(lock);
}

/* One of the segments given up is left as it is; what remains of one that was removed is removed, too, once
 * another has all of it. */
static inline void fr_again_part(const fr_io *io, fr_spool_channel *c, pthread_mutex_t *lock, uint32_t at)
{
    fr_segment *s = &c->given_up[at].segment;
    const int needless =
        c->given_up[at].removed && fr_load_acquire(c->never ? &c->placed : &c->durable) >= s->end;
    fr_segment_close(io, s);
    if (!needless || fr_segment_remove(io, c->dir, s->number)) {
        pthread_mutex_lock(lock);
        fr_keep(c, s);
        pthread_mutex_unlock(lock);
    }
    memmove(c->given_up + at, c->given_up + at + 1, (--c->given_up_count - at) * sizeof *c->given_up);
    fr_again_tell(c, lock, 0);
}

/* Make room for `count` more, which reach up to the cursor. Where files have become too many, first those go
 * whose numbers all of these have again: of the others, nobody else may have the records. */
static inline void fr_again_room(const fr_io *io, fr_spool_channel *c, pthread_mutex_t *lock, uint32_t count)
{
    uint32_t i;
    for (i = c->given_up_count; i--;)
        if ((c->crowded == FR_GROWING || c->given_up_count + count > FR_GIVEN_UP)
            && c->given_up[i].segment.end <= c->cursor)
            fr_again_part(io, c, lock, i);
    while (c->given_up_count && c->given_up_count + count > FR_GIVEN_UP)
        fr_again_part(io, c, lock, 0);
}

/* Of a segment given up, only its index and its records are read. Nobody counts its side files later: 0, or
 * why they could not be counted now. */
static inline int fr_again_spare(const fr_io *io, fr_segment *s)
{
    int i, error = fr_segment_raise(io, s);
    for (i = 0; i < FR_FILES; i++)
        if (i != FR_INDEX && i != FR_RECORDS) {
            io->close(s->fd[i]);
            s->fd[i] = -1;
        }
    return error;
}

/* Give up every segment that is not durable, and go back to what is. 0; FR_COMMIT_WAIT while a flush of
 * them goes on; or -errno, and nothing has happened. */
static inline int fr_give_up(const fr_io *io, fr_spool_channel *c, pthread_mutex_t *lock)
{
    fr_segment segments[FR_RETIRED + 1];
    fr_index_row first;
    uint64_t from;
    uint32_t count, removed, i;
    int error, ahead, behind = 0, gone;
    fr_segment unneeded;
    pthread_mutex_lock(lock);
    error = c->syncing ? FR_COMMIT_WAIT : 0;
    from = fr_safe(c);
    count = c->retired_count;
    memcpy(segments, c->retired, count * sizeof *segments);
    if (c->open)
        segments[count++] = c->segment;
    pthread_mutex_unlock(lock);
    if (error) /* else nobody begins one while it is broken */
        return error;
    removed = fr_again_first(io, c, segments, count, &first);
    gone = removed < count && io->removed(c->dir);
    error = fr_again_gaps(io, c, from, segments + removed, count - removed);
    if (error)
        return error;
    pthread_mutex_lock(lock);
    if (removed < count && first.first_seq < from) {
        from = first.first_seq;
        c->safe_last = first.t_min;
    }
    if (from < c->durable)
        fr_store_release(&c->durable, from);
    if (gone) { /* with the folder, and for good: nothing can be written again there */
        fr_store_release(&c->durable, c->ring.header->first);
        fr_store_release(&c->written, c->ring.header->first);
    }
    c->again_error = (int)c->broken;
    c->retired_count = 0;
    c->open = 0;
    if (count && !c->doubtful)
        c->doubtful = (uint64_t)segments[0].number + 1;
    fr_store_release(&c->placed, from);
    fr_store_relaxed(&c->broken, 0);
    ahead = c->ahead_state;
    if (ahead == FR_AHEAD_READY) { /* what failed to become durable may be its header */
        unneeded = c->ahead;
        c->ahead_state = FR_AHEAD_NONE;
    }
    if (c->safe_last)
        c->last = c->safe_last;
    pthread_mutex_unlock(lock);
    if (ahead == FR_AHEAD_READY) {
        fr_segment_close(io, &unneeded);
        fr_segment_remove(io, c->dir, unneeded.number);
        c->attempted = 1;
    }
    if (count && !segments[count - 1].rows[FR_INDEX]) {
        /* It holds nothing. Nor is its number used again: its texts could pass for those of the next. */
        fr_segment_close(io, &segments[--count]);
        if (fr_segment_remove(io, c->dir, segments[count].number)) {
            pthread_mutex_lock(lock);
            fr_keep(c, &segments[count]); /* else it would stay when those behind it are removed */
            pthread_mutex_unlock(lock);
        }
    }
    fr_again_room(io, c, lock, count);
    for (i = 0; i < c->given_up_count; i++)
        c->given_up[i].index_at = c->given_up[i].row_at = 0;
    for (i = 0; i < count; i++) {
        fr_given_up one = {segments[i], 0, 0, i >= removed && fr_segment_removed(io, &segments[i])};
        c->given_up[c->given_up_count++] = one;
        error = fr_again_spare(io, &c->given_up[c->given_up_count - 1].segment);
        behind = error ? error : behind;
    }
    fr_again_tell(c, lock, behind);
    c->again_until = c->cursor > c->again_until ? c->cursor : c->again_until;
    c->again_due = 1;
    c->count_due = 0;
    c->lines.size = 0;
    c->cursor = from;
    return 0;
}

/* ---- reading again ---- */

/* The block of a segment given up in which the cursor is, into the stage: how many records from the cursor
 * on, or 0, and *next is lowered to the number at which its next block begins. */
static inline uint64_t fr_again_block(const fr_io *io, const fr_spool_channel *c, fr_given_up *g,
                                      uint64_t *next)
{
    const fr_segment *s = &g->segment;
    const size_t size = c->ring.header->record_size;
    fr_index_row row;
    uint64_t skip, i;
    for (; fr_again_index(io, c, s, g->index_at, &row); g->index_at++, g->row_at += row.rows) {
        if (!row.rows || row.first_seq + row.rows <= c->cursor)
            continue;
        if (row.first_seq > c->cursor) {
            *next = row.first_seq < *next ? row.first_seq : *next;
            return 0;
        }
        if (row.rows > c->stage_rows
            || !fr_read_all(io, s->fd[FR_RECORDS], c->stage, row.rows * size,
                            c->kinds[FR_RECORDS].header_size + g->row_at * size)
            || row.crc_rows
                   != fr_crc32c(fr_seed(c->seed_base, s->number, g->row_at), c->stage, row.rows * size))
            continue; /* lost here: the next block tells up to where */
        skip = c->cursor - row.first_seq;
        memmove(c->stage, c->stage + skip * size, (row.rows - skip) * size);
        for (i = 0; i < row.rows - skip; i++)
            fr_lines_restore(c, s, c->stage + i * size);
        return row.rows - skip;
    }
    return 0;
}

/* Go round the numbers of a loss that waits to be told again. */
static inline void fr_again_skip(fr_spool_channel *c)
{
    uint32_t i;
    for (i = 0; i < c->gap_count && c->gaps[i].seq <= c->cursor; i++)
        if (fr_gap_has_numbers(&c->gaps[i]) && c->gaps[i].seq + c->gaps[i].count > c->cursor)
            c->cursor = c->gaps[i].seq + c->gaps[i].count;
}

/* At most `max` records from the cursor on, into the stage: as fr_lane_read, but what the ring has lost may
 * be in a segment given up. */
static inline fr_span fr_again_read(const fr_io *io, fr_spool_channel *c, uint64_t max)
{
    fr_span span = fr_lane_read(&c->ring.records, c->cursor, c->stage, max);
    uint64_t begins = span.first, found = 0, next = span.first;
    uint32_t i;
    if (!span.lost || c->cursor >= c->again_until)
        return span;
    for (i = c->given_up_count; i-- && !found;) /* the newest first */
        found = fr_again_block(io, c, &c->given_up[i], &next);
    if (found) {
        found = found < max ? found : max;
        span.count = found < begins - c->cursor ? found : begins - c->cursor;
        span.lost = 0;
        span.first = c->cursor;
    } else {                               /* the stage is what was left of looking for it */
        for (i = 0; i < c->gap_count; i++) /* what waits to be told again is not lost once more */
            if (fr_gap_has_numbers(&c->gaps[i]) && c->gaps[i].seq > c->cursor && c->gaps[i].seq < next)
                next = c->gaps[i].seq;
        span.count = 0;
        span.lost = next - c->cursor;
        span.first = next;
    }
    span.skip = 0;
    return span;
}

#endif
