/* commit.h: one channel from its ring into its segment, a commit at a time.
 *
 * A commit writes strings, gaps, rows, index rows, the row count, then zones, each with one write. Every
 * write begins where the committed part of its file ends, so a commit that failed is simply made again. */
#ifndef FASTREC_COMMIT_H
#define FASTREC_COMMIT_H

#include "again.h"

/* ---- segments ---- */

static inline uint32_t fr_commit_retired(fr_spool_channel *c, pthread_mutex_t *lock)
{
    uint32_t count;
    pthread_mutex_lock(lock);
    count = c->retired_count;
    pthread_mutex_unlock(lock);
    return count;
}

/* The next segment: the one that was opened ahead, or one that is opened now. */
static inline int fr_commit_next(const fr_io *io, fr_spool_channel *c, pthread_mutex_t *lock,
                                 fr_segment *next)
{
    int state, error;
    pthread_mutex_lock(lock);
    state = c->ahead_state;
    if (state == FR_AHEAD_READY)
        *next = c->ahead;
    if (state != FR_AHEAD_MAKING)
        c->ahead_state = FR_AHEAD_MAKING;
    pthread_mutex_unlock(lock);
    if (state == FR_AHEAD_READY)
        return 0;
    if (state == FR_AHEAD_MAKING)
        return FR_COMMIT_WAIT;
    error = fr_segment_open(io, c->dir, next, c->next_segment, c->kinds, c->attempted);
    c->attempted = error != 0;
    if (error) {
        pthread_mutex_lock(lock);
        c->ahead_state = FR_AHEAD_NONE;
        pthread_mutex_unlock(lock);
    }
    return error;
}

/* Go on with the next segment; the one before waits to be made durable and closed. */
static inline int fr_commit_rotate(const fr_io *io, fr_spool_channel *c, pthread_mutex_t *lock, int64_t now)
{
    fr_segment next;
    int error;
    if (c->open && (c->crowded == FR_CROWDED || fr_commit_retired(c, lock) == FR_RETIRED))
        return FR_COMMIT_WAIT;
    error = fr_commit_next(io, c, lock, &next);
    if (error)
        return error;
    next.born = now;
    next.last = c->last;
    if (c->open)
        fr_segment_raise(io, &c->segment);
    pthread_mutex_lock(lock);
    if (c->open)
        c->retired[c->retired_count++] = c->segment;
    c->segment = next;
    c->begun = 0;
    c->open = 1;
    fr_store_relaxed(&c->rotate, 0);
    c->unsynced_names = 1;
    c->next_segment = next.number + 1;
    c->ahead_state = FR_AHEAD_NONE;
    pthread_mutex_unlock(lock);
    fr_store_relaxed(&c->segments, c->segments + 1);
    c->zones_broken = 0;
    fr_lines_clear(c);
    fr_zone_clear(&c->zone);
    return 0;
}

/* Open the segment after this one before it is needed: on a slow disk that takes time. */
static inline void fr_commit_ahead(const fr_io *io, fr_spool_channel *c, pthread_mutex_t *lock, int64_t now)
{
    fr_segment next;
    uint32_t number;
    int wanted, error, again;
    pthread_mutex_lock(lock);
    wanted = c->open && !c->broken && c->ahead_state == FR_AHEAD_NONE && c->segment.rows[FR_INDEX]
             && (c->segment.rows[FR_RECORDS] > c->segment_rows / 2
                 || (c->segment_ns && now - c->segment.born > c->segment_ns / 2));
    number = c->next_segment;
    again = c->attempted;
    if (wanted)
        c->ahead_state = FR_AHEAD_MAKING;
    pthread_mutex_unlock(lock);
    if (!wanted)
        return;
    error = fr_segment_open(io, c->dir, &next, number, c->kinds, again);
    pthread_mutex_lock(lock);
    if (error)
        c->attempted = 1;
    else
        c->ahead = next;
    c->ahead_state = error ? FR_AHEAD_NONE : FR_AHEAD_READY;
    c->unsynced_names |= !error;
    pthread_mutex_unlock(lock);
}

/* ---- the commit ---- */

