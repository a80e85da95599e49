/* A library of getters that look at the thread which calls them, and of what troubles that thread. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct seen {
    int64_t called; /* when, by the monotonic clock */
    uint64_t number;
    int32_t thread;
    int32_t slack; /* ns by which its sleeps may be late */
} seen;

uint64_t calls;
uint64_t block_at; /* the call that blocks; 0: none */
int block_ms;

static int target;    /* the thread that a storm is for */
uint64_t interrupted; /* how often it was */

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int32_t get_seen(seen *s)
{
    s->called = now();
    s->number = ++calls;
    s->thread = (int32_t)syscall(SYS_gettid);
    s->slack = prctl(PR_GET_TIMERSLACK);
    if (calls == block_at)
        usleep((useconds_t)block_ms * 1000);
    return 0;
}

/* The calling thread gives way to all others. */
int32_t give_way(void)
{
    const struct sched_param none = {0};
    return sched_setscheduler(0, SCHED_IDLE, &none);
}

static void note(int signal)
{
    (void)signal;
    if (syscall(SYS_gettid) == target)
        interrupted++;
}

/* The calling thread takes `signal`, whose handler interrupts what it waits in. */
int32_t take_signal(int signal)
{
    const struct sigaction action = {.sa_handler = note};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return sigaction(signal, &action, NULL) || pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- threads of trouble: one at a time ---- */

static pthread_t troublemaker;
static int ending, which, processor;

static void *storm(void *arg)
{
    const struct timespec pause = {0, 100000};
    while (!__atomic_load_n(&ending, __ATOMIC_RELAXED)) {
        syscall(SYS_tgkill, getpid(), target, which);
        nanosleep(&pause, NULL);
    }
    return arg;
}

/* Where it may it runs before all that are not real-time, else beside them. */
static void *hog(void *arg)
{
    const struct sched_param least = {.sched_priority = 1};
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof set, &set);
    sched_setscheduler(0, SCHED_FIFO, &least);
    while (!__atomic_load_n(&ending, __ATOMIC_RELAXED))
        ;
    return arg;
}

static int begin(void *(*body)(void *))
{
    __atomic_store_n(&ending, 0, __ATOMIC_RELAXED);
    return pthread_create(&troublemaker, NULL, body, NULL);
}

int storm_begin(int thread, int signal)
{
    target = thread, which = signal;
    return begin(storm);
}

int hog_begin(int on)
{
    processor = on;
    return begin(hog);
}

void trouble_end(void)
{
    __atomic_store_n(&ending, 1, __ATOMIC_RELAXED);
    pthread_join(troublemaker, NULL);
}
