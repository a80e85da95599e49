/* The spooler in one difficult case: what waits, is given up, told again, removed, or full at a bad moment.
 *
 *   spool_cases DIR CASE    exits 1 if something is wrong, and prints it; 2: there is no such case */
#include "faulty_disk.h"

static uint64_t published;
static void publish(uint64_t count)
{
    for (; count; count--)
        put(published++);
}

static void drain(void)
{
    int waits;
    fake += 300000000;
    channel.due = channel.retry = 0;
    fr_spool_drain(&spooler, &channel, 0, &waits);
}

/* As many segments wait as may, when the first flush of a stop fails: all is written again, and durable. */
static void stop_crowded(void)
{
    set_up(65536);
    while (channel.retired_count < FR_RETIRED - 2)
        publish(512), drain();
    publish(300), drain();
    flush_fails = 1;
    fr_spool_end(&spooler);
    if (channel.durable != published || channel.sync_error)
        PROBLEM("of %llu records %llu are durable", (unsigned long long)published,
                (unsigned long long)channel.durable);
    if (verdict(&channel, published, 1).end != published)
        PROBLEM("the folder ends early");
}

/* A segment's time is up while nothing new comes, and the row that tells the next number fails: the segment
 * for it is given up, and another one takes it. */
static void anchored(void)
{
    set_up(65536);
    publish(900), drain();
    fr_sync_round(&spooler);
    channel.rotate = 1, no_index = 1;
    drain(), drain(), drain();
    fr_sync_round(&spooler);
    if (stray_writes || channel.error || !channel.open || channel.segment.rows[FR_INDEX] != 1)
        PROBLEM("%d writes to files that are closed; the last commit: %s", stray_writes,
                strerror((int)channel.error));
    publish(10), drain();
    if (verdict(&channel, published, 0).end != published)
        PROBLEM("the folder ends early");
}

/* What was given up is left as soon as all of it is durable elsewhere, though nothing new comes. */
static void parted(void)
{
    set_up(65536);
    publish(900), drain();
    flush_fails = 1;
    fr_sync_round(&spooler);
    drain();
    fr_sync_round(&spooler);
    drain();
    if (channel.durable != published || channel.given_up_count || channel.doubtful)
        PROBLEM("%u segments that were given up stay open, though %llu of %llu records are durable",
                channel.given_up_count, (unsigned long long)channel.durable, (unsigned long long)published);
}

/* A segment is given up whose side files have not been counted: they are now, or it is told that they are
 * not. */
static void counted(void)
{
    int again;
    for (again = 0; again < 2; again++) {
        uint64_t rows;
        size_t size;
        char *index;
        set_up(65536);
        publish(900), drain();
        rows = channel.segment.rows[FR_INDEX];
        flush_fails = 1, counts = again;
        fr_sync_round(&spooler);
        drain();
        counts = 0;
        fr_sync_round(&spooler);
        drain();
        index = (char *)slurp("index.000000.npy", &size);
        index[FR_NPY_COUNT_OFFSET + FR_NPY_COUNT_DIGITS] = 0;
        if (strtoull(index + FR_NPY_COUNT_OFFSET, NULL, 10) != (again ? 0 : rows)
            || !channel.side_error != !again)
            PROBLEM("its index has %llu rows and counts%s: %s", (unsigned long long)rows,
                    index + FR_NPY_COUNT_OFFSET, strerror((int)channel.side_error));
        free(index), published = 0;
    }
}

/* As many segments are given up as may wait, and are given up once more while they are written again: what
 * has not been yet is still read from them. */
static void growing(void)
{
    int i;
    set_up(CAPACITY);
    while (channel.retired_count < FR_RETIRED)
        publish(512), drain();
    publish(600), drain();
    fake += 2 * FR_SPOOL_CROWDED;
    flush_fails = 1;
    fr_sync_round(&spooler);
    full_after = 9;
    drain();
    no_rows = 0, flush_fails = 1;
    fr_sync_round(&spooler);
    for (i = 0; i < 60; i++) {
        drain();
        fr_sync_round(&spooler);
    }
    if (channel.disk || channel.overwritten || channel.durable != published)
        PROBLEM("%llu records are lost that can be read",
                (unsigned long long)(channel.disk + channel.overwritten));
    channel.segment_rows = FR_MAX_SEGMENT_ROWS; /* they grow on */
    if (verdict(&channel, published, 0).end != published)
        PROBLEM("the folder ends early");
}

