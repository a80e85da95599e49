/* spool.h: the thread that drains rings to the disk, and the one that makes durable what it wrote. */
#ifndef FASTREC_SPOOL_H
#define FASTREC_SPOOL_H

#include "durable.h"
#include "log.h"
#include "retention.h"

#define FR_SPOOL_CHANNELS 64
#define FR_SPOOL_RETRY 100000000LL /* ns after a failed commit */
#define FR_SPOOL_MOST 100000000LL  /* ns between two rounds at most: a ring may fill at any time */
#define FR_SPOOL_LEAST 1000000LL   /* ns between two rounds at least */
#define FR_SPOOL_TURN 20000000LL   /* ns that one channel is drained for before others are */
#define FR_SPOOL_CROWDED FR_NS     /* ns that a rotation waits for others to be flushed */
#define FR_SPOOL_TIDY (5 * FR_NS)  /* for removing what is beyond the budget, at a stop; the rest stays */
#define FR_SPOOL_LONGEST                                                                                     \
    (3600 * FR_NS) /* between two attempts to write again what would not become durable */

typedef struct fr_spooler {
    fr_thread spooling, syncing;
    int threads; /* how many were started */
    const fr_io *io;
    const fr_clock *clock;
    uint32_t bell;      /* futex words: something has changed for ... the spooling thread */
    uint32_t sync_bell; /* ... the syncing thread */
    uint32_t stop, sync_stop;
    int durability;
    int64_t flush, sync_every;
    int dir;               /* of the recording: names the file system to sync */
    int64_t crowded_since; /* the spooling thread's; 0: so many full segments do not wait */
    fr_log log;
    fr_retention retention;
    pthread_mutex_t lock; /* over segments changing hands; never held during I/O */
    uint64_t count;       /* channels, grows only */
    fr_spool_channel *channels[FR_SPOOL_CHANNELS];
    fr_gap_row gap_rows[FR_GAPS_MOST];
    fr_dirty dirty[FR_SPOOL_CHANNELS];
} fr_spooler;

/* ---- making durable ---- */

static inline void fr_sync_round(fr_spooler *s)
{
    uint64_t count = fr_load_acquire(&s->count), i;
    int64_t now = s->clock->now();
    fr_sync_all_of(s->io, &s->lock, s->channels, count, s->dirty, s->dir, s->durability);
    for (i = 0; i < count; i++)
        fr_commit_ahead(s->io, s->channels[i], &s->lock, now + s->log.clock_offset);
    if (fr_retention_wanted(&s->retention) && now >= s->retention.due) {
        fr_retention_round(&s->retention, s->io, s->dir, s->channels, count, &s->lock,
                           now + s->log.clock_offset);
        s->retention.due = s->retention.more ? now : now + FR_RETENTION_EVERY;
    }
}

/* Full segments that wait for a flush, of all channels; with `doubtful` those that are given up, or will be,
 * too: the spooling thread alone may ask for them. */
static inline uint32_t fr_spool_waiting(fr_spooler *s, int doubtful)
{
    uint64_t count = fr_load_acquire(&s->count), i;
    uint32_t full = 0;
    pthread_mutex_lock(&s->lock);
    for (i = 0; i < count; i++) {
        const fr_spool_channel *c = s->channels[i];
        if (doubtful || !fr_load_relaxed(&c->broken))
            full += c->retired_count;
        if (doubtful)
            full += c->given_up_count;
    }
    pthread_mutex_unlock(&s->lock);
    return full;
}

/* Do full segments pile up? Then a flush is due before its time, or the rotation would have to wait. */
static inline int fr_sync_crowded(fr_spooler *s) { return fr_spool_waiting(s, 0) > FR_RETIRED / 2; }

static inline void fr_syncing_run(void *arg)
{
    fr_spooler *s = (fr_spooler *)arg;
    const int64_t pause = fr_retention_wanted(&s->retention) && s->sync_every > FR_NS ? FR_NS : s->sync_every;
    int64_t next = s->clock->now();
    for (;;) {
        uint32_t bell = fr_word(&s->sync_bell); /* before the stop, which rings it */
        int64_t now = s->clock->now();
        if (fr_word(&s->sync_stop))
            return;
        if (now < next && !fr_sync_crowded(s)) {
            fr_sync_begin_all_of(s->io, &s->lock, s->channels, fr_load_acquire(&s->count));
            s->clock->wait(&s->sync_bell, bell, next);
            continue;
        }
        fr_sync_round(s);
        next = s->retention.more ? now : now + pause;
    }
}

/* ---- draining ---- */

