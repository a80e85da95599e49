/* judge.h: the files of one channel, read as FORMAT.md section 6 says, against what was published.
 *
 * Record n is known from n alone: mix(n) stands at `value_at`, and at `text_at` the id of "text N", where N
 * is n mod 11. Below `safe` each number must be there once, unharmed, or in one gap. */
#ifndef FASTREC_JUDGE_H
#define FASTREC_JUDGE_H

#include <fastrec/spool.h>

#define JUDGE_NUMBERS (1 << 16) /* numbers below this are counted */
#define JUDGE_SEGMENTS 128
#define JUDGE_TEXTS 256          /* of a segment */
#define JUDGE_LIMIT (1ull << 62) /* no number is as high */

typedef struct judge {
    /* Given. */
    unsigned char *(*file)(const char *name, size_t *size); /* for free(), asked for once; NULL: not there */
    const fr_file_kind *kinds;
    uint32_t base;     /* seed of uuid and channel */
    uint32_t segments; /* numbers that may have been used */
    size_t value_at;   /* in a record */
    size_t text_at;    /* 0: none */
    uint64_t safe;     /* a mark */
    uint64_t durable;  /* the mark: no index row may tell of more */
    int power;  /* it was lost: counts may be ahead, and what is not safe may be harmed, if that shows */
    int closed; /* by a clean stop: the counts of the side files are right too */
    void (*problem)(const char *what);
    /* Found. */
    uint64_t end;           /* number after the last record or loss */
    uint64_t lost[8];       /* by cause */
    uint64_t lost_below[8]; /* the same, of those before a record that is safe */
    uint64_t records;       /* that can be read */
} judge;

/* A segment as a reader sees it. */
typedef struct judged {
    unsigned char *data[FR_FILES]; /* NULL: not there, or its header is damaged */
    size_t size[FR_FILES];
    uint64_t blocks, rows, gaps, strings; /* committed */
    uint64_t lines;
    uint64_t kept;  /* blocks that no later segment replaces */
    uint64_t limit; /* the number from which one does */
} judged;

static inline uint64_t mix(uint64_t n) { return (n + 1) * 0x9E3779B97F4A7C15ull; }

#define JUDGE(j, ...)                                                                                        \
    do {                                                                                                     \
        char what_[300];                                                                                     \
        snprintf(what_, sizeof what_, __VA_ARGS__);                                                          \
        (j)->problem(what_);                                                                                 \
    } while (0)
#define LL(n) ((unsigned long long)(n))

static inline uint64_t judge_count(const judged *s, int file)
{
    char digits[FR_NPY_COUNT_DIGITS + 1] = {0};
    if (!s->data[file])
        return 0;
    memcpy(digits, s->data[file] + FR_NPY_COUNT_OFFSET, FR_NPY_COUNT_DIGITS);
    return strtoull(digits, NULL, 10);
}

static inline const unsigned char *judge_row(const judge *j, const judged *s, int file, uint64_t row)
{
    return s->data[file] + j->kinds[file].header_size + row * j->kinds[file].row_size;
}

/* How many whole rows the file has room for. */
static inline uint64_t judge_room(const judge *j, const judged *s, int file)
{
    const fr_file_kind *kind = &j->kinds[file];
    return s->data[file] ? (s->size[file] - kind->header_size) / kind->row_size : 0;
}

static inline fr_index_row judge_block(const judge *j, const judged *s, uint64_t block)
{
    fr_index_row row;
    memcpy(&row, judge_row(j, s, FR_INDEX, block), sizeof row);
    return row;
}

