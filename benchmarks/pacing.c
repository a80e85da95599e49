/* pacing.c: a getter that notes when it was called, and the loop that anybody would write who knows how. */
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define NS 1000000000ll

typedef struct call {
    int64_t called; /* when, by the monotonic clock */
    uint64_t number;
} call;

typedef struct record {
    int64_t mono_ns;
    call payload;
} record;

uint64_t calls;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS + t.tv_nsec;
}

int32_t note_call(call *out)
{
    out->called = now();
    out->number = calls++;
    return 0;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

typedef struct pace {
    int32_t (*getter)(call *);
    record *records;
    uint64_t count;
    int64_t start, period, spin; /* ns */
} pace;

/* Sleep until `spin` before each deadline, spin, call, clock, copy. A late call is made up for at once. */
static void *pace_all(void *arg)
{
    const pace *p = arg;
    uint64_t i;
    prctl(PR_SET_TIMERSLACK, 1UL);
    for (i = 0; i < p->count; i++) {
        int64_t deadline = p->start + (int64_t)i * p->period, wake = deadline - p->spin;
        struct timespec t = {wake / NS, wake % NS};
        record r;
        if (now() < wake)
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        while (now() < deadline)
            relax();
        p->getter(&r.payload);
        r.mono_ns = now();
        memcpy(&p->records[i], &r, sizeof r);
    }
    return NULL;
}

/* On a thread of its own, as a poller; 0, or an errno. */
int pace_bare(int32_t (*getter)(call *), record *records, uint64_t count, int64_t start, int64_t period,
              int64_t spin)
{
    pace p = {getter, records, count, start, period, spin};
    pthread_t thread;
    int error = pthread_create(&thread, NULL, pace_all, &p);
    return error ? error : pthread_join(thread, NULL);
}

/* ns of one turn of a loop that spins, and of one more look at the clock, the getter's: what is late by less
 * was punctual. */
double punctual(uint64_t turns)
{
    int64_t begin = now();
    uint64_t i;
    for (i = 0; i < turns; i++) {
        relax();
        now();
        now();
    }
    return (double)(now() - begin) / (double)turns;
}