/* Nearly as many segments as may wait are given up: each flush makes room for two. What comes meanwhile is
 * not lost, since the disk is well. */
static void crowded_again(void)
{
    int i;
    set_up(65536);
    while (channel.retired_count < FR_RETIRED - 3)
        publish(512), drain();
    flush_fails = 1;
    fr_sync_round(&spooler);
    for (i = 1; i <= 24; i++) {
        publish(4096), drain();
        if (i % 4 == 0)
            fr_sync_round(&spooler);
    }
    if (channel.overwritten || channel.disk || channel.written != published)
        PROBLEM("%llu records are lost, %llu of %llu written",
                (unsigned long long)(channel.overwritten + channel.disk), (unsigned long long)channel.written,
                (unsigned long long)published);
}

/* Much is to be written again, slowly: the other channels have their turns meanwhile. */
static void turns(void)
{
    int rounds = 0, waits = 0, behind;
    int64_t before, longest = 0;
    set_up(65536);
    while (channel.retired_count < FR_RETIRED / 4)
        publish(512), drain();
    flush_fails = 1;
    fr_sync_round(&spooler);
    write_takes = 5000000, channel.due = 0;
    do {
        before = fake;
        fr_spool_round(&spooler, 0, &behind, &waits);
        longest = fake - before > longest ? fake - before : longest;
    } while (++rounds < 100 && waits);
    write_takes = 0;
    if (longest > 2 * FR_SPOOL_TURN || channel.cursor != published)
        PROBLEM("a round takes %lld ms, %llu of %llu are written again", (long long)longest / 1000000,
                (unsigned long long)channel.cursor, (unsigned long long)published);
    /* At a stop, too, and a turn that is over is no reason to flush. */
    publish(4096);
    write_takes = 5000000, flushes = 0;
    fr_spool_rest(&spooler);
    write_takes = 0;
    if (flushes > 1 || channel.durable != published)
        PROBLEM("%ld flushes, durable %llu of %llu", flushes, (unsigned long long)channel.durable,
                (unsigned long long)published);
}

/* A turn that is over goes on at the next round, and the last rounds without a pause; each is not the last
 * one for what is written once at the end. */
static void unfinished(void)
{
    int rounds, waits, behind;
    set_up(65536);
    spooler.flush = 3600 * FR_NS;
    publish(4 * SEGMENT), write_takes = FR_SPOOL_TURN;
    for (rounds = 0; rounds < 10; rounds++)
        fr_spool_round(&spooler, 0, &behind, &waits);
    if (channel.cursor != published || waits)
        PROBLEM("%llu of %llu are written", (unsigned long long)channel.cursor,
                (unsigned long long)published);
    publish(8 * SEGMENT);
    spooler.durability = FR_DURABLE_COMMIT, spooler.stop = 1, waits_made = 0;
    fr_spooling_run(&spooler);
    write_takes = 0;
    if (waits_made || spooler.log.stat_lines > 2 || channel.durable != published)
        PROBLEM("%ld pauses, %llu lines of statistics, durable %llu of %llu", waits_made,
                (unsigned long long)spooler.log.stat_lines, (unsigned long long)channel.durable,
                (unsigned long long)published);
}

static uint64_t not_durable; /* at most */
static void keep_up(void)
{
    const uint64_t lag = channel.written - channel.durable;
    not_durable = lag > not_durable ? lag : not_durable;
    if (published < 65536)
        publish(SEGMENT);
    else
        spooler.stop = 1;
}

/* What comes is as fast as the disk, and the spooling thread makes it durable itself: it does so although it
 * never reaches the head. */
static void never_there(void)
{
    set_up(65536);
    spooler.durability = FR_DURABLE_COMMIT, spooler.flush = 100000000;
    publish(8 * SEGMENT);
    write_takes = FR_SPOOL_TURN, during_write = keep_up;
    fr_spooling_run(&spooler);
    if (not_durable > FR_RETIRED / 2 * SEGMENT || channel.durable != published)
        PROBLEM("%llu records at once were not durable, %llu of %llu are at the end",
                (unsigned long long)not_durable, (unsigned long long)channel.durable,
                (unsigned long long)published);
}

/* No file may be as large as a segment would be: the next one takes what follows. */
static void too_large(void)
{
    int i;
    set_up(65536);
    file_most = 128 + 700 * RECORD;
    for (i = 0; i < 9; i++)
        publish(300), drain();
    drain();
    fr_sync_round(&spooler);
    if (channel.written != published || channel.durable != published)
        PROBLEM("written %llu of %llu: %s", (unsigned long long)channel.written,
                (unsigned long long)published, strerror((int)channel.error));
    if (verdict(&channel, channel.written, 0).end != published)
        PROBLEM("the folder ends early");
    file_most = 0;
}