/* Cut staged records into blocks; their count. Block rows are sealed but for what the whole commit adds. */
static inline uint32_t fr_commit_cut(fr_spool_channel *c, const unsigned char *records, uint64_t first,
                                     uint64_t count)
{
    const size_t size = c->ring.header->record_size;
    uint64_t row = c->segment.rows[FR_RECORDS], done, n, i;
    int64_t reached = c->segment.rows[FR_INDEX] ? c->segment.reached : INT64_MIN;
    int steady = !c->segment.unsteady;
    uint32_t blocks = 0;
    for (done = 0; done < count; done += n, blocks++) {
        fr_index_row *b = &c->blocks[blocks];
        const unsigned char *p = records + done * size;
        int64_t before = INT64_MIN;
        n = FR_BLOCK_ROWS - (row + done) % FR_BLOCK_ROWS;
        n = n < count - done ? n : count - done;
        memset(b, 0, sizeof *b);
        b->first_seq = first + done;
        b->t_min = INT64_MAX;
        b->t_max = INT64_MIN;
        b->rows = (uint32_t)n;
        b->crc_rows = fr_crc32c(fr_seed(c->seed_base, c->segment.number, row + done), p, n * size);
        for (i = 0; i < n; i++, p += size) {
            int64_t t, end;
            memcpy(&t, p, 8);
            memcpy(&end, p + c->stamp_end_at, 8);
            b->t_min = t < b->t_min ? t : b->t_min;
            b->t_max = end > b->t_max ? end : b->t_max;
            if (t < before)
                b->flags |= FR_INDEX_DECREASING;
            before = t;
        }
        steady = steady && !(b->flags & FR_INDEX_DECREASING) && b->t_min >= reached;
        b->flags |= steady ? FR_INDEX_STEADY : 0;
        reached = b->t_max;
    }
    return blocks;
}

/* Zones take in the records that were committed; they are derived, so their errors only end them. */
static inline void fr_commit_zones(const fr_io *io, fr_spool_channel *c, const unsigned char *records,
                                   uint64_t row, uint64_t count, pthread_mutex_t *lock)
{
    const size_t size = c->ring.header->record_size, zone_size = c->kinds[FR_ZONES].row_size;
    uint64_t done, n, full = 0;
    int error = 0;
    if (c->zones_broken)
        return;
    for (done = 0; done < count; done += n) {
        n = FR_BLOCK_ROWS - (row + done) % FR_BLOCK_ROWS;
        n = n < count - done ? n : count - done;
        fr_zone_add(&c->zone, records + done * size, n, size, c->weight_at);
        fr_zone_add_times(&c->zone, records + done * size, n, size, c->stamp_end_at);
        if ((row + done + n) % FR_BLOCK_ROWS == 0) {
            fr_zone_seal(&c->zone,
                         fr_seed(c->seed_base, c->segment.number, c->segment.rows[FR_ZONES] + full));
            memcpy(c->zone_rows + full++ * zone_size, c->zone.row, zone_size);
            fr_zone_clear(&c->zone);
        }
    }
    full = fr_segment_append(io, &c->segment, FR_ZONES, c->kinds, c->zone_rows, full, &error);
    pthread_mutex_lock(lock);
    c->segment.rows[FR_ZONES] += full;
    pthread_mutex_unlock(lock);
    c->zones_broken = error != 0;
}

/* Show the committed rows to numpy.load, and raise the marks. */
static inline int fr_commit_count(const fr_io *io, fr_spool_channel *c)
{
    int error = fr_npy_count(io, c->segment.fd[FR_RECORDS], c->segment.rows[FR_RECORDS]);
    c->count_due = error != 0;
    if (!error) {
        fr_store_release(&c->placed, c->cursor);
        if (c->cursor > c->written) { /* not while rows are written again */
            fr_store_release(&c->written, c->cursor);
            fr_store_release(&c->ring.header->tail, c->cursor);
        }
    }
    return error;
}

/* What one commit is made of. */
typedef struct fr_batch {
    const unsigned char *records;
    uint64_t count;
    uint32_t blocks;
    uint32_t gaps;  /* rows */
    uint32_t taken; /* of them, the writer's */
    uint64_t text_bytes;
} fr_batch;

/* Records of the open segment at most. */
static inline uint64_t fr_commit_most(const fr_spool_channel *c)
{
    return c->crowded == FR_GROWING ? FR_MAX_SEGMENT_ROWS / FR_BLOCK_ROWS * FR_BLOCK_ROWS : c->segment_rows;
}

