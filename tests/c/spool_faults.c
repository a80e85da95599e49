/* The spooler against a disk that fails: every call of fr_io in turn, in every way, for once or for long.
 *
 * After each run the folder is judged. While the fault lasts, `written` is held against what is on the disk,
 * and `durable` against the writes that no successful flush has followed.
 *
 *   spool_faults DIR [MODE|all] [FROM [TO [STEP]]]    the calls from FROM up to TO, each STEP-th of them;
 *                                                     prints one line a failure; exits 1 if there was any */
#include "faulty_disk.h"

#define STEPS 16
#define BURST 500
#ifndef ENOUGH
#define ENOUGH 20 /* problems */
#endif

static int steps = STEPS;

/* What a run has to do with the disk; returns how many calls it made. */
static long run(long from, long to, int flood)
{
    int error, step, i, waits;
    uint64_t n = 0, missed = 0, failed = 0, k;
    set_up(CAPACITY);
    fail_from = from, fail_to = to;
    for (step = 0; step < steps + flood; step++) {
        int bad = calls >= fail_from && calls < fail_to;
        for (k = 0; k < (step < steps ? BURST : 40u); k++, n++) {
            if (k == 100 || flood)
                fr_ring_lose(&ring, FR_GAP_MISSED, 0, 3, (int64_t)n, (int64_t)n), missed += 3;
            if (flood ? step == steps + flood - 50 && k == 3 : k == 200)
                fr_ring_lose(&ring, FR_GAP_FAILED, -5, 1, (int64_t)n, (int64_t)n), failed++;
            put(n);
        }
        fake += 60000000, waits = 0;
        fr_spool_drain(&spooler, &channel, 0, &waits);
        if (counts
            && (waits || channel.retired_count > FR_RETIRED / 2 + 2 || (step > 2 && !channel.side_error)))
            PROBLEM("%u segments wait, %s: %s", channel.retired_count,
                    waits ? "in the way" : "in nobody's way", strerror((int)channel.side_error));
        if (rarely ? step > 10 : step % 3 == 2)
            fr_sync_round(&spooler);
        for (i = 0; i < FDS; i++)
            if (files[i].unsynced && !given_up(i) && channel.durable > files[i].unsynced_from) {
                PROBLEM("durable %llu, but what follows %llu was never flushed",
                        (unsigned long long)channel.durable, (unsigned long long)files[i].unsynced_from);
                break;
            }
        if (bad || (calls > fail_from && calls < fail_from + 12)) {
            judge v = verdict(&channel, channel.written, 0);
            if (v.end < channel.written)
                PROBLEM("written %llu, on the disk %llu", (unsigned long long)channel.written,
                        (unsigned long long)v.end);
        }
    }
    if (fail_to > calls)
        fail_to = calls; /* the disk is well again */
    counts *= 2;
    for (i = 0; i < 3; i++) {
        fake += 200000000;
        fr_spool_drain(&spooler, &channel, 0, &waits);
        fr_sync_round(&spooler);
    }
    if (stray_writes)
        PROBLEM("%d writes to files that are closed", stray_writes);
    if (channel.error)
        PROBLEM("the disk is well again, but a commit fails: %s", strerror((int)channel.error));
    if (channel.written != n)
        PROBLEM("written %llu of %llu at the end", (unsigned long long)channel.written,
                (unsigned long long)n);
    if (channel.durable != n && !channel.sync_error)
        PROBLEM("durable %llu of %llu at the end, and no error said", (unsigned long long)channel.durable,
                (unsigned long long)n);
    fr_channel_close(&faulty, &channel, &spooler.lock);
    {
        judge v = verdict(&channel, n, !counts);
        if (v.end != n)
            PROBLEM("the folder ends at %llu of %llu", (unsigned long long)v.end, (unsigned long long)n);
        if (v.lost[FR_GAP_MISSED] != missed || v.lost[FR_GAP_FAILED] != failed)
            PROBLEM("losses in the folder: missed %llu of %llu, failed %llu of %llu",
                    (unsigned long long)v.lost[3], (unsigned long long)missed, (unsigned long long)v.lost[4],
                    (unsigned long long)failed);
        if (v.lost[FR_GAP_DISK] != channel.disk || v.lost[FR_GAP_OVERWRITTEN] != channel.overwritten)
            PROBLEM("disk %llu of %llu, overwritten %llu of %llu", (unsigned long long)v.lost[5],
                    (unsigned long long)channel.disk, (unsigned long long)v.lost[1],
                    (unsigned long long)channel.overwritten);
    }
    for (i = 3, error = 0; i < 200; i++)
        error += fcntl(i, F_GETFD) >= 0;
    fr_map_free(memory, plan.total_size, memory_fd);
    close(dir), close(clocks_fd), close(stats_fd);
    {
        static int usual;
        int open_now = error - 4;
        if (!usual)
            usual = open_now + 1;
        else if (open_now + 1 > usual)
            PROBLEM("%d descriptors leaked", open_now + 1 - usual), usual = open_now + 1;
    }
    return calls;
}

int main(int argc, char **argv)
{
    static const int spans[] = {1, 3, 40, 1 << 20};
    long total, from, to, i, runs = 0;
    int m, s, only = -1;
    begin(argc > 1 ? argv[1] : ".");
    for (m = 0; argc > 2 && m < MODES; m++)
        if (!strcmp(argv[2], mode_names[m]))
            only = m;
    snprintf(label, sizeof label, "no fault");
    mode = M_EIO;
    total = run(LONG_MAX, 0, 0);
    printf("%ld calls without a fault\n", total);
    if (argc > 2 && !strcmp(argv[2], "rarely")) {
        snprintf(label, sizeof label, "rarely");
        rarely = 1;
        run(LONG_MAX, 0, 0);
        if (rarely < 3 || channel.segments < 12 || channel.disk || channel.overwritten)
            PROBLEM("%d flushes, %llu segments, %llu records lost, though their file still had them", rarely,
                    (unsigned long long)channel.segments,
                    (unsigned long long)(channel.disk + channel.overwritten));
        return problems != 0;
    }
    if (argc > 2 && !strcmp(argv[2], "counts")) {
        snprintf(label, sizeof label, "counts");
        counts = 1, steps = 100;
        run(LONG_MAX, 0, 0);
        if (channel.durable != channel.written || !channel.side_error || channel.sync_error
            || channel.segments < 40)
            PROBLEM("of %llu records %llu durable, in %llu segments", (unsigned long long)channel.written,
                    (unsigned long long)channel.durable, (unsigned long long)channel.segments);
        return problems != 0;
    }
    if (argc > 2 && !strcmp(argv[2], "flood")) {
        snprintf(label, sizeof label, "flood");
        run(200, 1 << 30, 600);
        return problems != 0;
    }
    from = argc > 3 ? atol(argv[3]) : 0, to = argc > 4 ? atol(argv[4]) : total;
    for (mode = 0; mode < MODES; mode++)
        for (s = 0; s < 4; s++)
            for (i = from; i < to && problems < ENOUGH; i += argc > 5 ? atol(argv[5]) : 1) {
                if (only >= 0 && mode != only)
                    break;
                snprintf(label, sizeof label, "%s call %ld for %d", mode_names[mode], i, spans[s]);
                fall_every = i % 2 ? 613 : 0;
                run(i, i + spans[s], 0), runs++;
            }
    printf("%ld runs, %d problems\n", runs, problems);
    return problems != 0;
}
