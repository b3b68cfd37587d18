/* The half of the primitives that is the same for every instruction set, written in the operations that prims_scalar.h
 * and prims_vector.h define before they include this file. Include one of those two, not this one.
 *
 * exp, sigmoid and tanh all begin with exp(-x) = 2^n exp(-r), r = x + n ln2 in [-ln2/2, ln2/2]: the reduction of Cody and
 * Waite, with ln2 in two parts of which the first is short enough that n times it is exact. 1 - exp(-r) is a polynomial
 * r + r^2 q(r); q of degree 4 has the least greatest relative error, 1.3e-8, by Remez exchange at 40 digits, and was then
 * rounded to floats. Beginning with 1 - exp rather than exp keeps the relative error of tanh small where it is nearly x.
 *
 * Greatest errors against libm in double precision, over all 2^32 floats (tests/test_prims.c with GW_FULL=1). AVX2 and
 * AVX-512 give the same bits. The relative errors are those of normal results.
 *
 *                  fused               base (two roundings)
 *                  absolute  relative  absolute  relative
 *     exp                    8.5e-8              8.3e-8
 *     sigmoid      8.9e-8    1.5e-7    8.9e-8    1.5e-7
 *     tanh         1.5e-7    1.8e-7    1.5e-7    1.9e-7
 *
 * Over all floats each of them grows wherever it is not constant: no result is below that of a smaller x. NaN stays.
 */
#ifndef GW_PRIMS_COMMON_H
#define GW_PRIMS_COMMON_H

#include "gatewise_activations.h"

/* Neither NaN nor infinite, by the bits: all exponent bits set means one of them. */
static inline int gw_finite(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

/* 0 for |x| < 2^-64: a state never decays into denormals, on any platform. NaN stays. gwv_flush is the same. */
static inline float gw_flush(float x) { return x > -0x1p-64f && x < 0x1p-64f ? 0.0f : x; }

/* Rows rounded up to whole panels: what an accumulator has room for. */
static inline int gw_padded(int rows) { return (rows + GW_PANEL - 1) / GW_PANEL * GW_PANEL; }

/* Unrolls the loop that follows completely, so that an array it indexes becomes registers. */
#if defined(__clang__)
#define GW_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define GW_UNROLL _Pragma("GCC unroll 16")
#else
#define GW_UNROLL
#endif

/* 1.5 * 2^23: a float this large has a spacing of 1, so adding it rounds to an integer, which then stands in the low bits
 * of the sum. */
#define GW_ROUND 12582912.0f

/* GW_ROUND + n: exp(-x) is 2^n times a number near 1. */
static inline gwv gwv_exponent(gwv x) { return gwv_fma(x, gwv_set(-1.44269504f), gwv_set(GW_ROUND)); }

/* 1 - exp(-(x + n ln2)) */
static inline gwv gwv_one_minus_exp(gwv x, gwv exponent) {
    gwv n = gwv_sub(exponent, gwv_set(GW_ROUND));
    gwv r = gwv_fma(n, gwv_set(0.693359375f), x);
    r = gwv_fma(n, gwv_set(-2.12194440e-4f), r);
    gwv q = gwv_set(-1.3882515213e-3f);
    q = gwv_fma(q, r, gwv_set(8.36654711941e-3f));
    q = gwv_fma(q, r, gwv_set(-4.16672007304e-2f));
    q = gwv_fma(q, r, gwv_set(1.66665434244e-1f));
    q = gwv_fma(q, r, gwv_set(-4.99999981496e-1f));
    return gwv_fma(q, gwv_mul(r, r), r);
}

/* Below the smallest normal float the result is denormal, then 0; above the largest it is infinite. */
static inline gwv gwv_exp(gwv x) {
    gwv y = gwv_sub(gwv_set(0.0f), gwv_clamp(x, gwv_set(-104.0f), gwv_set(89.0f)));
    gwv exponent = gwv_exponent(y);
    gwv p = gwv_sub(gwv_set(1.0f), gwv_one_minus_exp(y, exponent));
    /* 2^n in two factors, because 2^128 and 2^-149 are no exponents of a normal float. */
    gwv n = gwv_sub(exponent, gwv_set(GW_ROUND));
    gwv half = gwv_fma(n, gwv_set(0.5f), gwv_set(GW_ROUND));
    gwv rest = gwv_sub(exponent, gwv_sub(half, gwv_set(GW_ROUND)));
    return gwv_mul(gwv_mul(p, gwv_pow2(half)), gwv_pow2(rest));
}

/* 1 / (1 + exp(-x)), at the bounds with 2^n = infinity and 2^n = 0: exactly 0 from -88.4 down, exactly 1 from 17 up. */
static inline gwv gwv_sigmoid(gwv x) {
    gwv y = gwv_clamp(x, gwv_set(-89.0f), gwv_set(88.0f));
    gwv exponent = gwv_exponent(y);
    gwv p = gwv_sub(gwv_set(1.0f), gwv_one_minus_exp(y, exponent));
    return gwv_div(gwv_set(1.0f), gwv_fma(p, gwv_pow2(exponent), gwv_set(1.0f)));
}

/* e / (2 - e) with e = 1 - exp(-2 |x|), and the sign of x. e is never beyond 1, and 1 from |x| = 9 on. */
static inline gwv gwv_tanh(gwv x) {
    gwv y = gwv_abs(x);
    y = gwv_least(gwv_set(40.0f), gwv_add(y, y));
    gwv exponent = gwv_exponent(y);
    gwv scale = gwv_pow2(exponent);
    gwv e = gwv_fma(gwv_one_minus_exp(y, exponent), scale, gwv_sub(gwv_set(1.0f), scale));
    return gwv_with_sign(x, gwv_div(e, gwv_sub(gwv_set(2.0f), e)));
}

static inline gwv gwv_relu(gwv v) { return gwv_most(gwv_set(0.0f), v); }

/* min(1, max(0, slope v + offset)) */
static inline gwv gwv_hard_sigmoid(gwv v, float slope, float offset) {
    return gwv_clamp(gwv_fma(v, gwv_set(slope), gwv_set(offset)), gwv_set(0.0f), gwv_set(1.0f));
}

/* Softmax needs a whole row: it is dense's own. */
static inline gwv gwv_activate(int kind, float slope, float offset, gwv v) {
    switch (kind) {
    case GW_RELU:
        return gwv_relu(v);
    case GW_TANH:
        return gwv_tanh(v);
    case GW_SIGMOID:
        return gwv_sigmoid(v);
    case GW_HARD_SIGMOID:
        return gwv_hard_sigmoid(v, slope, offset);
    default:
        return v;
    }
}

#endif
