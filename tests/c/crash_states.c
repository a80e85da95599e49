/* The spooler on a disk that loses power, or in a process that is killed, at any moment.
 *
 * A disk in memory stands behind fr_io. It keeps, of every file, what the last flush that succeeded made
 * durable, and every sector that was written since; of every folder, its names in the same way. A script that
 * a seed chooses drives two channels: bursts, losses, texts, rotation, rounds of flushing, faults, and one
 * thread's work in the middle of the other's calls. At each call, and within a write, crash states are made
 * of the log:
 *
 *   power   each unflushed sector has any of the contents it had, or, where the file had none, zeros or a
 * sector of another file; each size is any there was since the flush; so is each name. All below `durable` is
 *           there, once, unharmed, or in a gap; nothing that passes its checksum is wrong.
 *   kill    everything that was written is there, the last write up to a sector. The same of `written`, and
 * no count is ahead.
 *
 *   crash_states STATES [SEED]    judges that many states, of this seed and the next ones
 *   crash_states at SEED STATE    judges one again, and prints the calls that led to it */
#include <malloc.h>
#include "judge.h"

#define CAPACITY 2048
#define SEGMENT 1024
#define SECTOR 512
#define FILES 2048
#define NAMES 1024
#define LOSSES 4096
#define ZONED 2 /* fields that have zones */
#ifndef ENOUGH
#define ENOUGH 20 /* problems */
#endif
#define FIRST_FD                                                                                             \
    100 /* of files; below are folders: 0 is the recording's, 1 and 2 are those of the channels */

static uint64_t seed, script, pick, dice; /* random numbers: of the run, of its states, of what is in one */
static long state, wanted_state = -1, most_states, runs, power_states, kill_states, problems;
static uint64_t judged_safe, judged_records, removed;
static int gone[3]; /* by folder: a segment was removed, perhaps one of losses alone */
static char kind[160];

static uint64_t roll(uint64_t *from, uint64_t below)
{
    uint64_t z = *from += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return (z ^ z >> 31) % below;
}

static void says(const char *what)
{
    problems++;
    printf("FAIL seed %llu state %ld (%s): %s\n", LL(seed), state, kind, what);
    fflush(stdout);
}

/* The calls, where one state is judged again. */
#define LOG(...)                                                                                             \
    do {                                                                                                     \
        if (wanted_state >= 0)                                                                               \
            printf(__VA_ARGS__), putchar('\n');                                                              \
    } while (0)

/* ---- the disk ---- */

typedef struct written { /* a sector, as a write left it */
    uint64_t sector, moment;
    unsigned char data[SECTOR];
} written;

typedef struct change { /* of a size, or of what a name names */
    long to;
    uint64_t moment;
} change;

#define CHANGES 32
typedef struct history {
    long disk, now; /* what the last flush made durable; what everybody sees */
    change log[CHANGES];
    int logged;
} history;

typedef struct file {
    char name[48];
    unsigned char *cache, *disk; /* what a read sees; what the last flush made durable. Both `room` bytes */
    size_t room;
    history size;
    written *log; /* since then */
    size_t logged, log_room;
    uint64_t begun; /* bytes whose way to the disk has */
    int closed;
} file;

typedef struct name {
    char text[48];
    int dir;
    history file; /* -1: none */
} name;

static file files[FILES];
static name names[NAMES];
static int file_count, name_count;
static uint64_t moment; /* of the log */

static int stopping;
static int draining, flushing; /* whose work is done; both: one within a call of the other's */
static void crash(int torn);
static void meanwhile(void);

static int faulted;    /* a call has failed */
static int forgotten;  /* a flush failed, and what was written before it is not even read any more */
static int unreadable; /* that, or a read failed */

/* Does the script have this call fail? */
static uint64_t faulty_from, faulty_to, fault_odds;
static int fails(void)
{
    int now = moment >= faulty_from && moment < faulty_to && !roll(&script, fault_odds);
    if (now) {
        LOG("%llu fails", LL(moment));
        faulted = 1;
    }
    return now;
}

