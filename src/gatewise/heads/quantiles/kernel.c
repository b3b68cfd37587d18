/* Quantile forecasts at several horizons: one step.
 *
 *     o = sort(a), ascending, separately for each target and horizon
 *     v = (base + sigma * o) * scale + offset
 *     y = max(least, min(largest, v)); if the column is read as log(1 + x), with expm1(min(v, 88)) for v
 *
 * base is the scaled reading of the target with anchor, else its mean over the window, or 0 without moments. sigma is
 * its standard deviation over the window, or 1 without moments. Rounding, expm1 and the bounds keep the order, so that
 * quantiles do not cross.
 *
 * Reads a (K H Q, q fastest), the scaled input z (W) and, optionally, moments (V means, then V deviations, V <= W).
 * Writes K H Q values. No state.
 */

typedef struct gw_quantiles {
    int targets, each, quantiles; /* K, H Q, Q */
    int anchor, moments;          /* moments: V, or 0 without moments */
    const float *offset, *scale;  /* (K) each */
    const int *column;            /* (K) */
    const float *guides;          /* (K, 3): gw_quantiles_guides; NULL without bounds and transforms */
} gw_quantiles;

/* Sorts one horizon of one target; insertion sort, because there are few quantiles. */
static void quantiles_sort(float *out, const float *a, int count) {
    for (int i = 0; i < count; i++) {
        int at = i;
        for (; at > 0 && out[at - 1] > a[i]; at--) out[at] = out[at - 1];
        out[at] = a[i];
    }
}

/* Converts answers back to the units of the column and limits them to its bounds. */
static void quantiles_guide(float *out, int count, const float *guide) {
    const gwv least = gwv_set(guide[0]), largest = gwv_set(guide[1]);
    for (int i = 0; i < count; i += GW_LANES) {
        gwv v = gwv_load_n(out + i, count - i < GW_LANES ? count - i : GW_LANES);
        if (guide[2] != 0.0f) v = gwv_expm1(v);
        gwv_store_n(out + i, gwv_clamp(v, least, largest), count - i < GW_LANES ? count - i : GW_LANES);
    }
}

