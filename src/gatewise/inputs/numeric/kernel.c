/* Numeric input stage: one step on the raw readings x of W columns.
 *
 *     x = log(1 + x)                      in columns with a log transform
 *     s = (x - offset) * (1 / scale)      if it scales; 1 / scale is rounded once, when packed
 *     s = held if s is not usable         if it fills forward; not usable: NaN, infinite or |s| > 1e18
 *     held' = flush(s)
 *     i = 1 if s was not usable, else 0
 *
 * Reads one edge (W), writes s (W), or with a mask s and i (2W). State, if it fills forward: held (W).
 */

typedef struct gw_numeric {
    int width;                    /* W */
    int holds, masks, logs;       /* holds: fills forward; logs: columns with a log transform */
    const int *log;               /* (logs) their positions */
    const float *offset, *factor; /* (W) each; NULL if it does not scale */
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

#include "options.h"

enum { NUMERIC_HOLDS = 1, NUMERIC_MASKS = 2 }; /* by GW_NUMERIC_MISSING */

static int numeric_logs(const gw_node *node) {
    return node->option_count > GW_NUMERIC_TRANSFORM ? node->option_count - GW_NUMERIC_TRANSFORM : 0;
}

static gw_status numeric_check(const gw_place *place, gw_room *room, gw_need *need) {
    const gw_node *node = place->node;
    const float *o = node->options;
    const size_t W = (size_t)place->in[0];
    const int scales = node->option_count > GW_NUMERIC_SCALING && o[GW_NUMERIC_SCALING] != 0.0f;
    const int logs = numeric_logs(node);
    GW_TRY(gw_expect_counts(place, 1, GW_NUMERIC_OPTIONS + logs, scales ? GW_NUMERIC_TENSORS : 0));
    GW_TRY(gw_expect_option(place, GW_NUMERIC_SCALING, 1));
    GW_TRY(gw_expect_option(place, GW_NUMERIC_MISSING, NUMERIC_MASKS));
    for (int i = GW_NUMERIC_TRANSFORM; i < node->option_count; i++) {
        GW_TRY(gw_expect_option(place, i, place->in[0] - 1));
        if (i > GW_NUMERIC_TRANSFORM && o[i] <= o[i - 1]) return gw_fail(place, GW_BAD_OPTION, i, 0, 0);
    }
    const size_t out = o[GW_NUMERIC_MISSING] == NUMERIC_MASKS ? 2 * W : W;
    if ((size_t)place->out != out) return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, out);
    gw_take(room, 1, sizeof(gw_numeric));
    if (logs) gw_take(room, (size_t)logs, sizeof(int));
    if (scales) {
        GW_TRY(gw_expect_tensor(place, GW_NUMERIC_OFFSET, W, 1));
        GW_TRY(gw_expect_tensor(place, GW_NUMERIC_SCALE, W, 1));
        const float *scale = node->tensors[GW_NUMERIC_SCALE].data;
        for (size_t i = 0; i < W; i++)
            if (!(scale[i] > 0.0f) || !gw_finite(1.0f / scale[i]))
                return gw_fail(place, GW_BAD_WEIGHT, GW_NUMERIC_SCALE, i, 0);
        gw_take(room, W, sizeof(float));
        gw_take(room, W, sizeof(float));
    }
    if (o[GW_NUMERIC_MISSING] != 0.0f) need->state = W;
    return GW_OK;
}

static const void *numeric_pack(const gw_place *place, gw_room *room) {
    const gw_tensor *t = place->node->tensors;
    const float *o = place->node->options;
    const size_t W = (size_t)place->in[0];
    gw_numeric *s = gw_take(room, 1, sizeof(gw_numeric));
    const int logs = numeric_logs(place->node);
    int *log = logs ? gw_take(room, (size_t)logs, sizeof(int)) : NULL;
    for (int i = 0; i < logs; i++) log[i] = (int)o[GW_NUMERIC_TRANSFORM + i];
    *s = (gw_numeric){
        .width = place->in[0],
        .holds = o[GW_NUMERIC_MISSING] >= NUMERIC_HOLDS,
        .masks = o[GW_NUMERIC_MISSING] == NUMERIC_MASKS,
        .logs = logs,
        .log = log,
    };
    if (o[GW_NUMERIC_SCALING] != 0.0f) {
        float *offset = gw_take(room, W, sizeof(float)), *factor = gw_take(room, W, sizeof(float));
        memcpy(offset, t[GW_NUMERIC_OFFSET].data, W * sizeof(float));
        for (size_t i = 0; i < W; i++) factor[i] = 1.0f / t[GW_NUMERIC_SCALE].data[i];
        s->offset = offset;
        s->factor = factor;
    }
    return s;
}

/* Whether x is a usable reading of column i; takes_log: whether this column has a log transform. */
static int numeric_usable(const gw_numeric *s, size_t i, float x, int takes_log) {
    if (takes_log) x = gw_log1p(x);
    return gw_usable(s->factor ? (x - s->offset[i]) * s->factor[i] : x);
}

static const char *numeric_why_missing(const void *layer, size_t i, float x) {
    const gw_numeric *s = layer;
    int takes_log = 0;
    for (int k = 0; k < s->logs; k++) takes_log |= (size_t)s->log[k] == i;
    if (numeric_usable(s, i, x, takes_log)) return NULL;
    return takes_log && x <= -1.0f ? "and 1 + x has no logarithm" : "beyond 1e18 in size once scaled";
}

static size_t numeric_first_missing(const void *layer, const float *x, size_t count) {
    const gw_numeric *s = layer;
    const size_t W = (size_t)s->width;
    int found = s->logs > 0; /* without logs, first a loop without early exit, so that it is vectorised */
    if (!found && !s->factor)
        for (size_t k = 0; k < count; k++) found |= !gw_usable(x[k]);
    else if (!found)
        for (size_t k = 0; k < count; k += W)
            for (size_t i = 0; i < W; i++) found |= !gw_usable((x[k + i] - s->offset[i]) * s->factor[i]);
    for (size_t k = 0; found && k < count; k += W)
        for (size_t i = 0, logs = 0; i < W; i++) {
            const int takes_log = logs < (size_t)s->logs && (size_t)s->log[logs] == i;
            logs += (size_t)takes_log;
            if (!numeric_usable(s, i, x[k + i], takes_log)) return k + i;
        }
    return count;
}

static const gw_screen numeric_screen = {numeric_why_missing, numeric_first_missing};

static const gw_kernel gw_kernel_numeric = {
    .kind = "numeric",
    .check = numeric_check,
    .pack = numeric_pack,
    .step = numeric_step,
    .screen = &numeric_screen,
};

#endif