static name *entry(int dir, const char *text)
{
    int i;
    for (i = 0; i < name_count; i++)
        if (names[i].dir == dir && !strcmp(names[i].text, text))
            return &names[i];
    if (name_count == NAMES)
        abort();
    memset(&names[i], 0, sizeof names[i]);
    snprintf(names[i].text, sizeof names[i].text, "%s", text);
    names[i].dir = dir, names[i].file.disk = names[i].file.now = -1;
    return &names[name_count++];
}

static void change_to(history *h, long to)
{
    h->now = to;
    if (h->logged == CHANGES) /* forget one of the middle: the newest is what matters */
        memmove(h->log + 7, h->log + 8, (CHANGES - 8) * sizeof *h->log), h->logged--;
    h->log[h->logged].to = to, h->log[h->logged++].moment = moment;
}

/* What was changed before moment `to` is durable. */
static void settle(history *h, uint64_t to)
{
    int i, kept = 0;
    for (i = 0; i < h->logged; i++)
        if (h->log[i].moment < to)
            h->disk = h->log[i].to;
        else
            h->log[kept++] = h->log[i];
    h->logged = kept;
}

static file *open_file(int fd)
{
    if (fd < FIRST_FD || files[fd - FIRST_FD].closed)
        says("uses a file that is closed");
    return &files[fd < FIRST_FD ? 0 : fd - FIRST_FD];
}

static int new_file(const char *text)
{
    file *f = &files[file_count];
    unsigned char *cache = f->cache, *disk = f->disk;
    written *log = f->log;
    size_t room = f->room, log_room = f->log_room;
    if (file_count == FILES)
        abort();
    memset(f, 0, sizeof *f);
    f->cache = cache, f->disk = disk, f->room = room, f->log = log, f->log_room = log_room;
    if (room)
        memset(cache, 0, room), memset(disk, 0, room);
    snprintf(f->name, sizeof f->name, "%s", text);
    return FIRST_FD + file_count++;
}

static void grow(file *f, size_t size)
{
    size_t room = f->room;
    if (size <= room)
        return;
    size = (size * 2 + SECTOR - 1) / SECTOR * SECTOR;
    f->cache = (unsigned char *)realloc(f->cache, size), f->disk = (unsigned char *)realloc(f->disk, size);
    memset(f->cache + room, 0, size - room), memset(f->disk + room, 0, size - room);
    f->room = size;
}

static void apply(file *f, const unsigned char *data, size_t size, uint64_t offset)
{
    uint64_t sector;
    if (!size)
        return;
    grow(f, offset + size);
    memcpy(f->cache + offset, data, size);
    if ((long)(offset + size) > f->size.now)
        change_to(&f->size, (long)(offset + size));
    for (sector = offset / SECTOR; sector <= (offset + size - 1) / SECTOR; sector++) {
        written *w;
        if (f->logged == f->log_room)
            f->log = (written *)realloc(f->log, (f->log_room = f->log_room * 2 + 64) * sizeof *f->log);
        w = &f->log[f->logged++];
        w->sector = sector, w->moment = moment;
        memcpy(w->data, f->cache + sector * SECTOR, SECTOR);
    }
}

/* The end of a flush that began at moment `to`. When it fails, each sector is on the disk or is not, its page
 * counts as clean all the same, and is perhaps forgotten. */
static void harden(file *f, uint64_t to, int failed)
{
    const int forget = failed && roll(&script, 2);
    size_t i, kept = 0;
    for (i = 0; i < f->logged && f->log[i].moment < to; i++)
        if (!failed || roll(&script, 2))
            memcpy(f->disk + f->log[i].sector * SECTOR, f->log[i].data, SECTOR);
    if (forget) {
        size_t k;
        forgotten = unreadable = 1;
        for (k = 0; k < i; k++)
            memcpy(f->cache + f->log[k].sector * SECTOR, f->disk + f->log[k].sector * SECTOR, SECTOR);
        for (k = i; k < f->logged; k++)
            memcpy(f->cache + f->log[k].sector * SECTOR, f->log[k].data, SECTOR);
    }
    for (; i < f->logged; i++)
        f->log[kept++] = f->log[i];
    f->logged = kept;
    settle(&f->size, to);
}

