/* All ways to a checksum: of any bytes, at any place, they lead to the same. */
#include <stdio.h>
#include <stdlib.h>
#include "fastrec/crc32c.h"

enum { MOST = 20000, ROUNDS = 3000 };

int main(void)
{
    static unsigned char data[MOST + 64];
    uint64_t seed = 1;
    size_t i;
    int round;
    for (i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)((seed = seed * 6364136223846793005ULL + 1442695040888963407ULL) >> 56);
    for (round = 0; round < ROUNDS; round++) {
        uint32_t value, found, due;
        unsigned char *exact;
        size_t size;
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        value = (uint32_t)(seed >> 32), size = (size_t)(seed >> 20) % MOST;
        exact = malloc(size + 1); /* what reads on is found out */
        memcpy(exact, data + seed % 64, size);
        found = fr_crc32c(value, exact, size), due = ~fr_crc32c_portable(~value, exact, size);
        free(exact);
        if (found != due) {
            printf("%zu bytes from %08x on: %08x, not %08x\n", size, value, found, due);
            return 1;
        }
    }
#if defined(__x86_64__)
    printf("wide=%d\n", FR_WIDE_HAS() != 0);
#endif
    return 0;
}
