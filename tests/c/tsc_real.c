/* The clock of tsc.h beside the machine's own.
 * Usage: tsc_real judge EDX CLOCKSOURCE    what is refused, and how; the last line is this machine's
 *        tsc_real beside READS             readings between two of the monotonic clock
 *        tsc_real cost LOOPS READS         ns a reading, least of alternating loops
 *        tsc_real minute SECONDS           how far off it is, reading after reading */
#include <fastrec/tsc.h>
#include <fastrec/histogram.h>
#include <stdio.h>

static fr_tsc t;

static int judge(const char *edx, const char *clocksource)
{
    puts(fr_tsc_refusal(fr_tsc_judge((uint32_t)strtoul(edx, NULL, 16), clocksource)));
    puts(fr_tsc_refusal(fr_tsc_usable()));
    return 0;
}

static int beside(long reads)
{
    long i, outside = 0, backwards = 0, anchors = 0;
    int64_t last = 0, worst = 0;
    puts("begun");
    fflush(stdout);
    for (i = 0; i < reads; i++) {
        uint64_t anchor = t.ticks;
        int64_t before = fr_now(), now = fr_tsc_now(&t), after = fr_now(),
                off = now < before  ? before - now
                      : now > after ? now - after
                                    : 0;
        outside += off > (int64_t)fr_tsc_bound(&t);
        backwards += now < last;
        anchors += t.ticks != anchor;
        worst = off > worst ? off : worst;
        last = now;
    }
    printf("reads=%ld anchors=%ld outside=%ld backwards=%ld worst=%lld bound=%llu\n", reads, anchors, outside,
           backwards, (long long)worst, (unsigned long long)fr_tsc_bound(&t));
    return 0;
}

static volatile int64_t sink;

#define LOOP(least, expression)                                                                              \
    do {                                                                                                     \
        int64_t began = fr_now();                                                                            \
        for (j = 0; j < reads; j++)                                                                          \
            sink = (int64_t)(expression);                                                                    \
        began = fr_now() - began;                                                                            \
        least = (double)began < least ? (double)began : least;                                               \
    } while (0)

static int cost(long loops, long reads)
{
    double bare = 1e18, tsc = 1e18, monotonic = 1e18;
    long i, j;
    for (i = 0; i < loops; i++) {
        LOOP(bare, fr_ticks());
        LOOP(tsc, fr_tsc_now(&t));
        LOOP(monotonic, fr_now());
    }
    printf("bare=%.2f tsc=%.2f monotonic=%.2f\n", bare / (double)reads, tsc / (double)reads,
           monotonic / (double)reads);
    return 0;
}

/* Against the middle of two readings of the monotonic clock, of which only narrow pairs are taken. */
static int minute(long seconds)
{
    static fr_histogram off;
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 0.9999};
    int64_t end = fr_now() + seconds * FR_NS, sum = 0, pairs = 0, narrow = INT64_MAX;
    size_t i;
    for (i = 0; i < 100000; i++) {
        int64_t before = fr_now(), now = fr_tsc_now(&t), after = fr_now();
        narrow = now && after - before < narrow ? after - before : narrow;
    }
    while (fr_now() < end) {
        int64_t before = fr_now(), now = fr_tsc_now(&t), after = fr_now(), error;
        if (after - before > narrow * 3 / 2)
            continue;
        error = now - before - (after - before) / 2;
        fr_hist_add(&off, error < 0 ? -error : error, 1);
        sum += error;
        pairs++;
    }
    printf("pairs=%lld mean=%.2f", (long long)pairs, (double)sum / (double)pairs);
    for (i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        printf(" p%g=%lld", quantiles[i] * 100, (long long)fr_hist_quantile(&off, quantiles[i]));
    printf(" max=%llu bound=%llu narrow=%lld\n", (unsigned long long)off.max,
           (unsigned long long)fr_tsc_bound(&t), (long long)narrow);
    return 0;
}

int main(int argc, char **argv)
{
    int why;
    if (argc == 4 && !strcmp(argv[1], "judge"))
        return judge(argv[2], argv[3]);
    why = fr_tsc_begin(&t);
    if (why) {
        puts(fr_tsc_refusal(why));
        return why;
    }
    if (argc == 3 && !strcmp(argv[1], "beside"))
        return beside(atol(argv[2]));
    if (argc == 4 && !strcmp(argv[1], "cost"))
        return cost(atol(argv[2]), atol(argv[3]));
    if (argc == 3 && !strcmp(argv[1], "minute"))
        return minute(atol(argv[2]));
    return 2;
}
