/* Calibrated tail probability of smoothed forecast residuals: one step. For each of K targets
 *
 *     d  = exp(clip(s, -10, 10))                 m, s: location and log scale, forecast one step before
 *     u  = (z - m) / d                           or 0 if the reading is missing
 *     e' = flush(e + alpha (u - e))
 *     score_k = S_k(|e'|)                        linear through the knots from (0, 0), then with the last slope
 *     y_k = score_k, and m, m + d band_k[0], m + d band_k[1], each * unit_k[1] + unit_k[0]
 *     m', s' = flush(the network's answer at this step)
 *
 * and for all targets together
 *
 *     score = score_1 with one target, J(max_k score_k) with several; J in the same way
 *     y = score, then y_k of each target (without score_k if K = 1), then 1 if score > limit, else 0
 *
 * Then come the tests whether the readings are still like those of the calibration. r runs over the R scores: those of
 * the targets and, with several targets, score at the end; i = 1, 2. For each column w there are two spans, j = 1, 2:
 *
 *     rate' = (rate + c) (score_r >= alarm ? f_2i : f_2i+1)         unchanged if rate >= 1 or paused > 0
 *     paused' = paused > 0 ? paused - 1 : score_r >= alarm ? pause : 0
 *     level' = flush(level + beta_j (clip(z_w) - level))            beta_1 = 2/17, beta_2 = 2/129
 *     left' = (left + c') (level' outside range_wj ? factor_w,2j : factor_w,2j+1)      unchanged if left >= 1
 *
 * with c' = 1 / (8e7 W). A missing reading changes neither level nor left.
 *
 * Reads two edges: the network's answer (2K: locations, log scales) and the scaled input z (W), which with a mask is
 * followed by indicators of missing readings (W). Writes y (5 values if K = 1, else 2 + 4K). State: m (K), s (K), e
 * (K), level (W, 2), paused (R), rate (R, 2), left (W, 2), with R = 1 if K = 1, else K + 1. rate and left are the
 * evidence.
 */

typedef struct gw_tail_probability {
    int targets, knots, columns; /* K, N, W */
    int masked;
    float alpha, limit, alarm, pause, start, ratio[4], level_start; /* ratio: f; start, level_start: c and c' */
    const int *column;                                              /* (K) */
    const float *band, *unit;                                       /* (K, 2) each */
    const float *clip, *range, *factor;                             /* (W, 2), (W, 4), (W, 4) */
    /* (K, N) each; with several targets (K + 1, N), with the table of J at the end. slope: that of the segment that
     * ends at the knot; the first segment begins at (0, 0). */
    const float *statistic, *score, *slope;
} gw_tail_probability;

static float tail_exp(float x) {
    float lanes[GW_LANES];
    gwv_store(lanes, gwv_exp(gwv_set(x)));
    return lanes[0];
}

/* S(e) from a table. The segment is found by bisection. */
static float tail_score(const gw_tail_probability *t, int table, float e) {
    const float *statistic = t->statistic + (size_t)table * (size_t)t->knots;
    const float *score = t->score + (size_t)table * (size_t)t->knots,
                *slope = t->slope + (size_t)table * (size_t)t->knots;
    int low = 0, high = t->knots; /* knots below low are <= e, those from high on are > e */
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (statistic[middle] <= e)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return e * slope[0];
    return score[low - 1] + (e - statistic[low - 1]) * slope[low < t->knots ? low : t->knots - 1];
}

/* Updates the evidence of two tests with one more row. */
static void tail_test(float *evidence, float start, const float *ratio, int first, int second) {
    const float *ratios[2] = {ratio + (first ? 0 : 1), ratio + (second ? 2 : 3)};
    for (int i = 0; i < 2; i++) {
        const float e = evidence[i] > 0.0f ? evidence[i] : 0.0f; /* only a forged state is negative */
        if (!(e >= 1.0f)) evidence[i] = (e + start) * *ratios[i];
    }
}

/* Updates the evidence about the alarm rate of one score with one more row. */
static void tail_rate(const gw_tail_probability *t, float *paused, float *evidence, float score) {
    const int alarm = score >= t->alarm;
    if (*paused > 0.0f) {
        *paused -= 1.0f;
        return;
    }
    tail_test(evidence, t->start, t->ratio, alarm, alarm);
    *paused = alarm ? t->pause : 0.0f;
}

