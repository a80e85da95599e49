/* A recorder in simulated time: the loops of poller, spooler and syncing thread as they are, taking turns on
 * one processor of a world in which the true time is known. Its clocks are slewed, set and leap, the machine
 * sleeps, the process is stopped, getters block and fail, the disk stalls and is full for a while.
 *
 *   day FOLDER SEED SECONDS PERIOD KEEP   records two channels, polled every PERIOD ns, into FOLDER, whose
 *                                         files are begun: channels/polled, channels/held and, beside each,
 *                                         NAME.kinds with headers and sizes. KEEP bytes are kept (0: all)
 *   day years CHANNELS YEARS              what the recording's own files come to; the clock is set all day
 *
 * Prints what happened to the clocks, at which stamp and by how much, then the accounts. */
#include <fastrec/poll.h>
#include <fastrec/spool.h>
#include <stdio.h>
#include <ucontext.h>

#define LL(x) ((long long)(x))
#define MS 1000000LL
#define MINUTE (60 * FR_NS)
#define HOUR (60 * MINUTE)
#define CAPACITY 65536

typedef struct dates {
    int64_t called; /* when, by the monotonic clock */
    int64_t date;   /* and by the clock of dates */
    uint64_t number;
} dates;

static uint64_t dice;
static uint64_t roll(uint64_t below)
{
    uint64_t z = dice += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return (z ^ z >> 31) % below;
}

/* ---- time ---- */

static int64_t mono = 1000 * FR_NS;
static int64_t set_by = 1790000000 * FR_NS; /* what the clock of dates is before the monotonic one ... */
static long double slewed;                  /* ... and was slewed by since */
static int64_t asleep;
static int ppm; /* by which it is slewed now */

static void pass(int64_t ns)
{
    mono += ns;
    slewed += (long double)ns * ppm / 1000000;
}

static int64_t look_now(void)
{
    pass(20 + (int64_t)roll(20));
    if (!roll(100000)) /* others have the processor */
        pass((int64_t)roll(5 * MS));
    return mono;
}

static int64_t look_at(clockid_t id)
{
    look_now();
    return id == CLOCK_REALTIME ? mono + set_by + (int64_t)slewed : mono + asleep;
}

/* ---- turns ---- */

enum { POLLING, SPOOLING, SYNCING, TASKS };
typedef struct task {
    ucontext_t at;
    void (*body)(void *);
    void *arg;
    const uint32_t *word; /* waits until it is not `expected`, or until `due` */
    uint32_t expected;
    int64_t due;
    int ended;
} task;
static task tasks[TASKS], *running;
static ucontext_t director;

static void yield_until(const uint32_t *word, uint32_t expected, int64_t due)
{
    task *self = running;
    self->word = word, self->expected = expected, self->due = due;
    swapcontext(&self->at, &director);
}

static void wait_for(const uint32_t *word, uint32_t expected, int64_t deadline)
{
    pass(1000);
    if (roll(1000)) /* else a spurious return */
        yield_until(word, expected, deadline);
}

static const fr_clock simulated = {look_now, wait_for, look_at};

/* The disk, or a call, takes that long; what else there is to do goes on. */
static void take(int64_t ns)
{
    static const uint32_t never = 0;
    if (running)
        yield_until(&never, 0, mono + ns);
    else
        pass(ns);
}

static void begin(int which)
{
    task *self = &tasks[which];
    self->body(self->arg);
    self->ended = 1;
}

static void make(int which, void (*body)(void *), void *arg)
{
    static const uint32_t never = 0;
    task *self = &tasks[which];
    const size_t size = 1 << 20;
    getcontext(&self->at);
    self->at.uc_stack.ss_sp = malloc(size), self->at.uc_stack.ss_size = size, self->at.uc_link = &director;
    self->body = body, self->arg = arg, self->word = &never, self->due = 0;
    makecontext(&self->at, (void (*)(void))begin, 1, which);
}

/* ---- trouble ---- */

static int64_t next_trouble, leap_at, turn_at, full_until, stall, call_takes, failing_until;

static void told(const char *what, int64_t by) { printf("%s %lld %lld\n", what, LL(mono), LL(by)); }

static void set_clock(int64_t by)
{
    set_by += by;
    told("step", by);
}

