/* Numeric input stage: one step on raw readings x of W columns.
 *
 *     x = log(1 + x)                      in the columns that are transformed
 *     s = (x - offset) * (1 / scale)      where it scales; 1 / scale is rounded once, when packed
 *     s = held where s is not usable      where it holds: NaN, infinite, or beyond GW_MOST_READING in size
 *     held' = flush(s)
 *     i = 1 where s is not usable, else 0
 *
 * Reads one edge (W), writes s (W), or with a mask s and i (2W). State, where it holds: held (W).
 * Options: scales (0, 1), missing (0: as it is, 1: holds, 2: holds, with a mask), then the columns that are transformed,
 * ascending, if any.
 * Tensors, where it scales: offset (W), scale (W) > 0.
 */

typedef struct gw_numeric {
    int width;                    /* W */
    int holds, masks, logs;       /* logs: how many columns are transformed */
    const int *log;               /* (logs) which */
    const float *offset, *factor; /* (W) each; NULL where it does not scale */
} gw_numeric;

static void numeric_step(const void *layer, const gw_batch *b) {
    const gw_numeric *s = layer;
    for (int row = 0; row < b->count; row++) {
        const float *x = b->in[0] + (size_t)row * b->in_stride[0];
        float *out = b->out + (size_t)row * b->out_stride, *held = b->state + (size_t)row * b->state_stride;
        if (s->logs) {
            memcpy(out, x, (size_t)s->width * sizeof(float));
            for (int i = 0; i < s->logs; i++) out[s->log[i]] = gw_log1p(x[s->log[i]]);
            x = out;
        }
        for (int i = 0; i < s->width; i++) {
            float v = s->factor ? (x[i] - s->offset[i]) * s->factor[i] : x[i];
            if (s->holds) {
                const int usable = gw_usable(v);
                v = usable ? v : held[i];
                held[i] = gw_flush(v);
                if (s->masks) out[s->width + i] = usable ? 0.0f : 1.0f;
            }
            out[i] = v;
        }
    }
}

#ifndef GW_STEP_ONLY

static gw_status numeric_check(const gw_place *place, gw_room *room, gw_need *need) {
    const size_t W = (size_t)place->in[0];
    const int scales = place->node->option_count > 0 && place->node->options[0] != 0.0f;
    const int options = place->node->option_count, logs = options < 2 ? 0 : options - 2;
    GW_TRY(gw_expect_counts(place, 1, 2 + logs, scales ? 2 : 0));
    GW_TRY(gw_expect_option(place, 0, 1));
    GW_TRY(gw_expect_option(place, 1, 2));
    for (int i = 2; i < options; i++) {
        GW_TRY(gw_expect_option(place, i, place->in[0] - 1));
        if (i > 2 && place->node->options[i] <= place->node->options[i - 1])
            return gw_fail(place, GW_BAD_OPTION, i, 0, 0);
    }
    const size_t out = place->node->options[1] == 2.0f ? 2 * W : W;
    if ((size_t)place->out != out) return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, out);
    gw_take(room, 1, sizeof(gw_numeric));
    if (logs) gw_take(room, (size_t)logs, sizeof(int));
    if (scales) {
        GW_TRY(gw_expect_tensor(place, 0, W, 1));
        GW_TRY(gw_expect_tensor(place, 1, W, 1));
        const float *scale = place->node->tensors[1].data;
        for (size_t i = 0; i < W; i++)
            if (!(scale[i] > 0.0f) || !gw_finite(1.0f / scale[i])) return gw_fail(place, GW_BAD_WEIGHT, 1, i, 0);
        gw_take(room, W, sizeof(float));
        gw_take(room, W, sizeof(float));
    }
    if (place->node->options[1] != 0.0f) need->state = W;
    return GW_OK;
}

static const void *numeric_pack(const gw_place *place, gw_room *room) {
    const gw_tensor *t = place->node->tensors;
    const float *o = place->node->options;
    const size_t W = (size_t)place->in[0];
    gw_numeric *s = gw_take(room, 1, sizeof(gw_numeric));
    const int logs = place->node->option_count - 2;
    int *log = logs ? gw_take(room, (size_t)logs, sizeof(int)) : NULL;
    for (int i = 0; i < logs; i++) log[i] = (int)o[i + 2];
    *s = (gw_numeric){.width = place->in[0], .holds = o[1] != 0.0f, .masks = o[1] == 2.0f, .logs = logs, .log = log};
    if (o[0] != 0.0f) {
        float *offset = gw_take(room, W, sizeof(float)), *factor = gw_take(room, W, sizeof(float));
        memcpy(offset, t[0].data, W * sizeof(float));
        for (size_t i = 0; i < W; i++) factor[i] = 1.0f / t[1].data[i];
        s->offset = offset;
        s->factor = factor;
    }
    return s;
}

static const gw_kernel gw_kernel_numeric = {"numeric", numeric_check, numeric_pack, numeric_step, NULL};

#endif
