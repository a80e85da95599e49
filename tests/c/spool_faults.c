/* The spooler against a disk that fails: every call of fr_io in turn, in every way, for once or for long.
 *
 * After each run the folder is judged by FORMAT.md alone: every index row, block, gap and text by its
 * checksum; every number is in exactly one block or one overwritten/disk gap; the writer's own losses are
 * all there, by cause; the counts in the headers are never ahead. While the fault lasts, `written` is held
 * against what is on the disk, and `durable` against the writes that no successful flush has followed.
 *
 *   spool_faults DIR [MODE|all] [FROM TO]    prints one line a failure; exits 1 if there was any */
#include <fastrec/spool.h>
#include <dirent.h>

#define CAPACITY 2048
#define SEGMENT 1024
#define STEPS 16
#define BURST 500
#define RECORD 24 /* stamp, value, text */

enum { M_EIO, M_ENOSPC, M_SHORT, M_ZERO, M_LIE, M_HALFLINK, MODES };
static const char *const mode_names[MODES] = {"eio", "enospc", "short", "zero", "lie", "halflink"};

static long calls, fail_from, fail_to; /* calls [from, to) fail */
static int mode;
static char last_fault[96];
static int failing(const char *what)
{
    int now = calls >= fail_from && calls < fail_to;
    if (now)
        snprintf(last_fault, sizeof last_fault, "%s", what);
    calls++;
    return now;
}

/* ---- the disk ---- */

#define FDS 1024
static struct {
    int used, data, zone;
    uint64_t unsynced_from;
    int unsynced;
} files[FDS];
static fr_spool_channel *the_channel;
static int code(void) { return mode == M_ENOSPC || mode == M_SHORT ? -ENOSPC : -EIO; }