/* ---- the table ---- */

static int d_create(int dir, const char *text)
{
    name *n;
    crash(0), meanwhile(), moment++;
    n = entry(dir, text);
    if (fails())
        return -ENOSPC;
    if (n->file.now >= 0)
        return -EEXIST;
    LOG("%llu create %d/%s", LL(moment), dir, text);
    change_to(&n->file, new_file(text));
    return (int)n->file.now;
}

static long d_write(int fd, const void *data, size_t size, uint64_t offset)
{
    const unsigned char *bytes = (const unsigned char *)data;
    file *f;
    size_t whole, part = 0;
    crash(0), meanwhile(), moment++;
    f = open_file(fd);
    LOG("%llu write %s %zu at %llu", LL(moment), f->name, size, LL(offset));
    if (fails()) {
        /* Eight aligned bytes, such as a count, are there or not. */
        apply(f, bytes, !roll(&script, 2) ? 0 : size == 8 ? 8 : roll(&script, size + 1), offset);
        return roll(&script, 2) ? -EIO : -ENOSPC;
    }
    whole = (offset + size - 1) / SECTOR - offset / SECTOR; /* borders within it */
    if (whole) {
        part = (size_t)((offset / SECTOR + 1 + roll(&script, whole)) * SECTOR - offset);
        apply(f, bytes, part, offset);
        crash(1);
    }
    apply(f, bytes + part, size - part, offset + part);
    return (long)size;
}

static int d_publish(int dir, const char *from, const char *to)
{
    name *old, *fresh;
    crash(0), meanwhile(), moment++;
    old = entry(dir, from), fresh = entry(dir, to);
    LOG("%llu publish %d/%s", LL(moment), dir, to);
    if (fails())
        return -ENOSPC;
    if (old->file.now < 0 || fresh->file.now >= 0)
        return old->file.now < 0 ? -ENOENT : -EEXIST;
    change_to(&fresh->file, old->file.now);
    crash(1);
    change_to(&old->file, -1);
    return 0;
}

static int d_remove(int dir, const char *text)
{
    name *n;
    crash(0), meanwhile(), moment++;
    n = entry(dir, text);
    if (n->file.now < 0)
        return -ENOENT;
    LOG("%llu remove %d/%s", LL(moment), dir, text);
    if (fails())
        return -EIO;
    if (!strncmp(text, "records.", 8))
        removed++, gone[dir] = 1;
    change_to(&n->file, -1);
    return 0;
}

static int d_sync(int fd)
{
    uint64_t from;
    int failed;
    crash(0), from = ++moment;
    LOG("%llu sync %s", LL(moment), open_file(fd)->name);
    meanwhile();
    crash(0);
    failed = fails();
    harden(open_file(fd), from, failed);
    return failed ? -EIO : 0;
}

static int d_sync_all(int fd)
{
    uint64_t from;
    int i, failed;
    (void)fd;
    crash(0), from = ++moment;
    LOG("%llu sync all", LL(moment));
    meanwhile();
    crash(0);
    failed = fails();
    for (i = 0; i < file_count; i++)
        harden(&files[i], from, failed);
    for (i = 0; i < name_count && !failed; i++)
        settle(&names[i].file, from);
    return failed ? -EIO : 0;
}

static int d_sync_dir(int dir)
{
    uint64_t from;
    int i, failed;
    crash(0), from = ++moment;
    LOG("%llu sync folder %d", LL(moment), dir);
    meanwhile();
    crash(0);
    failed = fails();
    for (i = 0; i < name_count && !failed; i++)
        if (names[i].dir == dir)
            settle(&names[i].file, from);
    return failed ? -EIO : 0;
}

static int d_close(int fd)
{
    crash(0), moment++;
    LOG("%llu close %s", LL(moment), open_file(fd)->name);
    open_file(fd)->closed = 1;
    return fails() ? -EIO : 0;
}

