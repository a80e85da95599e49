/* crc32c.h: CRC-32C (Castagnoli), by the processor's own instruction where it has one.
 *
 * fr_crc32c(seed, data, size) continues from `seed`, a previous result or 0. */
#ifndef FASTREC_CRC32C_H
#define FASTREC_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Four bits at a time, by the reflected polynomial 0x82F63B78: the way on a processor without the
 * instruction. Its table of one nibble needs no initialisation at run time. */
static inline uint32_t fr_crc32c_portable(uint32_t crc, const unsigned char *p, size_t n)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
        0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75};
    for (; n; n--) {
        crc ^= *p++;
        crc = nibble[crc & 15] ^ (crc >> 4);
        crc = nibble[crc & 15] ^ (crc >> 4);
    }
    return crc;
}

#if defined(__x86_64__)
#include <wmmintrin.h>
#define FR_CRC32C_TARGET __attribute__((target("sse4.2")))
#define FR_CRC32C_WORD(crc, word) __builtin_ia32_crc32di(crc, word)
#define FR_CRC32C_BYTE(crc, byte) __builtin_ia32_crc32qi((uint32_t)(crc), byte)
#define FR_CRC32C_HAS_NATIVE() __builtin_cpu_supports("sse4.2")
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define FR_CRC32C_TARGET
#define FR_CRC32C_WORD(crc, word) __crc32cd((uint32_t)(crc), word)
#define FR_CRC32C_BYTE(crc, byte) __crc32cb((uint32_t)(crc), byte)
#define FR_CRC32C_HAS_NATIVE() 1
#endif

#if defined(FR_CRC32C_HAS_NATIVE)
#define FR_CRC32C_RUN 1024 /* bytes of one of three runs side by side */

/* crc * factor * x^33 modulo the polynomial. With x^(8n - 33) as the factor: `crc` after n bytes of zeros. */
FR_CRC32C_TARGET static inline uint32_t fr_crc32c_shift(uint32_t crc, uint32_t factor)
{
    uint64_t product = 0;
    int i;
    for (i = 0; i < 32; i++)
        product ^= (0 - (uint64_t)(crc >> i & 1)) & ((uint64_t)factor << i);
    return (uint32_t)FR_CRC32C_WORD(0, product);
}

#if defined(__x86_64__)
/* The same, where there is an instruction for the product. */
__attribute__((target("sse4.2,pclmul"))) static inline uint32_t fr_crc32c_shift_at_once(uint32_t crc,
                                                                                        uint32_t factor)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)factor), 0);
    return (uint32_t)FR_CRC32C_WORD(0, (uint64_t)_mm_cvtsi128_si64(product));
}
#define FR_CRC32C_HAS_PRODUCT() __builtin_cpu_supports("pclmul")
#include "crc32c_wide.h"
#else
#define fr_crc32c_shift_at_once fr_crc32c_shift
#define FR_CRC32C_HAS_PRODUCT() 0
#endif

/* The instruction can begin each cycle, but has its answer after three: so three runs at once, then put
 * together. The factors are x^(8 * 1024 - 33) and x^(16 * 1024 - 33) modulo the polynomial, reflected. */
