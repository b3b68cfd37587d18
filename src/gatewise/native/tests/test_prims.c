/* The primitives against libm in double precision and against plain loops. The compiler's flags choose the instruction set
 * and with it the header; without AVX2 and beyond, or with -DGW_ISA_BASE=1, that is the scalar one. With -DGW_FULL=1 exp,
 * sigmoid, tanh and sqrt are checked on all 2^32 floats and the other activations on every seventh, which takes minutes.
 */
#include <math.h>
#include "check.h"

#if !defined(GW_ISA_BASE) && (defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__)) || defined(__aarch64__))
#include "prims_vector.h"
#define MULTIPLY_ADD(a, b, c) fmaf(a, b, c)
#else
#include "prims_scalar.h"
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif
#include "peaks.h"
#include "prims_outer.h"

static const uint32_t infinity_bits = 0x7f800000u, sign_bit = 0x80000000u;

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static int same_bits(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

static int is_cpu_able(void) {
#if defined(__AVX512F__) && GW_LANES == 16
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#elif defined(__AVX2__) && GW_LANES == 8
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}

/* ---- activations ---- */

static double exact_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double exact_softplus(double x) { return fmax(x, 0.0) + log1p(exp(-fabs(x))); }
static double gated(double x, double gate) { return x < -1000.0 ? -0.0 : x * gate; } /* -0 also of -infinity */

/* The formulas of gatewise_activations.h in double precision. */
static double exact(int kind, double alpha, double beta, double x) {
    const double scale = 1.0507009873554805; /* of selu */
    switch (kind) {
    case GW_RELU:
        return x > 0.0 ? x : 0.0;
    case GW_TANH:
        return tanh(x);
    case GW_SIGMOID:
        return exact_sigmoid(x);
    case GW_HARD_SIGMOID:
        return fmin(1.0, fmax(0.0, alpha * x + beta));
    case GW_AFFINE:
        return alpha * x + beta;
    case GW_LEAKY_RELU:
        return x > 0.0 ? x : alpha * x;
    case GW_THRESHOLDED_RELU:
        return x > alpha ? x : 0.0;
    case GW_SCALED_TANH:
        return alpha * tanh(beta * x);
    case GW_ELU:
        return x > 0.0 ? x : alpha * expm1(x);
    case GW_SELU:
        return x > 0.0 ? scale * x : scale * 1.6732632423543772 * expm1(x);
    case GW_SOFTSIGN:
        return isinf(x) ? copysign(1.0, x) : x / (1.0 + fabs(x));
    case GW_SOFTPLUS:
        return exact_softplus(x);
    case GW_SILU:
        return gated(x, exact_sigmoid(x));
    case GW_GELU:
        return gated(x, 0.5 * erfc(-x * sqrt(0.5)));
    case GW_EXPONENTIAL:
        return exp(x);
    case GW_GELU_TANH: /* (1 + tanh(a)) / 2 is sigmoid(2 a), which has no small differences */
        return gated(x, exact_sigmoid(2.0 * sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case GW_RELU6:
        return fmin(6.0, fmax(0.0, x));
    case GW_HARD_TANH:
        return fmin(1.0, fmax(-1.0, x));
    case GW_HARD_SILU:
        return gated(x, fmin(6.0, fmax(0.0, x + 3.0)) / 6.0);
    case GW_MISH:
        return gated(x, tanh(exact_softplus(x)));
    case GW_LOG_SIGMOID:
        return -exact_softplus(-x);
    default:
        return x;
    }
}

typedef struct function {
    const char *name;
    int kind;
    float alpha, beta;
    double error;          /* greatest promised, absolute up to 1, relative from there on */
    double relative, from; /* greatest relative error promised, of results at least this far from 0 */
    float least, most;     /* of the results */
    int grows;             /* no result is below that of a smaller argument */
} function;

#define NORMAL 0x1p-126

static const function functions[] = {
    {"exp", GW_EXPONENTIAL, 0.0f, 0.0f, 1e-7, 1e-7, NORMAL, 0.0f, INFINITY, 1},
    {"sigmoid", GW_SIGMOID, 0.0f, 0.0f, 1e-7, 1.6e-7, NORMAL, 0.0f, 1.0f, 1},
    {"tanh", GW_TANH, 0.0f, 0.0f, 1.6e-7, 2e-7, NORMAL, -1.0f, 1.0f, 1},
    {"linear", GW_LINEAR, 0.0f, 0.0f, 0.0, 0.0, 0.0, -INFINITY, INFINITY, 1},
    {"relu", GW_RELU, 0.0f, 0.0f, 0.0, 0.0, 0.0, 0.0f, INFINITY, 1},
    {"relu6", GW_RELU6, 0.0f, 0.0f, 0.0, 0.0, 0.0, 0.0f, 6.0f, 1},
    {"hard_tanh", GW_HARD_TANH, 0.0f, 0.0f, 0.0, 0.0, 0.0, -1.0f, 1.0f, 1},
    {"thresholded_relu(0.7)", GW_THRESHOLDED_RELU, 0.7f, 0.0f, 0.0, 0.0, 0.0, 0.0f, INFINITY, 1},
    {"thresholded_relu(-2)", GW_THRESHOLDED_RELU, -2.0f, 0.0f, 0.0, 0.0, 0.0, -2.0f, INFINITY, 0},
    {"leaky_relu(0.3)", GW_LEAKY_RELU, 0.3f, 0.0f, 6e-8, 6e-8, NORMAL, -INFINITY, INFINITY, 1},
    {"affine(0.75, -2)", GW_AFFINE, 0.75f, -2.0f, 1.2e-7, 1e-6, 0.125, -INFINITY, INFINITY, 1},
    {"hard_sigmoid(0.2, 0.5)", GW_HARD_SIGMOID, 0.2f, 0.5f, 6e-8, 1e-7, 0.125, 0.0f, 1.0f, 1},
    {"hard_silu", GW_HARD_SILU, 0.0f, 0.0f, 1.2e-7, 1.2e-7, 2.0, -0.375f, INFINITY, 0},
    {"scaled_tanh(1.7, 0.6)", GW_SCALED_TANH, 1.7f, 0.6f, 2.5e-7, 2.6e-7, 0x1p-118, -1.7f, 1.7f, 1},
    {"elu(1)", GW_ELU, 1.0f, 0.0f, 4.3e-8, 1e-7, NORMAL, -1.0f, INFINITY, 1},
    {"elu(0.3)", GW_ELU, 0.3f, 0.0f, 2.5e-8, 1.4e-7, NORMAL, -0.3f, INFINITY, 1},
    {"selu", GW_SELU, 0.0f, 0.0f, 1.4e-7, 1.6e-7, NORMAL, -1.75809934f, INFINITY, 1},
    {"softsign", GW_SOFTSIGN, 0.0f, 0.0f, 9e-8, 1.2e-7, NORMAL, -1.0f, 1.0f, 0},
    {"softplus", GW_SOFTPLUS, 0.0f, 0.0f, 1.7e-7, 2.4e-7, NORMAL, 0.0f, INFINITY, 0},
    {"log_sigmoid", GW_LOG_SIGMOID, 0.0f, 0.0f, 1.7e-7, 2.4e-7, NORMAL, -INFINITY, 0.0f, 0},
    {"silu", GW_SILU, 0.0f, 0.0f, 1.6e-7, 2.1e-7, 0x1p-118, -0.279f, INFINITY, 0},
    {"mish", GW_MISH, 0.0f, 0.0f, 1.6e-7, 3e-7, 0x1p-118, -0.309f, INFINITY, 0},
    {"gelu", GW_GELU, 0.0f, 0.0f, 1.2e-7, 8.2e-7, 0x1p-20, -0.17f, INFINITY, 0},
    {"gelu_tanh", GW_GELU_TANH, 0.0f, 0.0f, 1.7e-7, 1.8e-6, 0x1p-20, -0.171f, INFINITY, 0},
};

static float apply(int kind, float alpha, float beta, float x) {
    float y[GW_LANES];
    gwv_store(y, gwv_activate(kind, alpha, beta, gwv_set(x)));
    return y[0];
}

/* Every step-th float from 0 to infinity, or from -0 to -infinity. */
static void check_errors(const function *f, uint32_t sign, uint32_t step) {
    enum { block = 1024 };
    float x[block], y[block], error_at = 0.0f, relative_at = 0.0f;
    double greatest = 0.0, relative = 0.0;
    long outside = 0, falls = 0;
    float last = sign ? INFINITY : -INFINITY;
    for (uint32_t bits = 0; bits <= infinity_bits;) {
        int count = 0;
        for (; count < block && bits <= infinity_bits; count++, bits += step) x[count] = from_bits(bits | sign);
        for (int i = count; i < block; i++) x[i] = 0.0f;
        for (int i = 0; i < block; i += GW_LANES)
            gwv_store(y + i, gwv_activate(f->kind, f->alpha, f->beta, gwv_load(x + i)));
        for (int i = 0; i < count; i++) {
            const double truth = exact(f->kind, (double)f->alpha, (double)f->beta, (double)x[i]), size = fabs(truth);
            outside += !(y[i] >= f->least && y[i] <= f->most);
            falls += sign ? y[i] > last : y[i] < last;
            last = y[i];
            if (isinf(y[i]) && truth * (double)y[i] > 0.0 && size > 0x1.fffffcp127) continue;
            const double error = fabs((double)y[i] - truth);
            if (!(error <= greatest * fmax(1.0, size))) greatest = error / fmax(1.0, size), error_at = x[i];
            if (size < f->from) continue;
            if (!(error <= relative * size)) relative = error / size, relative_at = x[i];
        }
    }
    const char *argument = sign ? "-x" : "x";
    check(greatest <= f->error, "%s, %s: error %.3g, at %.9g", f->name, argument, greatest, (double)error_at);
    check(relative <= f->relative, "%s, %s: relative error %.3g, at %.9g", f->name, argument, relative,
          (double)relative_at);
    check(outside == 0, "%s, %s: %ld results outside [%g, %g]", f->name, argument, outside, (double)f->least,
          (double)f->most);
    check(!f->grows || falls == 0, "%s, %s: falls %ld times", f->name, argument, falls);
}

static void check_activations(void) {
    int tried[GW_ACTIVATION_COUNT] = {[GW_SOFTMAX] = 1}, all = 1;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const function *f = &functions[i];
#if GW_FULL
        const uint32_t step = i < 3 ? 1 : 7; /* the first three are what most others are made of */
#else
        const uint32_t step = 4099; /* a prime: all exponents and all patterns of low bits */
#endif
        check_errors(f, 0, step);
        check_errors(f, sign_bit, step);
        tried[f->kind] = 1;
        check(isnan(apply(f->kind, f->alpha, f->beta, NAN)) && isnan(apply(f->kind, f->alpha, f->beta, -NAN)),
              "%s(NaN) is NaN", f->name);
    }
    for (int kind = 0; kind < GW_ACTIVATION_COUNT; kind++) all &= tried[kind];
    check(all, "every activation is in the table");
}

static float apply_exp(float x) { return apply(GW_EXPONENTIAL, 0.0f, 0.0f, x); }
static float apply_sigmoid(float x) { return apply(GW_SIGMOID, 0.0f, 0.0f, x); }
static float apply_tanh(float x) { return apply(GW_TANH, 0.0f, 0.0f, x); }

static void check_special_values(void) {
    check(apply_exp(0.0f) == 1.0f && apply_exp(-0.0f) == 1.0f, "exp(0) is 1");
    check(apply_exp(INFINITY) == INFINITY && apply_exp(-INFINITY) == 0.0f, "exp at the infinities");
    check(isfinite(apply_exp(88.7228f)) && isinf(apply_exp(88.7229f)), "exp overflows where the floats end");
    check(apply_sigmoid(0.0f) == 0.5f && apply_sigmoid(-0.0f) == 0.5f, "sigmoid(0) is 1/2");
    check(apply_sigmoid(17.5f) == 1.0f && apply_sigmoid(3e38f) == 1.0f && apply_sigmoid(-3e38f) == 0.0f,
          "sigmoid saturates");
    int small = 1, odd = 1, saturated = 1;
    for (uint32_t bits = 0; bits <= infinity_bits; bits += 4099) {
        const float x = from_bits(bits), y = apply_tanh(x);
        odd &= same_bits(-y, apply_tanh(-x)) &&
               same_bits(-apply(GW_SOFTSIGN, 0.0f, 0.0f, x), apply(GW_SOFTSIGN, 0.0f, 0.0f, -x));
        small &= x >= 0x1p-26f || same_bits(x, y);
        saturated &= x < 9.02f || y == 1.0f;
    }
    check(small, "tanh(x) is x for |x| < 2^-26, denormals included");
    check(odd, "tanh(-x) is -tanh(x), and softsign(-x) is -softsign(x)");
    check(saturated, "tanh(x) is 1 from 9.02 on");
    /* At the infinities every activation has its limit. */
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const function *f = &functions[i];
        int limits = 1;
        for (int side = -1; side <= 1; side += 2) {
            const float x = side > 0 ? INFINITY : -INFINITY;
            const float y = apply(f->kind, f->alpha, f->beta, x);
            limits &= fabs((double)y - exact(f->kind, (double)f->alpha, (double)f->beta, (double)x)) <= 1e-6 ||
                      y == (float)exact(f->kind, (double)f->alpha, (double)f->beta, (double)x);
        }
        check(limits, "%s at the infinities", f->name);
    }
}

static void check_choices(void) {
    const gwv nan = gwv_set(NAN), two = gwv_set(2.0f);
    float y[5][GW_LANES];
    gwv_store(y[0], gwv_relu(nan));
    gwv_store(y[1], gwv_hard_sigmoid(nan, 0.2f, 0.5f));
    gwv_store(y[2], gwv_flush(nan));
    gwv_store(y[3], gwv_clamp(nan, two, two));
    int all = isnan(gw_flush(NAN));
    for (int i = 0; i < 4; i++) all &= isnan(y[i][0]) && isnan(y[i][GW_LANES - 1]);
    check(all, "relu, hard sigmoid, flush and clamp keep NaN");
    gwv_store(y[0], gwv_activate(GW_RELU, 0.0f, 0.0f, gwv_set(-3.0f)));
    gwv_store(y[1], gwv_activate(GW_HARD_SIGMOID, 0.25f, 0.5f, gwv_set(1.0f)));
    gwv_store(y[2], gwv_activate(GW_HARD_SIGMOID, 0.25f, 0.5f, gwv_set(9.0f)));
    gwv_store(y[3], gwv_activate(GW_LINEAR, 0.0f, 0.0f, gwv_set(9.0f)));
    check(y[0][0] == 0.0f && y[1][0] == 0.75f && y[2][0] == 1.0f && y[3][0] == 9.0f, "relu, hard sigmoid, linear");
    static const float flushed[][2] = {
        {0x1.fffffep-65f, 0.0f}, {-0x1.fffffep-65f, 0.0f}, {0x1p-64f, 0x1p-64f},
        {-0x1p-64f, -0x1p-64f},  {-INFINITY, -INFINITY},
    };
    all = 1;
    for (size_t i = 0; i < sizeof flushed / sizeof *flushed; i++) {
        gwv_store(y[0], gwv_flush(gwv_set(flushed[i][0])));
        all &= same_bits(y[0][0], flushed[i][1]) && same_bits(gw_flush(flushed[i][0]), flushed[i][1]);
    }
    check(all, "flush zeroes below 2^-64 only, one float or many");
    check(gw_finite(3.4e38f) && gw_finite(-1e-45f) && !gw_finite(INFINITY) && !gw_finite(-INFINITY) && !gw_finite(-NAN),
          "finite is what is no NaN and no infinity");
}

static float apply_sqrt(float x) {
    float y[GW_LANES];
    gwv_store(y, gwv_sqrt(gwv_set(x)));
    return y[0];
}

static void check_sqrt(void) {
#if GW_FULL
    const uint32_t step = 1;
#else
    const uint32_t step = 4099;
#endif
    double greatest = 0.0;
    for (uint32_t bits = 1; bits < infinity_bits; bits += step) {
        const double x = (double)from_bits(bits);
        greatest = fmax(greatest, fabs((double)apply_sqrt((float)x) / sqrt(x) - 1.0));
    }
    check(greatest <= 1.2e-7, "sqrt: relative error %.3g, denormals included", greatest);
    check(apply_sqrt(0.0f) == 0.0f && apply_sqrt(INFINITY) == INFINITY && isnan(apply_sqrt(NAN)),
          "sqrt of 0, infinity and NaN are 0, infinity and NaN");
    check(apply_sqrt(1.0f) == 1.0f && apply_sqrt(4.0f) == 2.0f && apply_sqrt(0x1p-126f) == 0x1p-63f &&
              apply_sqrt(0x1p-140f) == 0x1p-70f,
          "sqrt of powers of 4 is exact");
}

/* On the heap and of the exact size, so that the address sanitizer sees a touch beyond it. */
static float *floats(size_t count) {
    float *p = malloc((count > 0 ? count : 1) * sizeof *p);
    if (!p) abort();
    return p;
}

static void check_tails(void) {
    int loads = 1, stores = 1;
    for (int n = 0; n <= GW_LANES; n++) {
        float *exact = floats((size_t)n), lanes[GW_LANES], wide[GW_LANES];
        for (int i = 0; i < n; i++) exact[i] = (float)(i + 1);
        gwv_store(lanes, gwv_load_n(exact, n));
        for (int i = 0; i < GW_LANES; i++) loads &= lanes[i] == (i < n ? (float)(i + 1) : 0.0f);
        gwv_store_n(exact, gwv_set(-1.0f), n);
        for (int i = 0; i < n; i++) stores &= exact[i] == -1.0f;
        for (int i = 0; i < GW_LANES; i++) wide[i] = 7.0f;
        gwv_store_n(wide, gwv_set(-1.0f), n);
        for (int i = 0; i < GW_LANES; i++) stores &= wide[i] == (i < n ? -1.0f : 7.0f);
        free(exact);
    }
    check(loads, "load_n reads n and fills up with 0");
    check(stores, "store_n writes n and no more");
}

/* ---- matrix times vector ---- */

/* Uniform in [-1, 1), by a generator of 32 bits. */
static float noise(void) {
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return (float)(int32_t)(state & 0xffffff00u) * 0x1p-31f;
}

/* Whether the sums are those of a naive loop, bit for bit, and near the truth. x and acc are not aligned. */
static int is_matvec_right(int rows, int cols, double *error) {
    const int stride = cols + 3, padded = gw_padded(rows);
    float *w = floats((size_t)rows * (size_t)stride), *x = floats((size_t)cols + 1) + 1;
    float *packed = aligned_alloc(64, ((size_t)padded * (size_t)cols * sizeof(float) + 63) / 64 * 64);
    float *acc = floats((size_t)padded + 1) + 1;
    if (!packed) abort();
    for (int i = 0; i < rows * stride; i++) w[i] = noise();
    for (int k = 0; k < cols; k++) x[k] = noise();
    for (int r = 0; r < padded; r++) acc[r] = (float)r * 0.01f;
    gw_pack_matrix(packed, w, rows, cols, stride);
    gw_matmul(acc, 0, packed, x, 0, rows, cols, 1);
    int equal = padded >= rows && padded < rows + GW_PANEL;
    for (int r = 0; r < rows; r++) {
        volatile float chain = (float)r * 0.01f; /* volatile: compiled as written */
        double truth = (double)chain, size = fabs(truth);
        for (int k = 0; k < cols; k++) {
            chain = MULTIPLY_ADD(w[r * stride + k], x[k], chain);
            truth += (double)w[r * stride + k] * (double)x[k];
            size += fabs((double)w[r * stride + k] * (double)x[k]);
        }
        equal &= same_bits(acc[r], chain);
        *error = fmax(*error, fabs((double)acc[r] - truth) / (size * (cols + 1) * 0x1p-23));
    }
    for (int r = rows; r < padded; r++) equal &= acc[r] == (float)r * 0.01f; /* weights there are 0 */
    free(w), free(x - 1), free(packed), free(acc - 1);
    return equal;
}

static void check_matvec(void) {
    const int cols[] = {1, 2, 7, 16, 33, 128};
    int equal = 1;
    double error = 0.0;
    for (size_t c = 0; c < sizeof cols / sizeof *cols; c++)
        for (int rows = 1; rows <= 30 * GW_LANES + 1; rows += rows < 70 ? 1 : 13)
            equal &= is_matvec_right(rows, cols[c], &error);
    check(equal, "matvec: one chain per row, in order");
    check(error <= 1.0, "matvec: error %.3g of the bound (cols + 1) 2^-23 sum |w x|", error);
}

/* The gradient of a matrix against a plain loop, bit for bit; nothing beyond acc is touched, and of b no more than whole
 * panels, which hold NaN beyond the columns. */
static int is_outer_right(int outputs, int cols, int rows) {
    const size_t a_stride = (size_t)outputs + 1, b_stride = (size_t)gw_padded(cols) + 2, acc_stride = (size_t)cols;
    float *a = floats((size_t)rows * a_stride), *b = floats((size_t)rows * b_stride);
    float *acc = floats((size_t)outputs * acc_stride), *sums = floats((size_t)outputs);
    for (size_t i = 0; i < (size_t)rows * a_stride; i++) a[i] = noise();
    for (size_t i = 0; i < (size_t)rows * b_stride; i++) b[i] = i % b_stride < (size_t)cols ? noise() : NAN;
    for (size_t i = 0; i < (size_t)outputs * acc_stride; i++) acc[i] = (float)i * 0.01f;
    for (int i = 0; i < outputs; i++) sums[i] = (float)i;
    gw_outer(acc, acc_stride, a, a_stride, b, b_stride, outputs, cols, rows);
    gw_add_rows(sums, a, a_stride, outputs, rows);
    int equal = 1;
    for (int i = 0; i < outputs; i++) {
        volatile float sum = (float)i; /* volatile: compiled as written */
        for (int k = 0; k < rows; k++) sum += a[(size_t)k * a_stride + (size_t)i];
        equal &= same_bits(sums[i], sum);
        for (int j = 0; j < cols; j++) {
            const size_t at = (size_t)i * acc_stride + (size_t)j;
            volatile float chain = (float)at * 0.01f;
            for (int k = 0; k < rows; k++)
                chain = MULTIPLY_ADD(b[(size_t)k * b_stride + (size_t)j], a[(size_t)k * a_stride + (size_t)i], chain);
            equal &= same_bits(acc[at], chain);
        }
    }
    free(a), free(b), free(acc), free(sums);
    return equal;
}

static void check_outer(void) {
    int equal = 1;
    for (int outputs = 1; outputs < 16; outputs++)
        for (int cols = 1; cols <= 5 * GW_LANES + 1; cols++) equal &= is_outer_right(outputs, cols, outputs % 4 * 3);
    check(equal, "outer: one chain per number, in order, and rows added up likewise");
}

static void check_peaks(void) {
    const double near = gw_read_bandwidth(16384, 0.01), far = gw_read_bandwidth(1 << 20, 0.01),
                 peak = gw_fma_peak(0.01);
    check(near > 0 && isfinite(near) && far > 0 && isfinite(far), "reads %.1f GB/s from 16 KiB, %.1f from 1 MiB",
          near * 1e-9, far * 1e-9);
    check(peak > 0 && isfinite(peak), "multiply-adds %.1f GFLOP/s", peak * 1e-9);
}

/* Not part of main, where even the entry to inlined code may need the instruction set. */
static __attribute__((noinline)) int check_all(void) {
    printf("%d lanes, panels of %d rows\n", GW_LANES, GW_PANEL);
    check_choices();
    check_sqrt();
    check_tails();
    check_matvec();
    check_outer();
    check_peaks();
    check_special_values();
    check_activations();
    return check_failures();
}

int main(void) {
    if (is_cpu_able()) return check_all();
    puts("skipped: this CPU lacks the instruction set");
    return 0;
}