/* Updates the levels of the columns, and the evidence that they have left their ranges. */
static void tail_levels(const gw_tail_probability *t, const float *z, float *level, float *left) {
    static const float beta[2] = {2.0f / 17.0f, 2.0f / 129.0f};
    for (int w = 0; w < t->columns; w++) {
        if (t->masked && z[t->columns + w] != 0.0f) continue;
        const float *clip = t->clip + 2 * w, *range = t->range + 4 * w;
        float *own = level + 2 * w, v = z[w];
        int outside[2];
        v = v < clip[0] ? clip[0] : v > clip[1] ? clip[1] : v;
        for (int j = 0; j < 2; j++) {
            own[j] = gw_flush(own[j] + beta[j] * (v - own[j]));
            outside[j] = own[j] < range[2 * j] || own[j] > range[2 * j + 1];
        }
        tail_test(left + 2 * w, t->level_start, t->factor + 4 * w, outside[0], outside[1]);
    }
}

static void tail_probability_step(const void *layer, const gw_batch *b) {
    const gw_tail_probability *t = layer;
    const int K = t->targets, R = K > 1 ? K + 1 : 1;
    for (int row = 0; row < b->count; row++) {
        const float *forecast = b->in[0] + (size_t)row * b->in_stride[0];
        const float *z = b->in[1] + (size_t)row * b->in_stride[1], *missing = z + t->columns;
        float *location = b->state + (size_t)row * b->state_stride, *log_scale = location + K,
              *smoothed = location + 2 * K, *level = location + 3 * K, *paused = level + 2 * t->columns,
              *rate = paused + R;
        float *out = b->out + (size_t)row * b->out_stride, *y = out + 1;
        float most = 0.0f;
        for (int k = 0; k < K; k++) {
            const float *band = t->band + 2 * k, *unit = t->unit + 2 * k;
            float m = location[k], s = log_scale[k], e = smoothed[k];
            s = s < -10.0f ? -10.0f : s > 10.0f ? 10.0f : s;
            float d = tail_exp(s), u = (z[t->column[k]] - m) / d;
            if (t->masked && missing[t->column[k]] != 0.0f) u = 0.0f;
            e = gw_flush(e + t->alpha * (u - e));
            float score = tail_score(t, k, e < 0.0f ? -e : e);
            most = k > 0 && score <= most ? most : score; /* NaN stays NaN */
            if (K > 1) *y++ = score;
            tail_rate(t, paused + k, rate + 2 * k, score);
            *y++ = m * unit[1] + unit[0];
            *y++ = (m + d * band[0]) * unit[1] + unit[0];
            *y++ = (m + d * band[1]) * unit[1] + unit[0];
            location[k] = gw_flush(forecast[k]);
            log_scale[k] = gw_flush(forecast[K + k]);
            smoothed[k] = e;
        }
        out[0] = K > 1 ? tail_score(t, K, most) : most;
        *y = out[0] > t->limit ? 1.0f : 0.0f;
        if (K > 1) tail_rate(t, paused + K, rate + 2 * K, out[0]);
        tail_levels(t, z, level, rate + 2 * R);
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

typedef struct tail_parts {
    gw_tail_probability *t;
    int *column;
    float *band, *unit, *clip, *range, *factor, *statistic, *score, *slope;
} tail_parts;

static size_t tail_columns(const gw_place *place) {
    return (size_t)place->in[1] / (place->node->options[GW_TAIL_PROBABILITY_MASKED] != 0.0f ? 2 : 1);
}

static tail_parts tail_take(const gw_place *place, gw_room *room) {
    const size_t K = (size_t)place->in[0] / 2, W = tail_columns(place),
                 N = place->node->tensors[GW_TAIL_PROBABILITY_STATISTIC].cols, tables = K > 1 ? K + 1 : 1;
    tail_parts p = {
        .t = gw_take(room, 1, sizeof(gw_tail_probability)),
        .column = gw_take(room, K, sizeof(int)),
        .band = gw_take(room, 2 * K, sizeof(float)),
        .unit = gw_take(room, 2 * K, sizeof(float)),
        .clip = gw_take(room, 2 * W, sizeof(float)),
        .range = gw_take(room, 4 * W, sizeof(float)),
        .factor = gw_take(room, 4 * W, sizeof(float)),
        .statistic = gw_take(room, tables * N, sizeof(float)),
        .score = gw_take(room, tables * N, sizeof(float)),
        .slope = gw_take(room, tables * N, sizeof(float)),
    };
    return p;
}

/* Checks that each row of a statistic ascends and begins with 0 or more. */
static gw_status tail_check_table(const gw_place *place, int tensor, size_t rows, size_t knots) {
    const float *statistic = place->node->tensors[tensor].data;
    for (size_t k = 0; k < rows * knots; k++)
        if (!(statistic[k] >= 0.0f && (k % knots == 0 || statistic[k] > statistic[k - 1])))
            return gw_fail(place, GW_BAD_WEIGHT, tensor, k, 0);
    return GW_OK;
}

static gw_status tail_probability_check(const gw_place *place, gw_room *room, gw_need *need) {
    const gw_node *node = place->node;
    const int K = node->option_count - GW_TAIL_PROBABILITY_TARGETS, several = K > 1;
    GW_TRY(gw_expect_counts(place, 2, GW_TAIL_PROBABILITY_TARGETS + (K < 1 ? 1 : K),
                            several ? GW_TAIL_PROBABILITY_TENSORS : GW_TAIL_PROBABILITY_JOINT_STATISTIC));
    const gw_tensor *t = node->tensors;
    const size_t N = t[GW_TAIL_PROBABILITY_STATISTIC].cols;
    if (place->in[0] != 2 * K) return gw_fail(place, GW_BAD_INPUT_WIDTH, 0, (size_t)place->in[0], 2 * (size_t)K);
    const int out = several ? 2 + 4 * K : 5;
    if (place->out != out) return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, (size_t)out);
    GW_TRY(gw_expect_option(place, GW_TAIL_PROBABILITY_MASKED, 1));
    const int columns = (int)tail_columns(place);
    if (columns < 1) return gw_fail(place, GW_BAD_INPUT_WIDTH, 1, (size_t)place->in[1], 2);
    for (int k = 0; k < K; k++) GW_TRY(gw_expect_option(place, GW_TAIL_PROBABILITY_TARGETS + k, columns - 1));
    if (N < 2) return gw_fail(place, GW_BAD_SHAPE, GW_TAIL_PROBABILITY_STATISTIC, N, 2);
    if (N > GW_MOST_WIDTH) return gw_fail(place, GW_TOO_LARGE, GW_TAIL_PROBABILITY_STATISTIC, N, GW_MOST_WIDTH);
    for (int i = GW_TAIL_PROBABILITY_STATISTIC; i <= GW_TAIL_PROBABILITY_SCORE; i++)
        GW_TRY(gw_expect_tensor(place, i, (size_t)K, N));
    const size_t W = (size_t)columns;
    for (int i = GW_TAIL_PROBABILITY_BAND; i <= GW_TAIL_PROBABILITY_UNIT; i++)
        GW_TRY(gw_expect_tensor(place, i, (size_t)K, 2));
    GW_TRY(gw_expect_tensor(place, GW_TAIL_PROBABILITY_CLIP, W, 2));
    for (int i = GW_TAIL_PROBABILITY_RANGE; i <= GW_TAIL_PROBABILITY_FACTOR; i++)
        GW_TRY(gw_expect_tensor(place, i, W, 4));
    for (size_t i = 0; i < 4 * W; i++)
        if (!(t[GW_TAIL_PROBABILITY_FACTOR].data[i] >= 0.0f))
            return gw_fail(place, GW_BAD_WEIGHT, GW_TAIL_PROBABILITY_FACTOR, i, 0);
    for (int i = GW_TAIL_PROBABILITY_PAUSE; i < GW_TAIL_PROBABILITY_OPTIONS; i++) GW_TRY(gw_expect_bound(place, i));
    GW_TRY(tail_check_table(place, GW_TAIL_PROBABILITY_STATISTIC, (size_t)K, N));
    for (int i = GW_TAIL_PROBABILITY_JOINT_STATISTIC; several && i < GW_TAIL_PROBABILITY_TENSORS; i++)
        GW_TRY(gw_expect_tensor(place, i, N, 1));
    if (several) GW_TRY(tail_check_table(place, GW_TAIL_PROBABILITY_JOINT_STATISTIC, 1, N));
    tail_take(place, room);
    const size_t R = (size_t)(several ? K + 1 : 1);
    need->evidence = 2 * R + 2 * W;
    need->state = 3 * (size_t)K + 2 * W + R + need->evidence;
    return GW_OK;
}

/* Packs N knots, and computes the slopes between them. */
static void tail_pack_table(float *statistic, float *score, float *slope, const float *from_statistic,
                            const float *from_score, size_t knots) {
    float x = 0.0f, y = 0.0f;
    for (size_t k = 0; k < knots; k++) {
        statistic[k] = from_statistic[k];
        score[k] = from_score[k];
        slope[k] = statistic[k] > x ? (score[k] - y) / (statistic[k] - x) : 0.0f;
        x = statistic[k];
        y = score[k];
    }
}

static const void *tail_probability_pack(const gw_place *place, gw_room *room) {
    const tail_parts p = tail_take(place, room);
    const gw_tensor *from = place->node->tensors;
    const float *o = place->node->options;
    const size_t K = (size_t)place->in[0] / 2, W = tail_columns(place), N = from[GW_TAIL_PROBABILITY_STATISTIC].cols;
    for (size_t k = 0; k < K; k++) p.column[k] = (int)o[GW_TAIL_PROBABILITY_TARGETS + k];
    memcpy(p.band, from[GW_TAIL_PROBABILITY_BAND].data, 2 * K * sizeof(float));
    memcpy(p.unit, from[GW_TAIL_PROBABILITY_UNIT].data, 2 * K * sizeof(float));
    memcpy(p.clip, from[GW_TAIL_PROBABILITY_CLIP].data, 2 * W * sizeof(float));
    memcpy(p.range, from[GW_TAIL_PROBABILITY_RANGE].data, 4 * W * sizeof(float));
    memcpy(p.factor, from[GW_TAIL_PROBABILITY_FACTOR].data, 4 * W * sizeof(float));
    for (size_t i = 0; i < (K > 1 ? K + 1 : 1); i++) {
        const float *statistic =
            i < K ? from[GW_TAIL_PROBABILITY_STATISTIC].data + i * N : from[GW_TAIL_PROBABILITY_JOINT_STATISTIC].data;
        const float *score =
            i < K ? from[GW_TAIL_PROBABILITY_SCORE].data + i * N : from[GW_TAIL_PROBABILITY_JOINT_SCORE].data;
        tail_pack_table(p.statistic + i * N, p.score + i * N, p.slope + i * N, statistic, score, N);
    }
    const float *ratio = o + GW_TAIL_PROBABILITY_FACTOR_ALARM_1; /* and the next three options */
    *p.t = (gw_tail_probability){
        .targets = (int)K,
        .knots = (int)N,
        .columns = (int)W,
        .masked = o[GW_TAIL_PROBABILITY_MASKED] != 0.0f,
        .alpha = o[GW_TAIL_PROBABILITY_ALPHA],
        .limit = o[GW_TAIL_PROBABILITY_LIMIT],
        .alarm = o[GW_TAIL_PROBABILITY_ALARM_SCORE],
        .pause = o[GW_TAIL_PROBABILITY_PAUSE],
        .start = o[GW_TAIL_PROBABILITY_RATE_START],
        .ratio = {ratio[0], ratio[1], ratio[2], ratio[3]},
        .level_start = 1.0f / (8e7f * (float)W),
        .column = p.column,
        .band = p.band,
        .unit = p.unit,
        .clip = p.clip,
        .range = p.range,
        .factor = p.factor,
        .statistic = p.statistic,
        .score = p.score,
        .slope = p.slope,
    };
    return p.t;
}

static const gw_kernel gw_kernel_tail_probability = {
    .kind = "tail_probability",
    .check = tail_probability_check,
    .pack = tail_probability_pack,
    .step = tail_probability_step,
};

#endif
