/* The half of the primitives that is the same for every instruction set, written in the operations that
 * prims_scalar.h and prims_vector.h define before they include this file. Include one of those two, not this
 * one.
 *
 * exp and sigmoid   exp(-x) = 2^n exp(-r), r = x + n ln2 in [-ln2/2, ln2/2]: Cody-Waite reduction with ln2 in
 * two parts, the first short enough that n * part is exact, then a polynomial in r. tanh              x
 * P(x^2) / Q(x^2) with P(0) = Q(0) = 1, so that tanh(x) = x for tiny x; x is first clamped to where tanh
 * rounds to 1. Both sets of coefficients minimise the greatest relative error (Remez exchange at 60 digits,
 * then rounded to float).
 */
#ifndef GW_PRIMS_COMMON_H
#define GW_PRIMS_COMMON_H

/* The numbers of the activation kinds in a model. Softmax needs a whole row, so it is no gwv function. */
enum { GW_LINEAR = 0, GW_RELU = 1, GW_TANH = 2, GW_SIGMOID = 3, GW_SOFTMAX = 4, GW_HARD_SIGMOID = 5 };

/* Rows rounded up to whole panels: what an accumulator has room for. */
static inline int gw_padded(int rows) { return (rows + GW_PANEL - 1) / GW_PANEL * GW_PANEL; }

/* 1.5 * 2^23: a float this large has a spacing of 1, so adding it rounds to an integer, which then stands in
 * the low bits of the sum. */
#define GW_ROUND 12582912.0f

/* exp(-r) for |r| <= ln2 / 2: relative error 9.2e-8 before rounding. */
static inline gwv gwv_exp_minus_reduced(gwv r) {
    gwv p = gwv_set(-8.29023069501e-3f);
    p = gwv_fma(p, r, gwv_set(4.18983900406e-2f));
    p = gwv_fma(p, r, gwv_set(-1.66676400443e-1f));
    p = gwv_fma(p, r, gwv_set(4.99991461495e-1f));
    p = gwv_fma(p, r, gwv_set(-9.9999970544e-1f));
    return gwv_fma(p, r, gwv_set(1.0f));
}

/* x + n ln2 */
static inline gwv gwv_reduce(gwv x, gwv n) {
    gwv r = gwv_fma(n, gwv_set(0.693359375f), x);
    return gwv_fma(n, gwv_set(-2.12194440e-4f), r);
}

static inline gwv gwv_exp(gwv x) {
    /* Beyond these bounds the answer is 0 or infinity. */
    gwv y = gwv_sub(gwv_set(0.0f), gwv_clamp(x, gwv_set(-104.0f), gwv_set(89.0f)));
    gwv n = gwv_sub(gwv_fma(y, gwv_set(-1.44269504f), gwv_set(GW_ROUND)), gwv_set(GW_ROUND));
    gwv p = gwv_exp_minus_reduced(gwv_reduce(y, n));
    /* 2^n in two factors, because 2^128 and 2^-149 are no exponents of a normal float. */
    gwv half = gwv_fma(n, gwv_set(0.5f), gwv_set(GW_ROUND));
    gwv rest = gwv_add(gwv_sub(n, gwv_sub(half, gwv_set(GW_ROUND))), gwv_set(GW_ROUND));
    return gwv_mul(gwv_mul(p, gwv_pow2(half)), gwv_pow2(rest));
}

/* 1 / (1 + exp(-x)) */
static inline gwv gwv_sigmoid(gwv x) {
    /* At -89 n is 128 and gwv_pow2 infinite, at 88 n is -127 and gwv_pow2 zero: sigmoid reaches 0 and 1
     * exactly. */
    gwv y = gwv_clamp(x, gwv_set(-89.0f), gwv_set(88.0f));
    gwv z = gwv_fma(y, gwv_set(-1.44269504f), gwv_set(GW_ROUND));
    gwv p = gwv_exp_minus_reduced(gwv_reduce(y, gwv_sub(z, gwv_set(GW_ROUND))));
    return gwv_div(gwv_set(1.0f), gwv_fma(p, gwv_pow2(z), gwv_set(1.0f)));
}

/* Relative error 2.2e-8 before rounding. */
static inline gwv gwv_tanh(gwv x) {
    gwv y = gwv_clamp(x, gwv_set(-9.01f), gwv_set(9.01f));
    gwv u = gwv_mul(y, y);
    gwv p = gwv_set(1.33842945267985e-8f);
    p = gwv_fma(p, u, gwv_set(2.06358251178924e-5f));
    p = gwv_fma(p, u, gwv_set(3.49745784678661e-3f));
    p = gwv_fma(p, u, gwv_set(1.33826874121739e-1f));
    p = gwv_fma(p, u, gwv_set(1.0f));
    gwv q = gwv_set(7.79025067673541e-7f);
    q = gwv_fma(q, u, gwv_set(3.28851762194198e-4f));
    q = gwv_fma(q, u, gwv_set(2.5884361588304e-2f));
    q = gwv_fma(q, u, gwv_set(4.67160086594985e-1f));
    q = gwv_fma(q, u, gwv_set(1.0f));
    return gwv_clamp(gwv_div(gwv_mul(y, p), q), gwv_set(-1.0f), gwv_set(1.0f));
}

static inline gwv gwv_relu(gwv v) { return gwv_max(gwv_set(0.0f), v); }

/* min(1, max(0, slope v + offset)) */
static inline gwv gwv_hard_sigmoid(gwv v, float slope, float offset) {
    return gwv_clamp(gwv_fma(v, gwv_set(slope), gwv_set(offset)), gwv_set(0.0f), gwv_set(1.0f));
}

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