/* After as many losses as may be told again. */
static void lose_many(uint64_t told[8], uint64_t count)
{
    uint64_t i;
    for (i = 0; i < count; i++) {
        const uint32_t cause = FR_GAP_DROPPED + (uint32_t)(i % 3);
        fr_ring_lose(&ring, cause, (int32_t)i, 2, (int64_t)published, (int64_t)published), told[cause] += 2;
        if (i % 1000 == 0)
            drain();
    }
}

/* Every loss is in the folder, once, as the counters say. */
static void all_told(const uint64_t told[8])
{
    uint32_t i;
    judge v = verdict(&channel, published, 0);
    for (i = FR_GAP_DROPPED; i <= FR_GAP_FAILED; i++)
        if (v.lost[i] != told[i])
            PROBLEM("%llu losses of cause %u, not %llu", (unsigned long long)v.lost[i], i,
                    (unsigned long long)told[i]);
    if (v.end != published || channel.durable != published)
        PROBLEM("the folder ends at %llu of %llu", (unsigned long long)v.end, (unsigned long long)published);
    if (v.lost[FR_GAP_DISK] + v.lost[FR_GAP_OVERWRITTEN] + v.records != published
        || v.lost[FR_GAP_DISK] != channel.disk || v.lost[FR_GAP_OVERWRITTEN] != channel.overwritten)
        PROBLEM("disk %llu of %llu, overwritten %llu of %llu", (unsigned long long)v.lost[FR_GAP_DISK],
                (unsigned long long)channel.disk, (unsigned long long)v.lost[FR_GAP_OVERWRITTEN],
                (unsigned long long)channel.overwritten);
}

/* While segments that were given up are not written again whole, those behind them stay, whatever the budget:
 * without them numbers would be missing that are durable. */
static void behind(void)
{
    unsigned char *records;
    size_t size;
    set_up(65536);
    while (channel.retired_count < 8)
        publish(512), drain();
    flush_fails = 1;
    fr_sync_round(&spooler);
    full_after = 7;
    drain();
    spooler.retention.keep_bytes = 1, spooler.retention.due = 0;
    fr_sync_round(&spooler);
    records = slurp("records.000009.npy", &size);
    if (!records || channel.kept_count < 2 || !channel.durable || channel.durable >= channel.again_until)
        PROBLEM("of the first segment that was written again %s",
                records ? "nothing is told" : "nothing is left");
    free(records), no_rows = 0;
}

/* Somebody removes one file of a segment that is durable, and of which the ring has lost most: all of it,
 * losses too, is written again out of what is still open, and no sooner durable. */
static void removed(void)
{
    static const char *const names[] = {"index.000002.npy", "records.000002.npy", "gaps.000002.npy",
                                        "strings.000002.jsonl"};
    uint64_t told[8], i;
    int file, spooled;
    for (file = 0; file < 8; file++) {
        memset(told, 0, sizeof told);
        published = 0;
        set_up(256);
        for (i = 0; i < 24; i++) {
            publish(100), drain();
            fr_ring_lose(&ring, FR_GAP_MISSED, 0, 3, (int64_t)published, (int64_t)published);
            told[FR_GAP_MISSED] += 3;
            spooled = channel.segment.number == 2 && channel.segment.rows[FR_RECORDS] > 200;
            if (file < 4 || !spooled)
                fr_sync_round(&spooler); /* else the rest of it is not durable */
        }
        unlinkat(dir, names[file % 4], 0);
        fr_sync_round(&spooler);
        if (channel.sync_error != ENOENT)
            PROBLEM("that %s was removed goes unnoticed", names[file % 4]);
        publish(1), drain();
        if (channel.durable > 2 * SEGMENT)
            PROBLEM("durable %llu, of what was removed", (unsigned long long)channel.durable);
        for (i = 0; i < 3; i++) {
            publish(100), drain();
            fr_sync_round(&spooler);
        }
        if (channel.sync_error || channel.given_up_count || channel.disk || channel.overwritten)
            PROBLEM("of %s not all was written again", names[file % 4]);
        all_told(told);
        if (!faccessat(dir, "zones.000002.npy", F_OK, 0))
            PROBLEM("of what is needless something stays");
        fr_channel_close(&faulty, &channel, &spooler.lock);
    }
}