static long d_read(int fd, void *data, size_t size, uint64_t offset)
{
    const file *f = open_file(fd);
    crash(0), meanwhile(), moment++;
    LOG("%llu read %s %zu at %llu", LL(moment), f->name, size, LL(offset));
    if (fails()) {
        unreadable = 1;
        return -EIO;
    }
    if (offset >= (uint64_t)f->size.now)
        return 0;
    size = size < (size_t)f->size.now - offset ? size : (size_t)f->size.now - offset;
    memcpy(data, f->cache + offset, size);
    return (long)size;
}

static int d_space(int dir, uint64_t *bytes)
{
    (void)dir;
    *bytes = 1ull << 40;
    return 0;
}

/* Only what was written can begin its way, in whole pages, each once and in order. It is no flush. */
static int d_begin(int fd, uint64_t offset, uint64_t size)
{
    file *f = open_file(fd);
    crash(0), meanwhile(), moment++;
    LOG("%llu begin %s %zu at %llu", LL(moment), f->name, (size_t)size, LL(offset));
    if (!strstr(f->name, "records.") || offset % 4096 || size % 4096 || !size
        || offset + size > (uint64_t)f->size.now || offset != f->begun)
        says("begins what is not there, or was begun before");
    f->begun = offset + size;
    return fails() ? -EIO : 0;
}

/* Nobody else is in the folder. */
static int d_removed(int fd)
{
    (void)fd;
    return 0;
}

static const fr_io disk = {
    .create = d_create,
    .write = d_write,
    .publish = d_publish,
    .remove = d_remove,
    .sync = d_sync,
    .sync_all = d_sync_all,
    .sync_dir = d_sync_dir,
    .close = d_close,
    .read = d_read,
    .space = d_space,
    .begin = d_begin,
    .removed = d_removed,
};

/* ---- a run ---- */

typedef struct channel {
    fr_spool_channel c;
    fr_ring ring;
    fr_texts texts;
    uint64_t zone_row[FR_ZONE_SIZE(ZONED) / 8];
    uint64_t published;
    fr_gap losses[LOSSES];
    int loss_count;
} channel;

static channel channels[2];
static fr_spooler spooler;

static int64_t fake = 1000000000;
static int64_t fake_now(void) { return fake; }
static void fake_wait(const uint32_t *word, uint32_t expected, int64_t deadline)
{
    (void)word, (void)expected, (void)deadline;
    if (draining && !flushing) /* for the syncing thread, which makes room */
        fr_sync_round(&spooler);
}
static const fr_clock fake_clock = {fake_now, fake_wait, fr_read_clock};

static void put(channel *ch, uint64_t count)
{
    for (; count; count--) {
        const uint64_t n = ch->published++;
        uint64_t record[5] = {n + 5, n + 5, 1 + n % 3, 0, mix(n)};
        char text[32];
        if (ch->c.weight_at) {
            fr_ring_put(&ch->ring, record);
            continue;
        }
        record[1] = mix(n);
        record[2] = fr_text_intern(&ch->texts, text,
                                   (uint32_t)snprintf(text, sizeof text, "text %u", (unsigned)(n % 11)));
        fr_ring_put(&ch->ring, record);
    }
}

static void lose(channel *ch)
{
    const uint32_t cause = FR_GAP_DROPPED + (uint32_t)roll(&script, 3);
    const uint64_t count = 1 + roll(&script, 5);
    fr_gap gap = {ch->published, count, cause, 0, 0, 0};
    if (ch->loss_count == LOSSES)
        return;
    fr_ring_lose(&ch->ring, cause, (int32_t)roll(&script, 3), count, (int64_t)ch->published + 5,
                 (int64_t)ch->published + 5);
    ch->losses[ch->loss_count++] = gap;
}

static void flush(void)
{
    flushing = 1;
    LOG("flush");
    fr_sync_begin_all_of(spooler.io, &spooler.lock, spooler.channels, spooler.count);
    fr_sync_round(&spooler);
    LOG("flushed: durable %llu %llu", LL(channels[0].c.durable), LL(channels[1].c.durable));
    flushing = 0;
}

