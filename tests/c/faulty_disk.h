/* faulty_disk.h: a spooler on a disk that fails on demand, under a clock of ours, and what it wrote judged.
 *
 * The folder is judged by FORMAT.md alone: every index row, block, gap and text by its checksum; every number
 * is in exactly one block or one overwritten/disk gap; the writer's own losses are all there, by cause; the
 * counts in the headers are never ahead. */
#ifndef FASTREC_FAULTY_DISK_H
#define FASTREC_FAULTY_DISK_H

#include <dirent.h>
#include "judge.h"

#define CAPACITY 2048
#define SEGMENT 1024
#define RECORD 24 /* stamp, value, text */

enum { M_EIO, M_ENOSPC, M_EINTR, M_SHORT, M_ZERO, M_LIE, M_HALFLINK, MODES };
static const char *const mode_names[MODES] = {"eio", "enospc", "eintr", "short", "zero", "lie", "halflink"};

static int64_t fake = 1000000000;      /* the clock, ns */
static long calls, fail_from, fail_to; /* calls [from, to) fail */
static int mode;
static char last_fault[96];
static int rarely;      /* flushes come once the ring has gone round, and the first fails */
static int counts;      /* 1: those of index files cannot be written, ever so often; 2: they can again */
static int flush_fails; /* once */
static long flushes;    /* one a round in which a segment is new */
static int nameless;    /* as where a file system counts no names */
static uint64_t space = 1ULL << 40; /* bytes that the disk has left for others */
static int no_rows;         /* a full disk: it takes counts and empty files, no rows; 2: no losses either */
static int no_reads;        /* nothing can be read back */
static int no_removes;      /* no file can be removed */
static int full_after;      /* so many writes it is; 0: it does not change */
static int64_t write_takes; /* ns, of rows */
static uint64_t file_most;  /* bytes of a file; 0: any */
static int no_index;        /* so many writes of index rows fail */
static int uncounting = -1; /* a file that takes no counts */
static void (*during_flush)(void); /* what another thread does meanwhile, once */
static void (*during_write)(void); /* and while rows of records are written, each time */
static inline int failing(const char *what)
{
    int now = flush_fails && !strncmp(what, "sync", 4) ? flush_fails--
              : rarely                                 ? !strncmp(what, "sync", 4) && rarely++ == 1
                                                       : calls >= fail_from && calls < fail_to;
    if (now)
        snprintf(last_fault, sizeof last_fault, "%s", what);
    calls++;
    return now;
}

/* ---- the disk ---- */

#define FDS 1024
static struct {
    int used, data, zone, index;
    uint64_t unsynced_from;
    int unsynced;
} files[FDS];
static fr_spool_channel *the_channel;
static int dir, clocks_fd, stats_fd, stray_writes;
static inline int code(void)
{
    return mode == M_ENOSPC || mode == M_SHORT ? -ENOSPC : mode == M_EINTR ? -EINTR : -EIO;
}

