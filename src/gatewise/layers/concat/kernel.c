/* Joins edges side by side: one step.
 *
 *     y = [x_0, x_1, ...]
 *
 * Reads two edges or more, writes all their values. No state, no options, no tensors.
 */

typedef struct gw_concat {
    int count;
    int widths[GW_MOST_INPUTS];
} gw_concat;

static void concat_step(const void *layer, const gw_batch *b) {
    const gw_concat *c = layer;
    for (int row = 0; row < b->count; row++) {
        float *out = b->out + (size_t)row * b->out_stride;
        for (int k = 0; k < c->count; out += c->widths[k++])
            memcpy(out, b->in[k] + (size_t)row * b->in_stride[k], (size_t)c->widths[k] * sizeof(float));
    }
}

#ifndef GW_STEP_ONLY

static gw_status concat_check(const gw_place *place, gw_room *room, gw_need *need) {
    (void)need;
    GW_TRY(gw_expect_several(place));
    const int count = place->node->read_count;
    size_t width = 0;
    for (int k = 0; k < count; k++) width += (size_t)place->in[k];
    if ((size_t)place->out != width) return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, width);
    gw_take(room, 1, sizeof(gw_concat));
    return GW_OK;
}

static const void *concat_pack(const gw_place *place, gw_room *room) {
    gw_concat *c = gw_take(room, 1, sizeof(gw_concat));
    *c = (gw_concat){.count = place->node->read_count};
    memcpy(c->widths, place->in, sizeof c->widths);
    return c;
}

static const gw_kernel gw_kernel_concat = {
    .kind = "concat",
    .check = concat_check,
    .pack = concat_pack,
    .step = concat_step,
};

#endif
