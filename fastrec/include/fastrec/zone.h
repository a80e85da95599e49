/* zone.h: what 1024 records say together: per numeric field the smallest, the largest, the sum, the NaNs, and
 * of an integer that changes once when; under holds each record weighs as many polls as it stands for, and no
 * change is told. And for how long there was no record, at most. */
#ifndef FASTREC_ZONE_H
#define FASTREC_ZONE_H

#include <math.h>
#include <stddef.h>
#include "format.h"
#if defined(__x86_64__)
#include <smmintrin.h>
#endif

/* A numeric scalar of the record. */
typedef struct fr_zone_field {
    uint32_t offset; /* in the record */
    uint8_t kind;    /* 'i', 'u' or 'f': the pattern it has in a zone */
    uint8_t size;    /* 1, 2, 4 or 8 bytes; of bit-fields those that hold its bits, 1 to 9 */
    uint8_t swapped; /* 1: the other byte order */
    uint8_t shift;   /* bit-fields: lowest bit */
    uint8_t width;   /* bit-fields: how many; 0: the whole */
    uint8_t pad[3];
} fr_zone_field;

/* A zone in the making: its row as it will stand in the file. */
typedef struct fr_zone {
    uint32_t fields; /* k */
    const fr_zone_field *field;
    uint64_t *row;    /* polls, min[k], max[k], sum[k], nan[k], silence_us and crc */
    int turns;        /* 1: say when an integer changes; each record weighs 1 and begins with its stamp */
    uint64_t timed;   /* records of which the times were looked at */
    int64_t seen;     /* when the last of them was, last */
    uint64_t silence; /* ns, the longest between two of them */
    int falls;        /* one begins before the one before it ends */
} fr_zone;

static inline uint64_t fr_bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

static inline double fr_double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static inline void fr_zone_clear(fr_zone *z)
{
    uint32_t k = z->fields, i;
    memset(z->row, 0, FR_ZONE_SIZE(k));
    z->timed = z->silence = 0;
    z->seen = 0;
    z->falls = 0;
    for (i = 0; i < k; i++) {
        uint8_t kind = z->field[i].kind;
        z->row[1 + i] = kind == 'f' ? fr_bits_of(INFINITY) : kind == 'i' ? (uint64_t)INT64_MAX : UINT64_MAX;
        z->row[1 + k + i] = kind == 'f' ? fr_bits_of(-INFINITY) : kind == 'i' ? (uint64_t)INT64_MIN : 0;
    }
}

static inline double fr_half(uint16_t h)
{
    double magnitude = h & 0x3FF;
    int exponent = h >> 10 & 31;
    if (exponent == 31)
        magnitude = magnitude ? NAN : INFINITY;
    else
        magnitude = exponent ? ldexp(magnitude + 1024, exponent - 25) : ldexp(magnitude, -24);
    return h & 0x8000 ? -magnitude : magnitude;
}

/* One field of one record, as its 8-byte pattern. */
static inline uint64_t fr_zone_load(const fr_zone_field *f, const unsigned char *record)
{
    uint64_t v = 0;
    memcpy(&v, record + f->offset, f->size > 8 ? 8 : f->size); /* little endian hosts: the low bytes */
    if (f->swapped)
        v = __builtin_bswap64(v) >> (64 - 8 * f->size);
    if (f->kind == 'f') {
        float single;
        uint32_t low = (uint32_t)v;
        if (f->size == 8)
            return v;
        if (f->size == 2)
            return fr_bits_of(fr_half((uint16_t)v));
        memcpy(&single, &low, 4);
        return fr_bits_of(single);
    }
    if (f->width) {
        int above = 64 - f->width;
        v >>= f->shift;
        if (f->size > 8) /* its highest bits lie in a ninth byte, so it has a shift */
            v |= (uint64_t)record[f->offset + 8] << (64 - f->shift);
        v <<= above;
        return f->kind == 'i' ? (uint64_t)((int64_t)v >> above) : v >> above;
    }
    if (f->kind == 'i') {
        int above = 64 - 8 * f->size;
        return (uint64_t)((int64_t)(v << above) >> above);
    }
    return v;
}

/* Specialised for the common case, so that the compiler sees one load and three operations; of four records
 * at once, none of which waits for the one before. Floating sums are thereby added in another order. */
#define FR_ZONE_STEP(TYPE, SUM, lane)                                                                        \
    do {                                                                                                     \
        TYPE v;                                                                                              \
        memcpy(&v, at + (lane) * stride, sizeof v);                                                          \
        least##lane = v < least##lane ? v : least##lane; /* false for a NaN */                               \
        most##lane = v > most##lane ? v : most##lane;                                                        \
        sum##lane += (SUM)v; /* of integers it wraps, which only unsigned arithmetic may */                  \
    } while (0)
