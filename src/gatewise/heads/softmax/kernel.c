/* The probabilities of classes: one step.
 *
 *     y_i = exp(a_i - max a) / sum_j exp(a_j - max a), summed with j ascending
 *
 * Reads a (C) and the scaled input, which it does not use. Writes C probabilities. No state, no options, no tensors.
 */

typedef struct gw_softmax {
    int classes; /* C */
} gw_softmax;

static void softmax_step(const void *layer, const gw_batch *b) {
    const int C = ((const gw_softmax *)layer)->classes;
    for (int row = 0; row < b->count; row++) {
        const float *a = b->in[0] + (size_t)row * b->in_stride[0];
        float *out = b->out + (size_t)row * b->out_stride;
        float most = a[0], sum = 0.0f;
        for (int i = 1; i < C; i++) most = a[i] > most ? a[i] : most;
        for (int i = 0; i < C; i += GW_LANES) {
            const int n = C - i < GW_LANES ? C - i : GW_LANES;
            gwv_store_n(out + i, gwv_exp(gwv_sub(gwv_load_n(a + i, n), gwv_set(most))), n);
        }
        for (int i = 0; i < C; i++) sum += out[i];
        for (int i = 0; i < C; i++) out[i] = out[i] / sum;
    }
}

#ifndef GW_STEP_ONLY

static gw_status softmax_check(const gw_place *place, gw_room *room, gw_need *need) {
    (void)need;
    GW_TRY(gw_expect_counts(place, 2, 0, 0));
    if (place->in[0] != place->out)
        return gw_fail(place, GW_BAD_INPUT_WIDTH, 0, (size_t)place->in[0], (size_t)place->out);
    gw_take(room, 1, sizeof(gw_softmax));
    return GW_OK;
}

static const void *softmax_pack(const gw_place *place, gw_room *room) {
    gw_softmax *s = gw_take(room, 1, sizeof(gw_softmax));
    *s = (gw_softmax){.classes = place->out};
    return s;
}

static const gw_kernel gw_kernel_softmax = {
    .kind = "softmax",
    .check = softmax_check,
    .pack = softmax_pack,
    .step = softmax_step,
};

#endif
