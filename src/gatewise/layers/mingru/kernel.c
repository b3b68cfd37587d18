/* Minimal gated recurrent unit: one step.
 *
 *     z  = sigmoid(W_z x + b_z)
 *     n  = act(W_n x + b_n)
 *     h' = flush(h + z (n - h))
 *
 * In this form a small z keeps its relative precision, so that h approaches n at the right speed. 1 - z would lose this
 * precision.
 *
 * Reads one edge of I values, writes h' (H). State: h (H). Rows in the order z, n.
 *
 * Order of each sum: b, then x ascending.
 */

typedef struct gw_mingru {
    int inputs, units; /* I, H */
    int act;           /* kind of activation */
    float slope, offset;
    const float *bias;   /* (2H), 0 up to a whole panel */
    const float *weight; /* (2H, I) packed */
} gw_mingru;

/* h' in n lanes from i on. Called with a constant kind where speed matters, so that there is no switch. */
static inline void mingru_update(const gw_mingru *g, int act, const float *sum, float *h, float *out, int i, int n) {
    gwv z = gwv_sigmoid(gwv_load_part(sum + i, n));
    gwv candidate = gwv_activate(act, g->slope, g->offset, gwv_load_part(sum + g->units + i, n));
    gwv before = gwv_load_part(h + i, n);
    gwv next = gwv_flush(gwv_fma(z, gwv_sub(candidate, before), before));
    gwv_store_part(h + i, next, n);
    gwv_store_part(out + i, next, n);
}

static void mingru_step(const void *layer, const gw_batch *b) {
    const gw_mingru *g = layer;
    const int H = g->units;
    const size_t stride = b->scratch_stride;
    float *sums = b->scratch; /* (2H) z, n, with room for whole panels */
    const gw_product x = {g->weight, b->in[0], b->in_stride[0], g->inputs};
    gw_affine(sums, stride, g->bias, x, 2 * H, b->count);
    for (int s = 0; s < b->count; s++) {
        const float *sum = sums + (size_t)s * stride;
        float *h = b->state + (size_t)s * b->state_stride, *out = b->out + (size_t)s * b->out_stride;
        if (g->act == GW_LINEAR)
            GW_EACH(H, mingru_update(g, GW_LINEAR, sum, h, out, i, n));
        else
            GW_EACH(H, mingru_update(g, g->act, sum, h, out, i, n));
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

typedef struct mingru_parts {
    gw_mingru *g;
    float *bias, *weight;
} mingru_parts;

static mingru_parts mingru_take(const gw_place *place, gw_room *room) {
    const int H = place->out;
    mingru_parts p = {
        .g = gw_take(room, 1, sizeof(gw_mingru)),
        .bias = gw_take(room, (size_t)gw_padded(2 * H), sizeof(float)),
        .weight = gw_take_matrix(room, 2 * H, place->in[0]),
    };
    return p;
}

static gw_status mingru_check(const gw_place *place, gw_room *room, gw_need *need) {
    GW_TRY(gw_expect_counts(place, 1, GW_MINGRU_OPTIONS, GW_MINGRU_TENSORS));
    const size_t H = (size_t)place->out, I = (size_t)place->in[0];
    GW_TRY(gw_expect_activation(place, GW_MINGRU_ACTIVATION, 0));
    GW_TRY(gw_expect_tensor(place, GW_MINGRU_WEIGHT_IH, 2 * H, I));
    GW_TRY(gw_expect_tensor(place, GW_MINGRU_BIAS_IH, 2 * H, 1));
    mingru_take(place, room);
    need->state = H;
    need->scratch = (size_t)gw_padded(2 * place->out);
    need->macs = 2 * (uint64_t)H * (uint64_t)I;
    return GW_OK;
}

static const void *mingru_pack(const gw_place *place, gw_room *room) {
    const mingru_parts p = mingru_take(place, room);
    const gw_tensor *t = place->node->tensors;
    const float *o = place->node->options;
    const int H = place->out, I = place->in[0];
    for (int i = 0; i < gw_padded(2 * H); i++) p.bias[i] = i < 2 * H ? t[GW_MINGRU_BIAS_IH].data[i] : 0.0f;
    gw_pack_matrix(p.weight, t[GW_MINGRU_WEIGHT_IH].data, 2 * H, I, I);
    *p.g = (gw_mingru){
        .inputs = I,
        .units = H,
        .act = (int)o[GW_MINGRU_ACTIVATION],
        .slope = o[GW_MINGRU_ACTIVATION_ALPHA],
        .offset = o[GW_MINGRU_ACTIVATION_BETA],
        .bias = p.bias,
        .weight = p.weight,
    };
    return p.g;
}

static const gw_kernel gw_kernel_mingru = {
    .kind = "mingru",
    .check = mingru_check,
    .pack = mingru_pack,
    .step = mingru_step,
};

#endif
