/* condition.h: which records meet a condition, 1024 at a time, without Python.
 *
 * A condition is a list of steps on a stack, put together by who knows the schema, and never changed. A slot
 * of the stack has a value for each of the records: the truth, a whole number of 128 bits, or a double. */
#ifndef FASTREC_CONDITION_H
#define FASTREC_CONDITION_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "scan.h"
#include "zone.h"

__extension__ typedef __int128 fr_whole;

typedef enum fr_relation { FR_EQ, FR_NE, FR_LT, FR_LE, FR_GT, FR_GE } fr_relation;

typedef enum fr_operation {
    FR_PLUS,
    FR_MINUS,
    FR_TIMES,
    FR_DIVIDED,
    FR_FLOOR,
    FR_MODULO,
    FR_BIT_AND,
    FR_BIT_OR,
    FR_BIT_XOR,
    FR_LEFT,
    FR_RIGHT,
    FR_NEGATIVE, /* from here on of one value */
    FR_INVERTED,
    FR_ABSOLUTE
} fr_operation;

/* What a step does; ( before -- after ) is what it takes from the stack and what it puts there. */
typedef enum fr_step_kind {
    FR_STEP_TRUTH,    /* ( -- t )     `low` != 0 */
    FR_STEP_FIELD,    /* ( -- t )     a field in a relation to a pattern of its kind, `low` */
    FR_STEP_MASKED,   /* ( -- t )     the bits `low` of a field are `high` */
    FR_STEP_AMONG,    /* ( -- t )     a field's pattern is one of the `count` of the table from `place` on */
    FR_STEP_BYTES,    /* ( -- t )     `count` bytes at `low` are those of the table from `place` on */
    FR_STEP_TEXT,     /* ( -- t )     a field's id is one of the `place`-th list that the caller gives */
    FR_STEP_GIVEN,    /* ( -- t )     what the caller gives as the `place`-th list of truths */
    FR_STEP_AND,      /* ( t t -- t ) */
    FR_STEP_OR,       /* ( t t -- t ) */
    FR_STEP_NOT,      /* ( t -- t ) */
    FR_STEP_WHOLE,    /* ( -- w )     a field */
    FR_STEP_REAL,     /* ( -- r )     a field */
    FR_STEP_WHOLE_IS, /* ( -- w )     `high`, `low` */
    FR_STEP_REAL_IS,  /* ( -- r )     `low` */
    FR_STEP_TO_REAL,  /* ( w -- r )   of the `how`-th from the top, 0 or 1 */
    FR_STEP_PHYSICAL, /* ( r -- r )   times `low` plus `high` */
    FR_STEP_PARTS,    /* ( r -- r )   plus `low`, divided by `high` */
    FR_STEP_NEAR,     /* ( r -- t )   at most `high` from `low`, or equal to it */
    FR_STEP_NAN,      /* ( r -- t ) */
    FR_STEP_ON_WHOLE, /* ( w w -- w ) or ( w -- w ) */
    FR_STEP_ON_REAL,  /* ( r r -- r ) or ( r -- r ) */
    FR_STEP_WHOLES,   /* ( w w -- t ) a relation */
    FR_STEP_REALS,    /* ( r r -- t ) a relation */
    FR_STEP_WHOLE_REAL, /* ( w r -- t ) a relation */
    FR_STEP_REAL_WHOLE  /* ( r w -- t ) a relation */
} fr_step_kind;

typedef struct fr_step {
    uint8_t kind;   /* fr_step_kind */
    uint8_t how;    /* fr_relation, fr_operation, or as the kind says */
    uint16_t field; /* which */
    uint32_t place; /* in the table: of patterns, of bytes, or of what the caller gives */
    uint32_t count;
    uint32_t pad;
    uint64_t low, high;
} fr_step;

typedef union fr_slot {
    fr_whole whole[FR_LANE];
    double real[FR_LANE];
    uint8_t truth[FR_LANE];
} fr_slot;

/* What the caller gives for the records at hand. */
typedef struct fr_given {
    const uint64_t *ids; /* the ids of all its lists, each sorted */
    const size_t *ends;  /* where each list of ids ends; it begins where the one before ends */
    const uint8_t *const *truths;
    size_t first; /* the row to which the first of the truths belongs */
} fr_given;

typedef struct fr_condition {
    const fr_step *step;
    size_t steps;
    const fr_zone_field *field;
    const uint64_t *patterns; /* the tables of FR_STEP_AMONG, each sorted */
    const unsigned char *bytes;
} fr_condition;