FR_CRC32C_TARGET static inline uint32_t fr_crc32c_native(uint32_t crc, const unsigned char *p, size_t n)
{
    uint64_t c = crc, w;
#if defined(__x86_64__)
    if (n >= FR_WIDE_PIECE && FR_WIDE_HAS()) {
        c = fr_crc32c_wide(crc, p, n / FR_WIDE_PIECE);
        p += n / FR_WIDE_PIECE * FR_WIDE_PIECE;
        n %= FR_WIDE_PIECE;
    }
#endif
    for (; n >= 3 * FR_CRC32C_RUN; n -= 3 * FR_CRC32C_RUN, p += 3 * FR_CRC32C_RUN) {
        uint64_t second = 0, third = 0, v, u;
        size_t i;
        for (i = 0; i < FR_CRC32C_RUN; i += 8) {
            memcpy(&w, p + i, 8);
            memcpy(&v, p + FR_CRC32C_RUN + i, 8);
            memcpy(&u, p + 2 * FR_CRC32C_RUN + i, 8);
            c = FR_CRC32C_WORD(c, w);
            second = FR_CRC32C_WORD(second, v);
            third = FR_CRC32C_WORD(third, u);
        }
        if (FR_CRC32C_HAS_PRODUCT())
            c = fr_crc32c_shift_at_once((uint32_t)c, 0xA51B6135)
                ^ fr_crc32c_shift_at_once((uint32_t)second, 0x170076FA);
        else
            c = fr_crc32c_shift((uint32_t)c, 0xA51B6135) ^ fr_crc32c_shift((uint32_t)second, 0x170076FA);
        c ^= (uint32_t)third;
    }
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        c = FR_CRC32C_WORD(c, w);
    }
    for (crc = (uint32_t)c; n; n--)
        crc = FR_CRC32C_BYTE(crc, *p++);
    return crc;
}
/* Three rows side by side: each is too short for runs of its own. */
FR_CRC32C_TARGET static inline void fr_crc32c_three(uint32_t crc[3], const unsigned char *p, size_t stride,
                                                    size_t n)
{
    uint64_t a = crc[0], b = crc[1], c = crc[2], w;
    const unsigned char *q = p + stride, *r = q + stride;
    size_t i;
    for (i = 0; i + 8 <= n; i += 8) {
        memcpy(&w, p + i, 8);
        a = FR_CRC32C_WORD(a, w);
        memcpy(&w, q + i, 8);
        b = FR_CRC32C_WORD(b, w);
        memcpy(&w, r + i, 8);
        c = FR_CRC32C_WORD(c, w);
    }
    crc[0] = (uint32_t)a, crc[1] = (uint32_t)b, crc[2] = (uint32_t)c;
    for (; i < n; i++) {
        crc[0] = FR_CRC32C_BYTE(crc[0], p[i]);
        crc[1] = FR_CRC32C_BYTE(crc[1], q[i]);
        crc[2] = FR_CRC32C_BYTE(crc[2], r[i]);
    }
}
#else
#define fr_crc32c_native fr_crc32c_portable
#define FR_CRC32C_HAS_NATIVE() 0
#endif

static inline uint32_t fr_crc32c(uint32_t seed, const void *data, size_t size)
{
    const unsigned char *p = (const unsigned char *)data;
    return ~(FR_CRC32C_HAS_NATIVE() ? fr_crc32c_native(~seed, p, size) : fr_crc32c_portable(~seed, p, size));
}

/* What each of `count` rows of `size` bytes, side by side, ends in: seeded with `base` and its number, from
 * `first` on, and of all but its last four bytes (FORMAT.md, section 1). */
static inline void fr_crc32c_rows(uint32_t base, uint64_t first, const unsigned char *rows, size_t size,
                                  size_t count, uint32_t *sums)
{
    size_t i = 0;
#if defined(__x86_64__) || defined(__ARM_FEATURE_CRC32)
    for (; FR_CRC32C_HAS_NATIVE() && i + 3 <= count; i += 3) {
        uint32_t crc[3];
        int lane;
        for (lane = 0; lane < 3; lane++) {
            uint64_t number = first + i + (uint64_t)lane;
            crc[lane] = ~fr_crc32c(base, &number, sizeof number);
        }
        fr_crc32c_three(crc, rows + i * size, size, size - 4);
        for (lane = 0; lane < 3; lane++)
            sums[i + (size_t)lane] = ~crc[lane];
    }
#endif
    for (; i < count; i++) {
        uint64_t number = first + i;
        sums[i] = fr_crc32c(fr_crc32c(base, &number, sizeof number), rows + i * size, size - 4);
    }
}

#endif
