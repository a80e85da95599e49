/* judge.h: the files of one channel, read as FORMAT.md section 6 says, against what was published.
 *
 * Record n is known from n alone: mix(n) stands at `value_at`, and at `text_at` the id of "text N", where N
 * is n mod 11. Below `safe` each number must be there once, unharmed, or in one gap. */
#ifndef FASTREC_JUDGE_H
#define FASTREC_JUDGE_H

#include <fastrec/spool.h>

#define JUDGE_NUMBERS (1 << 17) /* numbers below this are counted */
#define JUDGE_SEGMENTS 128
#define JUDGE_TEXTS 256          /* of a segment */
#define JUDGE_LIMIT (1ull << 62) /* no number is as high */

typedef struct judge {
    /* Given. */
    unsigned char *(*file)(const char *name, size_t *size); /* for free(), asked for once; NULL: not there */
    const fr_file_kind *kinds;
    uint32_t base;         /* seed of uuid and channel */
    uint32_t segments;     /* numbers that may have been used */
    size_t value_at;       /* in a record */
    size_t text_at;        /* 0: none */
    const fr_zone *zone;   /* its fields, all of 8 bytes and no floats */
    size_t weight_at;      /* 0: each record weighs 1 */
    uint64_t segment_rows; /* no segment has more */
    uint64_t safe;         /* a mark */
    uint64_t durable;      /* the mark: no index row may tell of more */
    uint64_t retired;      /* below it retention may have removed what was there */
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
    int replaced;                         /* a later one holds some of its numbers again */
} judged;

/* What later segments hold or name, number by number, and from where to where each of them goes. */
typedef struct judge_later {
    unsigned char numbers[JUDGE_NUMBERS];
    uint64_t low[JUDGE_SEGMENTS], high[JUDGE_SEGMENTS];
    int again[JUDGE_SEGMENTS]; /* the first of them tells losses again */
    uint32_t hulls;
} judge_later;

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

/* The files of a segment; 0 where it has no records file, and so is none; else how many. */
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
            if (there && j->closed && !j->retired)
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
    return there;
}