/* The files of a segment; 0 where it has no records file, and so is none. */
static inline int judge_load(judge *j, judged *s, uint32_t number)
{
    char name[64];
    int i, there = 0;
    memset(s, 0, sizeof *s);
    for (i = 0; i < FR_FILES; i++) {
        const fr_file_kind *kind = &j->kinds[i];
        const size_t after = FR_NPY_COUNT_OFFSET + FR_NPY_COUNT_DIGITS;
        snprintf(name, sizeof name, "%s.%06u.%s", fr_file_stems[i], number, fr_file_ends[i]);
        s->data[i] = j->file(name, &s->size[i]);
        there += s->data[i] != NULL;
        if (i == FR_RECORDS && !s->data[i]) {
            if (there && j->closed)
                JUDGE(j, "segment %u has files but no records: that number can never be used again", number);
            return 0;
        }
        if (s->data[i] && kind->header_size
            && (s->size[i] < kind->header_size || memcmp(s->data[i], kind->header, FR_NPY_COUNT_OFFSET)
                || memcmp(s->data[i] + after, kind->header + after, kind->header_size - after))) {
            if (!j->power)
                JUDGE(j, "segment %u has a damaged header: %s", number, name);
            free(s->data[i]);
            s->data[i] = NULL;
        }
    }
    if (there != FR_FILES && !j->power)
        JUDGE(j, "segment %u is not whole", number);
    return 1;
}

/* Index rows as long as they are whole and claim what there is: section 6, step 2. */
static inline void judge_commit(judge *j, judged *s, uint32_t number)
{
    uint64_t end = 0;
    for (; s->blocks < judge_room(j, s, FR_INDEX); s->blocks++) {
        fr_index_row r = judge_block(j, s, s->blocks);
        if (r.crc != fr_crc32c(fr_seed(j->base, number, s->blocks), &r, offsetof(fr_index_row, crc))
            || r.rows > FR_BLOCK_ROWS || r.gap_rows < s->gaps || r.string_bytes < s->strings
            || s->rows + r.rows > judge_room(j, s, FR_RECORDS) || r.gap_rows > judge_room(j, s, FR_GAPS)
            || r.string_bytes > s->size[FR_STRINGS])
            break;
        if (r.first_seq < end
            || (r.rows && s->rows / FR_BLOCK_ROWS != (s->rows + r.rows - 1) / FR_BLOCK_ROWS)) {
            if (!j->power)
                JUDGE(j, "segment %u block %llu: crosses a zone, or its number falls", number, LL(s->blocks));
            break;
        }
        if (r.durable_seq > j->durable)
            JUDGE(j, "segment %u block %llu: tells that %llu are durable, not %llu", number, LL(s->blocks),
                  LL(r.durable_seq), LL(j->durable));
        end = r.first_seq + r.rows;
        s->rows += r.rows, s->gaps = r.gap_rows, s->strings = r.string_bytes;
    }
    if (s->blocks && end > j->end)
        j->end = end;
}

/* A gap row, if it is whole. */
static inline int judge_gap(const judge *j, const judged *s, uint32_t number, uint64_t row, fr_gap_row *g)
{
    memcpy(g, judge_row(j, s, FR_GAPS, row), sizeof *g);
    return g->crc == fr_crc32c(fr_seed(j->base, number, row), g, offsetof(fr_gap_row, crc))
           && g->gap.cause < 8;
}

static inline int judge_has_numbers(const fr_gap *g)
{
    return g->cause == FR_GAP_OVERWRITTEN || g->cause == FR_GAP_DISK;
}

/* What a later segment replaces does not count: from its first number, or its first lost one. */
static inline uint64_t judge_cut(const judge *j, judged *s, uint32_t number, uint64_t limit)
{
    fr_gap_row g;
    uint64_t i;
    s->limit = limit;
    for (s->kept = 0; s->kept < s->blocks; s->kept++) {
        fr_index_row r = judge_block(j, s, s->kept);
        if (r.first_seq + r.rows > limit)
            break;
    }
    if (s->blocks && judge_block(j, s, 0).first_seq < limit)
        limit = judge_block(j, s, 0).first_seq;
    for (i = 0; i < s->gaps; i++)
        if (judge_gap(j, s, number, i, &g) && judge_has_numbers(&g.gap) && g.gap.seq < limit)
            limit = g.gap.seq;
    return limit;
}

