/* Gated recurrent unit: one step.
 *
 *     r  = gate(W_ir x + b_ir + W_hr h + b_hr)
 *     z  = gate(W_iz x + b_iz + W_hz h + b_hz)
 *     n  = act(W_in x + b_in + r * (W_hn h + b_hn))        reset after
 *     n  = act(W_in x + b_in + W_hn (r * h) + b_hn)        reset before
 *     h' = flush(n + z * (h - n))
 *
 * Reads one edge of I values, writes h' (H). State: h (H). Gates in the order r, z, n.
 *
 * Order of each sum: r and z begin with b_i + b_h (rounded once), then x ascending, then h ascending. With reset after,
 * n has two sums: b_in then x, and b_hn then h. With reset before, n has one sum: b_in + b_hn, then x, then r * h.
 */

typedef struct gw_gru {
    int inputs, units; /* I, H */
    int before;        /* reset before the recurrent matrix */
    int gate, act;     /* kinds of activation */
    float gate_slope, gate_offset, act_slope, act_offset;
    float clip;            /* 0: none */
    const float *bias;     /* (3H) initial values of the sums of r, z, n; zeros up to a whole panel */
    const float *bias_n;   /* (H) b_hn */
    const float *weight_x; /* (3H, I) packed */
    const float *weight_h; /* (3H, H) packed; with reset before (2H, H): r and z */
    const float *weight_n; /* with reset before (H, H) packed: n */
} gw_gru;

static inline void gru_copy(float *to, const float *from, int count) {
    GW_EACH(count, gwv_store_part(to + i, gwv_load_part(from + i, n), n));
}

/* r, z, n and h' in n lanes from i on. Called with constant kinds where speed matters, so that there is no switch. */
static inline void gru_gates(const gw_gru *g, int gate, int act, float clip, const float *sum, const float *sum_n,
                             float *h, float *out, int i, int n) {
    const int H = g->units;
    gwv z = gwv_activate(gate, g->gate_slope, g->gate_offset, gwv_within(clip, gwv_load_part(sum + H + i, n)));
    gwv a = gwv_load_part(sum_n + i, n);
    if (!g->before) {
        gwv r = gwv_activate(gate, g->gate_slope, g->gate_offset, gwv_within(clip, gwv_load_part(sum + i, n)));
        a = gwv_fma(r, gwv_load_part(sum + 2 * H + i, n), a);
    }
    a = gwv_activate(act, g->act_slope, g->act_offset, gwv_within(clip, a));
    gwv next = gwv_flush(gwv_fma(z, gwv_sub(gwv_load_part(h + i, n), a), a));
    gwv_store_part(h + i, next, n);
    gwv_store_part(out + i, next, n);
}

static inline void gru_update(const gw_gru *g, int gate, int act, float clip, const float *sum, const float *sum_n,
                              float *h, float *out) {
    GW_EACH(g->units, gru_gates(g, gate, act, clip, sum, sum_n, h, out, i, n));
}

