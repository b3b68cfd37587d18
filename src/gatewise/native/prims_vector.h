/* The same primitives as in prims_scalar.h, for vectors: 16 floats with AVX-512, 8 with AVX2 and FMA, 4 with NEON. They
 * are written with the vector extensions of GCC and Clang, in which a + b adds lane by lane, and a < b gives lanes of 0
 * or -1. Operations that the extensions lack are written with intrinsics, in one block for each instruction set.
 */
#ifndef GW_PRIMS_H
#define GW_PRIMS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__)
#error "-ffast-math would reorder the sums and drop NaN: compile without it"
#endif

#if defined(__AVX512F__)
#include <immintrin.h>
#define GW_LANES 16
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define GW_LANES 8
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define GW_LANES 4
#else
#error "prims_vector.h needs AVX-512F, AVX2 with FMA, or NEON on aarch64; prims_scalar.h needs none of them"
#endif

typedef float gw_real; /* the type of numbers */
typedef float gwv __attribute__((vector_size(4 * GW_LANES)));
typedef int32_t gwv_mask __attribute__((vector_size(4 * GW_LANES))); /* the type of a < b */
typedef uint32_t gwv_bits __attribute__((vector_size(4 * GW_LANES)));
/* A vector at any address. */
typedef float gwv_unaligned __attribute__((vector_size(4 * GW_LANES), aligned(4), may_alias));

/* For each instruction set: gwv_fma(a, b, c) = a * b + c with one rounding; gwv_sqrt of v >= 0; gwv_least and gwv_most,
 * whose result is the second operand if an operand is NaN; gwv_load_n and gwv_store_n for the first n <= GW_LANES
 * floats at p, which do not access any memory after these (the other lanes of a load are 0). */
#if defined(__AVX512F__)

static inline gwv gwv_fma(gwv a, gwv b, gwv c) { return _mm512_fmadd_ps(a, b, c); }
static inline gwv gwv_sqrt(gwv v) { return _mm512_sqrt_ps(v); }
static inline gwv gwv_least(gwv a, gwv b) { return _mm512_min_ps(a, b); }
static inline gwv gwv_most(gwv a, gwv b) { return _mm512_max_ps(a, b); }
static inline __mmask16 gwv_first(int n) { return (__mmask16)((1u << n) - 1u); }
static inline gwv gwv_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(gwv_first(n), p); }
static inline void gwv_store_n(float *p, gwv v, int n) { _mm512_mask_storeu_ps(p, gwv_first(n), v); }

#elif defined(__AVX2__)

static inline gwv gwv_fma(gwv a, gwv b, gwv c) { return _mm256_fmadd_ps(a, b, c); }
static inline gwv gwv_sqrt(gwv v) { return _mm256_sqrt_ps(v); }
static inline gwv gwv_least(gwv a, gwv b) { return _mm256_min_ps(a, b); }
static inline gwv gwv_most(gwv a, gwv b) { return _mm256_max_ps(a, b); }
static inline __m256i gwv_first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline gwv gwv_load_n(const float *p, int n) { return _mm256_maskload_ps(p, gwv_first(n)); }
static inline void gwv_store_n(float *p, gwv v, int n) { _mm256_maskstore_ps(p, gwv_first(n), v); }

#else /* NEON has no masked access: partial vectors are copied through a small array */

