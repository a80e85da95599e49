/* spool.h: the thread that drains rings to the disk, and the one that makes durable what it wrote. */
#ifndef FASTREC_SPOOL_H
#define FASTREC_SPOOL_H

#include "commit.h"

#define FR_SPOOL_CHANNELS 64
#define FR_SPOOL_RETRY 100000000LL /* ns after a failed commit */
#define FR_SPOOL_MOST 100000000LL  /* ns between two rounds at most: a ring may fill at any time */
#define FR_SPOOL_LEAST 1000000LL   /* ns between two rounds at least */
#define FR_SPOOL_LOG (10 * FR_NS)  /* between two readings of the clocks and the statistics */
#define FR_RAISE_TRIES 3           /* at a stop, to bring the counts of side files up to their rows */
#define FR_BEGIN_BYTES (4 << 20)   /* of records, before their way to the disk begins */
#define FR_SYNC_MANY 8             /* more dirty files than this: syncfs instead of each */

enum { FR_DURABLE_NEVER, FR_DURABLE_TIMED, FR_DURABLE_COMMIT };

/* The recording's own files that grow: clocks.npy and stats.jsonl. */
typedef struct fr_log {
    int clocks, stats;      /* file descriptors */
    uint64_t clocks_header; /* bytes */
    uint64_t clock_rows;
    uint64_t stat_bytes, stat_lines;
    uint32_t seed_base; /* of the uuid and no channel */
    int64_t clock_offset;
} fr_log;

/* What a channel has that is not durable: its open segment, and the full ones before it. */
typedef struct fr_dirty {
    fr_spool_channel *channel;
    fr_segment segments[FR_RETIRED + 1];
    uint32_t count, retired; /* of the segments, the first `retired` are to be closed */
    int names;               /* files were created */
    uint64_t written;        /* the mark, before anything is flushed */
} fr_dirty;

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
    int dir; /* of the recording: names the file system to sync */
    fr_log log;
    pthread_mutex_t lock; /* over segments changing hands; never held during I/O */
    uint64_t count;       /* channels, grows only */
    fr_spool_channel *channels[FR_SPOOL_CHANNELS];
    fr_gap_row gap_rows[FR_GAPS_MOST];
    fr_dirty dirty[FR_SPOOL_CHANNELS];
} fr_spooler;

/* ---- the log ---- */

/* All clocks at one moment: of several readings, the one with the least bracket. */
static inline fr_clock_row fr_read_clocks(int64_t offset)
{
    fr_clock_row best = {0, 0, 0, 0, INT64_MAX, 0, 0};
    int i;
    for (i = 0; i < 8; i++) {
        int64_t before = fr_now(), real = fr_read_clock(CLOCK_REALTIME), boot = fr_read_clock(CLOCK_BOOTTIME),
                tsc = (int64_t)fr_ticks(), after = fr_now();
        if (after - before < best.uncertainty) {
            fr_clock_row row = {
                before + (after - before) / 2 + offset, real, boot, tsc, after - before, 0, 0};
            best = row;
        }
    }
    best.uncertainty = (best.uncertainty + 1) / 2;
    return best;
}

static inline void fr_log_clocks(fr_spooler *s)
{
    fr_log *l = &s->log;
    fr_clock_row row = fr_read_clocks(l->clock_offset);
    int error = 0;
    row.crc = fr_crc32c(fr_seed(l->seed_base, 0, l->clock_rows), &row, offsetof(fr_clock_row, crc));
    fr_write_all(s->io, l->clocks, &row, sizeof row, l->clocks_header + l->clock_rows * sizeof row, &error);
    if (!error)
        error = fr_npy_count(s->io, l->clocks, l->clock_rows + 1);
    l->clock_rows += !error; /* a row that failed is written again in its place */
}