#define FR_COLUMN(TYPE, WIDE)                                                                                \
    do {                                                                                                     \
        TYPE v;                                                                                              \
        WIDE w;                                                                                              \
        for (i = 0; i < n; i++, p += stride) {                                                               \
            memcpy(&v, p, sizeof v);                                                                         \
            w = (WIDE)v;                                                                                     \
            memcpy(&out[i], &w, 8);                                                                          \
        }                                                                                                    \
    } while (0)

/* The 8-byte patterns of a field of `n` records. */
static inline void fr_column(const fr_zone_field *f, const unsigned char *rows, size_t stride, size_t n,
                             uint64_t *out)
{
    const unsigned char *p = rows + f->offset;
    size_t i;
    if (f->swapped || f->width || (f->kind == 'f' && f->size == 2)) {
        for (i = 0; i < n; i++)
            out[i] = fr_zone_load(f, rows + i * stride);
        return;
    }
    switch (f->kind << 8 | f->size) {
    case 'i' << 8 | 1: FR_COLUMN(int8_t, int64_t); break;
    case 'i' << 8 | 2: FR_COLUMN(int16_t, int64_t); break;
    case 'i' << 8 | 4: FR_COLUMN(int32_t, int64_t); break;
    case 'u' << 8 | 1: FR_COLUMN(uint8_t, uint64_t); break;
    case 'u' << 8 | 2: FR_COLUMN(uint16_t, uint64_t); break;
    case 'u' << 8 | 4: FR_COLUMN(uint32_t, uint64_t); break;
    case 'f' << 8 | 4: FR_COLUMN(float, double); break;
    default: FR_COLUMN(uint64_t, uint64_t);
    }
}
#undef FR_COLUMN

#define FR_EACH(EXPRESSION)                                                                                  \
    do {                                                                                                     \
        for (i = 0; i < n; i++)                                                                              \
            out[i] = (uint8_t)(EXPRESSION);                                                                  \
    } while (0)
#define FR_RELATE(A, B)                                                                                      \
    do {                                                                                                     \
        switch (how) {                                                                                       \
        case FR_EQ: FR_EACH((A) == (B)); break;                                                              \
        case FR_NE: FR_EACH((A) != (B)); break;                                                              \
        case FR_LT: FR_EACH((A) < (B)); break;                                                               \
        case FR_LE: FR_EACH((A) <= (B)); break;                                                              \
        case FR_GT: FR_EACH((A) > (B)); break;                                                               \
        default: FR_EACH((A) >= (B));                                                                        \
        }                                                                                                    \
    } while (0)

static inline void fr_relate_field(char kind, int how, const uint64_t *v, uint64_t to, size_t n, uint8_t *out)
{
    size_t i;
    if (kind == 'f')
        FR_RELATE(fr_double_of(v[i]), fr_double_of(to));
    else if (kind == 'i')
        FR_RELATE((int64_t)v[i], (int64_t)to);
    else
        FR_RELATE(v[i], to);
}

/* Below 0, 0 or above 0; 2 where `r` is NaN. No whole number is rounded. */
static inline int fr_order(fr_whole w, double r)
{
    const double end = 0x1p127;
    fr_whole t;
    if (r != r)
        return 2;
    if (r >= end || r < -end)
        return r > 0 ? -1 : 1;
    t = (fr_whole)r;
    if (w != t)
        return w < t ? -1 : 1;
    return r == (double)t ? 0 : r > (double)t ? -1 : 1;
}

static inline int fr_has_order(int order, int how)
{
    switch (how) {
    case FR_EQ: return order == 0;
    case FR_NE: return order != 0;
    case FR_LT: return order < 0;
    case FR_LE: return order <= 0;
    case FR_GT: return order == 1;
    default: return order == 0 || order == 1;
    }
}

static inline int fr_among(const uint64_t *sorted, size_t count, uint64_t v)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle] < v)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && sorted[low] == v;
}

#define FR_WHOLE_MAX ((fr_whole)(~(unsigned __int128)0 >> 1))

