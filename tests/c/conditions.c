/* Steps at random, right in height and types or in height alone, on records that end where their memory does:
 * for the sanitizers, and that no row is found twice. */
#include <stdio.h>
#include <stdlib.h>
#include "fastrec/condition.h"

enum { FIELDS = 16, STRIDE = 48, ROWS = 1400, MOST = 40, DEPTH = 48, LISTS = 2 };

static uint64_t seed = 1;

static uint64_t chance(uint64_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (seed >> 33) % below;
}

static uint64_t pattern(void)
{
    static const double reals[] = {0.0,      -0.0,      1.5, -1e300,  1e300,
                                   INFINITY, -INFINITY, NAN, 0x1p127, -0x1p127};
    static const uint64_t wholes[] = {0, 1, 2, 63, 64, 126, 127, 128, UINT64_MAX, INT64_MAX, 1ULL << 63};
    switch (chance(4)) {
    case 0: return fr_bits_of(reals[chance(10)]);
    case 1: return wholes[chance(11)];
    case 2: return chance(256);
    default: return chance(UINT32_MAX) << 32 | chance(UINT32_MAX);
    }
}

static fr_zone_field some_field(void)
{
    fr_zone_field f = {.kind = "iuf"[chance(3)], .swapped = (uint8_t)chance(2)};
    f.size = (uint8_t)(1 << chance(4));
    if (f.kind == 'f' && f.size == 1)
        f.size = 2;
    if (f.kind != 'f' && chance(3) == 0) {
        f.width = (uint8_t)(1 + chance(64));
        f.shift = (uint8_t)chance(8);
        f.size = (uint8_t)((f.shift + f.width + 7) / 8);
        f.swapped = f.swapped && f.size <= 8;
    }
    f.offset = STRIDE - f.size - (uint32_t)(chance(2) ? chance(STRIDE - 9) : 0);
    return f;
}

/* 't', 'w' or 'r': what each slot holds; `typed` is whether steps heed it. */
static size_t some_steps(fr_step *steps, int typed)
{
    char held[DEPTH];
    size_t n = 0, height = 0;
    while (n < MOST || height > 1) {
        fr_step s = {.kind = (uint8_t)chance(FR_STEP_REAL_WHOLE + 1), .how = (uint8_t)chance(6)};
        const char *takes = "", *puts = "t";
        size_t count, i;
        s.field = (uint16_t)chance(FIELDS), s.low = pattern(), s.high = pattern();
        s.place = (uint32_t)chance(LISTS);
        switch (s.kind) {
        case FR_STEP_AMONG: s.count = (uint32_t)chance(5); break;
        case FR_STEP_BYTES: s.count = (uint32_t)chance(5), s.low = chance(STRIDE - s.count + 1); break;
        case FR_STEP_AND:
        case FR_STEP_OR: takes = "tt"; break;
        case FR_STEP_NOT: takes = "t"; break;
        case FR_STEP_WHOLE:
        case FR_STEP_WHOLE_IS: puts = "w"; break;
        case FR_STEP_REAL:
        case FR_STEP_REAL_IS: puts = "r"; break;
        case FR_STEP_TO_REAL: takes = "w", puts = "r", s.how = 0; break;
        case FR_STEP_PHYSICAL:
        case FR_STEP_PARTS: takes = puts = "r"; break;
        case FR_STEP_NEAR:
        case FR_STEP_NAN: takes = "r"; break;
        case FR_STEP_ON_WHOLE:
            s.how = (uint8_t)chance(FR_ABSOLUTE + 2);
            takes = s.how >= FR_NEGATIVE ? "w" : "ww", puts = "w";
            break;
        case FR_STEP_ON_REAL:
            s.how = (uint8_t)chance(FR_ABSOLUTE + 2);
            takes = s.how >= FR_NEGATIVE ? "r" : "rr", puts = "r";
            break;
        case FR_STEP_WHOLES: takes = "ww"; break;
        case FR_STEP_REALS: takes = "rr"; break;
        case FR_STEP_WHOLE_REAL: takes = "wr"; break;
        case FR_STEP_REAL_WHOLE: takes = "rw"; break;
        default: break;
        }
        count = strlen(takes);
        if (count > height || (n >= MOST && !count) || height - count + 1 >= DEPTH)
            continue;
        if (typed && s.kind == FR_STEP_TO_REAL && height > 1 && held[height - 2] == 'w') {
            s.how = 1, held[height - 2] = 'r', steps[n++] = s;
            continue;
        }
        for (i = 0; typed && i < count; i++)
            if (held[height - count + i] != takes[i])
                break;
        if (typed && (i < count || (puts[0] == 't' && height > count && held[height - count - 1] != 't')))
            continue; /* as in expressions: a truth lies on truths alone */
        if (n > 20 * MOST)
            return 0;
        height -= count;
        held[height++] = puts[0];
        steps[n++] = s;
    }
    return !typed || held[0] == 't' ? n : 0;
}

int main(int count, char **arguments)
{
    static fr_step steps[21 * MOST];
    unsigned char *rows = malloc((size_t)ROWS * STRIDE);
    fr_slot *stack = malloc((DEPTH + 1) * sizeof(fr_slot));
    int64_t *out = malloc(ROWS * sizeof(int64_t));
    uint64_t *patterns = malloc(6 * 8), *ids = malloc(5 * 8);
    uint8_t *truths = malloc(ROWS);
    unsigned char *bytes = calloc(6, 1);
    const size_t ends[LISTS] = {2, 5};
    const uint8_t *lists[LISTS] = {truths, truths};
    fr_given given = {ids, ends, lists, 0};
    fr_zone_field fields[FIELDS];
    size_t rounds = count > 1 ? strtoull(arguments[1], NULL, 10) : 100, round, i, met = 0, right = 0;
    for (round = 0; round < rounds; round++) {
        int typed = round % 2 == 0;
        fr_condition c = {steps, some_steps(steps, typed), fields, patterns, bytes};
        size_t start = chance(ROWS), stop = start + 1 + chance(ROWS - start), found;
        if (!c.steps)
            continue;
        for (i = 0; i < FIELDS; i++)
            fields[i] = some_field();
        for (i = 0; i < (size_t)ROWS * STRIDE; i += 8) {
            uint64_t word = pattern();
            memcpy(rows + i, &word, 8);
        }
        for (i = 0; i < 6; i++)
            patterns[i] = i ? patterns[i - 1] + chance(3) : pattern() / 2;
        for (i = 0; i < 5; i++)
            ids[i] = i != 0 && i != 2 ? ids[i - 1] + chance(3) : chance(256);
        for (i = 0; i < ROWS; i++)
            truths[i] = (uint8_t)chance(typed ? 2 : 256);
        memset(stack, 0x7F, (DEPTH + 1) * sizeof(fr_slot));
        memset(out, 0xFF, ROWS * sizeof(int64_t));
        /* Where there is room for no more rows than there are. */
        found = fr_meeting(&c, &given, rows, STRIDE, start, stop, stack, out + (ROWS - (stop - start)));
        for (i = 0; i < found; i++) {
            int64_t row = out[ROWS - (stop - start) + i];
            if (row < (int64_t)(i ? out[ROWS - (stop - start) + i - 1] + 1 : (int64_t)start)
                || row >= (int64_t)stop) {
                printf("round %zu: row %lld is out of order\n", round, (long long)row);
                return 1;
            }
        }
        met += found, right += typed;
    }
    printf("%zu %zu\n", right, met);
    free(rows), free(stack), free(out), free(patterns), free(ids), free(truths), free(bytes);
    return 0;
}
