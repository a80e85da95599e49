/* A library as vendors make them: it aborts when two threads are in it at once, and, opened bound, when a
 * thread enters it that did not open it. Every function says in `calls` that it was called. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct sdk_status {
    int32_t gain;
    int32_t thread; /* that fills it */
    uint64_t count;
} sdk_status;

int sdk_busy_us; /* how long a status takes */
int sdk_fail_configure;
int sdk_fail_close;
uint64_t sdk_calls;
char sdk_log[64]; /* o: opened, c: configured, s: asked for its status, x: closed; runs once */

static int inside, owner, gain, length;

static int self(void) { return (int)syscall(SYS_gettid); }

static void enter(void)
{
    if (__atomic_exchange_n(&inside, 1, __ATOMIC_SEQ_CST) || (owner && owner != self()))
        abort();
    sdk_calls++;
}

static int leave(int code)
{
    __atomic_store_n(&inside, 0, __ATOMIC_SEQ_CST);
    return code;
}

static void note(char what)
{
    if (length < (int)sizeof sdk_log - 1 && (!length || sdk_log[length - 1] != what))
        sdk_log[length++] = what;
}

int sdk_open(int bound)
{
    enter();
    owner = bound ? self() : 0;
    note('o');
    return leave(0);
}

int sdk_configure(int new_gain)
{
    enter();
    if (sdk_fail_configure)
        return leave(-7);
    gain = new_gain;
    note('c');
    return leave(0);
}

int sdk_status_get(sdk_status *s)
{
    enter();
    if ((uintptr_t)s % 16) /* as memory for any C struct is aligned */
        return leave(-11);
    if (sdk_busy_us)
        usleep((useconds_t)sdk_busy_us);
    s->gain = gain;
    s->thread = self();
    s->count = sdk_calls;
    note('s');
    return leave(0);
}

int sdk_close(void)
{
    enter();
    if (sdk_busy_us)
        usleep((useconds_t)sdk_busy_us);
    owner = 0;
    note('x');
    return leave(sdk_fail_close ? -9 : 0);
}

int sdk_stuck(void)
{
    for (;;)
        pause();
}
