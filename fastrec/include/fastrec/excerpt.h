/* excerpt.h: records that were recorded before, with their numbers, stamps and losses, on their way into a
 * recording of their own: through a ring that nobody else has, and the spooler's commits. */
#ifndef FASTREC_EXCERPT_H
#define FASTREC_EXCERPT_H

#include "durable.h"

typedef struct fr_excerpt {
    const fr_io *io;
    fr_spool_channel *channel;
    fr_ring *ring; /* its writer */
    fr_texts texts;
    pthread_mutex_t lock;
    fr_gap_row gap_rows[FR_GAPS_MOST];
    fr_dirty dirty;
} fr_excerpt;

static inline void fr_excerpt_begin(fr_excerpt *e, const fr_io *io, fr_spool_channel *c, fr_ring *ring)
{
    e->io = io;
    e->channel = c;
    e->ring = ring;
    e->texts.view = c->ring;
    pthread_mutex_init(&e->lock, NULL);
}

static inline int fr_excerpt_drain(fr_excerpt *e)
{
    return fr_drain_to(e->io, e->channel, e->ring->pen.head, &e->lock, e->gap_rows, &e->dirty);
}

/* Losses, by their numbers, none of them behind a record to come with a lower number. -EINVAL:
 * they are too many at once, or are among what was put. */
static inline int fr_excerpt_tell(fr_excerpt *e, const fr_gap *gaps, uint64_t count)
{
    fr_spool_channel *c = e->channel;
    uint64_t i;
    if (count > FR_GAPS_HELD - c->gap_count || (count && gaps[0].seq < c->cursor))
        return -EINVAL;
    for (i = 0; i < count; i++)
        fr_commit_gap(c, gaps[i]);
    return 0;
}

/* Records of consecutive numbers from `number` on. -EINVAL: those before are neither there nor told. */
static inline int fr_excerpt_put(fr_excerpt *e, uint64_t number, const unsigned char *records, uint64_t count)
{
    fr_ring *r = e->ring;
    const size_t size = r->view.header->record_size;
    int error = 0;
    fr_again_skip(e->channel);
    if (number != e->channel->cursor)
        return -EINVAL;
    r->pen = fr_pen_at(&r->view.records, number);
    while (count && !error) {
        uint64_t room = r->capacity, n;
        for (; count && room; count -= n, room -= n, records += n * size) {
            n = count < FR_GUARD ? count : FR_GUARD;
            n = n < room ? n : room;
            fr_lane_put_many(&r->view.records, &r->pen, records, n);
        }
        error = fr_excerpt_drain(e);
    }
    return error;
}

/* The rest, durable; the files are closed in any case. */
static inline int fr_excerpt_end(fr_excerpt *e)
{
    const uint64_t head = e->ring->pen.head;
    return fr_drain_last(e->io, e->channel, head, &e->lock, e->gap_rows, &e->dirty);
}

#endif
