/* The poller under a clock of our own: getters that take scripted time and fail as scripted, so that every
 * slot's fate is known beforehand. Prints one line a scenario: the account, then every gap. */
#include <fastrec/poll.h>
#include <stdio.h>

static int64_t fake_now;
static int64_t oversleep; /* ns that every wait ends late */
static uint32_t calls, script_calls;
static fr_poller poller;
static fr_command stop = {.kind = FR_CMD_STOP};

/* After so many calls a command comes, and the next one after so much time. */
static fr_command interlude[2];
static uint32_t interlude_at;
static int64_t interlude_ns;

static int64_t now(void) { return fake_now += 10; } /* reading a clock takes time too: spinning ends */
static void wait_until(const uint32_t *word, uint32_t expected, int64_t deadline)
{
    if (deadline == FR_NEVER) { /* paused or halted */
        fake_now += interlude_ns;
        __atomic_store_n(&poller.command, &interlude[1], __ATOMIC_RELEASE);
        return;
    }
    if (fr_word(word) == expected && fake_now < deadline)
        fake_now = deadline + oversleep;
}
static const fr_clock fake = {now, wait_until, fr_read_clock};

/* Call n takes took[n] ns and returns code[n]; after the script, stop. */
typedef struct script {
    const int64_t *took;
    const int32_t *code;
} script;

static int32_t scripted(void *ctx, void *out)
{
    const script *s = ctx;
    uint32_t n = calls++;
    memcpy(out, &n, sizeof n);
    fake_now += s->took ? s->took[n] : 100;
    if (calls == interlude_at || calls == script_calls) {
        __atomic_store_n(&poller.command, calls == script_calls ? &stop : &interlude[0], __ATOMIC_RELEASE);
        poller.bell++;
    }
    return s->code ? s->code[n] : FR_POLL_NEW;
}

static void run(const char *name, script s, uint64_t num, uint64_t den, uint32_t count, int64_t spin)
{
    static fr_poll_channel channel;
    fr_ring_header plan;
    fr_ring_view view;
    fr_gap_entry entry;
    uint64_t cursor = 0;
    int fd, error = 0;
    memset(&plan, 0, sizeof plan);
    memset(&channel, 0, sizeof channel);
    memset(&poller, 0, sizeof poller);
    plan.record_size = 16, plan.payload_offset = 8, plan.payload_size = 4, plan.nslots = 1000 + FR_GUARD;
    fr_ring_plan(&plan);
    void *memory = fr_map_new("test", plan.total_size, &fd, &error);
    memcpy(memory, &plan, sizeof plan);
    fr_ring_take(&channel.ring, memory);
    channel.fn = scripted, channel.ctx = &s;
    channel.grid.num = num, channel.grid.den = den;
    channel.spin = spin;
    fr_poll_prepare(&channel, calloc(1, FR_POLL_ROOM(16)));
    fake_now = 1000000, calls = 0, script_calls = count;
    poller.clock = &fake, poller.running = 1, poller.count = 1, poller.channels[0] = &channel;
    fr_poller_begin(&channel, fake_now + 1000);
    fr_poller_run(&poller);
    view = fr_ring_look(memory);
    fr_account a = fr_ring_account(view.header);
    printf("%s slots=%llu recorded=%llu held=%llu missed=%llu failed=%llu dropped=%llu head=%llu", name,
           (unsigned long long)a.slots, (unsigned long long)a.recorded, (unsigned long long)a.held,
           (unsigned long long)a.missed, (unsigned long long)a.failed, (unsigned long long)a.dropped,
           (unsigned long long)view.header->head);
    while (fr_lane_read(&view.gaps, cursor, &entry, 1).count) {
        cursor++;
        printf(" [seq %llu count %llu cause %u code %d t %lld..%lld]", (unsigned long long)entry.gap.seq,
               (unsigned long long)entry.gap.count, entry.gap.cause, entry.gap.code,
               (long long)entry.gap.t_first - 1001000, (long long)entry.gap.t_last - 1001000);
    }
    printf(" lateness_max=%llu\n", (unsigned long long)channel.lateness.max);
    free(channel.scratch);
    fr_map_free(memory, plan.total_size, fd);
}

static void grid(void)
{
    /* 3 Hz for an hour of simulated time: slot i is at exactly start + i * 1e9 / 3, rounded down. */
    fr_grid g = {1000000000, 3, 0, 5, 5, 0}, h = g;
    uint64_t i, wrong = 0;
    for (i = 0; i < 3 * 3600; i++) {
        wrong += g.next != 5 + (int64_t)(i * 1000000000 / 3) || g.slot != i;
        fr_grid_step(&g);
    }
    fr_grid_skip(&h, 3 * 3600);
    wrong += h.next != g.next || h.rest != g.rest || h.slot != g.slot;
    wrong += g.next != 5 + 3600 * FR_NS;
    /* overrun: how many deadlines after next have passed */
    for (i = 0; i < 10000; i++) {
        fr_grid at = {1000000000, 3, 0, 0, 0, 0};
        int64_t late = (int64_t)(i * 333331);
        wrong += fr_grid_overrun(&at, late) != (uint64_t)late * 3 / 1000000000;
    }
    printf("grid wrong=%llu\n", (unsigned long long)wrong);
}

