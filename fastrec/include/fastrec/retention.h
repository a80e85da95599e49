/* retention.h: removing the oldest segments, so that a recorder can run for ever within a budget. */
#ifndef FASTREC_RETENTION_H
#define FASTREC_RETENTION_H

#include "spooled.h"

#define FR_RETENTION_EVERY 250000000LL /* ns between two looks */

/* Removed between two flushes at most, but for one segment more: flushes wait meanwhile. On ext4 a segment of
 * 64 MiB took 14 ms to remove, one of 256 MiB 60 ms, one of 1 GiB 240 ms. */
#define FR_RETENTION_MOST 64 /* segments */
#define FR_RETENTION_BYTES (256ULL << 20)

typedef struct fr_retention {
    uint64_t keep_bytes; /* of all segments of all channels; 0: no limit */
    int64_t keep_ns;     /* 0: no limit */
    uint64_t min_free;   /* bytes left for others on the file system; 0: none */
    int64_t due;         /* when to look next */
    int more;            /* there is more to be removed, after the next flush */
    uint64_t full; /* 1: nothing is left to be removed, and there is too little room; any thread reads it */
    /* The recording's channels that nobody writes. Of a spool channel they have the folder, the kinds of
     * files, the segments that are there, and where they ended: cursor, last, next_segment. */
    fr_spool_channel **resting;
    uint64_t resting_count;
} fr_retention;

static inline int fr_retention_wanted(const fr_retention *r)
{
    return r->keep_bytes || r->keep_ns || r->min_free;
}

/* What there is: bytes, the channel whose oldest closed segment is the oldest of all, the one whose only
 * segment is older than all others of that sort, and the one whose open segment is the largest; NULL: none.
 */
typedef struct fr_stock {
    uint64_t bytes;
    fr_spool_channel *oldest, *lone, *largest;
    int soon;      /* a segment can go once the one behind it has a row that is durable */
    fr_kept first; /* of the oldest */
    int64_t lone_last;
} fr_stock;

/* The last segment of a channel stays until another, flushed, tells the next number. So does one behind a
 * segment that is given up and not left yet: without it, what is missing would not be missing from the front.
 * Under the lock. */
static inline int fr_retention_may(const fr_spool_channel *c)
{
    if (!c->kept_count || (c->doubtful && c->kept->number >= c->doubtful))
        return 0;
    return c->kept_count > 1 || (c->open && c->synced_segment == c->segment.number && c->synced_index);
}

/* Is a segment all that there is of a channel, and more than what tells the next number? Under the lock. */
static inline int fr_retention_lone(const fr_spool_channel *c)
{
    fr_segment least = {0};
    least.rows[FR_INDEX] = 1;
    return c->kept_count == 1 && !c->open && !c->retired_count
           && c->kept->bytes > fr_segment_bytes(&least, c->kinds);
}

static inline void fr_retention_count(fr_stock *stock, fr_spool_channel *c)
{
    const int may = fr_retention_may(c);
    uint64_t bytes;
    uint32_t j;
    for (j = 0; j < c->kept_count; j++)
        stock->bytes += c->kept[j].bytes;
    for (j = 0; j < c->retired_count; j++)
        stock->bytes += fr_segment_bytes(&c->retired[j], c->kinds);
    if (may && (!stock->oldest || c->kept[0].last < stock->first.last)) {
        stock->oldest = c;
        stock->first = c->kept[0];
    }
    stock->soon |= c->kept_count && c->open && !may;
    if (fr_retention_lone(c) && (!stock->lone || c->kept[0].last < stock->lone_last)) {
        stock->lone = c;
        stock->lone_last = c->kept[0].last;
    }
    if (!c->open)
        return;
    bytes = fr_segment_bytes(&c->segment, c->kinds);
    stock->bytes += bytes;
    if ((c->segment.rows[FR_RECORDS] || c->segment.rows[FR_GAPS]) && !c->kept_count && !c->retired_count
        && (!stock->largest || bytes > fr_segment_bytes(&stock->largest->segment, stock->largest->kinds)))
        stock->largest = c;
}

static inline fr_stock fr_retention_look(const fr_retention *r, fr_spool_channel *const *channels,
                                         uint64_t count, pthread_mutex_t *lock)
{
    fr_stock stock;
    uint64_t i;
    memset(&stock, 0, sizeof stock);
    pthread_mutex_lock(lock);
    for (i = 0; i < count; i++)
        fr_retention_count(&stock, channels[i]);
    for (i = 0; i < r->resting_count; i++)
        fr_retention_count(&stock, r->resting[i]);
    pthread_mutex_unlock(lock);
    return stock;
}

/* A segment was removed; meanwhile its channel may have been woken. */
static inline void fr_retention_forget(fr_spool_channel *c, uint32_t number, pthread_mutex_t *lock)
{
    pthread_mutex_lock(lock);
    if (c->kept_count && c->kept->number == number)
        memmove(c->kept, c->kept + 1, --c->kept_count * sizeof *c->kept);
    pthread_mutex_unlock(lock);
}

