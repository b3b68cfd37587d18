/* The highest speeds that this CPU reaches with one instruction set. The time of a step is compared with them. Host
 * only; include it after prims_scalar.h or prims_vector.h.
 */
#ifndef GW_PEAKS_H
#define GW_PEAKS_H

#include "clock.h"

#include <stdlib.h>

/* The widest vectors of the instruction set. For base these are 16 bytes, which every x86-64 and aarch64 CPU has, and
 * which compilers use for the loops of prims_scalar.h. */
#define GW_WIDE_LANES (GW_LANES > 1 ? GW_LANES : 4)
typedef float gw_wide __attribute__((vector_size(4 * GW_WIDE_LANES)));
typedef uint32_t gw_wide_bits __attribute__((vector_size(4 * GW_WIDE_LANES)));

/* Reads `count` blocks of 8 wide vectors, `passes` times. They are combined by OR, which is cheap and works for any
 * content. The 8 results are in registers and make the loads independent of each other. */
static inline void gw_read_blocks(const gw_wide_bits *blocks, size_t count, size_t passes) {
    gw_wide_bits sums[8] = {{0}}, result[8];
    for (size_t pass = 0; pass < passes; pass++) {
        for (size_t i = 0; i < count; i++) {
            GW_UNROLL
            for (int j = 0; j < 8; j++) sums[j] |= blocks[8 * i + (size_t)j];
        }
        __asm__ volatile(
            ""
            :
            :
            : "memory"); /* tells the compiler that the buffer may have changed, so that it is read again */
    }
    GW_UNROLL
    for (int j = 0; j < 8; j++) result[j] = sums[j];
    __asm__ volatile(""
                     :
                     : "r"(result)
                     : "memory"); /* tells the compiler that the result is used, so that it is computed */
}

/* The bytes per second at which a buffer of this size (rounded up to 8 vectors) is read repeatedly, for this many
 * seconds in total: the fastest of many time slices. 0 if there is not enough memory. */
static inline double gw_read_bandwidth(size_t bytes, double seconds) {
    const size_t block = 8 * sizeof(gw_wide_bits);
    const size_t count = bytes > block ? (bytes + block - 1) / block : 1;
    gw_wide_bits *buffer = aligned_alloc(block, count * block);
    if (!buffer) return 0.0;
    memset(buffer, 1, count * block); /* before a page is written, it shares its memory with all others */
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

/* The FLOP/s of multiply-adds in 12 independent chains of registers: the fastest of many time slices, in this many
 * seconds in total. A multiply-add counts as two operations; base multiplies, then adds. */
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