/* Records into the stage, what was lost into the gaps. */
static inline int fr_commit_stage(const fr_io *io, fr_spool_channel *c, fr_batch *batch, uint64_t head,
                                  int64_t now)
{
    const size_t size = c->ring.header->record_size;
    uint64_t room = fr_commit_most(c) - c->segment.rows[FR_RECORDS], i;
    unsigned char *records;
    fr_span span;
    int error = 0;
    room = room < c->stage_rows ? room : c->stage_rows;
    if (head < c->cursor || fr_commit_apart(c)) /* losses before it were told again; or wait for a commit */
        head = c->cursor;
    span = fr_again_read(io, c, head - c->cursor < room ? head - c->cursor : room);
    records = c->stage + span.skip * size;
    if (span.lost) {
        int error_before = c->cursor < c->again_until ? c->again_error : (int)c->error;
        if (span.count)
            memcpy(&now, records, 8); /* the loss ends where the records begin again */
        fr_commit_lost(c, span.lost, now, error_before);
    }
    for (i = 0; i < span.count && c->text_count && !error; i++)
        error = fr_lines_translate(c, records + i * size);
    batch->records = records;
    batch->count = span.count;
    batch->text_bytes = c->lines.size;
    return error;
}

/* Index rows and gap rows, sealed. `anchor`: the segment is to tell the next number, were it all that is
 * left. */
static inline void fr_commit_seal(fr_spool_channel *c, fr_batch *batch, fr_gap_row *gap_rows, int anchor)
{
    uint32_t i;
    batch->blocks = fr_commit_cut(c, batch->records, c->cursor, batch->count);
    batch->taken = fr_commit_seal_gaps(c, c->cursor + batch->count, gap_rows);
    batch->gaps = batch->taken + c->own_count;
    if (!batch->blocks && (batch->gaps || anchor)) { /* losses alone, or nothing but the next number */
        memset(c->blocks, 0, sizeof *c->blocks);
        c->blocks->first_seq = c->cursor;
        c->blocks->t_min = c->blocks->t_max = c->last;
        c->blocks->flags = c->segment.unsteady ? 0 : FR_INDEX_STEADY;
        batch->blocks = 1;
    }
    for (i = 0; i < batch->blocks; i++) {
        fr_index_row *b = &c->blocks[i];
        b->durable_seq = fr_load_relaxed(&c->durable);
        b->flags |= !i && c->again_due ? FR_INDEX_AGAIN : 0;
        b->gap_rows = c->segment.rows[FR_GAPS] + batch->gaps;
        b->string_bytes = c->segment.rows[FR_STRINGS] + batch->text_bytes;
        b->crc = fr_crc32c(fr_seed(c->seed_base, c->segment.number, c->segment.rows[FR_INDEX] + i), b,
                           offsetof(fr_index_row, crc));
    }
}

/* `landed` index rows are on the disk, and so is all they name: they are committed. */
static inline void fr_commit_land(fr_spool_channel *c, fr_batch *batch, uint64_t landed,
                                  const fr_gap_row *gap_rows, pthread_mutex_t *lock)
{
    uint64_t i;
    fr_told_forget(c, fr_load_acquire(&c->durable));
    for (i = 0; i < batch->gaps && !c->never; i++)
        fr_told_add(c, gap_rows[i].gap, c->blocks->first_seq);
    for (i = 0, batch->count = 0; i < landed; i++)
        batch->count += c->blocks[i].rows;
    if (batch->count)
        c->last = c->blocks[landed - 1].t_max;
    c->again_due = c->anchor_due = 0;
    c->gap_count -= batch->taken;
    memmove(c->gaps, c->gaps + batch->taken, c->gap_count * sizeof *c->gaps);
    c->own_count = 0;
    c->lines.size = 0;
    c->cursor += batch->count;
    c->count_due = 1;
    pthread_mutex_lock(lock);
    c->segment.last = c->last;
    c->segment.reached = c->last;
    c->segment.unsteady = !(c->blocks[landed - 1].flags & FR_INDEX_STEADY);
    c->segment.end = c->cursor;
    c->segment.rows[FR_STRINGS] += batch->text_bytes;
    c->segment.rows[FR_GAPS] += batch->gaps;
    c->segment.rows[FR_RECORDS] += batch->count;
    c->segment.rows[FR_INDEX] += landed;
    pthread_mutex_unlock(lock);
}