#define FR_ZONE_LOOP(TYPE, WIDE, SUM)                                                                        \
    do {                                                                                                     \
        const unsigned char *at = p + f->offset;                                                             \
        WIDE least0, least1, least2, least3, most0, most1, most2, most3;                                     \
        SUM all, sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;                                                     \
        memcpy(&least0, low, 8), memcpy(&most0, high, 8), memcpy(&all, total, 8);                            \
        least1 = least2 = least3 = least0;                                                                   \
        most1 = most2 = most3 = most0;                                                                       \
        for (n = 0; n + 4 <= count; n += 4, at += 4 * stride) {                                              \
            FR_ZONE_STEP(TYPE, SUM, 0);                                                                      \
            FR_ZONE_STEP(TYPE, SUM, 1);                                                                      \
            FR_ZONE_STEP(TYPE, SUM, 2);                                                                      \
            FR_ZONE_STEP(TYPE, SUM, 3);                                                                      \
        }                                                                                                    \
        for (; n < count; n++, at += stride)                                                                 \
            FR_ZONE_STEP(TYPE, SUM, 0);                                                                      \
        least0 = least1 < least0 ? least1 : least0, least2 = least3 < least2 ? least3 : least2;              \
        most0 = most1 > most0 ? most1 : most0, most2 = most3 > most2 ? most3 : most2;                        \
        least0 = least2 < least0 ? least2 : least0, most0 = most2 > most0 ? most2 : most0;                   \
        sum0 = sum0 + sum1 + (sum2 + sum3);                                                                  \
        if (!(sum0 - sum0 == 0)) { /* NaNs, infinities, or an overflow: one by one */                        \
            for (n = 0, at = p + f->offset; n < count; n++, at += stride) {                                  \
                TYPE v;                                                                                      \
                memcpy(&v, at, sizeof v);                                                                    \
                all += v == v ? (SUM)v : 0;                                                                  \
                *nan += v != v;                                                                              \
            }                                                                                                \
        } else {                                                                                             \
            all += sum0;                                                                                     \
        }                                                                                                    \
        memcpy(low, &least0, 8), memcpy(high, &most0, 8), memcpy(total, &all, 8);                            \
    } while (0)

static inline void fr_zone_add_field(const fr_zone_field *f, const unsigned char *p, size_t count,
                                     size_t stride, size_t weight_at, uint64_t *low, uint64_t *high,
                                     uint64_t *total, uint64_t *nan)
{
    size_t n;
    if (f->swapped || f->width || weight_at || (f->kind == 'f' && f->size == 2)) {
        for (n = 0; n < count; n++, p += stride) {
            uint64_t v = fr_zone_load(f, p), w = 1;
            if (weight_at)
                memcpy(&w, p + weight_at, 8);
            if (f->kind == 'f') {
                double d = fr_double_of(v);
                if (d != d) {
                    *nan += w;
                    continue;
                }
                *low = d < fr_double_of(*low) ? v : *low;
                *high = d > fr_double_of(*high) ? v : *high;
                *total = fr_bits_of(fr_double_of(*total) + d * (double)w);
            } else {
                int is_signed = f->kind == 'i';
                *low = (is_signed ? (int64_t)v < (int64_t)*low : v < *low) ? v : *low;
                *high = (is_signed ? (int64_t)v > (int64_t)*high : v > *high) ? v : *high;
                *total += v * w;
            }
        }
        return;
    }
    switch (f->kind << 8 | f->size) {
    case 'i' << 8 | 1: FR_ZONE_LOOP(int8_t, int64_t, uint64_t); break;
    case 'i' << 8 | 2: FR_ZONE_LOOP(int16_t, int64_t, uint64_t); break;
    case 'i' << 8 | 4: FR_ZONE_LOOP(int32_t, int64_t, uint64_t); break;
    case 'i' << 8 | 8: FR_ZONE_LOOP(int64_t, int64_t, uint64_t); break;
    case 'u' << 8 | 1: FR_ZONE_LOOP(uint8_t, uint64_t, uint64_t); break;
    case 'u' << 8 | 2: FR_ZONE_LOOP(uint16_t, uint64_t, uint64_t); break;
    case 'u' << 8 | 4: FR_ZONE_LOOP(uint32_t, uint64_t, uint64_t); break;
    case 'u' << 8 | 8: FR_ZONE_LOOP(uint64_t, uint64_t, uint64_t); break;
    case 'f' << 8 | 4: FR_ZONE_LOOP(float, double, double); break;
    case 'f' << 8 | 8: FR_ZONE_LOOP(double, double, double); break;
    }
}
#undef FR_ZONE_LOOP
#undef FR_ZONE_STEP

