/* tsc.h: the monotonic clock for the price of reading the processor's counter, and how far off it can be.
 *
 * The clock follows straight lines. A line begins at an anchor, a moment at which counter and monotonic clock
 * were both read, and is followed for a window; the first reading after it is answered by the monotonic clock
 * itself, and is the next anchor. So what is read is never further from an anchor than a window, whatever the
 * reader did meanwhile: slept, was stopped, or moved to another machine.
 *
 * What `bound` promises. Counter and clock are lines with respect to each other, but for the clock being
 * slewed: the kernel's own slewing keeps within 500 ppm of the nominal rate, so that from one moment to the
 * next the rate may change by 1000 ppm, 100 ns in a window. That much is always in the bound. To it comes the
 * greatest error that an anchor can have had: how far the line before it had gone astray, and half the time
 * that reading both took. What breaks the rule, slewing beyond 500 ppm (chrony may do 100,000) and a counter
 * or clock that jumps, shows at the next anchor and is counted there: the bound then covers what was read
 * before too. Two things escape it: what is undone within the window, and a jump after which nothing is read
 * for long, for then the counter seems to have had another rate for that time, and the jump is counted in
 * part.
 *
 * Readings never go backwards. A line that has fallen behind ends in a jump to the clock: a slew would leave
 * every later reading further from the clock, and the intervals across it as wrong, for longer. When a
 * reading was ahead, the next line begins at that reading and is flatter, to meet the clock within a window.
 *
 * fr_tsc_now reads the counter as it comes: the processor may do so before earlier loads have answered, so
 * that of a load that takes a microsecond only some hundred ns are seen. The kernel's clock waits for them,
 * and so does fr_tsc_read(t, fr_ticks_after()), for some ns more: what to take where the time of a load
 * matters. */
#ifndef FASTREC_TSC_H
#define FASTREC_TSC_H

#include "atomic.h"
#include "os.h"

#define FR_TSC_WINDOW 100000LL    /* ns */
#define FR_TSC_UNSEEN 1e-3        /* how much the rate may change unseen: from 500 ppm slower to 500 faster */
#define FR_TSC_FIRST_NOISE 100e-6 /* what the first rate may be off, learnt in haste ... */
#define FR_TSC_RATE_NOISE 5e-6    /* ... and the later ones */
/* ns that a line may have gone astray in a window; 10 for roundings, and cores that differ by a few ticks */
#define FR_TSC_ALLOWANCE ((FR_TSC_UNSEEN + FR_TSC_FIRST_NOISE) * FR_TSC_WINDOW + 10)
#define FR_TSC_UNEVEN 0.25       /* what differs more from the nominal rate is a jump: slewing does 10 % */
#define FR_TSC_WIDEST 2000.0     /* ns: a look at both that took longer is no anchor */
#define FR_TSC_CALIBRATE 5000000 /* ns between two looks of the calibration */
#define FR_TSC_SPANS 6           /* so many of them at most */
#define FR_TSC_AGREE 0.002       /* their rates do: slewing, and what the looks are off */
#define FR_TSC_TRIES 16          /* for each of these looks */
#define FR_TSC_ONE 4294967296.0  /* the unit of a slope */

/* Why the counter is not used. */
enum { FR_TSC_NO_COUNTER = 1, FR_TSC_NOT_INVARIANT, FR_TSC_NOT_TRUSTED, FR_TSC_UNSTEADY };

/* One reader at a time, on any thread. */
typedef struct fr_tsc {
    uint64_t ticks;            /* of the last anchor */
    uint64_t window;           /* ticks from it for which the line is followed */
    uint64_t slope;            /* of the line, in 2^-32 ns a tick */
    int64_t ns;                /* what was read at the anchor: the line's beginning */
    int64_t last;              /* the latest reading */
    uint64_t bound;            /* ns that a reading can have been off; relaxed, for any thread */
    int64_t mono;              /* the monotonic clock at the anchor */
    double nominal;            /* rate of the monotonic clock in ns a tick, when it was calibrated ... */
    double rate;               /* ... and as last learnt */
    double uncertainty;        /* ns that `mono` can be off */
    uint64_t base_ticks;       /* where the next rate is learnt from: an anchor ... */
    int64_t base_mono;         /* ... its time ... */
    double base_uncertainty;   /* ... and ns that this can be off */
    uint64_t narrow;           /* ticks that reading both may take, by what it took before */
    const fr_clock *clock;     /* the monotonic one */
    uint64_t (*counter)(void); /* as the anchors read it: in order */
} fr_tsc;

/* ---- whether ---- */

static inline const char *fr_tsc_refusal(int why)
{
    switch (why) {
    case FR_TSC_NO_COUNTER: return "this processor has no counter that fastrec reads (only x86-64 has)";
    case FR_TSC_NOT_INVARIANT:
        return "the counter of this processor changes its rate or stops (CPUID 0x80000007, EDX bit 8 is 0)";
    case FR_TSC_NOT_TRUSTED:
        return "the kernel does not keep time by the counter"
               " (/sys/devices/system/clocksource/clocksource0/current_clocksource is not tsc)";
    case FR_TSC_UNSTEADY:
        return "counter and monotonic clock kept no common rate in 30 ms (a busy machine, or a poor counter)";
    default: return "";
    }
}