/* Is the segment to end although it has room: is its time up, or is it in the way of others? So may be those
 * before it, if none is open: the next one is to tell where they ended. */
static inline int fr_commit_over(const fr_spool_channel *c, int64_t now)
{
    if (!c->open || c->crowded == FR_GROWING)
        return !c->open && fr_load_relaxed(&c->rotate);
    return (c->segment.rows[FR_RECORDS] || c->segment.rows[FR_GAPS])
           && (fr_load_relaxed(&c->rotate) || (c->segment_ns && now - c->segment.born >= c->segment_ns));
}

/* Has the segment its records, or has one of its side files as many rows as its header can count? */
static inline int fr_commit_full(const fr_spool_channel *c)
{
    return c->segment.rows[FR_RECORDS] >= fr_commit_most(c)
           || c->segment.rows[FR_INDEX] > FR_MAX_SEGMENT_ROWS - c->stage_rows
           || c->segment.rows[FR_GAPS] > FR_MAX_SEGMENT_ROWS - FR_GAPS_MOST;
}

/* A write ended in an error that leaves open what is on the disk. */
static inline void fr_commit_doubt(fr_spool_channel *c, pthread_mutex_t *lock, int error)
{
    pthread_mutex_lock(lock);
    if (c->open && !c->broken && error && !fr_passing(error))
        fr_store_relaxed(&c->broken, (uint64_t)-error);
    pthread_mutex_unlock(lock);
}

/* Write what was staged and sealed; how many index rows landed. */
static inline uint64_t fr_commit_write(const fr_io *io, const fr_spool_channel *c, const fr_batch *batch,
                                       const fr_gap_row *gap_rows, int *error)
{
    fr_segment_append(io, &c->segment, FR_STRINGS, c->kinds, c->lines.data, batch->text_bytes, error);
    if (!*error)
        fr_segment_append(io, &c->segment, FR_GAPS, c->kinds, gap_rows, batch->gaps, error);
    if (!*error)
        fr_segment_append(io, &c->segment, FR_RECORDS, c->kinds, batch->records, batch->count, error);
    if (*error)
        return 0;
    return fr_segment_append(io, &c->segment, FR_INDEX, c->kinds, c->blocks, batch->blocks, error);
}

/* Commit what is new up to record `head`, as much as fits one stage. Returns 1 (there may be more), 0
 * (nothing was new), FR_COMMIT_WAIT or -errno: then the same call is to be made again later. */
static inline int fr_commit(const fr_io *io, fr_spool_channel *c, uint64_t head, pthread_mutex_t *lock,
                            fr_gap_row *gap_rows, int64_t now)
{
    fr_batch batch;
    uint64_t row, landed;
    int error = c->count_due ? fr_commit_count(io, c) : 0, opening = 0, fresh, over;
    while (c->given_up_count && (c->never ? c->placed : fr_load_acquire(&c->durable)) >= c->again_until)
        fr_again_part(io, c, lock, 0);
    fr_commit_read_gaps(c);
    fr_again_skip(c);
    over = fr_commit_over(c, now);
    c->anchor_due |= over; /* until it lands, in a segment that may have to be opened once more */
    fresh =
        c->anchor_due || c->cursor < head || c->own_count || (c->gap_count && c->gaps[0].seq <= c->cursor);
    if (!error && (over || (fresh && (!c->open || fr_commit_full(c)))))
        opening = fr_commit_rotate(io, c, lock, now);
    if (opening)
        return opening; /* of the segment before, all is known */
    if (!error && !fresh)
        return 0;
    if (!error)
        error = fr_commit_stage(io, c, &batch, head, now);
    if (!error) {
        fr_commit_seal(c, &batch, gap_rows, c->anchor_due);
        row = c->segment.rows[FR_RECORDS];
        landed = fr_commit_write(io, c, &batch, gap_rows, &error);
        if (landed) {
            int count_error;
            fr_commit_land(c, &batch, landed, gap_rows, lock);
            count_error = fr_commit_count(io, c);
            fr_commit_zones(io, c, batch.records, row, batch.count, lock);
            error = error ? error : count_error;
        }
    }
    if (error == -EFBIG)
        fr_store_relaxed(&c->rotate, 1); /* the file may not grow, but others may be made */
    if (error)
        fr_commit_doubt(c, lock, error);
    return error ? error : 1;
}

#endif
