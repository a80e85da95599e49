/* One writer, two readers, records that prove themselves: word i of record n is mix(n, i). Prints what each
 * reader saw; exits 1 when a word was torn or the accounts do not add up.
 *
 *     ring_stress RECORDS CAPACITY [put|payloads|poll]
 *
 * put: whole records; payloads: as a push does; poll: a poller flat out, whose getter fails now and then. */
#include <fastrec/poll.h>
#include <stdio.h>

#define WORDS 5     /* stamp and a 32-byte payload */
#define BATCH 64    /* the most that one store of head may publish */
#define PAYLOADS 90 /* more: they are published in parts */
#define FAILS 97    /* a polled call in so many fails */

static fr_ring ring;
static uint64_t records, failures, torn, wrong_sum;
static uint32_t done;
static int polled;

static uint64_t mix(uint64_t n, uint64_t i)
{
    return (n * 0x9E3779B97F4A7C15ull) ^ (i * 0xC2B2AE3D27D4EB4Full) ^ n >> 7;
}

static void write_all(int payloads)
{
    uint64_t batch[PAYLOADS * WORDS], n, i, k, random = 88172645463325252ull;
    int64_t stamps[PAYLOADS];
    for (n = 0; n < records; n += k) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        k = random % (payloads ? PAYLOADS : BATCH) + 1;
        k = k < records - n ? k : records - n;
        if (payloads) {
            for (i = 0; i < k * (WORDS - 1); i++)
                batch[i] = mix(n + i / (WORDS - 1), i % (WORDS - 1) + 1);
            for (i = 0; i < k; i++)
                stamps[i] = (int64_t)mix(n + i, 0);
            fr_ring_put_payloads(&ring, stamps[0], k > 1 ? stamps : NULL, (unsigned char *)batch,
                                 (WORDS - 1) * 8, k);
            ring.account.slots = ring.account.recorded = n + k;
            fr_ring_publish_account(&ring);
            continue;
        }
        for (i = 0; i < k * WORDS; i++)
            batch[i] = mix(n + i / WORDS, i % WORDS);
        if (k == 1)
            fr_ring_put(&ring, batch);
        else
            fr_lane_put_many(&ring.view.records, &ring.pen, batch, k);
    }
}

/* Payload of the next record; at the end nothing new, until the poller is stopped. */
static int32_t fill(void *ctx, void *out)
{
    uint64_t *calls = ctx, n = *calls - *calls / FAILS, i;
    if (n == records) {
        __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
        return FR_POLL_SAME;
    }
    if (++*calls % FAILS == 0)
        return -7;
    for (i = 1; i < WORDS; i++)
        memcpy((char *)out + (i - 1) * 8, &(uint64_t){mix(n, i)}, 8);
    return FR_POLL_NEW;
}

static void poll_all(void)
{
    static fr_poll_channel channel;
    static fr_poller poller;
    static fr_command add, start, stop;
    uint64_t calls = 0;
    channel.ring = ring;
    channel.fn = fill, channel.ctx = &calls;
    fr_poll_prepare(&channel, calloc(1, FR_POLL_ROOM(WORDS * 8)));
    poller.clock = &fr_system_clock;
    add.kind = FR_CMD_ADD, add.channel = &channel;
    start.kind = FR_CMD_START, start.start = fr_now();
    stop.kind = FR_CMD_STOP;
    fr_poller_start(&poller, "stress");
    fr_poller_ask(&poller, &add, FR_NEVER);
    fr_poller_ask(&poller, &start, FR_NEVER);
    while (!fr_word(&done))
        usleep(1000);
    fr_poller_ask(&poller, &stop, FR_NEVER);
    fr_thread_join(&poller.thread, FR_NEVER);
    failures = calls / FAILS;
    free(channel.scratch);
}

/* Losses in the gap lane from `cursor` on, by their running total. */
static uint64_t failed(const fr_ring_view *view, uint64_t *cursor)
{
    static __thread uint64_t total;
    fr_gap_entry entries[64];
    fr_span span = fr_lane_read(&view->gaps, *cursor, entries, 64);
    uint64_t i;
    for (i = span.skip; i < span.skip + span.count; i++) {
        fr_add(&torn, entries[i].totals[2] < total + entries[i].gap.count || entries[i].gap.code != -7);
        total = entries[i].totals[2];
    }
    *cursor = span.first + span.count;
    return total;
}

static void *read_all(void *arg)
{
    const fr_ring_view *view = &ring.view;
    uint64_t most = view->records.nslots, *copy = malloc(most * WORDS * 8), cursor = 0, gaps = 0,
             returned = 0, lost = 0, bad = 0, stamp = 0, losses = 0, i, w;
    int last = 0;
    uint64_t want = (uintptr_t)arg; /* records a read: one reader snapshots, the other nibbles */
    while (!last || cursor < records) {
        fr_account a = fr_ring_account(view->header);
        fr_span span;
        last = (int)fr_word(&done);
        span = fr_lane_read(&view->records, cursor, copy, want < most ? want : most);
        for (i = 0; i < span.count; i++) {
            const uint64_t *record = copy + (span.skip + i) * WORDS;
            for (w = (uint64_t)polled; w < WORDS; w++)
                bad += record[w] != mix(span.first + i, w);
            bad += polled && record[0] < stamp; /* stamped by the poller, in order */
            stamp = record[0];
        }
        bad += a.slots != a.recorded + a.failed + a.held;
        losses = failed(view, &gaps);
        returned += span.count;
        lost += span.lost;
        cursor = span.first + span.count;
    }
    printf("reader of %llu: returned %llu lost %llu torn words %llu failures %llu\n",
           (unsigned long long)want, (unsigned long long)returned, (unsigned long long)lost,
           (unsigned long long)bad, (unsigned long long)losses);
    fr_add(&torn, bad);
    fr_add(&wrong_sum, returned + lost != records || returned == 0);
    free(copy);
    return NULL;
}

int main(int argc, char **argv)
{
    const char *writer = argc > 3 ? argv[3] : "put";
    fr_ring_header plan;
    pthread_t readers[2];
    void *memory;
    int fd, error;
    memset(&plan, 0, sizeof plan);
    records = strtoull(argv[1], NULL, 10);
    polled = !strcmp(writer, "poll");
    plan.record_size = WORDS * 8, plan.payload_offset = 8, plan.payload_size = (WORDS - 1) * 8;
    plan.nslots = strtoull(argv[2], NULL, 10) + FR_GUARD;
    fr_ring_plan(&plan);
    memory = fr_map_new("stress", plan.total_size, &fd, &error);
    memcpy(memory, &plan, sizeof plan);
    fr_ring_take(&ring, memory);
    pthread_create(&readers[0], NULL, read_all, (void *)(uintptr_t)UINT32_MAX);
    pthread_create(&readers[1], NULL, read_all, (void *)(uintptr_t)48);
    if (polled)
        poll_all();
    else
        write_all(!strcmp(writer, "payloads"));
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    pthread_join(readers[0], NULL);
    pthread_join(readers[1], NULL);
    wrong_sum += fr_ring_account(ring.view.header).failed != failures;
    fr_map_free(memory, plan.total_size, fd);
    return torn || wrong_sum;
}
