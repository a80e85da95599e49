/* The clock of tsc.h in a world of our own, where the true time is known: counters and clocks that are
 * slewed, jump and differ between cores, readers that are preempted, sleep for hours and are stopped. Usage:
 * tsc_sim SCENARIO SEEDS READS. Prints one line over all seeds; its words are explained at `tally`. */
#include <fastrec/tsc.h>
#include <stdio.h>

#define PPM 1e-6L
#define APART 250 /* anchors between two jumps: a rate that was learnt across one is replaced by then */

typedef struct script {
    const char *name;
    double slew;                   /* ppm either way; the rate of the monotonic clock turns ... */
    double turn;                   /* ... after so many ns */
    double gap;                    /* ns between two readings */
    double idle_share, idle;       /* of the gaps, up to so many ns */
    double preempt_share, preempt; /* of everything that takes time, up to so many ns */
    double look;                   /* ns that reading the monotonic clock takes ... */
    double slowed;                 /* ... and so many more before and after, once calibrated */
    int skew;                      /* ticks between cores */
    double jump_share;             /* of the readings come after a jump: of the counter ... */
    double back, ahead;            /* ... between these ns ... */
    double leap;                   /* ... and of the monotonic clock, up to so many ns ... */
    double doze;                   /* ... after so many ns in which nothing was read */
    int later; /* errors are owned up to at the next anchor only; the world is calm after the first half */
} script;

#define MINUTE 60e9
#define HOUR 3600e9
static const script scripts[] = {
    {.name = "calm", .gap = 100},
    {.name = "turning", .slew = 500, .turn = 300e3, .gap = 500},
    {.name = "drifting", .slew = 500, .turn = 2e9, .gap = 2000},
    {.name = "bursts", .slew = 500, .turn = 1e9, .gap = 300, .idle_share = 0.01, .idle = 2e9},
    {.name = "hours", .slew = 500, .turn = MINUTE, .gap = 300, .idle_share = 0.01, .idle = 5 * HOUR},
    {.name = "preempted", .slew = 500, .turn = 20e6, .gap = 200, .preempt_share = 0.02, .preempt = 10e6},
    {.name = "stopped", .slew = 500, .turn = 1e9, .gap = 500, .preempt_share = 1e-3, .preempt = 10 * MINUTE},
    {.name = "slow look", .slew = 500, .turn = 20e6, .gap = 500, .idle_share = 0.1, .idle = 1e6, .look = 900},
    {.name = "slowed", .slew = 500, .turn = 20e6, .gap = 500, .slowed = 300},
    {.name = "hopeless", .slew = 500, .turn = 20e6, .gap = 500, .preempt_share = 1, .preempt = 20e3},
    {.name = "cores", .slew = 400, .turn = 1e6, .gap = 4, .skew = 4},
    {.name = "migrated",
     .slew = 500,
     .gap = 500,
     .jump_share = 1e-4,
     .back = -HOUR,
     .ahead = HOUR,
     .turn = 20e6},
    {.name = "nudged", .gap = 200, .jump_share = 1e-4, .back = -90e3, .ahead = 90e3, .later = 1},
    {.name = "dozing", .gap = 500, .jump_share = 1e-4, .doze = 1e9, .ahead = 0.4e9, .later = 1},
    {.name = "leaping", .gap = 200, .jump_share = 1e-4, .leap = 1e9, .later = 1},
    {.name = "chrony", .slew = 1e5, .turn = 50e6, .gap = 500, .later = 1},
    {.name = "uneven", .slew = 5e4, .turn = 4e6, .gap = 500, .later = 1},
};

/* ---- the world ---- */

static const script *plot;
static uint64_t dice;
static long double counter, clock_ns; /* what they would show with all their decimals */
static double frequency;              /* ticks an ns */
static double ppm, turn_in;
static int calibrated, calm;
static uint64_t power_on; /* what the counter stood at when our time began */
static long looks;
static int64_t shown; /* what the monotonic clock showed last */

static double chance(double upto)
{
    dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
    return (double)(dice >> 11) / 9007199254740992.0 * upto;
}

static void pass(double ns)
{
    while (ns > 0) {
        double step = plot->slew && !calm && turn_in < ns ? turn_in : ns;
        counter += (long double)step * frequency;
        clock_ns += (long double)step * (1 + ppm * PPM);
        ns -= step;
        if (plot->slew && (turn_in -= step) <= 0 && !calm) {
            ppm = chance(1) < 0.5 ? chance(2 * plot->slew) - plot->slew : ppm > 0 ? -plot->slew : plot->slew;
            turn_in = 1 + chance(2 * plot->turn);
        }
    }
}

static void take(double ns)
{
    pass(chance(ns));
    if (calibrated && plot->preempt_share && chance(1) < plot->preempt_share)
        pass(chance(plot->preempt));
}