/* So is it where nothing is made durable, and a loss is the last that it has; and what follows a full segment
 * that nobody has closed yet. */
static void removed_last(void)
{
    int i, full;
    for (full = 0; full < 2; full++) {
        published = 0;
        set_up(CAPACITY);
        spooler.durability = FR_DURABLE_NEVER, channel.never = 1;
        for (i = 0; i < 3; i++) {
            channel.rotate = (uint64_t)(full && i == 2);
            publish(100), drain();
            fr_ring_lose(&ring, FR_GAP_MISSED, 0, 3, (int64_t)published, (int64_t)published);
        }
        fr_ring_lose(&ring, FR_GAP_FAILED, -5, 1, (int64_t)published, (int64_t)published); /* parts it off */
        drain();
        if (!full)
            fr_sync_round(&spooler);
        unlinkat(dir, "records.000000.npy", 0);
        for (i = 0; i < 3; i++) {
            fr_sync_round(&spooler);
            drain();
        }
        if (channel.sync_error || verdict(&channel, published, 0).end != published)
            PROBLEM("of %llu records not all was written again", (unsigned long long)published);
        if (verdict(&channel, published, 0).lost[FR_GAP_MISSED] != 9)
            PROBLEM("%llu of 9 losses are told",
                    (unsigned long long)verdict(&channel, published, 0).lost[FR_GAP_MISSED]);
        fr_channel_close(&faulty, &channel, &spooler.lock);
    }
}

/* What is left of a segment of which somebody removed a file goes once all of it is elsewhere, to the last
 * record, durable or not; if it cannot, it counts until retention removes it. */
static void needless(void)
{
    int stays, never;
    for (never = 0; never < 2; never++)
        for (stays = 0; stays < 2; stays++) {
            int there, counts_still;
            published = 0;
            set_up(CAPACITY);
            spooler.durability = never ? FR_DURABLE_NEVER : FR_DURABLE_TIMED, channel.never = never;
            publish(100), drain();
            fr_sync_round(&spooler);
            unlinkat(dir, "records.000000.npy", 0);
            fr_sync_round(&spooler);
            no_removes = stays;
            drain();
            fr_sync_round(&spooler);
            drain();
            no_removes = 0;
            there = !faccessat(dir, "zones.000000.npy", F_OK, 0);
            counts_still = channel.kept_count && !channel.kept->number;
            if (channel.given_up_count || there != stays || counts_still != stays)
                PROBLEM("%s durable: of what is needless %s stays%s", never ? "never" : "soon",
                        there ? "something" : "nothing", counts_still ? ", and counts" : "");
            fr_channel_close(&faulty, &channel, &spooler.lock);
        }
}

/* With the folder all is gone, and for good: nothing of it is written, let alone durable. */
static void folderless(void)
{
    fr_file_name name;
    uint32_t i;
    int file;
    set_up(CAPACITY);
    for (i = 0; i < 3; i++)
        publish(600), drain(), fr_sync_round(&spooler);
    for (i = 0; i <= channel.next_segment; i++)
        for (file = 0; file < FR_FILES; file++) {
            fr_segment_name(name, file, i);
            unlinkat(dir, name, 0);
        }
    unlinkat(dir, "clocks", 0), unlinkat(dir, "stats", 0);
    if (rmdir(folder))
        PROBLEM("the folder stays: %s", strerror(errno));
    fr_sync_round(&spooler);
    publish(10), drain();
    if (channel.written || channel.durable || channel.error != ENOENT)
        PROBLEM("written %llu, durable %llu, in no folder: %s", (unsigned long long)channel.written,
                (unsigned long long)channel.durable, strerror((int)channel.error));
}

/* Of what was given up, one byte of the block that begins with its first record. */
static void spoil(const fr_segment *s)
{
    if (fr_pwrite(s->fd[FR_RECORDS], "?", 1, 128 + 3) != 1)
        PROBLEM("nothing is spoiled");
}

/* The first row of an index. */
static fr_index_row first_of(const char *name)
{
    fr_index_row row = {0};
    size_t size;
    unsigned char *index = slurp(name, &size);
    if (size >= 128 + sizeof row)
        memcpy(&row, index + 128, sizeof row);
    free(index);
    return row;
}