/* Of whole numbers beyond 128 bits the nearest that there is. */
static inline fr_whole fr_on_whole(int how, fr_whole a, fr_whole b)
{
    fr_whole r;
    switch (how) {
    case FR_PLUS: return __builtin_add_overflow(a, b, &r) ? (b < 0 ? ~FR_WHOLE_MAX : FR_WHOLE_MAX) : r;
    case FR_MINUS: return __builtin_sub_overflow(a, b, &r) ? (b > 0 ? ~FR_WHOLE_MAX : FR_WHOLE_MAX) : r;
    case FR_TIMES:
        return __builtin_mul_overflow(a, b, &r) ? ((a < 0) != (b < 0) ? ~FR_WHOLE_MAX : FR_WHOLE_MAX) : r;
    case FR_FLOOR: /* by 0, which nobody asks for, it is 0 */
        if (b == 0 || b == -1)
            return b ? fr_on_whole(FR_NEGATIVE, a, 0) : 0;
        r = a / b;
        return r - (a % b && (a < 0) != (b < 0));
    case FR_MODULO:
        if (b == 0 || b == -1)
            return 0;
        r = a % b;
        return r && (r < 0) != (b < 0) ? r + b : r;
    case FR_BIT_AND: return a & b;
    case FR_BIT_OR: return a | b;
    case FR_BIT_XOR: return a ^ b;
    case FR_LEFT:
        if (b < 0)
            return 0;
        if (!a || b < 1)
            return a;
        r = b < 127 ? (fr_whole)((unsigned __int128)a << b) : 0;
        return b < 127 && r >> b == a ? r : a < 0 ? ~FR_WHOLE_MAX : FR_WHOLE_MAX;
    case FR_RIGHT: return b < 0 ? 0 : a >> (b < 127 ? (int)b : 127);
    case FR_NEGATIVE: return a == ~FR_WHOLE_MAX ? FR_WHOLE_MAX : -a;
    case FR_INVERTED: return ~a;
    default: return a < 0 ? fr_on_whole(FR_NEGATIVE, a, 0) : a;
    }
}

/* As Python divides: the rest has the sign of `b`, and the quotient is the whole number that the rest leaves,
 * which a / b may have been rounded past. */
static inline double fr_modulo(double a, double b)
{
    double r = fmod(a, b);
    return r == 0 ? copysign(0, b) : (r < 0) != (b < 0) ? r + b : r;
}

static inline double fr_floor(double a, double b)
{
    double q, r;
    if (b == 0)
        return a / b;
    r = fmod(a, b);
    q = (a - r) / b - (r != 0 && (r < 0) != (b < 0));
    if (q == 0)
        return copysign(0, a / b);
    r = floor(q);
    return q - r > 0.5 ? r + 1 : r;
}

static inline double fr_on_real(int how, double a, double b)
{
    switch (how) {
    case FR_PLUS: return a + b;
    case FR_MINUS: return a - b;
    case FR_TIMES: return a * b;
    case FR_DIVIDED: return a / b;
    case FR_FLOOR: return fr_floor(a, b);
    case FR_MODULO: return fr_modulo(a, b);
    case FR_NEGATIVE: return -a;
    default: return fabs(a);
    }
}

/* One step for `n` records; `top` is the first free slot, the new one is returned. `v` has room for a column.
 */