static inline void fr_log_stats(fr_spooler *s, const fr_spool_channel *c, int64_t now)
{
    fr_log *l = &s->log;
    fr_account a = fr_ring_account(c->ring.header);
    char line[1024];
    int error = 0,
        n = snprintf(line, sizeof line - 24,
                     "{\"mono_ns\":%lld,\"channel\":\"%s\",\"slots\":%llu,\"recorded\":%llu,\"held\":%llu,"
                     "\"missed\":%llu,"
                     "\"failed\":%llu,\"dropped\":%llu,\"overwritten\":%llu,\"disk\":%llu,\"published\":%llu,"
                     "\"written\":%llu,\"durable\":%llu,\"texts_lost\":%llu",
                     (long long)(now + l->clock_offset), c->name, (unsigned long long)a.slots,
                     (unsigned long long)a.recorded, (unsigned long long)a.held, (unsigned long long)a.missed,
                     (unsigned long long)a.failed, (unsigned long long)a.dropped,
                     (unsigned long long)c->overwritten, (unsigned long long)c->disk,
                     (unsigned long long)fr_load_relaxed(&c->ring.header->head),
                     (unsigned long long)c->written, (unsigned long long)fr_load_relaxed(&c->durable),
                     (unsigned long long)a.texts_lost);
    uint32_t crc = fr_crc32c(fr_seed(l->seed_base, 0, l->stat_lines), line, (size_t)n);
    n += snprintf(line + n, 24, ",\"crc\":\"%08x\"}\n", crc);
    fr_write_all(s->io, l->stats, line, (size_t)n, l->stat_bytes, &error);
    if (!error) {
        l->stat_bytes += (uint64_t)n;
        l->stat_lines++;
    }
}

static inline void fr_log_write(fr_spooler *s, int64_t now)
{
    uint64_t i, count = fr_load_acquire(&s->count);
    fr_log_clocks(s);
    for (i = 0; i < count; i++)
        fr_log_stats(s, s->channels[i], now);
}

/* ---- making durable ---- */

