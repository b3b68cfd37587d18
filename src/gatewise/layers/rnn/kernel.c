/* Plain recurrent layer: one step.
 *
 *     h' = flush(act(W_ih x + b_ih + W_hh h + b_hh))
 *
 * The argument of act is first limited to the clip, if there is one.
 *
 * Reads one edge of I values, writes h' (H). State: h (H).
 *
 * Order of each sum: b_ih + b_hh (rounded once), then x ascending, then h ascending.
 */

typedef struct gw_rnn {
    int inputs, units; /* I, H */
    int act;           /* kind of activation */
    float act_a, act_b, clip;
    const float *bias;     /* (H), 0 up to a whole panel */
    const float *weight_x; /* (H, I) packed */
    const float *weight_h; /* (H, H) packed */
} gw_rnn;

/* h'. Called with a constant act and clip where speed matters, so that there is no switch. */
static inline void rnn_update(const gw_rnn *r, int act, float clip, const float *sum, float *h, float *out) {
    GW_EACH(r->units, {
        gwv a = gwv_within(clip, gwv_load_part(sum + i, n));
        a = gwv_flush(gwv_activate(act, r->act_a, r->act_b, a));
        gwv_store_part(h + i, a, n);
        gwv_store_part(out + i, a, n);
    });
}

static void rnn_step(const void *layer, const gw_batch *b) {
    const gw_rnn *r = layer;
    const int H = r->units;
    const size_t stride = b->scratch_stride;
    float *sums = b->scratch; /* (H), with room for whole panels */
    const gw_product x = {r->weight_x, b->in[0], b->in_stride[0], r->inputs};
    const gw_product before = {r->weight_h, b->state, b->state_stride, H};
    gw_affine_2(sums, stride, r->bias, x, before, H, b->count);
    for (int s = 0; s < b->count; s++) {
        const float *sum = sums + (size_t)s * stride;
        float *h = b->state + (size_t)s * b->state_stride, *out = b->out + (size_t)s * b->out_stride;
        if (r->act == GW_TANH && r->clip <= 0.0f)
            rnn_update(r, GW_TANH, 0.0f, sum, h, out);
        else
            rnn_update(r, r->act, r->clip, sum, h, out);
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

typedef struct rnn_parts {
    gw_rnn *r;
    float *bias, *weight_x, *weight_h;
} rnn_parts;

static rnn_parts rnn_take(const gw_place *place, gw_room *room) {
    const int H = place->out, I = place->in[0];
    rnn_parts p = {
        .r = gw_take(room, 1, sizeof(gw_rnn)),
        .bias = gw_take(room, (size_t)gw_padded(H), sizeof(float)),
        .weight_x = gw_take_matrix(room, H, I),
        .weight_h = gw_take_matrix(room, H, H),
    };
    return p;
}

static gw_status rnn_check(const gw_place *place, gw_room *room, gw_need *need) {
    GW_TRY(gw_expect_counts(place, 1, GW_RNN_OPTIONS, GW_RNN_TENSORS));
    const size_t H = (size_t)place->out, I = (size_t)place->in[0];
    GW_TRY(gw_expect_activation(place, GW_RNN_ACTIVATION, 0));
    GW_TRY(gw_expect_bound(place, GW_RNN_CLIP));
    GW_TRY(gw_expect_tensor(place, GW_RNN_WEIGHT_IH, H, I));
    GW_TRY(gw_expect_tensor(place, GW_RNN_WEIGHT_HH, H, H));
    GW_TRY(gw_expect_tensor(place, GW_RNN_BIAS_IH, H, 1));
    GW_TRY(gw_expect_tensor(place, GW_RNN_BIAS_HH, H, 1));
    rnn_take(place, room);
    need->state = H;
    need->scratch = (size_t)gw_padded(place->out);
    need->macs = (uint64_t)H * (uint64_t)(I + H);
    return GW_OK;
}

static const void *rnn_pack(const gw_place *place, gw_room *room) {
    const rnn_parts p = rnn_take(place, room);
    const gw_tensor *t = place->node->tensors;
    const float *o = place->node->options;
    const int H = place->out, I = place->in[0];
    const float *bias_ih = t[GW_RNN_BIAS_IH].data, *bias_hh = t[GW_RNN_BIAS_HH].data;
    for (int i = 0; i < gw_padded(H); i++) p.bias[i] = i < H ? bias_ih[i] + bias_hh[i] : 0.0f;
    gw_pack_matrix(p.weight_x, t[GW_RNN_WEIGHT_IH].data, H, I, I);
    gw_pack_matrix(p.weight_h, t[GW_RNN_WEIGHT_HH].data, H, H, H);
    *p.r = (gw_rnn){
        .inputs = I,
        .units = H,
        .act = (int)o[GW_RNN_ACTIVATION],
        .act_a = o[GW_RNN_ACTIVATION_ALPHA],
        .act_b = o[GW_RNN_ACTIVATION_BETA],
        .clip = o[GW_RNN_CLIP],
        .bias = p.bias,
        .weight_x = p.weight_x,
        .weight_h = p.weight_h,
    };
    return p.r;
}

static const gw_kernel gw_kernel_rnn = {.kind = "rnn", .check = rnn_check, .pack = rnn_pack, .step = rnn_step};

#endif