static inline gwv gwv_fma(gwv a, gwv b, gwv c) { return vfmaq_f32(c, a, b); }
static inline gwv gwv_sqrt(gwv v) { return vsqrtq_f32(v); }
static inline gwv gwv_least(gwv a, gwv b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline gwv gwv_most(gwv a, gwv b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline gwv gwv_load_n(const float *p, int n) {
    float lanes[GW_LANES] = {0};
    memcpy(lanes, p, (size_t)n * sizeof(float));
    return vld1q_f32(lanes);
}
static inline void gwv_store_n(float *p, gwv v, int n) {
    float lanes[GW_LANES];
    vst1q_f32(lanes, v);
    memcpy(p, lanes, (size_t)n * sizeof(float));
}

#endif

static inline gwv gwv_load(const float *p) { return *(const gwv_unaligned *)p; }
static inline void gwv_store(float *p, gwv v) { *(gwv_unaligned *)p = v; }
/* x - 0 is x, also for -0 and NaN. Compilers turn this into a broadcast. */
static inline gwv gwv_set(float x) { return x - (gwv){0}; }
static inline gwv gwv_add(gwv a, gwv b) { return a + b; }
static inline gwv gwv_sub(gwv a, gwv b) { return a - b; }
static inline gwv gwv_mul(gwv a, gwv b) { return a * b; }
static inline gwv gwv_div(gwv a, gwv b) { return a / b; }

/* a in lanes where the mask is -1, b where it is 0. */
static inline gwv gwv_select(gwv_mask mask, gwv a, gwv b) {
    return (gwv)((mask & (gwv_mask)a) | (~mask & (gwv_mask)b));
}

/* v <= bound ? a : b, lane by lane. */
static inline gwv gwv_at_most(gwv v, float bound, gwv a, gwv b) { return gwv_select(v <= gwv_set(bound), a, b); }

/* v limited to the range from low to high, which must not be NaN. NaN in v stays NaN. */
static inline gwv gwv_clamp(gwv v, gwv low, gwv high) { return gwv_least(high, gwv_most(low, v)); }

/* gw_flush, lane by lane. */
static inline gwv gwv_flush(gwv v) {
    return gwv_select((v > gwv_set(-0x1p-64f)) & (v < gwv_set(0x1p-64f)), gwv_set(0.0f), v);
}

/* |v|; and v >= 0 with the sign of another number. */
static inline gwv gwv_abs(gwv v) { return (gwv)((gwv_bits)v & 0x7fffffffu); }
static inline gwv gwv_with_sign(gwv sign, gwv v) { return (gwv)((gwv_bits)v | ((gwv_bits)sign & 0x80000000u)); }

/* 2^n for z = 1.5 * 2^23 + n; 0 for n = -127 and infinity for n = 128. */
static inline gwv gwv_pow2(gwv z) { return (gwv)(((gwv_bits)z + 127u) << 23); }

#define GW_PANEL GW_LANES

#include "prims_common.h"
#include "prims_sums.h"

/* A tile consists of up to 12 adjacent panels, whose sums are all in registers. These are enough independent chains of
 * additions to hide the latency of the multiply-adds, and together with x[k] they fit the 16 registers of AVX2. Panels
 * are divided evenly into tiles (13 panels into 7 and 6, not into 12 and 1), because a narrow tile has too few chains
 * to hide the latency. */
#define GW_TILE 12

static inline int gw_tile_panels(int panels_left) {
    int tiles = (panels_left + GW_TILE - 1) / GW_TILE;
    return (panels_left + tiles - 1) / tiles;
}

/* Pack a matrix tile by tile: for each tile, for each column k, the rows of the tile, with zeros after the last row.
 * gw_sums therefore reads the weights from the beginning to the end. Writes gw_padded(rows) * cols floats; packed
 * should be aligned to 64 bytes. The element in row r and column k is w[r * row_stride + k * col_stride]. */
static inline void gw_pack_strided(float *packed, const float *w, int rows, int cols, int row_stride, int col_stride) {
    for (int first = 0, last; first < rows; first = last) {
        last = first + gw_tile_panels((gw_padded(rows) - first) / GW_PANEL) * GW_PANEL;
        for (int k = 0; k < cols; k++)
            for (int r = first; r < last; r++)
                *packed++ = r < rows ? w[(size_t)r * (size_t)row_stride + (size_t)k * (size_t)col_stride] : 0.0f;
    }
}

/* The sums of one tile. Inlined with a constant number of panels, so that sum[] is in registers. offset: how many rows
 * of the packed matrices are before the tile. */
static inline __attribute__((always_inline)) void gw_tile(float *acc, const float *from, const gw_product *products,
                                                          int count, size_t offset, const int panels) {
    gwv sum[GW_TILE];
    GW_UNROLL
    for (int j = 0; j < panels; j++) sum[j] = gwv_load(from + j * GW_PANEL);
    for (int p = 0; p < count; p++) {
        const float *restrict packed = products[p].packed + offset * (size_t)products[p].cols;
        const float *restrict x = products[p].x;
        const int cols = products[p].cols;
        for (int k = 0; k < cols; k++, packed += panels * GW_PANEL) {
            gwv xk = gwv_set(x[k]);
            GW_UNROLL
            for (int j = 0; j < panels; j++) sum[j] = gwv_fma(gwv_load(packed + j * GW_PANEL), xk, sum[j]);
        }
    }
    GW_UNROLL
    for (int j = 0; j < panels; j++) gwv_store(acc + j * GW_PANEL, sum[j]);
}

/* gw_sums for one row. */
static __attribute__((noinline, unused)) void gw_sums_one(float *acc, const float *from, const gw_product *products,
                                                          int count, int rows) {
    size_t offset = 0;
    for (int left = gw_padded(rows) / GW_PANEL, panels; left > 0; left -= panels) {
        panels = gw_tile_panels(left);
        switch (panels) {
#define GW_CASE(n)                                                                                                     \
    case n:                                                                                                            \
        gw_tile(acc + offset, from + offset, products, count, offset, n);                                              \
        break
            GW_CASE(1);
            GW_CASE(2);
            GW_CASE(3);
            GW_CASE(4);
            GW_CASE(5);
            GW_CASE(6);
            GW_CASE(7);
            GW_CASE(8);
            GW_CASE(9);
            GW_CASE(10);
            GW_CASE(11);
            GW_CASE(12);
#undef GW_CASE
        }
        offset += (size_t)panels * GW_PANEL;
    }
}

/* A block consists of up to GW_BLOCK_PANELS panels of a tile for up to GW_BLOCK_ROWS rows. Each weight is loaded once
 * and used for all of these rows. The sums, the weights and x[k] fit the registers: 32 with AVX-512 and NEON, 16 with
 * AVX2. */
#if GW_LANES == 8
#define GW_BLOCK_PANELS 2
#else
#define GW_BLOCK_PANELS 4
#endif
#define GW_BLOCK_ROWS 6

/* The position of a block: its tile begins at sum `tile` and is `stride` sums wide; within it, the block begins at
 * `first`. */
typedef struct gw_corner {
    size_t tile, stride, first;
} gw_corner;

/* The sums of one block. Inlined with constant panels and rows, so that sum[] is in registers. */
static inline __attribute__((always_inline)) void gw_block(float *acc, size_t acc_stride, const float *from,
                                                           size_t from_stride, const gw_product *products, int count,
                                                           gw_corner at, size_t row, const int panels, const int rows) {
    gwv sum[GW_BLOCK_ROWS][GW_BLOCK_PANELS];
    GW_UNROLL
    for (int i = 0; i < rows; i++) GW_UNROLL
    for (int j = 0; j < panels; j++) sum[i][j] = gwv_load(from + (size_t)i * from_stride + j * GW_PANEL);
    for (int p = 0; p < count; p++) {
        const int cols = products[p].cols;
        const size_t x_stride = products[p].x_stride;
        const float *restrict packed = products[p].packed + at.tile * (size_t)cols + at.first;
        const float *restrict x = products[p].x + row * x_stride;
        GW_UNROLL_4
        for (int k = 0; k < cols; k++, packed += at.stride) {
            gwv w[GW_BLOCK_PANELS];
            GW_UNROLL
            for (int j = 0; j < panels; j++) w[j] = gwv_load(packed + j * GW_PANEL);
            GW_UNROLL
            for (int i = 0; i < rows; i++) {
                gwv xk = gwv_set(x[(size_t)i * x_stride + (size_t)k]);
                GW_UNROLL
                for (int j = 0; j < panels; j++) sum[i][j] = gwv_fma(w[j], xk, sum[i][j]);
            }
        }
    }
    GW_UNROLL
    for (int i = 0; i < rows; i++) GW_UNROLL
    for (int j = 0; j < panels; j++) gwv_store(acc + (size_t)i * acc_stride + j * GW_PANEL, sum[i][j]);
}

/* All rows for `panels` adjacent panels. Rows are divided evenly into blocks, like panels into tiles. */
static inline __attribute__((always_inline)) void gw_blocks(float *acc, size_t acc_stride, const float *from,
                                                            size_t from_stride, const gw_product *products, int count,
                                                            gw_corner at, const int panels, int rows) {
    for (int row = 0, taken; row < rows; row += taken) {
        const int blocks = (rows - row + GW_BLOCK_ROWS - 1) / GW_BLOCK_ROWS;
        taken = (rows - row + blocks - 1) / blocks;
        switch (taken) {
#define GW_CASE(n)                                                                                                     \
    case n:                                                                                                            \
        gw_block(acc + (size_t)row * acc_stride, acc_stride, from + (size_t)row * from_stride, from_stride, products,  \
                 count, at, (size_t)row, panels, n);                                                                   \
        break
            GW_CASE(1);
            GW_CASE(2);
            GW_CASE(3);
            GW_CASE(4);
            GW_CASE(5);
            GW_CASE(6);
#undef GW_CASE
        }
    }
}

/* gw_sums for many rows. */
static __attribute__((noinline, unused)) void gw_sums_many(float *acc, size_t acc_stride, const float *from,
                                                           size_t from_stride, const gw_product *products, int count,
                                                           int outputs, int rows) {
    gw_corner at = {0, 0, 0};
    for (int left = gw_padded(outputs) / GW_PANEL, tile; left > 0; left -= tile) {
        tile = gw_tile_panels(left);
        at.stride = (size_t)tile * GW_PANEL;
        for (int first = 0, panels; first < tile; first += panels) {
            const int blocks = (tile - first + GW_BLOCK_PANELS - 1) / GW_BLOCK_PANELS;
            panels = (tile - first + blocks - 1) / blocks;
            at.first = (size_t)first * GW_PANEL;
            switch (panels) {
#define GW_CASE(n)                                                                                                     \
    case n:                                                                                                            \
        gw_blocks(acc + at.tile + at.first, acc_stride, from + at.tile + at.first, from_stride, products, count, at,   \
                  n, rows);                                                                                            \
        break
                GW_CASE(1);
                GW_CASE(2);
#if GW_BLOCK_PANELS > 2
                GW_CASE(3);
                GW_CASE(4);
#endif
#undef GW_CASE
            }
        }
        at.tile += at.stride;
    }
}

static inline void gw_sums(float *acc, size_t acc_stride, const float *from, size_t from_stride,
                           const gw_product *products, int count, int outputs, int rows) {
    if (rows == 1)
        gw_sums_one(acc, from, products, count, outputs);
    else
        gw_sums_many(acc, acc_stride, from, from_stride, products, count, outputs, rows);
}

#endif
