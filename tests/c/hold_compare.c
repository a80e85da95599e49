/* Comparing states of every length up to 20 words: each bit counts, where the mask has it, and no other does.
 */
#include <fastrec/hold.h>
#include <stdio.h>

#define MOST 20

static unsigned char store[32 + MOST * 8], payload[MOST * 8], mask[MOST * 8];

int main(void)
{
    fr_hold hold = {.record = (fr_hold_columns *)(void *)store};
    unsigned wrong = 0, at, bit;
    for (hold.words = 1; hold.words <= MOST; hold.words++)
        for (at = 0; at < hold.words * 8; at++)
            for (bit = 1; bit < 256; bit <<= 1) {
                payload[at] ^= bit;
                hold.mask = NULL;
                wrong += fr_hold_equal(&hold, payload) != 0;
                memset(mask, 0, sizeof mask);
                mask[at] = (unsigned char)bit;
                hold.mask = (const uint64_t *)(const void *)mask;
                wrong += fr_hold_equal(&hold, payload) != 0;
                memset(mask, 255, hold.words * 8);
                mask[at] = (unsigned char)~bit;
                wrong += fr_hold_equal(&hold, payload) != 1;
                payload[at] ^= bit;
                hold.mask = NULL;
                wrong += fr_hold_equal(&hold, payload) != 1;
            }
    printf("%u\n", wrong);
    return wrong != 0;
}