static void trouble(void)
{
    static const int64_t steps[] = {HOUR, FR_NS, 50 * MS, 3 * MINUTE + 17};
    int64_t by = steps[roll(4)] * (roll(2) ? 1 : -1), slept = MINUTE + (int64_t)roll(3 * HOUR);
    if (mono >= leap_at) { /* a second comes twice */
        set_clock(-FR_NS);
        leap_at = FR_NEVER;
        return;
    }
    switch (roll(9)) {
    case 0:
    case 1: set_clock(by); break;
    case 2: /* asleep; perhaps the clock is set meanwhile */
    case 3:
        asleep += slept, set_by += slept;
        told("suspend", slept);
        if (roll(2))
            set_clock(by);
        break;
    case 4: pass((int64_t)roll(20 * FR_NS)); break; /* stopped: nobody runs */
    case 5: full_until = mono + (int64_t)roll(20 * FR_NS); break;
    case 6: stall = (int64_t)roll(8 * FR_NS); break;
    case 7: call_takes = (int64_t)roll(3 * FR_NS); break;
    case 8: failing_until = mono + (int64_t)roll(5 * FR_NS); break;
    }
}

static void world_turns(void)
{
    if (mono >= turn_at) { /* NTP changes its mind */
        ppm = (int)roll(801) - 400;
        turn_at = mono + MINUTE + (int64_t)roll(20 * MINUTE);
    }
    if (mono >= next_trouble) {
        trouble();
        next_trouble = mono + 5 * MINUTE + (int64_t)roll(25 * MINUTE);
    }
}

static int64_t sooner(int64_t one, int64_t other) { return one < other ? one : other; }

/* Let all of them run until a time, or until `over` is no longer 0. */
static void go(int64_t until, const int *over)
{
    while (mono < until && !*over) {
        int64_t next = sooner(sooner(until, turn_at), next_trouble);
        task *ready = NULL;
        int i, first = (int)roll(TASKS);
        world_turns();
        for (i = 0; i < TASKS; i++) {
            task *t = &tasks[(first + i) % TASKS];
            if (t->ended)
                continue;
            if (fr_word(t->word) != t->expected || t->due <= mono)
                ready = t;
            else
                next = sooner(next, t->due);
        }
        if (!ready) {
            pass(next - mono + (int64_t)roll(roll(1000) ? 50000 : 20 * MS)); /* waking takes time */
            continue;
        }
        running = ready;
        swapcontext(&director, &ready->at);
        running = NULL;
    }
}

/* ---- the disk ---- */

static int full(void) { return mono < full_until; }

static long disk_write(int fd, const void *data, size_t size, uint64_t offset)
{
    take(2000 + (int64_t)roll(50000));
    return full() ? -ENOSPC : fr_pwrite(fd, data, size, offset);
}

static int disk_create(int dir, const char *name)
{
    take(20000);
    return full() ? -ENOSPC : fr_create(dir, name);
}

static int disk_sync(int fd)
{
    int64_t takes = stall ? stall : (int64_t)roll(30 * MS);
    (void)fd;
    stall = 0;
    take(takes);
    return 0;
}

static int disk_begin(int fd, uint64_t offset, uint64_t size)
{
    (void)fd, (void)offset, (void)size;
    return 0;
}

static const fr_io disk = {disk_create, disk_write, fr_publish_name, fr_remove, disk_sync,  disk_sync,
                           disk_sync,   fr_close,   fr_pread,        fr_space,  disk_begin, fr_removed};

/* ---- the getters ---- */

static int32_t get_dates(void *ctx, void *out)
{
    dates *d = out;
    uint64_t *calls = ctx;
    do { /* again, if others had the processor in between */
        d->called = look_now();
        d->date = look_at(CLOCK_REALTIME);
    } while (mono - d->called > 1000);
    pass(100);
    if (call_takes) {
        int64_t takes = call_takes;
        call_takes = 0;
        take(takes);
    }
    if (mono < failing_until)
        return -5;
    d->number = (*calls)++;
    return FR_POLL_NEW;
}

static int32_t get_state(void *ctx, void *out)
{
    uint64_t *state = ctx;
    *state += !roll(100);
    memcpy(out, state, 8);
    pass(100);
    return roll(500) ? FR_POLL_NEW : FR_POLL_SAME;
}

/* ---- the recorder ---- */

static fr_spooler spooler;
static fr_poller poller;
static fr_spool_channel spooled[2];
static fr_poll_channel polled[2];
static fr_hold hold;
static int over;

static void *room(size_t size) { return calloc(1, size); }