static uint64_t read_counter(void)
{
    uint64_t ticks;
    take(10);
    ticks = power_on + (uint64_t)(int64_t)counter;
    if (plot->skew)
        ticks += (uint64_t)chance(plot->skew + 1);
    return ticks;
}

static int64_t read_clock(void)
{
    double slower = calibrated ? plot->slowed : 0;
    looks++;
    take(10 + plot->look);
    pass(slower);
    shown = (int64_t)clock_ns;
    pass(slower);
    take(10 + plot->look);
    return shown;
}

static void wait_for(const uint32_t *word, uint32_t expected, int64_t deadline)
{
    (void)word, (void)expected;
    if (chance(1) < 0.3)
        return; /* a spurious return */
    pass((double)(deadline - clock_ns) + chance(50e3));
}

static const fr_clock fake = {read_clock, wait_for, fr_read_clock};

/* ---- what came of it ---- */

static struct {
    long reads, anchors;
    long refused;      /* calibrations */
    long backwards;    /* readings before the one before */
    long beyond;       /* readings further from the monotonic clock than the bound */
    long wrong;        /* anchors that showed neither the monotonic clock nor the reading before */
    double worst;      /* error, ns */
    uint64_t bound;    /* greatest, ns */
    double last_worst; /* of the last tenth of each run */
    uint64_t least_bound;
} tally;

static void jump(void)
{
    double by = plot->back + chance(plot->ahead - plot->back);
    pass(plot->doze);
    counter += by * frequency;
    clock_ns += chance(plot->leap);
}

static void one(uint64_t seed, long reads)
{
    static const double frequencies[] = {0.8, 2.5961, 5};
    fr_tsc t;
    int64_t before;
    double pending = 0;
    long i, jumped = 0;
    dice = seed * 0x9E3779B97F4A7C15u;
    frequency = frequencies[seed % 3];
    power_on = seed % 2 ? (uint64_t)chance(1e18) : UINT64_MAX - (uint64_t)chance(1e8);
    counter = 0, clock_ns = 1e9L + chance(1e15), ppm = 0, turn_in = chance(plot->turn);
    calibrated = calm = 0;
    before = (int64_t)clock_ns;
    if (fr_tsc_calibrate(&t, &fake, read_counter) == FR_TSC_UNSTEADY) {
        tally.refused++;
        return;
    }
    calibrated = 1;
    for (i = 0; i < reads; i++) {
        long looked = looks;
        uint64_t ticks, anchor = t.ticks;
        long double from;
        int64_t now;
        double error;
        pass(plot->idle_share && chance(1) < plot->idle_share ? chance(plot->idle) : chance(2 * plot->gap));
        calm = plot->later && i > reads / 2;
        if (plot->jump_share && chance(1) < plot->jump_share && !calm && tally.anchors > jumped + APART) {
            jump();
            jumped = tally.anchors;
        }
        ticks = read_counter();
        from = clock_ns;
        now = fr_tsc_read(&t, ticks);
        tally.wrong += looks > looked && now != (shown > before ? shown : before);
        tally.anchors += t.ticks != anchor;
        tally.backwards += now < before;
        error = now > clock_ns ? (double)(now - clock_ns) : now < from ? (double)(from - now) : 0;
        if (!plot->later || t.ticks != anchor) {
            tally.beyond += (plot->later ? pending : error) > (double)fr_tsc_bound(&t);
            pending = 0;
        }
        if (error > pending)
            pending = error;
        if (error > tally.worst)
            tally.worst = error;
        if (i >= reads * 9 / 10 && error > tally.last_worst)
            tally.last_worst = error;
        before = now;
    }
    tally.reads += reads;
    if (fr_tsc_bound(&t) > tally.bound)
        tally.bound = fr_tsc_bound(&t);
    if (fr_tsc_bound(&t) < tally.least_bound)
        tally.least_bound = fr_tsc_bound(&t);
}

int main(int argc, char **argv)
{
    uint64_t seed;
    size_t i;
    if (argc != 4)
        return 2;
    for (i = 0; i < sizeof scripts / sizeof *scripts; i++)
        if (!strcmp(scripts[i].name, argv[1]))
            plot = &scripts[i];
    tally.least_bound = UINT64_MAX;
    for (seed = 1; plot && seed <= strtoull(argv[2], NULL, 10); seed++)
        one(seed, atol(argv[3]));
    printf("reads=%ld anchors=%ld refused=%ld backwards=%ld beyond=%ld wrong=%ld worst=%.0f last_worst=%.0f"
           " bound=%llu least_bound=%llu\n",
           tally.reads, tally.anchors, tally.refused, tally.backwards, tally.beyond, tally.wrong, tally.worst,
           tally.last_worst, (unsigned long long)tally.bound, (unsigned long long)tally.least_bound);
    return !plot;
}