/* Note what is dirty, and how far it was written before the flush that follows. Returns the files. */
static inline uint32_t fr_sync_collect(fr_spooler *s, fr_spool_channel *c, fr_dirty *d)
{
    d->channel = c;
    d->written = fr_load_acquire(&c->written);
    pthread_mutex_lock(&s->lock);
    memcpy(d->segments, c->retired, c->retired_count * sizeof *d->segments);
    d->count = d->retired = c->retired_count;
    if (c->open && (d->written != c->durable || c->segment.rows[FR_INDEX] != c->synced_index))
        d->segments[d->count++] = c->segment;
    d->names = c->unsynced_names;
    c->unsynced_names = 0;
    pthread_mutex_unlock(&s->lock);
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

/* The flush is over: raise the mark, close the full segments (nobody else does). */
static inline void fr_sync_finish(fr_spooler *s, fr_dirty *d, int error)
{
    fr_spool_channel *c = d->channel;
    uint32_t i;
    for (i = 0; i < d->retired; i++)
        fr_segment_close(s->io, &d->segments[i]);
    pthread_mutex_lock(&s->lock);
    c->retired_count -= d->retired;
    memmove(c->retired, c->retired + d->retired, c->retired_count * sizeof *c->retired);
    pthread_mutex_unlock(&s->lock);
    if (d->count > d->retired)
        c->synced_index = d->segments[d->count - 1].rows[FR_INDEX];
    if (error)
        fr_store_relaxed(&c->sync_error, (uint64_t)-error);
    else if (s->durability != FR_DURABLE_NEVER && !c->sync_error)
        fr_store_release(&c->durable, d->written);
}

/* One round over all channels: each dirty file by itself, or the whole file system when they are many. */
static inline void fr_sync_round(fr_spooler *s)
{
    uint64_t count = fr_load_acquire(&s->count), i;
    uint32_t files = 0, j;
    int error = 0;
    for (i = 0; i < count; i++) {
        fr_dirty *d = &s->dirty[i];
        files += fr_sync_collect(s, s->channels[i], d);
        for (j = 0; j < d->count; j++)
            if (fr_segment_raise(s->io, &d->segments[j]) && j < d->retired)
                d->retired = j; /* not closed before its counts are right */
    }
    if (files > FR_SYNC_MANY && s->durability != FR_DURABLE_NEVER)
        error = s->io->sync_all(s->dir);
    for (i = 0; i < count; i++) {
        fr_dirty *d = &s->dirty[i];
        int own = error;
        if (files <= FR_SYNC_MANY && s->durability != FR_DURABLE_NEVER)
            own = fr_sync_each(s->io, d);
        fr_sync_finish(s, d, own);
    }
}

/* Do full segments pile up? Then a flush is due before its time, or the rotation would have to wait. */
static inline int fr_sync_crowded(fr_spooler *s)
{
    uint64_t count = fr_load_acquire(&s->count), i;
    int crowded = 0;
    pthread_mutex_lock(&s->lock);
    for (i = 0; i < count; i++)
        crowded |= s->channels[i]->retired_count > FR_RETIRED / 4;
    pthread_mutex_unlock(&s->lock);
    return crowded;
}

static inline void fr_syncing_run(void *arg)
{
    fr_spooler *s = (fr_spooler *)arg;
    int64_t next = s->clock->now();
    while (!fr_word(&s->sync_stop)) {
        uint32_t bell = fr_word(&s->sync_bell);
        int64_t now = s->clock->now();
        if (now < next && !fr_sync_crowded(s)) {
            s->clock->wait(&s->sync_bell, bell, next);
            continue;
        }
        fr_sync_round(s);
        next = now + s->sync_every;
    }
}

/* ---- draining ---- */

/* Too many full segments wait: make them durable, or have it done. */
static inline void fr_spool_relieve(fr_spooler *s)
{
    uint32_t bell = fr_word(&s->bell);
    if (s->durability != FR_DURABLE_TIMED) {
        fr_sync_round(s);
        return;
    }
    fr_wake(&s->sync_bell);
    s->clock->wait(&s->bell, bell, s->clock->now() + FR_SPOOL_LEAST);
}

/* A flush waits for all that the system has not written yet, so it is given much of it early. Whole pages
 * alone: the last one would be written twice. */
static inline void fr_spool_begin(fr_spooler *s, fr_spool_channel *c)
{
    const fr_file_kind *kind = &c->kinds[FR_RECORDS];
    uint64_t end = (kind->header_size + c->segment.rows[FR_RECORDS] * kind->row_size) & ~(uint64_t)4095;
    if (s->durability != FR_DURABLE_TIMED || !c->open || end < c->begun + FR_BEGIN_BYTES)
        return;
    s->io->begin(c->segment.fd[FR_RECORDS], c->begun, end - c->begun);
    c->begun = end;
}

/* Bring one channel to the disk up to where its head is now. Returns the records of the round. */
static inline uint64_t fr_spool_drain(fr_spooler *s, fr_spool_channel *c)
{
    uint64_t head = fr_load_acquire(&c->ring.header->head), before = c->cursor;
    int64_t now = s->clock->now();
    int result;
    if (now < c->retry)
        return 0;
    do {
        result = fr_commit(s->io, c, head, &s->lock, s->gap_rows, now + s->log.clock_offset);
        if (result == FR_COMMIT_WAIT)
            fr_spool_relieve(s);
        else if (result > 0)
            fr_spool_begin(s, c);
    } while (result > 0 || result == FR_COMMIT_WAIT);
    fr_store_relaxed(&c->error, result < 0 ? (uint64_t)-result : 0);
    if (result < 0)
        c->retry = now + FR_SPOOL_RETRY;
    c->due = now + s->flush;
    return c->cursor - before;
}

static inline uint64_t fr_spool_eighth(const fr_spool_channel *c)
{
    return (c->ring.records.nslots - FR_GUARD) / 8;
}

/* A channel is drained every `flush`, and sooner when its ring is an eighth full. */
static inline int fr_spool_wanted(const fr_spool_channel *c, int64_t now)
{
    return now >= c->due || fr_load_relaxed(&c->ring.header->head) - c->cursor > fr_spool_eighth(c);
}

/* Rounds come at least every tenth of a second, and sooner where a ring was found fuller than that. */
static inline void fr_spooling_run(void *arg)
{
    fr_spooler *s = (fr_spooler *)arg;
    const int64_t most = s->flush < FR_SPOOL_MOST ? s->flush : FR_SPOOL_MOST;
    int64_t pause = most, log = s->clock->now();
    uint64_t i, count;
    int last = 0;
    while (!last) {
        uint32_t bell = fr_word(&s->bell);
        int64_t now = s->clock->now();
        int behind = 0;
        last =
            fr_word(&s->stop) != 0; /* writers have ended before stop is said: one more round is the last */
        count = fr_load_acquire(&s->count);
        for (i = 0; i < count; i++) {
            fr_spool_channel *c = s->channels[i];
            if (last)
                c->retry = c->due = 0;
            if (fr_spool_wanted(c, now))
                behind |= fr_spool_drain(s, c) > fr_spool_eighth(c);
        }
        if (now >= log || last) {
            fr_log_write(s, now);
            log = now + FR_SPOOL_LOG;
        }
        if (s->durability != FR_DURABLE_TIMED)
            fr_sync_round(s);
        else if (fr_sync_crowded(s))
            fr_wake(&s->sync_bell);
        pause = behind ? pause / 2 : pause + pause / 4;
        pause = pause < FR_SPOOL_LEAST ? FR_SPOOL_LEAST : pause > most ? most : pause;
        if (!last)
            s->clock->wait(&s->bell, bell, now + pause);
    }
}

/* ---- life ---- */

static inline int fr_spooler_start(fr_spooler *s)
{
    int error;
    pthread_mutex_init(&s->lock, NULL);
    error = fr_thread_start(&s->spooling, "fastrec-spool", fr_spooling_run, s);
    if (error)
        return error;
    s->threads = 1;
    if (s->durability == FR_DURABLE_TIMED)
        error = fr_thread_start(&s->syncing, "fastrec-sync", fr_syncing_run, s);
    if (!error) {
        s->threads += s->durability == FR_DURABLE_TIMED;
        return 0;
    }
    fr_wake(&s->stop); /* one without the other is no spooler; it has no channel yet */
    fr_wake(&s->bell);
    fr_thread_join(&s->spooling, FR_NEVER);
    return error;
}

/* Stop after the writers have: drain what is left, make it durable, close the files. -ETIMEDOUT leaves the
 * threads as they are, and everything they use must stay in memory. */
static inline int fr_spooler_stop(fr_spooler *s, int64_t deadline)
{
    uint64_t i, count = fr_load_acquire(&s->count);
    int error = 0, tries;
    fr_wake(&s->stop);
    fr_wake(&s->bell);
    if (s->threads > 0)
        error = fr_thread_join(&s->spooling, deadline);
    fr_wake(&s->sync_stop);
    fr_wake(&s->sync_bell);
    if (!error && s->threads > 1)
        error = fr_thread_join(&s->syncing, deadline);
    if (error)
        return error;
    for (tries = 0; tries < FR_RAISE_TRIES; tries++)
        fr_sync_round(s);
    for (i = 0; i < count; i++)
        if (s->channels[i]->open) {
            for (tries = 0; tries < FR_RAISE_TRIES && fr_segment_raise(s->io, &s->channels[i]->segment);
                 tries++)
                ;
            fr_segment_close(s->io, &s->channels[i]->segment);
        }
    if (s->durability != FR_DURABLE_NEVER) {
        s->io->sync(s->log.clocks); /* readings and statistics: nothing is promised of them */
        s->io->sync(s->log.stats);
    }
    s->threads = 0;
    return 0;
}

#endif
