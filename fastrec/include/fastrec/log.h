/* log.h: the recording's own files that grow: readings of the clocks, and the statistics. */
#ifndef FASTREC_LOG_H
#define FASTREC_LOG_H

#include "spooled.h"

#define FR_LOG_EVERY (10 * FR_NS)
#define FR_LOG_BYTES (4u << 20)
#define FR_LOG_LEAP 1000000LL /* ns by which a clock that was set, or a sleep, is told from a slow look */
#define FR_LOG_SLEW 2000      /* one part in so many, 500 ppm: what NTP may slew */
#define FR_LOG_LEAPS 10       /* readings before their time at once; each that is due earns one more */

/* The recording's own files that grow: clocks.npy and stats.jsonl. */
typedef struct fr_log {
    int clocks, stats, marks; /* file descriptors; marks are not ours to write */
    int marks_error;          /* of the flush at the end, -errno; 0: none */
    uint64_t clocks_header;   /* bytes */
    uint64_t clock_rows;
    fr_clock_row clock_row; /* the last of them */
    uint32_t leaps;         /* readings before their time, those taken off that were due since */
    uint64_t stat_bytes, stat_lines;
    uint32_t seed_base; /* of the uuid and no channel */
    int64_t clock_offset;
    int64_t clocks_due, stats_due; /* when they are written next */
} fr_log;

/* All clocks at one moment, in the middle of the bracket; `uncertainty` is all of it. */
static inline fr_clock_row fr_look_at_clocks(const fr_clock *clock, int64_t offset)
{
    int64_t before = clock->now(), real = clock->read(CLOCK_REALTIME), boot = clock->read(CLOCK_BOOTTIME),
            tsc = (int64_t)fr_ticks(), after = clock->now();
    fr_clock_row row = {before + (after - before) / 2 + offset, real, boot, tsc, after - before, 0, 0};
    return row;
}

/* Of several looks the one with the least bracket. */
static inline fr_clock_row fr_read_clocks(const fr_clock *clock, int64_t offset)
{
    fr_clock_row best = fr_look_at_clocks(clock, offset);
    int i;
    for (i = 1; i < 8; i++) {
        fr_clock_row row = fr_look_at_clocks(clock, offset);
        if (row.uncertainty < best.uncertainty)
            best = row;
    }
    best.uncertainty = (best.uncertainty + 1) / 2;
    return best;
}

/* Was a clock set since the last reading, or did the machine sleep? Then dates are wrong until the next one,
 * which is not waited for. */
static inline int fr_log_leapt(const fr_log *l, const fr_clock *clock)
{
    fr_clock_row now = fr_look_at_clocks(clock, l->clock_offset);
    int64_t passed = now.monotonic - l->clock_row.monotonic;
    int64_t set = now.realtime - l->clock_row.realtime - passed;
    int64_t asleep = now.boottime - l->clock_row.boottime - passed;
    int64_t slack = FR_LOG_LEAP + now.uncertainty;
    return asleep > slack || llabs(set) > slack + passed / FR_LOG_SLEW;
}

static inline void fr_log_clocks(fr_log *l, const fr_io *io, const fr_clock *clock)
{
    fr_clock_row row = fr_read_clocks(clock, l->clock_offset);
    int error = 0;
    row.crc = fr_crc32c(fr_seed(l->seed_base, 0, l->clock_rows), &row, offsetof(fr_clock_row, crc));
    fr_write_all(io, l->clocks, &row, sizeof row, l->clocks_header + l->clock_rows * sizeof row, &error);
    if (!error)
        error = fr_npy_count(io, l->clocks, l->clock_rows + 1);
    if (error)
        return; /* it is written again in its place */
    l->clock_rows++;
    l->clock_row = row;
}

static inline void fr_log_stats(fr_log *l, const fr_io *io, const fr_spool_channel *c, int64_t now)
{
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
    fr_write_all(io, l->stats, line, (size_t)n, l->stat_bytes, &error);
    if (!error) {
        l->stat_bytes += (uint64_t)n;
        l->stat_lines++;
    }
}

/* Twice as long for every FR_LOG_BYTES of the file: in a thousand years it does not reach the size up to
 * which readers read it. */
static inline int64_t fr_log_pause(uint64_t bytes)
{
    uint64_t doublings = bytes / FR_LOG_BYTES;
    return FR_LOG_EVERY << (doublings < 20 ? doublings : 20);
}

/* Write what is due; all of it, if it is the last time. */
static inline void fr_log_write(fr_log *l, const fr_io *io, const fr_clock *clock,
                                fr_spool_channel *const *channels, uint64_t count, int64_t now, int last)
{
    int due = now >= l->clocks_due || last;
    uint64_t i;
    if (due || (l->leaps < FR_LOG_LEAPS && fr_log_leapt(l, clock))) {
        l->leaps = !due ? l->leaps + 1 : l->leaps ? l->leaps - 1 : 0;
        fr_log_clocks(l, io, clock);
        l->clocks_due = now + fr_log_pause(l->clock_rows * sizeof(fr_clock_row));
    }
    if (now >= l->stats_due || last) {
        for (i = 0; i < count; i++)
            fr_log_stats(l, io, channels[i], now);
        l->stats_due = now + fr_log_pause(l->stat_bytes);
    }
}

#endif