static void drain(channel *ch)
{
    int waits;
    draining = 1;
    LOG("drain %d", ch->c.dir);
    fr_spool_drain(&spooler, &ch->c, stopping, &waits);
    LOG("drained: %d written %llu of %llu", ch->c.dir, LL(ch->c.written), LL(ch->published));
    draining = 0;
    if (spooler.durability != FR_DURABLE_TIMED)
        flush();
}

/* What the other thread, or the writer, does while a call lasts. */
static void meanwhile(void)
{
    if (!(draining || flushing) || stopping || spooler.durability != FR_DURABLE_TIMED)
        return;
    if (!roll(&script, 20))
        put(&channels[roll(&script, 2)], roll(&script, 40));
    if (draining && flushing)
        return;
    if (flushing && !roll(&script, 6))
        drain(&channels[roll(&script, 2)]);
    else if (draining && !roll(&script, 60))
        flush();
}

/* ---- crash states ---- */

enum { OLDEST, ANY, HALF, MOST, NEWEST, MODES };
static const char *const mode_names[MODES] = {"nothing survives", "any", "half", "most", "all survives"};
static int image_dir, image_power, image_mode, image_stale;

/* Which of the contents 0 (durable) to count - 1 (newest) survives? */
static int survivor(int count)
{
    static const uint64_t eighths[MODES] = {0, 0, 4, 7, 8};
    if (!image_power || roll(&dice, 8) < eighths[image_mode])
        return count - 1;
    return image_mode == OLDEST ? 0 : (int)roll(&dice, (uint64_t)count);
}

static uint64_t names_until; /* changes of names up to this moment survive; 0: each has its own luck */
static long survives(const history *h, uint64_t until)
{
    int one, i;
    if (image_power && until) {
        for (i = h->logged; i && h->log[i - 1].moment > until; i--)
            ;
        return i ? h->log[i - 1].to : h->disk;
    }
    one = image_power ? survivor(h->logged + 1) : 0;
    return !image_power ? h->now : one ? h->log[one - 1].to : h->disk;
}

/* A sector that was never written: zeros, or what its place on the disk held before. */
static void leave_stale(unsigned char *data, size_t first, size_t size)
{
    for (; image_stale && first + SECTOR <= size; first += SECTOR) {
        const file *other = &files[roll(&dice, (uint64_t)file_count)];
        size_t i;
        for (i = 0; i < SECTOR && !data[first + i]; i++)
            ;
        if (i == SECTOR && first + SECTOR <= other->room)
            memcpy(data + first, other->cache + first, SECTOR);
    }
}

/* A file of the folder, as it is after the crash. */
static unsigned char *image(const char *text, size_t *size)
{
    static int counts[1 << 12], chosen[1 << 12];
    const name *n = entry(image_dir, text);
    long which = survives(&n->file, names_until);
    unsigned char *data;
    const file *f;
    size_t i;
    *size = 0;
    if (which < 0)
        return NULL;
    f = &files[which - FIRST_FD];
    *size = (size_t)survives(&f->size, 0);
    data = (unsigned char *)malloc(f->room + 1);
    if (f->room)
        memcpy(data, image_power ? f->disk : f->cache, f->room);
    if (!image_power)
        return data;
    if (f->room / SECTOR > 1 << 12)
        abort();
    memset(counts, 0, f->room / SECTOR * sizeof *counts);
    for (i = 0; i < f->logged; i++)
        counts[f->log[i].sector]++;
    for (i = 0; i < f->room / SECTOR; i++)
        chosen[i] = counts[i] ? survivor(counts[i] + 1) : 0;
    memset(counts, 0, f->room / SECTOR * sizeof *counts);
    for (i = 0; i < f->logged; i++)
        if (++counts[f->log[i].sector] == chosen[f->log[i].sector])
            memcpy(data + f->log[i].sector * SECTOR, f->log[i].data, SECTOR);
    leave_stale(data, ((size_t)f->size.disk + SECTOR - 1) / SECTOR * SECTOR, *size);
    return data;
}

