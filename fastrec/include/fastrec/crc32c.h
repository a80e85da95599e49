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
__attribute__((target("sse4.2"))) static inline uint32_t fr_crc32c_native(uint32_t crc,
                                                                          const unsigned char *p, size_t n)
{
    uint64_t c = crc, w;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        c = __builtin_ia32_crc32di(c, w);
    }
    for (crc = (uint32_t)c; n; n--)
        crc = __builtin_ia32_crc32qi(crc, *p++);
    return crc;
}
#define FR_CRC32C_HAS_NATIVE() __builtin_cpu_supports("sse4.2")
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
static inline uint32_t fr_crc32c_native(uint32_t crc, const unsigned char *p, size_t n)
{
    uint64_t w;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        crc = __crc32cd(crc, w);
    }
    for (; n; n--)
        crc = __crc32cb(crc, *p++);
    return crc;
}
#define FR_CRC32C_HAS_NATIVE() 1
#else
#define fr_crc32c_native fr_crc32c_portable
#define FR_CRC32C_HAS_NATIVE() 0
#endif

static inline uint32_t fr_crc32c(uint32_t seed, const void *data, size_t size)
{
    const unsigned char *p = (const unsigned char *)data;
    return ~(FR_CRC32C_HAS_NATIVE() ? fr_crc32c_native(~seed, p, size) : fr_crc32c_portable(~seed, p, size));
}

#endif
