/* tsc.h as another processor sees it: compiled, and refused. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#undef __x86_64__ /* after the system's headers, which need the truth */
#include <fastrec/tsc.h>

int main(void)
{
    fr_tsc t;
    int why = fr_tsc_begin(&t), uncalibrated = fr_tsc_calibrate(&t, &fr_system_clock, fr_ticks_after);
    printf("%llu|%s|%s\n", (unsigned long long)fr_ticks(), fr_tsc_refusal(why), fr_tsc_refusal(uncalibrated));
    return why != FR_TSC_NO_COUNTER;
}
