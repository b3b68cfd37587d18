/* Memory and checks that all kernels have in common, and the texts of the errors. */
#include "kernel.h"
#include "prims_scalar.h" /* gw_finite */

#define GW_STATUS_TEXT(name, text) text,
static const char *const texts[] = {GW_STATUSES(GW_STATUS_TEXT)};
#undef GW_STATUS_TEXT

const char *gw_text(gw_status status) { return (unsigned)status < GW_STATUS_COUNT ? texts[status] : "no such status"; }

size_t gw_first_nonfinite(const float *x, size_t count) {
    int found = 0;
    for (size_t k = 0; k < count; k++) found |= !gw_finite(x[k]); /* no early exit, so that it is vectorised */
    for (size_t k = 0; found && k < count; k++)
        if (!gw_finite(x[k])) return k;
    return count;
}

void *gw_take(gw_room *room, size_t count, size_t size) {
    size_t bytes, end;
    const size_t start = room->used;
    if (__builtin_mul_overflow(count, size, &bytes) || __builtin_add_overflow(bytes, GW_ALIGNMENT - 1, &bytes) ||
        __builtin_add_overflow(start, bytes & ~(size_t)(GW_ALIGNMENT - 1), &end))
        end = SIZE_MAX;
    room->used = end;
    return room->base ? room->base + start : NULL;
}

gw_status gw_fail(const gw_place *place, gw_status status, int index, size_t got, size_t expected) {
    if (place->fault) *place->fault = (gw_fault){status, place->position, index, {got, 0}, {expected, 0}};
    return status;
}

gw_status gw_expect_counts(const gw_place *place, int reads, int options, int tensors) {
    const gw_node *node = place->node;
    if (node->read_count != reads) return gw_fail(place, GW_BAD_INPUTS, -1, (size_t)node->read_count, (size_t)reads);
    if (node->option_count != options)
        return gw_fail(place, GW_BAD_OPTIONS, -1, (size_t)node->option_count, (size_t)options);
    if (node->tensor_count != tensors)
        return gw_fail(place, GW_BAD_TENSORS, -1, (size_t)node->tensor_count, (size_t)tensors);
    return GW_OK;
}

gw_status gw_expect_several(const gw_place *place) {
    const int count = place->node->read_count;
    if (count < 2) return gw_fail(place, GW_BAD_INPUTS, -1, (size_t)count, 2);
    return gw_expect_counts(place, count, 0, 0);
}

gw_status gw_expect_one_width(const gw_place *place) {
    GW_TRY(gw_expect_several(place));
    for (int k = 1; k < place->node->read_count; k++)
        if (place->in[k] != place->in[0])
            return gw_fail(place, GW_BAD_INPUT_WIDTH, k, (size_t)place->in[k], (size_t)place->in[0]);
    if (place->out != place->in[0])
        return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, (size_t)place->in[0]);
    return GW_OK;
}

gw_status gw_expect_tensor(const gw_place *place, int index, size_t rows, size_t cols) {
    const gw_tensor *tensor = &place->node->tensors[index];
    if (tensor->rows != rows || tensor->cols != cols) {
        if (place->fault)
            *place->fault =
                (gw_fault){GW_BAD_SHAPE, place->position, index, {tensor->rows, tensor->cols}, {rows, cols}};
        return GW_BAD_SHAPE;
    }
    if (rows > GW_MOST_VALUES / cols) return gw_fail(place, GW_TOO_LARGE, index, rows, (size_t)GW_MOST_VALUES / cols);
    if (!tensor->data) return gw_fail(place, GW_BAD_ARGUMENT, index, 0, 0);
    const size_t bad = gw_first_nonfinite(tensor->data, rows * cols);
    return bad < rows * cols ? gw_fail(place, GW_BAD_WEIGHT, index, bad, 0) : GW_OK;
}

gw_status gw_expect_option(const gw_place *place, int index, int most) {
    const float value = place->node->options[index];
    return value >= 0.0f && value <= (float)most && value == (float)(int)value
               ? GW_OK
               : gw_fail(place, GW_BAD_OPTION, index, 0, 0);
}

gw_status gw_expect_activation(const gw_place *place, int index, int softmax) {
    GW_TRY(gw_expect_option(place, index, GW_ACTIVATION_COUNT - 1));
    if (!softmax && place->node->options[index] == (float)GW_SOFTMAX) return gw_fail(place, GW_BAD_OPTION, index, 0, 0);
    return GW_OK;
}

gw_status gw_expect_bound(const gw_place *place, int index) {
    return place->node->options[index] >= 0.0f ? GW_OK : gw_fail(place, GW_BAD_OPTION, index, 0, 0);
}
