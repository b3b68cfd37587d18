/* Minimal long short-term memory: one step.
 *
 *     f  = sigmoid(u), u = W_f x + b_f
 *     i  = sigmoid(v), v = W_i x + b_i
 *     n  = act(W_n x + b_n)
 *     i' = i / (f + i)
 *     h' = flush(h + i' (n - h))                           = f' h + i' n with f' = f / (f + i) = 1 - i'
 *
 * f and i may both underflow. The numerator and the denominator are therefore multiplied by (1 + exp(-u)) (1 +
 * exp(-v)), and, as in a softmax, by exp(-m) with m = max(0, -u, -v):
 *
 *     i' = (exp(-m) + exp(-u - m)) / (exp(-m) + exp(-u - m) + exp(-m) + exp(-v - m))
 *
 * Then no exponential overflows, the denominator is between 1 and 4, and nothing is subtracted. A small i' keeps its
 * relative precision, so that h approaches n at the right speed.
 *
 * Reads one edge of I values, writes h' (H). State: h (H). Rows in the order f, i, n.
 *
 * Order of each sum: b, then x ascending.
 */

typedef struct gw_minlstm {
    int inputs, units; /* I, H */
    int act;           /* kind of activation */
    float slope, offset;
    const float *bias;   /* (3H), 0 up to a whole panel */
    const float *weight; /* (3H, I) packed */
} gw_minlstm;

/* i' as a function of u and v. */
static inline gwv minlstm_taken(gwv u, gwv v) {
    const gwv zero = gwv_set(0.0f), f = gwv_sub(zero, u), i = gwv_sub(zero, v);
    const gwv m = gwv_most(zero, gwv_most(f, i)), one = gwv_exp(gwv_sub(zero, m));
    const gwv take = gwv_add(one, gwv_exp(gwv_sub(f, m))), keep = gwv_add(one, gwv_exp(gwv_sub(i, m)));
    return gwv_div(take, gwv_add(take, keep));
}

/* h' in n lanes from i on. Called with a constant kind where speed matters, so that there is no switch. */
static inline void minlstm_update(const gw_minlstm *g, int act, const float *sum, float *h, float *out, int i, int n) {
    const int H = g->units;
    gwv taken = minlstm_taken(gwv_load_part(sum + i, n), gwv_load_part(sum + H + i, n));
    gwv candidate = gwv_activate(act, g->slope, g->offset, gwv_load_part(sum + 2 * H + i, n));
    gwv before = gwv_load_part(h + i, n);
    gwv next = gwv_flush(gwv_fma(taken, gwv_sub(candidate, before), before));
    gwv_store_part(h + i, next, n);
    gwv_store_part(out + i, next, n);
}

static void minlstm_step(const void *layer, const gw_batch *b) {
    const gw_minlstm *g = layer;
    const int H = g->units;
    const size_t stride = b->scratch_stride;
    float *sums = b->scratch; /* (3H) f, i, n, with room for whole panels */
    const gw_product x = {g->weight, b->in[0], b->in_stride[0], g->inputs};
    gw_affine(sums, stride, g->bias, x, 3 * H, b->count);
    for (int s = 0; s < b->count; s++) {
        const float *sum = sums + (size_t)s * stride;
        float *h = b->state + (size_t)s * b->state_stride, *out = b->out + (size_t)s * b->out_stride;
        if (g->act == GW_LINEAR)
            GW_EACH(H, minlstm_update(g, GW_LINEAR, sum, h, out, i, n));
        else
            GW_EACH(H, minlstm_update(g, g->act, sum, h, out, i, n));
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

typedef struct minlstm_parts {
    gw_minlstm *g;
    float *bias, *weight;
} minlstm_parts;

static minlstm_parts minlstm_take(const gw_place *place, gw_room *room) {
    const int H = place->out;
    minlstm_parts p = {
        .g = gw_take(room, 1, sizeof(gw_minlstm)),
        .bias = gw_take(room, (size_t)gw_padded(3 * H), sizeof(float)),
        .weight = gw_take_matrix(room, 3 * H, place->in[0]),
    };
    return p;
}

static gw_status minlstm_check(const gw_place *place, gw_room *room, gw_need *need) {
    GW_TRY(gw_expect_counts(place, 1, GW_MINLSTM_OPTIONS, GW_MINLSTM_TENSORS));
    const size_t H = (size_t)place->out, I = (size_t)place->in[0];
    GW_TRY(gw_expect_activation(place, GW_MINLSTM_ACTIVATION, 0));
    GW_TRY(gw_expect_tensor(place, GW_MINLSTM_WEIGHT_IH, 3 * H, I));
    GW_TRY(gw_expect_tensor(place, GW_MINLSTM_BIAS_IH, 3 * H, 1));
    minlstm_take(place, room);
    need->state = H;
    need->scratch = (size_t)gw_padded(3 * place->out);
    need->macs = 3 * (uint64_t)H * (uint64_t)I;
    return GW_OK;
}

static const void *minlstm_pack(const gw_place *place, gw_room *room) {
    const minlstm_parts p = minlstm_take(place, room);
    const gw_tensor *t = place->node->tensors;
    const float *o = place->node->options;
    const int H = place->out, I = place->in[0];
    for (int i = 0; i < gw_padded(3 * H); i++) p.bias[i] = i < 3 * H ? t[GW_MINLSTM_BIAS_IH].data[i] : 0.0f;
    gw_pack_matrix(p.weight, t[GW_MINLSTM_WEIGHT_IH].data, 3 * H, I, I);
    *p.g = (gw_minlstm){
        .inputs = I,
        .units = H,
        .act = (int)o[GW_MINLSTM_ACTIVATION],
        .slope = o[GW_MINLSTM_ACTIVATION_ALPHA],
        .offset = o[GW_MINLSTM_ACTIVATION_BETA],
        .bias = p.bias,
        .weight = p.weight,
    };
    return p.g;
}

static const gw_kernel gw_kernel_minlstm = {
    .kind = "minlstm",
    .check = minlstm_check,
    .pack = minlstm_pack,
    .step = minlstm_step,
};

#endif
