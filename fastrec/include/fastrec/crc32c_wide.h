/* crc32c_wide.h: many bytes of a CRC-32C at once, where the processor multiplies polynomials 256 bits at a
 * time.
 *
 * The instruction for the checksum takes 8 bytes a cycle, and so do products; they are other units of the
 * processor, and at work side by side. Of each piece the first half is folded by products (Gopal, Ozturk et
 * al., "Fast CRC computation for generic polynomials using PCLMULQDQ", Intel 2009), the rest is three runs.
 */
#ifndef FASTREC_CRC32C_WIDE_H
#define FASTREC_CRC32C_WIDE_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FR_WIDE_TURNS 16
#define FR_WIDE_FOLD 128 /* bytes that a turn folds */
#define FR_WIDE_RUN 40   /* bytes that it takes of each run */
#define FR_WIDE_FIRST ((size_t)FR_WIDE_TURNS * FR_WIDE_FOLD)
#define FR_WIDE_EACH ((size_t)FR_WIDE_TURNS * FR_WIDE_RUN)
#define FR_WIDE_PIECE (FR_WIDE_FIRST + 3 * FR_WIDE_EACH)
#define FR_WIDE_TARGET __attribute__((target("avx2,vpclmulqdq,pclmul,sse4.2")))
#ifndef FR_WIDE_HAS
#define FR_WIDE_HAS()                                                                                        \
    (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("vpclmulqdq")                                  \
     && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2"))
#endif

/* What brings n bytes to those that lie n behind them: x^(8n + 31) for the lower half of each 16, x^(8n - 33)
 * for the upper one, modulo the polynomial, reflected. */
static const uint32_t fr_wide_by[4][2] = {{0x6992CEA2, 0x0D3B6092},  /* 128 */
                                          {0x740EEF02, 0x9E4ADDF8},  /* 64 */
                                          {0x3DA6D0CB, 0xBA4FC28E},  /* 32 */
                                          {0xF20C0DFE, 0x493C7D27}}; /* 16 */

FR_WIDE_TARGET static inline __m256i fr_wide_fold(__m256i from, __m256i by, __m256i to)
{
    __m256i low = _mm256_clmulepi64_epi128(from, by, 0x00), high = _mm256_clmulepi64_epi128(from, by, 0x11);
    return _mm256_xor_si256(_mm256_xor_si256(low, high), to);
}

FR_WIDE_TARGET static inline __m256i fr_wide_load(const unsigned char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

FR_WIDE_TARGET static inline __m256i fr_wide_factors(int which)
{
    return _mm256_set_epi64x(fr_wide_by[which][1], fr_wide_by[which][0], fr_wide_by[which][1],
                             fr_wide_by[which][0]);
}

FR_WIDE_TARGET static inline uint64_t fr_wide_word(uint64_t crc, const unsigned char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return FR_CRC32C_WORD(crc, w);
}

/* All whole pieces of the bytes; neither before nor behind it is anything complemented. */
FR_WIDE_TARGET static inline uint32_t fr_crc32c_wide(uint32_t crc, const unsigned char *p, size_t pieces)
{
    const __m256i by128 = fr_wide_factors(0), by64 = fr_wide_factors(1), by32 = fr_wide_factors(2);
    const __m128i by16 = _mm256_castsi256_si128(fr_wide_factors(3));
    for (; pieces; pieces--, p += FR_WIDE_PIECE) {
        const unsigned char *q = p + FR_WIDE_FIRST, *r = q + FR_WIDE_EACH, *s = r + FR_WIDE_EACH;
        __m256i a = fr_wide_load(p), b = fr_wide_load(p + 32), c = fr_wide_load(p + 64),
                d = fr_wide_load(p + 96);
        uint64_t one = 0, two = 0, three = 0, folded;
        __m128i half;
        int turn, word;
        for (turn = 0; turn < FR_WIDE_TURNS; turn++) {
            const size_t at = (size_t)turn * FR_WIDE_RUN;
            if (turn) {
                const unsigned char *next = p + (size_t)turn * FR_WIDE_FOLD;
                a = fr_wide_fold(a, by128, fr_wide_load(next));
                b = fr_wide_fold(b, by128, fr_wide_load(next + 32));
                c = fr_wide_fold(c, by128, fr_wide_load(next + 64));
                d = fr_wide_fold(d, by128, fr_wide_load(next + 96));
            }
            for (word = 0; word < FR_WIDE_RUN; word += 8) {
                one = fr_wide_word(one, q + at + word);
                two = fr_wide_word(two, r + at + word);
                three = fr_wide_word(three, s + at + word);
            }
        }
        a = fr_wide_fold(fr_wide_fold(a, by64, c), by32, fr_wide_fold(b, by64, d));
        half = _mm256_castsi256_si128(a);
        half = _mm_xor_si128(
            _mm_xor_si128(_mm_clmulepi64_si128(half, by16, 0x00), _mm_clmulepi64_si128(half, by16, 0x11)),
            _mm256_extracti128_si256(a, 1));
        folded = FR_CRC32C_WORD(0, (uint64_t)_mm_cvtsi128_si64(half));
        folded = FR_CRC32C_WORD(folded, (uint64_t)_mm_extract_epi64(half, 1));
        crc = fr_crc32c_shift_at_once(crc, 0xC776B648)                /* by all of the piece */
              ^ fr_crc32c_shift_at_once((uint32_t)folded, 0xF48642E9) /* by three runs */
              ^ fr_crc32c_shift_at_once((uint32_t)one, 0xDD66CBBB)    /* by two */
              ^ fr_crc32c_shift_at_once((uint32_t)two, 0x6B749FB2) ^ (uint32_t)three;
    }
    return crc;
}

#endif