static void make_polled(int i, uint32_t columns, uint32_t payload, fr_poll_fn getter, void *ctx,
                        int64_t period)
{
    fr_poll_channel *c = &polled[i];
    fr_ring_header plan;
    int fd, error = 0;
    void *memory;
    memset(&plan, 0, sizeof plan);
    plan.record_size = columns + payload, plan.payload_offset = columns, plan.payload_size = payload;
    plan.nslots = CAPACITY + FR_GUARD;
    fr_ring_plan(&plan);
    memory = fr_map_new("day", plan.total_size, &fd, &error);
    memcpy(memory, &plan, sizeof plan);
    fr_ring_take(&c->ring, memory);
    c->fn = getter, c->ctx = ctx;
    c->grid.num = (uint64_t)period, c->grid.den = 1;
    c->spin = 0;
    if (i) {
        hold.record = room(plan.record_size), hold.words = payload / 8, hold.heartbeat = FR_NS;
        c->hold = &hold;
    }
    fr_poll_prepare(c, room(FR_POLL_ROOM(plan.record_size)));
}

/* As the core's SpoolChannel does it. */
static void make_spooled(int i, int dir, const char *name, const unsigned char *uuid, uint64_t segment_rows,
                         const fr_zone_field *fields, uint32_t k)
{
    fr_spool_channel *c = &spooled[i];
    uint32_t sizes[2], file;
    char path[64];
    int fd;
    snprintf(path, sizeof path, "%s.kinds", name);
    fd = openat(dir, path, O_RDONLY);
    for (file = 0; file < FR_FILES; file++) {
        char *header;
        if (read(fd, sizes, sizeof sizes) != sizeof sizes)
            exit(2);
        header = room(sizes[0] + 1);
        if (read(fd, header, sizes[0]) != (long)sizes[0])
            exit(2);
        c->kinds[file].header = header, c->kinds[file].header_size = sizes[0];
        c->kinds[file].row_size = sizes[1];
    }
    close(fd);
    c->dir = openat(dir, name, O_RDONLY | O_DIRECTORY);
    c->ring = polled[i].ring.view;
    snprintf(c->name, sizeof c->name, "%s", name);
    c->seed_base = fr_seed_base(uuid, name);
    c->segment_rows = segment_rows, c->stage_rows = segment_rows;
    c->weight_at = i ? 16 : 0, c->stamp_end_at = i ? 8 : 0;
    c->zone.fields = k, c->zone.field = fields, c->zone.row = room(FR_ZONE_SIZE(k));
    c->stage = room(segment_rows * c->kinds[FR_RECORDS].row_size);
    c->blocks = room((segment_rows / FR_BLOCK_ROWS + 2) * sizeof(fr_index_row));
    c->zone_rows = room((segment_rows / FR_BLOCK_ROWS + 1) * FR_ZONE_SIZE(k));
    c->last = mono;
    spooler.channels[i] = c, spooler.count = (uint64_t)i + 1;
}

static void say(int kind, int64_t start)
{
    static fr_command command;
    memset(&command, 0, sizeof command);
    command.kind = kind, command.start = start;
    __atomic_store_n(&poller.command, &command, __ATOMIC_RELEASE);
    poller.bell++;
    go(FR_NEVER, kind == FR_CMD_STOP ? &tasks[POLLING].ended : (const int *)&command.done);
}

static void end(int which, uint32_t *stop, uint32_t *bell, fr_thread *thread)
{
    ++*stop, ++*bell;
    go(FR_NEVER, &tasks[which].ended);
    thread->borrowed = 1, thread->ended = 1; /* nobody has to be joined */
}

static void account(const char *name, int i)
{
    fr_account a = fr_ring_account(spooled[i].ring.header);
    printf("%s %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu\n", name, LL(a.slots), LL(a.recorded),
           LL(a.held), LL(a.missed), LL(a.failed), LL(a.dropped), LL(spooled[i].ring.header->head),
           LL(spooled[i].written), LL(spooled[i].durable), LL(spooled[i].overwritten), LL(spooled[i].disk));
}