#if defined(__x86_64__)
#define FR_ZONE_SIDE_BY_SIDE() __builtin_cpu_supports("sse4.1")

/* `n` (2 or 4) fields of 4-byte integers that lie side by side, as status words and counters do: all at once,
 * a record after the other. Unsigned ones are moved by 2^31, so that they compare as signed ones. */
__attribute__((target("sse4.1"))) static inline void fr_zone_add_ints(const fr_zone_field *f, int n,
                                                                      const unsigned char *p, size_t count,
                                                                      size_t stride, uint64_t *low,
                                                                      uint64_t *high, uint64_t *total)
{
    int32_t moved[4], least[4], most[4];
    uint64_t sums[4];
    __m128i by, lo = _mm_set1_epi32(INT32_MAX), hi = _mm_set1_epi32(INT32_MIN);
    __m128i sum = _mm_setzero_si128(), upper = _mm_setzero_si128();
    size_t i;
    int lane;
    for (lane = 0; lane < 4; lane++)
        moved[lane] = lane < n && f[lane].kind == 'u' ? INT32_MIN : 0;
    by = _mm_loadu_si128((const __m128i *)moved);
    for (i = 0, p += f->offset; i < count; i++, p += stride) {
        __m128i v = n == 4 ? _mm_loadu_si128((const __m128i *)p) : _mm_loadl_epi64((const __m128i *)p);
        v = _mm_xor_si128(v, by);
        lo = _mm_min_epi32(lo, v);
        hi = _mm_max_epi32(hi, v);
        sum = _mm_add_epi64(sum, _mm_cvtepi32_epi64(v));
        upper = _mm_add_epi64(upper, _mm_cvtepi32_epi64(_mm_unpackhi_epi64(v, v)));
    }
    _mm_storeu_si128((__m128i *)least, lo), _mm_storeu_si128((__m128i *)most, hi);
    _mm_storeu_si128((__m128i *)sums, sum), _mm_storeu_si128((__m128i *)(sums + 2), upper);
    for (lane = 0; lane < n && count; lane++) {
        int64_t back = moved[lane] ? (int64_t)1 << 31 : 0, from = least[lane] + back, to = most[lane] + back;
        int is_signed = !back;
        if (is_signed ? from < (int64_t)low[lane] : (uint64_t)from < low[lane])
            low[lane] = (uint64_t)from;
        if (is_signed ? to > (int64_t)high[lane] : (uint64_t)to > high[lane])
            high[lane] = (uint64_t)to;
        total[lane] += sums[lane] + count * (uint64_t)back;
    }
}
#else
#define FR_ZONE_SIDE_BY_SIDE() 0
static inline void fr_zone_add_ints(const fr_zone_field *f, int n, const unsigned char *p, size_t count,
                                    size_t stride, uint64_t *low, uint64_t *high, uint64_t *total)
{
    (void)f, (void)n, (void)p, (void)count, (void)stride, (void)low, (void)high, (void)total;
}
#endif

/* How many of `k` fields lie side by side and are 4-byte integers: 4, 2, or 1 for everything else. */
static inline uint32_t fr_zone_run(const fr_zone_field *f, uint32_t k)
{
    uint32_t n;
    for (n = 0; n < k && n < 4; n++)
        if (f[n].kind == 'f' || f[n].size != 4 || f[n].width || f[n].swapped
            || f[n].offset != f->offset + 4 * n)
            break;
    return n == 4 ? 4 : n >= 2 ? 2 : 1;
}

/* How many of `count` records from the first on have a value. */
static inline size_t fr_zone_alike(const fr_zone_field *f, const unsigned char *p, size_t count,
                                   size_t stride, uint64_t value)
{
    size_t n = 0;
#define FR_ZONE_ALIKE(TYPE)                                                                                  \
    for (p += f->offset; n < count; n++, p += stride) {                                                      \
        TYPE v;                                                                                              \
        memcpy(&v, p, sizeof v);                                                                             \
        if (v != (TYPE)value)                                                                                \
            break;                                                                                           \
    }                                                                                                        \
    return n
    switch (f->swapped || f->width ? 0 : f->size) {
    case 1: FR_ZONE_ALIKE(uint8_t);
    case 2: FR_ZONE_ALIKE(uint16_t);
    case 4: FR_ZONE_ALIKE(uint32_t);
    case 8: FR_ZONE_ALIKE(uint64_t);
    }
#undef FR_ZONE_ALIKE
    while (n < count && fr_zone_load(f, p + n * stride) == value)
        n++;
    return n;
}

/* Integer `i` took in `count` records: where it changes, if it does once. Before, `low` and `high` were its
 * ends, unless there was no record. */
