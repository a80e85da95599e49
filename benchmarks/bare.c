/* bare.c: the loops without fastrec, and the getter that both poll. */
#include <stdint.h>
#include <string.h>
#include <time.h>

typedef struct status {
    int32_t hr;
    uint32_t indi_status;
    uint64_t url;
    uint32_t http_request;
    int32_t http_status;
    uint32_t progress;
    uint32_t total;
} status;

typedef struct record {
    int64_t mono_ns;
    status payload;
} record;

_Static_assert(sizeof(record) == 40, "the record is fastrec's own");

uint64_t calls;

uint64_t steady;

static int32_t fill(status *out, uint64_t n)
{
    uint32_t low = (uint32_t)n;
    out->hr = -(int32_t)(low & 0x7fffffffu);
    out->indi_status = low & 0x3f;
    out->url = n;
    out->http_request = low * 2654435761u;
    out->http_status = (int32_t)(low & 3);
    out->progress = low;
    out->total = ~low;
    return 0;
}

/* Status number n at the n-th call, counted from 0; payloads.py says which that is. */
int32_t get_status(status *out) { return fill(out, calls++); }

/* Status number `steady` at every call: once, or eight times. */
int32_t get_steady(status *out)
{
    calls++;
    return fill(out, steady);
}

int32_t get_steady_8(status *out)
{
    int i;
    calls++;
    for (i = 0; i < 8; i++)
        fill(out + i, steady);
    return 0;
}

int64_t monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int64_t counter(void)
{
#if defined(__x86_64__)
    return (int64_t)__builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

/* What anybody would write: call, clock, copy, from slot *at on. The getter comes as a pointer, as it does to
 * a poller. Returns how many calls failed. */
#define BARE_LOOP(name, clock)                                                                               \
    uint64_t name(int32_t (*getter)(status *), record *array, uint64_t nslots, uint64_t *at, uint64_t polls) \
    {                                                                                                        \
        uint64_t slot = *at, failed = 0;                                                                     \
        record r;                                                                                            \
        for (; polls; polls--) {                                                                             \
            if (getter(&r.payload)) {                                                                        \
                failed++;                                                                                    \
                continue;                                                                                    \
            }                                                                                                \
            r.mono_ns = clock();                                                                             \
            memcpy(&array[slot], &r, sizeof r);                                                              \
            slot = slot + 1 == nslots ? 0 : slot + 1;                                                        \
        }                                                                                                    \
        *at = slot;                                                                                          \
        return failed;                                                                                       \
    }

BARE_LOOP(poll_bare, monotonic)
BARE_LOOP(poll_bare_tsc, counter)

/* `rounds` times the same `count` finished records into a ring of nslots, from slot `slot` on; the next. */
uint64_t copy_wrapping(char *ring, uint64_t nslots, uint64_t size, uint64_t slot, const char *records,
                       uint64_t count, uint64_t rounds)
{
    for (; rounds; rounds--) {
        uint64_t until_end = nslots - slot, first = count < until_end ? count : until_end;
        memcpy(ring + slot * size, records, first * size);
        memcpy(ring, records + first * size, (count - first) * size);
        slot = first < count ? count - first : slot + count == nslots ? 0 : slot + count;
    }
    return slot;
}
