/* Models for the tests of the core: random tensors, a GRU, a chain of every kind of node. */
#ifndef GW_GRAPHS_H
#define GW_GRAPHS_H

#include "gatewise.h"
#include "gatewise_kinds.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static uint32_t seed = 1;

/* Uniform in -1..1. */
static float draw(void) {
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-31f;
}

static float *draws(size_t count, float scale) {
    float *values = malloc((count + 1) * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = scale * draw();
    return values;
}

/* A built model with one session; memory is exactly as large as the sizes say, so that a sanitizer sees any overrun. */
typedef struct session {
    gw_sizes sizes;
    const gw_model *model;
    void *arena, *scratch;
    float *state;
} session;

static void *exactly(size_t bytes) { return aligned_alloc(GW_ALIGNMENT, bytes); }

static session opened(const gw_graph *graph, const char *cpu) {
    session s = {0};
    gw_fault fault;
    gw_status status = gw_measure(graph, cpu, &s.sizes, &fault);
    if (status == GW_OK) {
        s.arena = exactly(s.sizes.model_bytes);
        memset(s.arena, 0xff, s.sizes.model_bytes);
        status = gw_build(graph, cpu, s.arena, s.sizes.model_bytes, &s.model, &fault);
    }
    if (status != GW_OK) {
        printf("node %d, position %d: %s\n", fault.node, fault.index, gw_text(status));
        exit(1);
    }
    s.scratch = exactly(s.sizes.scratch_bytes);
    memset(s.scratch, 0xff, s.sizes.scratch_bytes); /* NaN: what a step has not written it must not use */
    s.state = malloc(s.sizes.state_floats * sizeof(float) + 1);
    gw_reset(s.model, s.state);
    return s;
}

static void closed(session *s) {
    free(s->arena);
    free(s->scratch);
    free(s->state);
}

/* One GRU with its tensors and the graph around it. */
typedef struct gru {
    int I, H;
    float options[GW_GRU_OPTIONS];
    float *weight_ih, *weight_hh, *bias_ih, *bias_hh;
    gw_tensor tensors[GW_GRU_TENSORS];
    gw_node node;
    int widths[2];
    gw_graph graph;
} gru;

static const float usual[GW_GRU_OPTIONS] = {[GW_GRU_GATE_ACTIVATION] = GW_SIGMOID, [GW_GRU_ACTIVATION] = GW_TANH};
static const float reset_before[GW_GRU_OPTIONS] = {
    [GW_GRU_RESET] = 1, [GW_GRU_GATE_ACTIVATION] = GW_SIGMOID, [GW_GRU_ACTIVATION] = GW_TANH};
static const int first_edge[] = {0};

static void gru_draw(gru *g, int I, int H, const float *options) {
    const size_t n = (size_t)H, i = (size_t)I;
    g->I = I;
    g->H = H;
    memcpy(g->options, options, sizeof g->options);
    g->weight_ih = draws(3 * n * i, 1.5f / sqrtf((float)I));
    g->weight_hh = draws(3 * n * n, 1.5f / sqrtf((float)H));
    g->bias_ih = draws(3 * n, 0.5f);
    g->bias_hh = draws(3 * n, 0.5f);
    const gw_tensor tensors[] = {
        {g->weight_ih, 3 * n, i}, {g->weight_hh, 3 * n, n}, {g->bias_ih, 3 * n, 1}, {g->bias_hh, 3 * n, 1}};
    memcpy(g->tensors, tensors, sizeof tensors);
    g->node = (gw_node){"gru", first_edge, 1, 1, g->options, GW_GRU_OPTIONS, g->tensors, GW_GRU_TENSORS};
    g->widths[0] = I;
    g->widths[1] = H;
    g->graph = (gw_graph){&g->node, 1, g->widths, 2, 1, 1, 0, 0};
}

static void gru_free(gru *g) {
    free(g->weight_ih);
    free(g->weight_hh);
    free(g->bias_ih);
    free(g->bias_hh);
}

/* numeric (scales, holds) -> gru -> dense -> tail_probability, which also reads the scaled input. */
enum {
    COLUMNS = 3,
    UNITS = 9,
    KNOTS = 4,
    TAIL_OPTIONS = GW_TAIL_PROBABILITY_OPTIONS + 1,     /* one target */
    TAIL_TENSORS = GW_TAIL_PROBABILITY_JOINT_STATISTIC, /* so that it has no joint table */
};

typedef struct chain {
    gru g;
    float offset[COLUMNS], scale[COLUMNS], weight[2 * UNITS], bias[2];
    float statistic[KNOTS], score[KNOTS], band[2], unit[2];
    gw_tensor numeric[GW_NUMERIC_TENSORS], dense[GW_DENSE_TENSORS], tail[TAIL_TENSORS];
    float clip[2 * COLUMNS], range[4 * COLUMNS], factor[4 * COLUMNS];
    gw_node nodes[4];
    gw_graph graph;
} chain;

static const float scale_and_hold[GW_NUMERIC_OPTIONS] = {[GW_NUMERIC_SCALING] = 1, [GW_NUMERIC_MISSING] = 1};
static const float linear[GW_DENSE_OPTIONS] = {[GW_DENSE_ACTIVATION] = GW_LINEAR};
static const float tail_options[TAIL_OPTIONS] = {
    [GW_TAIL_PROBABILITY_ALPHA] = 0.25f,        [GW_TAIL_PROBABILITY_LIMIT] = 3.0f,
    [GW_TAIL_PROBABILITY_ALARM_SCORE] = 0.5f,   [GW_TAIL_PROBABILITY_PAUSE] = 2,
    [GW_TAIL_PROBABILITY_RATE_START] = 1e-3f,   [GW_TAIL_PROBABILITY_FACTOR_ALARM_1] = 3,
    [GW_TAIL_PROBABILITY_FACTOR_CALM_1] = 0.9f, [GW_TAIL_PROBABILITY_FACTOR_ALARM_2] = 5,
    [GW_TAIL_PROBABILITY_FACTOR_CALM_2] = 0.8f, [GW_TAIL_PROBABILITY_TARGETS] = 2,
};
static const int from_1[] = {1}, from_2[] = {2}, from_3_and_1[] = {3, 1},
                 chain_widths[] = {COLUMNS, COLUMNS, UNITS, 2, 5};

static void chain_draw(chain *c) {
    gru_draw(&c->g, COLUMNS, UNITS, usual);
    for (int i = 0; i < COLUMNS; i++) c->offset[i] = 10 * draw(), c->scale[i] = 2 + draw();
    for (int i = 0; i < 2 * UNITS; i++) c->weight[i] = draw();
    c->bias[0] = draw(), c->bias[1] = draw() - 1;
    const float statistic[] = {0.0f, 0.5f, 1.0f, 2.0f}, score[] = {0.0f, 0.25f, 1.0f, 4.0f};
    memcpy(c->statistic, statistic, sizeof statistic);
    memcpy(c->score, score, sizeof score);
    c->band[0] = -1.5f, c->band[1] = 2.0f;
    c->unit[0] = c->offset[2], c->unit[1] = c->scale[2];
    c->numeric[GW_NUMERIC_OFFSET] = (gw_tensor){c->offset, COLUMNS, 1};
    c->numeric[GW_NUMERIC_SCALE] = (gw_tensor){c->scale, COLUMNS, 1};
    c->dense[GW_DENSE_WEIGHT] = (gw_tensor){c->weight, 2, UNITS};
    c->dense[GW_DENSE_BIAS] = (gw_tensor){c->bias, 2, 1};
    c->tail[GW_TAIL_PROBABILITY_STATISTIC] = (gw_tensor){c->statistic, 1, KNOTS};
    c->tail[GW_TAIL_PROBABILITY_SCORE] = (gw_tensor){c->score, 1, KNOTS};
    c->tail[GW_TAIL_PROBABILITY_BAND] = (gw_tensor){c->band, 1, 2};
    c->tail[GW_TAIL_PROBABILITY_UNIT] = (gw_tensor){c->unit, 1, 2};
    for (int i = 0; i < 2 * COLUMNS; i++) c->clip[i] = i % 2 ? 3.0f : -3.0f;
    for (int i = 0; i < 4 * COLUMNS; i++) c->range[i] = i % 2 ? 0.5f : -0.5f, c->factor[i] = i % 2 ? 0.9f : 1.5f;
    c->tail[GW_TAIL_PROBABILITY_CLIP] = (gw_tensor){c->clip, COLUMNS, 2};
    c->tail[GW_TAIL_PROBABILITY_RANGE] = (gw_tensor){c->range, COLUMNS, 4};
    c->tail[GW_TAIL_PROBABILITY_FACTOR] = (gw_tensor){c->factor, COLUMNS, 4};
    c->nodes[0] =
        (gw_node){"numeric", first_edge, 1, 1, scale_and_hold, GW_NUMERIC_OPTIONS, c->numeric, GW_NUMERIC_TENSORS};
    c->nodes[1] = (gw_node){"gru", from_1, 1, 2, c->g.options, GW_GRU_OPTIONS, c->g.tensors, GW_GRU_TENSORS};
    c->nodes[2] = (gw_node){"dense", from_2, 1, 3, linear, GW_DENSE_OPTIONS, c->dense, GW_DENSE_TENSORS};
    c->nodes[3] = (gw_node){"tail_probability", from_3_and_1, 2, 4, tail_options, TAIL_OPTIONS, c->tail, TAIL_TENSORS};
    c->graph = (gw_graph){c->nodes, 4, chain_widths, 5, 4, 0, 0, 0};
}

/* numeric (masks) -> moments -> standardise, of two columns: what a model with missing readings sees of a window. */
typedef struct masked {
    gw_node nodes[3];
    gw_graph graph;
} masked;

static const float hold_and_mask[GW_NUMERIC_OPTIONS] = {[GW_NUMERIC_MISSING] = 2};
static const float seen_moments[GW_MOMENTS_OPTIONS] = {[GW_MOMENTS_EPSILON] = 0.25f, [GW_MOMENTS_MASKED] = 1};
static const float seen_units[GW_STANDARDISE_OPTIONS] = {[GW_STANDARDISE_MASKED] = 1};
static const int from_1_and_2[] = {1, 2}, masked_widths[] = {2, 4, 4, 4};

static void masked_draw(masked *m) {
    m->nodes[0] = (gw_node){"numeric", first_edge, 1, 1, hold_and_mask, GW_NUMERIC_OPTIONS, NULL, 0};
    m->nodes[1] = (gw_node){"moments", from_1, 1, 2, seen_moments, GW_MOMENTS_OPTIONS, NULL, 0};
    m->nodes[2] = (gw_node){"standardise", from_1_and_2, 2, 3, seen_units, GW_STANDARDISE_OPTIONS, NULL, 0};
    m->graph = (gw_graph){m->nodes, 3, masked_widths, 4, 3, 0, 0, 0};
}

#endif
