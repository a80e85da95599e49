/* log.h: the recording's own files that grow: readings of the clocks, and the statistics. */
#ifndef FASTREC_LOG_H
#define FASTREC_LOG_H

#include "spooled.h"

#define FR_LOG_EVERY (10 * FR_NS)
#define FR_LOG_BYTES (8u << 20)

/* The recording's own files that grow: clocks.npy and stats.jsonl. */
typedef struct fr_log {
    int clocks, stats, marks; /* file descriptors; marks are not ours to write */
    uint64_t clocks_header;   /* bytes */
    uint64_t clock_rows;
    uint64_t stat_bytes, stat_lines;
    uint32_t seed_base; /* of the uuid and no channel */
    int64_t clock_offset;
    int64_t clocks_due, stats_due; /* when they are written next */
} fr_log;

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

static inline void fr_log_clocks(fr_log *l, const fr_io *io)
{
    fr_clock_row row = fr_read_clocks(l->clock_offset);
    int error = 0;
    row.crc = fr_crc32c(fr_seed(l->seed_base, 0, l->clock_rows), &row, offsetof(fr_clock_row, crc));
    fr_write_all(io, l->clocks, &row, sizeof row, l->clocks_header + l->clock_rows * sizeof row, &error);
    if (!error)
        error = fr_npy_count(io, l->clocks, l->clock_rows + 1);
    l->clock_rows += !error; /* a row that failed is written again in its place */
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

/* Twice as long for every FR_LOG_BYTES of the file: a recorder that runs for years must not drown in them. */
static inline int64_t fr_log_pause(uint64_t bytes)
{
    uint64_t doublings = bytes / FR_LOG_BYTES;
    return FR_LOG_EVERY << (doublings < 20 ? doublings : 20);
}

/* Write what is due; all of it, if it is the last time. */
static inline void fr_log_write(fr_log *l, const fr_io *io, fr_spool_channel *const *channels, uint64_t count,
                                int64_t now, int last)
{
    uint64_t i;
    if (now >= l->clocks_due || last) {
        fr_log_clocks(l, io);
        l->clocks_due = now + fr_log_pause(l->clock_rows * sizeof(fr_clock_row));
    }
    if (now >= l->stats_due || last) {
        for (i = 0; i < count; i++)
            fr_log_stats(l, io, channels[i], now);
        l->stats_due = now + fr_log_pause(l->stat_bytes);
    }
}

#endif