/* Any rate, over ten years: slot i is at start + i * period, rounded down, however the grid came there. */
static void grids(void)
{
    static const uint64_t periods[][2] = {
        {3000000000, 1},    /* 1/3 Hz */
        {1000000000, 3},    /* 3 Hz */
        {10000000, 441},    /* 44,100 Hz */
        {100, 1},           /* 10 MHz */
        {1000000000000, 1}, /* the slowest of whole seconds, and the finest of all */
        {1000000000000000, 9999999999999},
    };
    const int64_t start = 1000000007, years = 10 * 365 * 86400 * FR_NS;
    uint64_t p, random = 88172645463325252ull, wrong = 0, steps = 0;
    for (p = 0; p < sizeof periods / sizeof *periods; p++) {
        fr_grid g = {periods[p][0], periods[p][1], 0, start, start, 0};
        while (g.next - start < years && !wrong) {
            unsigned __int128 exact, late;
            int64_t behind;
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            if (random % 4)
                fr_grid_step(&g);
            else
                fr_grid_skip(&g, random % (uint64_t)((unsigned __int128)(years / 1000) * g.den / g.num + 2));
            exact = (unsigned __int128)g.slot * g.num;
            wrong += g.next != start + (int64_t)(exact / g.den) || g.rest != (uint64_t)(exact % g.den);
            behind =
                (int64_t)(random >> 8 * (random % 8)) & INT64_MAX >> 4; /* of all sizes, up to 18 years */
            late = (unsigned __int128)(uint64_t)behind * g.den;
            wrong += fr_grid_overrun(&g, g.next + behind)
                     != (uint64_t)(late < g.rest ? 0 : (late - g.rest) / g.num);
            steps++;
        }
    }
    printf("grids wrong=%llu steps=%llu\n", (unsigned long long)wrong, (unsigned long long)steps);
}

static void histogram(void)
{
    static fr_histogram one, ramp;
    uint64_t i, wrong = 0;
    for (i = 0; i < 63; i++) { /* every bucket's floor falls into it, and is within 1/32 of what does */
        uint64_t v = 1ull << i | 1ull << (i / 2);
        uint32_t bucket = fr_hist_bucket(v);
        uint64_t floor = fr_hist_floor(bucket);
        wrong +=
            fr_hist_bucket(floor) != bucket || floor > v || v - floor > v / 32 || bucket >= FR_HIST_BUCKETS;
    }
    for (i = 0; i < 15000; i++)
        fr_hist_add(&one, (int64_t)(1999999900 - i * 100000), 1);
    fr_hist_add_ramp(&ramp, 1999999900, 100000, 15000);
    for (i = 0; i < FR_HIST_BUCKETS; i++)
        wrong += one.count[i] != ramp.count[i];
    wrong += one.max != ramp.max;
    wrong += fr_hist_quantile(&one, 0.5) < 1250000000 || fr_hist_quantile(&one, 0.5) > 1290000000;
    printf("histogram wrong=%llu\n", (unsigned long long)wrong);
}

int main(void)
{
    static const int64_t blocked[6] = {100, 100, 25000, 100, 100, 100};
    static const int64_t stuck[2] = {100, 55000};
    static const int32_t failing[8] = {0, -7, -7, 5, 0, FR_POLL_SAME, -7, 0};
    static const int32_t nothing[3] = {FR_POLL_SAME, 0, FR_POLL_SAME};
    script quick = {0}, slow = {blocked, 0}, last = {stuck, 0}, bad = {0, failing}, empty = {0, nothing};
    grid();
    grids();
    histogram();
    run("quick", quick, 10000, 1, 6, 1000);
    run("blocked", slow, 10000, 1, 6, 1000); /* the third call overruns two deadlines */
    run("stuck", last, 10000, 1, 2, 1000);   /* stopped during a call: five deadlines passed */
    run("failing", bad, 10000, 1, 8, 1000);
    run("nothing", empty, 10000, 1, 3, 1000);
    run("flatout", bad, 0, 1, 8, 0);
    interlude_at = 3, interlude_ns = 45000;
    interlude[0].kind = FR_CMD_PAUSE, interlude[1].kind = FR_CMD_RESUME;
    run("paused", quick, 10000, 1, 6, 1000);    /* from 20 us to 65 us, which is slot 6's time */
    run("pausedlate", slow, 10000, 1, 6, 1000); /* after a call that overran, from 45 us to 90 us */
    interlude_ns = 55000;
    interlude[1].kind = FR_CMD_STOP;
    run("pausedtotheend", quick, 10000, 1, 6, 1000);
    interlude[0].kind = FR_CMD_HALT;
    run("halted", quick, 10000, 1, 6, 1000);
    interlude_at = 0;
    oversleep = 35000; /* the system comes late every time */
    run("starved", quick, 10000, 1, 3, 1000);
    oversleep = 0;
    return 0;
}
