/* The primitives in portable C11, one float at a time. Devices use them, and on the host they are the baseline with
 * which the other instruction sets are compared. A kernel that uses the primitives looks like this:
 *
 *     for (int i = 0; i < n; i += GW_LANES)
 *         gwv_store(y + i, gwv_sigmoid(gwv_load(x + i)));
 *
 * The same source works with prims_vector.h. The primitives need neither libm nor 64-bit arithmetic. Compile them with
 * -ffp-contract=off and without -ffast-math, so that every sum is one chain of additions in the order of the source.
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

/* Rows in a panel. The bits of the sums do not depend on it. With 4, a microcontroller keeps the sums in registers and
 * wastes little time on narrow layers. With 32, GCC vectorises the loop over the rows, which makes it 4 times faster on
 * a host. */
#ifndef GW_PANEL
#if defined(__x86_64__) || defined(__aarch64__)
#define GW_PANEL 32
#else
#define GW_PANEL 4
#endif
#endif

typedef float gw_real; /* the type of numbers */
typedef float gwv;

static inline gwv gwv_load(const float *p) { return *p; }

static inline void gwv_store(float *p, gwv v) { *p = v; }

/* The first n <= GW_LANES floats at p; the other lanes are 0. */
static inline gwv gwv_load_n(const float *p, int n) { return n > 0 ? *p : 0.0f; }

static inline void gwv_store_n(float *p, gwv v, int n) {
    if (n > 0) *p = v;
}

static inline gwv gwv_set(float x) { return x; }

static inline gwv gwv_add(gwv a, gwv b) { return a + b; }

static inline gwv gwv_sub(gwv a, gwv b) { return a - b; }

static inline gwv gwv_mul(gwv a, gwv b) { return a * b; }

static inline gwv gwv_div(gwv a, gwv b) { return a / b; }

/* a * b + c, here with two roundings, because not every microcontroller has a fused multiply-add. */
static inline gwv gwv_fma(gwv a, gwv b, gwv c) {
    gwv product = a * b;
    return product + c;
}

/* Minimum and maximum. If an operand is NaN, the result is the second one: gwv_least(bound, v) is NaN if v is NaN. */
static inline gwv gwv_least(gwv a, gwv b) { return a < b ? a : b; }
static inline gwv gwv_most(gwv a, gwv b) { return a > b ? a : b; }

/* v limited to the range from low to high, which must not be NaN. NaN in v stays NaN. */
static inline gwv gwv_clamp(gwv v, gwv low, gwv high) { return gwv_least(high, gwv_most(low, v)); }

/* v <= bound ? a : b */
static inline gwv gwv_at_most(gwv v, float bound, gwv a, gwv b) { return v <= bound ? a : b; }

/* From a float to its bits, and back. */
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

/* |v|; and v >= 0 with the sign of another number. */
static inline gwv gwv_abs(gwv v) { return gwv_from_bits(gwv_to_bits(v) & 0x7fffffffu); }
static inline gwv gwv_with_sign(gwv sign, gwv v) {
    return gwv_from_bits(gwv_to_bits(v) | (gwv_to_bits(sign) & 0x80000000u));
}

/* The square root of v >= 0, with a relative error of 1.2e-7. NaN stays NaN. Shifting the bits right by one halves the
 * exponent, which gives the root with an error of at most 4%; each of three iterations of Heron's method squares this
 * error. Small v are first scaled into the range of normal floats. */
static inline gwv gwv_sqrt(gwv v) {
    const int small = v < 0x1p-100f;
    const gwv x = small ? v * 0x1p40f : v;
    gwv root = gwv_from_bits((gwv_to_bits(x) >> 1) + 0x1fbd1df5u);
    for (int i = 0; i < 3; i++) root = 0.5f * (root + x / root);
    if (small) root *= 0x1p-20f;
    return v > 0.0f && v <= 0x1.fffffep127f ? root : v;
}

/* 2^n for z = 1.5 * 2^23 + n; 0 for n = -127 and infinity for n = 128. */
static inline gwv gwv_pow2(gwv z) { return gwv_from_bits((gwv_to_bits(z) + 127u) << 23); }

#include "prims_common.h"
#include "prims_sums.h"

static inline gwv gwv_flush(gwv v) { return gw_flush(v); }

#include "prims_plain.h"

#endif