/* The first number that retention has left, so far. */
static uint64_t retired(const channel *ch)
{
    uint64_t first = ch->c.written;
    uint32_t s;
    fr_file_name text;
    for (s = 0; s < ch->c.next_segment; s++) {
        const file *index;
        fr_segment_name(text, FR_RECORDS, s);
        if (entry(ch->c.dir, text)->file.now < 0)
            continue;
        fr_segment_name(text, FR_INDEX, s);
        if (!s || entry(ch->c.dir, text)->file.now < 0)
            return 0;
        index = &files[entry(ch->c.dir, text)->file.now - FIRST_FD];
        if (index->size.now >= 192) {
            fr_index_row row;
            memcpy(&row, index->cache + 128, sizeof row);
            if (row.crc != fr_crc32c(fr_seed(ch->c.seed_base, s, 0), &row, offsetof(fr_index_row, crc)))
                continue; /* forgotten after a flush that failed: it tells nothing */
            first = row.first_seq;
        }
        return first;
    }
    return first;
}

/* The folder of a channel, after power was lost, or the process was killed, or stopped. */
static void examine(channel *ch, int power, int closed)
{
    judge j = {.file = image, .problem = says, .kinds = ch->c.kinds, .base = ch->c.seed_base};
    uint64_t told[8] = {0};
    int i;
    image_dir = ch->c.dir, image_power = power;
    power |= forgotten;
    j.segments = ch->c.next_segment + 1, j.durable = ch->c.durable,
    j.safe = power ? j.durable : ch->c.written;
    j.power = power, j.closed = closed, j.retired = spooler.retention.keep_bytes ? retired(ch) : 0;
    j.value_at = ch->c.weight_at ? 32 : 8, j.text_at = ch->c.weight_at ? 0 : 16;
    j.zone = &ch->c.zone, j.weight_at = ch->c.weight_at, j.segment_rows = ch->c.segment_rows;
    judge_channel(&j);
    for (i = 0; i < ch->loss_count; i++)
        if (ch->losses[i].seq < j.safe)
            told[ch->losses[i].cause] += ch->losses[i].count;
    for (i = FR_GAP_DROPPED; i <= FR_GAP_FAILED && !(spooler.retention.keep_bytes && gone[ch->c.dir]); i++)
        if (j.lost_below[i] != told[i])
            JUDGE(&j, "%llu losses of cause %d before number %llu, not %llu", LL(j.lost_below[i]), i,
                  LL(j.safe), LL(told[i]));
    judged_safe += j.safe, judged_records += j.records;
}

static void crash(int torn)
{
    int power, i;
    if (!(draining || flushing) || roll(&pick, torn ? 16 : 4))
        return;
    state++;
    if (wanted_state >= 0 && state != wanted_state)
        return;
    dice = seed * 1000003 + (uint64_t)state;
    power = !torn && roll(&dice, 5);
    image_mode = (int)roll(&dice, MODES), image_stale = !roll(&dice, 4);
    names_until = spooler.retention.keep_bytes ? moment + 1 - roll(&dice, moment < 60 ? moment + 1 : 60) : 0;
    power ? power_states++ : kill_states++;
    for (i = 0; i < 2; i++) {
        snprintf(kind, sizeof kind, "%s%s, channel %d, written %llu, durable %llu",
                 power ? mode_names[image_mode] : "killed", unreadable ? ", not all can be read back" : "",
                 i + 1, LL(channels[i].c.written), LL(channels[i].c.durable));
        examine(&channels[i], power, 0);
    }
    if (wanted_state >= 0) {
        printf("state %ld is judged: %s\n", state, problems ? "FAIL" : "well");
        exit(problems != 0);
    }
}

/* ---- scripts ---- */

static char headers[2][FR_FILES][128];

