/* histogram.h: a log-linear histogram of times in ns, exact to 1/32 of the value. */
#ifndef FASTREC_HISTOGRAM_H
#define FASTREC_HISTOGRAM_H

#include "atomic.h"

#define FR_HIST_BITS 5 /* 32 buckets per power of two */
#define FR_HIST_BUCKETS ((64 - FR_HIST_BITS) << FR_HIST_BITS)

typedef struct fr_histogram {
    uint64_t max;
    uint64_t count[FR_HIST_BUCKETS]; /* one writer; readers load relaxed */
} fr_histogram;

static inline uint32_t fr_hist_bucket(uint64_t value)
{
    int shift;
    if (value < (1u << FR_HIST_BITS))
        return (uint32_t)value;
    shift = 63 - __builtin_clzll(value) - FR_HIST_BITS;
    return (uint32_t)((uint64_t)(shift << FR_HIST_BITS) + (value >> shift));
}

/* Smallest value of a bucket. */
static inline uint64_t fr_hist_floor(uint32_t bucket)
{
    uint32_t shift = bucket >> FR_HIST_BITS;
    if (shift < 2)
        return bucket;
    shift--;
    return (uint64_t)(bucket - (shift << FR_HIST_BITS)) << shift;
}

static inline void fr_hist_add(fr_histogram *h, int64_t value, uint64_t times)
{
    uint64_t v = value < 0 ? 0 : (uint64_t)value, *c = &h->count[fr_hist_bucket(v)];
    fr_store_relaxed(c, *c + times);
    if (v > h->max)
        fr_store_relaxed(&h->max, v);
}

/* The values late, late - step, late - 2 step ...: `times` of them, bucket by bucket, so that an hour
 * of missed deadlines costs no more than a few hundred additions. */
static inline void fr_hist_add_ramp(fr_histogram *h, int64_t late, double step, uint64_t times)
{
    double value = (double)late;
    while (times && value >= 0) {
        double floor = (double)fr_hist_floor(fr_hist_bucket((uint64_t)value));
        uint64_t here = (uint64_t)((value - floor) / step) + 1;
        if (here > times)
            here = times;
        fr_hist_add(h, (int64_t)value, here);
        times -= here;
        value -= step * (double)here;
    }
    fr_hist_add(h, 0, times);
}

/* The value below or at which a share `q` of the values lie, to 1/32; -1 when there are none. */
static inline int64_t fr_hist_quantile(const fr_histogram *h, double q)
{
    uint64_t total = 0, seen = 0, most = fr_load_relaxed(&h->max), top;
    uint32_t i;
    for (i = 0; i < FR_HIST_BUCKETS; i++)
        total += fr_load_relaxed(&h->count[i]);
    if (!total)
        return -1;
    for (i = 0; i < FR_HIST_BUCKETS; i++) {
        seen += fr_load_relaxed(&h->count[i]);
        if ((double)seen >= q * (double)total) {
            top = fr_hist_floor(i + 1) - 1;
            return (int64_t)(top < most ? top : most);
        }
    }
    return (int64_t)most;
}

#endif