/* Of what was removed, one block cannot be read: it is lost, from its own time on. */
static void dated(void)
{
    fr_gap gap = {0};
    unsigned char *gaps;
    size_t size;
    int i;
    set_up(256);
    for (i = 0; i < 6; i++)
        publish(100), drain();
    fr_sync_round(&spooler);
    spoil(&channel.segment);
    unlinkat(dir, "index.000000.npy", 0);
    fr_sync_round(&spooler);
    drain();
    fr_sync_round(&spooler);
    drain(); /* what remains of it goes */
    gaps = slurp("gaps.000001.npy", &size);
    if (size >= 128 + sizeof gap)
        memcpy(&gap, gaps + 128, sizeof gap);
    free(gaps);
    if (gap.seq || gap.count != 100 || gap.t_first != 5)
        PROBLEM("lost are %llu from %llu on, since %lld", (unsigned long long)gap.count,
                (unsigned long long)gap.seq, (long long)gap.t_first);
    if (verdict(&channel, published, 0).end != published)
        PROBLEM("the folder ends early");
}

/* What was given up and written again is given up once more, and cannot be read there: it is where it was at
 * first. */
static void twice(void)
{
    int i;
    set_up(256);
    for (i = 0; i < 6; i++)
        publish(100), drain();
    for (i = 0; i < 2; i++) {
        flush_fails = 1;
        fr_sync_round(&spooler);
        drain();
        spoil(&channel.segment);
    }
    if (channel.disk || channel.overwritten || channel.cursor != published)
        PROBLEM("%llu records are lost that can be read",
                (unsigned long long)(channel.disk + channel.overwritten));
}

/* A file takes no counts any more: others are written instead, and nothing waits for it. */
static void stuck(void)
{
    int i;
    set_up(65536);
    publish(100), drain();
    uncounting = channel.segment.fd[FR_RECORDS];
    publish(100), drain();
    for (i = 0; i < 3; i++)
        drain(), fr_sync_round(&spooler);
    uncounting = -1;
    if (channel.error || channel.durable != published)
        PROBLEM("durable %llu of %llu: %s", (unsigned long long)channel.durable,
                (unsigned long long)published, strerror((int)channel.error));
}

/* Two segments are given up, and the first alone has too low a count: that is told for good. */
static void uneven(void)
{
    set_up(65536);
    while (!channel.retired_count)
        publish(512), drain();
    uncounting = channel.retired[0].fd[FR_INDEX];
    flush_fails = 1;
    fr_sync_round(&spooler);
    drain();
    uncounting = -1;
    fr_sync_round(&spooler), drain(), fr_sync_round(&spooler);
    if (channel.side_error != EIO || channel.durable != published)
        PROBLEM("that a count is too low is forgotten: %s", strerror((int)channel.side_error));
}

/* A segment that was opened ahead, and nothing comes: it goes. One that holds nothing, and cannot: it counts.
 */
static void unneeded(void)
{
    set_up(65536);
    publish(600), drain();
    fr_sync_round(&spooler);
    if (channel.ahead_state != FR_AHEAD_READY)
        PROBLEM("nothing is opened ahead");
    flush_fails = 1, channel.unsynced_names = 1;
    fr_sync_round(&spooler);
    drain();
    fr_channel_close(&faulty, &channel, &spooler.lock);
    if (!faccessat(dir, "records.000001.npy", F_OK, 0))
        PROBLEM("a segment that was opened ahead, and not needed, stays");
    published = 0;
    set_up(65536);
    no_index = no_removes = 1;
    publish(10), drain(), drain();
    no_removes = 0;
    fr_sync_round(&spooler);
    if (channel.kept_count != 1 || channel.kept->number || channel.durable != published)
        PROBLEM("an empty segment that cannot be removed does not count");
    fr_channel_close(&faulty, &channel, &spooler.lock);
}

/* Where somebody removes a file behind what is not durable, that is written again first; and what comes from
 * there on says so. */
static void again(void)
{
    fr_index_row row;
    int i;
    set_up(65536);
    for (i = 0; i < 3; i++)
        publish(600), drain();
    unlinkat(dir, "records.000001.npy", 0);
    fr_sync_round(&spooler);
    drain();
    row = first_of("index.000002.npy");
    if (row.first_seq || row.rows != channel.stage_rows || row.flags != (FR_INDEX_AGAIN | FR_INDEX_STEADY))
        PROBLEM("written again are %u from %llu on, with flags %u", row.rows,
                (unsigned long long)row.first_seq, row.flags);
    row = first_of("index.000003.npy");
    if (row.first_seq != SEGMENT || row.flags != FR_INDEX_STEADY)
        PROBLEM("what follows is from %llu on, with flags %u", (unsigned long long)row.first_seq, row.flags);
    fr_sync_round(&spooler);
    if (channel.durable != published || verdict(&channel, published, 0).end != published)
        PROBLEM("durable %llu of %llu", (unsigned long long)channel.durable, (unsigned long long)published);
}