static void make_channel(channel *ch, int dir, int holds)
{
    static const fr_zone_field plain[ZONED] = {{8, 'u', 8, 0, 0, 0, {0}}, {0, 'i', 8, 0, 0, 0, {0}}},
                               held[ZONED] = {{32, 'u', 8, 0, 0, 0, {0}}, {0, 'i', 8, 0, 0, 0, {0}}};
    static const size_t sizes[FR_FILES] = {1, sizeof(fr_gap_row), FR_ZONE_SIZE(ZONED), sizeof(fr_index_row),
                                           0};
    static void *memory[2];
    fr_spool_channel *c = &ch->c;
    fr_ring_header plan;
    void *ids = c->text_ids, *offsets = c->text_offsets;
    int i;
    free(c->stage), free(c->blocks), free(c->zone_rows), free(c->lines.data), free(c->kept), free(c->told);
    memset(ch, 0, sizeof *ch), memset(&plan, 0, sizeof plan);
    plan.record_size = holds ? 40 : 24, plan.payload_offset = holds ? 32 : 8,
    plan.payload_size = holds ? 8 : 16;
    plan.nslots = CAPACITY + FR_GUARD, plan.arena_size = 1 << 12;
    fr_ring_plan(&plan);
    if (!memory[dir - 1])
        memory[dir - 1] = aligned_alloc(FR_PAGE, plan.total_size);
    memset(memory[dir - 1], 0, plan.total_size);
    memcpy(memory[dir - 1], &plan, sizeof plan);
    fr_ring_take(&ch->ring, memory[dir - 1]);
    ch->texts.view = c->ring = ch->ring.view;
    c->segment_ns = roll(&script, 4) ? 0 : 200000000 + (int64_t)roll(&script, 500000000);
    c->dir = dir, c->segment_rows = SEGMENT, c->stage_rows = 300 + roll(&script, SEGMENT - 300);
    snprintf(c->name, sizeof c->name, "channel%d", dir);
    c->seed_base = fr_seed_base((const unsigned char *)"0123456789abcdef", c->name);
    for (i = 0; i < FR_FILES; i++) {
        char *h = headers[holds][i];
        c->kinds[i].header = h, c->kinds[i].header_size = i ? sizeof headers[holds][i] : 0;
        c->kinds[i].row_size = i == FR_RECORDS ? plan.record_size : sizes[i];
        memset(h, ' ', 128), memcpy(h, "\x93NUMPY\x01\x00\x76\x00{'shape': (   ", 24);
        h[31] = '0', h[32] = ',', h[33] = (char)('a' + holds), h[34] = (char)('a' + i), h[127] = '\n';
    }
    c->zone.fields = ZONED, c->zone.field = holds ? held : plain, c->zone.row = ch->zone_row;
    c->stage = (unsigned char *)malloc(SEGMENT * plan.record_size);
    c->blocks = (fr_index_row *)calloc(4, sizeof(fr_index_row));
    c->zone_rows = (unsigned char *)malloc(4 * FR_ZONE_SIZE(ZONED));
    if (holds) {
        c->weight_at = 16, c->stamp_end_at = 8;
        return;
    }
    c->text_count = 1, c->text_fields[0].offset = 16, c->text_fields[0].width = 8;
    c->text_ids = ids ? (uint32_t *)ids : (uint32_t *)malloc((FR_TEXT_IDS + 1) * sizeof(uint32_t));
    c->text_offsets =
        offsets ? (uint64_t *)offsets : (uint64_t *)malloc((FR_TEXT_IDS + 1) * sizeof(uint64_t));
    memset(c->text_ids, 0, (FR_TEXT_IDS + 1) * sizeof(uint32_t));
}

static uint64_t burst(void)
{
    switch (roll(&script, 8)) {
    case 0:
    case 1: return 0;
    case 2: return 1 + roll(&script, 30);
    case 3: return roll(&script, 16) ? 600 : CAPACITY + 400; /* more than the ring holds */
    default: return 100 + roll(&script, 500);
    }
}

static void step(int idle)
{
    int i;
    for (i = 0; i < 2; i++) {
        channel *ch = &channels[i];
        uint64_t count = i == idle ? 0 : burst();
        put(ch, count / 2);
        if (!roll(&script, 3))
            lose(ch);
        put(ch, count - count / 2);
    }
    fake += (int64_t)roll(&script, 150000000);
    for (i = 0; i < 2; i++)
        if (roll(&script, 4))
            drain(&channels[i]);
    if (spooler.durability == FR_DURABLE_TIMED && !roll(&script, 3))
        flush();
}

