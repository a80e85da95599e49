/* durable.h: making durable what was written, and closing segments that are. */
#ifndef FASTREC_DURABLE_H
#define FASTREC_DURABLE_H

#include "commit.h"

#define FR_SYNC_MANY 8           /* more dirty files than this: syncfs instead of each */
#define FR_STOP_TRIES 3          /* at a stop, to bring everything to the disk */
#define FR_BEGIN_BYTES (4 << 20) /* of records, before their way to the disk begins */

enum { FR_DURABLE_NEVER, FR_DURABLE_TIMED, FR_DURABLE_COMMIT };

/* What a channel has that is not durable: its open segment, and the full ones before it. */
typedef struct fr_dirty {
    fr_spool_channel *channel;
    fr_segment segments[FR_RETIRED + 1];
    uint32_t count, retired; /* of the segments, the first `retired` are to be closed */
    uint32_t looked_at;      /* of these is seen whether they are there: the open one, flushed or not */
    int side, behind;        /* why the count of a side file stays too low: of any, of one to be closed */
    int names;               /* files were created */
    uint64_t placed;         /* the mark, before anything is flushed */
    int64_t last;            /* latest stamp below it */
} fr_dirty;

/* Note what is dirty, and how far it was written before the flush that follows. Returns the files. */
static inline uint32_t fr_sync_collect(fr_spool_channel *c, pthread_mutex_t *lock, fr_dirty *d)
{
    d->channel = c;
    d->count = d->retired = d->looked_at = 0;
    d->side = d->behind = 0;
    d->names = 0;
    d->placed = 0;
    pthread_mutex_lock(lock);
    if (!fr_load_relaxed(&c->broken)) { /* of what is to be given up, a flush would prove nothing */
        d->placed = fr_load_acquire(&c->placed);
        d->last = c->open ? c->segment.last : c->safe_last;
        memcpy(d->segments, c->retired, c->retired_count * sizeof *d->segments);
        d->count = d->retired = c->retired_count;
        d->segments[d->count] = c->segment;
        d->looked_at = d->count + (uint32_t)c->open;
        if (c->open
            && ((d->placed != c->durable && !c->never) || c->segment.number != c->synced_segment
                || c->segment.rows[FR_INDEX] != c->synced_index))
            d->count++;
        d->names = c->unsynced_names;
        c->unsynced_names = 0;
    }
    c->syncing = d->looked_at || d->names;
    pthread_mutex_unlock(lock);
    return d->count * (FR_FILES - 1) + (uint32_t)(d->names != 0);
}

/* Zones are derived: never worth a flush. */
static inline int fr_sync_each(const fr_io *io, const fr_dirty *d)
{
    uint32_t i, file;
    int error = 0;
    for (i = 0; i < d->count; i++)
        for (file = 0; file < FR_FILES && !error; file++)
            if (file != FR_ZONES && (d->segments[i].rows[file] || file == FR_RECORDS))
                error = io->sync(d->segments[i].fd[file]);
    return error || !d->names ? error : io->sync_dir(d->channel->dir);
}

/* A flush of a file that somebody removed succeeds, for nothing. 0 or -ENOENT. */
static inline int fr_sync_look(const fr_io *io, const fr_dirty *d)
{
    uint32_t i;
    for (i = 0; i < d->looked_at; i++)
        if (fr_segment_removed(io, &d->segments[i]))
            return -ENOENT;
    return 0;
}

/* The flush is over: raise the mark, and close the full segments, which nobody else does. After one that
 * failed they are the spooling thread's, to be given up. */
