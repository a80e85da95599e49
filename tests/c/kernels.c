/* What other kernels would answer. Preloaded, these functions stand before those of the C library. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <unistd.h>

#define TCP_INFO 11
#define UNKNOWN 0xA5

static size_t wanted(const char *name)
{
    const char *value = getenv(name);
    return value ? strtoul(value, NULL, 10) : 0;
}

/* Memory counted in units, as 32-bit kernels do: a machine of 3 units, 2 of them free. */
int sysinfo(struct sysinfo *info)
{
    memset(info, 0, sizeof *info);
    info->totalram = 3;
    info->freeram = 2;
    info->loads[0] = 98304;
    info->mem_unit = wanted("MEM_UNIT");
    return 0;
}

/* One that would set something if it were asked to, and that leaves a request behind. */
int adjtimex(struct timex *timex)
{
    if (timex->modes) {
        errno = EPERM;
        return -1;
    }
    timex->modes = ADJ_OFFSET;
    timex->status = STA_INS | STA_NANO;
    timex->freq = -32768;
    return TIME_INS;
}

/* One whose struct tcp_info has a size of its own. */
int getsockopt(int fd, int level, int option, void *restrict value, socklen_t *restrict length)
{
    size_t bytes = wanted("TCP_INFO_BYTES"), room = *length;
    long failed;
    if (level == IPPROTO_TCP && option == TCP_INFO && bytes < room)
        *length = bytes;
    failed = syscall(SYS_getsockopt, fd, level, option, value, length);
    if (failed == 0 && level == IPPROTO_TCP && option == TCP_INFO) {
        size_t known = *length, all = bytes < room ? bytes : room;
        if (known < all)
            memset((char *)value + known, UNKNOWN, all - known);
        *length = all;
    }
    return failed;
}
