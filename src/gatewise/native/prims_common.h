/* The half of the primitives that is the same for every instruction set, written in the operations that prims_scalar.h
 * and prims_vector.h define before they include this file. Include one of those two, not this one.
 *
 * exp, sigmoid and tanh all begin with exp(-x) = 2^n exp(-r), r = x + n ln2 in [-ln2/2, ln2/2]: the reduction of Cody and
 * Waite, with ln2 in two parts of which the first is short enough that n times it is exact. 1 - exp(-r) is a polynomial
 * r + r^2 q(r); q of degree 4 has the least greatest relative error, 1.3e-8, by Remez exchange at 40 digits, and was then
 * rounded to floats. Beginning with 1 - exp rather than exp keeps the relative error of tanh small where it is nearly x.
 *
 * Two more polynomials q, of least greatest relative error in the same way: log(1 + t) = t q(t) for t in [0, 1], of degree 9
 * and error 3.3e-8 once its coefficients are floats; and Phi(-y) exp(y^2 / 2) = t q(t), t = 1 / (1 + 0.35 y), for y in
 * [0, 14.5], of degree 8 and error 4.8e-8. The first serves softplus and log_sigmoid, the second gelu; 0.35 was the best of
 * its hundredths.
 *
 * Greatest errors against libm in double precision (tests/test_prims.c with GW_FULL=1): of exp, sigmoid and tanh over all
 * 2^32 floats, of the others over every seventh. AVX2 and AVX-512 give the same bits. The errors are absolute where |y| <= 1
 * and relative beyond. The relative errors in their own column are those of normal results, of silu, mish and scaled_tanh
 * from 2^-118 on, where all they are made of is normal, and of the two gelus from 2^-20 on: further out exp(-u) has the
 * rounding of u = O(x^2) in it.
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
 * What only chooses, adds and multiplies (relu, affine, hard_sigmoid, ...) is exact but for its roundings. exp, sigmoid, tanh,
 * elu and selu grow wherever they are not constant: no result is below that of a smaller x. NaN stays; at the infinities each
 * has its limit.
 */
#ifndef GW_PRIMS_COMMON_H
#define GW_PRIMS_COMMON_H

#include "gatewise_activations.h"
#include "prims_lanes.h"

/* Neither NaN nor infinite, by the bits: all exponent bits set means one of them. */
static inline int gw_finite(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

/* A reading counts as missing where it is NaN or infinite, or, once scaled, beyond this in size: its square is still a float,
 * and a state that has seen it is finite. */
#define GW_MOST_READING 1e18f
static inline int gw_usable(float scaled) { return scaled >= -GW_MOST_READING && scaled <= GW_MOST_READING; }

/* 0 for |x| < 2^-64: a state never decays into denormals, on any platform. NaN stays. gwv_flush is the same. */
static inline float gw_flush(float x) { return x > -0x1p-64f && x < 0x1p-64f ? 0.0f : x; }

/* gwv_sqrt of one number. */
static inline float gw_sqrt(float v) {
    float root;
    gwv_store_n(&root, gwv_sqrt(gwv_set(v)), 1);
    return root;
}

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

/* 1 - exp(-y) for y from 0 on, 1 from 40 on: of small relative error where it is nearly y. */
static inline gwv gwv_saturate(gwv y) {
    y = gwv_least(gwv_set(40.0f), y);
    gwv exponent = gwv_exponent(y);
    gwv scale = gwv_pow2(exponent);
    return gwv_fma(gwv_one_minus_exp(y, exponent), scale, gwv_sub(gwv_set(1.0f), scale));
}

/* e / (2 - e) with e = 1 - exp(-2 |x|), and the sign of x. e is never beyond 1, and 1 from |x| = 9 on. */
static inline gwv gwv_tanh(gwv x) {
    gwv y = gwv_abs(x);
    gwv e = gwv_saturate(gwv_add(y, y));
    return gwv_with_sign(x, gwv_div(e, gwv_sub(gwv_set(2.0f), e)));
}

/* exp(x) - 1, of small relative error everywhere: exp(x) (1 - exp(-x)) from 0 on, -(1 - exp(x)) below. Beyond 88 it is that
 * of 88: the next whole number has a result that is no float. */
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

/* v where it is above the bound, else 0. NaN stays. */
static inline gwv gwv_above(gwv v, float bound) { return gwv_at_most(v, bound, gwv_set(0.0f), v); }

/* scale v where v > 0, else alpha (exp(v) - 1) */
static inline gwv gwv_elu(gwv v, float scale, float alpha) {
    gwv e = gwv_saturate(gwv_most(gwv_set(0.0f), gwv_sub(gwv_set(0.0f), v)));
    return gwv_fma(e, gwv_set(-alpha), gwv_mul(gwv_set(scale), gwv_relu(v)));
}

/* The bound changes no finite quotient, and makes that of infinities 1. */
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

/* log(1 + x), -infinity at -1 and NaN below; relative error 2e-7. With z = x or, of negative x, -x / (1 + x), whose result
 * has the other sign, 1 + z = 2^n (1 + t) and log(1 + z) = n ln2 + t q(t), with q as above. In plain floats, so that its bits
 * are the same on every instruction set: whoever asks whether a reading is missing sees what the input stage does. */
static inline float gw_log1p(float x) {
    const float z = x < 0.0f ? -x / (1.0f + x) : x;
    if (!(z >= 0.0f)) return (x - x) / (x - x); /* NaN, without libm's name for it */
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

/* v gate, for a gate that has come to 0 at v = -1024: beyond, v stands still, so that -infinity gives 0 and no NaN. */
static inline gwv gwv_gated(gwv v, gwv gate) { return gwv_mul(gwv_most(gwv_set(-1024.0f), v), gate); }

static inline gwv gwv_silu(gwv v) { return gwv_gated(v, gwv_sigmoid(v)); }

static inline gwv gwv_hard_silu(gwv v) { return gwv_gated(v, gwv_hard_sigmoid(v, 0x1.555556p-3f, 0.5f)); }

/* (1 + tanh(a)) / 2 = sigmoid(2 a): the factors are 2 sqrt(2 / pi) and 0.044715 times that. */
static inline gwv gwv_gelu_tanh(gwv v) {
    gwv factor = gwv_fma(gwv_mul(v, v), gwv_set(7.13548163e-2f), gwv_set(1.59576912f));
    return gwv_gated(v, gwv_sigmoid(gwv_mul(v, factor)));
}

/* Phi(-y) = erfc(y / sqrt 2) / 2 for y from 0 on: exp(-y^2 / 2) t q(t), t = 1 / (1 + 0.35 y), up to y = 14.5, where the
 * float is 0. */
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

/* max(0, v) - y Phi(-y), y = |v|: so the left tail is no small difference. */
static inline gwv gwv_gelu(gwv v) {
    gwv y = gwv_least(gwv_set(14.5f), gwv_abs(v));
    return gwv_sub(gwv_relu(v), gwv_mul(y, gwv_normal_tail(y)));
}

/* tanh(log(1 + t)) = w / (w + 2), w = t (t + 2), t = exp(v): needs no logarithm, and is 1 from v = 20 on. */
static inline gwv gwv_mish(gwv v) {
    gwv t = gwv_exp(gwv_least(gwv_set(20.0f), v));
    gwv w = gwv_mul(t, gwv_add(t, gwv_set(2.0f)));
    return gwv_gated(v, gwv_div(w, gwv_add(w, gwv_set(2.0f))));
}

/* The less usual ones, behind a call: a layer whose kind is known only at run time stays small. */
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

/* Softmax needs a whole row: it is dense's own. */
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
