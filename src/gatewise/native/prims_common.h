/* The primitives that are the same for every instruction set, written with the operations that prims_scalar.h and
 * prims_vector.h define before they include this file. Include one of those two, not this file.
 *
 * exp, sigmoid and tanh are all based on exp(-x) = 2^n exp(-r), r = x + n ln2 in [-ln2/2, ln2/2]. This is the reduction
 * of Cody and Waite: ln2 is the sum of two parts, and the first has so few bits that n times it is exact. 1 - exp(-r)
 * is the polynomial r + r^2 q(r). q has degree 4 and the smallest possible maximal relative error, 1.3e-8; its
 * coefficients were computed by Remez exchange with 40 digits and then rounded to floats. Computing 1 - exp rather than
 * exp keeps the relative error of tanh small where tanh(x) is nearly x.
 *
 * Two more polynomials q were computed in the same way. For softplus and log_sigmoid: log(1 + t) = t q(t) for t in [0,
 * 1], of degree 9, with an error of 3.3e-8 with coefficients rounded to floats. For gelu: Phi(-y) exp(y^2 / 2) = t
 * q(t), t = 1 / (1 + 0.35 y), for y in [0, 14.5], of degree 8, with an error of 4.8e-8; of all multiples of 0.01, 0.35
 * gave the smallest error.
 *
 * The table lists the maximal errors compared with libm in double precision (tests/test_prims.c with GW_FULL=1): for
 * exp, sigmoid and tanh over all 2^32 floats, for the others over every seventh float. AVX2 and AVX-512 give the same
 * bits. In the column `error`, errors are absolute where |y| <= 1 and relative where |y| > 1. The column `relative`
 * covers normal results only; for silu, mish and scaled_tanh those from 2^-118 on, where all intermediate results are
 * normal as well, and for the two gelus those from 2^-20 on, because for smaller results exp(-u) contains the rounding
 * error of u = O(x^2).
 *
 *                               fused               base (two roundings)
 *                               error     relative  error     relative
 *     exp                               8.5e-8              8.3e-8
 *     sigmoid                 9.0e-8    1.5e-7    9.0e-8    1.5e-7
 *     tanh                    1.5e-7    1.9e-7    1.5e-7    2.0e-7
 *     scaled_tanh, 1.7, 0.6   2.5e-7    2.6e-7    2.5e-7    2.6e-7
 *     elu, alpha 1            4.3e-8    9.2e-8    4.3e-8    9.4e-8
 *     selu                    1.4e-7    1.6e-7    1.4e-7    1.5e-7
 *     softsign                9.0e-8    1.2e-7    9.0e-8    1.2e-7
 *     softplus, log_sigmoid   1.5e-7    2.1e-7    1.7e-7    2.4e-7
 *     silu                    1.6e-7    2.1e-7    1.6e-7    2.0e-7
 *     mish                    1.6e-7    3.0e-7    1.6e-7    3.0e-7
 *     gelu                    1.1e-7    7.4e-7    1.1e-7    8.1e-7
 *     gelu_tanh               1.7e-7    1.4e-6    1.7e-7    1.7e-6
 *
 * Activations that only compare, add and multiply (relu, affine, hard_sigmoid, ...) have no error apart from the
 * rounding of these operations. exp, sigmoid, tanh, elu and selu are monotonic: a larger x never has a smaller result.
 * The result of NaN is NaN; the result of an infinite x is the limit of the function.
 */
#ifndef GW_PRIMS_COMMON_H
#define GW_PRIMS_COMMON_H

#include "gatewise_activations.h"
#include "prims_lanes.h"

