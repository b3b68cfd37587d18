/* The primitives in double, with libm, for training in float64, which serves to check gradients and to compare the
 * course of trainings. They compute one number at a time and are as fast as the compiler makes them.
 */
#ifndef GW_PRIMS_H
#define GW_PRIMS_H

#include "gatewise_activations.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GW_DOUBLE 1
#define GW_LANES  1
#define GW_PANEL  16 /* rows in a panel: the compiler vectorises the loop over them */

typedef double gw_real;
typedef double gwv;

static inline gwv gwv_load(const double *p) { return *p; }
static inline void gwv_store(double *p, gwv v) { *p = v; }
static inline gwv gwv_load_n(const double *p, int n) { return n > 0 ? *p : 0.0; }
static inline void gwv_store_n(double *p, gwv v, int n) {
    if (n > 0) *p = v;
}
static inline gwv gwv_set(double x) { return x; }
static inline gwv gwv_add(gwv a, gwv b) { return a + b; }
static inline gwv gwv_sub(gwv a, gwv b) { return a - b; }
static inline gwv gwv_mul(gwv a, gwv b) { return a * b; }
static inline gwv gwv_div(gwv a, gwv b) { return a / b; }
static inline gwv gwv_fma(gwv a, gwv b, gwv c) { return a * b + c; }
static inline gwv gwv_abs(gwv v) { return fabs(v); }
static inline gwv gwv_at_most(gwv v, double bound, gwv a, gwv b) { return v <= bound ? a : b; }
/* NaN in v stays NaN. */
static inline gwv gwv_clamp(gwv v, gwv low, gwv high) { return v < low ? low : v > high ? high : v; }

static inline gwv gwv_exp(gwv v) { return exp(v); }
static inline gwv gwv_tanh(gwv v) { return tanh(v); }
static inline gwv gwv_sigmoid(gwv v) { return 1.0 / (1.0 + exp(-v)); }
static inline gwv gwv_saturate(gwv y) { return -expm1(-y); } /* 1 - exp(-y) */
static inline gwv gwv_relu(gwv v) { return v <= 0.0 ? 0.0 : v; }
static inline gwv gwv_softplus(gwv v) { return fmax(0.0, v) + log1p(exp(-fabs(v))); }
static inline gwv gwv_normal_tail(gwv y) { return 0.5 * erfc(sqrt(0.5) * y); } /* Phi(-y) */

#include "prims_lanes.h"
#include "prims_sums.h"

static inline gwv gwv_activate(int kind, double alpha, double beta, gwv v) {
    switch (kind) {
    case GW_RELU:
        return gwv_relu(v);
    case GW_TANH:
        return tanh(v);
    case GW_SIGMOID:
        return gwv_sigmoid(v);
    case GW_HARD_SIGMOID:
        return gwv_clamp(alpha * v + beta, 0.0, 1.0);
    case GW_AFFINE:
        return alpha * v + beta;
    case GW_LEAKY_RELU:
        return v > 0.0 ? v : alpha * v;
    case GW_THRESHOLDED_RELU:
        return v <= alpha ? 0.0 : v;
    case GW_SCALED_TANH:
        return alpha * tanh(beta * v);
    case GW_ELU:
        return v > 0.0 ? v : alpha * expm1(v);
    case GW_SELU:
        return v > 0.0 ? 1.0507009873554805 * v : 1.7580993408473766 * expm1(v);
    case GW_SOFTSIGN:
        return v / (1.0 + fabs(v));
    case GW_SOFTPLUS:
        return gwv_softplus(v);
    case GW_SILU:
        return v * gwv_sigmoid(v);
    case GW_GELU:
        return v * 0.5 * erfc(-sqrt(0.5) * v);
    case GW_EXPONENTIAL:
        return exp(v);
    case GW_GELU_TANH:
        return v * gwv_sigmoid(v * (1.5957691216057308 + 0.07135481627260025 * v * v));
    case GW_RELU6:
        return gwv_clamp(v, 0.0, 6.0);
    case GW_HARD_TANH:
        return gwv_clamp(v, -1.0, 1.0);
    case GW_HARD_SILU:
        return v * gwv_clamp(v + 3.0, 0.0, 6.0) / 6.0;
    case GW_MISH:
        return v * tanh(gwv_softplus(v));
    case GW_LOG_SIGMOID:
        return -gwv_softplus(-v);
    default:
        return v;
    }
}

#include "prims_plain.h"

#endif