/* Where the lines of texts begin, and behind them where the last ends; how many are committed. */
static inline uint64_t judge_lines(judge *j, const judged *s, uint32_t number,
                                   const char *lines[JUDGE_TEXTS + 1])
{
    const char *p = (const char *)s->data[FR_STRINGS], *e = s->strings ? p + s->strings : p, *nl;
    uint64_t count = 0;
    for (; p < e && count < JUDGE_TEXTS; p = nl + 1) {
        nl = (const char *)memchr(p, '\n', (size_t)(e - p));
        if (!nl) {
            if (!j->power)
                JUDGE(j, "segment %u: strings end within a line", number);
            break;
        }
        lines[count++] = p;
    }
    lines[count] = p;
    return count;
}

/* 1: line `id` is whole and is the text of record n; 0: it is damaged; -1: it is whole and says something
 * else. */
static inline int judge_text(const judge *j, const char *const *lines, uint32_t number, uint64_t id,
                             uint64_t n)
{
    const char *line = lines[id - 1];
    const int whole = (int)(lines[id] - line) - 19; /* without ,"crc":"01234567"} and the newline */
    char want[64], tail[24];
    int length =
        snprintf(want, sizeof want, "{\"id\":%u,\"text\":\"text %u\"", (unsigned)id, (unsigned)(n % 11));
    if (whole < 0)
        return 0;
    snprintf(tail, sizeof tail, ",\"crc\":\"%08x\"}\n",
             fr_crc32c(fr_seed(j->base, number, id - 1), line, (size_t)whole));
    if (memcmp(line + whole, tail, 19))
        return 0;
    return whole == length && !memcmp(line, want, (size_t)length) ? 1 : -1;
}

/* The records of a segment that count: into `cover`. */
static inline void judge_records(judge *j, const judged *s, uint32_t number, unsigned char *cover)
{
    const char *lines[JUDGE_TEXTS + 1];
    const size_t size = j->kinds[FR_RECORDS].row_size;
    uint64_t count = judge_lines(j, s, number, lines), at = 0, b, i;
    for (b = 0; b < s->blocks; b++) {
        fr_index_row r = judge_block(j, s, b);
        const unsigned char *p = r.rows ? judge_row(j, s, FR_RECORDS, at) : NULL;
        int whole = !r.rows || fr_crc32c(fr_seed(j->base, number, at), p, r.rows * size) == r.crc_rows;
        at += r.rows;
        if (r.first_seq >= s->limit)
            continue;
        if (!whole && (!j->power || r.first_seq < j->safe))
            JUDGE(j, "segment %u block %llu: rows from number %llu on do not match", number, LL(b),
                  LL(r.first_seq));
        for (i = 0; i < r.rows && whole && r.first_seq + i < s->limit; i++, p += size) {
            uint64_t n = r.first_seq + i, value, id = 0;
            int told;
            memcpy(&value, p + j->value_at, 8);
            if (value != mix(n))
                JUDGE(j, "number %llu holds another record", LL(n));
            if (n < JUDGE_NUMBERS && cover[n]++)
                JUDGE(j, "number %llu twice", LL(n));
            j->records++;
            if (!j->text_at)
                continue;
            memcpy(&id, p + j->text_at, 8);
            told = id && id <= count ? judge_text(j, lines, number, id, n) : id ? 0 : -1;
            if (told < 0 || (!told && (!j->power || n < j->safe)))
                JUDGE(j, "number %llu has text %llu of %llu, which is %s", LL(n), LL(id), LL(count),
                      told ? "another" : "damaged");
        }
    }
}