/* Whether x is neither NaN nor infinite, from its bits: these have all exponent bits set. */
static inline int gw_finite(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

/* A reading counts as missing if it is NaN or infinite, or if its absolute value, after scaling, is larger than this.
 * The square of a smaller value is a finite float, and a state computed from it is finite. */
#define GW_MOST_READING 1e18f
static inline int gw_usable(float scaled) { return scaled >= -GW_MOST_READING && scaled <= GW_MOST_READING; }

/* 0 for |x| < 2^-64, so that a state never decays into denormals, on any platform. NaN stays NaN. gwv_flush does the
 * same. */
static inline float gw_flush(float x) { return x > -0x1p-64f && x < 0x1p-64f ? 0.0f : x; }

/* gwv_sqrt of one number. */
static inline float gw_sqrt(float v) {
    float root;
    gwv_store_n(&root, gwv_sqrt(gwv_set(v)), 1);
    return root;
}

/* 1.5 * 2^23. Floats of this size have a spacing of 1. Adding it therefore rounds to an integer, which is then in the
 * low bits of the sum. */
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

/* exp(x). Results below the smallest normal float are denormal or 0, and results above the largest float are
 * infinite. */
static inline gwv gwv_exp(gwv x) {
    gwv y = gwv_sub(gwv_set(0.0f), gwv_clamp(x, gwv_set(-104.0f), gwv_set(89.0f)));
    gwv exponent = gwv_exponent(y);
    gwv p = gwv_sub(gwv_set(1.0f), gwv_one_minus_exp(y, exponent));
    /* 2^n is the product of two factors, because 2^128 and 2^-149 are not normal floats. */
    gwv n = gwv_sub(exponent, gwv_set(GW_ROUND));
    gwv half = gwv_fma(n, gwv_set(0.5f), gwv_set(GW_ROUND));
    gwv rest = gwv_sub(exponent, gwv_sub(half, gwv_set(GW_ROUND)));
    return gwv_mul(gwv_mul(p, gwv_pow2(half)), gwv_pow2(rest));
}

/* 1 / (1 + exp(-x)). At the bounds 2^n is infinite or 0; the result is exactly 0 for x <= -88.4 and exactly 1 for x >=
 * 17. */
static inline gwv gwv_sigmoid(gwv x) {
    gwv y = gwv_clamp(x, gwv_set(-89.0f), gwv_set(88.0f));
    gwv exponent = gwv_exponent(y);
    gwv p = gwv_sub(gwv_set(1.0f), gwv_one_minus_exp(y, exponent));
    return gwv_div(gwv_set(1.0f), gwv_fma(p, gwv_pow2(exponent), gwv_set(1.0f)));
}

/* 1 - exp(-y) for y >= 0, and 1 for y >= 40. The relative error is small also where the result is nearly y. */
static inline gwv gwv_saturate(gwv y) {
    y = gwv_least(gwv_set(40.0f), y);
    gwv exponent = gwv_exponent(y);
    gwv scale = gwv_pow2(exponent);
    return gwv_fma(gwv_one_minus_exp(y, exponent), scale, gwv_sub(gwv_set(1.0f), scale));
}

/* tanh(x) = e / (2 - e) with e = 1 - exp(-2 |x|), with the sign of x. e is at most 1, and exactly 1 for |x| >= 9. */
static inline gwv gwv_tanh(gwv x) {
    gwv y = gwv_abs(x);
    gwv e = gwv_saturate(gwv_add(y, y));
    return gwv_with_sign(x, gwv_div(e, gwv_sub(gwv_set(2.0f), e)));
}

/* exp(x) - 1, with a small relative error everywhere: exp(x) (1 - exp(-x)) for x >= 0, and -(1 - exp(x)) for x < 0. For
 * x > 88 it is the value at 88, since the result for 89 would be too large for a float. */
static inline gwv gwv_expm1(gwv x) {
    gwv up = gwv_least(gwv_set(88.0f), gwv_most(gwv_set(0.0f), x));
    gwv down = gwv_most(gwv_set(0.0f), gwv_sub(gwv_set(0.0f), x));
    return gwv_sub(gwv_mul(gwv_exp(up), gwv_saturate(up)), gwv_saturate(down));
}

static inline gwv gwv_relu(gwv v) { return gwv_most(gwv_set(0.0f), v); }

/* min(1, max(0, slope v + offset)) */
static inline gwv gwv_hard_sigmoid(gwv v, float slope, float offset) {
    return gwv_clamp(gwv_fma(v, gwv_set(slope), gwv_set(offset)), gwv_set(0.0f), gwv_set(1.0f));
}

/* v if v > bound, else 0. NaN stays NaN. */
static inline gwv gwv_above(gwv v, float bound) { return gwv_at_most(v, bound, gwv_set(0.0f), v); }

/* scale v where v > 0, else alpha (exp(v) - 1) */
static inline gwv gwv_elu(gwv v, float scale, float alpha) {
    gwv e = gwv_saturate(gwv_most(gwv_set(0.0f), gwv_sub(gwv_set(0.0f), v)));
    return gwv_fma(e, gwv_set(-alpha), gwv_mul(gwv_set(scale), gwv_relu(v)));
}

/* v / (1 + |v|). Limiting |v| to 2^100 changes no result for finite v, and gives 1 and -1 for the infinities. */
static inline gwv gwv_softsign(gwv v) {
    gwv y = gwv_least(gwv_set(0x1p100f), gwv_abs(v));
    return gwv_with_sign(v, gwv_div(y, gwv_add(y, gwv_set(1.0f))));
}

/* log(1 + exp(-|v|)) = t q(t), t = exp(-|v|). */
static inline gwv gwv_log1p_exp(gwv v) {
    gwv t = gwv_exp(gwv_sub(gwv_set(0.0f), gwv_abs(v)));
    gwv q = gwv_set(-3.24402517e-3f);
    q = gwv_fma(q, t, gwv_set(1.98514629e-2f));
    q = gwv_fma(q, t, gwv_set(-5.69595359e-2f));
    q = gwv_fma(q, t, gwv_set(1.06036551e-1f));
    q = gwv_fma(q, t, gwv_set(-1.53055921e-1f));
    q = gwv_fma(q, t, gwv_set(1.96759388e-1f));
    q = gwv_fma(q, t, gwv_set(-2.49541342e-1f));
    q = gwv_fma(q, t, gwv_set(3.33299637e-1f));
    q = gwv_fma(q, t, gwv_set(-4.99999017e-1f));
    q = gwv_fma(q, t, gwv_set(1.0f));
    return gwv_mul(t, q);
}

/* log(1 + x), which is -infinity at -1 and NaN for x < -1, with a relative error of 2e-7. Let z = x or, for negative x,
 * z = -x / (1 + x), whose logarithm has the opposite sign. Then 1 + z = 2^n (1 + t) and log(1 + z) = n ln2 + t q(t),
 * with q as above. It is computed in plain floats, so that its bits are the same with every instruction set, and the
 * input stage and a check for missing readings always agree. */
static inline float gw_log1p(float x) {
    const float z = x < 0.0f ? -x / (1.0f + x) : x;
    if (!(z >= 0.0f)) return (x - x) / (x - x); /* NaN, without the macro of math.h */
    if (!gw_finite(z)) return x < 0.0f ? -z : z;
    float t = z, n = 0.0f;
    if (z >= 1.0f) {
        const float u = 1.0f + z;
        uint32_t bits;
        memcpy(&bits, &u, sizeof bits);
        n = (float)((int)(bits >> 23) - 127);
        bits = (bits & 0x007fffffu) | 0x3f800000u;
        memcpy(&t, &bits, sizeof t);
        t -= 1.0f;
    }
    float q = -3.24402517e-3f;
    q = q * t + 1.98514629e-2f;
    q = q * t + -5.69595359e-2f;
    q = q * t + 1.06036551e-1f;
    q = q * t + -1.53055921e-1f;
    q = q * t + 1.96759388e-1f;
    q = q * t + -2.49541342e-1f;
    q = q * t + 3.33299637e-1f;
    q = q * t + -4.99999017e-1f;
    q = q * t + 1.0f;
    const float y = n * 0.693359375f + (n * -2.12194440e-4f + t * q);
    return x < 0.0f ? -y : y;
}

/* max(0, v) + log(1 + exp(-|v|)), and its mirror image: log(sigmoid(v)) = -softplus(-v). */
static inline gwv gwv_softplus(gwv v) { return gwv_add(gwv_relu(v), gwv_log1p_exp(v)); }
static inline gwv gwv_log_sigmoid(gwv v) { return gwv_sub(gwv_least(gwv_set(0.0f), v), gwv_log1p_exp(v)); }

/* v * gate, for a gate that is 0 from v = -1024 down: v is limited to -1024, so that -infinity gives 0 and not NaN. */
static inline gwv gwv_gated(gwv v, gwv gate) { return gwv_mul(gwv_most(gwv_set(-1024.0f), v), gate); }

static inline gwv gwv_silu(gwv v) { return gwv_gated(v, gwv_sigmoid(v)); }

static inline gwv gwv_hard_silu(gwv v) { return gwv_gated(v, gwv_hard_sigmoid(v, 0x1.555556p-3f, 0.5f)); }

/* Uses (1 + tanh(a)) / 2 = sigmoid(2 a). The factors are 2 sqrt(2 / pi), and 0.044715 times that. */
static inline gwv gwv_gelu_tanh(gwv v) {
    gwv factor = gwv_fma(gwv_mul(v, v), gwv_set(7.13548163e-2f), gwv_set(1.59576912f));
    return gwv_gated(v, gwv_sigmoid(gwv_mul(v, factor)));
}

/* Phi(-y) = erfc(y / sqrt 2) / 2 for y >= 0, computed as exp(-y^2 / 2) t q(t), t = 1 / (1 + 0.35 y). y is limited to
 * 14.5, where the result is 0 as a float. */
static inline gwv gwv_normal_tail(gwv y) {
    y = gwv_least(gwv_set(14.5f), y);
    gwv t = gwv_div(gwv_set(1.0f), gwv_fma(y, gwv_set(0.35f), gwv_set(1.0f)));
    gwv q = gwv_set(-2.91578712e-2f);
    q = gwv_fma(q, t, gwv_set(1.44030850e-1f));
    q = gwv_fma(q, t, gwv_set(-2.55838862e-1f));
    q = gwv_fma(q, t, gwv_set(1.59319537e-1f));
    q = gwv_fma(q, t, gwv_set(-2.32122471e-2f));
    q = gwv_fma(q, t, gwv_set(1.05552459e-1f));
    q = gwv_fma(q, t, gwv_set(1.19821298e-1f));
    q = gwv_fma(q, t, gwv_set(1.39863514e-1f));
    q = gwv_fma(q, t, gwv_set(1.39621307e-1f));
    return gwv_mul(gwv_exp(gwv_mul(gwv_mul(y, y), gwv_set(-0.5f))), gwv_mul(t, q));
}

/* max(0, v) - y Phi(-y) with y = |v|. In this form the left tail is not a small difference of large numbers. */
static inline gwv gwv_gelu(gwv v) {
    gwv y = gwv_least(gwv_set(14.5f), gwv_abs(v));
    return gwv_sub(gwv_relu(v), gwv_mul(y, gwv_normal_tail(y)));
}

/* v tanh(log(1 + t)) with t = exp(v). The tanh is w / (w + 2), w = t (t + 2), which needs no logarithm; it is 1 for v
 * >= 20. */
static inline gwv gwv_mish(gwv v) {
    gwv t = gwv_exp(gwv_least(gwv_set(20.0f), v));
    gwv w = gwv_mul(t, gwv_add(t, gwv_set(2.0f)));
    return gwv_gated(v, gwv_div(w, gwv_add(w, gwv_set(2.0f))));
}

/* The less common activations. They are not inlined, so that layers whose activation is known only at run time stay
 * small. */
static __attribute__((noinline, unused)) gwv gwv_activate_other(int kind, float alpha, float beta, gwv v) {
    switch (kind) {
    case GW_LEAKY_RELU:
        return gwv_fma(gwv_least(gwv_set(0.0f), v), gwv_set(alpha), gwv_relu(v));
    case GW_THRESHOLDED_RELU:
        return gwv_above(v, alpha);
    case GW_SCALED_TANH:
        return gwv_mul(gwv_set(alpha), gwv_tanh(gwv_mul(gwv_set(beta), v)));
    case GW_ELU:
        return gwv_elu(v, 1.0f, alpha);
    case GW_SELU:
        return gwv_elu(v, 1.05070099f, 1.75809934f);
    case GW_SOFTSIGN:
        return gwv_softsign(v);
    case GW_SOFTPLUS:
        return gwv_softplus(v);
    case GW_SILU:
        return gwv_silu(v);
    case GW_GELU:
        return gwv_gelu(v);
    case GW_EXPONENTIAL:
        return gwv_exp(v);
    case GW_GELU_TANH:
        return gwv_gelu_tanh(v);
    case GW_RELU6:
        return gwv_clamp(v, gwv_set(0.0f), gwv_set(6.0f));
    case GW_HARD_TANH:
        return gwv_clamp(v, gwv_set(-1.0f), gwv_set(1.0f));
    case GW_HARD_SILU:
        return gwv_hard_silu(v);
    case GW_MISH:
        return gwv_mish(v);
    case GW_LOG_SIGMOID:
        return gwv_log_sigmoid(v);
    default:
        return v;
    }
}

/* The value of an activation. Softmax is not among them: it needs all values of a row, and only dense has it. */
static inline gwv gwv_activate(int kind, float alpha, float beta, gwv v) {
    switch (kind) {
    case GW_LINEAR:
        return v;
    case GW_RELU:
        return gwv_relu(v);
    case GW_TANH:
        return gwv_tanh(v);
    case GW_SIGMOID:
        return gwv_sigmoid(v);
    case GW_HARD_SIGMOID:
        return gwv_hard_sigmoid(v, alpha, beta);
    case GW_AFFINE:
        return gwv_fma(v, gwv_set(alpha), gwv_set(beta));
    default:
        return gwv_activate_other(kind, alpha, beta, v);
    }
}

#endif