/* Do as many full segments wait as may, of all channels, and have they for long? Half of them have to go
 * before that counts as over: where most are given up, a flush makes room for few, and each would be waited
 * for. */
static inline int fr_spool_crowded(fr_spooler *s, int64_t now)
{
    const uint32_t full = fr_spool_waiting(s, 1);
    if (full <= FR_RETIRED / 2)
        s->crowded_since = 0;
    else if (full >= FR_RETIRED && !s->crowded_since)
        s->crowded_since = now;
    if (s->crowded_since && now - s->crowded_since >= FR_SPOOL_CROWDED)
        return FR_GROWING;
    return full < FR_RETIRED ? FR_ROOMY : FR_CROWDED;
}

/* Give up what is in doubt, unless that was done in vain a short while ago: to write it all again each time
 * would fill the disk. `must`: however short. */
static inline int fr_spool_give_up(fr_spooler *s, fr_spool_channel *c, int64_t now, int must)
{
    uint64_t safe = fr_safe(c);
    int error;
    if (safe != c->safe)
        c->patience = c->give_up_at = 0;
    c->safe = safe;
    if (now < c->give_up_at && !must)
        return 0;
    error = fr_give_up(s->io, c, &s->lock);
    if (!error) {
        c->give_up_at = now + c->patience;
        c->patience = c->patience ? 2 * c->patience : FR_NS;
        c->patience = c->patience < FR_SPOOL_LONGEST ? c->patience : FR_SPOOL_LONGEST;
    }
    return error;
}

/* Why a channel was not brought to where its head was. */
enum {
    FR_SPOOL_WAITS = 1, /* others have to do something first */
    FR_SPOOL_MORE = 2   /* others have waited long enough: there may be much to write again */
};

/* Bring one channel to the disk up to where its head is now. Returns the records of the round; adds to *waits
 * why there are not more. */
static inline uint64_t fr_spool_drain(fr_spooler *s, fr_spool_channel *c, int last, int *waits)
{
    uint64_t head = fr_load_acquire(&c->ring.header->head), before = c->cursor;
    int64_t now = s->clock->now();
    int result;
    if (now < c->retry)
        return 0;
    do {
        result = 0;
        c->crowded = fr_spool_crowded(s, now);
        if (fr_load_relaxed(&c->broken))
            result = fr_spool_give_up(s, c, now, last || fr_commit_retired(c, &s->lock) == FR_RETIRED);
        if (!result && fr_load_relaxed(&s->retention.full))
            result = -ENOSPC;
        if (!result)
            result = fr_commit(s->io, c, head, &s->lock, s->gap_rows, now + s->log.clock_offset);
        if (result > 0 && s->durability == FR_DURABLE_TIMED && fr_sync_begins(c, &s->lock))
            fr_wake(&s->sync_bell);
    } while (result > 0 && s->clock->now() - now < FR_SPOOL_TURN);
    c->due = result > 0 ? now : now + s->flush;
    *waits |= result > 0 ? FR_SPOOL_MORE : 0;
    if (result == FR_COMMIT_WAIT) {
        c->due = now + FR_SPOOL_LEAST;
        *waits |= FR_SPOOL_WAITS;
        return 0;
    }
    fr_store_relaxed(&c->error, result < 0 ? (uint64_t)-result : 0);
    if (result < 0)
        c->retry = now + FR_SPOOL_RETRY;
    return c->cursor > before ? c->cursor - before : 0;
}

static inline uint64_t fr_spool_eighth(const fr_spool_channel *c)
{
    return (c->ring.records.nslots - FR_GUARD) / 8;
}

/* A channel is drained every `flush`, and sooner when its ring is an eighth full, or something is to be
 * written again: no flush is made until it is. */
static inline int fr_spool_wanted(const fr_spool_channel *c, int64_t now)
{
    return now >= c->due || (fr_load_relaxed(&c->broken) && now >= c->give_up_at)
           || fr_load_relaxed(&c->ring.header->head) - c->cursor > fr_spool_eighth(c);
}

/* One round over the channels; whether one was found fuller than an eighth, and why one has to wait. */
static inline void fr_spool_round(fr_spooler *s, int last, int *behind, int *waits)
{
    uint64_t count = fr_load_acquire(&s->count), i;
    int64_t now = s->clock->now();
    *behind = *waits = 0;
    for (i = 0; i < count; i++) {
        fr_spool_channel *c = s->channels[i];
        if (last)
            c->retry = c->due = 0;
        if (fr_spool_wanted(c, now))
            *behind |= fr_spool_drain(s, c, last, waits) > fr_spool_eighth(c);
    }
}