static inline int t_create(int dir, const char *name)
{
    int fd;
    if (failing("create"))
        return code();
    fd = fr_create(dir, name);
    if (fd >= 0 && fd < FDS) {
        memset(&files[fd], 0, sizeof files[fd]);
        files[fd].used = 1, files[fd].zone = !strncmp(name, ".zones", 6),
        files[fd].index = !strncmp(name, ".index", 6);
    }
    return fd;
}
static inline long t_write(int fd, const void *data, size_t size, uint64_t offset)
{
    if (files[fd].used != 1 && fd != clocks_fd && fd != stats_fd)
        stray_writes++; /* into whatever has that descriptor now */
    if (no_index && offset >= 128 && files[fd].index) {
        no_index--;
        return -EIO;
    }
    fake += size > 128 ? write_takes : 0;
    if (during_write && size > 1000)
        during_write();
    if (file_most && offset + size > file_most)
        return offset < file_most ? fr_pwrite(fd, data, file_most - offset, offset) : -EFBIG;
    if (full_after && size > 128 && !--full_after)
        no_rows = 1;
    if (no_rows && (size > 128 || (no_rows > 1 && offset >= 128)))
        return -ENOSPC;
    if (the_channel && fd < FDS && files[fd].used && !files[fd].zone && offset >= 128
        && !files[fd].unsynced) {
        files[fd].unsynced = 1;
        files[fd].unsynced_from = the_channel->written;
    }
    if (offset == 24 && (fd == uncounting || (counts == 1 && files[fd].index)))
        return code();
    if (failing(offset == 24 ? "write count" : offset == 0 ? "write header" : "write rows")) {
        if (mode == M_SHORT && offset != 24 && size > 1)
            fr_pwrite(fd, data, size / 2 + 5 < size ? size / 2 + 5 : size / 2,
                      offset); /* torn, and an error */
        if (mode == M_LIE)
            fr_pwrite(fd, data, size, offset);
        return mode == M_ZERO ? 0 : code();
    }
    if (mode == M_SHORT && offset != 24
        && size > 7) /* in this mode every write is short: the loop must go on */
        size -= size / 3;
    return fr_pwrite(fd, data, size, offset);
}
static inline int t_publish(int dir, const char *from, const char *to)
{
    if (failing("publish")) {
        if (mode == M_HALFLINK || mode == M_LIE)
            linkat(dir, from, dir, to, 0); /* the new name is there, the old could not be removed */
        return code();
    }
    return fr_publish_name(dir, from, to);
}
static inline int t_remove(int dir, const char *name)
{
    return no_removes || failing("remove") ? code() : fr_remove(dir, name);
}
static inline int t_sync(int fd)
{
    if (during_flush) {
        void (*meanwhile)(void) = during_flush;
        during_flush = NULL;
        meanwhile();
    }
    if (failing("sync"))
        return code();
    files[fd].unsynced = 0;
    return 0;
}
static inline int t_sync_all(int fd)
{
    int i;
    (void)fd;
    flushes++;
    if (failing("sync_all"))
        return code();
    for (i = 0; i < FDS; i++)
        files[i].unsynced = 0;
    return 0;
}
static inline int t_sync_dir(int dir)
{
    (void)dir;
    flushes++;
    return failing("sync_dir") ? code() : 0;
}
/* Of a segment that was given up: its rows are written again elsewhere. */
static inline int given_up(int fd)
{
    uint32_t i, j;
    for (i = 0; i < the_channel->given_up_count; i++)
        for (j = 0; j < FR_FILES; j++)
            if (the_channel->given_up[i].segment.fd[j] == fd)
                return 1;
    return 0;
}
static inline int t_close(int fd)
{
    int bad = failing("close");
    if (files[fd].unsynced && !given_up(fd))
        files[fd].used = 2; /* closed and never made durable */
    else
        files[fd].used = 0;
    close(fd);
    if (files[fd].used == 2) {
        int i;
        for (i = FDS - 1; i > 512; i--)
            if (!files[i].used) {
                files[i] = files[fd];
                files[fd].used = files[fd].unsynced = 0;
                break;
            }
    }
    return bad ? code() : 0;
}
static inline long t_read(int fd, void *data, size_t size, uint64_t offset)
{
    return no_reads || failing("read") ? code() : fr_pread(fd, data, size, offset);
}
static inline int t_begin(int fd, uint64_t offset, uint64_t size)
{
    (void)fd, (void)offset, (void)size;
    return failing("begin") ? code() : 0;
}
static inline int t_space(int folder_fd, uint64_t *bytes)
{
    (void)folder_fd;
    *bytes = space;
    return 0;
}
static int t_removed(int fd) { return nameless || fr_removed(fd); }

static const fr_io faulty = {t_create,   t_write, t_publish, t_remove, t_sync,  t_sync_all,
                             t_sync_dir, t_close, t_read,    t_space,  t_begin, t_removed};

static int64_t fake_now(void) { return fake; }
static long waits_made;
static inline void fake_wait(const uint32_t *w, uint32_t e, int64_t d)
{
    (void)w, (void)e;
    waits_made++;
    fake = d > fake ? d : fake;
}
static const fr_clock fake_clock = {fake_now, fake_wait, fr_read_clock};

/* ---- judging the folder ---- */

static char folder[512], label[256];
static int problems;
#define PROBLEM(...)                                                                                         \
    (problems++, printf("FAIL %s (%s): ", label, last_fault), printf(__VA_ARGS__), putchar('\n'),            \
     fflush(stdout))

static inline unsigned char *slurp(const char *name, size_t *size)
{
    char path[700];
    unsigned char *data;
    long got;
    int fd;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    fd = open(path, O_RDONLY);
    *size = 0;
    if (fd < 0)
        return NULL;
    data = malloc((size_t)lseek(fd, 0, SEEK_END) + 1);
    got = pread(fd, data, (size_t)lseek(fd, 0, SEEK_END), 0);
    *size = got < 0 ? 0 : (size_t)got;
    close(fd);
    return data;
}

static void judge_says(const char *what) { PROBLEM("%s", what); }

/* Reads everything that is committed: all below `safe` is there. */
static inline judge verdict(const fr_spool_channel *c, uint64_t safe, int closed)
{
    judge j = {.file = slurp, .problem = judge_says, .value_at = 8, .text_at = 16};
    j.kinds = c->kinds, j.base = c->seed_base, j.segments = c->next_segment + 1;
    j.safe = safe, j.durable = c->durable, j.closed = closed;
    j.zone = &c->zone, j.segment_rows = c->segment_rows;
    judge_channel(&j);
    return j;
}

/* ---- the channel ---- */

