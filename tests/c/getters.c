/* A library of getters that do what a test wants to see counted. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

typedef struct status {
    int32_t mode;
    uint32_t count;
    double level;
} status;

int calls;    /* of get_status and get_sometimes */
int block_at; /* the call that blocks; 0: none */
int block_ms;
int overrun_at; /* the call that writes past its struct; 0: none */

static void fill(status *s)
{
    s->mode = calls % 7;
    s->count = (uint32_t)calls;
    s->level = calls * 0.5;
}

int get_status(status *s)
{
    if (++calls == block_at)
        usleep((useconds_t)block_ms * 1000);
    fill(s);
    if (calls == overrun_at)
        memset(s + 1, 0x77, 8);
    return 0;
}

/* Every third call fails with -5, every seventh with errno ETIMEDOUT. */
int get_sometimes(status *s)
{
    calls++;
    if (calls % 7 == 0) {
        errno = ETIMEDOUT;
        return -1;
    }
    if (calls % 3 == 0)
        return -5;
    fill(s);
    return 0;
}

int get_error(status *s)
{
    (void)s;
    return -5;
}

int get_big(status *s)
{
    memset(s, 1, sizeof *s + 48);
    return 0;
}

void get_void(status *s) { fill(s); }
int get_bool(status *s)
{
    fill(s);
    return 1;
}
long long get_wide(status *s)
{
    fill(s);
    return 0x100000000ll;
} /* 0 in its low half */
int8_t get_narrow(status *s)
{
    fill(s);
    return 0;
}

/* Six arguments, one an in-out size that the call shrinks, one a struct that must come prepared. */
int get_sized(int a, const char *name, status *s, uint32_t *size, int64_t b, void *null)
{
    if (a != 7 || strcmp(name, "motor") || null || b != -3)
        return -1;
    if (*size != sizeof *s || s->mode != 42)
        return -2;
    *size = 4;
    s->mode = 1;
    return 0;
}

typedef struct texts {
    const char *name;
    uint64_t n;
} texts;

static char buffer[5000];
int get_text(texts *t)
{
    static const char *const names[] = {"one", "zwei", NULL, "\xff\xfe raw"};
    t->n = (uint64_t)calls++;
    t->name = names[t->n % 5 > 3 ? 0 : t->n % 5];
    if (t->n % 5 == 4) {
        memset(buffer, 'x', sizeof buffer - 1);
        t->name = buffer;
    }
    return 0;
}

int get_dangling(texts *t)
{
    t->n = (uint64_t)calls++;
    t->name = t->n % 2 ? (const char *)16 : "good";
    return 0;
}

/* Two texts: `name` lasts for 20 calls, but stands elsewhere each time; every second `noted` cannot be read.
 */
typedef struct named {
    const char *noted;
    const char *name;
} named;

int get_named(named *s)
{
    static char names[8][16];
    s->name = strcpy(names[calls % 8], calls / 20 % 2 ? "even" : "odd");
    s->noted = calls++ % 2 ? (const char *)16 : "noted";
    return 0;
}

/* What somebody shows, with noise where C leaves padding. */
typedef struct loose {
    int8_t mode; /* seven bytes of padding behind it */
    double level;
    uint32_t low : 3, high : 5, rest : 24;
} loose;

loose shown;
int shown_code; /* what get_shown returns */

int get_shown(loose *s)
{
    memset(s, ++calls, sizeof *s);
    s->mode = shown.mode;
    s->level = shown.level;
    s->low = shown.low;
    s->high = shown.high;
    s->rest = (uint32_t)calls & 0xFFFFFF;
    return shown_code;
}

/* A mode lasts for 50 calls; `count` tells how many there were. */
int get_lasting(status *s)
{
    if (++calls == block_at)
        usleep((useconds_t)block_ms * 1000);
    fill(s);
    s->mode = calls / 50 % 3;
    return 0;
}