/* The losses of a segment that count. */
static inline void judge_gaps(judge *j, const judged *s, uint32_t number, unsigned char *cover)
{
    const uint64_t committed = s->kept ? judge_block(j, s, s->kept - 1).gap_rows : 0;
    fr_gap_row g;
    uint64_t i, n;
    for (i = 0; i < s->gaps; i++) {
        if (!judge_gap(j, s, number, i, &g)) {
            if (!j->power)
                JUDGE(j, "segment %u gap %llu is damaged", number, LL(i));
            continue;
        }
        if (i >= committed && g.gap.seq >= s->limit)
            continue;
        j->lost[g.gap.cause] += g.gap.count;
        if (g.gap.seq < j->safe)
            j->lost_below[g.gap.cause] += g.gap.count;
        if (!judge_has_numbers(&g.gap))
            continue;
        for (n = g.gap.seq; n < g.gap.seq + g.gap.count && n < JUDGE_NUMBERS; n++)
            if (cover[n]++) {
                JUDGE(j, "number %llu held and lost", LL(n));
                break;
            }
        if (g.gap.seq + g.gap.count > j->end)
            j->end = g.gap.seq + g.gap.count;
    }
}

/* What a clean stop, or a killed process, leaves in the headers. */
static inline void judge_counts(judge *j, const judged *s, uint32_t number)
{
    uint64_t i;
    if (judge_count(s, FR_RECORDS) > s->rows)
        JUDGE(j, "segment %u: numpy sees %llu rows, %llu are committed", number,
              LL(judge_count(s, FR_RECORDS)), LL(s->rows));
    if (j->closed && s->kept == s->blocks /* nothing was given up */
        && (judge_count(s, FR_RECORDS) != s->rows || judge_count(s, FR_INDEX) != s->blocks
            || judge_count(s, FR_GAPS) != s->gaps))
        JUDGE(j, "segment %u closed with counts %llu %llu %llu of %llu %llu %llu", number,
              LL(judge_count(s, FR_RECORDS)), LL(judge_count(s, FR_INDEX)), LL(judge_count(s, FR_GAPS)),
              LL(s->rows), LL(s->blocks), LL(s->gaps));
    for (i = 0; i < s->rows / FR_BLOCK_ROWS && i < judge_room(j, s, FR_ZONES) && i < judge_count(s, FR_ZONES);
         i++) {
        const size_t at = j->kinds[FR_ZONES].row_size - 4;
        const unsigned char *zone = judge_row(j, s, FR_ZONES, i);
        uint32_t crc;
        memcpy(&crc, zone + at, 4);
        if (crc != fr_crc32c(fr_seed(j->base, number, i), zone, at))
            JUDGE(j, "segment %u zone %llu is damaged yet counted", number, LL(i));
    }
}

/* Read everything that is committed, and find what is wrong with it. */
static inline void judge_channel(judge *j)
{
    static unsigned char cover[JUDGE_NUMBERS];
    static judged segments[JUDGE_SEGMENTS];
    static uint32_t numbers[JUDGE_SEGMENTS];
    uint32_t count = 0, i, k;
    uint64_t limit = JUDGE_LIMIT, n;
    j->end = j->records = 0;
    memset(j->lost, 0, sizeof j->lost), memset(j->lost_below, 0, sizeof j->lost_below);
    memset(cover, 0, sizeof cover);
    for (i = 0; i < j->segments && count < JUDGE_SEGMENTS; i++) {
        if (judge_load(j, &segments[count], i)) {
            judge_commit(j, &segments[count], i);
            numbers[count++] = i;
        } else {
            for (k = 0; k < FR_FILES; k++)
                free(segments[count].data[k]);
        }
    }
    for (i = count; i--;)
        limit = judge_cut(j, &segments[i], numbers[i], limit);
    for (i = 0; i < count; i++) {
        judge_records(j, &segments[i], numbers[i], cover);
        judge_gaps(j, &segments[i], numbers[i], cover);
        if (!j->power)
            judge_counts(j, &segments[i], numbers[i]);
        for (k = 0; k < FR_FILES; k++)
            free(segments[i].data[k]);
    }
    for (n = 0; n < j->safe && n < JUDGE_NUMBERS; n++)
        if (cover[n] != 1) {
            JUDGE(j, "number %llu of %llu is in %u places", LL(n), LL(j->safe), cover[n]);
            break;
        }
}

#endif