static inline fr_slot *fr_take_step(const fr_condition *c, const fr_step *s, const fr_given *given,
                                    const unsigned char *rows, size_t stride, size_t row, size_t n,
                                    fr_slot *top, uint64_t *v)
{
    const unsigned char *p = rows + row * stride;
    const fr_zone_field *f = &c->field[s->field];
    fr_slot *a = top - 1, *b = top - 2; /* the last two, the last one first */
    uint8_t *out = top->truth;
    int how = s->how;
    size_t i, begin;
    switch (s->kind) {
    case FR_STEP_TRUTH: memset(out, s->low != 0, n); return top + 1;
    case FR_STEP_FIELD:
        fr_column(f, p, stride, n, v);
        fr_relate_field((char)f->kind, how, v, s->low, n, out);
        return top + 1;
    case FR_STEP_MASKED:
        fr_column(f, p, stride, n, v);
        FR_EACH((v[i] & s->low) == s->high);
        return top + 1;
    case FR_STEP_AMONG:
        fr_column(f, p, stride, n, v);
        FR_EACH(fr_among(c->patterns + s->place, s->count, v[i]));
        return top + 1;
    case FR_STEP_BYTES:
        FR_EACH(!memcmp(p + i * stride + s->low, c->bytes + s->place, s->count));
        return top + 1;
    case FR_STEP_TEXT:
        fr_column(f, p, stride, n, v);
        begin = s->place ? given->ends[s->place - 1] : 0;
        FR_EACH(fr_among(given->ids + begin, given->ends[s->place] - begin, v[i]));
        return top + 1;
    case FR_STEP_GIVEN: memcpy(out, given->truths[s->place] + (row - given->first), n); return top + 1;
    case FR_STEP_AND:
        out = b->truth;
        FR_EACH(out[i] & a->truth[i]);
        return a;
    case FR_STEP_OR:
        out = b->truth;
        FR_EACH(out[i] | a->truth[i]);
        return a;
    case FR_STEP_NOT:
        out = a->truth;
        FR_EACH(!out[i]);
        return top;
    case FR_STEP_WHOLE:
        fr_column(f, p, stride, n, v);
        for (i = 0; i < n; i++)
            top->whole[i] = f->kind == 'i' ? (fr_whole)(int64_t)v[i] : (fr_whole)v[i];
        return top + 1;
    case FR_STEP_REAL:
        fr_column(f, p, stride, n, v);
        for (i = 0; i < n; i++)
            top->real[i] = f->kind == 'f'   ? fr_double_of(v[i])
                           : f->kind == 'i' ? (double)(int64_t)v[i]
                                            : (double)v[i];
        return top + 1;
    case FR_STEP_WHOLE_IS:
        for (i = 0; i < n; i++)
            top->whole[i] = (fr_whole)((unsigned __int128)s->high << 64 | s->low);
        return top + 1;
    case FR_STEP_REAL_IS:
        for (i = 0; i < n; i++)
            top->real[i] = fr_double_of(s->low);
        return top + 1;
    case FR_STEP_TO_REAL:
        b = how ? b : a;
        for (i = 0; i < n; i++)
            b->real[i] =
                (double)b->whole[i]; /* each lies before the one that it is made of, or at its place */
        return top;
    case FR_STEP_PHYSICAL:
        for (i = 0; i < n; i++)
            a->real[i] = a->real[i] * fr_double_of(s->low) + fr_double_of(s->high);
        return top;
    case FR_STEP_PARTS:
        for (i = 0; i < n; i++)
            a->real[i] = (a->real[i] + fr_double_of(s->low)) / fr_double_of(s->high);
        return top;
    case FR_STEP_NEAR:
        memcpy(v, a->real, n * 8);
        out = a->truth;
        FR_EACH(fr_double_of(v[i]) == fr_double_of(s->low)
                || fabs(fr_double_of(v[i]) - fr_double_of(s->low)) <= fr_double_of(s->high));
        return top;
    case FR_STEP_NAN:
        memcpy(v, a->real, n * 8);
        out = a->truth;
        FR_EACH(isnan(fr_double_of(v[i])));
        return top;
    case FR_STEP_ON_WHOLE:
        if (how >= FR_NEGATIVE) {
            for (i = 0; i < n; i++)
                a->whole[i] = fr_on_whole(how, a->whole[i], 0);
            return top;
        }
        for (i = 0; i < n; i++)
            b->whole[i] = fr_on_whole(how, b->whole[i], a->whole[i]);
        return a;
    case FR_STEP_ON_REAL:
        if (how >= FR_NEGATIVE) {
            for (i = 0; i < n; i++)
                a->real[i] = fr_on_real(how, a->real[i], 0);
            return top;
        }
        for (i = 0; i < n; i++)
            b->real[i] = fr_on_real(how, b->real[i], a->real[i]);
        return a;
    }
    /* Relations: their truths go to the free slot first, for they lie where the values are. */
    switch (s->kind) {
    case FR_STEP_WHOLES: FR_RELATE(b->whole[i], a->whole[i]); break;
    case FR_STEP_REALS:
        FR_RELATE(b->real[i], a->real[i]);
        if (how == FR_EQ || how == FR_NE) /* of two doubles; with a whole number there is no NaN to find */
            for (i = 0; i < n; i++)
                if (isnan(a->real[i]) && isnan(b->real[i]))
                    out[i] = how == FR_EQ;
        break;
    case FR_STEP_WHOLE_REAL: FR_EACH(fr_has_order(fr_order(b->whole[i], a->real[i]), how)); break;
    default: /* turned round: NaN stays NaN */
        FR_EACH(fr_has_order(fr_order(a->whole[i], b->real[i]), how < FR_LT   ? how
                                                                : how < FR_GT ? how + 2
                                                                              : how - 2));
    }
    memmove(b->truth, out, n);
    return a;
}
#undef FR_RELATE
#undef FR_EACH