/* What is to be written again is so at once, however seldom the channel is drained. */
static void seldom(void)
{
    int i, behind, waits;
    set_up(65536);
    spooler.flush = 3600 * FR_NS;
    publish(100), drain();
    for (i = 0; i < 2; i++) {
        fr_sync_round(&spooler);
        if (i)
            flush_fails = 1, channel.unsynced_names = 1;
        else
            unlinkat(dir, "records.000000.npy", 0);
        fr_sync_round(&spooler);
        fake += 2 * FR_NS;
        fr_spool_round(&spooler, 0, &behind, &waits);
        fr_sync_round(&spooler);
        if (channel.sync_error || channel.segment.number != 1 || channel.durable != published)
            PROBLEM("%s, and durable %llu, in segment %u", strerror((int)channel.sync_error),
                    (unsigned long long)channel.durable, channel.segment.number);
    }
}

/* A flush for many channels fails that had nothing to do for this one: it is told of no longer than it lasts.
 */
static void idle(void)
{
    fr_dirty none;
    set_up(CAPACITY);
    publish(100), drain();
    fr_sync_round(&spooler);
    fr_sync_collect(&channel, &spooler.lock, &none);
    fr_sync_finish(&faulty, &spooler.lock, &none, -EIO, spooler.durability);
    if (channel.sync_error != EIO)
        PROBLEM("that a flush failed goes unnoticed");
    drain();
    fr_sync_round(&spooler);
    if (channel.sync_error || channel.durable != 100)
        PROBLEM("%s, though all %llu are durable", strerror((int)channel.sync_error),
                (unsigned long long)channel.durable);
}

/* A file system that counts no names is none whose files are removed. */
static void uncounted(void)
{
    nameless = 1;
    set_up(CAPACITY);
    publish(100), drain();
    fr_sync_round(&spooler);
    if (channel.sync_error || channel.durable != 100)
        PROBLEM("durable %llu where files have no names", (unsigned long long)channel.durable);
    flush_fails = 1;
    publish(100), drain();
    fr_sync_round(&spooler);
    drain();
    if (channel.durable < 100)
        PROBLEM("durable fell to %llu where files have no names", (unsigned long long)channel.durable);
    nameless = 0;
}

/* As many losses wait as may, when numbers are found missing on both sides of some that were told before. */
static void losses_full(void)
{
    uint64_t told[8] = {0};
    set_up(CAPACITY);
    publish(100), drain();
    publish(2 * CAPACITY), drain(); /* numbers from 100 on are overwritten */
    no_rows = 2;
    lose_many(told, FR_GAPS_HELD + 1000);
    publish(2 * CAPACITY);
    no_reads = flush_fails = 1;
    fr_sync_round(&spooler);
    drain(), drain(), drain();
    no_rows = no_reads = 0;
    drain(), drain();
    fr_sync_round(&spooler);
    all_told(told);
}

/* Numbers are overwritten when as many losses are committed as are kept until they are durable: after a flush
 * that failed they are told again, and not found missing once more. */
static void told_full(void)
{
    uint64_t told[8] = {0};
    set_up(CAPACITY);
    publish(100), drain();
    lose_many(told, FR_TOLD_MOST + 1000), drain();
    publish(2 * CAPACITY), drain();
    flush_fails = 1;
    fr_sync_round(&spooler);
    drain(), drain();
    fr_sync_round(&spooler);
    all_told(told);
}

/* So often are numbers overwritten until a flush fails that not every loss can be told again: those that are
 * not are found missing once more, and count once. */
static void too_often(void)
{
    const uint64_t none[8] = {0}, often[] = {FR_GAPS_HELD + 1000, 2 * FR_TOLD_MOST + 1000};
    int i;
    for (i = 0; i < 2; i++) {
        uint64_t n;
        published = 0;
        set_up(2);
        channel.segment_rows = 1 << 20;
        for (n = 0; n < often[i]; n++)
            publish(3), drain();
        flush_fails = 1;
        fr_sync_round(&spooler);
        for (n = 0; n < 40 && channel.durable != published; n++) {
            drain();
            fr_sync_round(&spooler);
        }
        all_told(none);
        fr_channel_close(&faulty, &channel, &spooler.lock);
    }
}