static inline void fr_sync_finish(const fr_io *io, pthread_mutex_t *lock, fr_dirty *d, int error,
                                  int durability)
{
    fr_spool_channel *c = d->channel;
    uint32_t i;
    for (i = 0; i < d->retired && !error; i++)
        fr_segment_close(io, &d->segments[i]);
    pthread_mutex_lock(lock);
    if (!error && d->count > d->retired) {
        c->synced_segment = d->segments[d->count - 1].number;
        c->synced_index = d->segments[d->count - 1].rows[FR_INDEX];
    }
    if (!error) {
        for (i = 0; i < d->retired; i++)
            fr_keep(c, &d->segments[i]);
        c->retired_count -= d->retired;
        memmove(c->retired, c->retired + d->retired, c->retired_count * sizeof *c->retired);
    } else if (!fr_load_relaxed(&c->broken)) {
        fr_store_relaxed(&c->broken, (uint64_t)-error);
    }
    c->unsynced_names |= error && d->names;
    if (!error && d->behind)
        c->behind = d->behind;
    if (d->count || d->side)
        fr_store_relaxed(&c->side_error, (uint64_t)-(d->side ? d->side : c->behind));
    if (d->count || d->names || error /* or nothing is left that a flush could fail for */
        || (!fr_load_relaxed(&c->broken) && fr_load_relaxed(&c->durable) >= fr_load_relaxed(&c->written)))
        fr_store_relaxed(&c->sync_error, (uint64_t)-error);
    if (!error && durability != FR_DURABLE_NEVER && d->placed > c->durable) {
        fr_store_release(&c->durable, d->placed);
        c->safe_last = d->last;
    }
    c->syncing = 0;
    pthread_mutex_unlock(lock);
}

/* Up to where records of the open segment can begin their way to the disk. Whole pages alone: the last one
 * would be written twice. Called under the lock. */
static inline uint64_t fr_sync_end(const fr_spool_channel *c)
{
    const fr_file_kind *kind = &c->kinds[FR_RECORDS];
    uint64_t end = (kind->header_size + c->segment.rows[FR_RECORDS] * kind->row_size) & ~(uint64_t)4095;
    return c->open && !fr_load_relaxed(&c->broken) && end >= c->begun + FR_BEGIN_BYTES ? end : 0;
}

/* Is there so much to begin with that the syncing thread is to be woken? */
static inline int fr_sync_begins(const fr_spool_channel *c, pthread_mutex_t *lock)
{
    int begins;
    pthread_mutex_lock(lock);
    begins = fr_sync_end(c) != 0;
    pthread_mutex_unlock(lock);
    return begins;
}

/* A flush waits for all that the system has not written yet, so it is given much of it early: by this thread,
 * since a busy disk makes even that wait. What fails here fails in the flush, too. */
static inline void fr_sync_begin_all_of(const fr_io *io, pthread_mutex_t *lock,
                                        fr_spool_channel *const *channels, uint64_t count)
{
    uint64_t i;
    for (i = 0; i < count; i++) {
        fr_spool_channel *c = channels[i];
        uint64_t begun, end;
        int fd;
        pthread_mutex_lock(lock);
        begun = c->begun;
        end = fr_sync_end(c);
        fd = c->segment.fd[FR_RECORDS];
        if (end)
            c->begun = end;
        c->syncing = end != 0;
        pthread_mutex_unlock(lock);
        if (!end)
            continue;
        io->begin(fd, begun, end - begun);
        pthread_mutex_lock(lock);
        c->syncing = 0;
        pthread_mutex_unlock(lock);
    }
}

/* Raise the counts of the side files. A segment that is to be closed is held back until they are right, as
 * long as few are: no reader of ours needs them, and who loads such a file himself is told. */
static inline void fr_sync_raise(const fr_io *io, fr_dirty *d, int few)
{
    uint32_t j;
    for (j = 0; j < d->count; j++) {
        int error = fr_segment_raise(io, &d->segments[j]);
        d->side = error ? error : d->side;
        if (error && j < d->retired && few)
            d->retired = j;
        else if (error && j < d->retired)
            d->behind = error;
    }
}

/* One round over channels: each dirty file by itself, or the whole file system when they are many. `dirty`
 * has room for all of them, `dir` is in the file system. */
static inline void fr_sync_all_of(const fr_io *io, pthread_mutex_t *lock, fr_spool_channel *const *channels,
                                  uint64_t count, fr_dirty *dirty, int dir, int durability)
{
    uint32_t files = 0, full = 0;
    uint64_t i;
    int error = 0;
    for (i = 0; i < count; i++) {
        files += fr_sync_collect(channels[i], lock, &dirty[i]);
        full += dirty[i].retired;
    }
    for (i = 0; i < count; i++)
        fr_sync_raise(io, &dirty[i], full <= FR_RETIRED / 2);
    if (files > FR_SYNC_MANY && durability != FR_DURABLE_NEVER)
        error = io->sync_all(dir);
    for (i = 0; i < count; i++) {
        fr_dirty *d = &dirty[i];
        int own = error; /* of those that had nothing to flush, too: they may have written since */
        if (files <= FR_SYNC_MANY && durability != FR_DURABLE_NEVER)
            own = fr_sync_each(io, d);
        own = own ? own : fr_sync_look(io, d);
        fr_sync_finish(io, lock, d, own, durability);
    }
}

