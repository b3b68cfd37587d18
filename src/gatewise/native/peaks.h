/* What this CPU can do at best with one instruction set: the bounds that a step is measured against. Host only; include
 * after prims_scalar.h or prims_vector.h.
 */
#ifndef GW_PEAKS_H
#define GW_PEAKS_H

#include "clock.h"

#include <stdlib.h>

/* As wide as the instruction set goes. Base has 16 bytes, which every x86-64 and aarch64 CPU has and which compilers use
 * for the loops of prims_scalar.h. */
#define GW_WIDE_LANES (GW_LANES > 1 ? GW_LANES : 4)
typedef float gw_wide __attribute__((vector_size(4 * GW_WIDE_LANES)));
typedef uint32_t gw_wide_bits __attribute__((vector_size(4 * GW_WIDE_LANES)));

/* Reads count blocks of 8 wide vectors, passes times over. OR is cheap and exact for any content; 8 sums keep the loads
 * apart and stay in registers. */
static inline void gw_read_blocks(const gw_wide_bits *blocks, size_t count, size_t passes) {
    gw_wide_bits sums[8] = {{0}}, result[8];
    for (size_t pass = 0; pass < passes; pass++) {
        for (size_t i = 0; i < count; i++) {
            GW_UNROLL
            for (int j = 0; j < 8; j++) sums[j] |= blocks[8 * i + (size_t)j];
        }
        __asm__ volatile("" : : : "memory"); /* as if others wrote the buffer: it has to be read again */
    }
    GW_UNROLL
    for (int j = 0; j < 8; j++) result[j] = sums[j];
    __asm__ volatile("" : : "r"(result) : "memory"); /* as if others read the result: it has to be computed */
}

/* Bytes/s when a buffer of this size (rounded up to 8 vectors) is read over and over for this many seconds: the best of
 * many slices. 0 when there is no memory for it. */
static inline double gw_read_bandwidth(size_t bytes, double seconds) {
    const size_t block = 8 * sizeof(gw_wide_bits);
    const size_t count = bytes > block ? (bytes + block - 1) / block : 1;
    gw_wide_bits *buffer = aligned_alloc(block, count * block);
    if (!buffer) return 0.0;
    memset(buffer, 1, count * block); /* pages that nobody wrote are all the same page */
    double best = 0.0, start = gw_now(), now = start;
    for (size_t passes = 1; now - start < seconds;) {
        const double slice = now;
        gw_read_blocks(buffer, count, passes);
        now = gw_now();
        const double rate = (double)passes * (double)(count * block) / (now - slice);
        if (rate > best) best = rate;
        if (now - slice < seconds / 64) passes *= 2;
    }
    free(buffer);
    return best;
}

/* FLOP/s of multiply-adds (two each; base multiplies, then adds) in 12 independent chains of registers: the best of many
 * slices in this many seconds. */
static inline double gw_fma_peak(double seconds) {
    gw_wide half, sums[12];
    for (int i = 0; i < GW_WIDE_LANES; i++) half[i] = 0.5f;
    for (int j = 0; j < 12; j++) sums[j] = half;
    __asm__ volatile("" : : "r"(&half), "r"(sums) : "memory");
    double best = 0.0, start = gw_now(), now = start;
    for (int passes = 16; now - start < seconds;) {
        const double slice = now;
        gw_wide s[12], x = half;
        GW_UNROLL
        for (int j = 0; j < 12; j++) s[j] = sums[j];
        for (int i = 0; i < passes; i++) {
            GW_UNROLL
            for (int j = 0; j < 12; j++) {
#if GW_LANES > 1
                s[j] = gwv_fma(s[j], x, x);
#else
                gw_wide product = s[j] * x;
                s[j] = product + x;
#endif
            }
        }
        GW_UNROLL
        for (int j = 0; j < 12; j++) sums[j] = s[j];
        __asm__ volatile("" : : "r"(sums) : "memory");
        now = gw_now();
        const double rate = 2.0 * 12 * GW_WIDE_LANES * (double)passes / (now - slice);
        if (rate > best) best = rate;
        if (now - slice < seconds / 64 && passes < 1 << 24) passes *= 2;
    }
    return best;
}

#endif