/* The processor's word (EDX of CPUID leaf 0x80000007) and the kernel's (the name of its clock source): the
 * first says that the rate is constant, the second that all cores agree, which only the kernel has tested. */
static inline int fr_tsc_judge(uint32_t edx, const char *clocksource)
{
    if (!(edx >> 8 & 1))
        return FR_TSC_NOT_INVARIANT;
    return strcspn(clocksource, "\n") == 3 && !memcmp(clocksource, "tsc", 3) ? 0 : FR_TSC_NOT_TRUSTED;
}

/* 0, or why not. */
static inline int fr_tsc_usable(void)
{
    char clocksource[32];
    uint32_t edx;
    if (!fr_ticks_promise(&edx))
        return FR_TSC_NO_COUNTER;
    fr_read_text("/sys/devices/system/clocksource/clocksource0/current_clocksource", clocksource,
                 sizeof clocksource);
    return fr_tsc_judge(edx, clocksource);
}

/* ---- arithmetic: what follows from readings ---- */

static inline uint64_t fr_tsc_bound(const fr_tsc *t) { return fr_load_relaxed(&t->bound); }

/* Readings can have been off by `error` at an anchor. */
static inline void fr_tsc_own_up(fr_tsc *t, double error)
{
    uint64_t bound = (uint64_t)(FR_TSC_ALLOWANCE + (error < 9e18 ? error : 9e18));
    if (bound > t->bound)
        fr_store_relaxed(&t->bound, bound);
}

/* Half of what reading both took, with the edges of ticks and ns. */
static inline double fr_tsc_uncertainty(uint64_t width, double rate)
{
    return (double)(width / 2 + 1) * rate + 1;
}

static inline int64_t fr_tsc_give(fr_tsc *t, int64_t ns)
{
    if (ns < t->last) /* cores differ by a few ticks */
        ns = t->last;
    t->last = ns;
    return ns;
}

/* Begin a line at `t->ns`, `ahead` ns before the clock: flat enough to meet it at the end of the window, but
 * at half the rate at least, so that readings stay apart. */
static inline void fr_tsc_line(fr_tsc *t, double ahead)
{
    double flatter = ahead / FR_TSC_WINDOW;
    t->slope = (uint64_t)(t->rate * (1 - (flatter < 0.5 ? flatter : 0.5)) * FR_TSC_ONE);
    t->window = (uint64_t)(FR_TSC_WINDOW / t->rate);
}

/* How far readings since the last anchor can have been off: the line was followed for a window at most, while
 * `off` is what it has gone astray `span` ns after that anchor. */
static inline double fr_tsc_judge_line(const fr_tsc *t, int even, double off, double span, double uncertainty)
{
    double ahead = (double)(t->ns - t->mono);
    double part = span > 2 * FR_TSC_WINDOW ? FR_TSC_WINDOW / span : 1;
    if (even)
        return __builtin_fabs(ahead + (off - ahead) * part) + t->uncertainty
               + (uncertainty - t->uncertainty) * part;
    /* A counter that jumped ahead by a window or more showed at the next reading. */
    return off >= FR_TSC_WINDOW ? uncertainty : __builtin_fabs(off) + uncertainty;
}

/* An anchor: when the counter stood at `ticks` the monotonic clock was within `uncertainty` of `ns`. Returns
 * the reading. */
static inline int64_t fr_tsc_step(fr_tsc *t, uint64_t ticks, int64_t ns, double uncertainty)
{
    double passed = (double)(ticks - t->ticks); /* a counter that went backwards is far ahead */
    double span = passed * t->rate;
    /* By the nominal rate, or one learnt across a jump would make all later times look like jumps. */
    double nominal = passed * t->nominal;
    double jump = __builtin_fabs((double)(ns - t->mono) - nominal) - t->uncertainty - uncertainty;
    double off = (double)(t->ns - ns) + passed * (double)t->slope / FR_TSC_ONE;
    double base = (double)(ticks - t->base_ticks), astray = t->base_uncertainty + uncertainty;
    int even = jump <= nominal * FR_TSC_UNEVEN;
    int learnt = even && astray <= base * t->rate * FR_TSC_RATE_NOISE;
    fr_tsc_own_up(t, fr_tsc_judge_line(t, even, off, span, uncertainty));
    if (learnt)
        t->rate = (double)(ns - t->base_mono) / base;
    if (learnt || !even) {
        t->base_ticks = ticks;
        t->base_mono = ns;
        t->base_uncertainty = uncertainty;
    }
    t->ticks = ticks;
    t->mono = ns;
    t->ns = fr_tsc_give(t, ns);
    t->uncertainty = uncertainty;
    fr_tsc_own_up(t, (double)(t->ns - ns) + uncertainty);
    fr_tsc_line(t, (double)(t->ns - ns));
    return t->ns;
}