/* Close a segment with the counts of its side files, if the disk will have them. */
static inline void fr_sync_last(const fr_io *io, fr_spool_channel *c, fr_segment *s)
{
    int tries, error = 1;
    for (tries = 0; tries < FR_STOP_TRIES && error; tries++)
        error = fr_segment_raise(io, s);
    c->behind = error ? error : c->behind;
    fr_store_relaxed(&c->side_error, (uint64_t)-c->behind);
    fr_segment_close(io, s);
}

/* Close the files of a channel that nobody writes any more. What was opened ahead was not needed. */
static inline void fr_channel_close(const fr_io *io, fr_spool_channel *c, pthread_mutex_t *lock)
{
    while (c->given_up_count)
        fr_again_part(io, c, lock, 0);
    if (c->ahead_state == FR_AHEAD_READY) {
        fr_segment_close(io, &c->ahead);
        fr_segment_remove(io, c->dir, c->ahead.number);
        c->ahead_state = FR_AHEAD_NONE;
    }
    for (; c->retired_count; c->retired_count--) /* a flush failed to the last, or the counts did */
        fr_sync_last(io, c, &c->retired[c->retired_count - 1]);
    if (!c->open)
        return;
    fr_sync_last(io, c, &c->segment);
    if (!c->segment.rows[FR_INDEX] && c->segment.number)
        fr_segment_remove(io, c->dir, c->segment.number);
    c->open = 0;
}

/* Commit what the ring of one channel that is in no spooler holds up to `head`. 0 or -errno; `gap_rows` and
 * `dirty` are memory to work in. */
static inline int fr_drain_to(const fr_io *io, fr_spool_channel *c, uint64_t head, pthread_mutex_t *lock,
                              fr_gap_row *gap_rows, fr_dirty *dirty)
{
    int result;
    do {
        result = fr_commit(io, c, head, lock, gap_rows, c->last);
        if (result == FR_COMMIT_WAIT) {
            fr_sync_all_of(io, lock, &c, 1, dirty, c->dir, FR_DURABLE_TIMED);
            result = c->sync_error ? -(int)c->sync_error : 1;
        }
    } while (result > 0);
    return result;
}

/* The same up to the end: then it is made durable, and its files are closed, whatever went wrong. */
static inline int fr_drain_last(const fr_io *io, fr_spool_channel *c, uint64_t head, pthread_mutex_t *lock,
                                fr_gap_row *gap_rows, fr_dirty *dirty)
{
    int result = fr_drain_to(io, c, head, lock, gap_rows, dirty);
    if (!result) {
        fr_sync_all_of(io, lock, &c, 1, dirty, c->dir, FR_DURABLE_TIMED);
        result = -(int)c->sync_error;
    }
    fr_channel_close(io, c, lock);
    return result;
}

/* Bring to the disk, and make durable, what a writer left that will publish no more. 0 or -errno; `gap_rows`
 * and `dirty` are memory to work in. */
static inline int fr_drain_left(const fr_io *io, fr_spool_channel *c, fr_gap_row *gap_rows, fr_dirty *dirty)
{
    const uint64_t head = fr_load_acquire(&c->ring.header->head);
    pthread_mutex_t lock;
    uint32_t i;
    int result;
    pthread_mutex_init(&lock, NULL);
    fr_commit_read_gaps(c);
    fr_commit_unpublished(c);
    for (i = 0; i < c->gap_count; i++) /* whatever it says: nothing comes behind the last record */
        c->gaps[i].seq = c->gaps[i].seq < head ? c->gaps[i].seq : head;
    result = fr_drain_last(io, c, head, &lock, gap_rows, dirty);
    pthread_mutex_destroy(&lock);
    return result;
}

#endif