static inline void fr_zone_add_turn(fr_zone *z, uint32_t i, int begun, uint64_t low, uint64_t high,
                                    const unsigned char *records, size_t count, size_t stride)
{
    const fr_zone_field *f = &z->field[i];
    uint64_t least = z->row[1 + i], most = z->row[1 + z->fields + i], *turn = &z->row[1 + 3 * z->fields + i];
    uint64_t told = *turn, held, stamp;
    size_t n;
    if (least == most || (begun && low != high && !told))
        return; /* it is steady, or has changed more than once */
    held = !begun ? fr_zone_load(f, records) : told & FR_TURN_FALLS ? low : high;
    n = fr_zone_alike(f, records, count, stride, held);
    if (n == count)
        return;
    *turn = 0;
    records += n * stride, count -= n;
    if (told || fr_zone_alike(f, records, count, stride, fr_zone_load(f, records)) < count)
        return;
    memcpy(&stamp, records, 8);
    if (stamp <= FR_TURN_STAMP && most - least < FR_TURN_WIDTH)
        *turn = FR_TURN_TOLD | (held == most ? FR_TURN_FALLS : 0) | stamp;
}

/* Add `count` records of `stride` bytes; `weight_at` is where their `polls` stand (0: each weighs 1). */
static inline void fr_zone_add(fr_zone *z, const unsigned char *records, size_t count, size_t stride,
                               size_t weight_at)
{
    uint32_t k = z->fields, i, j, n;
    uint64_t *row = z->row, low[4], high[4];
    int at_once = !weight_at && FR_ZONE_SIDE_BY_SIDE(), begun = row[0] != 0;
    if (!count)
        return;
    if (weight_at) {
        size_t at;
        for (at = 0; at < count; at++) {
            uint64_t w;
            memcpy(&w, records + at * stride + weight_at, 8);
            row[0] += w;
        }
    } else {
        row[0] += count;
    }
    for (i = 0; i < k; i += n) {
        n = at_once ? fr_zone_run(&z->field[i], k - i) : 1;
        memcpy(low, &row[1 + i], n * 8), memcpy(high, &row[1 + k + i], n * 8);
        if (n == 4)
            fr_zone_add_ints(&z->field[i], 4, records, count, stride, &row[1 + i], &row[1 + k + i],
                             &row[1 + 2 * k + i]);
        else if (n == 2)
            fr_zone_add_ints(&z->field[i], 2, records, count, stride, &row[1 + i], &row[1 + k + i],
                             &row[1 + 2 * k + i]);
        else
            fr_zone_add_field(&z->field[i], records, count, stride, weight_at, &row[1 + i], &row[1 + k + i],
                              &row[1 + 2 * k + i], &row[1 + 3 * k + i]);
        for (j = 0; z->turns && j < n; j++)
            if (z->field[i + j].kind != 'f')
                fr_zone_add_turn(z, i + j, begun, low[j], high[j], records, count, stride);
    }
}

/* Look at the times of `count` records; `until_at` is where they say until when they were seen. */
static inline void fr_zone_add_times(fr_zone *z, const unsigned char *records, size_t count, size_t stride,
                                     size_t until_at)
{
    uint64_t longest = z->silence;
    int64_t seen = z->seen;
    int falls = z->falls;
    size_t i;
    for (i = 0; i < count; i++, records += stride) {
        int64_t begin, end;
        memcpy(&begin, records, 8);
        memcpy(&end, records + until_at, 8);
        if (i || z->timed) {
            uint64_t silence = (uint64_t)begin - (uint64_t)seen;
            longest = silence > longest ? silence : longest;
            falls |= begin < seen;
        }
        falls |= end < begin;
        seen = end;
    }
    z->timed += count;
    z->seen = seen;
    z->silence = longest;
    z->falls = falls;
}

/* Put the silence into the row: us, rounded up; 0 where it is not known, all ones where it has no room. */
static inline void fr_zone_tell_silence(fr_zone *z)
{
    uint64_t us = z->silence / 1000 + (z->silence % 1000 != 0);
    uint32_t told = us < 1 ? 1 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    if (!z->timed || z->falls)
        told = 0;
    memcpy((unsigned char *)z->row + FR_ZONE_SIZE(z->fields) - 8, &told, 4);
}

static inline void fr_zone_seal(fr_zone *z, uint32_t seed)
{
    size_t size = FR_ZONE_SIZE(z->fields);
    uint32_t crc;
    fr_zone_tell_silence(z);
    crc = fr_crc32c(seed, z->row, size - 4);
    memcpy((unsigned char *)z->row + size - 4, &crc, 4);
}

#endif
