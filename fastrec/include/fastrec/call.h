/* call.h: one call of a getter: what it is given, and what the value that comes back means.
 *
 * A getter is a function of two pointers (fr_poll_fn), or an ordinary C function as it is (fr_call): up to
 * six integers or pointers, one of which is where the struct goes, and a rule for its return value. */
#ifndef FASTREC_CALL_H
#define FASTREC_CALL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Fill `out` with the struct as it is now. Any other value than these two: failed, with that code. */
typedef int32_t (*fr_poll_fn)(void *ctx, void *out);
#define FR_POLL_NEW 0
#define FR_POLL_SAME INT32_MAX /* nothing new since the last call */

#define FR_CALL_ARGS 6
#define FR_CALL_NO_OUT FR_CALL_ARGS /* place of the struct where there is none: passed to nobody */

/* How a return value tells success. */
enum { FR_RETURNS_ZERO, FR_RETURNS_NONNEGATIVE, FR_RETURNS_NONZERO, FR_RETURNS_HRESULT, FR_RETURNS_VOID };

typedef intptr_t (*fr_function)(intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t);

/* Never written once it is made: several threads may poll one call. */
typedef struct fr_call {
    fr_function function;
    intptr_t args[FR_CALL_ARGS + 1];
    int out;                     /* which argument is the struct */
    int returns;                 /* FR_RETURNS_... */
    int width;                   /* bytes of the return value as it is declared: 1, 2, 4 or 8 */
    int is_signed;               /* ... and its sign */
    uint64_t failure;            /* bits of the return value: failed when one of them is set ... */
    int inverted;                /* ... or, with 1, when none is */
    int cells;                   /* arguments that are addresses of a u32 */
    uint32_t cell[FR_CALL_ARGS]; /* what these hold before each call */
    int cell_at[FR_CALL_ARGS];   /* which arguments they are */
    size_t size;                 /* of the struct */
    unsigned char *init;         /* what it holds before each call; NULL: what it held */
} fr_call;

/* Whether a return value means success is one test of its bits, whatever the rule. */
static inline void fr_call_rule(fr_call *k, int returns, int width, int is_signed)
{
    uint64_t all = UINT64_MAX >> (64 - 8 * width), sign = is_signed ? (all >> 1) + 1 : 0;
    k->returns = returns;
    k->width = width;
    k->is_signed = is_signed;
    k->inverted = returns == FR_RETURNS_NONZERO;
    k->failure = returns == FR_RETURNS_VOID                   ? 0
                 : returns == FR_RETURNS_NONNEGATIVE          ? sign
                 : returns == FR_RETURNS_HRESULT && width < 4 ? sign
                 : returns == FR_RETURNS_HRESULT              ? 0x80000000u
                                                              : all;
}

static inline int fr_call_failed(const fr_call *k, intptr_t value)
{
    return ((uint64_t)value & k->failure ? 1 : 0) != k->inverted;
}

/* The code of a value that means failure: never one of the two that do not. */
static inline int32_t fr_call_code(const fr_call *k, intptr_t value, int error)
{
    int above = 64 - 8 * k->width; /* the register beyond the declared type is rubbish */
    uint64_t high = (uint64_t)value << above;
    int64_t v = k->is_signed ? (int64_t)high >> above : (int64_t)(high >> above);
    int32_t code;
    if (k->returns == FR_RETURNS_HRESULT)
        return (int32_t)v;
    if (k->returns == FR_RETURNS_NONZERO)
        return error ? error : -1;
    if (v == -1 && error)
        return error;
    code = v >= INT32_MIN && v <= (int64_t)UINT32_MAX ? (int32_t)v /* an unsigned code keeps its bits */
           : v > 0                                    ? INT32_MAX - 1
                                                      : INT32_MIN;
    return code == FR_POLL_NEW ? -1 : code == FR_POLL_SAME ? FR_POLL_SAME - 1 : code;
}

/* Is the call nothing but its arguments? Then a poller may make it without us. */
static inline int fr_call_is_plain(const fr_call *k) { return !k->cells && !k->init; }

/* The fr_poll_fn of a call, which is its `ctx`. */
static inline int32_t fr_call_poll(void *ctx, void *out)
{
    const fr_call *k = (const fr_call *)ctx;
    intptr_t a[FR_CALL_ARGS + 1], value;
    uint32_t cell[FR_CALL_ARGS];
    int i;
    memcpy(a, k->args, sizeof a);
    if (k->init)
        memcpy(out, k->init, k->size);
    for (i = 0; i < k->cells; i++) {
        cell[i] = k->cell[i];
        a[k->cell_at[i]] = (intptr_t)&cell[i];
    }
    a[k->out] = (intptr_t)out;
    errno = 0;
    value = k->function(a[0], a[1], a[2], a[3], a[4], a[5]);
    return fr_call_failed(k, value) ? fr_call_code(k, value, errno) : FR_POLL_NEW;
}

/* ---- a call under watch ---- */

#define FR_CANARY_SIZE 65536 /* bytes behind the struct that a getter may spoil before memory does */

/* What a watched call showed. */
typedef struct fr_probe {
    int32_t code;    /* what the getter returned */
    uint32_t excess; /* bytes written past the struct */
} fr_probe;

/* What stands behind the struct during a watched call: no two neighbours alike, and no zero, which is what
 * getters write most. */
static inline unsigned char fr_call_pattern(size_t i) { return (unsigned char)(1 + i * 37 % 253); }

/* One call of `fn`, with every one of the `room` bytes from `behind` on watched. */
static inline fr_probe fr_call_watch(fr_poll_fn fn, void *ctx, void *out, unsigned char *behind, size_t room)
{
    fr_probe probe;
    size_t i;
    for (i = 0; i < room; i++)
        behind[i] = fr_call_pattern(i);
    probe.code = fn(ctx, out);
    for (i = room; i && behind[i - 1] == fr_call_pattern(i - 1); i--)
        ;
    probe.excess = (uint32_t)i;
    return probe;
}

#endif