/* ---- channels that nobody writes ---- */

/* From now on a channel is written: what there is of it is its own. */
static inline void fr_retention_wake(const fr_retention *r, fr_spool_channel *c, pthread_mutex_t *lock)
{
    uint64_t i;
    pthread_mutex_lock(lock);
    for (i = 0; i < r->resting_count; i++) {
        fr_spool_channel *q = r->resting[i];
        if (strcmp(q->name, c->name))
            continue;
        c->kept = q->kept, c->kept_count = q->kept_count, c->kept_room = q->kept_room;
        c->next_segment = q->next_segment;
        q->kept = NULL, q->kept_count = q->kept_room = 0;
        q->heir = c;
    }
    pthread_mutex_unlock(lock);
}

/* Give a resting channel a segment that tells the next number and nothing else: now the one before it can go,
 * too. 0 or -errno. */
static inline int fr_retention_anchor(const fr_io *io, fr_spool_channel *c, pthread_mutex_t *lock)
{
    fr_segment s;
    fr_index_row row;
    uint32_t number;
    int error, again;
    pthread_mutex_lock(lock);
    number = c->next_segment++; /* now: whoever wakes the channel goes on behind it */
    again = c->attempted;
    pthread_mutex_unlock(lock);
    error = fr_segment_open(io, c->dir, &s, number, c->kinds, again);
    if (!error) {
        memset(&row, 0, sizeof row);
        row.first_seq = row.durable_seq = c->cursor;
        row.t_min = row.t_max = s.last = c->last;
        row.flags = FR_INDEX_STEADY;
        row.crc = fr_crc32c(fr_seed(c->seed_base, number, 0), &row, offsetof(fr_index_row, crc));
        s.rows[FR_INDEX] = fr_segment_append(io, &s, FR_INDEX, c->kinds, &row, 1, &error);
        error = error ? error : fr_segment_raise(io, &s);
        error = error || c->never ? error : io->sync(s.fd[FR_INDEX]);
        error = error || c->never ? error : io->sync(s.fd[FR_RECORDS]);
        error = error || c->never ? error : io->sync_dir(c->dir);
        fr_segment_close(io, &s);
        if (error)
            fr_segment_remove(io, c->dir, number);
    }
    pthread_mutex_lock(lock);
    c->attempted = error != 0;
    if (!error)
        fr_keep(c->heir ? c->heir : c, &s); /* it may have been woken meanwhile */
    else if (c->next_segment == number + 1)
        c->next_segment = number;
    pthread_mutex_unlock(lock);
    return error;
}

/* Let the only segment of a channel be followed by another, so that it can go; whether it can now. */
static inline int fr_retention_free(const fr_retention *r, const fr_io *io, fr_spool_channel *c,
                                    pthread_mutex_t *lock)
{
    uint64_t i;
    for (i = 0; i < r->resting_count; i++)
        if (r->resting[i] == c)
            return !fr_retention_anchor(io, c, lock);
    fr_store_relaxed(&c->rotate, 1); /* the spooling thread will */
    return 0;
}

/* ---- removing ---- */

/* Remove what is beyond the budget, oldest first. Where all that is left is still being written, its segment
 * is ended, so that the next look can remove it. `now` is on the clock of the stamps. */
static inline void fr_retention_round(fr_retention *r, const fr_io *io, int dir,
                                      fr_spool_channel *const *channels, uint64_t count,
                                      pthread_mutex_t *lock, int64_t now)
{
    const int64_t since = r->keep_ns ? now - r->keep_ns : INT64_MIN;
    uint64_t bytes = 0;
    int removed = 0;
    r->more = 0;
    for (;;) {
        fr_stock stock = fr_retention_look(r, channels, count, lock);
        uint64_t space = 0;
        int scarce = r->min_free && !io->space(dir, &space) && space < r->min_free;
        int over = scarce || (r->keep_bytes && stock.bytes > r->keep_bytes);
        if (stock.lone && (over || stock.lone_last < since)
            && (!stock.oldest || stock.lone_last <= stock.first.last)
            && fr_retention_free(r, io, stock.lone, lock))
            continue;
        if (stock.oldest && (over || stock.first.last < since)) {
            if (removed == FR_RETENTION_MOST || bytes >= FR_RETENTION_BYTES) {
                r->more = 1;
                return;
            }
            if (!fr_segment_remove(io, stock.oldest->dir, stock.first.number)) {
                fr_retention_forget(stock.oldest, stock.first.number, lock);
                removed++;
                bytes += stock.first.bytes;
                continue;
            }
        }
        if (over && stock.largest)
            fr_store_relaxed(&stock.largest->rotate, 1);
        fr_store_relaxed(&r->full, (uint64_t)(scarce && !stock.largest && !stock.lone && !stock.soon));
        return;
    }
}

#endif