static void gru_step(const void *layer, const gw_batch *b) {
    const gw_gru *g = layer;
    const int H = g->units, wide = gw_padded(3 * H), narrow = gw_padded(H);
    const size_t stride = b->scratch_stride;
    float *sums = b->scratch;       /* (3H) r, z, n, with room for whole panels */
    float *sums_n = sums + wide;    /* (H) the sum of n that begins with x */
    float *reset = sums_n + narrow; /* (H) r * h, with reset before */
    const gw_product x = {g->weight_x, b->in[0], b->in_stride[0], g->inputs};
    gw_affine(sums, stride, g->bias, x, 3 * H, b->count);
    for (int s = 0; s < b->count; s++) {
        float *sum = sums + (size_t)s * stride, *sum_n = sums_n + (size_t)s * stride;
        gru_copy(sum_n, sum + 2 * H, H);
        if (g->before)
            for (int i = H; i < narrow; i++) sum_n[i] = 0.0f;
        else
            gru_copy(sum + 2 * H, g->bias_n, H);
    }
    if (g->before) {
        gw_matmul(sums, stride, g->weight_h, b->state, b->state_stride, 2 * H, H, b->count);
        for (int s = 0; s < b->count; s++) {
            const float *sum = sums + (size_t)s * stride, *h = b->state + (size_t)s * b->state_stride;
            float *rh = reset + (size_t)s * stride;
            for (int i = 0; i < H; i += GW_LANES) {
                int n = H - i < GW_LANES ? H - i : GW_LANES;
                gwv a = gwv_within(g->clip, gwv_load_part(sum + i, n));
                gwv r = gwv_activate(g->gate, g->gate_slope, g->gate_offset, a);
                gwv_store_part(rh + i, gwv_mul(r, gwv_load_part(h + i, n)), n);
            }
        }
        gw_matmul(sums_n, stride, g->weight_n, reset, stride, H, H, b->count);
    } else {
        gw_matmul(sums, stride, g->weight_h, b->state, b->state_stride, 3 * H, H, b->count);
    }
    for (int s = 0; s < b->count; s++) {
        const float *sum = sums + (size_t)s * stride, *sum_n = sums_n + (size_t)s * stride;
        float *h = b->state + (size_t)s * b->state_stride, *out = b->out + (size_t)s * b->out_stride;
        if (g->gate == GW_SIGMOID && g->act == GW_TANH && g->clip <= 0.0f)
            gru_update(g, GW_SIGMOID, GW_TANH, 0.0f, sum, sum_n, h, out);
        else
            gru_update(g, g->gate, g->act, g->clip, sum, sum_n, h, out);
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

typedef struct gru_parts {
    gw_gru *g;
    float *bias, *bias_n, *weight_x, *weight_h, *weight_n;
} gru_parts;

static gru_parts gru_take(const gw_place *place, gw_room *room) {
    const int H = place->out, I = place->in[0], before = place->node->options[GW_GRU_RESET] != 0.0f;
    gru_parts p = {
        .g = gw_take(room, 1, sizeof(gw_gru)),
        .bias = gw_take(room, (size_t)gw_padded(3 * H), sizeof(float)),
        .bias_n = gw_take(room, (size_t)H, sizeof(float)),
        .weight_x = gw_take_matrix(room, 3 * H, I),
        .weight_h = gw_take_matrix(room, before ? 2 * H : 3 * H, H),
        .weight_n = before ? gw_take_matrix(room, H, H) : NULL,
    };
    return p;
}

static gw_status gru_check(const gw_place *place, gw_room *room, gw_need *need) {
    GW_TRY(gw_expect_counts(place, 1, GW_GRU_OPTIONS, GW_GRU_TENSORS));
    const int H = place->out, I = place->in[0];
    GW_TRY(gw_expect_option(place, GW_GRU_RESET, 1));
    GW_TRY(gw_expect_activation(place, GW_GRU_GATE_ACTIVATION, 0));
    GW_TRY(gw_expect_activation(place, GW_GRU_ACTIVATION, 0));
    GW_TRY(gw_expect_bound(place, GW_GRU_CLIP));
    GW_TRY(gw_expect_tensor(place, GW_GRU_WEIGHT_IH, 3 * (size_t)H, (size_t)I));
    GW_TRY(gw_expect_tensor(place, GW_GRU_WEIGHT_HH, 3 * (size_t)H, (size_t)H));
    GW_TRY(gw_expect_tensor(place, GW_GRU_BIAS_IH, 3 * (size_t)H, 1));
    GW_TRY(gw_expect_tensor(place, GW_GRU_BIAS_HH, 3 * (size_t)H, 1));
    gru_take(place, room);
    need->state = (size_t)H;
    need->scratch = (size_t)(gw_padded(3 * H) + gw_padded(H) + H);
    need->macs = 3 * (uint64_t)H * (uint64_t)(I + H);
    return GW_OK;
}

static const void *gru_pack(const gw_place *place, gw_room *room) {
    const gru_parts p = gru_take(place, room);
    const gw_tensor *t = place->node->tensors;
    const float *o = place->node->options;
    const int H = place->out, I = place->in[0], before = o[GW_GRU_RESET] != 0.0f;
    const float *weight_hh = t[GW_GRU_WEIGHT_HH].data;
    const float *bias_ih = t[GW_GRU_BIAS_IH].data, *bias_hh = t[GW_GRU_BIAS_HH].data;
    for (int i = 0; i < gw_padded(3 * H); i++)
        p.bias[i] = i >= 3 * H ? 0.0f : before || i < 2 * H ? bias_ih[i] + bias_hh[i] : bias_ih[i];
    memcpy(p.bias_n, bias_hh + 2 * H, (size_t)H * sizeof(float));
    gw_pack_matrix(p.weight_x, t[GW_GRU_WEIGHT_IH].data, 3 * H, I, I);
    gw_pack_matrix(p.weight_h, weight_hh, before ? 2 * H : 3 * H, H, H);
    if (before) gw_pack_matrix(p.weight_n, weight_hh + 2 * (size_t)H * (size_t)H, H, H, H);
    *p.g = (gw_gru){
        .inputs = I,
        .units = H,
        .before = before,
        .gate = (int)o[GW_GRU_GATE_ACTIVATION],
        .act = (int)o[GW_GRU_ACTIVATION],
        .gate_slope = o[GW_GRU_GATE_ACTIVATION_ALPHA],
        .gate_offset = o[GW_GRU_GATE_ACTIVATION_BETA],
        .act_slope = o[GW_GRU_ACTIVATION_ALPHA],
        .act_offset = o[GW_GRU_ACTIVATION_BETA],
        .clip = o[GW_GRU_CLIP],
        .bias = p.bias,
        .bias_n = p.bias_n,
        .weight_x = p.weight_x,
        .weight_h = p.weight_h,
        .weight_n = p.weight_n,
    };
    return p.g;
}

static const gw_kernel gw_kernel_gru = {.kind = "gru", .check = gru_check, .pack = gru_pack, .step = gru_step};

#endif
