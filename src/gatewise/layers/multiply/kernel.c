/* Multiplies edges of equal width, value by value: one step.
 *
 *     y = x_0 * x_1 * ...    from left to right
 *
 * Reads two edges or more of I values, writes y (I). No state, no options, no tensors.
 */

typedef struct gw_multiply {
    int count, width; /* the number of edges read; I */
} gw_multiply;

static void multiply_step(const void *layer, const gw_batch *b) {
    const gw_multiply *a = layer;
    for (int row = 0; row < b->count; row++) {
        float *out = b->out + (size_t)row * b->out_stride;
        const float *first = b->in[0] + (size_t)row * b->in_stride[0];
        for (int k = 1; k < a->count; k++, first = out) {
            const float *x = b->in[k] + (size_t)row * b->in_stride[k];
            GW_EACH(a->width,
                    gwv_store_part(out + i, gwv_mul(gwv_load_part(first + i, n), gwv_load_part(x + i, n)), n));
        }
    }
}

#ifndef GW_STEP_ONLY

static gw_status multiply_check(const gw_place *place, gw_room *room, gw_need *need) {
    (void)need;
    GW_TRY(gw_expect_one_width(place));
    gw_take(room, 1, sizeof(gw_multiply));
    return GW_OK;
}

static const void *multiply_pack(const gw_place *place, gw_room *room) {
    gw_multiply *a = gw_take(room, 1, sizeof(gw_multiply));
    *a = (gw_multiply){place->node->read_count, place->out};
    return a;
}

static const gw_kernel gw_kernel_multiply = {
    .kind = "multiply",
    .check = multiply_check,
    .pack = multiply_pack,
    .step = multiply_step,
};

#endif
