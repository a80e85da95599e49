/* scan.h: passes over records that lie one behind the other, and that somebody else has proved. Each looks at
 * the rows `start` to `stop` - 1 and writes places, numbers of rows, into `out`, which has room for as many
 * as it looks at; it returns how many. */
#ifndef FASTREC_SCAN_H
#define FASTREC_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The bytes of a record that make a column; of a bit-field those that hold it, and which bits of them. */
typedef struct fr_part {
    size_t offset;
    size_t size;
    uint64_t mask; /* 0: all of them; else `size` is at most 8 */
} fr_part;

/* Without a branch, so that states that change at every other row cost no more than those that last. */
#define FR_CHANGES(TYPE)                                                                                     \
    do {                                                                                                     \
        TYPE last, v;                                                                                        \
        memcpy(&last, p, sizeof last);                                                                       \
        for (at = start + 1; at < stop; at++, last = v) {                                                    \
            p += stride;                                                                                     \
            memcpy(&v, p, sizeof v);                                                                         \
            out[found] = (int64_t)at;                                                                        \
            found += v != last;                                                                              \
        }                                                                                                    \
    } while (0)

/* The rows whose bytes are not those of the row before, from `start` + 1 on. */
static inline size_t fr_changes(const unsigned char *rows, size_t stride, fr_part part, size_t start,
                                size_t stop, int64_t *out)
{
    const unsigned char *p = rows + start * stride + part.offset;
    size_t at, found = 0;
    if (start >= stop)
        return 0;
    if (part.mask) {
        uint64_t last = 0, v = 0;
        memcpy(&last, p, part.size);
        for (at = start + 1; at < stop; at++, last = v) {
            p += stride;
            memcpy(&v, p, part.size);
            out[found] = (int64_t)at;
            found += ((v ^ last) & part.mask) != 0;
        }
        return found;
    }
    switch (part.size) {
    case 1: FR_CHANGES(uint8_t); break;
    case 2: FR_CHANGES(uint16_t); break;
    case 4: FR_CHANGES(uint32_t); break;
    case 8: FR_CHANGES(uint64_t); break;
    default:
        for (at = start + 1; at < stop; at++, p += stride) {
            out[found] = (int64_t)at;
            found += memcmp(p, p + stride, part.size) != 0;
        }
    }
    return found;
}
#undef FR_CHANGES

/* The rows that begin more than `limit` ns after the row before was last seen, from `start` + 1 on. `time`
 * and `until` are where these stamps stand in a record. */
static inline size_t fr_silences(const unsigned char *rows, size_t stride, size_t time, size_t until,
                                 int64_t limit, size_t start, size_t stop, int64_t *out)
{
    const unsigned char *p = rows + start * stride;
    size_t at, found = 0;
    for (at = start + 1; at < stop; at++, p += stride) {
        uint64_t seen, begins;
        memcpy(&seen, p + until, 8);
        memcpy(&begins, p + stride + time, 8);
        out[found] = (int64_t)at;
        found += (int64_t)(begins - seen) > limit; /* stamps of a file may be anything: it wraps */
    }
    return found;
}

/* Ranges of rows that `fr_before` goes through; stamps never fall. */
typedef struct fr_ordered {
    const unsigned char *rows;
    size_t stride;
    size_t time;  /* where a stamp stands in a record */
    size_t until; /* where it says when it was seen last */
    const int64_t *starts;
    const int64_t *stops;
    size_t ranges; /* at least 1, none of them empty */
} fr_ordered;

static inline int64_t fr_stamp(const fr_ordered *o, size_t row, size_t offset)
{
    int64_t stamp;
    memcpy(&stamp, o->rows + row * o->stride + offset, 8);
    return stamp;
}

/* Of each time, which never fall either, the row behind the last that is stamped before it, or at it where
 * `equal`, and when that one was seen last. Without such a row: the first row, and nothing. */
