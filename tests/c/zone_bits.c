/* Zones of every bit-field that there can be, at the very end of records that end where their memory does. */
#include <stdio.h>
#include <stdlib.h>
#include "fastrec/zone.h"

enum { RECORDS = 5, STRIDE = 32, WEIGHT_AT = 8 };

/* Bit by bit: bit n of a word is bit n % 8 of its byte n / 8, counted from the other end if it is swapped. */
static uint64_t bits_of(const unsigned char *word, const fr_zone_field *f)
{
    uint64_t value = 0;
    int bit;
    for (bit = f->width - 1; bit >= 0; bit--) {
        int at = f->shift + bit, byte = f->swapped ? f->size - 1 - at / 8 : at / 8;
        value = value << 1 | (word[byte] >> at % 8 & 1);
    }
    if (f->kind == 'i' && value >> (f->width - 1) && f->width < 64)
        value |= ~0ULL << f->width;
    return value;
}

static int less(uint64_t a, uint64_t b, int is_signed) { return is_signed ? (int64_t)a < (int64_t)b : a < b; }

static void check(const unsigned char *records, const fr_zone_field *f, size_t weight_at)
{
    uint64_t row[FR_ZONE_SIZE(1) / 8], low = 0, high = 0, sum = 0, polls = 0;
    fr_zone zone = {.fields = 1, .field = f, .row = row};
    int n, is_signed = f->kind == 'i';
    for (n = 0; n < RECORDS; n++) {
        uint64_t value = bits_of(records + n * STRIDE + f->offset, f), weight = 1;
        if (weight_at)
            memcpy(&weight, records + n * STRIDE + weight_at, 8);
        low = n == 0 || less(value, low, is_signed) ? value : low;
        high = n == 0 || less(high, value, is_signed) ? value : high;
        sum += value * weight;
        polls += weight;
    }
    fr_zone_clear(&zone);
    fr_zone_add(&zone, records, RECORDS, STRIDE, weight_at);
    if (row[0] != polls || row[1] != low || row[2] != high || row[3] != sum || row[4] != 0) {
        printf("kind %c size %d swapped %d shift %d width %d: not what its bits say\n", f->kind, f->size,
               f->swapped, f->shift, f->width);
        exit(1);
    }
}

int main(void)
{
    unsigned char *records = malloc(RECORDS * STRIDE);
    unsigned shift, width, checked = 0, n, kind, swapped;
    srand(7);
    for (shift = 0; shift < 64; shift++)
        for (width = 1; width <= 64; width++)
            for (kind = 0; kind < 2; kind++)
                for (swapped = 0; swapped < 2; swapped++) {
                    unsigned size = (shift + width + 7) / 8;
                    fr_zone_field f = {.shift = (uint8_t)shift, .width = (uint8_t)width};
                    if (swapped)
                        size = size <= 2 ? size : size <= 4 ? 4 : 8;
                    if (size > 9 || (size > 8 && shift > 7) || (swapped && shift + width > 64))
                        continue;
                    f.kind = kind ? 'i' : 'u';
                    f.size = (uint8_t)size;
                    f.swapped = (uint8_t)swapped;
                    f.offset = STRIDE - size;
                    for (n = 0; n < RECORDS * STRIDE; n++)
                        records[n] = (unsigned char)(rand() >> 4);
                    check(records, &f, 0);
                    check(records, &f, WEIGHT_AT);
                    checked++;
                }
    free(records);
    printf("%u\n", checked);
    return 0;
}