/* Bring the rest to the disk, and make it durable: whoever has to wait for a flush finds it made. */
static inline void fr_spool_rest(fr_spooler *s)
{
    int behind, waits;
    do {
        uint32_t bell = fr_word(&s->bell);
        fr_spool_round(s, 1, &behind, &waits);
        if (waits == FR_SPOOL_MORE)
            continue;
        fr_sync_round(s);
        if (waits)
            s->clock->wait(&s->bell, bell, s->clock->now() + FR_SPOOL_LEAST);
    } while (waits);
}

/* The end of a stop: make durable what was drained, and close the files. */
static inline void fr_spool_end(fr_spooler *s)
{
    uint64_t i, count = fr_load_acquire(&s->count);
    int64_t until;
    int tries;
    if (s->threads > 1) {
        fr_wake(&s->sync_stop);
        fr_wake(&s->sync_bell);
        fr_thread_join(&s->syncing, FR_NEVER);
    }
    s->retention.due = 0;
    fr_sync_round(s);
    for (tries = 0; tries < FR_STOP_TRIES; tries++) /* a flush that fails has rows written again */
        fr_spool_rest(s);
    until = s->clock->now() + FR_SPOOL_TIDY;
    while (s->retention.more && s->clock->now() < until)
        fr_sync_round(s);
    for (i = 0; i < count; i++)
        fr_channel_close(s->io, s->channels[i], &s->lock);
    if (s->durability != FR_DURABLE_NEVER) {
        s->io->sync(s->log.clocks); /* readings and statistics: nothing is promised of them */
        s->io->sync(s->log.stats);
    }
    /* In any case: who waits for the end learns here whether the disk answers. */
    s->log.marks_error = s->io->sync(s->log.marks);
}

/* Rounds come at least every tenth of a second, and sooner where a ring was found fuller than that. */
static inline void fr_spooling_run(void *arg)
{
    fr_spooler *s = (fr_spooler *)arg;
    const int64_t most = s->flush < FR_SPOOL_MOST ? s->flush : FR_SPOOL_MOST;
    int64_t pause = most, flushed = s->clock->now();
    int last = 0, behind, waits;
    while (!last || waits) {
        uint32_t bell = fr_word(&s->bell);
        int64_t now = s->clock->now();
        last =
            fr_word(&s->stop) != 0; /* writers have ended before stop is said: one more round is the last */
        fr_spool_round(s, last, &behind, &waits);
        fr_log_write(&s->log, s->io, s->clock, s->channels, fr_load_acquire(&s->count), now, last && !waits);
        if (s->durability == FR_DURABLE_TIMED) {
            if (waits & FR_SPOOL_WAITS || fr_sync_crowded(s))
                fr_wake(&s->sync_bell);
        } else if (waits != FR_SPOOL_MORE || now - flushed >= most) { /* there may be more for ever */
            fr_sync_round(s);
            flushed = s->clock->now();
        }
        if (waits == FR_SPOOL_MORE)
            continue;
        pause = behind ? pause / 2 : pause + pause / 4;
        pause = pause < FR_SPOOL_LEAST || waits ? FR_SPOOL_LEAST : pause > most ? most : pause;
        if (!last || waits)
            s->clock->wait(&s->bell, bell, now + pause);
    }
    fr_spool_end(s);
}

/* ---- life ---- */

static inline int fr_spooler_start(fr_spooler *s)
{
    int error;
    pthread_mutex_init(&s->lock, NULL);
    error = fr_thread_start(&s->spooling, "fastrec-spool", fr_spooling_run, s, 0);
    if (error)
        return error;
    s->threads = 1;
    if (s->durability == FR_DURABLE_TIMED)
        error = fr_thread_start(&s->syncing, "fastrec-sync", fr_syncing_run, s, 0);
    if (!error) {
        s->threads += s->durability == FR_DURABLE_TIMED;
        return 0;
    }
    fr_wake(&s->stop); /* one without the other is no spooler; it has no channel yet */
    fr_wake(&s->bell);
    fr_thread_join(&s->spooling, FR_NEVER);
    return error;
}

/* Stop after the writers have: drain what is left, make it durable, close the files. -ETIMEDOUT: the disk has
 * not answered by then. The threads go on, to the same end, and everything they use must stay in memory. */
static inline int fr_spooler_stop(fr_spooler *s, int64_t deadline)
{
    int error;
    if (!s->threads)
        return 0;
    fr_wake(&s->stop);
    fr_wake(&s->bell);
    error = fr_thread_join(&s->spooling, deadline);
    if (!error)
        s->threads = 0;
    return error;
}

#endif