/* The disk is full, and the segment that makes way needs one row behind it: that is tried. */
static void scarce(void)
{
    int i;
    set_up(65536);
    spooler.retention.min_free = 1 << 20;
    publish(900), drain();
    fr_sync_round(&spooler);
    space = 0, no_rows = 1;
    publish(100);
    for (i = 0; i < 2; i++) {
        drain();
        fake += 300000000;
        fr_sync_round(&spooler);
    }
    no_rows = 0, space = (1 << 20) - 4096;
    for (i = 0; i < 20; i++) {
        publish(10), drain();
        fr_sync_round(&spooler);
    }
    if (channel.written != published || spooler.retention.full)
        PROBLEM("written %llu of %llu, though there is room again", (unsigned long long)channel.written,
                (unsigned long long)published);
}

static fr_spool_channel resting;
static void wake(void) { fr_retention_wake(&spooler.retention, &channel, &spooler.lock); }

/* A channel at rest is added again while the segment that lets its others go is made durable. */
static void woken(void)
{
    static fr_spool_channel *all[1] = {&resting};
    int i;
    set_up(65536);
    publish(900), drain();
    fr_sync_round(&spooler);
    fr_channel_close(&faulty, &channel, &spooler.lock);
    channel.kept_count = 0;
    resting.dir = channel.dir, resting.seed_base = channel.seed_base;
    memcpy(resting.kinds, channel.kinds, sizeof channel.kinds);
    strcpy(resting.name, channel.name);
    resting.kept = calloc(1, sizeof *resting.kept), resting.kept_count = resting.kept_room = 1;
    resting.kept->bytes = 900 * RECORD + 600, resting.kept->last = resting.last = 904;
    resting.cursor = 900, resting.next_segment = 1;
    spooler.retention.resting = all, spooler.retention.resting_count = 1;
    spooler.retention.keep_bytes = 1000, spooler.retention.due = 0;
    spooler.count = 0;
    during_flush = wake;
    fr_sync_round(&spooler);
    spooler.count = 1, spooler.retention.keep_bytes = 60000;
    for (i = 0; i < 40; i++) {
        publish(1024), drain();
        fr_sync_round(&spooler);
    }
    if (resting.kept_count || channel.kept_count > 3 || channel.kept->number < 38)
        PROBLEM("%u segments stay at rest, of %u the first is %u", resting.kept_count, channel.kept_count,
                channel.kept->number);
}

static void publish_at(uint64_t count, int64_t stamp, int64_t step)
{
    for (; count; count--, stamp += step)
        put_at(published++, stamp);
}

/* Losses that are committed before any record follows. */
static void lose_alone(int64_t stamp)
{
    fr_ring_lose(&ring, FR_GAP_MISSED, 0, 3, stamp, stamp);
    fr_ring_flush_gap(&ring);
    drain();
}

/* The flags of the index rows of segment 0 are these, and the times of all are judged. */
static void flagged(const char *what, uint32_t count, const uint32_t *flags)
{
    size_t size, i;
    unsigned char *index = slurp("index.000000.npy", &size);
    const size_t rows = size < 128 ? 0 : (size - 128) / sizeof(fr_index_row);
    for (i = 0; i < rows; i++) {
        fr_index_row row;
        memcpy(&row, index + 128 + i * sizeof row, sizeof row);
        if (i < count && row.flags != flags[i])
            PROBLEM("%s: row %zu has flags %u, not %u", what, i, row.flags, flags[i]);
    }
    if (rows != count)
        PROBLEM("%s: %zu index rows, not %u", what, rows, count);
    free(index);
    if (verdict(&channel, published, 0).end != published)
        PROBLEM("%s: the folder ends early", what);
    fr_channel_close(&faulty, &channel, &spooler.lock);
    fr_map_free(memory, plan.total_size, memory_fd);
    close(dir), close(clocks_fd), close(stats_fd);
}

/* A channel whose segments have several blocks, of a commit too. */
static void set_up_wide(void)
{
    published = 0;
    set_up(65536);
    channel.segment_rows = 5 * FR_BLOCK_ROWS, channel.stage_rows = 4 * FR_BLOCK_ROWS;
    channel.stage = realloc(channel.stage, channel.stage_rows * RECORD);
}

/* A row says whether any time of its segment has fallen: within a block, between two, between commits; losses
 * alone and commits that have to be made again change nothing. */
