/* The slopes (derivatives) of the activations, which gradients are multiplied with in the backward pass. Host only, for
 * training. Written with the operations of the primitives, for float or double.
 */
#ifndef GW_PRIMS_SLOPES_H
#define GW_PRIMS_SLOPES_H

#define GW_SELU_SCALE       1.0507009873554805
#define GW_SELU_SCALE_ALPHA 1.7580993408473766
#define GW_INVERSE_SQRT_2PI 0.3989422804014327
#define GW_GELU_P           1.5957691216057308  /* 2 sqrt(2 / pi) */
#define GW_GELU_Q           0.07135481627260025 /* 0.044715 times that */

/* v > bound ? a : b */
static inline gwv gwv_if_above(gwv v, gw_real bound, gwv a, gwv b) { return gwv_at_most(v, bound, b, a); }

/* v where |x| <= bound, else 0. */
static inline gwv gwv_inside(gw_real bound, gwv x, gwv v) { return gwv_at_most(gwv_abs(x), bound, v, gwv_set(0)); }

/* The less common activations, not inlined: see gwv_activate_other. */
static __attribute__((noinline, unused)) gwv gwv_slope_other(int kind, gw_real alpha, gw_real beta, gwv x, gwv y) {
    const gwv zero = gwv_set(0), one = gwv_set(1);
    gwv s, t;
    switch (kind) {
    case GW_LEAKY_RELU:
        return gwv_if_above(x, 0, one, gwv_set(alpha));
    case GW_THRESHOLDED_RELU:
        return gwv_if_above(gwv_abs(y), 0, one, zero);
    case GW_SCALED_TANH: /* beta (alpha - y^2 / alpha) */
        if (alpha == 0) return zero;
        return gwv_mul(gwv_set(beta), gwv_sub(gwv_set(alpha), gwv_div(gwv_mul(y, y), gwv_set(alpha))));
    case GW_ELU:
        return gwv_if_above(x, 0, one, gwv_add(y, gwv_set(alpha)));
    case GW_SELU:
        return gwv_if_above(y, 0, gwv_set(GW_SELU_SCALE), gwv_add(y, gwv_set(GW_SELU_SCALE_ALPHA)));
    case GW_SOFTSIGN:
        t = gwv_sub(one, gwv_abs(y));
        return gwv_mul(t, t);
    case GW_SOFTPLUS: /* 1 - exp(-y) */
        return gwv_saturate(y);
    case GW_LOG_SIGMOID: /* 1 - exp(y) */
        return gwv_saturate(gwv_sub(zero, y));
    case GW_EXPONENTIAL:
        return y;
    case GW_RELU6:
        return gwv_mul(gwv_if_above(y, 0, one, zero), gwv_if_above(gwv_sub(gwv_set(6), y), 0, one, zero));
    case GW_HARD_TANH:
        return gwv_if_above(gwv_sub(one, gwv_abs(y)), 0, one, zero);
    case GW_SILU: /* s + y (1 - s) */
        s = gwv_sigmoid(x);
        return gwv_fma(gwv_mul(s, gwv_sub(one, s)), x, s);
    case GW_HARD_SILU: /* x / 3 + 1/2 between -3 and 3 */
        t = gwv_fma(x, gwv_set((gw_real)1 / 3), gwv_set(0.5f));
        return gwv_if_above(x, -3, gwv_if_above(gwv_sub(zero, x), -3, t, one), zero);
    case GW_GELU: /* Phi(x) + x phi(x) */
        t = gwv_normal_tail(gwv_abs(x));
        s = gwv_mul(gwv_exp(gwv_mul(gwv_mul(x, x), gwv_set(-0.5f))), gwv_set(GW_INVERSE_SQRT_2PI));
        return gwv_fma(x, s, gwv_if_above(x, 0, gwv_sub(one, t), t));
    case GW_GELU_TANH: /* with a = x (p + q x^2), s = sigmoid(a): s + x s (1 - s) (p + 3 q x^2) */
        t = gwv_mul(gwv_mul(x, x), gwv_set(GW_GELU_Q));
        s = gwv_sigmoid(gwv_mul(x, gwv_add(gwv_set(GW_GELU_P), t)));
        t = gwv_fma(t, gwv_set(3), gwv_set(GW_GELU_P));
        return gwv_fma(gwv_mul(x, t), gwv_mul(s, gwv_sub(one, s)), s);
    case GW_MISH: /* with t = tanh(softplus(x)): t + x (1 - t^2) sigmoid(x) */
        t = gwv_tanh(gwv_softplus(x));
        return gwv_fma(gwv_mul(x, gwv_sigmoid(x)), gwv_sub(one, gwv_mul(t, t)), t);
    default:
        return one;
    }
}

/* The slope of an activation at x, where its value is y. For monotonic activations y may be passed as x, since their
 * slope is a function of the value. At a corner it is the slope of the flat side, or for leaky_relu and elu that of the
 * left side. */
static inline gwv gwv_slope(int kind, gw_real alpha, gw_real beta, gwv x, gwv y) {
    const gwv zero = gwv_set(0), one = gwv_set(1);
    switch (kind) {
    case GW_LINEAR:
        return one;
    case GW_RELU:
        return gwv_if_above(y, 0, one, zero);
    case GW_TANH:
        return gwv_sub(one, gwv_mul(y, y));
    case GW_SIGMOID:
        return gwv_mul(y, gwv_sub(one, y));
    case GW_HARD_SIGMOID:
        return gwv_if_above(gwv_mul(y, gwv_sub(one, y)), 0, gwv_set(alpha), zero);
    case GW_AFFINE:
        return gwv_set(alpha);
    default:
        return gwv_slope_other(kind, alpha, beta, x, y);
    }
}

#endif