static int day(char **argv)
{
    static const fr_zone_field date_fields[] = {
        {8, 'i', 8, 0, 0, 0, {0}}, {16, 'i', 8, 0, 0, 0, {0}}, {24, 'u', 8, 0, 0, 0, {0}}};
    static const fr_zone_field state_fields[] = {{32, 'u', 8, 0, 0, 0, {0}}};
    static uint64_t calls, state;
    const int64_t seconds = atoll(argv[3]), period = atoll(argv[4]);
    unsigned char uuid[16];
    int dir = open(argv[1], O_RDONLY | O_DIRECTORY), channels = openat(dir, "channels", O_RDONLY), i;
    int64_t start;
    dice = strtoull(argv[2], NULL, 10);
    for (i = 0; i < 16; i++)
        uuid[i] = (unsigned char)(100 + i);
    make_polled(0, 8, sizeof(dates), get_dates, &calls, period);
    make_polled(1, sizeof(fr_hold_columns), 8, get_state, &state, period);
    make_spooled(0, channels, "polled", uuid, 64 * FR_BLOCK_ROWS, date_fields, 3);
    make_spooled(1, channels, "held", uuid, 16 * FR_BLOCK_ROWS, state_fields, 1);
    spooler.io = &disk, spooler.clock = &simulated, spooler.dir = dir;
    spooler.durability = FR_DURABLE_TIMED, spooler.flush = 5 * FR_NS, spooler.sync_every = FR_NS;
    spooler.log.clocks = openat(dir, "clocks.npy", O_RDWR);
    spooler.log.stats = openat(dir, "stats.jsonl", O_RDWR | O_CREAT, 0600);
    spooler.log.clocks_header = (uint64_t)lseek(spooler.log.clocks, 0, SEEK_END);
    spooler.log.seed_base = fr_seed_base(uuid, "");
    spooler.retention.keep_bytes = strtoull(argv[5], NULL, 10);
    pthread_mutex_init(&spooler.lock, NULL);
    spooler.threads = 2;
    poller.clock = &simulated, poller.count = 2;
    poller.channels[0] = &polled[0], poller.channels[1] = &polled[1];
    make(POLLING, fr_poller_run, &poller);
    make(SPOOLING, fr_spooling_run, &spooler);
    make(SYNCING, fr_syncing_run, &spooler);
    next_trouble = mono + 5 * MINUTE, leap_at = mono + seconds / 2 * FR_NS;
    start = mono + MS;
    say(FR_CMD_START, start);
    go(start + seconds * FR_NS, &over);
    next_trouble = FR_NEVER, full_until = stall = 0;
    say(FR_CMD_STOP, 0);
    printf("end %lld %lld\n", LL(start), LL(mono));
    /* The spooling thread would wait for the syncing one without letting it run. */
    end(SYNCING, &spooler.sync_stop, &spooler.sync_bell, &spooler.syncing);
    spooler.threads = 1;
    end(SPOOLING, &spooler.stop, &spooler.bell, &spooler.spooling);
    if (fr_spooler_stop(&spooler, FR_NEVER))
        return 1;
    account("polled", 0), account("held", 1);
    return 0;
}

/* ---- years ---- */

static uint64_t bytes_of[4];
static long count_write(int fd, const void *data, size_t size, uint64_t offset)
{
    (void)data;
    if (offset + size > bytes_of[fd])
        bytes_of[fd] = offset + size;
    return (long)size;
}

static int years(uint64_t channels, int64_t count)
{
    static const fr_io counted = {.write = count_write};
    static fr_spool_channel *all[FR_SPOOL_CHANNELS];
    static fr_log log;
    const int64_t until = mono + count * 365 * 24 * HOUR;
    uint64_t i;
    make_polled(0, 8, sizeof(dates), get_dates, NULL, MS);
    spooled[0].ring = polled[0].ring.view;
    memset(spooled[0].name, 'n', 64);
    for (i = 0; i < channels; i++)
        all[i] = &spooled[0];
    log.clocks = 1, log.stats = 2, log.clocks_header = 128;
    while (mono < until && bytes_of[1] < 1 << 30 && bytes_of[2] < 1 << 30) {
        int64_t next;
        for (i = 0; i < 20; i++) { /* rounds of a spooler, under a clock that never rests */
            fr_log_write(&log, &counted, &simulated, all, channels, mono, 0);
            set_by += i % 2 ? HOUR : -HOUR;
            pass(MS);
        }
        next = sooner(log.clocks_due, log.stats_due);
        pass(next > mono ? next - mono : 0);
    }
    printf("clocks %llu stats %llu\n", LL(bytes_of[1]), LL(bytes_of[2]));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "years"))
        return years(strtoull(argv[2], NULL, 10), atoll(argv[3]));
    return argc == 6 ? day(argv) : 2;
}