static void steady(void)
{
    enum { S = FR_INDEX_STEADY, D = FR_INDEX_DECREASING };
    int i;
    set_up_wide();
    publish_at(100, 50, 0), drain(), publish_at(100, 50, 1), drain();
    lose_alone(200);
    publish_at(2000, 149, 1), drain();
    flagged("none", 6, (const uint32_t[]){S, S, S, S, S, S});

    set_up_wide();
    publish_at(100, 50, 1), drain(), publish_at(50, 200, 1), publish_at(50, 248, 1), drain();
    lose_alone(400);
    publish_at(10, 500, 1), drain();
    flagged("within", 4, (const uint32_t[]){S, D, 0, 0});

    set_up_wide();
    publish_at(FR_BLOCK_ROWS, 50, 1), publish_at(2 * FR_BLOCK_ROWS, FR_BLOCK_ROWS + 48, 1), drain();
    publish_at(9, 9000, 1), drain();
    flagged("between blocks", 4, (const uint32_t[]){S, 0, 0, 0});

    set_up_wide();
    publish_at(100, -900, 1), drain(), publish_at(100, -800, 1), drain(), publish_at(9, -702, 1), drain();
    flagged("below 0", 3, (const uint32_t[]){S, S, 0});

    set_up_wide();
    publish_at(100, 50, 1), drain(), publish_at(100, 148, 1), drain(), publish_at(9, 900, 1), drain();
    flagged("between commits", 3, (const uint32_t[]){S, 0, 0});

    set_up_wide();
    publish_at(100, 50, 1), drain();
    lose_alone(200);
    publish_at(100, 148, 1), drain();
    flagged("behind losses", 3, (const uint32_t[]){S, S, 0});

    /* What did not land had fallen; it comes again, and the next goes on with that. */
    set_up_wide();
    publish_at(100, 50, 1), drain(), publish_at(100, 148, 1);
    no_rows = 1, drain(), no_rows = 0, drain();
    publish_at(9, 900, 1), drain();
    flagged("made again", 3, (const uint32_t[]){S, 0, 0});

    set_up_wide();
    publish_at(100, 50, 1), drain(), publish_at(100, 149, 1);
    no_rows = 1, drain();
    if (channel.error != ENOSPC)
        PROBLEM("a full disk takes rows");
    no_rows = 0, drain();
    publish_at(9, 900, 1), drain();
    flagged("made again, none fell", 3, (const uint32_t[]){S, S, S});

    /* Of four blocks two land, and the last falls; the disk is full for a moment, at any call. */
    for (mode = M_SHORT, i = 0; i < 60; i++) {
        set_up_wide();
        publish_at(1, 49, 1), drain();
        publish_at(3 * FR_BLOCK_ROWS - 1, 50, 1), publish_at(500, 3000, 1);
        fail_from = calls + i, fail_to = fail_from + 1;
        drain(), drain();
        flagged("in part", 5, (const uint32_t[]){S, S, S, S, 0});
    }
    mode = M_EIO;

    /* A segment begins anew, whatever the one before it had. */
    set_up_wide();
    publish_at(50, 50, 1), publish_at(50, 20, 1), drain();
    channel.rotate = 1, drain();
    if (first_of("index.000001.npy").flags != S)
        PROBLEM("the next segment begins with flags %u", first_of("index.000001.npy").flags);
    publish_at(50, 60, 1), drain();
    flagged("a next segment", 1, (const uint32_t[]){D});
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*body)(void);
    } cases[] = {{"stop", stop_crowded},
                 {"scarce", scarce},
                 {"woken", woken},
                 {"anchored", anchored},
                 {"parted", parted},
                 {"losses", losses_full},
                 {"counted", counted},
                 {"growing", growing},
                 {"crowded", crowded_again},
                 {"turns", turns},
                 {"large", too_large},
                 {"told", told_full},
                 {"there", never_there},
                 {"last", removed_last},
                 {"seldom", seldom},
                 {"behind", behind},
                 {"removed", removed},
                 {"uncounted", uncounted},
                 {"needless", needless},
                 {"folderless", folderless},
                 {"dated", dated},
                 {"twice", twice},
                 {"stuck", stuck},
                 {"uneven", uneven},
                 {"unneeded", unneeded},
                 {"unfinished", unfinished},
                 {"again", again},
                 {"often", too_often},
                 {"idle", idle},
                 {"steady", steady}};
    size_t i;
    if (argc != 3)
        return 2;
    begin(argv[1]);
    snprintf(label, sizeof label, "%s", argv[2]);
    for (i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!strcmp(argv[2], cases[i].name)) {
            cases[i].body();
            return problems != 0;
        }
    return 2;
}
