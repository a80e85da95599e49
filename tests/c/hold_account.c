/* A poller under a clock of our own, with the script on stdin, so that every poll is known beforehand and
 * every record can be judged. The first line:
 *
 *   period heartbeat capacity follow mask_of_state mask_of_counter
 *
 * then a line per call: what the getter does, and what comes after it.
 *
 *   took code state counter text noted drain pause
 *
 * Texts are numbers of `names`, followed if `follow` is 1; `drain` 1 lets a bounded ring's consumer catch up
 * before the call, `pause` is ns for which the thread is paused after it. Where state and counter count
 * whole, everything does. Prints a line per call (what was missed before it, its stamp), then per record, per
 * gap, and the account. */
#include <fastrec/poll.h>
#include <stdio.h>

#define CALLS 4096

typedef struct status {
    const char *noted; /* makes no state */
    uint64_t steady;
    const char *text; /* makes a state */
    uint64_t serial;  /* makes none */
    int32_t state;    /* behind the words that are compared in pairs */
    uint32_t counter;
} status;

typedef struct line {
    long long took, pause;
    int code, state, drain;
    unsigned counter, text, noted;
} line;

static const char elsewhere[] = "one";
static const char *const names[] = {NULL, "one", "two", elsewhere, (const char *)16};
static line script[CALLS];
static uint32_t count, calls;
static uint64_t seen_missed, broken;
static int64_t fake_now, paused;
static fr_poller poller;
static fr_poll_channel channel;
static fr_hold hold;
static fr_command stop = {.kind = FR_CMD_STOP}, halt = {.kind = FR_CMD_PAUSE},
                  go_on = {.kind = FR_CMD_RESUME};

static int64_t now(void) { return fake_now += 10; }
static void wait_until(const uint32_t *word, uint32_t expected, int64_t deadline)
{
    if (deadline == FR_NEVER) {
        fake_now += paused;
        paused = 0;
        __atomic_store_n(&poller.command, calls == count ? &stop : &go_on, __ATOMIC_RELEASE);
    } else if (fr_word(word) == expected && fake_now < deadline) {
        fake_now = deadline;
    }
}
static const fr_clock fake = {now, wait_until, fr_read_clock};

/* Between two calls: the published account adds up, and the last call has its stamp. */
static void look(int is_call)
{
    fr_ring_header *h = channel.ring.view.header;
    fr_account a = fr_ring_account(h);
    broken += hold.record->polls && channel.ring.pending.gap.count; /* a gap waits with what came after it */
    broken += a.slots != a.recorded + a.held + a.missed + a.failed + a.dropped;
    if (calls)
        printf(" %lld\n", (long long)channel.stamp);
    if (is_call) {
        printf("call %llu", (unsigned long long)(channel.ring.account.missed - seen_missed));
        seen_missed = channel.ring.account.missed;
    }
}

static int32_t scripted(void *ctx, void *out)
{
    fr_ring_header *h = channel.ring.view.header;
    const line *l = &script[calls];
    status s = {names[l->noted], 1, names[l->text], hold.mask ? calls : 0, l->state, l->counter};
    (void)ctx;
    look(1);
    if (l->drain)
        fr_store_release(&h->tail, h->head);
    if (l->code != FR_POLL_SAME)
        memcpy(out, &s, sizeof s);
    fake_now += l->took;
    calls++;
    if (l->pause || calls == count) {
        paused = l->pause;
        __atomic_store_n(&poller.command, l->pause ? &halt : &stop, __ATOMIC_RELEASE);
        poller.bell++;
    }
    return l->code;
}

static void tell(fr_ring_view view)
{
    uint64_t cursor = 0, words[64];
    fr_gap_entry entry;
    fr_account a = fr_ring_account(view.header);
    while (fr_lane_read(&view.records, cursor, words, 1).count) {
        status s;
        memcpy(&s, words + 4, sizeof s);
        printf("record %lld %lld %llu %lld %d %u %lld %lld\n", (long long)words[0], (long long)words[1],
               (unsigned long long)words[2], (long long)words[3], s.state, s.counter,
               (long long)(intptr_t)s.text, (long long)(intptr_t)s.noted);
        cursor++;
    }
    for (cursor = 0; fr_lane_read(&view.gaps, cursor, &entry, 1).count; cursor++)
        printf("gap %llu %llu %u %d %lld %lld\n", (unsigned long long)entry.gap.seq,
               (unsigned long long)entry.gap.count, entry.gap.cause, entry.gap.code,
               (long long)entry.gap.t_first, (long long)entry.gap.t_last);
    printf("account %llu %llu %llu %llu %llu %llu %llu %llu\n", (unsigned long long)a.slots,
           (unsigned long long)a.recorded, (unsigned long long)a.held, (unsigned long long)a.missed,
           (unsigned long long)a.failed, (unsigned long long)a.dropped, (unsigned long long)a.texts_lost,
           (unsigned long long)broken);
}

int main(void)
{
    static fr_texts texts;
    static uint64_t mask[5] = {0, UINT64_MAX, UINT64_MAX, 0, 0};
    unsigned long long period, heartbeat, capacity, follow, of_state, of_counter;
    fr_ring_header plan;
    int fd, error = 0;
    void *memory;
    line l;
    if (scanf("%llu %llu %llu %llu %llx %llx", &period, &heartbeat, &capacity, &follow, &of_state,
              &of_counter)
        != 6)
        return 2;
    while (count < CALLS
           && scanf("%lld %d %d %u %u %u %d %lld", &l.took, &l.code, &l.state, &l.counter, &l.text, &l.noted,
                    &l.drain, &l.pause)
                  == 8)
        script[count++] = l;
    memset(&plan, 0, sizeof plan);
    plan.payload_offset = sizeof(fr_hold_columns);
    plan.payload_size = sizeof(status);
    plan.record_size = plan.payload_offset + (uint32_t)sizeof(status);
    plan.nslots = 2 * CALLS + FR_GUARD; /* whatever the writer may use, all is kept to be told */
    plan.arena_size = 1 << 16;
    fr_ring_plan(&plan);
    plan.bounded = capacity != 0;
    memory = fr_map_new("test", plan.total_size, &fd, &error);
    memcpy(memory, &plan, sizeof plan);
    fr_ring_take(&channel.ring, memory);
    channel.ring.capacity = capacity;
    texts.view = channel.ring.view;
    channel.texts = &texts;
    channel.text_fields[0] = (fr_text_field){offsetof(status, text), 8, 1, 0};
    channel.text_fields[1] = (fr_text_field){offsetof(status, noted), 8, 1, 0};
    channel.text_count = follow ? 2 : 0;
    mask[4] = (of_counter & 0xFFFFFFFF) << 32 | (of_state & 0xFFFFFFFF);
    hold.record = calloc(1, plan.record_size);
    hold.mask = mask[4] == UINT64_MAX ? NULL : mask;
    hold.words = sizeof(status) / 8;
    hold.texts = !follow ? 0 : hold.mask ? 1 : 2;
    hold.heartbeat = (int64_t)heartbeat;
    channel.hold = &hold;
    channel.fn = scripted;
    channel.grid.num = period;
    channel.grid.den = 1;
    channel.spin = (int64_t)period / 10;
    fr_poll_prepare(&channel, calloc(1, FR_POLL_ROOM(plan.record_size)));
    fake_now = 1000000;
    poller.clock = &fake, poller.running = 1, poller.count = 1, poller.channels[0] = &channel;
    fr_poller_begin(&channel, fake_now + 1000);
    fr_poller_run(&poller);
    look(0);
    tell(channel.ring.view);
    return 0;
}
