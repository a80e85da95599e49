/* retention.h: removing the oldest segments, so that a recorder can run for ever within a budget. */
#ifndef FASTREC_RETENTION_H
#define FASTREC_RETENTION_H

#include "spooled.h"

#define FR_RETENTION_EVERY 250000000LL /* ns between two looks */

#define FR_RETENTION_MOST 64 /* segments removed at once: flushes wait meanwhile */

typedef struct fr_retention {
    uint64_t keep_bytes; /* of all segments of all channels; 0: no limit */
    int64_t keep_ns;     /* 0: no limit */
    uint64_t min_free;   /* bytes left for others on the file system; 0: none */
    int64_t due;         /* when to look next */
    uint64_t full; /* 1: nothing is left to be removed, and there is too little room; any thread reads it */
} fr_retention;

static inline int fr_retention_wanted(const fr_retention *r)
{
    return r->keep_bytes || r->keep_ns || r->min_free;
}

/* What there is: bytes, the channel whose oldest closed segment is the oldest of all, and the one whose open
 * segment is the largest; NULL: none. */
typedef struct fr_stock {
    uint64_t bytes;
    fr_spool_channel *oldest, *largest;
    fr_kept first; /* of the oldest */
} fr_stock;

/* The last segment of a channel stays until another, flushed, tells the next number. Under the lock. */
static inline int fr_retention_may(const fr_spool_channel *c)
{
    return c->kept_count > 1
           || (c->kept_count && c->open && c->synced_segment == c->segment.number && c->synced_index);
}

static inline fr_stock fr_retention_look(fr_spool_channel *const *channels, uint64_t count,
                                         pthread_mutex_t *lock)
{
    fr_stock stock;
    uint64_t largest = 0, i;
    uint32_t j;
    memset(&stock, 0, sizeof stock);
    pthread_mutex_lock(lock);
    for (i = 0; i < count; i++) {
        fr_spool_channel *c = channels[i];
        for (j = 0; j < c->kept_count; j++)
            stock.bytes += c->kept[j].bytes;
        for (j = 0; j < c->retired_count; j++)
            stock.bytes += fr_segment_bytes(&c->retired[j], c->kinds);
        if (fr_retention_may(c) && (!stock.oldest || c->kept[0].last < stock.first.last)) {
            stock.oldest = c;
            stock.first = c->kept[0];
        }
        if (c->open) {
            uint64_t bytes = fr_segment_bytes(&c->segment, c->kinds);
            stock.bytes += bytes;
            if ((c->segment.rows[FR_RECORDS] || c->segment.rows[FR_GAPS]) && !c->kept_count
                && !c->retired_count && bytes > largest) {
                largest = bytes;
                stock.largest = c;
            }
        }
    }
    pthread_mutex_unlock(lock);
    return stock;
}

static inline void fr_retention_forget_first(fr_spool_channel *c, pthread_mutex_t *lock)
{
    pthread_mutex_lock(lock);
    memmove(c->kept, c->kept + 1, --c->kept_count * sizeof *c->kept);
    pthread_mutex_unlock(lock);
}

/* Remove what is beyond the budget, oldest first. Where all that is left is still being written, its segment
 * is ended, so that the next look can remove it. `now` is on the clock of the stamps. */
static inline void fr_retention_round(fr_retention *r, const fr_io *io, int dir,
                                      fr_spool_channel *const *channels, uint64_t count,
                                      pthread_mutex_t *lock, int64_t now)
{
    int removed;
    for (removed = 0;; removed++) {
        fr_stock stock = fr_retention_look(channels, count, lock);
        uint64_t space = 0;
        int scarce = r->min_free && !io->space(dir, &space) && space < r->min_free;
        int over = r->keep_bytes && stock.bytes > r->keep_bytes;
        int old = r->keep_ns && stock.oldest && stock.first.last < now - r->keep_ns;
        if ((over || scarce || old) && stock.oldest && removed < FR_RETENTION_MOST
            && !fr_segment_remove(io, stock.oldest->dir, stock.first.number)) {
            fr_retention_forget_first(stock.oldest, lock);
            continue;
        }
        if ((over || scarce) && stock.largest)
            fr_store_relaxed(&stock.largest->rotate, 1);
        fr_store_relaxed(&r->full, (uint64_t)(scarce && !stock.largest));
        return;
    }
}

#endif