/* ---- reading ---- */

/* Read both; the ticks that it took, a huge number when the counter went backwards. */
static inline uint64_t fr_tsc_look(const fr_tsc *t, uint64_t *ticks, int64_t *ns)
{
    uint64_t before = t->counter(), width;
    *ns = t->clock->now();
    width = t->counter() - before;
    *ticks = before + width / 2;
    return width;
}

/* What the next look may take, when one took `width` ticks. */
static inline void fr_tsc_expect(fr_tsc *t, uint64_t width)
{
    uint64_t widest = (uint64_t)(FR_TSC_WIDEST / t->rate);
    t->narrow = 2 * width + 16 < widest ? 2 * width + 16 : widest;
}

/* The window is over. When the look took long, because somebody else ran in between, the monotonic clock
 * answers and the next reading tries again. */
static __attribute__((noinline, unused)) int64_t fr_tsc_anchor(fr_tsc *t)
{
    uint64_t ticks, width;
    int64_t ns;
    width = fr_tsc_look(t, &ticks, &ns);
    if (width > t->narrow) {
        fr_tsc_expect(t, t->narrow);
        return fr_tsc_give(t, ns);
    }
    fr_tsc_expect(t, width);
    return fr_tsc_step(t, ticks, ns, fr_tsc_uncertainty(width, t->rate));
}

static inline int64_t fr_tsc_read(fr_tsc *t, uint64_t ticks)
{
    uint64_t passed = ticks - t->ticks;
    if (__builtin_expect(passed >= t->window, 0))
        return fr_tsc_anchor(t);
    return fr_tsc_give(t, t->ns + (int64_t)(passed * t->slope >> 32));
}

/* ns of the monotonic clock. */
static inline int64_t fr_tsc_now(fr_tsc *t) { return fr_tsc_read(t, fr_ticks()); }

/* ---- beginning ---- */

/* The best of several looks. */
static inline uint64_t fr_tsc_look_well(const fr_tsc *t, uint64_t *ticks, int64_t *ns)
{
    uint64_t least = fr_tsc_look(t, ticks, ns), width, at;
    int64_t then;
    int i;
    for (i = 1; i < FR_TSC_TRIES; i++) {
        width = fr_tsc_look(t, &at, &then);
        if (width < least) {
            least = width;
            *ticks = at;
            *ns = then;
        }
    }
    return least;
}

/* Learn the rate of `counter` against `clock`, over two spans at least that agree. 0, or FR_TSC_UNSTEADY
 * after FR_TSC_SPANS. */
static inline int fr_tsc_calibrate(fr_tsc *t, const fr_clock *clock, uint64_t (*counter)(void))
{
    const uint32_t nobody = 0;
    uint64_t first, before, ticks, first_width, width;
    int64_t first_ns, before_ns, ns, deadline;
    int i;
    memset(t, 0, sizeof *t);
    t->clock = clock;
    t->counter = counter;
    first_width = fr_tsc_look_well(t, &first, &first_ns);
    for (i = 0, ticks = first, ns = first_ns; i < FR_TSC_SPANS; i++) {
        double rate, latest, uncertainty;
        before = ticks;
        before_ns = ns;
        deadline = clock->now() + FR_TSC_CALIBRATE;
        while (clock->now() < deadline)
            clock->wait(&nobody, 0, deadline);
        width = fr_tsc_look_well(t, &ticks, &ns);
        rate = (double)(ns - first_ns) / (double)(ticks - first);
        latest = (double)(ns - before_ns) / (double)(ticks - before);
        if (!(rate > 0.01 && rate < 10) || __builtin_fabs(latest / rate - 1) > FR_TSC_AGREE) {
            first = ticks; /* what was before tells nothing */
            first_ns = ns;
            first_width = width;
            continue;
        }
        uncertainty = fr_tsc_uncertainty(width, rate);
        if (before == first
            || fr_tsc_uncertainty(first_width, rate) + uncertainty
                   > (double)(ns - first_ns) * FR_TSC_FIRST_NOISE)
            continue;
        t->nominal = t->rate = rate;
        t->ticks = t->base_ticks = ticks;
        t->mono = t->base_mono = t->ns = t->last = ns;
        t->uncertainty = t->base_uncertainty = uncertainty;
        fr_tsc_own_up(t, uncertainty);
        fr_tsc_expect(t, width);
        fr_tsc_line(t, 0);
        return 0;
    }
    return FR_TSC_UNSTEADY;
}

/* Calibrate against the monotonic clock, in 10 ms where nobody disturbs us; 0, or why not. */
static inline int fr_tsc_begin(fr_tsc *t)
{
    int why = fr_tsc_usable();
    return why ? why : fr_tsc_calibrate(t, &fr_system_clock, fr_ticks_after);
}

#endif
