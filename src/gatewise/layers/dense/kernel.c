/* Fully connected layer: one step.
 *
 *     y = act(W x + b)
 *     softmax: y_i = exp(a_i - max a) / sum_j exp(a_j - max a), summed with j ascending
 *
 * Reads one edge of I values, writes y (U). No state.
 */

typedef struct gw_dense {
    int inputs, units; /* I, U */
    int act;           /* kind of activation */
    float slope, offset;
    const float *bias;   /* (U), 0 up to a whole panel */
    const float *weight; /* (U, I) packed */
} gw_dense;

/* out = softmax(a). Overwrites a (count). */
static void dense_softmax(float *out, float *a, int count) {
    float most = a[0], sum = 0.0f;
    for (int i = 1; i < count; i++) most = a[i] > most ? a[i] : most;
    for (int i = 0; i < count; i += GW_LANES) {
        int n = count - i < GW_LANES ? count - i : GW_LANES;
        gwv_store_n(a + i, gwv_exp(gwv_sub(gwv_load_n(a + i, n), gwv_set(most))), n);
    }
    for (int i = 0; i < count; i++) sum += a[i];
    for (int i = 0; i < count; i++) out[i] = a[i] / sum;
}

static void dense_step(const void *layer, const gw_batch *b) {
    const gw_dense *d = layer;
    const int U = d->units;
    const size_t stride = b->scratch_stride;
    const gw_product x = {d->weight, b->in[0], b->in_stride[0], d->inputs};
    gw_affine(b->scratch, stride, d->bias, x, U, b->count); /* a (U), with room for whole panels */
    for (int s = 0; s < b->count; s++) {
        float *a = b->scratch + (size_t)s * stride, *out = b->out + (size_t)s * b->out_stride;
        if (d->act == GW_SOFTMAX) {
            dense_softmax(out, a, U);
            continue;
        }
        int i = 0;
        for (; i + GW_LANES <= U; i += GW_LANES)
            gwv_store(out + i, gwv_activate(d->act, d->slope, d->offset, gwv_load(a + i)));
        if (i < U) gwv_store_n(out + i, gwv_activate(d->act, d->slope, d->offset, gwv_load_n(a + i, U - i)), U - i);
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

typedef struct dense_parts {
    gw_dense *d;
    float *bias, *weight;
} dense_parts;

static dense_parts dense_take(const gw_place *place, gw_room *room) {
    dense_parts p = {
        .d = gw_take(room, 1, sizeof(gw_dense)),
        .bias = gw_take(room, (size_t)gw_padded(place->out), sizeof(float)),
        .weight = gw_take_matrix(room, place->out, place->in[0]),
    };
    return p;
}

static gw_status dense_check(const gw_place *place, gw_room *room, gw_need *need) {
    GW_TRY(gw_expect_counts(place, 1, GW_DENSE_OPTIONS, GW_DENSE_TENSORS));
    GW_TRY(gw_expect_activation(place, GW_DENSE_ACTIVATION, 1));
    GW_TRY(gw_expect_tensor(place, GW_DENSE_WEIGHT, (size_t)place->out, (size_t)place->in[0]));
    GW_TRY(gw_expect_tensor(place, GW_DENSE_BIAS, (size_t)place->out, 1));
    dense_take(place, room);
    need->scratch = (size_t)gw_padded(place->out);
    need->macs = (uint64_t)place->out * (uint64_t)place->in[0];
    return GW_OK;
}

static const void *dense_pack(const gw_place *place, gw_room *room) {
    const dense_parts p = dense_take(place, room);
    const gw_tensor *t = place->node->tensors;
    const float *o = place->node->options;
    const int U = place->out, I = place->in[0];
    for (int i = 0; i < gw_padded(U); i++) p.bias[i] = i < U ? t[GW_DENSE_BIAS].data[i] : 0.0f;
    gw_pack_matrix(p.weight, t[GW_DENSE_WEIGHT].data, U, I, I);
    *p.d = (gw_dense){
        .inputs = I,
        .units = U,
        .act = (int)o[GW_DENSE_ACTIVATION],
        .slope = o[GW_DENSE_ACTIVATION_ALPHA],
        .offset = o[GW_DENSE_ACTIVATION_BETA],
        .bias = p.bias,
        .weight = p.weight,
    };
    return p.d;
}

static const gw_kernel gw_kernel_dense = {
    .kind = "dense",
    .check = dense_check,
    .pack = dense_pack,
    .step = dense_step,
};

#endif
