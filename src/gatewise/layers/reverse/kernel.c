/* The sequence in reverse order of time.
 *
 *     y(t) = x(T - 1 - t)
 *
 * Reads one edge, writes an edge of the same width. No state, no options, no tensors. Not causal: needs the whole
 * sequence.
 */

typedef struct gw_reverse {
    size_t width;
} gw_reverse;

static void reverse_sequence(const void *layer, const gw_batch *b, size_t steps) {
    const size_t width = ((const gw_reverse *)layer)->width;
    for (int row = 0; row < b->count; row++) {
        const float *x = b->in[0] + (size_t)row * b->in_stride[0];
        float *out = b->out + (size_t)row * b->out_stride;
        for (size_t t = 0; t < steps; t++) memcpy(out + t * width, x + (steps - 1 - t) * width, width * sizeof(float));
    }
}

#ifndef GW_STEP_ONLY

static gw_status reverse_check(const gw_place *place, gw_room *room, gw_need *need) {
    (void)need;
    GW_TRY(gw_expect_counts(place, 1, 0, 0));
    if (place->out != place->in[0])
        return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, (size_t)place->in[0]);
    gw_take(room, 1, sizeof(gw_reverse));
    return GW_OK;
}

static const void *reverse_pack(const gw_place *place, gw_room *room) {
    gw_reverse *r = gw_take(room, 1, sizeof(gw_reverse));
    r->width = (size_t)place->out;
    return r;
}

static const gw_kernel gw_kernel_reverse = {
    .kind = "reverse",
    .check = reverse_check,
    .pack = reverse_pack,
    .sequence = reverse_sequence,
};

#endif
