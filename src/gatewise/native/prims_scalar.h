/* The primitives in portable C11, one float at a time: the device's copy, and the baseline every other one is
 * held to. A kernel written on them reads
 *
 *     for (int i = 0; i < n; i += GW_LANES)
 *         gwv_store(y + i, gwv_sigmoid(gwv_load(x + i)));
 *
 * and is the same text for prims_vector.h. Needs no libm and no 64-bit arithmetic. Compile with
 * -ffp-contract=off and without -ffast-math: every sum has one chain, in the order written.
 */
#ifndef GW_PRIMS_H
#define GW_PRIMS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "floats must be computed as floats: on 32-bit x86 compile with -msse2 -mfpmath=sse"
#endif
#if defined(__FAST_MATH__)
#error "-ffast-math would reorder the sums and drop NaN: compile without it"
#endif

#define GW_LANES 1

/* Rows in a panel; the sums have the same bits whatever it is. A microcontroller keeps 4 sums in registers and wastes little
 * on a narrow layer; from 32 on GCC sees that the rows are one loop to vectorise, worth a factor of 4 on a host. */
#ifndef GW_PANEL
#if defined(__x86_64__) || defined(__aarch64__)
#define GW_PANEL 32
#else
#define GW_PANEL 4
#endif
#endif

typedef float gw_real; /* what the primitives compute in */
typedef float gwv;

static inline gwv gwv_load(const float *p) { return *p; }

static inline void gwv_store(float *p, gwv v) { *p = v; }

/* The first n <= GW_LANES floats at p, the rest 0. */
static inline gwv gwv_load_n(const float *p, int n) { return n > 0 ? *p : 0.0f; }

static inline void gwv_store_n(float *p, gwv v, int n) {
    if (n > 0) *p = v;
}

static inline gwv gwv_set(float x) { return x; }

static inline gwv gwv_add(gwv a, gwv b) { return a + b; }

static inline gwv gwv_sub(gwv a, gwv b) { return a - b; }

static inline gwv gwv_mul(gwv a, gwv b) { return a * b; }

static inline gwv gwv_div(gwv a, gwv b) { return a / b; }

/* a * b + c, here with two roundings: a microcontroller need not have a fused multiply-add. */
static inline gwv gwv_fma(gwv a, gwv b, gwv c) {
    gwv product = a * b;
    return product + c;
}

/* The second operand when either is NaN: gwv_least(bound, v) keeps a NaN in v. */
static inline gwv gwv_least(gwv a, gwv b) { return a < b ? a : b; }
static inline gwv gwv_most(gwv a, gwv b) { return a > b ? a : b; }

/* v held between two bounds that are no NaN; a NaN in v stays. */
static inline gwv gwv_clamp(gwv v, gwv low, gwv high) { return gwv_least(high, gwv_most(low, v)); }

/* v <= bound ? a : b */
static inline gwv gwv_at_most(gwv v, float bound, gwv a, gwv b) { return v <= bound ? a : b; }

/* A float's bits and back. */
static inline uint32_t gwv_to_bits(gwv v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}
static inline gwv gwv_from_bits(uint32_t bits) {
    gwv v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* |v|, and v >= 0 with the sign of another. */
static inline gwv gwv_abs(gwv v) { return gwv_from_bits(gwv_to_bits(v) & 0x7fffffffu); }
static inline gwv gwv_with_sign(gwv sign, gwv v) {
    return gwv_from_bits(gwv_to_bits(v) | (gwv_to_bits(sign) & 0x80000000u));
}

/* The root of v >= 0, relative error 1.2e-7; NaN stays. Half of the bits is about half of the exponent: within 4%, and three
 * rounds of Heron's method square what is left of that. Small v are brought among the normal floats first. */
static inline gwv gwv_sqrt(gwv v) {
    const int small = v < 0x1p-100f;
    const gwv x = small ? v * 0x1p40f : v;
    gwv root = gwv_from_bits((gwv_to_bits(x) >> 1) + 0x1fbd1df5u);
    for (int i = 0; i < 3; i++) root = 0.5f * (root + x / root);
    if (small) root *= 0x1p-20f;
    return v > 0.0f && v <= 0x1.fffffep127f ? root : v;
}

/* 2^n for z = 1.5 * 2^23 + n, with 0 at n = -127 and infinity at n = 128. */
static inline gwv gwv_pow2(gwv z) { return gwv_from_bits((gwv_to_bits(z) + 127u) << 23); }

#include "prims_common.h"
#include "prims_sums.h"

static inline gwv gwv_flush(gwv v) { return gw_flush(v); }

#include "prims_plain.h"

#endif