/* A clean stop: everything is durable, and the counts of all files are right. */
static void stop(void)
{
    int i;
    faulty_to = 0, stopping = 1; /* the writers have ended, and each thread is alone */
    for (i = 0; i < 2; i++)
        channels[i].c.retry = 0, drain(&channels[i]);
    flushing = 1;
    fr_spool_end(&spooler);
    flushing = 0;
    for (i = 0; i < 2; i++) {
        const fr_spool_channel *c = &channels[i].c;
        snprintf(kind, sizeof kind, "stopped%s, channel %d", unreadable ? ", not all can be read back" : "",
                 i + 1);
        if (c->written != channels[i].published)
            says("not all is written");
        if (spooler.durability != FR_DURABLE_NEVER && c->durable != c->written && !c->sync_error)
            says("not all is durable");
        examine(&channels[i], 0, !faulted); /* nobody raises the counts of a segment given up */
    }
}

/* What a process that was killed would leave to the kernel. */
static void release(fr_spool_channel *c)
{
    uint32_t i;
    for (i = 0; i < c->retired_count; i++)
        fr_segment_close(&disk, &c->retired[i]);
    for (i = 0; i < c->given_up_count; i++)
        fr_segment_close(&disk, &c->given_up[i].segment);
    if (c->open)
        fr_segment_close(&disk, &c->segment);
    if (c->ahead_state == FR_AHEAD_READY)
        fr_segment_close(&disk, &c->ahead);
}

static void run(void)
{
    int steps, idle, i, k;
    script = seed * 0x5851F42D4C957F2Dull, pick = ~script;
    state = 0, moment = 0, file_count = 0, name_count = 0,
    draining = flushing = stopping = faulted = forgotten = unreadable = 0, runs++;
    faulty_from = faulty_to = 0;
    memset(gone, 0, sizeof gone);
    if (!roll(&script, 3))
        faulty_from = roll(&script, 100), faulty_to = faulty_from + 20 + roll(&script, 200),
        fault_odds = 4 + roll(&script, 30);
    memset(&spooler, 0, offsetof(fr_spooler, gap_rows));
    spooler.io = &disk, spooler.clock = &fake_clock;
    spooler.durability = roll(&script, 8)   ? FR_DURABLE_TIMED
                         : roll(&script, 4) ? FR_DURABLE_COMMIT
                                            : FR_DURABLE_NEVER;
    spooler.retention.keep_bytes = roll(&script, 4) ? 0 : 100000 + roll(&script, 200000);
    spooler.log.clocks = new_file("clocks"), spooler.log.stats = new_file("stats"),
    spooler.log.marks = new_file("marks");
    pthread_mutex_init(&spooler.lock, NULL);
    for (k = 0; k < 2; k++)
        make_channel(&channels[k], k + 1, k), spooler.channels[k] = &channels[k].c;
    spooler.count = 2;
    idle = (int)roll(&script, 4); /* 2 and 3: neither */
    steps = 6 + (int)roll(&script, 14);
    for (i = 0; i < steps; i++)
        step(i < steps / 3 ? idle : -1);
    if (roll(&script, 3))
        stop();
    for (k = 0; k < 2; k++)
        release(&channels[k].c);
}

int main(int argc, char **argv)
{
    mallopt(M_MMAP_THRESHOLD, 64 << 20), mallopt(M_TRIM_THRESHOLD, 256 << 20); /* images come and go */
    if (argc == 4 && !strcmp(argv[1], "at")) {
        seed = strtoull(argv[2], NULL, 10), wanted_state = strtol(argv[3], NULL, 10);
        run();
        printf("this run has no state %ld\n", wanted_state);
        return problems != 0;
    }
    most_states = argc > 1 ? atol(argv[1]) : 20000;
    for (seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
         power_states + kill_states < most_states && problems < ENOUGH; seed++)
        run();
    printf("%ld states of lost power, %ld of a kill, in %ld runs; %llu records told safe, %llu read, %llu "
           "segments "
           "removed; %ld problems\n",
           power_states, kill_states, runs, LL(judged_safe), LL(judged_records), LL(removed), problems);
    return problems != 0;
}
