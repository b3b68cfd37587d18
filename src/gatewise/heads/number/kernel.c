/* A number in the units of its target, with an interval around it: one step.
 *
 *     v = a * scale + offset
 *     y = v, v - margin, v + margin; or v alone, without an interval
 *
 * Reads a (1) and the scaled input, which it does not use. Writes 3 values or 1. No state.
 */

typedef struct gw_number {
    float offset, scale, margin;
    int interval; /* 1 with an interval */
} gw_number;

static void number_step(const void *layer, const gw_batch *b) {
    const gw_number *n = layer;
    for (int row = 0; row < b->count; row++) {
        float *out = b->out + (size_t)row * b->out_stride;
        const float value = b->in[0][(size_t)row * b->in_stride[0]] * n->scale + n->offset;
        out[0] = value;
        if (!n->interval) continue;
        out[1] = value - n->margin;
        out[2] = value + n->margin;
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

static gw_status number_check(const gw_place *place, gw_room *room, gw_need *need) {
    (void)need;
    const gw_node *node = place->node;
    GW_TRY(gw_expect_counts(place, 2, GW_NUMBER_OPTIONS, GW_NUMBER_TENSORS));
    GW_TRY(gw_expect_option(place, GW_NUMBER_INTERVAL, 1));
    const int wide = node->options[GW_NUMBER_INTERVAL] != 0.0f ? 3 : 1;
    if (place->in[0] != 1) return gw_fail(place, GW_BAD_INPUT_WIDTH, 0, (size_t)place->in[0], 1);
    if (place->out != wide) return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, (size_t)wide);
    for (int i = 0; i < GW_NUMBER_TENSORS; i++) GW_TRY(gw_expect_tensor(place, i, 1, 1));
    if (!(node->tensors[GW_NUMBER_SCALE].data[0] > 0.0f)) return gw_fail(place, GW_BAD_WEIGHT, GW_NUMBER_SCALE, 0, 0);
    if (!(node->tensors[GW_NUMBER_MARGIN].data[0] >= 0.0f))
        return gw_fail(place, GW_BAD_WEIGHT, GW_NUMBER_MARGIN, 0, 0);
    gw_take(room, 1, sizeof(gw_number));
    return GW_OK;
}

static const void *number_pack(const gw_place *place, gw_room *room) {
    const gw_node *node = place->node;
    gw_number *n = gw_take(room, 1, sizeof(gw_number));
    *n = (gw_number){
        .offset = node->tensors[GW_NUMBER_OFFSET].data[0],
        .scale = node->tensors[GW_NUMBER_SCALE].data[0],
        .margin = node->tensors[GW_NUMBER_MARGIN].data[0],
        .interval = node->options[GW_NUMBER_INTERVAL] != 0.0f,
    };
    return n;
}

static const gw_kernel gw_kernel_number = {
    .kind = "number",
    .check = number_check,
    .pack = number_pack,
    .step = number_step,
};

#endif
