/* The numbers of the activations. They have a header of their own because the primitives use them on devices without
 * gatewise.h.
 *
 * Each activation has two parameters, alpha and beta, and ignores those that its formula does not name. Only the kind
 * dense accepts GW_SOFTMAX. */
#ifndef GATEWISE_ACTIVATIONS_H
#define GATEWISE_ACTIVATIONS_H

enum {
    GW_LINEAR = 0,           /* x */
    GW_RELU = 1,             /* max(0, x) */
    GW_TANH = 2,             /* tanh(x) */
    GW_SIGMOID = 3,          /* 1 / (1 + exp(-x)) */
    GW_SOFTMAX = 4,          /* exp(x) / sum exp(x), over all outputs */
    GW_HARD_SIGMOID = 5,     /* min(1, max(0, alpha x + beta)) */
    GW_AFFINE = 6,           /* alpha x + beta */
    GW_LEAKY_RELU = 7,       /* x if x > 0, else alpha x */
    GW_THRESHOLDED_RELU = 8, /* x if x > alpha, else 0 */
    GW_SCALED_TANH = 9,      /* alpha tanh(beta x) */
    GW_ELU = 10,             /* x if x > 0, else alpha (exp(x) - 1) */
    GW_SELU = 11,            /* 1.0507 x if x > 0, else 1.0507 * 1.6733 (exp(x) - 1) */
    GW_SOFTSIGN = 12,        /* x / (1 + |x|) */
    GW_SOFTPLUS = 13,        /* log(1 + exp(x)) */
    GW_SILU = 14,            /* x sigmoid(x) */
    GW_GELU = 15,            /* x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2 */
    GW_EXPONENTIAL = 16,     /* exp(x) */
    GW_GELU_TANH = 17,       /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
    GW_RELU6 = 18,           /* min(6, max(0, x)) */
    GW_HARD_TANH = 19,       /* min(1, max(-1, x)) */
    GW_HARD_SILU = 20,       /* x min(6, max(0, x + 3)) / 6 */
    GW_MISH = 21,            /* x tanh(softplus(x)) */
    GW_LOG_SIGMOID = 22,     /* log(sigmoid(x)) */
    GW_ACTIVATION_COUNT
};

#endif
