/* Real-gated linear recurrent unit: one step.
 *
 *     r  = sigmoid(W_r x + b_r)
 *     i  = sigmoid(W_i x + b_i)
 *     v  = W_v x + b_v
 *     a  = exp(-rate r)                                    rate = 8 softplus(decay)
 *     e  = 1 - a                                           signed: 1 - (2 a - 1) = 2 (1 - a)
 *     h' = flush(h - e h + sqrt(e (1 + a)) (i v))          signed: sqrt(e 2 a)
 *
 * The kernel computes e rather than a. If a is nearly 1, then 1 - a^2 = e (1 + a) and the decay of h keep their
 * relative precision, which they would lose if they were computed from a as a float.
 *
 * Reads one edge of I values, writes h' (H). State: h (H). Rows in the order r, i, v.
 *
 * Order of each sum: b, then x ascending.
 */

typedef struct gw_rglru {
    int inputs, units; /* I, H */
    int is_signed;
    const float *bias;   /* (3H), 0 up to a whole panel */
    const float *rate;   /* (H) */
    const float *weight; /* (3H, I) packed */
} gw_rglru;

/* h' in n lanes from i on. Called with a constant is_signed, so that there is no branch. */
static inline void rglru_update(const gw_rglru *g, int is_signed, const float *sum, float *h, float *out, int i,
                                int n) {
    const int H = g->units;
    gwv y = gwv_mul(gwv_load_part(g->rate + i, n), gwv_sigmoid(gwv_load_part(sum + i, n)));
    gwv into = gwv_mul(gwv_sigmoid(gwv_load_part(sum + H + i, n)), gwv_load_part(sum + 2 * H + i, n));
    gwv e = gwv_saturate(y), one_plus_a = gwv_sub(gwv_set(2.0f), e);
    if (is_signed) {
        gwv a = gwv_exp(gwv_sub(gwv_set(0.0f), y));
        e = gwv_add(e, e), one_plus_a = gwv_add(a, a); /* those of 2 a - 1 instead of a */
    }
    gwv before = gwv_load_part(h + i, n), root = gwv_sqrt(gwv_mul(e, one_plus_a));
    gwv kept = gwv_fma(gwv_sub(gwv_set(0.0f), e), before, before);
    gwv next = gwv_flush(gwv_fma(root, into, kept));
    gwv_store_part(h + i, next, n);
    gwv_store_part(out + i, next, n);
}

static void rglru_step(const void *layer, const gw_batch *b) {
    const gw_rglru *g = layer;
    const int H = g->units;
    const size_t stride = b->scratch_stride;
    float *sums = b->scratch; /* (3H) r, i, v, with room for whole panels */
    const gw_product x = {g->weight, b->in[0], b->in_stride[0], g->inputs};
    gw_affine(sums, stride, g->bias, x, 3 * H, b->count);
    for (int s = 0; s < b->count; s++) {
        const float *sum = sums + (size_t)s * stride;
        float *h = b->state + (size_t)s * b->state_stride, *out = b->out + (size_t)s * b->out_stride;
        if (g->is_signed)
            GW_EACH(H, rglru_update(g, 1, sum, h, out, i, n));
        else
            GW_EACH(H, rglru_update(g, 0, sum, h, out, i, n));
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

#include <math.h>

typedef struct rglru_parts {
    gw_rglru *g;
    float *bias, *rate, *weight;
} rglru_parts;

static rglru_parts rglru_take(const gw_place *place, gw_room *room) {
    const int H = place->out;
    rglru_parts p = {
        .g = gw_take(room, 1, sizeof(gw_rglru)),
        .bias = gw_take(room, (size_t)gw_padded(3 * H), sizeof(float)),
        .rate = gw_take(room, (size_t)H, sizeof(float)),
        .weight = gw_take_matrix(room, 3 * H, place->in[0]),
    };
    return p;
}

/* 8 softplus(decay), computed in double without overflow. Rates above FLT_MAX have the same effect as FLT_MAX. */
static float rglru_rate(float decay) {
    const double d = (double)decay, rate = 8.0 * (fmax(d, 0.0) + log1p(exp(-fabs(d))));
    return (float)fmin(rate, 0x1.fffffep127);
}

static gw_status rglru_check(const gw_place *place, gw_room *room, gw_need *need) {
    GW_TRY(gw_expect_counts(place, 1, GW_RGLRU_OPTIONS, GW_RGLRU_TENSORS));
    const size_t H = (size_t)place->out, I = (size_t)place->in[0];
    GW_TRY(gw_expect_option(place, GW_RGLRU_SIGNED, 1));
    GW_TRY(gw_expect_tensor(place, GW_RGLRU_WEIGHT_IH, 3 * H, I));
    GW_TRY(gw_expect_tensor(place, GW_RGLRU_BIAS_IH, 3 * H, 1));
    GW_TRY(gw_expect_tensor(place, GW_RGLRU_DECAY, H, 1));
    rglru_take(place, room);
    need->state = H;
    need->scratch = (size_t)gw_padded(3 * place->out);
    need->macs = 3 * (uint64_t)H * (uint64_t)I;
    return GW_OK;
}

static const void *rglru_pack(const gw_place *place, gw_room *room) {
    const rglru_parts p = rglru_take(place, room);
    const gw_tensor *t = place->node->tensors;
    const int H = place->out, I = place->in[0];
    for (int i = 0; i < gw_padded(3 * H); i++) p.bias[i] = i < 3 * H ? t[GW_RGLRU_BIAS_IH].data[i] : 0.0f;
    for (int i = 0; i < H; i++) p.rate[i] = rglru_rate(t[GW_RGLRU_DECAY].data[i]);
    gw_pack_matrix(p.weight, t[GW_RGLRU_WEIGHT_IH].data, 3 * H, I, I);
    *p.g = (gw_rglru){
        .inputs = I,
        .units = H,
        .is_signed = place->node->options[GW_RGLRU_SIGNED] != 0.0f,
        .bias = p.bias,
        .rate = p.rate,
        .weight = p.weight,
    };
    return p.g;
}

static const gw_kernel gw_kernel_rglru = {
    .kind = "rglru",
    .check = rglru_check,
    .pack = rglru_pack,
    .step = rglru_step,
};

#endif