static unsigned char headers[4][128];
static inline void make_header(unsigned char *h, const char *descr)
{
    char text[128];
    int n =
        snprintf(text, sizeof text, "{'shape': (   %8d,), 'fortran_order': False, 'descr': %s}", 0, descr);
    memset(h, ' ', 128);
    memcpy(h, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(h + 10, text, (size_t)n);
    h[127] = '\n';
}

/* Channels are set up in this folder from now on. */
static inline void begin(const char *place)
{
    snprintf(folder, sizeof folder, "%s/c", place);
    make_header(headers[0], "'gaps'"), make_header(headers[1], "'zones'"), make_header(headers[2], "'index'"),
        make_header(headers[3], "'records'");
}

static fr_spooler spooler;
static fr_spool_channel channel;
static fr_texts texts;

static fr_ring_header plan;
static fr_ring ring;
static void *memory;
static int memory_fd;

/* A channel with a ring of so many slots, in an empty folder. */
static inline void set_up(uint64_t slots)
{
    static const fr_zone_field fields[2] = {{8, 'u', 8, 0, 0, 0, {0}}, {0, 'i', 8, 0, 0, 0, {0}}};
    static uint64_t zone_row[FR_ZONE_SIZE(2) / 8];
    int error = 0, i;
    {
        DIR *d = opendir(folder);
        struct dirent *e;
        if (d) {
            while ((e = readdir(d)))
                if (e->d_name[0] != '.' || e->d_name[1] > '.')
                    unlinkat(dirfd(d), e->d_name, 0);
            closedir(d);
        }
    }
    mkdir(folder, 0700);
    dir = open(folder, O_RDONLY | O_DIRECTORY);
    clocks_fd = openat(dir, "clocks", O_CREAT | O_RDWR, 0600),
    stats_fd = openat(dir, "stats", O_CREAT | O_RDWR, 0600);
    memset(&plan, 0, sizeof plan), memset(&texts, 0, sizeof texts), memset(files, 0, sizeof files);
    free(channel.lines.data), free(channel.kept), free(channel.told), free(channel.stage),
        free(channel.blocks), free(channel.zone_rows), free(channel.text_ids), free(channel.text_offsets);
    memset(&channel, 0, sizeof channel), memset(&spooler, 0, sizeof spooler);
    plan.record_size = RECORD, plan.payload_offset = 8, plan.payload_size = 16,
    plan.nslots = slots + FR_GUARD, plan.arena_size = 1 << 16;
    fr_ring_plan(&plan);
    memory = fr_map_new("fault", plan.total_size, &memory_fd, &error);
    memcpy(memory, &plan, sizeof plan);
    fr_ring_take(&ring, memory);
    texts.view = ring.view;
    channel.dir = dir, channel.ring = ring.view, channel.segment_rows = SEGMENT,
    channel.stage_rows = SEGMENT - 100;
    strcpy(channel.name, "c");
    channel.seed_base = fr_seed_base((const unsigned char *)"0123456789abcdef", "c");
    for (i = 0; i < FR_FILES; i++)
        channel.kinds[i].header = i ? (const char *)headers[i - 1] : "",
        channel.kinds[i].header_size = i ? 128 : 0;
    channel.kinds[FR_STRINGS].row_size = 1, channel.kinds[FR_GAPS].row_size = 48,
    channel.kinds[FR_ZONES].row_size = sizeof zone_row;
    channel.kinds[FR_INDEX].row_size = 64, channel.kinds[FR_RECORDS].row_size = RECORD;
    channel.text_count = 1, channel.text_fields[0].offset = 16, channel.text_fields[0].width = 8;
    channel.zone.fields = 2, channel.zone.field = fields, channel.zone.row = zone_row;
    channel.stage = malloc(SEGMENT * RECORD), channel.blocks = calloc(4, 64),
    channel.zone_rows = malloc(4 * sizeof zone_row);
    channel.text_ids = calloc(FR_TEXT_IDS + 1, 4), channel.text_offsets = calloc(FR_TEXT_IDS + 1, 8);
    spooler.io = &faulty, spooler.clock = &fake_clock, spooler.durability = FR_DURABLE_TIMED,
    spooler.dir = dir;
    spooler.log.clocks = clocks_fd, spooler.log.stats = stats_fd, spooler.log.clocks_header = 128;
    pthread_mutex_init(&spooler.lock, NULL);
    spooler.channels[0] = &channel, spooler.count = 1;
    the_channel = &channel;
    calls = 0, fail_from = LONG_MAX, fail_to = 0, last_fault[0] = 0;
}

static inline void put_at(uint64_t n, int64_t stamp)
{
    static const char *const names[11] = {"text 0", "text 1", "text 2", "text 3", "text 4", "text 5",
                                          "text 6", "text 7", "text 8", "text 9", "text 10"};
    const char *text = names[n % 11];
    uint64_t payload[2] = {mix(n), fr_text_intern(&texts, text, (uint32_t)strlen(text))};
    fr_ring_put_payloads(&ring, stamp, NULL, (const unsigned char *)payload, 16, 1);
}

static uint64_t fall_every; /* of so many records one is stamped before the one in front of it; 0: none */

static inline void put(uint64_t n)
{
    put_at(n, (int64_t)n + 5 - (fall_every && n % fall_every == 2 ? 2 : 0));
}

#endif
