/* Calibrated tail probability of a smoothed forecast residual: one step.
 *
 *     d  = exp(clip(s, -10, 10))                 m, s: the forecast made one step before, location and log scale
 *     u  = (z[target] - m) / d
 *     e' = flush(e + alpha (u - e))
 *     score = S(|e'|)                            through the knots, from (0, 0), beyond the last with its last slope
 *     y  = score, m, m + d band[0], m + d band[1], 1 if score > limit else 0;     the middle three * unit[1] + unit[0]
 *     m', s' = flush(the network's answer at this step)
 *
 * Reads two edges: the network's answer (2: location, log scale) and the scaled input z (W). Writes y (5).
 * State: m (1), s (1), e (1).
 * Options: target, alpha, limit = log10 of the calibration samples.
 * Tensors: statistic (K) ascending, score (K), band (2), unit (2) = offset and scale of the target column.
 */

typedef struct gw_tail_probability {
    int target, knots; /* column; K */
    float alpha, limit;
    float band[2], unit[2];
    const float *statistic, *score; /* (K) each */
    const float *slope;             /* (K) of the segment that ends at knot k, the first beginning at (0, 0) */
} gw_tail_probability;

static float tail_exp(float x) {
    float lanes[GW_LANES];
    gwv_store(lanes, gwv_exp(gwv_set(x)));
    return lanes[0];
}

/* S(e): the segment by bisection. */
static float tail_score(const gw_tail_probability *t, float e) {
    int low = 0, high = t->knots; /* knots below low are <= e, those from high on are > e */
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (t->statistic[middle] <= e)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return e * t->slope[0];
    float slope = t->slope[low < t->knots ? low : t->knots - 1];
    return t->score[low - 1] + (e - t->statistic[low - 1]) * slope;
}

static void tail_probability_step(const void *layer, const gw_batch *b) {
    const gw_tail_probability *t = layer;
    for (int row = 0; row < b->count; row++) {
        const float *forecast = b->in[0] + (size_t)row * b->in_stride[0];
        const float *z = b->in[1] + (size_t)row * b->in_stride[1];
        float *state = b->state + (size_t)row * b->state_stride, *out = b->out + (size_t)row * b->out_stride;
        float m = state[0], s = state[1], e = state[2];
        s = s < -10.0f ? -10.0f : s > 10.0f ? 10.0f : s;
        float d = tail_exp(s), u = (z[t->target] - m) / d;
        e = gw_flush(e + t->alpha * (u - e));
        float score = tail_score(t, e < 0.0f ? -e : e);
        out[0] = score;
        out[1] = m * t->unit[1] + t->unit[0];
        out[2] = (m + d * t->band[0]) * t->unit[1] + t->unit[0];
        out[3] = (m + d * t->band[1]) * t->unit[1] + t->unit[0];
        out[4] = score > t->limit ? 1.0f : 0.0f;
        state[0] = gw_flush(forecast[0]);
        state[1] = gw_flush(forecast[1]);
        state[2] = e;
    }
}

#ifndef GW_STEP_ONLY

static gw_status tail_probability_check(const gw_place *place, gw_room *room, gw_need *need) {
    GW_TRY(gw_expect_counts(place, 2, 3, 4));
    const gw_tensor *t = place->node->tensors;
    const size_t K = t[0].rows;
    if (place->in[0] != 2) return gw_fail(place, GW_BAD_INPUT_WIDTH, 0, (size_t)place->in[0], 2);
    if (place->out != 5) return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, 5);
    GW_TRY(gw_expect_option(place, 0, place->in[1] - 1));
    if (K < 2) return gw_fail(place, GW_BAD_SHAPE, 0, K, 2);
    if (K > GW_MOST_WIDTH) return gw_fail(place, GW_TOO_LARGE, 0, K, GW_MOST_WIDTH);
    GW_TRY(gw_expect_tensor(place, 0, K, 1));
    GW_TRY(gw_expect_tensor(place, 1, K, 1));
    GW_TRY(gw_expect_tensor(place, 2, 2, 1));
    GW_TRY(gw_expect_tensor(place, 3, 2, 1));
    const float *statistic = t[0].data;
    for (size_t k = 0; k < K; k++)
        if (!(statistic[k] >= 0.0f && (k == 0 || statistic[k] > statistic[k - 1])))
            return gw_fail(place, GW_BAD_WEIGHT, 0, k, 0);
    gw_take(room, 1, sizeof(gw_tail_probability));
    for (int i = 0; i < 3; i++) gw_take(room, K, sizeof(float));
    need->state = 3;
    return GW_OK;
}

static const void *tail_probability_pack(const gw_place *place, gw_room *room) {
    const gw_tensor *from = place->node->tensors;
    const float *o = place->node->options;
    const size_t K = from[0].rows;
    gw_tail_probability *t = gw_take(room, 1, sizeof(gw_tail_probability));
    float *statistic = gw_take(room, K, sizeof(float)), *score = gw_take(room, K, sizeof(float));
    float *slope = gw_take(room, K, sizeof(float));
    float x = 0.0f, y = 0.0f;
    for (size_t k = 0; k < K; k++) {
        statistic[k] = from[0].data[k];
        score[k] = from[1].data[k];
        slope[k] = statistic[k] > x ? (score[k] - y) / (statistic[k] - x) : 0.0f;
        x = statistic[k];
        y = score[k];
    }
    *t = (gw_tail_probability){
        .target = (int)o[0],
        .knots = (int)K,
        .alpha = o[1],
        .limit = o[2],
        .band = {from[2].data[0], from[2].data[1]},
        .unit = {from[3].data[0], from[3].data[1]},
        .statistic = statistic,
        .score = score,
        .slope = slope,
    };
    return t;
}

static const gw_kernel gw_kernel_tail_probability = {
    "tail_probability", tail_probability_check, tail_probability_pack, tail_probability_step, NULL,
};

#endif