static int t_create(int dir, const char *name)
{
    int fd;
    if (failing("create"))
        return code();
    fd = fr_create(dir, name);
    if (fd >= 0 && fd < FDS) {
        memset(&files[fd], 0, sizeof files[fd]);
        files[fd].used = 1, files[fd].zone = !strncmp(name, ".zones", 6);
    }
    return fd;
}
static long t_write(int fd, const void *data, size_t size, uint64_t offset)
{
    if (the_channel && fd < FDS && files[fd].used && !files[fd].zone && offset >= 128
        && !files[fd].unsynced) {
        files[fd].unsynced = 1;
        files[fd].unsynced_from = the_channel->written;
    }
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
static int t_publish(int dir, const char *from, const char *to)
{
    if (failing("publish")) {
        if (mode == M_HALFLINK || mode == M_LIE)
            linkat(dir, from, dir, to, 0); /* the new name is there, the old could not be removed */
        return code();
    }
    return fr_publish_name(dir, from, to);
}
static int t_remove(int dir, const char *name) { return failing("remove") ? code() : fr_remove(dir, name); }
static int t_sync(int fd)
{
    if (failing("sync"))
        return code();
    files[fd].unsynced = 0;
    return 0;
}
static int t_sync_all(int fd)
{
    int i;
    (void)fd;
    if (failing("sync_all"))
        return code();
    for (i = 0; i < FDS; i++)
        files[i].unsynced = 0;
    return 0;
}
static int t_sync_dir(int dir)
{
    (void)dir;
    return failing("sync_dir") ? code() : 0;
}
static int t_close(int fd)
{
    int bad = failing("close");
    if (files[fd].unsynced)
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
static const fr_io faulty = {t_create,   t_write,    t_publish, t_remove, t_sync,
                             t_sync_all, t_sync_dir, t_close,   fr_begin};

static int64_t fake = 1000000000;
static int64_t fake_now(void) { return fake; }
static void fake_wait(const uint32_t *w, uint32_t e, int64_t d) { (void)w, (void)e, (void)d; }
static const fr_clock fake_clock = {fake_now, fake_wait};

/* ---- judging the folder ---- */

static char folder[512], label[256];
static int problems;
#define PROBLEM(...)                                                                                         \
    (problems++, printf("FAIL %s (%s): ", label, last_fault), printf(__VA_ARGS__), putchar('\n'),            \
     fflush(stdout))

static unsigned char *slurp(const char *stem, const char *end, uint32_t n, size_t *size)
{
    char path[700];
    unsigned char *data;
    long got;
    int fd;
    snprintf(path, sizeof path, "%s/%s.%06u.%s", folder, stem, n, end);
    fd = open(path, O_RDONLY);
    *size = 0;
    if (fd < 0)
        return NULL;
    *size = (size_t)lseek(fd, 0, SEEK_END);
    data = malloc(*size + 1);
    got = pread(fd, data, *size, 0);
    data[got < 0 ? 0 : got] = 0;
    close(fd);
    return data;
}
static uint64_t count_of(const unsigned char *header)
{
    char t[9] = {0};
    memcpy(t, header + 24, 8);
    return strtoull(t, NULL, 10);
}
static uint64_t mix(uint64_t n) { return (n + 1) * 0x9E3779B97F4A7C15ull; }

typedef struct verdict {
    uint64_t end;
    uint64_t lost[8];
    uint64_t committed_last;
} verdict;

/* Reads everything that is committed. `closed`: the counts of side files must be right too. */
static verdict judge(uint32_t base, uint64_t head, int closed, int check_numbers)
{
    static unsigned char cover[1 << 16];
    verdict v;
    uint32_t s;
    uint64_t i, j;
    memset(&v, 0, sizeof v);
    memset(cover, 0, sizeof cover);
    for (s = 0; s < 999; s++) {
        size_t isz, rsz, gsz, tsz, zsz;
        unsigned char *ix = slurp("index", "npy", s, &isz), *rec = slurp("records", "npy", s, &rsz);
        unsigned char *gap = slurp("gaps", "npy", s, &gsz), *str = slurp("strings", "jsonl", s, &tsz);
        unsigned char *zon = slurp("zones", "npy", s, &zsz);
        uint64_t rows = 0, nindex = 0, gaps = 0, strings = 0, lines = 0;
        char *line[4096];
        if (!rec) {
            if (closed && (ix || gap || str || zon))
                PROBLEM("segment %u has files but no records: that number can never be used again", s);
            free(ix), free(gap), free(str), free(zon);
            break;
        }
        if (!ix || !gap || !str || !zon || isz < 128 || rsz < 128) {
            PROBLEM("segment %u is not whole", s);
            break;
        }
        for (i = 0; 128 + (i + 1) * 64 <= isz; i++) {
            fr_index_row r;
            memcpy(&r, ix + 128 + i * 64, 64);
            if (r.crc != fr_crc32c(fr_seed(base, s, i), &r, 60) || r.rows > 1024 || r.gap_rows < gaps
                || r.string_bytes < strings || 128 + (rows + r.rows) * RECORD > rsz
                || 128 + r.gap_rows * 48 > gsz || r.string_bytes > tsz)
                break;
            nindex++;
            if (r.rows % 1025
                && fr_crc32c(fr_seed(base, s, rows), rec + 128 + rows * RECORD, r.rows * RECORD)
                       != r.crc_rows)
                PROBLEM("segment %u block %llu: rows do not match", s, (unsigned long long)i);
            if (r.rows && rows / 1024 != (rows + r.rows - 1) / 1024)
                PROBLEM("segment %u block %llu crosses a zone", s, (unsigned long long)i);
            if (r.first_seq < v.committed_last)
                PROBLEM("first_seq falls");
            if (r.durable_seq > the_channel->durable)
                PROBLEM("durable_seq %llu ahead of %llu", (unsigned long long)r.durable_seq,
                        (unsigned long long)the_channel->durable);
            for (j = 0; j < r.rows; j++) {
                uint64_t w[3], n = r.first_seq + j;
                memcpy(w, rec + 128 + (rows + j) * RECORD, RECORD);
                if (w[1] != mix(n))
                    PROBLEM("number %llu holds another record", (unsigned long long)n);
                if (n < sizeof cover && cover[n]++)
                    PROBLEM("number %llu twice", (unsigned long long)n);
            }
            v.committed_last = r.first_seq + r.rows;
            rows += r.rows, gaps = r.gap_rows, strings = r.string_bytes;
        }
        if (strings) {
            char *p = (char *)str, *e = p + strings;
            while (p < e) {
                char *nl = memchr(p, '\n', (size_t)(e - p));
                if (!nl) {
                    PROBLEM("strings end within a line");
                    break;
                }
                line[lines++] = p;
                *nl = 0;
                p = nl + 1;
            }
        }
        for (i = 0; i < lines; i++) {
            uint32_t want = 0;
            char *c = strstr(line[i], ",\"crc\":\"");
            if (!c || sscanf(c + 8, "%x", &want) != 1
                || want != fr_crc32c(fr_seed(base, s, i), line[i], (size_t)(c - line[i])))
                PROBLEM("segment %u text line %llu is damaged", s, (unsigned long long)i);
        }
        for (i = 0; i < rows; i++) { /* text of each record */
            uint64_t w[3];
            char want[64];
            memcpy(w, rec + 128 + i * RECORD, RECORD);
            if (!w[2] || w[2] > lines) {
                PROBLEM("segment %u row %llu: text id %llu of %llu", s, (unsigned long long)i,
                        (unsigned long long)w[2], (unsigned long long)lines);
                break;
            }
            snprintf(want, sizeof want, "{\"id\":%u,\"text\":\"text %u\"", (unsigned)w[2],
                     (unsigned)((w[0] - 5) % 11));
            if (strncmp(line[w[2] - 1], want, strlen(want)))
                PROBLEM("row %llu has text %s not %s", (unsigned long long)i, line[w[2] - 1], want);
        }
        for (i = 0; i < gaps; i++) {
            fr_gap_row g;
            memcpy(&g, gap + 128 + i * 48, 48);
            if (g.crc != fr_crc32c(fr_seed(base, s, i), &g, 44)) {
                PROBLEM("segment %u gap %llu is damaged", s, (unsigned long long)i);
                continue;
            }
            v.lost[g.gap.cause] += g.gap.count;
            if (g.gap.cause == FR_GAP_OVERWRITTEN || g.gap.cause == FR_GAP_DISK) {
                for (j = 0; j < g.gap.count && g.gap.seq + j < sizeof cover; j++)
                    if (cover[g.gap.seq + j]++) {
                        PROBLEM("number %llu held and lost%s", (unsigned long long)(g.gap.seq + j),
                                closed ? " (at the end)" : "");
                        break;
                    }
                if (g.gap.seq + g.gap.count > v.end)
                    v.end = g.gap.seq + g.gap.count;
            }
        }
        if (count_of(rec) > rows)
            PROBLEM("segment %u: numpy sees %llu rows, %llu are committed", s,
                    (unsigned long long)count_of(rec), (unsigned long long)rows);
        if (closed && (count_of(rec) != rows || count_of(ix) != nindex || count_of(gap) != gaps))
            PROBLEM("segment %u closed with counts %llu %llu %llu of %llu %llu %llu", s,
                    (unsigned long long)count_of(rec), (unsigned long long)count_of(ix),
                    (unsigned long long)count_of(gap), (unsigned long long)rows, (unsigned long long)nindex,
                    (unsigned long long)gaps);
        if (closed && count_of(zon) != rows / 1024 && !the_channel->zones_broken && mode != M_LIE)
            (void)0;
        for (i = 0; i < rows / 1024 && 128 + (i + 1) * 48 <= zsz && i < count_of(zon); i++) {
            uint32_t c;
            memcpy(&c, zon + 128 + i * 48 + 44, 4);
            if (c != fr_crc32c(fr_seed(base, s, i), zon + 128 + i * 48, 44))
                PROBLEM("segment %u zone %llu is damaged yet counted", s, (unsigned long long)i);
        }
        free(ix), free(rec), free(gap), free(str), free(zon);
    }
    if (v.committed_last > v.end)
        v.end = v.committed_last;
    if (check_numbers)
        for (i = 0; i < head && i < sizeof cover; i++)
            if (cover[i] != 1) {
                PROBLEM("number %llu of %llu is in %u places", (unsigned long long)i,
                        (unsigned long long)head, cover[i]);
                break;
            }
    return v;
}

/* ---- one run ---- */

static unsigned char headers[4][128];
static void make_header(unsigned char *h, const char *descr)
{
    char text[128];
    int n =
        snprintf(text, sizeof text, "{'shape': (   %8d,), 'fortran_order': False, 'descr': %s}", 0, descr);
    memset(h, ' ', 128);
    memcpy(h, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(h + 10, text, (size_t)n);
    h[127] = '\n';
}

static fr_spooler spooler;
static fr_spool_channel channel;
static fr_texts texts;

/* What a run has to do with the disk; returns how many calls it made. */
static long run(long from, long to, int flood)
{
    static const fr_zone_field field = {8, 'u', 8, 0, 0, 0, {0}};
    static uint64_t zone_row[6];
    fr_ring_header plan;
    fr_ring ring;
    int fd, error = 0, step, dir, log1, log2, i;
    uint64_t n = 0, missed = 0, failed = 0, k;
    void *memory;
    char clean[600];
    snprintf(clean, sizeof clean, "rm -rf '%s'", folder);
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
    log1 = openat(dir, "clocks", O_CREAT | O_RDWR, 0600), log2 = openat(dir, "stats", O_CREAT | O_RDWR, 0600);
    memset(&plan, 0, sizeof plan), memset(&texts, 0, sizeof texts), memset(files, 0, sizeof files);
    free(channel.lines.data), free(channel.stage), free(channel.blocks), free(channel.zone_rows),
        free(channel.text_ids), free(channel.text_offsets);
    memset(&channel, 0, sizeof channel), memset(&spooler, 0, sizeof spooler);
    plan.record_size = RECORD, plan.payload_offset = 8, plan.payload_size = 16,
    plan.nslots = CAPACITY + FR_GUARD, plan.arena_size = 1 << 16;
    fr_ring_plan(&plan);
    memory = fr_map_new("fault", plan.total_size, &fd, &error);
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
    channel.kinds[FR_ZONES].row_size = 48;
    channel.kinds[FR_INDEX].row_size = 64, channel.kinds[FR_RECORDS].row_size = RECORD;
    channel.text_count = 1, channel.text_fields[0].offset = 16, channel.text_fields[0].width = 8;
    channel.zone.fields = 1, channel.zone.field = &field, channel.zone.row = zone_row;
    channel.stage = malloc(SEGMENT * RECORD), channel.blocks = calloc(4, 64),
    channel.zone_rows = malloc(4 * 48);
    channel.text_ids = calloc(FR_TEXT_IDS + 1, 4), channel.text_offsets = calloc(FR_TEXT_IDS + 1, 8);
    spooler.io = &faulty, spooler.clock = &fake_clock, spooler.durability = FR_DURABLE_TIMED,
    spooler.dir = dir;
    spooler.log.clocks = log1, spooler.log.stats = log2, spooler.log.clocks_header = 128;
    pthread_mutex_init(&spooler.lock, NULL);
    spooler.channels[0] = &channel, spooler.count = 1;
    the_channel = &channel;
    calls = 0, fail_from = from, fail_to = to, last_fault[0] = 0;
    for (step = 0; step < STEPS + flood; step++) {
        int bad = calls >= fail_from && calls < fail_to;
        for (k = 0; k < (step < STEPS ? BURST : 40u); k++, n++) {
            char text[32];
            uint64_t payload[2] = {mix(n), 0};
            int len = snprintf(text, sizeof text, "text %u", (unsigned)(n % 11));
            if (k == 100 || flood)
                fr_ring_lose(&ring, FR_GAP_MISSED, 0, 3, (int64_t)n, (int64_t)n), missed += 3;
            if (flood ? step == STEPS + flood - 50 && k == 3 : k == 200)
                fr_ring_lose(&ring, FR_GAP_FAILED, -5, 1, (int64_t)n, (int64_t)n), failed++;
            payload[1] = fr_text_intern(&texts, text, (uint32_t)len);
            fr_ring_put_payloads(&ring, (int64_t)n + 5, NULL, (const unsigned char *)payload, 16, 1);
        }
        fake += 60000000;
        fr_spool_drain(&spooler, &channel);
        if (step % 3 == 2)
            fr_sync_round(&spooler);
        for (i = 0; i < FDS; i++)
            if (files[i].unsynced && channel.durable > files[i].unsynced_from) {
                PROBLEM("durable %llu, but what follows %llu was never flushed",
                        (unsigned long long)channel.durable, (unsigned long long)files[i].unsynced_from);
                break;
            }
        if (bad || (calls > fail_from && calls < fail_from + 12)) {
            verdict v = judge(channel.seed_base, channel.written, 0, 1);
            if (v.end < channel.written)
                PROBLEM("written %llu, on the disk %llu", (unsigned long long)channel.written,
                        (unsigned long long)v.end);
        }
    }
    if (fail_to > calls)
        fail_to = calls; /* the disk is well again */
    for (i = 0; i < 3; i++) {
        fake += 200000000;
        fr_spool_drain(&spooler, &channel);
        fr_sync_round(&spooler);
    }
    if (channel.error)
        PROBLEM("the disk is well again, but a commit fails: %s", strerror((int)channel.error));
    if (channel.written != n)
        PROBLEM("written %llu of %llu at the end", (unsigned long long)channel.written,
                (unsigned long long)n);
    if (channel.durable != n && !channel.sync_error)
        PROBLEM("durable %llu of %llu at the end, and no error said", (unsigned long long)channel.durable,
                (unsigned long long)n);
    if (channel.open)
        fr_segment_close(&faulty, &channel.segment);
    {
        verdict v = judge(channel.seed_base, n, 1, 1);
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
    fr_map_free(memory, plan.total_size, fd);
    close(dir), close(log1), close(log2);
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
    long total, i, runs = 0;
    int m, s, only = -1;
    snprintf(folder, sizeof folder, "%s/c", argc > 1 ? argv[1] : ".");
    make_header(headers[0], "'gaps'"), make_header(headers[1], "'zones'"), make_header(headers[2], "'index'"),
        make_header(headers[3], "'records'");
    for (m = 0; argc > 2 && m < MODES; m++)
        if (!strcmp(argv[2], mode_names[m]))
            only = m;
    snprintf(label, sizeof label, "no fault");
    mode = M_EIO;
    total = run(LONG_MAX, 0, 0);
    printf("%ld calls without a fault\n", total);
    if (argc > 2 && !strcmp(argv[2], "flood")) {
        snprintf(label, sizeof label, "flood");
        run(200, 1 << 30, 600);
        return problems != 0;
    }
    for (mode = 0; mode < MODES; mode++)
        for (s = 0; s < 4; s++)
            for (i = argc > 3 ? atol(argv[3]) : 0; i < (argc > 4 ? atol(argv[4]) : total); i += 1) {
                if (only >= 0 && mode != only)
                    continue;
                snprintf(label, sizeof label, "%s call %ld for %d", mode_names[mode], i, spans[s]);
                run(i, i + spans[s], 0), runs++;
            }
    printf("%ld runs, %d problems\n", runs, problems);
    return problems != 0;
}
