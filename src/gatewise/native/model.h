/* A built model: build.c makes it, run.c runs it, and model.c answers questions about it. */
#ifndef GW_MODEL_H
#define GW_MODEL_H

#include "isa.h"

/* Where an edge is stored: in the caller's x or y, or `from` floats after the start of scratch, for each row. */
enum { GW_FROM_X = -1, GW_FROM_Y = -2 };

typedef struct gw_port {
    ptrdiff_t from;
    size_t width;
} gw_port;

typedef struct gw_op {
    gw_step_function *step;
    gw_sequence_function *sequence;
    const void *layer;
    size_t state; /* where its state begins in the states of the nodes, in floats */
    size_t own;   /* its scratch for each row, in floats, a multiple of GW_ALIGNMENT */
    gw_port reads[GW_MOST_INPUTS], writes;
    int read_count;
} gw_op;

struct gw_model {
    gw_sizes sizes;
    const gw_isa *isa;
    int refuse_nonfinite, hold;
    int window;        /* steps that an output is computed from; 0: the state is carried */
    int non_causal;    /* whether a node is not causal: then each node runs over all steps before the next node */
    size_t edges, own; /* scratch of one row, in floats: the edges (of one step), the nodes */
    size_t state;      /* floats in the states of all nodes */
    size_t evidence, evidences; /* where the evidence of the last node with evidence begins in them, and its count */
    const gw_screen *screen;    /* of the input stage, which is the first node; NULL: gw_usable decides */
    const void *stage;          /* the layer of the input stage */
    size_t output;              /* where the output is stored in scratch, in floats of a row; only if non_causal */
    int tail; /* from this op on, none has a state or needs the whole sequence: for one output they run once */
    int op_count;
    gw_op ops[];
};

/* The most rows that run together: enough to use each loaded weight several times, few enough for their scratch to fit
 * the cache. */
enum { GW_MOST_ROWS = 48 };

static inline size_t gw_spaced(size_t floats) { return (floats + 15) / 16 * 16; } /* GW_ALIGNMENT in floats */

/* Scratch of one row of this many steps, in floats; SIZE_MAX if it is too large. */
static inline size_t gw_row_floats(const gw_model *model, size_t steps) {
    size_t edges;
    if (!model->non_causal) return model->edges + model->own;
    if (__builtin_mul_overflow(model->edges, steps, &edges) || edges > PTRDIFF_MAX / 8) return SIZE_MAX;
    return edges + model->own;
}

/* How many rows to run together. If edges are stored for all steps, at most about one megabyte of rows. */
static inline size_t gw_rows_together(const gw_model *model, size_t sessions, size_t steps) {
    size_t most = GW_MOST_ROWS;
    if (model->non_causal) {
        const size_t fit = ((size_t)1 << 18) / gw_row_floats(model, steps);
        most = fit < 1 ? 1 : fit < most ? fit : most;
    }
    return sessions < 1 ? 1 : sessions < most ? sessions : most;
}

/* With a window: floats for the states of the nodes, for each row. */
static inline size_t gw_state_row(const gw_model *model) { return gw_spaced(model->state); }

/* Why this value of an input is missing, as words that follow the value in a message; NULL if it is not missing. */
const char *gw_why_missing(const gw_model *model, size_t input, float x);

/* gw_run_batch and gw_push for callers that have already checked everything: they refuse nothing and write all of y. */
void gw_run_checked(const gw_model *model, size_t sessions, size_t steps, const float *x, float *states, float *y,
                    void *scratch);
void gw_push_checked(const gw_model *model, size_t count, const int64_t *ids, const float *x, float *states, float *y,
                     void *scratch);

#endif