static inline void fr_before(const fr_ordered *o, const int64_t *times, size_t count, int equal, int64_t *out,
                             int64_t *seen)
{
    size_t i, range = 0, at = (size_t)o->starts[0], stop = (size_t)o->stops[0];
    int64_t last = 0;
    for (i = 0; i < count; i++) {
        const int64_t limit = equal ? times[i] : times[i] - (times[i] > INT64_MIN);
        const int none = !equal && times[i] == INT64_MIN;
#define FR_BEFORE(row) (fr_stamp(o, row, o->time) <= limit)
        while (!none) {
            /* The row is near where times are dense; where they are not, steps double. */
            size_t low = at, step = 1;
            while (low < stop && FR_BEFORE(low)) {
                at = low + 1;
                low += step;
                step *= 2;
            }
            low = low < stop ? low : stop;
            while (at < low) {
                const size_t middle = at + (low - at) / 2;
                if (FR_BEFORE(middle))
                    at = middle + 1;
                else
                    low = middle;
            }
            if (at < stop || range + 1 == o->ranges || !FR_BEFORE((size_t)o->starts[range + 1]))
                break;
            range++;
            at = (size_t)o->starts[range];
            stop = (size_t)o->stops[range];
        }
#undef FR_BEFORE
        if (at > (size_t)o->starts[range])
            last = fr_stamp(o, at - 1, o->until);
        out[i] = (int64_t)at;
        seen[i] = last;
    }
}

/* A pattern of 64 bits, its small number, and how often it came: side by side, for a processor that takes
 * what it reads for what it has just written elsewhere, at the same place of another page, has to wait. */
typedef struct fr_code {
    uint64_t key;
    int32_t code; /* -1: free */
    uint32_t count;
} fr_code;

/* Small numbers for patterns of 64 bits, in the order in which they first came: open addressing. */
typedef struct fr_codes {
    fr_code *slot;
    uint64_t *order; /* the pattern of each code */
    size_t slots;    /* a power of 2, at least 2, more than twice `count`, at most FR_CODES_SLOTS */
    size_t count;
    uint64_t multiplier; /* odd, and nobody else's: so that nobody can make patterns that meet in one slot */
} fr_codes;

#define FR_CODES_SLOTS ((size_t)1 << 32)

static inline fr_code *fr_code_of(const fr_codes *c, uint64_t key)
{
    /* The top bits: of patterns that differ in theirs alone, such as floats, lower ones are all the same. */
    size_t at = (size_t)((key ^ key >> 32) * c->multiplier >> (__builtin_clzll(c->slots) + 1));
    while (c->slot[at].code >= 0 && c->slot[at].key != key)
        at = (at + 1) & (c->slots - 1);
    return &c->slot[at];
}

/* Give a pattern that has none the next code; 0: there is no room. */
static inline int fr_code_new(fr_codes *c, fr_code *slot, uint64_t key)
{
    if (2 * (c->count + 1) >= c->slots)
        return 0;
    slot->key = key;
    slot->count = 0;
    slot->code = (int32_t)c->count;
    c->order[c->count++] = key;
    return 1;
}

/* Forget all patterns, and tell how often each came. The last first: so the others are found until then. */
static inline void fr_codes_take(fr_codes *c, uint64_t *counts)
{
    for (; c->count; c->count--) {
        fr_code *slot = fr_code_of(c, c->order[c->count - 1]);
        counts[c->count - 1] = slot->count;
        slot->code = -1;
    }
}

/* Codes of the patterns up to the first for which there is no room; how many that are. */
static inline size_t fr_codes_of(fr_codes *c, const uint64_t *keys, size_t count, int64_t *out)
{
    size_t i;
    for (i = 0; i < count; i++) {
        fr_code *slot = fr_code_of(c, keys[i]);
        if (slot->code < 0 && !fr_code_new(c, slot, keys[i]))
            break;
        out[i] = slot->code;
    }
    return i;
}

/* No branch depends on what the rows hold, as long as it has been seen before. */
#define FR_TALLY(LOAD)                                                                                       \
    do {                                                                                                     \
        for (; at < stop; at++, p += stride) {                                                               \
            uint64_t key;                                                                                    \
            fr_code *slot;                                                                                   \
            LOAD;                                                                                            \
            slot = fr_code_of(&table, key);                                                                  \
            if (slot->code < 0) {                                                                            \
                first[c->count] = (int64_t)at;                                                               \
                if (!fr_code_new(c, slot, key))                                                              \
                    return at;                                                                               \
            }                                                                                                \
            slot->count++;                                                                                   \
        }                                                                                                    \
    } while (0)
