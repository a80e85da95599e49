/* Two ways to multiply by a power of x: with the instruction for the product, and bit by bit. */
#include <stdio.h>
#include <stdlib.h>
#include "fastrec/crc32c.h"

int main(void)
{
    uint64_t seed = 1, rounds;
    uint32_t seen = 0;
    for (rounds = 0; rounds < 100000; rounds++) {
        uint32_t crc, factor;
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        crc = (uint32_t)(seed >> 32), factor = rounds % 2 ? 0xA51B6135 : (uint32_t)seed;
        if (fr_crc32c_shift(crc, factor) != fr_crc32c_shift_at_once(crc, factor)) {
            printf("%08x by %08x\n", crc, factor);
            return 1;
        }
        seen |= fr_crc32c_shift(crc, factor);
    }
    return seen != UINT32_MAX;
}