static void quantiles_step(const void *layer, const gw_batch *b) {
    const gw_quantiles *q = layer;
    for (int row = 0; row < b->count; row++) {
        const float *a = b->in[0] + (size_t)row * b->in_stride[0], *z = b->in[1] + (size_t)row * b->in_stride[1];
        const float *mean = q->moments ? b->in[2] + (size_t)row * b->in_stride[2] : NULL;
        float *out = b->out + (size_t)row * b->out_stride;
        for (int k = 0; k < q->targets; k++, a += q->each, out += q->each) {
            const int column = q->column[k];
            const float base = q->anchor ? z[column] : mean ? mean[column] : 0.0f;
            const float sigma = mean ? mean[q->moments + column] : 1.0f;
            for (int i = 0; i < q->each; i += q->quantiles) quantiles_sort(out + i, a + i, q->quantiles);
            for (int i = 0; i < q->each; i++) out[i] = (base + sigma * out[i]) * q->scale[k] + q->offset[k];
            if (q->guides) quantiles_guide(out, q->each, q->guides + 3 * k);
        }
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

static gw_status quantiles_check(const gw_place *place, gw_room *room, gw_need *need) {
    (void)need;
    const gw_node *node = place->node;
    const int reads = node->read_count == 3 ? 3 : 2, moments = reads == 3, options = node->option_count;
    const int least = GW_QUANTILES_TARGETS + 1; /* options with one target */
    GW_TRY(gw_expect_counts(place, reads, options < least ? least : options, GW_QUANTILES_TENSORS));
    const size_t most = (size_t)options - GW_QUANTILES_TARGETS, rows = node->tensors[GW_QUANTILES_OFFSET].rows;
    const int K = (int)(rows < most ? rows : most), guided = most == (1 + GW_QUANTILES_GUIDES) * (size_t)K;
    if (K < 1) return gw_fail(place, GW_BAD_SHAPE, GW_QUANTILES_OFFSET, 0, 1);
    if (!guided) GW_TRY(gw_expect_counts(place, reads, GW_QUANTILES_TARGETS + K, GW_QUANTILES_TENSORS));
    const int columns = moments ? place->in[2] / 2 : place->in[1];
    GW_TRY(gw_expect_option(place, GW_QUANTILES_QUANTILES, place->out));
    GW_TRY(gw_expect_option(place, GW_QUANTILES_ANCHOR, 1));
    for (int k = 0; k < K; k++) GW_TRY(gw_expect_option(place, GW_QUANTILES_TARGETS + k, columns - 1));
    for (int k = 0; guided && k < K; k++) {
        const int at = GW_QUANTILES_TARGETS + K + GW_QUANTILES_GUIDES * k;
        const float *guide = node->options + at;
        if (!(guide[GW_QUANTILES_GUIDES_LEAST] < guide[GW_QUANTILES_GUIDES_LARGEST]))
            return gw_fail(place, GW_BAD_OPTION, at + GW_QUANTILES_GUIDES_LEAST, 0, 0);
        GW_TRY(gw_expect_option(place, at + GW_QUANTILES_GUIDES_LOG1P, 1));
    }
    const size_t Q = (size_t)node->options[GW_QUANTILES_QUANTILES], out = (size_t)place->out;
    if (Q < 1) return gw_fail(place, GW_BAD_OPTION, GW_QUANTILES_QUANTILES, 0, 0);
    if (out % ((size_t)K * Q)) return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, out, (size_t)K * Q);
    if (place->in[0] != place->out) return gw_fail(place, GW_BAD_INPUT_WIDTH, 0, (size_t)place->in[0], out);
    if (moments && (place->in[2] % 2 || columns > place->in[1]))
        return gw_fail(place, GW_BAD_INPUT_WIDTH, 2, (size_t)place->in[2], 2 * (size_t)place->in[1]);
    for (int i = 0; i < GW_QUANTILES_TENSORS; i++) GW_TRY(gw_expect_tensor(place, i, (size_t)K, 1));
    for (int k = 0; k < K; k++)
        if (!(node->tensors[GW_QUANTILES_SCALE].data[k] > 0.0f))
            return gw_fail(place, GW_BAD_WEIGHT, GW_QUANTILES_SCALE, (size_t)k, 0);
    gw_take(room, 1, sizeof(gw_quantiles));
    for (int i = 0; i < GW_QUANTILES_TENSORS; i++) gw_take(room, (size_t)K, sizeof(float));
    gw_take(room, (size_t)K, sizeof(int));
    if (guided) gw_take(room, GW_QUANTILES_GUIDES * (size_t)K, sizeof(float));
    return GW_OK;
}

static const void *quantiles_pack(const gw_place *place, gw_room *room) {
    const gw_node *node = place->node;
    const int K = (int)node->tensors[GW_QUANTILES_OFFSET].rows, Q = (int)node->options[GW_QUANTILES_QUANTILES];
    gw_quantiles *q = gw_take(room, 1, sizeof(gw_quantiles));
    float *offset = gw_take(room, (size_t)K, sizeof(float)), *scale = gw_take(room, (size_t)K, sizeof(float));
    int *column = gw_take(room, (size_t)K, sizeof(int));
    for (int k = 0; k < K; k++) {
        offset[k] = node->tensors[GW_QUANTILES_OFFSET].data[k];
        scale[k] = node->tensors[GW_QUANTILES_SCALE].data[k];
        column[k] = (int)node->options[GW_QUANTILES_TARGETS + k];
    }
    const int guided = node->option_count > GW_QUANTILES_TARGETS + K;
    float *guides = guided ? gw_take(room, GW_QUANTILES_GUIDES * (size_t)K, sizeof(float)) : NULL;
    if (guided)
        memcpy(guides, node->options + GW_QUANTILES_TARGETS + K, GW_QUANTILES_GUIDES * (size_t)K * sizeof(float));
    *q = (gw_quantiles){
        .targets = K,
        .each = place->out / K,
        .quantiles = Q,
        .anchor = (int)node->options[GW_QUANTILES_ANCHOR],
        .moments = node->read_count == 3 ? place->in[2] / 2 : 0,
        .offset = offset,
        .scale = scale,
        .column = column,
        .guides = guides,
    };
    return q;
}

static const gw_kernel gw_kernel_quantiles = {
    .kind = "quantiles",
    .check = quantiles_check,
    .pack = quantiles_pack,
    .step = quantiles_step,
};

#endif