/* Index rows as long as they are whole and claim what there is: section 6, step 2. */
static inline void judge_commit(judge *j, judged *s, uint32_t number)
{
    const uint64_t rows = judge_room(j, s, FR_RECORDS), gaps = judge_room(j, s, FR_GAPS);
    uint64_t end = 0;
    int64_t reached = INT64_MIN;
    int steady = 1;
    for (; s->blocks < judge_room(j, s, FR_INDEX); s->blocks++) {
        fr_index_row r = judge_block(j, s, s->blocks);
        if (r.crc != fr_crc32c(fr_seed(j->base, number, s->blocks), &r, offsetof(fr_index_row, crc))
            || r.rows > FR_BLOCK_ROWS || r.gap_rows < s->gaps || r.string_bytes < s->strings)
            break;
        /* Readers call this damage, and nothing is damaged by a kill. */
        if (!j->power
            && (s->rows + r.rows > rows || r.gap_rows > gaps || r.string_bytes > s->size[FR_STRINGS]))
            JUDGE(j, "segment %u block %llu: names %s that are not there", number, LL(s->blocks),
                  s->rows + r.rows > rows ? "records"
                  : r.gap_rows > gaps     ? "losses"
                                          : "texts");
        if (s->rows + r.rows > rows || r.gap_rows > gaps || r.string_bytes > s->size[FR_STRINGS])
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
        steady = steady && !(r.flags & FR_INDEX_DECREASING) && r.t_min >= reached;
        if (!(r.flags & FR_INDEX_STEADY) != !steady)
            JUDGE(j, "segment %u block %llu: has flags %u, but times %s", number, LL(s->blocks), r.flags,
                  steady ? "do not fall" : "fall");
        reached = r.t_max;
        end = r.first_seq + r.rows;
        s->rows += r.rows, s->gaps = r.gap_rows, s->strings = r.string_bytes;
    }
    if (s->rows > j->segment_rows)
        JUDGE(j, "segment %u has %llu records, which is more than %llu", number, LL(s->rows),
              LL(j->segment_rows));
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

/* Hulls that touch are one. They are in no order: what was given up may begin behind what is later. */
static inline void judge_hull(judge_later *l, uint64_t low, uint64_t high, int again)
{
    uint32_t i;
    for (i = l->hulls; i--;)
        if (low <= l->high[i] && l->low[i] <= high) {
            again = l->low[i] < low ? l->again[i] : l->low[i] == low ? again | l->again[i] : again;
            low = low < l->low[i] ? low : l->low[i], high = high > l->high[i] ? high : l->high[i];
            l->hulls--;
            l->low[i] = l->low[l->hulls], l->high[i] = l->high[l->hulls], l->again[i] = l->again[l->hulls];
        }
    l->low[l->hulls] = low, l->high[l->hulls] = high, l->again[l->hulls++] = again;
}

/* From now on this segment is one of the later ones. */
static inline void judge_take(const judge *j, judge_later *l, const judged *s, uint32_t number)
{
    uint64_t low = JUDGE_LIMIT, high = 0, b, i, n;
    fr_gap_row g;
    if (!s->blocks)
        return;
    for (b = 0; b < s->blocks; b++) {
        fr_index_row r = judge_block(j, s, b);
        low = r.first_seq < low ? r.first_seq : low, high = r.first_seq + r.rows;
        for (n = r.first_seq; n < high && n < JUDGE_NUMBERS; n++)
            l->numbers[n] = 1;
    }
    for (i = 0; i < s->gaps; i++)
        if (judge_gap(j, s, number, i, &g) && judge_has_numbers(&g.gap)) {
            const uint64_t end = g.gap.seq + g.gap.count;
            low = g.gap.seq < low ? g.gap.seq : low, high = end > high ? end : high;
            for (n = g.gap.seq; n < end && n < JUDGE_NUMBERS; n++)
                l->numbers[n] = 1;
        }
    judge_hull(l, low, high, (judge_block(j, s, 0).flags & FR_INDEX_AGAIN) != 0);
}

/* A loss without numbers was told by a commit: when its records are in a later segment, so is the loss. A
 * commit of losses alone at the very number where that begins was before it, if it does not say otherwise. */
static inline int judge_told_later(const judge *j, const judge_later *l, const judged *s, uint64_t row,
                                   const fr_gap *gap)
{
    fr_index_row r = {0};
    uint64_t b;
    uint32_t i;
    for (b = 0; b < s->blocks && r.gap_rows <= row; b++)
        r = judge_block(j, s, b);
    for (i = 0; i < l->hulls; i++)
        if (r.first_seq >= l->low[i] + (!r.rows && !l->again[i]) && gap->seq >= l->low[i]
            && gap->seq <= l->high[i])
            return 1;
    return 0;
}

enum { JUDGE_DAMAGED = -1, JUDGE_OTHER = -2 };

/* N, of a line that is whole and says "text N". */
static inline int judge_text(const judge *j, const char *line, size_t size, uint32_t number, uint64_t id)
{
    const size_t seal = 19; /* ,"crc":"01234567"} and the newline */
    char want[64], tail[24];
    int begin = snprintf(want, sizeof want, "{\"id\":%u,\"text\":\"text ", (unsigned)id), length;
    long n;
    if (size < seal)
        return JUDGE_DAMAGED;
    snprintf(tail, sizeof tail, ",\"crc\":\"%08x\"}\n",
             fr_crc32c(fr_seed(j->base, number, id - 1), line, size - seal));
    if (memcmp(line + size - seal, tail, seal))
        return JUDGE_DAMAGED;
    n = size - seal > (size_t)begin ? strtol(line + begin, NULL, 10) : -1;
    length = snprintf(want + begin, sizeof want - (size_t)begin, "%ld\"", n) + begin;
    return size - seal == (size_t)length && n >= 0 && !memcmp(line, want, (size_t)length) ? (int)n
                                                                                          : JUDGE_OTHER;
}

/* What the committed lines of a segment say; how many there are. */
static inline uint64_t judge_lines(judge *j, const judged *s, uint32_t number, int texts[JUDGE_TEXTS])
{
    const char *p = (const char *)s->data[FR_STRINGS], *e = s->strings ? p + s->strings : p, *nl;
    uint64_t count = 0;
    for (; p < e && count < JUDGE_TEXTS; p = nl + 1, count++) {
        nl = (const char *)memchr(p, '\n', (size_t)(e - p));
        if (!nl) {
            if (!j->power)
                JUDGE(j, "segment %u: strings end within a line", number);
            break;
        }
        texts[count] = judge_text(j, p, (size_t)(nl + 1 - p), number, count + 1);
    }
    return count;
}

/* What an index row says of the stamps of its whole block; of holds t_max is no stamp. */
static inline void judge_times(const judge *j, const fr_index_row *r, const unsigned char *p, uint32_t number,
                               uint64_t block)
{
    int64_t least = INT64_MAX, most = INT64_MIN, before = INT64_MIN, t;
    uint32_t falls = 0, i;
    for (i = 0; i < r->rows; i++, before = t) {
        memcpy(&t, p + i * j->kinds[FR_RECORDS].row_size, 8);
        least = t < least ? t : least, most = t > most ? t : most;
        falls |= t < before ? FR_INDEX_DECREASING : 0;
    }
    if (r->t_min != least || (!j->weight_at && r->t_max != most) || falls != (r->flags & FR_INDEX_DECREASING))
        JUDGE(j, "segment %u block %llu: its times and flags are not those of its records", number,
              LL(block));
}

/* The records of a segment that count: into `cover`. */
static inline void judge_records(judge *j, judged *s, uint32_t number, const judge_later *later,
                                 unsigned char *cover)
{
    int texts[JUDGE_TEXTS];
    const size_t size = j->kinds[FR_RECORDS].row_size;
    uint64_t count = judge_lines(j, s, number, texts), at = 0, b, i;
    for (b = 0; b < s->blocks; b++) {
        fr_index_row r = judge_block(j, s, b);
        const unsigned char *p = r.rows ? judge_row(j, s, FR_RECORDS, at) : NULL;
        int whole = !r.rows || fr_crc32c(fr_seed(j->base, number, at), p, r.rows * size) == r.crc_rows;
        if (r.rows && whole)
            judge_times(j, &r, p, number, b);
        at += r.rows;
        for (i = 0; i < r.rows; i++, p += size) {
            uint64_t n = r.first_seq + i, value, id = 0;
            int told;
            if (n < JUDGE_NUMBERS && later->numbers[n]) {
                s->replaced = 1;
                continue;
            }
            if (!whole) {
                if (!j->power || n < j->safe)
                    JUDGE(j, "segment %u block %llu: rows from number %llu on do not match", number, LL(b),
                          LL(n));
                break;
            }
            memcpy(&value, p + j->value_at, 8);
            if (value != mix(n))
                JUDGE(j, "number %llu holds another record", LL(n));
            if (n < JUDGE_NUMBERS && cover[n]++)
                JUDGE(j, "number %llu twice", LL(n));
            j->records++;
            if (!j->text_at)
                continue;
            memcpy(&id, p + j->text_at, 8);
            told = id && id <= count ? texts[id - 1] : id ? JUDGE_DAMAGED : JUDGE_OTHER;
            if (told != (int)(n % 11) && (told != JUDGE_DAMAGED || !j->power || n < j->safe))
                JUDGE(j, "number %llu has text %llu of %llu, which is %s", LL(n), LL(id), LL(count),
                      told == JUDGE_DAMAGED ? "damaged" : "another");
        }
    }
}

/* The losses of a segment that count. */
static inline void judge_gaps(judge *j, judged *s, uint32_t number, const judge_later *later,
                              unsigned char *cover)
{
    fr_gap_row g;
    uint64_t i, n;
    for (i = 0; i < s->gaps; i++) {
        uint64_t counts = 0;
        if (!judge_gap(j, s, number, i, &g)) {
            if (!j->power)
                JUDGE(j, "segment %u gap %llu is damaged", number, LL(i));
            continue;
        }
        if (!judge_has_numbers(&g.gap))
            counts = judge_told_later(j, later, s, i, &g.gap) ? 0 : g.gap.count;
        else
            for (n = g.gap.seq; n < g.gap.seq + g.gap.count && n < JUDGE_NUMBERS; n++) {
                if (later->numbers[n])
                    continue;
                counts++;
                if (cover[n]++)
                    JUDGE(j, "number %llu held and lost", LL(n));
                j->end = n >= j->end ? n + 1 : j->end;
            }
        s->replaced |= counts != g.gap.count;
        j->lost[g.gap.cause] += counts;
        if (g.gap.seq < j->safe)
            j->lost_below[g.gap.cause] += counts;
    }
}

/* Does a zone say what its records do? */
static inline void judge_zone(judge *j, const judged *s, uint32_t number, uint64_t row, const uint64_t *zone)
{
    const uint32_t k = j->zone->fields;
    const uint64_t top = 1ull << 63;
    uint64_t polls = 0, n;
    uint32_t i;
    for (i = 0; i < k; i++) {
        const uint64_t moved = j->zone->field[i].kind == 'i' ? top : 0; /* signed ones compare as unsigned */
        uint64_t low = UINT64_MAX, high = 0, sum = 0, value, weight = 1;
        for (n = 0, polls = 0; n < FR_BLOCK_ROWS; n++) {
            const unsigned char *record = judge_row(j, s, FR_RECORDS, row * FR_BLOCK_ROWS + n);
            memcpy(&value, record + j->zone->field[i].offset, 8);
            if (j->weight_at)
                memcpy(&weight, record + j->weight_at, 8);
            low = (value ^ moved) < low ? value ^ moved : low;
            high = (value ^ moved) > high ? value ^ moved : high;
            sum += value * weight, polls += weight;
        }
        if (zone[1 + i] != (low ^ moved) || zone[1 + k + i] != (high ^ moved) || zone[1 + 2 * k + i] != sum
            || zone[1 + 3 * k + i])
            JUDGE(j,
                  "segment %u zone %llu: %llu to %llu, in all %llu, of field %u are not those of its "
                  "records",
                  number, LL(row), LL(zone[1 + i]), LL(zone[1 + k + i]), LL(zone[1 + 2 * k + i]), i);
    }
    if (zone[0] != polls)
        JUDGE(j, "segment %u zone %llu: weighs %llu, not %llu", number, LL(row), LL(zone[0]), LL(polls));
}

/* What a clean stop, or a killed process, leaves in the headers. */
static inline void judge_counts(judge *j, const judged *s, uint32_t number)
{
    uint64_t i;
    if (judge_count(s, FR_RECORDS) > s->rows)
        JUDGE(j, "segment %u: numpy sees %llu rows, %llu are committed", number,
              LL(judge_count(s, FR_RECORDS)), LL(s->rows));
    if (j->closed && !s->replaced
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
        else
            judge_zone(j, s, number, i, (const uint64_t *)(const void *)zone);
    }
}

/* Read everything that is committed, and find what is wrong with it. */
static inline void judge_channel(judge *j)
{
    static unsigned char cover[JUDGE_NUMBERS];
    static judged segments[JUDGE_SEGMENTS];
    static uint32_t numbers[JUDGE_SEGMENTS];
    uint32_t count = 0, i, k;
    static judge_later later;
    uint64_t n;
    j->end = j->records = 0;
    memset(j->lost, 0, sizeof j->lost), memset(j->lost_below, 0, sizeof j->lost_below);
    memset(cover, 0, sizeof cover), memset(&later, 0, sizeof later);
    for (i = 0; i < j->segments && count < JUDGE_SEGMENTS; i++) {
        int there = judge_load(j, &segments[count], i);
        if (there) {
            judge_commit(j, &segments[count], i);
            if (!j->power && there != FR_FILES && (segments[count].blocks || j->closed))
                JUDGE(j, "segment %u is not whole", i);
            numbers[count++] = i;
        } else {
            for (k = 0; k < FR_FILES; k++)
                free(segments[count].data[k]);
        }
    }
    for (i = count; i--;) {
        judge_records(j, &segments[i], numbers[i], &later, cover);
        judge_gaps(j, &segments[i], numbers[i], &later, cover);
        judge_take(j, &later, &segments[i], numbers[i]);
        if (!j->power)
            judge_counts(j, &segments[i], numbers[i]);
        for (k = 0; k < FR_FILES; k++)
            free(segments[i].data[k]);
    }
    n = 0;
    if (count && numbers[0]) /* those before it are retired, whole */
        for (; n < j->retired && n < JUDGE_NUMBERS && !cover[n]; n++)
            ;
    for (; n < j->safe && n < JUDGE_NUMBERS; n++)
        if (cover[n] != 1) {
            JUDGE(j, "number %llu of %llu is in %u places", LL(n), LL(j->safe), cover[n]);
            break;
        }
}

#endif