/* Whole numbers v in a relation to another are those with v - `low` <= `span`, modulo 2^64, or the others. */
typedef struct fr_range {
    uint64_t low;
    uint64_t span;
    int outside;
} fr_range;

/* `least` is the pattern of the least number that there is. */
static inline fr_range fr_range_of(int how, uint64_t to, uint64_t least)
{
    const fr_range same = {to, 0, how == FR_NE}, upto = {least, to - least, how == FR_GT};
    const fr_range all = {0, UINT64_MAX, how == FR_LT}; /* or none */
    const fr_range below = {least, to - least - 1, how == FR_GE};
    switch (how) {
    case FR_EQ:
    case FR_NE: return same;
    case FR_LE:
    case FR_GT: return upto;
    default: return to == least ? all : below;
    }
}

#define FR_ONE(TYPE, WIDE, AHEAD)                                                                            \
    do {                                                                                                     \
        TYPE v;                                                                                              \
        memcpy(&v, p + (AHEAD) * stride, sizeof v);                                                          \
        out[found] = (int64_t)(row + (AHEAD));                                                               \
        found += ((uint64_t)(WIDE)v - low <= span) ^ outside;                                                \
    } while (0)

/* Four in a turn: what is asked stays in registers. */
#define FR_INSIDE(TYPE, WIDE)                                                                                \
    do {                                                                                                     \
        for (; row + 4 <= stop; row += 4, p += 4 * stride) {                                                 \
            FR_ONE(TYPE, WIDE, 0);                                                                           \
            FR_ONE(TYPE, WIDE, 1);                                                                           \
            FR_ONE(TYPE, WIDE, 2);                                                                           \
            FR_ONE(TYPE, WIDE, 3);                                                                           \
        }                                                                                                    \
        for (; row < stop; row++, p += stride)                                                               \
            FR_ONE(TYPE, WIDE, 0);                                                                           \
        return found;                                                                                        \
    } while (0)

/* The same as `fr_meeting` where the only step is a whole number in a relation, in one pass. */
static inline size_t fr_meeting_range(const fr_zone_field *f, fr_range r, const unsigned char *rows,
                                      size_t stride, size_t row, size_t stop, int64_t *out)
{
    const unsigned char *p = rows + row * stride + f->offset;
    const uint64_t low = r.low, span = r.span;
    const size_t outside = r.outside != 0;
    size_t found = 0;
    switch (f->kind << 8 | f->size) {
    case 'i' << 8 | 1: FR_INSIDE(int8_t, int64_t);
    case 'i' << 8 | 2: FR_INSIDE(int16_t, int64_t);
    case 'i' << 8 | 4: FR_INSIDE(int32_t, int64_t);
    case 'u' << 8 | 1: FR_INSIDE(uint8_t, uint64_t);
    case 'u' << 8 | 2: FR_INSIDE(uint16_t, uint64_t);
    case 'u' << 8 | 4: FR_INSIDE(uint32_t, uint64_t);
    default: FR_INSIDE(uint64_t, uint64_t);
    }
}
#undef FR_INSIDE
#undef FR_ONE

/* The rows `start` to `stop` - 1 that meet the condition, into `out`; how many. `stack` has room for all its
 * slots and one more. */
static inline size_t fr_meeting(const fr_condition *c, const fr_given *given, const unsigned char *rows,
                                size_t stride, size_t start, size_t stop, fr_slot *stack, int64_t *out)
{
    const fr_step *only = c->steps == 1 && c->step->kind == FR_STEP_FIELD ? c->step : NULL;
    const fr_zone_field *f = only ? &c->field[only->field] : NULL;
    uint64_t v[FR_LANE];
    size_t found = 0, row, i, n;
    if (only && f->kind != 'f' && !f->swapped && !f->width)
        return fr_meeting_range(f,
                                fr_range_of(only->how, only->low, f->kind == 'i' ? (uint64_t)INT64_MIN : 0),
                                rows, stride, start, stop, out);
    for (row = start; row < stop; row += n) {
        fr_slot *top = stack;
        n = stop - row < FR_LANE ? stop - row : FR_LANE;
        for (i = 0; i < c->steps; i++)
            top = fr_take_step(c, &c->step[i], given, rows, stride, row, n, top, v);
        for (i = 0; i < n; i++) {
            out[found] = (int64_t)(row + i);
            found += stack->truth[i] != 0; /* whatever the steps left there: `out` has room for the rows */
        }
    }
    return found;
}

#endif