#define FR_TALLY_TYPE(TYPE) FR_TALLY(TYPE v; memcpy(&v, p, sizeof v); key = v)

/* Count how many rows, less than 2^32 in all, have each pattern of at most 8 bytes; into `first`, by its
 * code, goes the row at which it first came, and there is room for one more than have come. Returns the row
 * for whose pattern there is no room, or `stop`. */
static inline size_t fr_tally(fr_codes *c, const unsigned char *rows, size_t stride, fr_part part, size_t at,
                              size_t stop, int64_t *first)
{
    const unsigned char *p = rows + at * stride + part.offset;
    const uint64_t mask = part.mask ? part.mask : UINT64_MAX;
    const fr_codes table = *c; /* `slot` and `slots` stay: so they need not be read anew for each row */
    switch (part.mask ? 0 : part.size) {
    case 1: FR_TALLY_TYPE(uint8_t); break;
    case 2: FR_TALLY_TYPE(uint16_t); break;
    case 4: FR_TALLY_TYPE(uint32_t); break;
    case 8: FR_TALLY_TYPE(uint64_t); break;
    default: FR_TALLY(key = 0; memcpy(&key, p, part.size); key &= mask); break;
    }
    return at;
}
#undef FR_TALLY_TYPE
#undef FR_TALLY

#define FR_LANE 1024      /* rows at a time */
#define FR_FEW_STATES 16U /* so many are counted in one go after the other */

typedef uint32_t fr_four __attribute__((vector_size(16)));

/* The same for at most FR_LANE rows, at least one, in which there are few states of at most four bytes: one
 * pass for each, and none waits for what another has counted. Returns how many there are; 0: not so few. */
static inline size_t fr_tally_few(const unsigned char *rows, size_t stride, fr_part part, size_t start,
                                  size_t stop, uint64_t *counts, int64_t *first)
{
    union {
        fr_four four[FR_LANE / 4];
        uint32_t one[FR_LANE];
    } v;
    uint32_t known[FR_FEW_STATES];
    const uint32_t mask = part.mask ? (uint32_t)part.mask : UINT32_MAX;
    const size_t count = stop - start;
    const unsigned char *p = rows + start * stride + part.offset;
    size_t states = 0, left = count, i, at, j;
#define FR_LOAD(TYPE)                                                                                        \
    for (i = 0; i < count; i++, p += stride) {                                                               \
        TYPE w;                                                                                              \
        memcpy(&w, p, sizeof w);                                                                             \
        v.one[i] = w & mask;                                                                                 \
    }
    switch (part.size) {
    case 1: FR_LOAD(uint8_t); break;
    case 2: FR_LOAD(uint16_t); break;
    case 4: FR_LOAD(uint32_t); break;
    default: return 0;
    }
#undef FR_LOAD
    for (at = 0; left; at++) {
        const uint32_t one = v.one[at];
        fr_four sums = {0, 0, 0, 0}, more = {0, 0, 0, 0};
        size_t same = 0;
        for (j = 0; j < states && known[j] != one; j++)
            ;
        if (j < states)
            continue;
        if (states == FR_FEW_STATES)
            return 0;
        const fr_four all = {one, one, one, one};
        for (i = 0; i < count / 16; i++) {
            const fr_four *four = &v.four[4 * i];
            sums += (fr_four)(four[0] == all) + (fr_four)(four[1] == all);
            more += (fr_four)(four[2] == all) + (fr_four)(four[3] == all);
        }
        sums = -sums - more;
        for (i *= 16; i < count; i++)
            same += v.one[i] == one;
        same += (size_t)sums[0] + sums[1] + sums[2] + sums[3];
        known[states] = one;
        first[states] = (int64_t)(start + at);
        counts[states++] = same;
        left -= same;
    }
    return states;
}

#endif
