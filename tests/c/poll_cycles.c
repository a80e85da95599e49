/* A polling thread begins, polls and ends, many times: what it uses is as much afterwards as before.
 * Arguments: how often. Prints the threads, descriptors, mappings and resident bytes that were gained after
 * the first tenth, and how often an account was wrong. */
#include <dirent.h>
#include <fastrec/poll.h>
#include <stdio.h>

#define PATIENCE (30 * FR_NS)

typedef struct used {
    long threads, descriptors, mappings, resident;
} used;

static long entries(const char *folder)
{
    long n = 0;
    DIR *d = opendir(folder);
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static used look(void)
{
    used u = {entries("/proc/self/task"), entries("/proc/self/fd"), 0, 0};
    FILE *maps = fopen("/proc/self/maps", "r"), *statm = fopen("/proc/self/statm", "r");
    int c;
    while (maps && (c = getc(maps)) != EOF)
        u.mappings += c == '\n';
    if (statm && fscanf(statm, "%*d %ld", &u.resident) != 1)
        u.resident = -1;
    u.resident *= sysconf(_SC_PAGESIZE);
    if (maps)
        fclose(maps);
    if (statm)
        fclose(statm);
    return u;
}

static int32_t count(void *ctx, void *out)
{
    ++*(uint64_t *)ctx;
    memcpy(out, ctx, 8);
    return FR_POLL_NEW;
}

static int tell(fr_poller *p, int kind, fr_poll_channel *channel)
{
    fr_command command;
    memset(&command, 0, sizeof command);
    command.kind = kind;
    command.channel = channel;
    command.start = fr_now();
    return fr_poller_ask(p, &command, fr_now() + PATIENCE);
}

/* Paced or flat out; at odd times it is ended at once, else after some records. True if all was right. */
static int cycle(uint64_t number)
{
    fr_poll_channel *c = calloc(1, sizeof *c);
    fr_poller *p = calloc(1, sizeof *p);
    fr_ring_header plan;
    fr_account a;
    uint64_t calls = 0;
    int fd, error = 0, right;
    memset(&plan, 0, sizeof plan);
    plan.record_size = 16, plan.payload_offset = 8, plan.payload_size = 8, plan.nslots = 64 + FR_GUARD;
    fr_ring_plan(&plan);
    void *memory = fr_map_new("test", plan.total_size, &fd, &error);
    memcpy(memory, &plan, sizeof plan);
    fr_ring_take(&c->ring, memory);
    c->fn = count, c->ctx = &calls;
    c->grid.num = number % 3 ? 20000 : 0, c->grid.den = 1;
    fr_poll_prepare(c, calloc(1, FR_POLL_ROOM(16)));
    p->clock = &fr_system_clock;
    right = !fr_poller_start(p, "fr-cycle") && !tell(p, FR_CMD_PROBE, c) && !tell(p, FR_CMD_ADD, c);
    right = right && !tell(p, FR_CMD_START, NULL);
    while (right && number % 2 == 0 && fr_ring_account(c->ring.view.header).recorded < 3)
        sched_yield();
    if (number % 5 == 0)
        right = right && !tell(p, FR_CMD_PAUSE, NULL) && !tell(p, FR_CMD_RESUME, NULL);
    right = right && !tell(p, FR_CMD_STOP, NULL) && !fr_thread_join(&p->thread, fr_now() + PATIENCE);
    a = fr_ring_account(c->ring.view.header);
    right = right && a.slots == a.recorded + a.missed && a.recorded + 1 == calls; /* 1: the first call */
    free(c->scratch);
    fr_map_free(memory, plan.total_size, fd);
    free(c);
    free(p);
    return right;
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 100, i, wrong = 0;
    used before = look(), after;
    for (i = 0; i < n; i++) {
        if (i == n / 10)
            before = look();
        wrong += !cycle(i);
    }
    /* A joined thread is listed a moment longer. */
    for (i = 0, after = look(); i < 1000 && after.threads > before.threads; i++, after = look())
        usleep(1000);
    printf("threads=%ld descriptors=%ld mappings=%ld resident=%ld wrong=%llu\n",
           after.threads - before.threads, after.descriptors - before.descriptors,
           after.mappings - before.mappings, after.resident - before.resident, (unsigned long long)wrong);
    return wrong != 0;
}
